"""Which nodes take part in a run, and in which order they can go.

    plan(document, wanted=["grid"]).order     # ancestors of "grid" and itself, parents before children

Everything here is linear in the number of nodes and wires, and nothing is recursive: a chain may be of any length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import DocumentError, Problem, did_you_mean

if TYPE_CHECKING:
    from .document import Document
    from .registry import Registry


MOST_NAMED = 20
"""So many nodes of a circle are named; of a longer one, its beginning and its end."""


@dataclass(frozen=True)
class Plan:
    """The nodes of a run: `order` has parents before children; `parents` and `children` are by id, without repeats."""

    order: tuple[str, ...]
    parents: dict[str, tuple[str, ...]]
    children: dict[str, tuple[str, ...]]
    wanted: tuple[str, ...]
    """What was asked for: the ids in `wanted`, or every node that no other takes from."""


def plan(document: Document, registry: Registry | None = None, wanted: Iterable[str] | None = None) -> Plan:
    """Return the plan for `wanted` (node ids, or "node.output"); None wants every node.

    Raises DocumentError for a wanted node or output that is not there, a wire from nowhere, and a cycle.
    """
    import networkx as nx

    parents = {node: tuple(dict.fromkeys(wire.node for wire in spec.wires())) for node, spec in document.nodes.items()}
    problems = [
        Problem(node, None, None, f'it takes from "{parent}", which is not there.', did_you_mean(parent, parents))
        for node, above in parents.items()
        for parent in above
        if parent not in parents
    ]
    ends = None if wanted is None else _ends(document, registry, wanted, problems)
    if problems:
        raise DocumentError(problems)
    graph = nx.DiGraph()
    graph.add_nodes_from(parents)
    graph.add_edges_from((parent, node) for node, above in parents.items() for parent in above)
    try:
        order = list(nx.topological_sort(graph))
    except nx.NetworkXUnfeasible:
        raise DocumentError(cycle_problems(parents)) from None
    if ends is not None:
        kept = _ancestors(parents, ends)
        order = [node for node in order if node in kept]
        parents = {node: parents[node] for node in order}
        children = {node: tuple(child for child in graph.successors(node) if child in kept) for node in order}
    else:
        children = {node: tuple(graph.successors(node)) for node in order}
        ends = [node for node in order if not children[node]]
    return Plan(tuple(order), parents, children, tuple(ends))


def _ends(document: Document, registry: Registry | None, wanted: Iterable[str], problems: list[Problem]) -> list[str]:
    ends: dict[str, None] = {}
    for name in wanted:
        node, dot, output = name.partition(".")
        spec = document.nodes.get(node)
        if spec is None:
            hint = did_you_mean(node, document.nodes)
            problems.append(Problem(None, None, name, "this is wanted, but there is no such node.", hint))
            continue
        node_type = registry.find(spec.type) if registry is not None else None
        if dot and node_type is not None and output not in node_type.outputs:
            hint = did_you_mean(output, node_type.outputs, none="It has no output.")
            problems.append(Problem(node, None, name, f'{spec.type} has no output "{output}".', hint))
        ends[node] = None
    return list(ends)


def _ancestors(parents: Mapping[str, Sequence[str]], ends: Iterable[str]) -> set[str]:
    kept: set[str] = set()
    waiting = list(ends)
    while waiting:
        node = waiting.pop()
        if node not in kept:
            kept.add(node)
            waiting.extend(parents[node])
    return kept


def cycle_problems(parents: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Return a problem for every separate cycle, naming its nodes in the order of the wires."""
    return [
        Problem(
            None,
            "nodes",
            None,
            f"these nodes wait for each other in a circle: {_circle(cycle)}.",
            "Take one of the wires away.",
        )
        for cycle in find_cycles(parents)
    ]


def _circle(cycle: list[str]) -> str:
    left_out = len(cycle) - MOST_NAMED
    names = cycle if left_out <= 1 else [*cycle[: MOST_NAMED - 1], f"({left_out} more)", cycle[-1]]
    return " -> ".join([*names, cycle[0]])


def find_cycles(parents: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return cycles that share no node, each in the order of the wires; none means that the graph can be run.

    First every node is taken away whose parents are all gone (Kahn's algorithm); from any node that is left, going
    from parent to parent must come round.
    """
    missing = {node: sum(parent in parents for parent in above) for node, above in parents.items()}
    children: dict[str, list[str]] = {node: [] for node in parents}
    for node, above in parents.items():
        for parent in above:
            if parent in children:
                children[parent].append(node)
    free = [node for node, count in missing.items() if count == 0]
    left = set(parents)
    while free:
        node = free.pop()
        left.discard(node)
        for child in children[node]:
            missing[child] -= 1
            if missing[child] == 0:
                free.append(child)
    cycles: list[list[str]] = []
    seen: dict[str, int] = {}
    for walk, start in enumerate(node for node in parents if node in left):
        path: list[str] = []
        node = start
        while node not in seen:
            seen[node] = walk
            path.append(node)
            node = next(parent for parent in parents[node] if parent in left)
        if seen[node] == walk:
            turn = path[path.index(node) :]
            cycles.append([turn[0], *turn[:0:-1]])
    return cycles
