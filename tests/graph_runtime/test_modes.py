"""Muted and bypassed nodes: what is run instead, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loragraph.graph_runtime.document import Document, NodeSpec, Reference, load
from loragraph.graph_runtime.errors import DocumentError
from loragraph.graph_runtime.modes import effective
from loragraph.graph_runtime.schema import workflow_schema
from loragraph.tests.graph_runtime.kinds import registry as kinds
from loragraph.tests.graph_runtime.running import REGISTRY as RUNNING
from loragraph.tests.graph_runtime.running import Runner, graph, statuses

REGISTRY = kinds()
MAKE = {"type": "Make", "version": 3}


def apply(wire: str, **more: Any) -> dict[str, Any]:
    return {"type": "ApplyLoRA", "inputs": {"lora": wire}, **more}


def merge(*wires: str, **more: Any) -> dict[str, Any]:
    return {"type": "Merge", "inputs": {"loras": list(wires)}, **more}


def document(**nodes: dict[str, Any]) -> Document:
    return load(json.dumps({"format": "loragraph/1", "nodes": nodes}), REGISTRY)


def wires(of: Document) -> dict[str, list[str]]:
    """{node that takes part: where its wires come from}"""
    return {node: [str(wire) for wire in spec.wires()] for node, spec in effective(of, REGISTRY).nodes.items()}


def problems(**nodes: dict[str, Any]) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        document(**nodes)
    return [str(problem) for problem in caught.value.problems]


def test_without_modes_the_document_is_run_as_it_is() -> None:
    plain = document(a=MAKE, b=apply("a.lora"))
    assert effective(plain, REGISTRY) is plain


def test_a_muted_node_takes_what_needs_it_with_it() -> None:
    muted = document(a=MAKE, b=apply("a.lora", mode="mute"), c=apply("b.lora"), d=merge("c.lora"), e=apply("a.lora"))
    assert wires(muted) == {"a": [], "e": ["a.lora"]}


def test_one_of_several_wires_from_a_muted_node_is_as_if_not_there() -> None:
    muted = document(a=MAKE, b=apply("a.lora", mode="mute"), c=merge("b.lora", "a.lora"))
    assert wires(muted) == {"a": [], "c": ["a.lora"]}


def test_an_optional_wire_from_a_muted_node_is_as_if_not_there() -> None:
    nodes = {
        "a": NodeSpec("a", "Constant", 1, mode="mute"),
        "b": NodeSpec("b", "Add", 1, {}, {"more": Reference("a", "number"), "numbers": [Reference("a", "number")]}),
    }
    assert effective(Document(nodes), RUNNING).nodes == {"b": NodeSpec("b", "Add", 1)}


def test_a_bypassed_node_hands_its_first_fitting_wire_on() -> None:
    aside = document(
        a=MAKE, z=MAKE, b=merge("a.lora", "z.lora", mode="bypass"), c=apply("b.lora", mode="bypass"), d=apply("c.lora")
    )
    assert wires(aside) == {"a": [], "z": [], "d": ["a.lora"]}


def test_behind_a_bypassed_node_a_muted_wire_gives_way_to_the_next() -> None:
    aside = document(a={**MAKE, "mode": "mute"}, z=MAKE, b=merge("a.lora", "z.lora", mode="bypass"), c=apply("b.lora"))
    assert wires(aside) == {"z": [], "c": ["z.lora"]}


def test_behind_a_bypassed_node_with_muted_wires_only_nothing_is_run() -> None:
    aside = document(a={**MAKE, "mode": "mute"}, b=apply("a.lora", mode="bypass"), c=apply("b.lora"), z=MAKE)
    assert wires(aside) == {"z": []}


def test_a_bypassed_node_with_nothing_to_hand_on_is_an_error_that_says_what_to_do() -> None:
    (said,) = problems(a={**MAKE, "mode": "bypass"}, b=apply("a.lora"), c=apply("a.lora"))
    assert 'node "a", "mode" = "bypass"' in said and 'output "lora"' in said and "Mute it instead." in said


def test_a_bypassed_node_from_which_nobody_takes_is_no_error() -> None:
    assert wires(document(a={**MAKE, "mode": "bypass"}, z=MAKE)) == {"z": []}


def test_what_stands_aside_may_lack_wires_and_files_but_its_settings_are_checked() -> None:
    document(a={"type": "Read", "settings": {"file": "nowhere"}, "mode": "mute"}, b={"type": "Merge", "mode": "bypass"})
    (said,) = problems(a={"type": "ApplyLoRA", "settings": {"strength": "much"}, "mode": "mute"})
    assert '"strength" = "much"' in said


def test_a_mode_that_is_none_is_named_with_the_nearest() -> None:
    (said,) = problems(a={**MAKE, "mode": "muted"})
    assert 'node "a", "mode" = "muted"' in said and 'Did you mean "mute"?' in said
    assert len(problems(a={**MAKE, "mode": 1}, b={**MAKE, "mode": ["mute"]})) == 2


def test_a_mode_is_written_only_where_there_is_one() -> None:
    muted = document(a={**MAKE, "mode": "mute"}, b={**MAKE, "mode": ""})
    written = json.loads(muted.text())["nodes"]
    assert (written["a"]["mode"], "mode" in written["b"]) == ("mute", False)
    assert load(muted.text(), REGISTRY) == muted


@pytest.mark.parametrize(
    ("wanted", "said"), [("b", "is muted"), ("c.lora", 'needs "b", which is muted'), ("d", "is bypassed")]
)
def test_wanting_what_takes_no_part_is_refused(wanted: str, said: str) -> None:
    muted = document(
        a=MAKE, b=apply("a.lora", mode="mute"), c=apply("b.lora"), d=apply("a.lora", mode="bypass"), e=apply("d.lora")
    )
    with pytest.raises(DocumentError, match=said):
        effective(muted, REGISTRY, [wanted])
    effective(muted, REGISTRY, ["a", "e.lora"])


def test_a_circle_of_bypassed_nodes_is_told_as_a_circle() -> None:
    said = problems(a=apply("b.lora", mode="bypass"), b=apply("a.lora", mode="bypass"), c=apply("a.lora"))
    assert any("circle" in each for each in said)


def test_a_chain_of_ten_thousand_bypassed_nodes_is_followed() -> None:
    nodes = {"n0": NodeSpec("n0", "Make", 3)}
    for index in range(1, 10_001):
        above = {"lora": Reference(f"n{index - 1}", "lora")}
        nodes[f"n{index}"] = NodeSpec(f"n{index}", "ApplyLoRA", 1, {}, above, "bypass" if index < 10_000 else "")
    assert wires(Document(nodes)) == {"n0": [], "n10000": ["n0.lora"]}


def test_the_schema_knows_modes_and_asks_no_wires_of_what_stands_aside() -> None:
    node = workflow_schema(REGISTRY)["properties"]["nodes"]["additionalProperties"]
    assert node["properties"]["mode"]["enum"] == ["", "mute", "bypass"]
    (rule,) = [each["then"] for each in node["allOf"] if each["if"]["properties"]["type"]["const"] == "ApplyLoRA"]
    assert rule["if"] == {"properties": {"mode": {"const": ""}}}
    assert rule["then"]["properties"]["inputs"]["required"] == ["lora"]
    assert "required" not in rule["properties"]["inputs"]


@st.composite
def with_modes(draw: st.DrawFn) -> Document:
    nodes = {"n0": NodeSpec("n0", "Make", 3)}
    for index in range(1, draw(st.integers(2, 10))):
        node = f"n{index}"
        above = [Reference(f"n{draw(st.integers(0, index - 1))}", "lora") for _ in range(draw(st.integers(1, 3)))]
        mode = draw(st.sampled_from(["", "", "mute", "bypass"]))
        if draw(st.booleans()):
            nodes[node] = NodeSpec(node, "ApplyLoRA", 1, {}, {"lora": above[0]}, mode)
        else:
            nodes[node] = NodeSpec(node, "Merge", 1, {}, {"loras": list(above)}, mode)
    return Document(nodes)


@settings(max_examples=200, deadline=None)
@given(with_modes())
def test_what_is_run_is_whole_and_is_what_a_walk_from_node_to_node_would_run(random: Document) -> None:
    real = effective(random, REGISTRY)
    assert real.complete(REGISTRY).values.keys() == real.nodes.keys()  # no wire is missing, none leads nowhere
    assert not any(spec.mode for spec in real.nodes.values())
    brings: dict[str, str | None] = {}  # the node whose value a wire from this one really brings
    for node, spec in random.nodes.items():  # parents come first
        found = [brings[wire.node] for wire in spec.wires() if brings[wire.node] is not None]
        takes_part = spec.mode != "mute" and (bool(found) or not spec.wires())
        brings[node] = None if not takes_part else found[0] if spec.mode == "bypass" else node
        if takes_part and spec.mode == "":
            assert [wire.node for wire in real.nodes[node].wires()] == found
        else:
            assert node not in real.nodes


def test_a_run_leaves_out_what_is_muted_and_keys_do_not_tell(runner: Runner) -> None:
    def chain(mode: str) -> Document:
        nodes = dict(
            graph(
                a=("Constant", {"value": 3}),
                b=("Add", {"more": "a.number", "plus": 10}),
                c=("Add", {"more": "b.number", "plus": 100}),
                d=("Constant", {"value": 4}),
            ).nodes
        )
        b = nodes["b"]
        nodes["b"] = NodeSpec("b", b.type, b.version, b.settings, b.inputs, mode)  # type: ignore[arg-type]
        return Document(nodes)

    plain = runner(chain(""))
    assert plain.nodes["c"].outputs["number"].value == 113  # type: ignore[attr-defined]
    bypassed = runner(chain("bypass"))
    assert statuses(bypassed) == {"a": "cached", "c": "done", "d": "cached"}
    assert bypassed.nodes["c"].outputs["number"].value == 103  # type: ignore[attr-defined]
    direct = runner(graph(a=("Constant", {"value": 3}), c=("Add", {"more": "a.number", "plus": 100})))
    assert direct.nodes["c"].key == bypassed.nodes["c"].key
    with pytest.raises(DocumentError, match="is muted"):
        runner(chain("mute"), wanted=["b"])
    assert set(statuses(runner(chain("mute")))) == {"a", "c", "d"}  # c's wire is optional


def test_a_saver_gets_the_document_with_its_modes(runner: Runner) -> None:
    nodes = dict(graph(a=("Constant", {}), keep=("KeepWorkflow", {"number": "a.number"})).nodes)
    nodes["m"] = NodeSpec("m", "Constant", 1, mode="mute")
    muted = Document(nodes)
    runner(muted)
    assert (runner.folder / "out" / "workflow.json").read_text() == muted.text()
