"""From a node type's schema to the fields that the canvas draws, one for each setting.

They are worked out from the JSON Schema alone, so a node by anybody gets its widgets without any code. Which widget a
setting gets:

    choice     Choices, Literal                            seed       an integer marked Seed()
    switch     bool                                        number     any other number
    slider     a number with limits, marked Slider()       colour     text marked Colour()
    file       InputFile                                   lora       InputLoRA
    folder     InputFolder                                 regions    a list marked RegionPainter()
    model      ModelSource                                 lines      a list of texts
    multiline  text marked Multiline()                     json       everything else
    text       any other text

    >>> from loragraph.nodes import load_base
    >>> [(field.name, field.kind, field.info) for field in fields(load_base)]
    [('source', 'model', ''), ('dtype', 'choice', '')]

`Field.to_dict()` is the `Field` of `ui/web/src/types.ts`, name for name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from ..graph_runtime.node import NodeType

WidgetKind: TypeAlias = Literal[
    "number",
    "slider",
    "text",
    "multiline",
    "choice",
    "switch",
    "seed",
    "file",
    "folder",
    "model",
    "lora",
    "colour",
    "regions",
    "lines",
    "json",
]
_TEXTS: dict[str, WidgetKind] = {"multiline": "multiline", "colour": "colour", "lora": "lora"}
_PATHS: dict[str, WidgetKind] = {"file": "file", "folder": "folder", "model": "model"}


@dataclass(frozen=True)
class Field:
    """One setting as the canvas shows it. `default` is None and `required` True where the node type has no default.

    `whole` is true for whole numbers; `minimum`, `maximum` and `step` are those of the number, None where there are
    none; `suggestions` are values worth offering; `info` says in a line what belongs here. An `advanced` setting is
    shown on demand.
    """

    name: str
    kind: WidgetKind
    default: Any = None
    required: bool = False
    whole: bool = False
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    suggestions: tuple[str, ...] = ()
    info: str = ""
    advanced: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the field as JSON-able data."""
        return {**asdict(self), "choices": list(self.choices), "suggestions": list(self.suggestions)}


def fields(node_type: NodeType) -> list[Field]:
    """Return the fields of a node type, in the order of the function's parameters."""
    schema = node_type.settings_model.model_json_schema()
    required = schema.get("required", ())
    return [
        _field(name, _bare(part), name in required, _told(node_type.doc, name))
        for name, part in schema.get("properties", {}).items()
    ]


def _bare(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional setting (X | None) as that of X, with the default; any other as it is."""
    rest = [option for option in part.get("anyOf", ()) if option.get("type") != "null"]
    outer = {name: value for name, value in part.items() if name != "anyOf"}
    return {**rest[0], **outer} if len(rest) == 1 else dict(part)


def _field(name: str, part: Mapping[str, Any], required: bool, told: str) -> Field:
    kind = _kind(part)
    return Field(
        name=name,
        kind=kind,
        default=part.get("default"),
        required=required,
        whole=part.get("type") == "integer",
        minimum=part.get("minimum"),
        maximum=part.get("maximum"),
        step=part.get("x-step"),
        choices=tuple(part["enum"] if "enum" in part else [part["const"]] if "const" in part else ()),
        suggestions=tuple(map(str, part.get("examples", ()))),
        info=_info(part, kind, told),
        advanced=part.get("x-advanced", False),
    )


def _kind(part: Mapping[str, Any]) -> WidgetKind:
    widget, type_ = part.get("x-widget"), part.get("type")
    if "enum" in part or "const" in part:
        return "choice"
    if type_ == "boolean":
        return "switch"
    if type_ in ("integer", "number"):
        if widget == "slider" and "minimum" in part and "maximum" in part:
            return "slider"
        return "seed" if widget == "seed" else "number"
    if type_ == "string":
        return _TEXTS.get(widget or "") or _PATHS.get(part.get("x-reads", ""), "text")
    if type_ == "array" and widget == "regions":
        return "regions"
    if type_ == "array" and part.get("items", {}).get("type") == "string":
        return "lines"
    return "json"


def _info(part: Mapping[str, Any], kind: WidgetKind, told: str) -> str:
    low, high = part.get("minimum"), part.get("maximum")
    limits = f"{low:,.16g} to {high:,.16g}" if low is not None and high is not None and kind != "seed" else ""
    return ". ".join(filter(None, (limits, "one a line" if kind == "lines" else "", told)))


def _told(doc: str, name: str) -> str:
    """Return what the node's docstring says of a setting: the clauses that hold its name as `code`."""
    text = " ".join(doc.split())
    clauses = [clause.strip() for clause in re.split(r"(?<=[.;])\s+", text)]
    kept = [clause.rstrip(";.") for clause in clauses if re.search(rf"`{re.escape(name)}`", clause)]
    return ". ".join(clause[:1].upper() + clause[1:] for clause in kept)
