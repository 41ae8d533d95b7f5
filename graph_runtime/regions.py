"""The setting that a region painter edits: what is to be where in a picture, one layer for each thing.

    regions: Annotated[Regions, RegionPainter()] = ()

The value is a list of layers, the first at the bottom. A layer has a prompt and the shapes that make its region:

    [{"prompt": "a fox", "strength": 1.0, "colour": "#e07a5f", "shapes": [
        {"box": [0.1, 0.4, 0.5, 0.9]},
        {"polygon": [[0.5, 0.5], [0.7, 0.4], [0.6, 0.8]]},
        {"stroke": [[0.2, 0.2], [0.3, 0.25]], "size": 0.05},
        {"stroke": [[0.3, 0.5]], "size": 0.1, "erase": true}]}]

All places are shares of the picture's width and height, 0 to 1 from the left and from the top, so that the value means
the same at every size. A box is left, top, right, bottom; a polygon has three corners or more; a stroke is a line
through its points with round ends, or one dot, and its `size` (its thickness) is a share of the picture's width. What a
shape with `erase` covers is taken away from the shapes before it in the same layer. `strength` is from 0 to 10 (1
where it is not written), `colour` is the layer's in the painter, and a layer with `hidden: true` is kept but left out.

The painter works on a picture of the size that the node's settings `width` and `height` give (0 or none: 512), over the
picture that its setting `background` names, where the node has such settings.

`check` raises for anything else, and names layer and shape. `entities` gives the layers as a value that travels on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from .errors import did_you_mean, show
from .values import Entity, Shape

Regions: TypeAlias = tuple[dict[str, JsonValue], ...]

MOST_LAYERS, MOST_SHAPES, MOST_POINTS = 100, 1000, 100_000
"""Limits of one value, one layer and one shape: far beyond what is drawn by hand."""
STRONGEST = 10.0
_COLOUR = re.compile("#[0-9a-fA-F]{6}")
_LAYER = ("prompt", "shapes", "strength", "colour", "hidden")
_KINDS: tuple[Literal["box", "polygon", "stroke"], ...] = ("box", "polygon", "stroke")


class RegionError(ValueError):
    """A layer or a shape is not what it must be; the text is 'layer 2 ("a fox"), shape 1: ...', `hint` the remedy."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class RegionPainter:
    """Draw the setting as a region painter, and check that its value is a list of layers."""

    def check(self, value: Regions) -> Regions:
        """Return the value as it is; raise the error that names layer, shape and remedy."""
        try:
            check(value)
        except RegionError as error:
            raise PydanticCustomError(
                "wanted", "{wanted}", {"wanted": f"a list of layers: {error}", "hint": error.hint}
            ) from None
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "items": _SCHEMA, "maxItems": MOST_LAYERS, "x-widget": "regions"}


def check(layers: Sequence[Mapping[str, Any]]) -> None:
    """Raise RegionError where `layers` is not what the module's docstring says."""
    if len(layers) > MOST_LAYERS:
        raise RegionError(f"{len(layers)} layers are too many; at most {MOST_LAYERS}")
    for number, layer in enumerate(layers, 1):
        name = layer.get("prompt")
        at = f"layer {number} ({show(name[:40])})" if isinstance(name, str) and name else f"layer {number}"
        _check_layer(layer, at)


def entities(layers: Sequence[Mapping[str, Any]]) -> tuple[Entity, ...]:
    """Return the layers that are not hidden, first at the bottom; `layers` have been checked."""
    return tuple(
        Entity(
            prompt=layer["prompt"],
            strength=layer.get("strength", 1.0),
            colour=layer.get("colour", ""),
            shapes=tuple(_shape(shape) for shape in layer["shapes"]),
        )
        for layer in layers
        if not layer.get("hidden", False)
    )


def _shape(shape: Mapping[str, Any]) -> Shape:
    kind = next(kind for kind in _KINDS if kind in shape)
    points = shape[kind]
    if kind == "box":
        points = [points[:2], points[2:]]
    return Shape(kind=kind, points=points, size=shape.get("size", 0.0), erase=shape.get("erase", False))


