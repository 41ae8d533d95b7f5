"""What can be put into a workflow: the list of nodes, one node in full, the JSON Schema of the file."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..graph_runtime.node import NodeType
from ..graph_runtime.registry import Registry


def list_nodes(registry: Registry, console: Console) -> None:
    """Print every node type by category, with the first line of its description."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("node", "category", "takes", "gives", "what it does"):
        table.add_column(title)
    for kind in sorted(registry.all(), key=lambda kind: (kind.category, kind.name)):
        takes = ", ".join(name + ("" if socket.required else "?") for name, socket in kind.inputs.items())
        table.add_row(
            Text(kind.name, style="bold"), kind.category, takes, ", ".join(kind.outputs), Text(_first_line(kind))
        )
    console.print(table)


def _first_line(kind: NodeType) -> str:
    return (kind.doc or "").strip().split("\n", 1)[0]


def describe(kind: NodeType, console: Console) -> None:
    """Print one node type: its sockets, its settings with limits and defaults, its outputs."""
    console.print(Text(f"{kind.name}  (version {kind.version}, {kind.category})", style="bold"))
    for paragraph in (kind.doc or "").strip().split("\n\n"):
        # the lines of a docstring are as long as those of the code, and not as the terminal's
        console.print(Text(" ".join(paragraph.split()) + "\n"))
    for name, socket in kind.inputs.items():
        many = ", several" if socket.many else ""
        need = "" if socket.required else ", optional"
        console.print(Text(f"  input    {name}: {socket.type.__name__}{many}{need}"))
    schema = kind.settings_model.model_json_schema()
    for name, field in schema.get("properties", {}).items():
        needed = "required" if name in schema.get("required", ()) else f"default {json.dumps(field.get('default'))}"
        console.print(Text(f"  setting  {name}: {_kind_of(field)}, {needed}"))
    for name, value in kind.outputs.items():
        console.print(Text(f"  output   {name}: {value.__name__}"))


def _kind_of(field: dict[str, Any]) -> str:
    """Return a setting's kind and limits in words, from its JSON Schema."""
    if "enum" in field:
        return "one of " + ", ".join(json.dumps(value) for value in field["enum"])
    kind = str(field.get("type", "value"))
    if kind == "array":
        kind = f"list of {field.get('items', {}).get('type', 'value')}"
    if "minimum" in field or "maximum" in field:
        kind += f" from {field.get('minimum', '-inf')} to {field.get('maximum', 'inf')}"
    if reads := field.get("x-reads"):
        kind = f"path of a {'LoRA file' if reads == 'lora' else reads}"
    return kind
