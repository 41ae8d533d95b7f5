"""A LoRA made smaller: each change by its best approximation of a lower rank.

    D = s B A = U S V^T   ->   B' = U[:, :k] S[:k],  A' = V^T[:k],  alpha' = k

with k by a rule of `criterion` for each module. The old scale is in B' and the new one is 1, so that a reader that
ignores alpha gets the strength right, too. (In fp16, which has no small numbers, S is shared out to both.) No matrix of
that rank is nearer to D in the Frobenius norm (Eckart and Young); what is kept of |D|² is reported. LoHa, LoKr and full
differences become low-rank pairs. What has no rank stays as it is: biases, norms, weights that are replaced, DoRA's
magnitudes (D in W + D is what is approximated then).

    resize(lora, rank=16)                    # at most 16 for every module
    resize(lora, sv_fro=0.95, rank=32)       # as many as keep 95 % of the norm, at most 32
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch

from . import core, singular
from .criterion import Criterion
from .delta import Delta, LowRank
from .model import Change, Lora
from .singular import Singular

FIRST = 64  # values asked for at first where the rule doesn't say how many

OnProgress = Callable[[int, int], None]
"""Called with (modules done, modules in all); may raise to stop."""


class Reduced(NamedTuple):
    """lora: the result. energy: share of the squared norm of all changes that it keeps, 0..1; energies: per module;
    ranks: the new rank of each module."""

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
    on_progress: OnProgress | None = None,
) -> Reduced:
    """Return the LoRA at lower ranks, one rule chosen; `rank` may limit another rule.

    A pair whose rank is low enough already is left untouched, to the bit.

    Args:
        dtype: of the new tensors; None for that of the old ones. Maths in fp64.

    Raises:
        SettingError: no rule or two, or a number out of range.
    """
    criterion = Criterion(rank, sv_ratio, sv_cumulative, sv_fro)
    changes: dict[str, Change] = {}
    tally = Tally()
    for number, (module, change) in enumerate(lora.changes.items()):
        delta = change.delta
        if delta is None or len(delta.shape) < 2:
            changes[module] = change
        else:
            smaller, kept, total = _reduced(delta, criterion, dtype)
            changes[module] = replace(change, delta=smaller)
            tally.add(module, smaller.rank, kept, total)
        if on_progress is not None:
            on_progress(number + 1, len(lora.changes))
    return tally.result(replace(lora, changes=changes))


class Tally:
    """What is kept of the squared norms, module by module."""

    def __init__(self) -> None:
        self.energies: dict[str, float] = {}
        self.ranks: dict[str, int] = {}
        self._kept = self._total = 0.0

    def add(self, module: str, rank: int, kept: float, total: float) -> None:
        """Note a module: its new rank, and how much of its squared norm is kept."""
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


def stored_dtype(delta: Delta) -> torch.dtype:
    """Return the widest dtype of a change's tensors: fp32, fp16 or bf16."""
    dtypes = [value.dtype for value in vars(delta).values() if isinstance(value, torch.Tensor)]
    widest = functools.reduce(torch.promote_types, dtypes)
    # fp8 has too few digits for other factors, and no reader expects fp64
    return widest if widest in (torch.float16, torch.bfloat16) else torch.float32


def _reduced(delta: Delta, criterion: Criterion, dtype: torch.dtype | None) -> tuple[Delta, float, float]:
    """The smaller change, and what it keeps of the squared norm (kept, total)."""
    most = min(delta.rank, delta.shape[0], math.prod(delta.shape[1:]))
    found, count = decomposed(criterion, most, lambda limit: singular.of(delta, limit))
    if isinstance(delta, LowRank) and count >= delta.rank and dtype in (None, delta.up.dtype):
        return delta, found.squared, found.squared
    smaller = core.truncate(found.svd, count, delta.shape, dtype or stored_dtype(delta))
    return smaller, found.kept(count), found.squared
