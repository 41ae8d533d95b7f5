"""Maths on changes that never makes a weight: all happens on the factors and on matrices as small as their ranks.

A change of a weight [out, in, *kernel] is flattened to D = B A with A [rank, in · kernel] ("down"), B [out, rank]
("up") and no scale beside them. `factors` gives that pair exactly for every form:

    low rank    A, s B
    LoHa        (B1 A1) ∘ (B2 A2) = (B1 ⊛ B2)(A1 ⊛ A2), ⊛ pairing every column of B1 with every one of B2 (for A: rows)
    LoKr        (B1 A1) ⊗ (B2 A2) = (B1 ⊗ B2)(A1 ⊗ A2)
    full        D I or I D, whichever is smaller

With QR of both factors, D = Qb (Rb Ra^T) Qa^T: the singular values of D are those of a rank x rank matrix, and the
SVD of a 3072 x 3072 change of rank 64 takes milliseconds, not seconds (Golub & Van Loan, Matrix Computations, 5.4).
Likewise <B1 A1, B2 A2> = sum((B1^T B2) ∘ (A1 A2^T)).

    >>> import torch
    >>> from .delta import LowRank
    >>> down, up = factors(LowRank(torch.eye(2, 5), torch.eye(4, 2), alpha=6.0))
    >>> svd(down, up).values
    tensor([3., 3.], dtype=torch.float64)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .delta import Delta, Full, Hadamard, Kronecker, LowRank, take

Factors = tuple[Tensor, Tensor]
"""(A [rank, in · kernel], B [out, rank]), the change being B A."""

WELL_CONDITIONED = 1e-3
"""The least diagonal entry of the Cholesky factor of a Gram matrix of unit columns for which Cholesky stands in for QR:
orthogonality is then good to about 1e-16 / 1e-3², far below fp32."""

ROUNDING = 1e-15
"""Squares of singular values below this share of the product of the norms of the Gram matrices are rounding of fp64."""


class Svd(NamedTuple):
    """D = left · diag(values) · right with left [out, k], values [k] falling, right [k, in · kernel]."""

    left: Tensor
    values: Tensor
    right: Tensor


class Best(NamedTuple):
    """The nearest change of a rank: down [rank, in · kernel], up [out, rank] (orthonormal), the singular values of the
    change it was made from, all of them, falling."""

    down: Tensor
    up: Tensor
    values: Tensor

    @property
    def energy(self) -> float:
        """Share of the squared Frobenius norm that is kept, 0 to 1; 1 for a change of nothing."""
        return share(self.values, len(self.down))


def share(values: Tensor, rank: int) -> float:
    """Return the share of the squared norm that the first `rank` singular values hold."""
    squares = values.double().square()
    total = float(squares.sum())
    return float(squares[:rank].sum()) / total if total > 0 else 1.0


def factors(delta: Delta, dtype: torch.dtype = torch.float64, strength: float = 1.0) -> Factors:
    """Return (A, B) whose product is the flattened change at that strength; see the table above. B holds the strength.

    Exact but for rounding in `dtype`. The rank is that of the form (LoHa: the product of its two ranks), at most the
    smaller side of the weight. Factors may share memory with the delta.

    Raises:
        ValueError: the change is of a vector (the weight of a norm), which has no factors.
    """
    if len(delta.shape) < 2:
        raise ValueError(f"a change of shape {list(delta.shape)} is a vector and has no factors")
    if isinstance(delta, LowRank):
        down, up = delta.factors(dtype)
        return down, up * (delta.scale * strength)
    if isinstance(delta, Full):
        return _of_matrix(delta.diff.to(dtype).flatten(1), strength)
    (down_1, up_1), (down_2, up_2) = _halves(delta, dtype)
    inner = len(down_1) * len(down_2)
    if inner > min(delta.shape[0], math.prod(delta.shape[1:])):
        # the small factors would be larger than the change itself
        return _of_matrix(delta.dense(dtype).flatten(1), strength)
    if isinstance(delta, Kronecker):
        down, up = (torch.kron(one.contiguous(), two.contiguous()) for one, two in ((down_1, down_2), (up_1, up_2)))
        up = up if delta.selected is None else take(up, delta.selected)
    else:
        down = (down_1.unsqueeze(1) * down_2).flatten(0, 1)
        up = (up_1.unsqueeze(2) * up_2.unsqueeze(1)).flatten(1)
    return down, up * (delta.scale * strength)


def _halves(delta: Hadamard | Kronecker, dtype: torch.dtype) -> tuple[Factors, Factors]:
    """Factors of the two matrices that a LoHa multiplies entry by entry, a LoKr by ⊗; no scale."""
    if isinstance(delta, Hadamard):
        return (
            _half(delta.w1_a, delta.w1_b, delta.t1, dtype),
            _half(delta.w2_a, delta.w2_b, delta.t2, dtype),
        )
    if delta.w1 is not None:
        first = _of_matrix(delta.w1.to(dtype))
    else:
        assert delta.w1_a is not None and delta.w1_b is not None
        first = _half(delta.w1_a, delta.w1_b, None, dtype)
    if delta.w2 is not None:
        return first, _of_matrix(delta.w2.to(dtype).flatten(1))
    assert delta.w2_a is not None and delta.w2_b is not None
    return first, _half(delta.w2_a, delta.w2_b, delta.t2, dtype)


def _half(a: Tensor, b: Tensor, core: Tensor | None, dtype: torch.dtype) -> Factors:
    if core is None:
        return b.to(dtype), a.to(dtype)
    return torch.einsum("ij...,jr->ir...", core.to(dtype), b.to(dtype)).flatten(1), a.to(dtype).T


def _of_matrix(matrix: Tensor, strength: float = 1.0) -> Factors:
    out, inside = matrix.shape
    if out <= inside:
        return matrix, torch.eye(out, dtype=matrix.dtype) * strength
    return torch.eye(inside, dtype=matrix.dtype), matrix * strength


def stack(parts: Sequence[Factors]) -> Factors:
    """Return the factors of a sum: A's under each other, B's side by side.

    Ranks add up; where they exceed the smaller side of the weight, the sum is made dense, which is then smaller.
    """
    return _folded(torch.cat([down for down, _ in parts]), torch.cat([up for _, up in parts], dim=1))


def stack_deltas(deltas: Sequence[tuple[Delta, float]]) -> tuple[Factors, list[Factors]]:
    """Return the factors of the sum of changes with their strengths as `stack` does, and those of each; fp64.

    Those of each are parts of the stacked ones, written there at once: for small layers, time goes by with memory.
    """
    made = [None if isinstance(delta, LowRank) else factors(delta, strength=strength) for delta, strength in deltas]
    ranks = [delta.rank if own is None else len(own[0]) for (delta, _), own in zip(deltas, made, strict=True)]
    out, inside = deltas[0][0].shape[0], math.prod(deltas[0][0].shape[1:])
    down = torch.empty(sum(ranks), inside, dtype=torch.float64)
    up = torch.empty(out, sum(ranks), dtype=torch.float64)
    parts = list(zip(down.split(ranks), up.split(ranks, dim=1), strict=True))
    for (delta, strength), own, (own_down, own_up) in zip(deltas, made, parts, strict=True):
        if isinstance(delta, LowRank):
            own_down.copy_(delta.down.flatten(1) if delta.mid is None else delta.factors(torch.float64)[0])
            own_up.copy_(delta.up.flatten(1)).mul_(delta.scale * strength)
        elif own is not None:
            own_down.copy_(own[0])
            own_up.copy_(own[1])
    return _folded(down, up), parts


def _folded(down: Tensor, up: Tensor) -> Factors:
    return _of_matrix(up @ down) if len(down) > min(up.shape[0], down.shape[1]) else (down, up)


def pair(down: Tensor, up: Tensor, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> LowRank:
    """Return factors as the change of a weight of that shape ([out, in, *kernel]), with a scale of exactly 1."""
    kernel = tuple(shape[2:])
    rank = len(down)
    return LowRank(
        down=down.to(dtype).reshape(rank, *shape[1:]).contiguous(),
        up=up.to(dtype).reshape(-1, rank, *(1 for _ in kernel)).contiguous(),
        alpha=float(rank),
    )


def svd(down: Tensor, up: Tensor) -> Svd:
    """Return the singular value decomposition of B A, in the dtype of the factors, by QR of both.

    k is the smallest of the three sizes; small values may be zero. Equal to the SVD of the product made dense.
    """
    q_up, r_up = torch.linalg.qr(up)
    q_down, r_down = torch.linalg.qr(down.T)
    left, values, right = torch.linalg.svd(r_up @ r_down.T, full_matrices=False)
    return Svd(q_up @ left, values, right @ q_down.T)


def values(down: Tensor, up: Tensor) -> Tensor:
    """Return the singular values of B A alone, falling."""
    r_up = torch.linalg.qr(up, mode="r").R
    r_down = torch.linalg.qr(down.T, mode="r").R
    return torch.linalg.svdvals(r_up @ r_down.T)


def truncate(found: Svd, rank: int, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> LowRank:
    """Return the first `rank` directions as the change of a weight of that shape: scale 1, B carries the values.

    In fp16, which has no small numbers, A and B carry them in equal parts, but for a power of two that is exact.
    """
    keep = max(1, min(rank, len(found.values)))
    down, up, sizes = found.right[:keep], found.left[:, :keep], found.values[:keep]
    shares = torch.ones_like(sizes)
    if dtype == torch.float16:
        shares = torch.where(sizes > 0, sizes, 1.0).log2().div(2).round().exp2()
    return pair(down * shares.unsqueeze(1), up * (sizes / shares), shape, dtype)


def best(down: Tensor, up: Tensor, rank: int) -> Best:
    """Return the change of at most `rank` that is nearest to B A in the Frobenius norm (Eckart & Young, 1936).

    Without the right singular vectors: the change is projected onto its first left ones, D_k = U_k (U_k^T B) A. U comes
    from the Gram matrices by Cholesky-QR (Yamamoto et al., 2015) in fp64, several times faster than QR; where B is too
    ill-conditioned for that, from QR. Values below about 1e-7 of the largest are taken for zero, and the rank is at
    most the number of the others (but at least 1).
    """
    down, up = down.double(), up.double()
    gram_up, gram_down = up.T @ up, down @ down.T
    # Unit columns of B, their lengths moved to A: a LoRA with a small B and a large A is as well conditioned as any.
    lengths = gram_up.diagonal().sqrt()
    lengths = torch.where(lengths > 0, lengths, 1.0)
    outer = lengths.outer(lengths)
    gram_up, gram_down = gram_up / outer, gram_down * outer
    lower, failed = torch.linalg.cholesky_ex(gram_up)
    sound = not int(failed) and float(lower.diagonal().min()) > WELL_CONDITIONED
    if sound:
        triangle = lower.T
    else:
        up, triangle = torch.linalg.qr(up / lengths)
    squares, vectors = torch.linalg.eigh(triangle @ gram_down @ triangle.T)
    size = min(len(squares), down.shape[1])
    # What changes that cancel out leave behind is rounding, not a direction.
    noise = ROUNDING * gram_up.norm() * gram_down.norm()
    found = torch.where(squares > noise, squares, 0.0).flip(0)[:size].sqrt()
    vectors = vectors.flip(1)[:, : max(1, min(rank, int(found.count_nonzero())))]
    down = (vectors.T @ triangle * lengths) @ down
    if sound:  # Q = B R^-1
        vectors = torch.linalg.solve_triangular(triangle, vectors, upper=True) / lengths.unsqueeze(1)
    return Best(down, up @ vectors, found)


def inner(one: Factors, other: Factors) -> float:
    """Return the sum of the products of the entries of two changes, <D1, D2>."""
    (down_1, up_1), (down_2, up_2) = one, other
    return float(((up_1.T @ up_2) * (down_1 @ down_2.T)).sum())


def norm(one: Factors) -> float:
    """Return the Frobenius norm of a change."""
    return math.sqrt(max(inner(one, one), 0.0))
