"""What travels on a wire: small frozen records that describe, and never hold weights.

A value is a pydantic model that can be written as JSON, so it can be hashed, kept on disk, and sent to another process.
A `Base` says which checkpoint and which adapters, a `LoRA` is a file and its hash, `Images` and `Videos` are files,
`Entities` say what is to be where in a picture, a `Table` is read by people:

    >>> lora = LoRA(file=FileRef(path="/a.safetensors", sha256="00", size=1), family="flux", rank=4, modules=2)
    >>> load(dump(lora)) == lora
    True
    >>> dump(lora)["$type"]
    'LoRA'

Other packages add kinds by subclassing `Value`; the class name is its name in files, so it must be unique. A field that
holds the path of a file or folder (other than through a `FileRef`) is named in the class variable `places`, so that the
store can tell when what it names has changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, model_validator

_KINDS: dict[str, type[Value]] = {}


class Record(BaseModel):
    """A frozen JSON-able record; the base of values and of their parts."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    places: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that hold the path of a file or folder."""


class Value(Record):
    """The base class of everything that a wire can carry."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Enter the new kind under its class name; two different classes cannot share one."""
        super().__pydantic_init_subclass__(**kwargs)
        known = _KINDS.get(cls.__name__)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(
                f"a value type named {cls.__name__} is already defined by {known.__module__}; "
                f"rename the one in {cls.__module__}"
            )
        _KINDS[cls.__name__] = cls