def _check_layer(layer: Mapping[str, Any], at: str) -> None:
    for name in layer:
        if name not in _LAYER:
            raise RegionError(f"{at} has a {show(name)} that no layer has", did_you_mean(name, _LAYER))
    if not isinstance(layer.get("prompt"), str):
        raise RegionError(f"{at} has no prompt", 'Write "prompt": "what is there".')
    if not _number(layer.get("strength", 1), 0, STRONGEST):
        raise RegionError(
            f"{at} has the strength {show(layer['strength'])}", f"Write a number from 0 to {STRONGEST:g}."
        )
    colour = layer.get("colour", "#000000")
    if not isinstance(colour, str) or not _COLOUR.fullmatch(colour):
        raise RegionError(f"{at} has the colour {show(colour)}", 'Write it like "#e07a5f".')
    if not isinstance(layer.get("hidden", False), bool):
        raise RegionError(f"{at} has {show(layer['hidden'])} for hidden", "Write true or false.")
    shapes = layer.get("shapes")
    if not isinstance(shapes, list) or len(shapes) > MOST_SHAPES:
        said = f"{len(shapes)} shapes" if isinstance(shapes, list) else "no list of shapes"
        raise RegionError(f"{at} has {said}", f'"shapes" is a list of at most {MOST_SHAPES}, [] for none.')
    for number, shape in enumerate(shapes, 1):
        _check_shape(shape, f"{at}, shape {number}")


def _check_shape(shape: Any, at: str) -> None:
    kinds = [kind for kind in _KINDS if kind in shape] if isinstance(shape, Mapping) else []
    if len(kinds) != 1:
        raise RegionError(f"{at} must be one thing", f"Write one of {', '.join(map(show, _KINDS))} in it.")
    kind = kinds[0]
    known = (kind, "erase", "size") if kind == "stroke" else (kind, "erase")
    for name in shape:
        if name not in known:
            raise RegionError(f"{at} has a {show(name)} that no {kind} has", did_you_mean(name, known))
    if not isinstance(shape.get("erase", False), bool):
        raise RegionError(f"{at} has {show(shape['erase'])} for erase", "Write true or false.")
    points = shape[kind]
    if kind == "box":
        if not isinstance(points, list) or len(points) != 4 or not all(_number(part, 0, 1) for part in points):
            raise RegionError(f"{at} has the box {show(points)}", "Write [left, top, right, bottom], each from 0 to 1.")
        if points[0] >= points[2] or points[1] >= points[3]:
            raise RegionError(
                f"{at} has the empty box {show(points)}", "Left is less than right, and top less than bottom."
            )
        return
    least = 3 if kind == "polygon" else 1
    if not isinstance(points, list) or not least <= len(points) <= MOST_POINTS:
        said = f"{len(points)} points" if isinstance(points, list) else show(points)
        raise RegionError(f"{at} is a {kind} with {said}", f"It has {least} to {MOST_POINTS:,} points.")
    for number, point in enumerate(points, 1):
        if not isinstance(point, list) or len(point) != 2 or not all(_number(part, 0, 1) for part in point):
            raise RegionError(f"{at} has {show(point)} for point {number}", "Write [x, y], each from 0 to 1.")
    if kind == "stroke" and (not _number(shape.get("size"), 0, 1) or shape["size"] == 0):
        said = show(shape.get("size"))
        raise RegionError(f"{at} is a stroke of size {said}", "Write a share of the width: above 0 and at most 1.")


def _number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


_SHARE: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
_POINT: dict[str, Any] = {"type": "array", "items": _SHARE, "minItems": 2, "maxItems": 2}
_POINTS: dict[str, Any] = {"type": "array", "items": _POINT, "maxItems": MOST_POINTS}


def _one(kind: str, points: dict[str, Any], **more: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [kind, *more],
        "additionalProperties": False,
        "properties": {kind: points, "erase": {"type": "boolean"}, **more},
    }


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["prompt", "shapes"],
    "additionalProperties": False,
    "properties": {
        "prompt": {"type": "string"},
        "strength": {"type": "number", "minimum": 0, "maximum": STRONGEST},
        "colour": {"type": "string", "pattern": f"^{_COLOUR.pattern}$"},
        "hidden": {"type": "boolean"},
        "shapes": {
            "type": "array",
            "maxItems": MOST_SHAPES,
            "items": {
                "anyOf": [
                    _one("box", {"type": "array", "items": _SHARE, "minItems": 4, "maxItems": 4}),
                    _one("polygon", {**_POINTS, "minItems": 3}),
                    _one(
                        "stroke",
                        {"type": "array", "items": _POINT, "minItems": 1, "maxItems": MOST_POINTS},
                        size=_SHARE,
                    ),
                ]
            },
        },
    },
}
