"""The singular values of a change, by the cheapest way that its form allows.

D = U S V^T        U [out, k], S [k] falling, V^T [k, in · kernel]; a convolution's weight is flattened

low-rank pair      QR of both factors and the SVD of a matrix as small as the rank (`core.svd`)
LoKr               the SVDs of the two factors: the singular values of W1 ⊗ W2 are the products of theirs
LoHa               as a low-rank pair, while the product of the ranks is small
full               dense; when only some leading values are wanted, the randomised SVD of Halko, Martinsson and Tropp
                   (0909.4061, algorithms 4.4 and 5.1) with 32 more columns than wanted and two power iterations

>>> import torch
>>> from .delta import LowRank
>>> found = of(LowRank(down=torch.eye(2, 5), up=torch.tensor([[3.0, 0], [0, 4], [0, 0]]), alpha=2.0))
>>> [round(float(value), 6) for value in found.values], round(found.squared, 6)
([4.0, 3.0], 25.0)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from . import core
from .core import Svd
from .delta import Delta, Full, Hadamard, Kronecker, LowRank

OVERSAMPLE, POWER = 32, 2
SMALL = 1 << 20  # entries of a dense change up to which fp64 costs nothing


@dataclass(frozen=True, eq=False)
class Singular:
    """A decomposition, perhaps of the leading values only. squared: the sum of the squares of *all* values, |D|²."""

    svd: Svd
    squared: float

    @property
    def values(self) -> Tensor:
        """S [k], falling."""
        return self.svd.values

    def kept(self, rank: int) -> float:
        """Return the sum of the squares of the `rank` leading values, at most `squared`."""
        return min(float(self.values[:rank].double().square().sum()), self.squared)


def of(delta: Delta, limit: int | None = None, dtype: torch.dtype = torch.float64) -> Singular:
    """Return the decomposition of a change, the scale in it.

    Args:
        limit: only so many leading values are needed. Those of a dense change are then found by the randomised SVD, the
            largest ones exactly but for rounding, the last ones a little too small; `squared` is exact always.
    """
    if isinstance(delta, Kronecker) and delta.selected is None:
        return _kronecker(delta, limit, dtype)
    if isinstance(delta, LowRank) or (isinstance(delta, Hadamard) and _low(delta)):
        found = core.svd(*core.factors(delta, dtype))
        return Singular(found, float(found.values.double().square().sum()))
    # as large as the weight itself: more digits than those of fp32 would cost seconds
    size = math.prod(delta.shape)
    return of_matrix(delta.dense(dtype if size <= SMALL else torch.float32).flatten(1), limit)


def of_matrix(matrix: Tensor, limit: int | None = None, seed: int = 0) -> Singular:
    """Return the decomposition of a matrix [out, in]; `limit` as for `of`, `seed` of the randomised SVD."""
    squared = float(torch.linalg.vector_norm(matrix, dtype=torch.float64)) ** 2
    if limit is not None and limit + OVERSAMPLE <= min(matrix.shape) // 2:
        return Singular(randomized(matrix, limit, seed), squared)
    return Singular(Svd(*torch.linalg.svd(matrix, full_matrices=False)), squared)


def randomized(matrix: Tensor, rank: int, seed: int = 0) -> Svd:
    """Return the `rank` leading singular triples of a matrix, approximately; the same ones for the same seed."""
    numbers = torch.Generator().manual_seed(seed)
    probe = torch.randn(matrix.shape[1], rank + OVERSAMPLE, generator=numbers, dtype=matrix.dtype)
    basis, _ = torch.linalg.qr(matrix @ probe)
    for _ in range(POWER):
        basis, _ = torch.linalg.qr(matrix.T @ basis)
        basis, _ = torch.linalg.qr(matrix @ basis)
    left, values, right = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    return Svd(basis @ left[:, :rank], values[:rank], right[:rank])


def _low(delta: Hadamard) -> bool:
    """Whether its factors, of rank r1 r2, are enough smaller than the weight to be worth making."""
    return 2 * delta.inner * int(delta.w2_b.shape[0]) <= min(delta.shape[0], math.prod(delta.shape[1:]))


def _kronecker(delta: Kronecker, limit: int | None, dtype: torch.dtype) -> Singular:
    first, second = (of(half, dtype=dtype).svd for half in halves(delta))
    products = (first.values.unsqueeze(1) * second.values).flatten() * abs(delta.scale)
    order = products.argsort(descending=True, stable=True)[:limit]
    one, other = order // len(second.values), order % len(second.values)
    left = (first.left[:, None, one] * second.left[None, :, other]).flatten(0, 1)
    right = (first.right[one].unsqueeze(2) * second.right[other].unsqueeze(1)).flatten(1)
    squared = float(products.double().square().sum())
    return Singular(Svd(left * math.copysign(1.0, delta.scale), products[order], right), squared)


def halves(delta: Kronecker) -> tuple[Delta, Delta]:
    """Return W1 [a, b] and W2 [c, d, *kernel] as changes of scale 1."""
    return _half(delta.w1, delta.w1_a, delta.w1_b, None), _half(delta.w2, delta.w2_a, delta.w2_b, delta.t2)


def _half(whole: Tensor | None, a: Tensor | None, b: Tensor | None, core: Tensor | None) -> Delta:
    if whole is not None:
        return Full(whole)
    assert a is not None and b is not None
    rank = float(len(b))
    return LowRank(b, a, rank) if core is None else LowRank(b, a.T, rank, mid=core)
