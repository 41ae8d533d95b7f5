"""What a node writes into `Annotated[...]` beside a setting's type: limits, choices, widgets, what it reads.

    strength: Annotated[float, Range(-4, 4, step=0.05), Slider()] = 1.0
    method: Annotated[str, Choices("concat", "svd")] = "concat"
    prompt: Annotated[str, Multiline()] = ""
    seed: Annotated[int, Seed()] = 0
    paper: Annotated[str, Colour()] = "#ffffff"
    file: InputFile
    source: Annotated[ModelSource, Suggestions("embedded:emoji")] = "embedded:emoji"

`Range`, `Choices`, `Seed` and `Colour` are checked; the others only tell the form which widget to draw (`x-widget`,
`x-step` in the JSON Schema), what to offer (`examples`), and that most leave the setting as it is (`Advanced`). `Reads`
says that the setting is the path of something whose *content* counts: it must exist, it becomes part of the node's key,
and the node gets the absolute path.
The region painter has a module of its own, `regions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, GroupedMetadata, Le
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from .errors import did_you_mean, show

LARGEST_SEED = 2**53 - 1
"""The largest whole number that every JSON reader, a browser's included, keeps exactly (RFC 8259, section 6)."""

Kind: TypeAlias = Literal["file", "folder", "model", "lora"]

_COLOUR = re.compile("^#[0-9a-fA-F]{6}$")
_SHORT_COLOUR = re.compile("#?[0-9a-fA-F]{3}|[0-9a-fA-F]{6}")


class _Hint:
    """A marker that adds `extra` to the setting's JSON Schema and checks nothing."""

    def extra(self) -> dict[str, Any]:
        return {}

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), **self.extra()}


class _Step(_Hint):
    def __init__(self, step: float) -> None:
        self.step = step

    def extra(self) -> dict[str, Any]:
        return {"x-step": self.step}


@dataclass(frozen=True)
class Range(GroupedMetadata):
    """The value lies between `min` and `max`, both included; `step` is for the widget only."""

    min: float
    max: float
    step: float | None = None

    def __iter__(self) -> Iterator[object]:
        """The limits, in the form that pydantic checks."""
        yield Ge(self.min)
        yield Le(self.max)
        if self.step is not None:
            yield _Step(self.step)


class Choices:
    """The value is one of `values`."""

    def __init__(self, *values: str | int | float) -> None:
        if not values:
            raise ValueError("Choices needs at least one value")
        self.values = values

    def __repr__(self) -> str:
        return f"Choices({', '.join(map(repr, self.values))})"

    def check(self, value: object) -> object:
        """Return `value` where it is a choice; else raise the error that names the nearest one."""
        if value in self.values:
            return value
        raise PydanticCustomError(
            "choice",
            "{said} is not one of the choices. {hint}",
            {"said": show(value), "hint": did_you_mean(value, self.values)},
        )

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self.values)}


@dataclass(frozen=True)
class Suggestions(_Hint):
    """Values worth offering for a setting that takes others as well."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", values)

    def extra(self) -> dict[str, Any]:
        return {"examples": list(self.values)}


@dataclass(frozen=True)
class Colour:
    """The value is a colour, written #rrggbb with hexadecimal digits."""

    def check(self, value: str) -> str:
        """Return the colour in lower case; raise the error that says how one is written."""
        if _COLOUR.fullmatch(value):
            return value.lower()
        hint = f'Write "{_longer(value)}".' if _SHORT_COLOUR.fullmatch(value) else 'An orange is "#ff8000".'
        raise PydanticCustomError(
            "wanted", "{wanted}", {"wanted": "a colour, written #rrggbb with digits and a to f", "hint": hint}
        )

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": _COLOUR.pattern, "x-widget": "colour"}


def _longer(short: str) -> str:
    return "#" + "".join(digit * 2 for digit in short.removeprefix("#")) if len(short) < 6 else "#" + short


@dataclass(frozen=True)
class Slider(_Hint):
    """Draw the number as a slider."""

    def extra(self) -> dict[str, Any]:
        return {"x-widget": "slider"}


@dataclass(frozen=True)
class Multiline(_Hint):
    """Draw the text as a box of several lines."""

    def extra(self) -> dict[str, Any]:
        return {"x-widget": "multiline"}


@dataclass(frozen=True)
class Advanced(_Hint):
    """Most leave the setting as it is, so the form shows it on demand, or once it has been written."""

    def extra(self) -> dict[str, Any]:
        return {"x-advanced": True}


class _SeedHint(_Hint):
    def extra(self) -> dict[str, Any]:
        return {"x-widget": "seed"}


@dataclass(frozen=True)
class Seed(GroupedMetadata):
    """A seed of a random generator: a whole number from 0 to 2^53 - 1."""

    def __iter__(self) -> Iterator[object]:
        """The limits and the widget."""
        yield Ge(0)
        yield Le(LARGEST_SEED)
        yield _SeedHint()


class _LoRAHint(_Hint):
    def extra(self) -> dict[str, Any]:
        return {"x-widget": "lora"}


@dataclass(frozen=True)
class Reads(_Hint):
    """The setting names a file, a folder, or a model (either of the two) whose content is part of the node's key.

    A LoRA is a file; the settings that PEFT saves beside it count as well.
    """

    kind: Kind

    def extra(self) -> dict[str, Any]:
        return {"x-reads": self.kind}


InputFile: TypeAlias = Annotated[str, Reads("file")]
InputFolder: TypeAlias = Annotated[str, Reads("folder")]
InputLoRA: TypeAlias = Annotated[str, Reads("lora"), _LoRAHint()]
ModelSource: TypeAlias = Annotated[str, Reads("model")]