class FileRef(Record):
    """A file, by absolute path and by what is in it (`sha256` in hex, `size` in bytes)."""

    path: str
    sha256: str
    size: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Self:
        """Return the reference for an existing file, reading it once; raises OSError where it cannot be read."""
        absolute = os.path.abspath(path)
        with open(absolute, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = os.fstat(stream.fileno()).st_size
        return cls(path=absolute, sha256=digest, size=size)


class LoRA(Value):
    """A LoRA file: the model family it fits, its (largest) rank, and how many modules it changes.

    `dialect` is the layout of the file, in a word. How to read it is part of what it is: `alpha` is the one that its
    user gave (None: what the file says), and `partial` allows keys that find no meaning.
    """

    file: FileRef
    family: str
    rank: int
    modules: int
    title: str = ""
    dialect: str = ""
    alpha: float | None = None
    partial: bool = False


class Schedule(Record):
    """When an adapter is on: from the share `start` of the sampling steps to the share `end`, 0 to 1.

    Between them its strength goes along the `curve` from the adapter's own to `end_strength` (None: it stays).
    """

    start: float = 0.0
    end: float = 1.0
    end_strength: float | None = None
    curve: str = "constant"


class Adapter(Record):
    """A LoRA as it sits on a base: with its strength, and whatever narrows it down.

    `blocks` gives parts of the model strengths of their own ("" for none). `lines` are the lines of the prompt that it
    is for, counted from 1 (none: all of them).
    """

    lora: LoRA
    strength: float
    blocks: str = ""
    schedule: Schedule | None = None
    lines: tuple[int, ...] = ()


class Base(Value):
    """A base model: the checkpoint at `path` (named `source` by the user) and the adapters on it, in order."""

    places: ClassVar[tuple[str, ...]] = ("path",)

    source: str
    path: str
    fingerprint: str
    family: str
    dtype: str
    adapters: tuple[Adapter, ...] = ()

    def with_adapter(
        self,
        lora: LoRA,
        strength: float,
        *,
        blocks: str = "",
        schedule: Schedule | None = None,
        lines: tuple[int, ...] = (),
    ) -> Self:
        """Return this base with one more adapter; the original is unchanged."""
        new = Adapter(lora=lora, strength=strength, blocks=blocks, schedule=schedule, lines=lines)
        return self.with_adapters((*self.adapters, new))

    def with_adapters(self, adapters: tuple[Adapter, ...]) -> Self:
        """Return this base with these adapters in place of its own."""
        return self.model_copy(update={"adapters": adapters})


class Item(Record):
    """One training example: an image file and its caption."""

    file: FileRef
    caption: str


class Dataset(Value):
    """Captioned images to train on; `root` is the folder they came from."""

    items: tuple[Item, ...]
    root: str


class Picture(Record):
    """One image file with its size in pixels, and what it was made from."""

    file: FileRef
    width: int
    height: int
    caption: str = ""
    settings: dict[str, JsonValue] = {}


class Images(Value):
    """Pictures in order."""

    items: tuple[Picture, ...]


class Clip(Record):
    """One video file with its size in pixels, its number of frames, frames per second, and what it was made from."""

    file: FileRef
    width: int
    height: int
    frames: int
    fps: float
    caption: str = ""
    settings: dict[str, JsonValue] = {}


class Videos(Value):
    """Videos in order."""

    items: tuple[Clip, ...]


class Shape(Record):
    """A part of a region. `points` are shares, 0 to 1, of the picture's width and height, from the left and the top.

    A box has two points (left top, right bottom), a polygon its corners, a stroke the points of a line with round ends
    that is `size` thick (a share of the picture's width). What a shape with `erase` covers is taken away from the
    shapes before it.
    """

    kind: Literal["box", "polygon", "stroke"]
    points: tuple[tuple[float, float], ...]
    size: float = 0.0
    erase: bool = False


class Entity(Record):
    """One thing in a picture: what it is (`prompt`), where it is, and how much it counts (`strength`, 1 is plain).

    Where it is: what `shapes` cover together or, in their stead, a `mask`: an image file of the picture's proportions
    that is light where the thing is. `colour` ("#rrggbb" or "") tells it from the others when they are drawn.
    """

    prompt: str
    strength: float = 1.0
    colour: str = ""
    shapes: tuple[Shape, ...] = ()
    mask: FileRef | None = None


class Entities(Value):
    """The things that a picture of `width` x `height` pixels is to hold, in their order: the first lies at the bottom,
    and where two overlap, the later one lies on top.
    """

    width: int
    height: int
    entities: tuple[Entity, ...]


class Table(Value):
    """Figures to be read: a cell is a text, a number, or None where there is nothing to say.

    >>> Table(title="Two blocks", columns=("block", "norm"), rows=(("0", 1.5), ("1", None))).rows[1]
    ('1', None)
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]

    @model_validator(mode="after")
    def _has_a_cell_for_each_column(self) -> Self:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} has {len(row)} cells for {len(self.columns)} columns")
        return self


def kinds() -> dict[str, type[Value]]:
    """Return every known kind of value by its name."""
    return dict(_KINDS)


def dump(value: Value) -> dict[str, Any]:
    """Return `value` as JSON-able data that names its kind under `$type`."""
    return {"$type": type(value).__name__, **value.model_dump(mode="json")}


def load(data: object) -> Value:
    """Return the value that `dump` wrote; raises ValueError for data that is not one, or of a kind not installed."""
    if not isinstance(data, dict) or not isinstance(data.get("$type"), str):
        raise ValueError('a value is a JSON object that names its kind under "$type"')
    name = data["$type"]
    kind = _KINDS.get(name)
    if kind is None:
        raise ValueError(f'there is no value type "{name}"; the package that defines it may not be installed')
    try:
        return kind.model_validate({field: part for field, part in data.items() if field != "$type"})
    except ValidationError as error:
        raise ValueError(f"not a {name}: {error}") from error


def references(value: Record) -> Iterator[tuple[str, int | None]]:
    """Yield (path, size) for every file and folder that `value` names; size is None where the value does not say."""
    waiting: list[object] = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, FileRef):
            yield part.path, part.size
        elif isinstance(part, Record):
            for name in type(part).model_fields:
                inside = getattr(part, name)
                if name in part.places and isinstance(inside, str | Path):
                    yield str(inside), None
                elif isinstance(inside, Record | tuple | list | dict):
                    waiting.append(inside)
        elif isinstance(part, tuple | list):
            waiting.extend(item for item in part if isinstance(item, Record | tuple | list | dict))
        elif isinstance(part, dict):
            waiting.extend(item for item in part.values() if isinstance(item, Record | tuple | list | dict))
