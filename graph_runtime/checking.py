"""Whether a document means something: settings, wires, files and circles, all checked before anything is reported."""

from __future__ import annotations

from collections.abc import Collection

from .document import Document, NodeSpec, Reference
from .errors import Problem, did_you_mean, show
from .keys import resolve_files
from .modes import has_modes, resolve
from .node import NodeType, Settings, Socket
from .plan import cycle_problems
from .registry import Registry

MOST_HINTS = 50
"""Looking for what is near takes time for every problem; beyond this many, nobody reads on."""


def check(
    document: Document,
    registry: Registry,
    *,
    check_files: bool = True,
    reported: Collection[tuple[str | None, str | None]] = (),
) -> tuple[dict[str, Settings], list[Problem]]:
    """Return the complete settings of every node of an installed type, and every problem there is.

    Of a muted or bypassed node, settings and wires must be right as far as they are there; nothing needs to be there.
    Nodes in `document.missing` are placeholders, and are believed. `reported` are the (node, field) of what is known
    to be wrong: a wire that was not understood is not missing as well, and settings of another version are not judged.
    """
    values: dict[str, Settings] = {}
    problems: list[Problem] = []
    folder = document.folder
    for node, spec in document.nodes.items():
        node_type = registry.find(spec.type)
        if node_type is None:
            if node not in document.missing:
                problems.append(registry.unknown(spec.type, node))
            _check_sources(spec, document, registry, problems)
            continue
        if not any((node, part) in reported for part in ("type", "version")):
            values[node], wrong = node_type.check(spec.settings, node)
            if check_files and node_type.reads and not spec.mode:
                bad = {problem.field for problem in wrong}
                _, missing = resolve_files(node, node_type, values[node], folder) if not bad else ({}, [])
                wrong += missing
            problems += wrong
        _check_inputs(spec, node_type, document, registry, problems, reported)
    parents = {node: [wire.node for wire in spec.wires()] for node, spec in document.nodes.items()}
    problems += cycle_problems(parents)
    if has_modes(document):
        _, wrong, _ = resolve(document, registry)
        problems += wrong
    return values, problems


def _check_inputs(
    spec: NodeSpec,
    node_type: NodeType,
    document: Document,
    registry: Registry,
    problems: list[Problem],
    reported: Collection[tuple[str | None, str | None]],
) -> None:
    for name, wires in spec.inputs.items():
        written = [str(wire) for wire in wires] if isinstance(wires, list) else str(wires)
        socket = node_type.inputs.get(name)
        if socket is None:
            if name in node_type.settings:
                said, hint = "this is a setting, not an input.", 'Write it under "settings".'
            else:
                said = f"{spec.type} has no such input."
                hint = did_you_mean(name, node_type.inputs, none="It takes no wires.")
            problems.append(Problem(spec.id, name, written, said, hint))
            continue
        if isinstance(wires, list) and not socket.many:
            problems.append(Problem(spec.id, name, written, "this input takes one wire.", "Write it without a list."))
        for wire in spec.wires(name):
            _check_wire(spec.id, name, wire, socket, document, registry, problems)
    if spec.mode:  # It needs nothing.
        return
    for name, socket in node_type.inputs.items():
        told = (spec.id, name) in reported or (spec.id, "inputs") in reported
        if socket.required and not told and not spec.wires(name) and (socket.many or name not in spec.inputs):
            hint = _offers(spec.id, socket, document, registry) if len(problems) < MOST_HINTS else ""
            problems.append(
                Problem(spec.id, name, None, f"{spec.type} needs a wire with {socket.type.__name__} here.", hint)
            )


def _check_sources(spec: NodeSpec, document: Document, registry: Registry, problems: list[Problem]) -> None:
    for name in spec.inputs:
        for wire in spec.wires(name):
            _check_wire(spec.id, name, wire, None, document, registry, problems)


def _check_wire(
    node: str,
    name: str,
    wire: Reference,
    socket: Socket | None,
    document: Document,
    registry: Registry,
    problems: list[Problem],
) -> None:
    """Check that the wire comes from an output that is there; with a socket, that it carries what the socket takes."""
    source = document.nodes.get(wire.node)
    if source is None:
        hint = did_you_mean(wire.node, document.nodes) if len(problems) < MOST_HINTS else ""
        problems.append(Problem(node, name, str(wire), f"there is no node {show(wire.node)}.", hint))
        return
    node_type = registry.find(source.type)
    if node_type is None:
        return
    kind = node_type.outputs.get(wire.output)
    if kind is None:
        said = f"{show(wire.node)} ({source.type}) has no output {show(wire.output)}."
        whole = [f"{wire.node}.{output}" for output in node_type.outputs]
        problems.append(Problem(node, name, str(wire), said, did_you_mean(wire, whole, none="It has no outputs.")))
    elif socket is not None and not issubclass(kind, socket.type):
        said = f"this wire carries {kind.__name__}; the input takes {socket.type.__name__}."
        hint = _offers(node, socket, document, registry) if len(problems) < MOST_HINTS else ""
        problems.append(Problem(node, name, str(wire), said, hint))


def _offers(node: str, socket: Socket, document: Document, registry: Registry) -> str:
    """Name the outputs in the document that would fit, or the node types that make such a value."""
    fitting = [
        f"{other}.{output}"
        for other, spec in document.nodes.items()
        if other != node and (found := registry.find(spec.type)) is not None
        for output, kind in found.outputs.items()
        if issubclass(kind, socket.type)
    ]
    if fitting:
        return f"These would fit: {', '.join(map(show, fitting[:6]))}."
    makers = [each.name for each in registry.all() if any(issubclass(k, socket.type) for k in each.outputs.values())]
    return f"Add a node that makes one: {', '.join(makers[:6])}." if makers else ""
