"""How the changes that several LoRAs make to one module become one; see `merge` for the methods.

Sizes may differ in two ways only: the weight of a 1x1 convolution may be given as a matrix, and a control LoRA may have
more inputs than the base (`Change.widens`), which the others then get zeros for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..errors import LoraMismatch
from . import core, core_space
from .core import Factors
from .delta import Delta, Full, LowRank
from .model import Change

CANCELLED = 1e-14
"""A sum whose squared norm is below this share of that of its parts is zero but for rounding."""


class Rule(NamedTuple):
    """What is done; the arguments of `merge.merge`."""

    method: str = "concat"
    rank: int | None = None
    density: float = 0.5
    seed: int = 0
    normalize: bool = False


class Part(NamedTuple):
    """What one LoRA does to a module. place: which of the LoRAs it is, from 0; strength is not 0."""

    place: int
    label: str
    strength: float
    change: Change


class Likeness(NamedTuple):
    """<R, D>, |R|², |D|² for a result R and the plain sum D; adds up over modules."""

    common: float = 0.0
    result: float = 0.0
    plain: float = 0.0

    @property
    def energy(self) -> float:
        """Share of |D|² that lies along R, 0 to 1; 1 where both are nothing."""
        if self.result <= 0 or self.plain <= 0:
            return 1.0 if self.result <= 0 and self.plain <= 0 else 0.0
        return min(1.0, self.common**2 / (self.result * self.plain))


SAME = Likeness(1.0, 1.0, 1.0)


def merged_change(module: str, parts: Sequence[Part], rule: Rule) -> tuple[Change, Likeness]:
    """Return the one change of a module, and what it has of the plain sum.

    Raises:
        LoraMismatch: the changes are of different sizes.
    """
    with_bias = [part for part in parts if part.change.bias is not None]
    bias = _sum([(part.change.bias, part.strength) for part in with_bias if part.change.bias is not None], rule)
    with_delta = [part for part in parts if part.change.delta is not None]
    if not with_delta:
        return Change(bias=bias), Likeness()
    shape, widens = _shape(module, with_delta)
    deltas = [
        (_widened(part.change.delta, shape) if widens else part.change.delta, part.strength)
        for part in with_delta
        if part.change.delta is not None
    ]
    if len(shape) < 2 or (rule.method == "concat" and any(_is_full(delta) for delta, _ in deltas)):
        total = _sum([(delta.dense(torch.float64).reshape(shape), strength) for delta, strength in deltas], rule)
        assert total is not None
        square = float(total.double().square().sum())
        return Change(Full(total), bias=bias, widens=widens), Likeness(square, square, square)
    if rule.method == "concat":
        delta, likeness = _concatenated(deltas, shape, rule), SAME
    else:
        seeds = [core_space.draw_seed(rule.seed, module, part.place) for part in with_delta]
        delta, likeness = _combined(deltas, shape, rule, seeds)
    return Change(delta, bias=bias, widens=widens), likeness


def _divisor(strengths: Sequence[float], rule: Rule) -> float:
    return sum(abs(strength) for strength in strengths) if rule.normalize else 1.0


def _sum(tensors: Sequence[tuple[Tensor, float]], rule: Rule) -> Tensor | None:
    """The weighted sum in fp32, added up in fp64; None of nothing."""
    if not tensors:
        return None
    total = tensors[0][0].double() * tensors[0][1]
    for tensor, strength in tensors[1:]:
        total.add_(tensor, alpha=strength)
    return (total / _divisor([strength for _, strength in tensors], rule)).float()


def _concatenated(deltas: Sequence[tuple[Delta, float]], shape: tuple[int, ...], rule: Rule) -> LowRank:
    divisor = _divisor([strength for _, strength in deltas], rule)
    # A's are kept as they are, to the bit; B's take strength and scale and are rounded once
    (down, up), _ = core.stack_deltas([(delta, strength / divisor) for delta, strength in deltas])
    return core.pair(down, up, shape)


def _combined(
    deltas: Sequence[tuple[Delta, float]], shape: tuple[int, ...], rule: Rule, seeds: Sequence[int]
) -> tuple[LowRank, Likeness]:
    """By a method other than concat, with what it has of the plain sum."""
    plain, factors = core.stack_deltas(deltas)
    most = rule.rank or min(plain[0].shape)
    if rule.method == "svd":
        best = core.best(*plain, most)
        squares = best.values.square()
        kept = float(squares[: len(best.down)].sum())
        down = best.down / _divisor([strength for _, strength in deltas], rule) if rule.normalize else best.down
        return core.pair(down, best.up, shape), Likeness(kept, kept, float(squares.sum()))
    weights = [abs(strength) for _, strength in deltas] if rule.normalize else None
    result = core_space.combine(factors, rule.method, rule.density, seeds, weights)
    if rule.rank is not None:
        reduced = core.best(*result, rule.rank)
        result = (reduced.down, reduced.up)
    return core.pair(*result, shape), _likeness(result, plain, factors)


def _likeness(result: Factors, plain: Factors, parts: Sequence[Factors]) -> Likeness:
    nothing = CANCELLED * sum(core.inner(part, part) for part in parts)
    found = Likeness(core.inner(result, plain), core.inner(result, result), core.inner(plain, plain))
    return Likeness(found.common, *(value if value > nothing else 0.0 for value in found[1:]))


def _is_full(delta: Delta) -> bool:
    """Whether factors of the change would be larger than the change made dense."""
    sides = delta.shape[0], torch.Size(delta.shape[1:]).numel()
    return isinstance(delta, Full) or (not isinstance(delta, LowRank) and delta.rank >= min(sides))


def _shape(module: str, parts: Sequence[Part]) -> tuple[tuple[int, ...], bool]:
    """The shape of the weight that all of them change, and whether it has more inputs than the base's."""
    shapes = [(part, part.change.delta.shape) for part in parts if part.change.delta is not None]
    shape = max((shape for _, shape in shapes), key=lambda shape: (len(shape), shape[1:2]))
    widens = any(part.change.widens for part in parts)
    for part, other in shapes:
        missing = shape[len(other) :]
        narrower = widens and not part.change.widens and len(shape) == 2 and other[1:] < shape[1:]
        if (other[:1] if narrower else (*other, *(1 for _ in missing))) != (shape[:1] if narrower else shape):
            first = next(known for known in shapes if known[1] == shape)
            raise LoraMismatch(
                f"These LoRAs are for different models: the weight of {module} is {list(shape)} in {first[0].label}, "
                f"{list(other)} in {part.label}. Combine those of one model."
            )
    return shape, widens


def _widened(delta: Delta, shape: tuple[int, ...]) -> Delta:
    """The change with zeros for the inputs that it does not know."""
    missing = shape[1] - delta.shape[1]
    if not missing:
        return delta
    if isinstance(delta, LowRank):
        return replace(delta, down=pad(delta.down, (0, missing)))
    return Full(pad(delta.dense(torch.float64), (0, missing)))
