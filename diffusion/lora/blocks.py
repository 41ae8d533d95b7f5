"""Strengths by block and by module, in one small language for every family of models.

    transformer_blocks.0-5=0.5, *.attn.to_q=0, single_transformer_blocks=1.2

A text is a list of `pattern=number`, parted by commas, semicolons or line ends. The number multiplies the strength of
the whole LoRA; a module that no pattern fits has 1; where several fit, the last one counts. A pattern is the beginning
of a module's name as diffusers calls it, with or without the pipeline component in front, up to a dot:

    unet, text_encoder_2            a whole component
    up_blocks, up_blocks.1          a list of blocks, one of them; all that lies in it
    transformer_blocks.0-5, ….10-   blocks 0 to 5, blocks from 10 on; a range takes the place of any number in a name
    *.attn.to_q, *norm*             * stands for any characters, dots too
    double, single, down, mid, up   short for transformer_blocks, single_transformer_blocks, down_blocks, mid_block and
                                    up_blocks: `down.0-1=0.3, mid=0`

A pattern that fits nothing is an error, unless it is a component or a list of blocks that the family has and this
LoRA leaves alone. No torch here.

    >>> strengths("single.0=0.5, *.to_k=0", ["transformer.single_transformer_blocks.0.attn.to_q",
    ...                                      "transformer.single_transformer_blocks.0.attn.to_k"])
    {'transformer.single_transformer_blocks.0.attn.to_q': 0.5, 'transformer.single_transformer_blocks.0.attn.to_k': 0.0}
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from ..errors import SettingError, few, nearest
from . import names

SHORT = {
    "double": "transformer_blocks",
    "single": "single_transformer_blocks",
    "down": "down_blocks",
    "mid": "mid_block",
    "up": "up_blocks",
}
"""What the first part of a pattern may be shortened to, and what it stands for."""

_RANGE = re.compile(r"(\d+)-(\d*)")


def parse(text: str) -> list[tuple[str, float]]:
    """Return the (pattern, number) of each entry.

    Raises:
        SettingError: an entry is not `pattern=number`.
    """
    entries = []
    for entry in filter(None, (part.strip() for part in re.split(r"[,;\n]", text))):
        pattern, equals, number = (part.strip() for part in entry.rpartition("="))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not pattern or not equals or not math.isfinite(value) or "=" in pattern:
            raise SettingError("blocks", text, f'"{entry}" is not a pattern and a number, as in "down_blocks.0-1=0.5".')
        for first, last in _RANGE.findall(pattern):
            if last and int(last) < int(first):
                raise SettingError("blocks", text, f'the range in "{pattern}" runs backwards; write {last}-{first}.')
        entries.append((pattern, value))
    return entries


def strengths(text: str, modules: Iterable[str], family: str = "") -> dict[str, float]:
    """Return {module: number} for all modules, which are canonical names (`transformer.transformer_blocks.0.…`).

    Raises:
        SettingError: an entry is not `pattern=number`, or its pattern fits no module; says what there is.
    """
    known = list(modules)
    found = dict.fromkeys(known, 1.0)
    for pattern, value in parse(text):
        fits = _matcher(pattern, known)
        chosen = [name for name in known if fits(name)]
        if not chosen and not _of_family(pattern, family):
            raise SettingError(
                "blocks",
                text,
                f'"{pattern}" fits none of the {len(known)} modules; there are {outline(known)}.'
                + nearest(pattern, _candidates(known)),
            )
        found.update(dict.fromkeys(chosen, value))
    return found


def outline(modules: Iterable[str]) -> str:
    """Return the blocks that there are, as patterns: `transformer_blocks.0-18, single_transformer_blocks.0-37`."""
    lists: dict[str, set[int]] = {}
    known = list(modules)
    several = len({name.partition(".")[0] for name in known}) > 1
    for name in known:
        stem, number = _stem(name if several else name.partition(".")[2])
        lists.setdefault(stem, set()).update(() if number is None else (number,))
    return few((stem + _span(numbers) for stem, numbers in lists.items()), 12) or "none"


def _stem(name: str) -> tuple[str, int | None]:
    """The part of a name before its first number, and that number."""
    parts = name.split(".")
    for place, part in enumerate(parts):
        if part.isdecimal():
            return ".".join(parts[:place]), int(part)
    return name, None


def _span(numbers: set[int]) -> str:
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    return f".{low}" if low == high else f".{low}-{high}"


def _full(pattern: str) -> str:
    """The pattern with its short form written out, be it first or behind the component."""
    parts = pattern.split(".")
    place = 1 if len(parts) > 1 and any(parts[0] == known.component for known in names.FAMILIES.values()) else 0
    return ".".join((*parts[:place], SHORT.get(parts[place], parts[place]), *parts[place + 1 :]))


def _matcher(pattern: str, modules: list[str]) -> Callable[[str], bool]:
    """Return whether a canonical name is meant by the pattern."""
    numbers = sorted({part for name in modules for part in name.split(".") if part.isdecimal()}, key=int)
    pieces = []
    for part in _full(pattern).split("."):
        limits = _RANGE.fullmatch(part)
        if limits:
            first, last = int(limits[1]), int(limits[2]) if limits[2] else math.inf
            within = [number for number in numbers if first <= int(number) <= last]
            pieces.append(f"(?:{'|'.join(within)})(?![0-9])" if within else "(?!)")
        else:
            pieces.append(re.escape(part))
    # Each "*" takes as little as lets what follows it fit, and is not tried again: right for globs, and never slow.
    head, *rest = (r"\.".join(pieces) + r"(?![^.])").split(r"\*")
    expression = re.compile(head + "".join(f"(?>.*?{piece})" for piece in rest))
    return lambda name: bool(expression.match(name) or expression.match(name.partition(".")[2]))


def _of_family(pattern: str, family: str) -> bool:
    if family not in names.FAMILIES:
        return False
    known = names.FAMILIES[family]
    listed = {known.component, *known.text_encoders, *known.blocks}
    return _full(pattern) in listed | {f"{known.component}.{block}" for block in known.blocks}


def _candidates(modules: list[str]) -> set[str]:
    """What may have been meant: components, lists, blocks, and names of layers behind a star."""
    found = set()
    for name in modules:
        component, _, path = name.partition(".")
        stem, number = _stem(path)
        parts = path.split(".")
        found |= {component, stem, f"{component}.{stem}", f"*.{parts[-1]}", "*." + ".".join(parts[-2:])}
        found |= set() if number is None else {f"{stem}.{number}"}
    return found
