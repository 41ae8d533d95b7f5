"""Where a document stands: which of its nodes have their result in the store already.

    standing(document, registry, fingerprints, store).ready      # {"base", "train"}: running these again costs nothing

Unlike `keys.work` this takes documents as they are while somebody edits them: a node that isn't right, and everything
that needs it, has no key, and nothing is raised. Nothing is run, and nothing is written but the fingerprints' memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .document import Document, NodeSpec
from .fingerprints import Fingerprints
from .keys import Work, node_key, read_files
from .modes import has_modes, resolve
from .node import NodeType
from .registry import Registry
from .store import Store


@dataclass(frozen=True, slots=True)
class Standing:
    """`keys` of the nodes that could be run as they are, and those whose result is there (`ready`)."""

    keys: dict[str, str]
    ready: frozenset[str]


def standing(document: Document, registry: Registry, fingerprints: Fingerprints, store: Store) -> Standing:
    """Return the standing of a document, checked or not. Muted and bypassed nodes have none."""
    if has_modes(document):
        document, _, _ = resolve(document, registry)
    done: dict[str, Work] = {}
    known: dict[str, str] = {}
    for node in _order(document):
        spec = document.nodes[node]
        node_type = registry.find(spec.type)
        if node_type is None or not _is_wired(spec, node_type, document, registry, done):
            continue
        settings = document.values.get(node)
        if settings is None:
            settings, problems = node_type.check(spec.settings, node)
            if problems:
                continue
        files: dict[str, Any] = {}
        if node_type.reads:
            settings, files, problems = read_files(node, node_type, settings, document.folder, fingerprints, known)
            if problems:
                continue
        parents = [done[wire.node] for wire in spec.wires()]
        inputs = {name: [(done[wire.node].key, wire.output) for wire in spec.wires(name)] for name in spec.inputs}
        try:
            key = node_key(spec.type, node_type.version, settings, files, inputs)
        except ValueError:  # What JSON cannot write.
            continue
        done[node] = Work(key, settings, node_type.cache and all(parent.cache for parent in parents))
    ready = frozenset(node for node, work in done.items() if work.cache and store.holds(work.key))
    return Standing({node: work.key for node, work in done.items()}, ready)


def _order(document: Document) -> list[str]:
    """Return the nodes, parents first; what is in a circle or below one, or takes from nowhere, is left out."""
    parents = {node: {wire.node for wire in spec.wires()} for node, spec in document.nodes.items()}
    children: dict[str, list[str]] = {}
    for node, above in parents.items():
        for parent in above:
            children.setdefault(parent, []).append(node)
    left = {node: len(above) for node, above in parents.items()}
    free = deque(node for node, count in left.items() if not count)
    order: list[str] = []
    while free:
        node = free.popleft()
        order.append(node)
        for child in children.get(node, ()):
            left[child] -= 1
            if not left[child]:
                free.append(child)
    return order


def _is_wired(
    spec: NodeSpec, node_type: NodeType, document: Document, registry: Registry, done: Mapping[str, Work]
) -> bool:
    """Whether every wire brings what the input takes from a node that has a key, and no required one is missing."""
    for name in spec.inputs:
        socket = node_type.inputs.get(name)
        if socket is None or (isinstance(spec.inputs[name], list) and not socket.many):
            return False
        for wire in spec.wires(name):
            if wire.node not in done:
                return False
            kind = registry.get(document.nodes[wire.node].type).outputs.get(wire.output)
            if kind is None or not issubclass(kind, socket.type):
                return False
    return all(spec.wires(name) for name, socket in node_type.inputs.items() if socket.required)
