"""The change that an adapter makes to one weight, in each of the forms that files hold.

    LowRank     s · B A               LoRA (2106.09685), LoCon; with `mid` the Tucker form of LyCORIS (2309.14859)
    Hadamard    s · (B1 A1) ∘ (B2 A2)  LoHa
    Kronecker   s · W1 ⊗ W2           LoKr
    Full        D                     a full difference ("diff")

Every form answers the same questions: `shape` of the weight it changes ([out, in] or [out, in, *kernel]), `scale` s,
`rank` (the rank of the change at most), `dense()`, and `rows(ranges)`, the part of it that changes some rows (outputs).
Tensors are kept in the dtype of their file; all maths is in fp32 unless asked otherwise; nothing is modified.

    >>> import torch
    >>> pair = LowRank(down=torch.ones(2, 3), up=torch.ones(4, 2), alpha=1.0)
    >>> pair.scale, pair.shape, pair.dense()[0, 0].item()
    (0.5, (4, 3), 1.0)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

Ranges = Sequence[tuple[int, int]]
"""Rows of a weight as (first, one past the last), in the order in which they are taken."""


def take(tensor: Tensor, ranges: Ranges) -> Tensor:
    """Return the rows of a tensor, as a view where they are one range."""
    parts = [tensor[first:last] for first, last in ranges]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass(frozen=True, eq=False)
class LowRank:
    """down: A [rank, in, *kernel]. up: B [out, rank] or [out, rank, 1, 1]. The scale is alpha / rank, or
    alpha / sqrt(rank) when `rank_stabilized` (2312.03732). mid: [rank, rank, *kernel] of the Tucker form, where
    A is [rank, in, 1, 1]."""

    kind: ClassVar[str] = "lora"

    down: Tensor
    up: Tensor
    alpha: float
    mid: Tensor | None = None
    rank_stabilized: bool = False

    @property
    def rank(self) -> int:
        """The inner size of the product."""
        return int(self.down.shape[0])

    @property
    def scale(self) -> float:
        """alpha / rank, or alpha / sqrt(rank)."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilized else self.rank)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight."""
        kernel = (self.down if self.mid is None else self.mid).shape[2:]
        return (int(self.up.shape[0]), int(self.down.shape[1]), *kernel)

    def factors(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return (A [rank, in · kernel], B [out, rank]) without the scale, whose product is the flattened change.

        The Tucker form has no such pair of that rank with a kernel of its own; A then takes mid into itself.
        """
        up = self.up.to(dtype).flatten(1)
        if self.mid is None:
            return self.down.to(dtype).flatten(1), up
        # sum_q mid[p, q, kernel] A[q, in] is the A of an ordinary convolutional pair
        down = torch.einsum("pq...,qi->pi...", self.mid.to(dtype), self.down.to(dtype).flatten(1))
        return down.flatten(1), up

    def dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the change at strength 1."""
        down, up = self.factors(dtype)
        return ((up @ down) * self.scale).reshape(self.shape)

    def rows(self, ranges: Ranges) -> LowRank:
        """Return the change of these rows; A is shared."""
        return replace(self, up=take(self.up, ranges))


@dataclass(frozen=True, eq=False)
class Hadamard:
    """LoHa: (w1_a w1_b) ∘ (w2_a w2_b) · alpha / rank with w*_a [out, rank], w*_b [rank, in · kernel]. With the Tucker
    cores t1, t2 [rank, rank, *kernel] a factor is einsum("ij...,jr,ip->pr...", t, w_b, w_a), w_a being [rank, out].
    `kernel` is that of a convolution's weight, () for a linear layer."""

    kind: ClassVar[str] = "loha"

    w1_a: Tensor
    w1_b: Tensor
    w2_a: Tensor
    w2_b: Tensor
    alpha: float
    t1: Tensor | None = None
    t2: Tensor | None = None
    kernel: tuple[int, ...] = ()
    rank_stabilized: bool = False

    @property
    def inner(self) -> int:
        """The rank of each of the two factors, which alpha is divided by."""
        return int(self.w1_b.shape[0])

    @property
    def rank(self) -> int:
        """The rank of the change at most: the product of the factors' ranks."""
        out, inside = self.shape[0], math.prod(self.shape[1:])
        return min(self.inner * int(self.w2_b.shape[0]), out, inside)

    @property
    def scale(self) -> float:
        """alpha / rank of a factor, or alpha / sqrt(rank)."""
        return self.alpha / (math.sqrt(self.inner) if self.rank_stabilized else self.inner)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight."""
        if self.t1 is not None:
            return (int(self.w1_a.shape[1]), int(self.w1_b.shape[1]), *self.t1.shape[2:])
        return (int(self.w1_a.shape[0]), int(self.w1_b.shape[1]) // math.prod(self.kernel), *self.kernel)

    def dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the change at strength 1."""
        first = _factor(self.w1_a, self.w1_b, self.t1, dtype)
        second = _factor(self.w2_a, self.w2_b, self.t2, dtype)
        return (first * second * self.scale).reshape(self.shape)

    def rows(self, ranges: Ranges) -> Hadamard:
        """Return the change of these rows; the inputs' factors are shared."""
        if self.t1 is None:
            return replace(self, w1_a=take(self.w1_a, ranges), w2_a=take(self.w2_a, ranges))
        return replace(self, w1_a=take(self.w1_a.T, ranges).T, w2_a=take(self.w2_a.T, ranges).T)


def _factor(a: Tensor, b: Tensor, core: Tensor | None, dtype: torch.dtype) -> Tensor:
    if core is None:
        return a.to(dtype) @ b.to(dtype)
    return torch.einsum("ij...,jr,ip->pr...", core.to(dtype), b.to(dtype), a.to(dtype))


@dataclass(frozen=True, eq=False)
class Kronecker:
    """LoKr: W1 ⊗ W2 · s. W1 is `w1` [a, b] or w1_a [a, rank] w1_b [rank, b]; W2 is `w2` [c, d, *kernel], or
    w2_a [c, rank] w2_b [rank, d · kernel], or with a Tucker core t2 [rank, rank, *kernel], where w2_a is [rank, c] and
    w2_b [rank, d]. s = alpha / rank where a factor is decomposed, else 1 whatever alpha says. `selected`: the rows of
    the product that this is, None for all."""

    kind: ClassVar[str] = "lokr"

    alpha: float
    w1: Tensor | None = None
    w1_a: Tensor | None = None
    w1_b: Tensor | None = None
    w2: Tensor | None = None
    w2_a: Tensor | None = None
    w2_b: Tensor | None = None
    t2: Tensor | None = None
    kernel: tuple[int, ...] = ()
    rank_stabilized: bool = False
    selected: tuple[tuple[int, int], ...] | None = None

    @property
    def inner(self) -> int:
        """The rank of the decomposed factor, which alpha is divided by; 0 where none is decomposed."""
        decomposed = self.w2_b if self.w2 is None else self.w1_b if self.w1 is None else None
        return 0 if decomposed is None else int(decomposed.shape[0])

    @property
    def rank(self) -> int:
        """The rank of the change at most: the product of the ranks of the two factors."""
        a, b = self._first()
        c, *d = self._second()
        first = min(a, b) if self.w1_b is None else min(a, b, int(self.w1_b.shape[0]))
        second = min(c, math.prod(d)) if self.w2_b is None else min(c, math.prod(d), int(self.w2_b.shape[0]))
        return min(first * second, self.shape[0], math.prod(self.shape[1:]))

    @property
    def scale(self) -> float:
        """alpha / rank where a factor is decomposed, else 1."""
        if not self.inner:
            return 1.0
        return self.alpha / (math.sqrt(self.inner) if self.rank_stabilized else self.inner)

    def _first(self) -> tuple[int, int]:
        if self.w1 is not None:
            return int(self.w1.shape[0]), int(self.w1.shape[1])
        assert self.w1_a is not None and self.w1_b is not None
        return int(self.w1_a.shape[0]), int(self.w1_b.shape[1])

    def _second(self) -> tuple[int, ...]:
        if self.w2 is not None:
            return tuple(self.w2.shape)
        assert self.w2_a is not None and self.w2_b is not None
        if self.t2 is not None:
            return (int(self.w2_a.shape[1]), int(self.w2_b.shape[1]), *self.t2.shape[2:])
        return (int(self.w2_a.shape[0]), int(self.w2_b.shape[1]) // math.prod(self.kernel), *self.kernel)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight."""
        (a, b), (c, d, *kernel) = self._first(), self._second()
        out = a * c if self.selected is None else sum(last - first for first, last in self.selected)
        return (out, b * d, *kernel)

    def factors(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return (W1 [a, b], W2 [c, d, *kernel]) without the scale."""
        if self.w1 is not None:
            first = self.w1.to(dtype)
        else:
            assert self.w1_a is not None and self.w1_b is not None
            first = self.w1_a.to(dtype) @ self.w1_b.to(dtype)
        if self.w2 is not None:
            return first, self.w2.to(dtype)
        assert self.w2_a is not None and self.w2_b is not None
        return first, _factor(self.w2_a, self.w2_b, self.t2, dtype).reshape(self._second())

    def dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the change at strength 1."""
        first, second = self.factors(dtype)
        first = first.reshape(*first.shape, *(1 for _ in second.shape[2:]))
        whole = torch.kron(first, second.contiguous()) * self.scale
        return whole if self.selected is None else take(whole, self.selected)

    def rows(self, ranges: Ranges) -> Kronecker:
        """Return the change of these rows: the whole product is made, and these rows of it are kept."""
        if self.selected is not None:
            raise ValueError("rows of a Kronecker product are taken once")
        return replace(self, selected=tuple(ranges))


@dataclass(frozen=True, eq=False)
class Full:
    """A full difference, added as it is: diff [out, in, *kernel], or [n] for the weight of a norm."""

    kind: ClassVar[str] = "full"

    diff: Tensor

    @property
    def rank(self) -> int:
        """The rank of the change at most."""
        return min(self.shape[0], math.prod(self.shape[1:]))

    @property
    def scale(self) -> float:
        """1: a difference has no scale of its own."""
        return 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight."""
        return tuple(self.diff.shape)

    def dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the change at strength 1."""
        return self.diff.to(dtype)

    def rows(self, ranges: Ranges) -> Full:
        """Return the change of these rows."""
        return Full(take(self.diff, ranges))


Delta = LowRank | Hadamard | Kronecker | Full
