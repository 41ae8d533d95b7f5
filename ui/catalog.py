"""What can be put on the canvas: every node type with its fields, every kind of value with its colour and shape.

    catalog(registry)["nodes"]["ApplyLoRA"]["inputs"][0]   # {"name": "base", "type": "Base", "required": True, ...}
    catalog(registry)["values"]["LoRA"]                    # {"name": "LoRA", "bases": [], "colour": ..., "shape": ...}

Other people's kinds of values get a look by their name, so it is the same at every start.
"""

from __future__ import annotations

import hashlib
from typing import Any

from ..graph_runtime import values
from ..graph_runtime.node import NodeType
from ..graph_runtime.registry import Registry
from ..graph_runtime.values import Value
from .fields import fields

LOOKS = {
    "Base": ("#4f7df0", "square"),
    "LoRA": ("#c2528b", "diamond"),
    "Dataset": ("#a0741c", "hexagon"),
    "Images": ("#2f9461", "circle"),
    "Entities": ("#8a63d2", "triangle"),
    "Videos": ("#1d92a8", "pentagon"),
    "Table": ("#6f7f2e", "cross"),
}
"""Colours that stand out (3:1 and more) from white and from near-black alike."""

COLOURS = ("#c4592f", "#6b8e23", "#b0529f", "#3f8ca8", "#9a6a4f", "#7a74c9", "#c0504d", "#5b8a72")
SHAPES = ("star", "cross", "pentagon", "triangle", "hexagon", "diamond", "square", "circle")


def catalog(registry: Registry) -> dict[str, Any]:
    """Return {"nodes": {type: ...}, "values": {name: ...}} of everything installed, as JSON-able data."""
    used = [kind for node in registry.all() for kind in _kinds(node)]
    names = dict.fromkeys([*used, *values.kinds().values()])
    return {
        "nodes": {node_type.name: describe(node_type) for node_type in registry.all()},
        "values": {kind.__name__: look(kind) for kind in sorted(names, key=lambda kind: kind.__name__)},
    }


def describe(node_type: NodeType) -> dict[str, Any]:
    """Return one node type as the canvas knows it."""
    schema = node_type.schema()
    del schema["settings"]
    package = node_type.body.__module__.partition(".")[0]
    return {**schema, "package": package, "fields": [field.to_dict() for field in fields(node_type)]}


def look(kind: type[Value]) -> dict[str, Any]:
    """Return a kind of value with the kinds that it may stand in for, and how its sockets look."""
    bases = [base.__name__ for base in kind.__mro__[1:] if issubclass(base, Value)]
    number = int.from_bytes(hashlib.sha256(kind.__name__.encode()).digest()[:4])
    other = (COLOURS[number % len(COLOURS)], SHAPES[number // 64 % len(SHAPES)])
    colour, shape = LOOKS.get(kind.__name__, other)
    return {"name": kind.__name__, "bases": bases, "colour": colour, "shape": shape}


def _kinds(node_type: NodeType) -> list[type[Value]]:
    return [*(socket.type for socket in node_type.inputs.values()), *node_type.outputs.values()]
