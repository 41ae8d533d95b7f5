"""From a node type's schema to widgets, and from what the widgets hold back to settings.

A setting becomes a `Field`, worked out from its JSON Schema alone, so a node by anybody gets its form without any code:

    kind       for                                        what the widget holds
    choice     Choices, Literal                           one of the choices
    switch     bool                                       true, false
    slider     a number with limits, marked Slider()      a number
    seed       an integer marked Seed()                   a number, or None when the field is empty
    number     any other number                           a number, or None when the field is empty
    multiline  text marked Multiline()                    text
    text       any other text, paths too                  text
    lines      a list of texts                            text, one item a line
    json       everything else                            JSON text

Nothing is checked here: what was typed goes into the document, and the document's own check says what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from ..graph_runtime.document import Document, NodeSpec
from ..graph_runtime.node import NodeType

Kind: TypeAlias = Literal["choice", "switch", "slider", "seed", "number", "multiline", "text", "lines", "json"]


@dataclass(frozen=True)
class Field:
    """One setting as the form shows it. `default` is None and `required` True where the node type has no default."""

    name: str
    kind: Kind
    default: Any = None
    required: bool = False
    whole: bool = False
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    reads: str = ""

    @property
    def info(self) -> str:
        """A line on what belongs here: the limits, what kind of path, how several are written."""
        parts = []
        if self.kind in ("number", "seed") and self.minimum is not None and self.maximum is not None:
            parts.append(f"{self.minimum:,.16g} to {self.maximum:,.16g}")
        if self.reads:
            parts.append(f"path of a {self.reads}")
        if self.kind == "lines":
            parts.append("one a line")
        if self.kind == "json":
            parts.append("as JSON")
        if self.required:
            parts.append("needed")
        return ", ".join(parts)

    def shown(self, value: Any) -> Any:
        """Return what the widget holds for a setting's value."""
        if self.kind == "lines" and isinstance(value, list | tuple):
            return "\n".join(map(str, value))
        if self.kind == "json":
            return json.dumps(value, ensure_ascii=False)
        return value

    def written(self, held: Any) -> Any:
        """Return the setting's value for what the widget holds; None where the field is empty."""
        if self.whole and isinstance(held, float) and held.is_integer():
            return int(held)
        if self.kind == "lines" and isinstance(held, str):
            # A blank line within is an item (a row without a title); the ones below the last item are none.
            return held.rstrip().split("\n") if held.strip() else []
        if self.kind == "json" and isinstance(held, str):
            try:
                return json.loads(held) if held.strip() else None
            except (ValueError, RecursionError):
                return held
        return held


def fields(node_type: NodeType) -> list[Field]:
    """Return the fields of a node type's form, in the order of the function's parameters."""
    schema = node_type.settings_model.model_json_schema()
    required = schema.get("required", ())
    return [_field(name, part, name in required) for name, part in schema.get("properties", {}).items()]


def _field(name: str, part: dict[str, Any], required: bool) -> Field:
    return Field(
        name=name,
        kind=_kind(part),
        default=part.get("default"),
        required=required,
        whole=part.get("type") == "integer",
        minimum=part.get("minimum"),
        maximum=part.get("maximum"),
        step=part.get("x-step"),
        choices=tuple(part.get("enum", ())),
        reads=part.get("x-reads", ""),
    )


def _kind(part: dict[str, Any]) -> Kind:
    widget, type_ = part.get("x-widget"), part.get("type")
    if "enum" in part:
        return "choice"
    if type_ == "boolean":
        return "switch"
    if type_ in ("integer", "number"):
        if widget == "slider" and "minimum" in part and "maximum" in part:
            return "slider"
        return "seed" if widget == "seed" else "number"
    if type_ == "string":
        return "multiline" if widget == "multiline" else "text"
    if type_ == "array" and part.get("items", {}).get("type") == "string":
        return "lines"
    return "json"


def value_of(field: Field, spec: NodeSpec) -> Any:
    """Return what the field's widget holds at first: the document's value, else the default."""
    if field.name in spec.settings:
        return field.shown(spec.settings[field.name])
    return "" if field.required and field.kind in ("text", "multiline", "lines", "json") else field.shown(field.default)


def edited(spec: NodeSpec, shown: Sequence[Field], held: Sequence[Any]) -> NodeSpec:
    """Return the node with what the widgets of `shown` hold.

    A setting that the document doesn't write stays unwritten while it has its default, so that running a workflow
    unchanged runs the document as it is. An empty field stands for the default.
    """
    settings = dict(spec.settings)
    for field, value in zip(shown, held, strict=True):
        value = field.written(value)
        if value is None and field.default is not None:
            settings.pop(field.name, None)
        elif value == field.written(value_of(field, spec)):
            continue  # as it was
        elif value is None and field.required:
            settings.pop(field.name, None)
        else:
            settings[field.name] = value
    return replace(spec, settings=settings)


def with_edits(document: Document, forms: Sequence[tuple[str, Sequence[Field]]], held: Sequence[Any]) -> Document:
    """Return the document with what all widgets hold, unchecked; `held` runs through the fields of `forms` in order."""
    nodes, position = dict(document.nodes), 0
    for node, shown in forms:
        nodes[node] = edited(nodes[node], shown, held[position : position + len(shown)])
        position += len(shown)
    return replace(document, nodes=nodes, values={})
