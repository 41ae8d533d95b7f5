"""Which LoRA files act, how strongly, where, when, and on which pictures. No weights here.

    Use("style.safetensors", sha256, 0.8)                                   everywhere, all the time
    Use("face.safetensors", sha256, 1.0, blocks="single_transformer_blocks=0.5")
    Use("style.safetensors", sha256, 1.0, schedule=Schedule(0.0, 0.5, 0.2, "cosine"))
    Use("cat.safetensors", sha256, 1.0, lines=(0, 2))                       for the first and the third prompt

A schedule divides the sampling steps: step i of n lies at (i + 1/2) / n, and the LoRA is on in the steps that lie from
`start` up to, not including, `end`. So 0..0.5 and 0.5..1 share out every number of steps without a gap or an overlap.
Over the steps in which it is on, its strength goes from the use's strength to `end_strength` along the curve; the first
has exactly the one, the last exactly the other. Text encoders run once, before the first step, at the use's strength.

    >>> [round(Schedule(0.0, 0.75, 0.0, "linear").strength(1.0, step, 4), 2) for step in range(4)]
    [1.0, 0.5, 0.0, 0.0]
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SettingError, nearest

# How far the strength has moved to its end after the share u of the way
CURVES: dict[str, Callable[[float], float]] = {
    "constant": lambda u: 0.0,
    "linear": lambda u: u,
    "cosine": lambda u: (1 - math.cos(math.pi * u)) / 2,
    "quadratic": lambda u: u * u,
}


class Schedule(NamedTuple):
    """When a LoRA is on, as shares of the sampling steps (0 the first, 1 past the last), and where its strength goes.
    `end_strength` None keeps the strength; `curve` is one of CURVES."""

    start: float = 0.0
    end: float = 1.0
    end_strength: float | None = None
    curve: str = "constant"

    def check(self) -> None:
        """Raise SettingError for what can't be followed."""
        if self.curve not in CURVES:
            raise SettingError("curve", self.curve, f"use one of {', '.join(CURVES)}.{nearest(self.curve, CURVES)}")
        for field, value in (("start", self.start), ("end", self.end)):
            if not 0 <= value <= 1:
                raise SettingError(field, value, "use a share of the steps from 0 to 1.")
        if self.start >= self.end:
            raise SettingError("start", self.start, f"the LoRA would never be on; use less than end ({self.end:g}).")
        if self.end_strength is not None and not math.isfinite(self.end_strength):
            raise SettingError("end_strength", self.end_strength, "use a number.")
        if self.end_strength is not None and self.curve == "constant":
            raise SettingError(
                "curve", self.curve, f"it never gets to end_strength ({self.end_strength:g}); use linear or cosine."
            )

    def on(self, steps: int) -> range:
        """Return in which of the steps 0 .. steps - 1 it is on; none where it falls between two of them."""
        first, last = (math.ceil(share * steps - 0.5) for share in (self.start, self.end))
        return range(first, last)

    def widened(self, steps: int) -> Schedule:
        """Return it with its start or end moved, as little as takes it to a step, if it is on in none.

        Rounded to what tells the steps apart: hundredths for up to ten of them.

        >>> Schedule(0.01, 0.02).widened(8)[:2], Schedule(0.97, 0.99).widened(8)[:2]
        ((0.01, 0.07), (0.93, 0.99))
        """
        here = self.on(steps)
        if here:
            return self
        digits = max(2, math.ceil(math.log10(steps)) + 1)
        unit, before, after = 10**digits, (here.start - 0.5) / steps, (here.start + 0.5) / steps
        if before < 0 or (after < 1 and after - self.end < self.start - before):
            moved = self._replace(end=min(1.0, (math.floor(after * unit) + 1) / unit))
        else:
            moved = self._replace(start=math.floor(before * unit) / unit)
            if not moved.on(steps):  # rounding has put the step just before it
                moved = self._replace(start=max(0.0, (math.floor(before * unit) - 1) / unit))
        return moved

    def missed(self, steps: int) -> str:
        """Return what is wrong where none of the steps lies in it, as the end of a sentence about the LoRA; else ""."""
        if self.on(steps):
            return ""
        near = self.widened(steps)
        lies = f"none of the {steps} steps lies" if steps > 1 else "the only step doesn't lie"
        return (
            f"is on from {self.start:g} to {self.end:g}, where {lies} (step i of n, from 0, lies at (i + 1/2) / n); "
            f"the nearest range that has one is {near.start:g} to {near.end:g}."
        )

    def strength(self, strength: float, step: int, steps: int) -> float:
        """Return the strength in step 0 .. steps - 1."""
        here = self.on(steps)
        if step not in here:
            return 0.0
        if self.end_strength is None:
            return strength
        way = CURVES[self.curve]((step - here.start) / (len(here) - 1) if len(here) > 1 else 0.0)
        return strength + way * (self.end_strength - strength) if way < 1 else self.end_strength


