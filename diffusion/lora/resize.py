"""A LoRA made smaller: each change by its best approximation of a lower rank.

    D = s B A = U S V^T   ->   B' = U[:, :k] S[:k],  A' = V^T[:k],  alpha' = k

with k by a rule of `criterion` for each module. The old scale is in B' and the new one is 1, so that a reader that
ignores alpha gets the strength right, too. (In fp16, which has no small numbers, S is shared out to both.) No matrix of
that rank is nearer to D in the Frobenius norm (Eckart and Young); what is kept of |D|² is reported. LoHa, LoKr and full
differences become low-rank pairs. What has no rank stays as it is: biases, norms, weights that are replaced, DoRA's
magnitudes (D in W + D is what is approximated then).

Where the file is to be in a dialect that has several modules as one weight (FLUX's q, k and v in kohya's), D is the
change of that weight, and so k is the rank in the file. The modules' new pairs then share their A, which the writer
makes one again.

    resize(lora, rank=16)                    # at most 16 for every module
    resize(lora, rank=16, dialect="kohya")   # at most 16 for every weight in a kohya file
    resize(lora, sv_fro=0.95, rank=32)       # as many as keep 95 % of the norm, at most 32
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from . import core, singular
from .convert import grouped, stacked
from .criterion import Criterion
from .delta import Delta, LowRank
from .model import Change, Lora
from .singular import Singular

FIRST = 64  # values asked for at first where the rule doesn't say how many

OnProgress = Callable[[int, int], None]
"""Called with (modules done, modules in all); may raise to stop."""


class Reduced(NamedTuple):
    """lora: the result. energy: share of the squared norm of all changes that it keeps, 0..1; energies: per module;
    ranks: the new rank of each module. Modules that are one weight where it is written have that weight's numbers."""

    lora: Lora
    energy: float
    energies: dict[str, float]
    ranks: dict[str, int]


def resize(
    lora: Lora,
    *,
    rank: int | None = None,
    sv_ratio: float | None = None,
    sv_cumulative: float | None = None,
    sv_fro: float | None = None,
    dtype: torch.dtype | None = None,
    dialect: str = "peft",
    on_progress: OnProgress | None = None,
) -> Reduced:
    """Return the LoRA at lower ranks, one rule chosen; `rank` may limit another rule.

    A pair whose rank is low enough already is left untouched, to the bit.

    Args:
        dtype: of the new tensors; None for that of the old ones. Maths in fp64.
        dialect: that it will be written in.

    Raises:
        SettingError: no rule or two, or a number out of range.
    """
    criterion = Criterion(rank, sv_ratio, sv_cumulative, sv_fro)
    changes: dict[str, Change] = dict(lora.changes)
    tally, done = Tally(), 0
    for weight in grouped(lora.changes, lora.family, dialect):
        for modules in together({name: lora.changes[name].delta for name in weight}):
            deltas = [delta for name in modules if (delta := lora.changes[name].delta) is not None]
            smaller, kept, total = _reduced(deltas, criterion, dtype)
            for name, delta in zip(modules, smaller, strict=True):
                changes[name] = replace(changes[name], delta=delta)
            tally.add(modules, smaller[0].rank if len(modules) == 1 else stacked(smaller).rank, kept, total)
        done += len(weight)
        if on_progress is not None:
            on_progress(done, len(lora.changes))
    return tally.result(replace(lora, changes=changes))


def together(deltas: Mapping[str, Delta | None]) -> list[list[str]]:
    """Return those of the modules of one weight that have a change with a rank, as one list where they can be stacked,
    else each for itself (they are then for different models, which the writer says)."""
    found = {name: delta.shape for name, delta in deltas.items() if delta is not None and len(delta.shape) > 1}
    if len({shape[1:] for shape in found.values()}) == 1:
        return [list(found)]
    return [[name] for name in found]


class Tally:
    """What is kept of the squared norms, module by module."""

    def __init__(self) -> None:
        self.energies: dict[str, float] = {}
        self.ranks: dict[str, int] = {}
        self._kept = self._total = 0.0

    def add(self, modules: Iterable[str], rank: int, kept: float, total: float) -> None:
        """Note the modules of one weight: its new rank, and how much of its squared norm is kept."""
        for module in modules:
            self.energies[module] = kept / total if total > 0 else 1.0
            self.ranks[module] = rank
        self._kept, self._total = self._kept + kept, self._total + total

    def result(self, lora: Lora) -> Reduced:
        """Return the LoRA with what was noted."""
        energy = self._kept / self._total if self._total > 0 else 1.0
        return Reduced(lora, energy, self.energies, self.ranks)


def decomposed(criterion: Criterion, most: int, decompose: Callable[[int | None], Singular]) -> tuple[Singular, int]:
    """Return a decomposition that has at least the values that the rule keeps, and how many those are.

    `decompose(limit)` is asked for more and more values until the rule's answer no longer depends on what was left
    out; `most` is how many there are.
    """
    if criterion.needs_all:
        found = decompose(None)
        return found, criterion.count(found.values)
    most = min(most, criterion.rank or most)
    limit = most if criterion.fixed else min(most, FIRST)
    while True:
        found = decompose(limit)
        count = criterion.count(found.values, found.squared)
        if count < len(found.values) or limit >= most:
            return found, count
        limit = min(2 * limit, most)


def stored_dtype(*deltas: Delta) -> torch.dtype:
    """Return the widest dtype of some changes' tensors: fp32, fp16 or bf16."""
    dtypes = [value.dtype for delta in deltas for value in vars(delta).values() if isinstance(value, torch.Tensor)]
    widest = functools.reduce(torch.promote_types, dtypes)
    # fp8 has too few digits for other factors, and no reader expects fp64
    return widest if widest in (torch.float16, torch.bfloat16) else torch.float32


def split(delta: LowRank, shapes: Sequence[tuple[int, ...]]) -> list[LowRank]:
    """Return the changes of matrices whose rows lie below each other in that one; they share its A."""
    if len(shapes) == 1:
        return [delta]
    ends = list(itertools.accumulate(shape[0] for shape in shapes))
    return [delta.rows([(last - shape[0], last)]) for shape, last in zip(shapes, ends, strict=True)]


def _reduced(
    deltas: Sequence[Delta], criterion: Criterion, dtype: torch.dtype | None
) -> tuple[Sequence[Delta], float, float]:
    """The smaller changes of the modules of one weight, and what they keep of its squared norm (kept, total)."""
    whole = deltas[0] if len(deltas) == 1 else stacked(deltas)
    most = min(whole.rank, whole.shape[0], math.prod(whole.shape[1:]))
    found, count = decomposed(criterion, most, lambda limit: singular.of(whole, limit))
    plain = all(isinstance(delta, LowRank) and dtype in (None, delta.up.dtype) for delta in deltas)
    if plain and count >= whole.rank:
        return deltas, found.squared, found.squared
    smaller = core.truncate(found.svd, count, whole.shape, dtype or stored_dtype(*deltas))
    return split(smaller, [delta.shape for delta in deltas]), found.kept(count), found.squared
