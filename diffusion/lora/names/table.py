"""Tables of module names: how a weight is called elsewhere, and which weights of the diffusers model its rows are.

    Row("double_blocks.{i}.img_attn.qkv",
        ("transformer_blocks.{i}.attn.to_q", "transformer_blocks.{i}.attn.to_k", "transformer_blocks.{i}.attn.to_v"),
        "equal")

A name in braces stands for a number. Formats that write "_" for "." ("flat" names: `double_blocks_0_img_attn_qkv`) are
matched by the same rows. No torch here.

    >>> table = Table((Row("double_blocks.{i}.img_attn.proj", ("transformer_blocks.{i}.attn.to_out.0",)),))
    >>> table.match("double_blocks_7_img_attn_proj", flat=True).targets
    ('transformer_blocks.7.attn.to_out.0',)
    >>> table.find("transformer_blocks.7.attn.to_out.0").name
    'double_blocks.7.img_attn.proj'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

Ranges = tuple[tuple[int, int], ...]
_NUMBER = re.compile(r"\d+")
_SLOT = re.compile(r"\{(\w+)\}|\d+")


class Row(NamedTuple):
    """`name` elsewhere, the `targets` in diffusers (several where rows of a fused weight are several weights), and how
    the rows are shared out: a key of SPLITS."""

    name: str
    targets: tuple[str, ...]
    split: str = "whole"


class Match(NamedTuple):
    """A row with its numbers filled in. `name` is always dotted; `part`: which target was looked for (by `find`)."""

    name: str
    targets: tuple[str, ...]
    split: str
    part: int = 0


def _whole(out: int, inside: int, parts: int) -> tuple[Ranges, ...]:
    return (((0, out),),)


def _equal(out: int, inside: int, parts: int) -> tuple[Ranges, ...]:
    if out % parts:
        raise ValueError(f"{out} rows are not {parts} equal parts")
    size = out // parts
    return tuple(((size * i, size * (i + 1)),) for i in range(parts))


def _square_then_rest(out: int, inside: int, parts: int) -> tuple[Ranges, ...]:
    """All parts but the last are square (inside x inside); the last takes what is left."""
    last = inside * (parts - 1)
    if out <= last:
        raise ValueError(f"{out} rows hold no {parts - 1} parts of {inside} and a rest")
    return (*(((inside * i, inside * (i + 1)),) for i in range(parts - 1)), ((last, out),))


def _swapped(out: int, inside: int, parts: int) -> tuple[Ranges, ...]:
    """One target, its two halves in the other order: (shift, scale) there is (scale, shift) in diffusers."""
    if out % 2:
        raise ValueError(f"{out} rows are not two halves")
    return (((out // 2, out), (0, out // 2)),)


def _swapped_if_pair(out: int, inside: int, parts: int) -> tuple[Ranges, ...]:
    """One target that is (shift, scale) there and (scale, shift) in diffusers if it is two parts of `inside` rows."""
    return _swapped(out, inside, parts) if out == 2 * inside else _whole(out, inside, parts)


SPLITS: dict[str, Callable[[int, int, int], tuple[Ranges, ...]]] = {
    "whole": _whole,
    "equal": _equal,
    "square_then_rest": _square_then_rest,
    "swapped": _swapped,
    "swapped_if_pair": _swapped_if_pair,
}


def ranges(match: Match, out: int, inside: int) -> tuple[Ranges, ...]:
    """Return for each target the rows of a weight [out, inside] that it is made of; ValueError where it can't be."""
    return SPLITS[match.split](out, inside, len(match.targets))


class _Pattern:
    """A name with numbers left open; `skeleton` has "#" for every number, open or not."""

    def __init__(self, text: str) -> None:
        slots = [(found[1], found[0]) for found in _SLOT.finditer(text)]
        self.skeleton = _SLOT.sub("#", text)
        self.open = tuple((place, name) for place, (name, _) in enumerate(slots) if name)
        self.fixed = tuple((place, digits) for place, (name, digits) in enumerate(slots) if not name)

    def numbers(self, found: list[str]) -> dict[str, str] | None:
        if any(found[place] != digits for place, digits in self.fixed):
            return None
        numbers: dict[str, str] = {}
        for place, name in self.open:
            if numbers.setdefault(name, found[place]) != found[place]:
                return None
        return numbers


class Table:
    """Rows that can be looked up from both sides."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)

    @cached_property
    def _dotted(self) -> dict[str, list[tuple[_Pattern, Row, int]]]:
        return _by_skeleton((row.name, row, 0) for row in self.rows)

    @cached_property
    def _flat(self) -> dict[str, list[tuple[_Pattern, Row, int]]]:
        return _by_skeleton((row.name.replace(".", "_"), row, 0) for row in self.rows)

    @cached_property
    def _targets(self) -> dict[str, list[tuple[_Pattern, Row, int]]]:
        return _by_skeleton((target, row, part) for row in self.rows for part, target in enumerate(row.targets))

    def match(self, name: str, flat: bool = False) -> Match | None:
        """Return the row of a foreign name, or None."""
        return _look_up(self._flat if flat else self._dotted, name)

    def find(self, target: str) -> Match | None:
        """Return the row that has `target` (a diffusers name) among its targets, or None."""
        return _look_up(self._targets, target)


def _by_skeleton(named: Iterable[tuple[str, Row, int]]) -> dict[str, list[tuple[_Pattern, Row, int]]]:
    found: dict[str, list[tuple[_Pattern, Row, int]]] = {}
    for text, row, part in named:
        pattern = _Pattern(text)
        found.setdefault(pattern.skeleton, []).append((pattern, row, part))
    return found


def _look_up(patterns: dict[str, list[tuple[_Pattern, Row, int]]], name: str) -> Match | None:
    candidates = patterns.get(_NUMBER.sub("#", name))
    if not candidates:
        return None
    found = _NUMBER.findall(name)
    for pattern, row, part in candidates:
        numbers = pattern.numbers(found)
        if numbers is not None:
            targets = tuple(target.format(**numbers) for target in row.targets)
            return Match(row.name.format(**numbers), targets, row.split, part)
    return None