class Use(NamedTuple):
    """One LoRA file at one strength.

    sha256: of the file's content; it names the file. blocks: strengths by block, see `lora.blocks`; "" is the same
    everywhere. lines: the prompts of a call to `sample` that it is for, counted from 0; () is all.
    alpha: instead of what the file says. partial: allow a file of which only a part can be used.
    """

    path: str
    sha256: str
    strength: float
    blocks: str = ""
    schedule: Schedule | None = None
    lines: tuple[int, ...] = ()
    alpha: float | None = None
    partial: bool = False

    @property
    def name(self) -> str:
        """The name of what the file is when read so; equal names are equal weights."""
        options = "".join(
            (f"_alpha_{self.alpha!r}" if self.alpha is not None else "", "_partial" if self.partial else "")
        )
        return f"lora_{self.sha256[:32]}{options}"

    @property
    def changing(self) -> bool:
        """Whether it does not act alike on every step and every picture."""
        return self.schedule is not None or bool(self.lines)


AnyUse = Use | tuple[str, str, float]


def file_sha256(path: str) -> str:
    """Return the sha256 of a file, for callers that have none at hand."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def normal(adapters: Iterable[AnyUse], lines: int | None = None) -> list[Use]:
    """Return the uses that do something, in order: tuples completed, equal ones summed, those that cancel out left out.

    Args:
        lines: how many prompts there are, to check the uses' lines by.

    Raises:
        SettingError: a strength that is no number, a schedule that can't be followed, a line that is not there.
    """
    sums: dict[tuple[Any, ...], Use] = {}
    for given in adapters:
        use = Use(*given)
        use = use._replace(lines=tuple(sorted(set(use.lines))))
        if not math.isfinite(use.strength):
            raise SettingError("strength", use.strength, f"{Path(use.path).name} needs a number.")
        if use.schedule is not None:
            use.schedule.check()
        if use.lines and (use.lines[0] < 0 or (lines is not None and use.lines[-1] >= lines)):
            there = "" if lines is None else f" There are {lines} prompts, 0 to {lines - 1}."
            raise SettingError("lines", use.lines, f"{Path(use.path).name} names a line that is not there.{there}")
        same: tuple[Any, ...] = (use.name, use.blocks, use.schedule, use.lines)
        if use.schedule is not None and use.schedule.end_strength is not None:
            same = (*same, len(sums))  # what moves is not summed up
        before = sums.get(same)
        sums[same] = use if before is None else before._replace(strength=before.strength + use.strength)
    return [use for use in sums.values() if use.strength or (use.schedule and use.schedule.end_strength)]


def steady(adapters: Iterable[AnyUse], what: str) -> list[Use]:
    """`normal`, for work in which there are no steps and no lines.

    Raises:
        SettingError: a use with a schedule or lines; `what` says what can't be done with it ("training").
    """
    uses = normal(adapters)
    for use in uses:
        if use.changing:
            field, value = ("lines", use.lines) if use.lines else ("schedule", use.schedule)
            raise SettingError(
                field,
                value,
                f"{Path(use.path).name} acts only on some steps or pictures, which {what} can't follow. "
                "Apply it without.",
            )
    return uses


def identity(use: Use) -> list[Any]:
    """Return what a result depends on through this use, as JSON can hold it; a path is not part of it."""
    rest = [use.blocks, use.schedule, list(use.lines), use.alpha, use.partial]
    return [use.sha256, use.strength, *(rest if rest != ["", None, [], None, False] else ())]


def total_strengths(adapters: Sequence[AnyUse]) -> dict[str, tuple[str, float]]:
    """Return {adapter name: (path, summed strength)} in order; strengths that cancel out are left out."""
    sums: dict[str, tuple[str, float]] = {}
    for use in (Use(*given) for given in adapters):
        sums[use.name] = (use.path, sums.get(use.name, (use.path, 0.0))[1] + use.strength)
    return {name: total for name, total in sums.items() if total[1] != 0}
