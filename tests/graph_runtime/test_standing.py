"""Where a document stands while it is edited: keys of what is right, and what is in the store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loragraph.graph_runtime.document import Document, NodeSpec, Reference, load
from loragraph.graph_runtime.fingerprints import Fingerprints
from loragraph.graph_runtime.keys import work
from loragraph.graph_runtime.plan import plan
from loragraph.graph_runtime.standing import Standing, standing
from loragraph.graph_runtime.store import Store
from loragraph.tests.graph_runtime.kinds import chain
from loragraph.tests.graph_runtime.kinds import registry as kinds
from loragraph.tests.graph_runtime.running import REGISTRY, Runner, graph

KINDS = kinds()


def stands(document: Document, home: Path) -> Standing:
    store = Store(home)
    found = standing(document, REGISTRY, Fingerprints(), store)
    store.close()
    return found


def changed(document: Document, node: str, **parts: object) -> Document:
    nodes = {**document.nodes, node: replace(document.nodes[node], **parts)}  # type: ignore[arg-type]
    return Document(nodes, path=document.path)


DOCUMENT = graph(
    a=("Constant", {"value": 2}),
    b=("Add", {"more": "a.number"}),
    c=("Add", {"more": "b.number", "plus": 1}),
    s=("Save", {"number": "c.number"}),
    clock=("Clock", {}),
    after=("Add", {"more": "clock.number"}),
)


def test_after_a_run_all_but_what_is_never_kept_is_ready(runner: Runner) -> None:
    home = runner.folder / "home"
    assert stands(DOCUMENT, home).ready == frozenset()
    result = runner(DOCUMENT)
    found = stands(DOCUMENT, home)
    assert found.keys == {node: state.key for node, state in result.nodes.items()}
    assert found.ready == {"a", "b", "c"}


def test_what_follows_a_change_is_ready_no_more(runner: Runner) -> None:
    runner(DOCUMENT)
    edited = changed(DOCUMENT, "b", settings={"plus": 5})
    assert stands(edited, runner.folder / "home").ready == {"a"}


def test_nothing_is_run_and_no_result_is_made(runner: Runner) -> None:
    stands(graph(a=("Constant", {"journal": str(runner.journal)})), runner.folder / "home")
    assert runner.noted() == []
    assert not (runner.folder / "home").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"settings": {"plus": "many"}},
        {"settings": {"puls": 1}},
        {"inputs": {"more": Reference("nobody", "number")}},
        {"inputs": {"more": Reference("a", "nothing")}},
        {"inputs": {"more": Reference("s", "number")}},
        {"inputs": {"more": [Reference("a", "number")]}},
        {"inputs": {"nothing": Reference("a", "number")}},
        {"inputs": {"more": Reference("c", "number")}},
        {"type": "NotInstalled"},
        {"settings": {"plus": float("nan")}},
    ],
)
def test_what_is_wrong_has_no_key_and_neither_has_what_needs_it(tmp_path: Path, wrong: dict[str, object]) -> None:
    found = stands(changed(DOCUMENT, "b", **wrong), tmp_path)
    assert found.keys.keys() == {"a", "clock", "after"}


def test_a_missing_required_wire_leaves_the_node_out(tmp_path: Path) -> None:
    assert stands(graph(h=("Split", {}), a=("Constant", {})), tmp_path).keys.keys() == {"a"}


def test_muted_and_bypassed_nodes_have_no_key_and_change_those_below(tmp_path: Path) -> None:
    bypassed = stands(changed(DOCUMENT, "b", mode="bypass"), tmp_path)
    direct = stands(changed(DOCUMENT, "c", inputs={"more": Reference("a", "number")}), tmp_path)
    assert "b" not in bypassed.keys
    assert bypassed.keys["c"] == direct.keys["c"]


def test_files_are_found_beside_the_document_and_count_by_content(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("one")
    nodes = {"r": NodeSpec("r", "Read", 1, {"file": "f.txt"}), "m": NodeSpec("m", "Read", 1, {"file": "gone.txt"})}
    document = Document(nodes, path=tmp_path / "w.json")
    store = Store(tmp_path / "home")
    first = standing(document, KINDS, Fingerprints(), store)
    (tmp_path / "f.txt").write_text("two")
    second = standing(document, KINDS, Fingerprints(), store)
    assert first.keys.keys() == second.keys.keys() == {"r"}
    assert first.keys["r"] != second.keys["r"]


def test_keys_of_a_large_document_are_those_of_a_run(tmp_path: Path) -> None:
    document = load(json.dumps(chain(2000)), KINDS)
    order = plan(document, KINDS).order
    expected = {node: each.key for node, each in work(document, order, KINDS, Fingerprints()).items()}
    assert standing(replace(document, values={}), KINDS, Fingerprints(), Store(tmp_path)).keys == expected
