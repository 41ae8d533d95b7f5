import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loragraph.graph_runtime import DocumentError
from loragraph.graph_runtime.document import Document, NodeSpec, Reference, load
from loragraph.graph_runtime.fingerprints import Fingerprints
from loragraph.graph_runtime.keys import work
from loragraph.graph_runtime.plan import find_cycles, plan

from .kinds import chain, registry

REGISTRY = registry()


def diamond() -> Document:
    def apply(name, above):
        return NodeSpec(name, "ApplyLoRA", 1, {}, {"lora": Reference(above, "lora")})

    return Document(
        {
            "end": NodeSpec(
                "end", "Merge", 1, {}, {"loras": [Reference(n, "lora") for n in ("left", "right", "left")]}
            ),
            "right": apply("right", "top"),
            "left": apply("left", "top"),
            "top": NodeSpec("top", "Make", 3),
            "other": NodeSpec("other", "Make", 3),
        }
    )


def test_parents_come_before_children():
    found = plan(diamond(), REGISTRY)
    assert set(found.order) == {"top", "left", "right", "end", "other"}
    for node in found.order:
        assert all(found.order.index(parent) < found.order.index(node) for parent in found.parents[node])
    assert found.parents["end"] == ("left", "right")
    assert set(found.children["top"]) == {"left", "right"}
    assert set(found.wanted) == {"end", "other"}


def test_only_ancestors_of_what_is_wanted_take_part():
    found = plan(diamond(), REGISTRY, ["left.lora"])
    assert found.order == ("top", "left")
    assert found.children == {"top": ("left",), "left": ()}
    assert found.wanted == ("left",)


@pytest.mark.parametrize(("wanted", "said"), [("lefd", 'mean "left"?'), ("left.loar", 'mean "lora"?')])
def test_wanting_what_is_not_there_is_refused(wanted, said):
    with pytest.raises(DocumentError, match="no") as caught:
        plan(diamond(), REGISTRY, [wanted])
    assert said in str(caught.value)


def test_a_cycle_and_a_wire_from_nowhere_are_refused():
    document = diamond()
    circle = NodeSpec("top", "ApplyLoRA", 1, {}, {"lora": Reference("end", "lora")})
    with pytest.raises(DocumentError, match=r"end -> top -> (left|right) -> end"):
        plan(Document({**document.nodes, "top": circle}), REGISTRY)
    lost = NodeSpec("top", "ApplyLoRA", 1, {}, {"lora": Reference("nowhere", "lora")})
    with pytest.raises(DocumentError, match='"nowhere", which is not there'):
        plan(Document({**document.nodes, "top": lost}), REGISTRY)


@given(st.dictionaries(st.integers(0, 7), st.lists(st.integers(0, 7), max_size=3), max_size=8))
def test_find_cycles_agrees_with_networkx(graph):
    import networkx as nx

    parents = {str(node): [str(parent) for parent in above if parent in graph] for node, above in graph.items()}
    known = nx.DiGraph((parent, node) for node, above in parents.items() for parent in above)
    cycles = find_cycles(parents)
    assert bool(cycles) == (not nx.is_directed_acyclic_graph(known))
    for cycle in cycles:
        for above, node in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            assert above in parents[node]


def test_a_chain_of_ten_thousand_is_planned_without_recursion():
    text = json.dumps(chain(10_000))
    begun = time.process_time()
    document = load(text, REGISTRY)
    found = plan(document, REGISTRY)
    keys = work(document, found.order, REGISTRY, Fingerprints())
    assert time.process_time() - begun < 10
    assert found.order[0] == "n0"
    assert found.order[-1] == "n9999"
    assert len({each.key for each in keys.values()}) == 10_000


def test_a_circle_of_ten_thousand_is_named_without_recursion():
    nodes = {f"n{i}": [f"n{i - 1}"] for i in range(1, 10_000)} | {"n0": ["n9999"]}
    (cycle,) = find_cycles(nodes)
    assert len(cycle) == 10_000
