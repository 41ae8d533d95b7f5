"""Running what waits in the queue: order, cancels, restarts, and processes that die at any moment."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loragraph.graph_runtime.executors import Executor, InProcessExecutor
from loragraph.graph_runtime.locks import FolderLock
from loragraph.tests.graph_runtime.queueing import Place, in_process, until
from loragraph.tests.graph_runtime.running import graph


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def sleeping(seconds: float = 60.0, **more: Any) -> Any:
    return graph(slow=("Sleep", {"seconds": seconds, **more}))


def is_sleeping(place: Place, run: str) -> bool:
    return any(event.kind == "node_progress" for event in place.queue.events(run))


def test_runs_are_run_one_after_another_and_told_from_the_first_to_the_last(place: Place) -> None:
    runs = [place.submit(graph(a=("Constant", {"value": n, "journal": str(place.journal)}))) for n in range(4)]
    place.queue.move(runs[3], 0)
    place.lanes()
    for run in runs:
        assert place.ended(run).status == "done"
        assert place.kinds(run) == ["run_started", "node_started", "node_done", "run_done"]
    assert place.noted() == ["constant=3", "constant=0", "constant=1", "constant=2"]
    record = place.queue.get(runs[0])
    assert (record.device, record.nodes, record.finished, record.attempt) == ("cpu", 1, 1, 1)


def test_a_run_that_comes_later_is_taken_too(place: Place) -> None:
    place.lanes()
    run = place.submit(graph(a=("Constant", {}), b=("Save", {"number": "a.number"})), wanted=["b"])
    assert place.ended(run).status == "done"
    assert (place.out / "saved-1.txt").read_text() == "1"
    assert {node: end for node, (end, _) in place.queue.results(run).items()} == {"a": "done", "b": "done"}


def test_several_lanes_run_at_the_same_time(place: Place) -> None:
    lanes = place.lanes("cpu", "cuda:0")
    runs = [place.submit(sleeping()) for _ in range(2)]
    until(lambda: all(is_sleeping(place, run) for run in runs))
    assert set(lanes.running().values()) == set(runs)
    assert {place.queue.get(run).device for run in runs} == {"cpu", "cuda:0"}


def test_a_failed_run_says_which_node_failed_and_the_lane_goes_on(place: Place) -> None:
    place.lanes()
    first = place.submit(graph(f=("Fail", {"message": "no luck"})))
    second = place.submit(graph(f=("Fail", {"bad_input": True})))
    third = place.submit(graph(a=("Constant", {})))
    record = place.ended(first)
    assert (record.status, record.bad_input) == ("failed", False)
    assert "no luck" in record.error and "'f'" in record.error
    assert place.ended(second).bad_input
    assert place.ended(third).status == "done"


def test_a_document_that_cannot_be_run_any_more_fails_with_its_reason(place: Place) -> None:
    run = place.submit(graph(a=("Constant", {})))
    with sqlite3.connect(place.home / "runs.sqlite") as connection:
        connection.execute("UPDATE runs SET text = replace(text, 'Constant', 'Konstant')")
    connection.close()
    good = place.submit(graph(a=("Constant", {})))
    place.lanes()
    record = place.ended(run)
    assert (record.status, record.bad_input) == ("failed", True)
    assert 'Did you mean "Constant"?' in record.error
    (event,) = place.queue.events(run)
    assert (event.kind, event.data["status"], event.data["error"]) == ("run_done", "failed", record.error)
    assert place.ended(good).status == "done"


def test_an_exception_in_the_lane_fails_that_run_only(place: Place) -> None:
    calls: list[str] = []

    def breaks_once(device: str) -> Executor:
        calls.append(device)
        if len(calls) == 1:
            raise RuntimeError("no such card")
        return in_process(device)

    place.lanes(executor=breaks_once)
    first, second = (place.submit(graph(a=("Constant", {}))) for _ in range(2))
    assert "no such card" in place.ended(first).error
    assert place.ended(second).status == "done"


def test_the_executor_stays_from_run_to_run_and_is_closed_with_the_lane(place: Place) -> None:
    said: list[str] = []

    class Telling(InProcessExecutor):
        def __init__(self, device: str) -> None:
            super().__init__(devices=(device,))
            said.append(f"made for {device}")

        def close(self) -> None:
            super().close()
            said.append("closed")

    lanes = place.lanes(executor=Telling)
    for plus in range(2):
        assert place.ended(place.submit(graph(a=("HeavyAdd", {"plus": plus})))).status == "done"
    assert said == ["made for cpu"]
    lanes.close()
    assert said == ["made for cpu", "closed"]


def test_a_cancel_stops_what_runs(place: Place) -> None:
    place.lanes()
    run = place.submit(sleeping())
    until(lambda: is_sleeping(place, run))
    assert place.queue.cancel(run).stopping
    assert place.ended(run).status == "cancelled"
    assert place.kinds(run)[-2:] == ["node_cancelled", "run_done"]


def test_closing_lets_what_runs_wait_again_and_the_next_start_goes_on(place: Place) -> None:
    lanes = place.lanes()
    document = graph(
        n=("Constant", {"journal": str(place.journal)}),
        s=("Save", {"number": "n.number", "journal": str(place.journal)}),
        t=("Train", {"steps": 10**6, "journal": str(place.journal)}),
    )
    run = place.submit(document)
    other = place.submit(graph(a=("Constant", {})))
    until(lambda: any(e.kind == "node_metric" and e.data["step"] >= 5 for e in place.queue.events(run)))
    until(lambda: place.queue.results(run).keys() == {"n", "s"})
    lanes.close()
    record = place.queue.get(run)
    assert (record.status, record.attempt, record.started) == ("waiting", 2, None)
    assert [each.id for each in place.queue.list()] == [run, other]
    assert "node_cancelled" not in place.kinds(run) and "run_done" not in place.kinds(run)
    place.lanes()
    until(lambda: len([e for e in place.queue.events(run, record.last_seq) if e.kind == "node_metric"]) >= 3)
    place.queue.cancel(run)
    assert place.ended(run).status == "cancelled"
    assert sorted(place.noted()[:3]) == ["constant=1", "from=0", "save"]
    (resumed,) = place.noted()[3:]
    assert int(resumed.removeprefix("from=")) >= 5
    told = place.queue.events(run)
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    assert [event.data["attempt"] for event in told if event.kind == "run_started"] == [1, 2]


def test_closing_without_requeue_cancels(place: Place) -> None:
    lanes = place.lanes()
    run = place.submit(sleeping())
    until(lambda: is_sleeping(place, run))
    lanes.close(requeue=False)
    assert place.queue.get(run).status == "cancelled"


def test_what_was_to_be_cancelled_is_not_resumed(place: Place) -> None:
    run = place.submit(sleeping())
    place.queue.claims.take("cpu")  # by a process that is dead by now
    place.queue.cancel(run)
    place.lanes()
    assert place.ended(run).status == "cancelled"
    assert place.kinds(run) == ["run_done"]


def test_a_lane_has_one_owner_and_goes_over_when_he_closes(place: Place) -> None:
    first = place.lanes("cpu")
    second = place.lanes("cpu", "cuda:0")
    assert (first.held(), second.held()) == (("cpu",), ("cuda:0",))
    first.close()
    until(lambda: second.held() == ("cpu", "cuda:0"))


def test_orphans_of_a_lane_that_nobody_holds_are_adopted_by_any_lane(place: Place) -> None:
    journal = str(place.journal)
    orphan, other = (place.submit(graph(a=("Constant", {"value": n, "journal": journal}))) for n in (1, 2))
    held = FolderLock.take(str(place.home / "lanes" / "cuda-1"))
    assert held is not None
    place.queue.claims.take("cuda:1")
    place.lanes("cpu")
    place.ended(other)
    assert place.queue.get(orphan).status == "running"  # its lane is held, so it may be at work
    held.release()
    assert place.ended(orphan).attempt == 2
    assert place.noted() == ["constant=2", "constant=1"]


def test_no_other_run_is_taken_after_the_one_that_is_waited_for(place: Place) -> None:
    first, mine, later = (place.submit(graph(a=("Constant", {"value": n}))) for n in range(3))
    lanes = place.lanes(until=mine)
    place.ended(mine)
    assert place.queue.get(first).status == "done"
    lanes.close()
    assert (place.queue.get(later).status, place.queue.get(later).attempt) == ("waiting", 1)


def test_previews_outlive_the_folder_that_they_were_drawn_in(place: Place) -> None:
    place.lanes()
    run = place.submit(graph(d=("Draw", {"count": 5})))
    place.ended(run)
    told = [event.data["preview"] for event in place.queue.events(run) if event.kind == "node_progress"]
    assert len(told) == 5
    assert all(path is None or Path(path).parent == place.queue.previews(run) for path in told)
    assert [path.read_text() for path in place.queue.previews(run).iterdir()] == ["picture 5"]
    assert Path(told[-1]).read_text() == "picture 5"


def test_a_preview_that_cannot_be_copied_is_dropped_and_the_run_goes_on(place: Place) -> None:
    place.lanes()
    run = place.submit(graph(t=("Talk", {})))  # it names a preview that it never drew
    assert place.ended(run).status == "done"
    assert [e.data["preview"] for e in place.queue.events(run) if e.kind == "node_progress"] == [None]


def test_a_run_in_another_process_is_followed_and_cancelled_from_here(place: Place) -> None:
    process = place.process()
    run = place.submit(sleeping())
    assert place.queue.wait(run, 0, 30.0)
    until(lambda: is_sleeping(place, run))
    place.queue.cancel(run)
    assert place.ended(run).status == "cancelled"
    assert process.poll() is None


def test_a_kill_in_mid_run_loses_nothing_and_repeats_nothing(place: Place) -> None:
    journal = str(place.journal)
    document = graph(
        n=("Constant", {"journal": journal}),
        clock=("Clock", {"journal": journal}),
        below=("Add", {"numbers": ["clock.number"], "journal": journal}),
        early=("Save", {"number": "n.number", "name": "early", "journal": journal}),
        slow=("Sleep", {"number": "n.number", "seconds": 1.5, "journal": journal}),
        late=("Save", {"number": "slow.number", "name": "late", "journal": journal}),
        last=("Save", {"number": "below.number", "name": "last"}),
    )
    runs = [place.submit(document), place.submit(graph(a=("Constant", {"value": 7})))]
    process = place.process()
    until(lambda: place.queue.results(runs[0]).keys() >= {"n", "clock", "below", "early", "last"})
    until(lambda: "begin" in place.noted())
    process.kill()
    process.wait()
    before = place.queue.events(runs[0])
    assert [record.status for record in place.queue.list()] == ["running", "waiting"]

    place.lanes()
    assert [place.ended(run).status for run in runs] == ["done", "done"]
    assert place.queue.get(runs[0]).attempt == 2
    told = place.queue.events(runs[0])
    assert told[: len(before)] == before
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    assert [event.kind for event in told].count("run_done") == 1
    finished = {"n", "clock", "below", "early", "last"}
    resumed = {event.node: event.kind for event in told[len(before) :] if event.kind in ("node_cached", "node_done")}
    assert resumed == dict.fromkeys(finished, "node_cached") | {"slow": "node_done", "late": "node_done"}
    noted = place.noted()
    assert [noted.count(what) for what in ("constant=1", "clock", "add", "save", "end")] == [1, 1, 1, 2, 1]
    assert sorted(path.name for path in place.out.iterdir()) == ["early-1.txt", "last-1.txt", "late-1.txt"]


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1])
def test_a_kill_at_any_moment_leaves_a_queue_that_goes_on(place: Place, moment: float) -> None:
    runs = [
        place.submit(
            graph(
                a=("Constant", {"value": number}),
                b=("Sleep", {"number": "a.number", "seconds": 0.03}),
                c=("Save", {"number": "b.number", "name": f"run{number}"}),
            )
        )
        for number in range(5)
    ]
    process = place.process()
    time.sleep(moment)  # any moment will do
    process.kill()
    process.wait()
    place.lanes()
    for run in runs:
        assert place.ended(run).status == "done"
        told = place.queue.events(run)
        assert [event.seq for event in told] == list(range(1, len(told) + 1))
        assert [event.kind for event in told].count("run_done") == 1
        assert {node: end for node, (end, _) in place.queue.results(run).items()}.keys() == {"a", "b", "c"}
    assert {path.name for path in place.out.iterdir()} >= {f"run{number}-1.txt" for number in range(5)}


def test_a_run_that_kills_its_process_again_and_again_fails_and_what_waits_behind_it_goes_on(place: Place) -> None:
    journal = str(place.journal)
    document = graph(
        n=("Constant", {"value": 3}),
        deadly=("Stubborn", {"journal": journal}),
        more=("Save", {"number": "deadly.number"}),
    )
    run, other = place.submit(document), place.submit(graph(a=("Constant", {})))
    for attempt in range(1, 5):
        process = place.process()
        until(lambda attempt=attempt: place.noted().count("begin") == attempt)
        until(lambda attempt=attempt: [e.node for e in place.queue.events(run)].count("deadly") == attempt)
        until(lambda: "n" in place.queue.results(run))
        process.kill()
        process.wait()
    place.lanes()
    failed = place.ended(run)
    assert failed.status == "failed" and failed.attempt == 4  # in the first one n was finished
    assert "died 3 times" in failed.error and "at deadly" in failed.error and "run it again" in failed.error
    assert place.queue.events(run)[-1].data["error"] == failed.error
    assert place.ended(other).status == "done"
    assert place.queue.get(place.queue.rerun(run).id).deaths == 0
