"""How the changes that several LoRAs make to one module become one; see `merge` for the methods.

Modules that are one weight in the dialect of the result (FLUX's q, k and v in kohya's) are combined each for itself,
and the result that is to have a rank is that weight's: their rows below each other.

Sizes may differ in two ways only: the weight of a 1x1 convolution may be given as a matrix, and a control LoRA may have
more inputs than the base (`Change.widens`), which the others then get zeros for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from .resize import split, together

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


class Combined(NamedTuple):
    """What a method makes of the changes of a module of this shape, the plain sum, and its parts; the factors of each,
    in fp64."""

    shape: tuple[int, ...]
    result: Factors
    plain: Factors
    parts: Sequence[Factors]


class Found(NamedTuple):
    """What the result has of the plain sum, in modules whose rank was lowered together."""

    modules: Sequence[str]
    likeness: Likeness


SAME = Likeness(1.0, 1.0, 1.0)


def merged_weight(modules: Mapping[str, Sequence[Part]], rule: Rule) -> tuple[dict[str, Change], list[Found]]:
    """Return the changes of the modules of one weight, and what each `Found` says of some of them.

    Raises:
        LoraMismatch: the changes are of different sizes.
    """
    changes, sums = {}, {}
    found: list[Found] = []
    for module, parts in modules.items():
        change, likeness, total = _merged(module, parts, rule)
        changes[module] = change
        if total is not None:
            sums[module] = total
        else:
            found.append(Found([module], likeness))
    for group in together({module: changes[module].delta for module in sums}):
        deltas, likeness = _reduced([sums[module] for module in group], rule)
        for module, delta in zip(group, deltas, strict=True):
            changes[module] = replace(changes[module], delta=delta)
        found.append(Found(group, likeness))
    return changes, found


def _merged(module: str, parts: Sequence[Part], rule: Rule) -> tuple[Change, Likeness, Combined | None]:
    """The change of a module, or, where its rank is still to be lowered, its bias and what there is of the rest."""
    with_bias = [part for part in parts if part.change.bias is not None]
    bias = _sum([(part.change.bias, part.strength) for part in with_bias if part.change.bias is not None], rule)
    with_delta = [part for part in parts if part.change.delta is not None]
    if not with_delta:
        return Change(bias=bias), Likeness(), None
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
        return Change(Full(total), bias=bias, widens=widens), Likeness(square, square, square), None
    if rule.method == "concat":
        return Change(_concatenated(deltas, shape, rule), bias=bias, widens=widens), SAME, None
    seeds = [core_space.draw_seed(rule.seed, module, part.place) for part in with_delta]
    combined = _combined(deltas, shape, rule, seeds)
    # the delta only tells the shape here
    return Change(deltas[0][0], bias=bias, widens=widens), Likeness(), combined


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
) -> Combined:
    """By a method other than concat, before its rank is lowered."""
    plain, factors = core.stack_deltas(deltas)
    strengths = [strength for _, strength in deltas]
    if rule.method == "svd":
        down, up = plain
        result = (down, up / _divisor(strengths, rule)) if rule.normalize else plain
    else:
        weights = [abs(strength) for strength in strengths] if rule.normalize else None
        result = core_space.combine(factors, rule.method, rule.density, seeds, weights)
    return Combined(shape, result, plain, factors)


def _reduced(sums: Sequence[Combined], rule: Rule) -> tuple[Sequence[LowRank], Likeness]:
    """The modules of one weight at the rule's rank: for each its change, and what they all have of the plain sum."""
    shapes = [each.shape for each in sums]
    result = sums[0].result if len(sums) == 1 else below([each.result for each in sums])
    if rule.method == "svd":
        best = core.best(*result, rule.rank or min(len(result[1]), result[0].shape[1]))
        squares = best.values.square()
        kept, total = float(squares[: len(best.down)].sum()), float(squares.sum())
        if rule.normalize and total > 0:  # as for the other methods, a module counts as much as its sum, not its mean
            plain = sum(core.inner(each.plain, each.plain) for each in sums)
            kept, total = kept * plain / total, plain
        shared = core.pair(best.down, best.up, (len(best.up), *shapes[0][1:]))
        return split(shared, shapes), Likeness(kept, kept, total)
    if rule.rank is not None or len(sums) > 1:
        reduced = core.best(*result, rule.rank or min(len(result[1]), result[0].shape[1]))
        result = (reduced.down, reduced.up)
    pairs = split(core.pair(*result, (len(result[1]), *shapes[0][1:])), shapes)
    rows = result[1].split([shape[0] for shape in shapes])
    found = [_likeness((result[0], up), each.plain, each.parts) for up, each in zip(rows, sums, strict=True)]
    return pairs, Likeness(*(sum(column) for column in zip(*found, strict=True)))


def below(parts: Sequence[Factors]) -> Factors:
    """Return the factors of changes below each other; an A that all of them have stays one."""
    first = parts[0][0]
    if all(down.shape == first.shape and torch.equal(down, first) for down, _ in parts[1:]):
        return first, torch.cat([up for _, up in parts])
    down, up = torch.cat([down for down, _ in parts]), torch.block_diag(*(up for _, up in parts))
    if len(down) > down.shape[1]:  # more directions than there are inputs
        return torch.eye(down.shape[1], dtype=down.dtype), up @ down
    return down, up


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
