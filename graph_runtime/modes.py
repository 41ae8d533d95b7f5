"""Muted and bypassed nodes: from the document as it is written to the one that is really run.

    "refine": {"type": "ApplyLoRA", "mode": "bypass", ...}

* mute      The node takes no part, and neither does what needs it: whatever has a required input wired to it, or a
            required input of several wires that all come from such nodes, and so on. A wire from it into an optional
            input, or one of several wires, is as if it were not there.
* bypass    The node stands aside: each output carries on the wire that comes into the first of its inputs, in the order
            of the signature, that is wired and whose type fits the output. Where no input fits, and somebody takes
            the output, the document is wrong.

`effective` gives a document of ordinary nodes under the same ids; it is what is planned, keyed and run. Keys so depend
on modes only through the wires. Everything is linear in nodes and wires, and nothing is recursive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from .document import Document, NodeSpec, Reference
from .errors import DocumentError, Problem, show
from .node import NodeType
from .registry import Registry

_Place: TypeAlias = str | Reference
"""What can take no part: a node, by its name, or one output of a bypassed node."""


def effective(document: Document, registry: Registry, wanted: Iterable[str] | None = None) -> Document:
    """Return the document that is really run: itself where no node has a mode.

    Raises DocumentError for a bypassed node that has nothing to carry on, and for a `wanted` node that takes no part.
    """
    if not has_modes(document):
        return document
    changed, problems, because = resolve(document, registry)
    for name in wanted or ():
        node = name.partition(".")[0]
        if node in document.nodes and node not in changed.nodes:
            mode = document.nodes[node].mode
            if mode:
                problems.append(standing_aside(name, mode))
            else:
                cause = show(because.get(node, ""))
                said = f"this is wanted, but it needs {cause}, which is muted, so it is not run."
                problems.append(Problem(None, None, name, said, f'Take the "mode" of {cause} away.'))
    if problems:
        raise DocumentError(problems, str(document.path or ""))
    return changed


def has_modes(document: Document) -> bool:
    """Whether any node is muted or bypassed."""
    return any(spec.mode for spec in document.nodes.values())


def standing_aside(name: str, mode: str) -> Problem:
    """Return the problem of a wanted node that is muted or bypassed."""
    is_so = {"mute": "muted", "bypass": "bypassed"}[mode]
    said = f"this is wanted, but the node is {is_so}, so it is not run."
    return Problem(None, None, name, said, 'Take its "mode" away, or want another node.')


def resolve(document: Document, registry: Registry) -> tuple[Document, list[Problem], Mapping[_Place, str]]:
    """Return the effective document, what is wrong with its bypassed nodes, and {what is left out: the muted node}.

    Works on documents that are wrong in other ways too, which says nothing about them here.
    """
    aside = _Aside(document, registry)
    nodes: dict[str, NodeSpec] = {}
    for node, spec in document.nodes.items():
        if node in aside.because or node in aside.bypassed:
            continue
        inputs: dict[str, Reference | list[Reference]] = {}
        for name, written in spec.inputs.items():
            wires = [end for wire in spec.wires(name) if (end := aside.source(wire)) is not None]
            if isinstance(written, list):
                if wires or not written:
                    inputs[name] = wires
            elif wires:
                inputs[name] = wires[0]
        nodes[node] = replace(spec, inputs=inputs, mode="") if spec.mode or inputs != spec.inputs else spec
    values = {node: complete for node, complete in document.values.items() if node in nodes}
    missing = frozenset(node for node in document.missing if node in nodes)
    changed = replace(document, nodes=nodes, values=values, missing=missing)
    return changed, list(aside.problems.values()), aside.because


class _Aside:
    """What takes no part in a document, and where the wires behind bypassed nodes really come from."""

    def __init__(self, document: Document, registry: Registry) -> None:
        self.document = document
        self.bypassed: dict[str, NodeType] = {
            node: node_type
            for node, spec in document.nodes.items()
            # Of a node whose type is not installed nobody knows what it would carry on.
            if spec.mode == "bypass" and (node_type := registry.find(spec.type)) is not None
        }
        self.because: dict[_Place, str] = self._left_out(registry)
        self.problems: dict[Reference, Problem] = {}
        self._sources: dict[Reference, Reference | None] = {}

    def source(self, wire: Reference) -> Reference | None:
        """Return the output of an ordinary node where a wire really comes from; None where it leads to nothing."""
        passed: list[Reference] = []
        end: Reference | None = wire
        while end is not None and end.node in self.bypassed and end not in self.because:
            if end in self._sources:
                end = self._sources[end]
                break
            self._sources[end] = None  # So that a circle of bypassed nodes comes to an end; it is reported elsewhere.
            passed.append(end)
            above = next((each for each in self._ways_in(end) if self._place(each) not in self.because), None)
            if above is None:
                self.problems[end] = self._nothing_fits(end)
            end = above
        if end is not None and self._place(end) in self.because:
            end = None
        for output in passed:
            self._sources[output] = end
        return end

    def _left_out(self, registry: Registry) -> dict[_Place, str]:
        """Return {place that takes no part: the muted node that is to blame}."""
        needs: dict[_Place, list[set[_Place]]] = {}
        for node, spec in self.document.nodes.items():
            node_type = registry.find(spec.type)
            if node_type is None:
                continue
            if node in self.bypassed:
                for output in node_type.outputs:
                    ways = set(map(self._place, self._ways_in(Reference(node, output))))
                    needs[Reference(node, output)] = [ways] if ways else []
            else:
                needs[node] = [
                    set(map(self._place, spec.wires(name)))
                    for name, socket in node_type.inputs.items()
                    if socket.required and spec.wires(name)
                ]
        takers: dict[_Place, list[_Place]] = {}
        for place, groups in needs.items():
            for above in {above for group in groups for above in group}:
                takers.setdefault(above, []).append(place)
        because: dict[_Place, str] = {node: node for node, spec in self.document.nodes.items() if spec.mode == "mute"}
        waiting = deque(because)
        while waiting:
            above = waiting.popleft()
            for place in takers.get(above, ()):
                if place not in because and any(group <= because.keys() for group in needs[place]):
                    because[place] = because[above]
                    waiting.append(place)
        return because

    def _place(self, wire: Reference) -> _Place:
        return wire if wire.node in self.bypassed else wire.node

    def _ways_in(self, output: Reference) -> list[Reference]:
        """Return the wires that a bypassed node's output could carry on, the first choice first."""
        node_type, spec = self.bypassed[output.node], self.document.nodes[output.node]
        kind = node_type.outputs.get(output.output)
        return [
            wire
            for name, socket in node_type.inputs.items()
            if kind is not None and issubclass(socket.type, kind)
            for wire in spec.wires(name)
        ]

    def _nothing_fits(self, output: Reference) -> Problem:
        node_type = self.bypassed[output.node]
        kind = node_type.outputs.get(output.output)
        said = f"a bypassed {node_type.name} has nothing to carry on for its output {show(output.output)}"
        said += "." if kind is None else f": no wire comes into an input that takes {kind.__name__}."
        return Problem(output.node, "mode", "bypass", said, "Mute it instead.")
