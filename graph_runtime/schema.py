"""The JSON Schema of the workflow document, for editors that complete and check the file while it is written.

It is made from the installed node types, so it knows every setting with its limits and choices. What a schema cannot
say (where a wire may come from, circles, files that are not there) `document.load` checks.
"""

from __future__ import annotations

from typing import Any

from .document import FORMAT, FORMAT_VERSION, MODES
from .node import NodeType
from .registry import Registry

REFERENCE = r"^\w[\w-]*\.\w+$"
"""A wire: "node.output"."""


def workflow_schema(registry: Registry) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a workflow document with the node types of `registry`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "LoRAGraph workflow",
        "type": "object",
        "required": ["format", "nodes"],
        "additionalProperties": False,
        "properties": {
            "$schema": {"type": "string"},
            "format": {"const": f"{FORMAT}/{FORMAT_VERSION}"},
            "title": {"type": "string"},
            "nodes": {
                "type": "object",
                "propertyNames": {"pattern": r"^\w[\w-]{0,99}$"},
                "additionalProperties": {
                    "type": "object",
                    "required": ["type"],
                    "additionalProperties": False,
                    "properties": {
                        "type": {"enum": registry.names()},
                        "version": {"type": "integer", "minimum": 1},
                        "mode": {"enum": list(MODES), "description": "muted, bypassed, or neither"},
                        "settings": {"type": "object"},
                        "inputs": {"type": "object"},
                    },
                    "allOf": [_rule(node_type) for node_type in registry.all()],
                },
            },
            "view": {"type": "object", "additionalProperties": {"type": "object"}},
        },
    }


def _rule(node_type: NodeType) -> dict[str, Any]:
    """Return what holds for a node of this type, at this version: an older one may have other settings."""
    wire = {"type": "string", "pattern": REFERENCE}
    inputs = {
        name: {
            **({"type": "array", "items": wire} if socket.many else wire),
            "description": f"a {socket.type.__name__}",
        }
        for name, socket in node_type.inputs.items()
    }
    required = [name for name, socket in node_type.inputs.items() if socket.required]
    settings = node_type.settings_model.model_json_schema()
    wired = {"required": ["inputs"], "properties": {"inputs": {"required": required}}}
    return {
        "if": {
            "required": ["type"],
            "properties": {"type": {"const": node_type.name}, "version": {"const": node_type.version}},
        },
        "then": {
            "description": node_type.doc,
            "required": ["settings"] if settings.get("required") else [],
            "properties": {
                "settings": settings,
                "inputs": {"type": "object", "properties": inputs, "additionalProperties": False},
            },
            # A muted or bypassed node needs no wires.
            **({"if": {"properties": {"mode": {"const": ""}}}, "then": wired} if required else {}),
        },
    }
