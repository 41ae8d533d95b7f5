"""Running whole workflows with nodes that count their calls, fail, sleep and die on request."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loragraph.graph_runtime.document import Document, load
from loragraph.graph_runtime.errors import DocumentError
from loragraph.graph_runtime.events import Event
from loragraph.graph_runtime.executors import Executor, InProcessExecutor, WorkerExecutor
from loragraph.graph_runtime.store import Store
from loragraph.tests.graph_runtime import sample_nodes
from loragraph.tests.graph_runtime.running import REGISTRY, Runner, graph, statuses


def test_values_flow_along_the_wires(runner: Runner) -> None:
    result = runner(
        graph(
            a=("Constant", {"value": 10}),
            halves=("Split", {"number": "a.number"}),
            sum=("Add", {"numbers": ["halves.small", "halves.large"], "more": "a.number", "plus": 1}),
            heavy=("HeavyAdd", {"numbers": ["sum.number", "sum.number"]}),
        )
    )
    assert result.status == "done"
    assert result.nodes["heavy"].outputs["number"].value == 72  # type: ignore[attr-defined]


def test_a_second_run_runs_nothing_and_says_cached_for_every_node(runner: Runner) -> None:
    nodes: dict[str, Any] = {
        "a": ("Constant", {"journal": str(runner.journal)}),
        "b": ("Write", {"number": "a.number"}),
        "c": ("HeavyAdd", {"numbers": ["a.number"], "journal": str(runner.journal)}),
    }
    first = runner(graph(**nodes))
    second = runner(graph(**nodes))
    assert set(statuses(second).values()) == {"cached"}
    assert runner.noted() == ["constant=1", "heavy"]
    assert second.nodes["b"].outputs == first.nodes["b"].outputs
    assert [event.kind for event in runner.events].count("node_cached") == 3


def test_only_what_follows_a_change_runs_again(runner: Runner) -> None:
    def nodes(plus: int) -> Document:
        return graph(
            a=("Constant", {}),
            b=("Add", {"numbers": ["a.number"], "plus": plus}),
            c=("Add", {"numbers": ["b.number"]}),
            d=("Add", {"numbers": ["a.number"], "plus": 50}),
        )

    runner(nodes(1))
    assert statuses(runner(nodes(2))) == {"a": "cached", "b": "done", "c": "done", "d": "cached"}


def test_ancestors_of_a_kept_result_need_not_be_kept(runner: Runner) -> None:
    nodes: dict[str, Any] = {
        "a": ("Write", {"number": "n.number"}),
        "n": ("Constant", {"journal": str(runner.journal)}),
        "b": ("Add", {"numbers": ["n.number"]}),
    }
    result = runner(graph(**nodes), wanted=["b"])
    folder = next(
        path.parent
        for path in (runner.folder / "home" / "store").rglob("result.json")
        if result.nodes["n"].key[2:] in str(path)
    )
    (folder / "result.json").unlink()
    assert statuses(runner(graph(**nodes), wanted=["b"])) == {"n": "cached", "b": "cached"}
    assert runner.noted() == ["constant=1"]


def test_only_the_ancestors_of_what_is_wanted_run(runner: Runner) -> None:
    document = graph(a=("Constant", {}), b=("Add", {"numbers": ["a.number"]}), c=("Fail", {"number": "a.number"}))
    assert statuses(runner(document, wanted=["b"])) == {"a": "done", "b": "done"}


@pytest.mark.parametrize("kind", ["Fail", "HeavyFail"])
def test_a_failure_stops_its_dependents_only(runner: Runner, kind: str) -> None:
    result = runner(
        graph(
            a=("Constant", {}),
            bad=(kind, {"number": "a.number", "message": "disk on fire"}),
            child=("Add", {"numbers": ["bad.number"]}),
            grandchild=("Add", {"numbers": ["child.number", "a.number"]}),
            other=("Sleep", {"number": "a.number"}),
            leaf=("Add", {"numbers": ["other.number"]}),
        )
    )
    assert result.status == "failed" and not result.bad_input
    went_on, hit = dict.fromkeys(("a", "other", "leaf"), "done"), dict.fromkeys(("child", "grandchild"), "skipped")
    assert statuses(result) == {**went_on, **hit, "bad": "failed"}
    said = result.nodes["bad"].error
    assert "bad" in said and "OSError" in said and "disk on fire" in said
    assert "'bad'" in result.nodes["grandchild"].error
    failed = next(event for event in runner.events if event.kind == "node_failed")
    assert "sample_nodes.py" in failed.data["trace"] and failed.data["bad_input"] is False


def test_bad_input_names_node_and_field(runner: Runner) -> None:
    result = runner(graph(bad=("HeavyFail", {"bad_input": True, "message": "too long"})))
    assert result.bad_input
    for words in ("bad", "message", "too long"):
        assert words in result.nodes["bad"].error


def test_a_failed_node_is_tried_again(runner: Runner) -> None:
    document = graph(bad=("Fail", {"journal": str(runner.journal)}))
    runner(document), runner(document)
    assert runner.noted() == ["fail", "fail"]


def test_independent_branches_run_at_the_same_time(runner: Runner) -> None:
    journal = str(runner.journal)
    result = runner(
        graph(
            a=("Sleep", {"seconds": 0.4, "journal": journal}),
            b=("Sleep", {"seconds": 0.401, "journal": journal}),
            c=("HeavySleep", {"seconds": 2.0, "journal": journal}),
        )
    )
    assert result.status == "done"
    assert runner.noted()[:2] == ["begin", "begin"]
    assert result.seconds < sum(state.seconds for state in result.nodes.values())


def test_one_device_runs_one_node_at_a_time(runner: Runner) -> None:
    journal = str(runner.journal)
    runner(
        graph(
            **{name: ("HeavySleep", {"seconds": wait, "journal": journal}) for name, wait in (("a", 0.1), ("b", 0.11))}
        )
    )
    assert runner.noted() == ["begin", "end", "begin", "end"]


def test_the_same_work_is_done_once(runner: Runner) -> None:
    journal = str(runner.journal)
    same = ("Sleep", {"seconds": 0.1, "journal": journal})
    result = runner(graph(a=same, b=same, c=("Add", {"numbers": ["a.number", "b.number"]})))
    assert runner.noted() == ["begin", "end"]
    assert sorted(statuses(result).values()) == ["cached", "done", "done"]


def test_equal_savers_both_save_and_save_again(runner: Runner) -> None:
    nodes: dict[str, Any] = {"n": ("Constant", {}), "text": ("Write", {"number": "n.number"})}
    nodes |= {name: ("Save", {"text": "text.text"}) for name in ("one", "two")}
    runner(graph(**nodes))
    assert len(list((runner.folder / "out").iterdir())) == 2
    assert statuses(runner(graph(**nodes))) == {"n": "cached", "text": "cached", "one": "done", "two": "done"}
    assert len(list((runner.folder / "out").iterdir())) == 4


def test_what_follows_an_uncached_node_runs_every_time(runner: Runner) -> None:
    document = graph(now=("Clock", {}), copy=("Write", {"number": "now.number"}))
    texts = [Path(runner(document).nodes["copy"].outputs["text"].file.path).read_text() for _ in range(2)]  # type: ignore[attr-defined]
    assert texts[0] != texts[1]


def test_events_are_numbered_and_ordered(runner: Runner) -> None:
    runner(graph(a=("Talk", {}), b=("Constant", {})))
    assert [event.seq for event in runner.events] == list(range(1, len(runner.events) + 1))
    assert (runner.events[0].kind, runner.events[-1].kind) == ("run_started", "run_done")
    of_a = [event.kind for event in runner.events if event.node == "a" and event.data.get("level") != "print"]
    assert of_a == ["node_started", "node_progress", "node_metric", "node_log", "node_done"]
    assert all(Event.from_json(event.to_json()) == event for event in runner.events)


@pytest.mark.parametrize("make", [InProcessExecutor, WorkerExecutor])
def test_an_executor_that_is_lent_stays_open(runner: Runner, make: Callable[[], Executor]) -> None:
    executor = make()
    try:
        for plus in (1, 2):
            assert runner(graph(a=("HeavyAdd", {"plus": plus})), executor=executor).status == "done"
    finally:
        executor.close()


def test_a_deleted_result_is_made_again(runner: Runner) -> None:
    document = graph(n=("Constant", {}), text=("Write", {"number": "n.number"}))
    Path(runner(document).nodes["text"].outputs["text"].file.path).unlink()  # type: ignore[attr-defined]
    assert statuses(runner(document)) == {"n": "cached", "text": "done"}


@pytest.mark.parametrize("wanted", [["nobody"], ["a.nothing"]])
def test_a_wish_for_what_is_not_there_is_refused_before_anything_runs(runner: Runner, wanted: list[str]) -> None:
    with pytest.raises(DocumentError, match=wanted[0].rpartition(".")[2]):
        runner(graph(a=("Constant", {"journal": str(runner.journal)})), wanted=wanted)
    assert runner.noted() == [] and runner.events == []


def test_a_home_that_cannot_be_written_fails_the_node_in_words(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    from loragraph.graph_runtime.store import Store

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "commit", full)
    result = runner(graph(a=("Constant", {}), b=("Add", {"numbers": ["a.number"]})))
    assert statuses(result) == {"a": "failed", "b": "skipped"}
    assert "No space left" in result.nodes["a"].error
    assert runner.leftovers() == []


def test_a_document_that_cannot_be_written_fails_the_node_that_needs_its_text(runner: Runner) -> None:
    document = replace(graph(n=("Constant", {}), save=("Save", {"number": "n.number"})), view={"n": float("nan")})
    assert statuses(runner(document)) == {"n": "done", "save": "failed"}


def test_a_result_with_outputs_of_another_name_is_made_again(runner: Runner) -> None:
    document = graph(n=("Constant", {}), halves=("Split", {"number": "n.number"}))
    key = runner(document).nodes["halves"].key
    store = Store(runner.folder / "home")
    shutil.rmtree(store.folder(key))
    store.commit(key, store.stage(key), {"tiny": sample_nodes.Number(value=1), "large": sample_nodes.Number(value=2)})
    store.close()
    longer = graph(
        n=("Constant", {}), halves=("Split", {"number": "n.number"}), sum=("Add", {"numbers": ["halves.small"]})
    )
    assert statuses(runner(longer)) == {"n": "cached", "halves": "done", "sum": "done"}


def test_a_node_that_is_not_installed_is_named(runner: Runner) -> None:
    source = json.dumps({"format": "loragraph/1", "nodes": {"a": {"type": "Other"}, "b": {"type": "Constant"}}})
    document = load(source, REGISTRY, allow_missing=True)
    with pytest.raises(DocumentError, match=r'node "a".*Other'):
        runner(document)
    assert statuses(runner(document, wanted=["b"])) == {"b": "done"}


def test_many_failures_cost_no_other_node_its_files(runner: Runner) -> None:
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    most = 0

    def count(event: Event) -> None:
        nonlocal most
        if before and event.kind == "node_started":
            most = max(most, len(list(Path("/proc/self/fd").iterdir())))

    nodes: dict[str, Any] = {f"f{i}": ("Sleep", {"seconds": 1.0, "journal": f"/nowhere/{i}"}) for i in range(200)}
    assert set(statuses(runner(graph(**nodes), on_event=count)).values()) == {"failed"}
    assert most < before + 100
    assert not list((runner.folder / "home" / "scratch").iterdir())


def test_what_finished_in_an_earlier_attempt_is_not_run_again(runner: Runner) -> None:
    document = graph(
        a=("Constant", {}),
        clock=("Clock", {"journal": str(runner.journal)}),
        after=("Add", {"more": "clock.number"}),
        save=("Save", {"number": "after.number", "journal": str(runner.journal)}),
        other=("Save", {"number": "a.number", "name": "other"}),
    )
    first = runner(document, run_id="r")
    before = {node: state.key for node, state in first.nodes.items()}
    again = runner(document, run_id="r", finished=before)
    assert set(statuses(again).values()) == {"cached"}
    changed = runner(document, run_id="r", finished=before | {"save": "another key"})
    assert statuses(changed) == dict.fromkeys(["a", "clock", "after", "other"], "cached") | {"save": "done"}
    assert runner.noted() == ["clock", "save", "save"]
    another = runner(document, run_id="another", finished={"after": before["after"]})
    assert statuses(another)["after"] == "done"  # that run's results are its own
