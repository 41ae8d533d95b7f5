"""The maths of baking: what a change does to some rows of a weight, held in fp32.

A weight [out, in, *kernel] is worked on as a matrix [rows, width], a block of rows at a time. Blocks are small enough
to stay in the processor's cache from being read until they are written. A low-rank pair is added as diffusers fuses
it: the product first, then times the scale, then added, so that the sum in fp32 has the very same bits.

    W += (B[i:j] @ A) * (scale * strength)

    >>> step = Step(Change(LowRank(torch.ones(1, 3), torch.ones(2, 1), alpha=1.0)), strength=0.5)
    >>> work = Work("transformer.proj_out.weight", (2, 3), (step,))
    >>> block = torch.zeros(1, 3)
    >>> work.start().apply(block, first=1)
    >>> block
    tensor([[0.5000, 0.5000, 0.5000]])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..delta import Delta, Full, Hadamard, Kronecker, LowRank
from ..model import Change, Magnitude

BLOCK = 192 * 1024  # elements of a block: 768 KiB in fp32
Part = Callable[[int, int, float], Tensor]
"""Rows [first, last) of a delta, times a factor, as [rows, width]. It may be overwritten by the next call."""


class Scratch:
    """Tensors that are used again and again, so that the kernel has not to find new memory for every block."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, use: str, rows: int, width: int, dtype: torch.dtype) -> Tensor:
        """Return [rows, width]; its values are those of the last use of that name."""
        count = rows * width
        kept = self._kept.get((use, dtype))
        if kept is None or kept.numel() < count:
            kept = self._kept[use, dtype] = torch.empty(max(count, BLOCK), dtype=dtype)
        return kept[:count].view(rows, width)


class Step(NamedTuple):
    """One adapter's change of a module, at a strength."""

    change: Change
    strength: float


class Work(NamedTuple):
    """All that is to be done to one parameter: its canonical name and shape, and the steps in their order."""

    parameter: str
    shape: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def needs_columns(self) -> bool:
        """Whether the norms of whole columns have to be known before any row can be changed."""
        return self.parameter.endswith(".weight") and any(
            step.change.magnitude is not None and step.change.magnitude.axis == 1 for step in self.steps
        )

    def start(self, exact: torch.dtype = torch.float32, scratch: Scratch | None = None) -> Running:
        """Return the work ready to be applied in this dtype."""
        kind = _Bias if self.parameter.endswith(".bias") else _Weight
        room = scratch or Scratch()
        return Running(self, exact, tuple(kind(step, exact, room) for step in self.steps))


@dataclass(frozen=True)
class Running:
    """A work with its factors made."""

    work: Work
    exact: torch.dtype
    steps: tuple[_Bias | _Weight, ...]

    def apply(self, block: Tensor, first: int) -> None:
        """Change rows of the parameter in place; `first` is the number of the block's first row."""
        for step in self.steps:
            step.apply(block, first)

    def learn_columns(self, blocks: Callable[[], Iterable[tuple[int, Tensor]]]) -> None:
        """Find the norms of columns that DoRA over the inputs needs. `blocks` gives (first row, unchanged rows)."""
        for number, step in enumerate(self.steps):
            if not isinstance(step, _Weight) or not step.by_column:
                continue
            squares = torch.zeros(math.prod(self.work.shape[1:]), dtype=torch.float64)
            for first, block in blocks():
                for earlier in self.steps[:number]:
                    earlier.apply(block, first)
                squares += step.moved(block, first).double().square().sum(dim=0)
            step.set_columns(squares, self.work.shape)


class _Bias:
    def __init__(self, step: Step, exact: torch.dtype, scratch: Scratch) -> None:
        assert step.change.bias is not None
        self.bias = step.change.bias.to(exact).reshape(-1, 1)
        self.strength = step.strength

    def apply(self, block: Tensor, first: int) -> None:
        block.add_(self.bias[first : first + len(block)] * self.strength)


class _Weight:
    def __init__(self, step: Step, exact: torch.dtype, scratch: Scratch) -> None:
        self.change, self.strength, self.exact = step.change, step.strength, exact
        self.part = None if step.change.delta is None else part_of(step.change.delta, exact, scratch)
        self.ratios: Tensor | None = None

    @property
    def by_column(self) -> bool:
        return self.change.magnitude is not None and self.change.magnitude.axis == 1

    def apply(self, block: Tensor, first: int) -> None:
        last = first + len(block)
        if self.change.set_weight is not None:
            rows = self.change.set_weight[first:last].to(self.exact).reshape(len(block), -1)
            block.add_(self.strength * (rows - block))
        if self.part is None:
            return
        if self.change.magnitude is None:
            block.add_(self.part(first, last, self.strength))
            return
        moved = self.moved(block, first)
        ratios = _row_ratios(self.change.magnitude, moved, first) if self.ratios is None else self.ratios
        moved.mul_(ratios)
        block.add_(moved.sub_(block), alpha=self.strength)

    def moved(self, block: Tensor, first: int) -> Tensor:
        """Return W + D, which DoRA gives new norms."""
        assert self.part is not None
        return block + self.part(first, first + len(block), 1.0)

    def set_columns(self, squares: Tensor, shape: tuple[int, ...]) -> None:
        """squares: the sum of squares of each column of W + D [in · kernel]."""
        assert self.change.magnitude is not None
        vector = self.change.magnitude.vector.double().flatten()
        if len(vector) < len(squares):  # one number for an input channel: the norm is over the kernel too
            kernel = len(squares) // len(vector)
            ratios = (vector / squares.reshape(-1, kernel).sum(dim=1).sqrt()).repeat_interleave(kernel)
        else:
            ratios = vector / squares.sqrt()
        self.ratios = ratios.to(self.exact)


def _row_ratios(magnitude: Magnitude, moved: Tensor, first: int) -> Tensor:
    vector = magnitude.vector.to(moved.dtype).flatten()[first : first + len(moved)]
    return (vector / moved.norm(dim=1)).unsqueeze(1)


def part_of(delta: Delta, exact: torch.dtype, scratch: Scratch) -> Part:
    """Return what makes the rows of a delta, its factors converted once."""
    if isinstance(delta, LowRank):
        return _low_rank(delta, exact, scratch)
    if isinstance(delta, Kronecker):
        return _kronecker(delta, exact)
    if isinstance(delta, Hadamard):
        return _hadamard(delta, exact)
    assert isinstance(delta, Full)
    diff = delta.diff
    return lambda first, last, factor: diff[first:last].to(exact, copy=True).reshape(last - first, -1).mul_(factor)


def _low_rank(delta: LowRank, exact: torch.dtype, scratch: Scratch) -> Part:
    down, up = (factor.contiguous() for factor in delta.factors(exact))

    def part(first: int, last: int, factor: float) -> Tensor:
        room = scratch.take("part", last - first, down.shape[1], exact)
        rows = torch.mm(up[first:last], down, out=room)
        scale = delta.scale * factor
        return rows if scale == 1 else rows.mul_(scale)

    return part


def _hadamard(delta: Hadamard, exact: torch.dtype) -> Part:
    if delta.t1 is not None:
        return lambda first, last, factor: (
            delta.rows([(first, last)]).dense(exact).reshape(last - first, -1).mul_(factor)
        )
    a1, b1, a2, b2 = (factor.to(exact) for factor in (delta.w1_a, delta.w1_b, delta.w2_a, delta.w2_b))
    return lambda first, last, factor: (a1[first:last] @ b1).mul_(a2[first:last] @ b2).mul_(delta.scale * factor)


def _kronecker(delta: Kronecker, exact: torch.dtype) -> Part:
    """Row i · c + k of W1 ⊗ W2 is row i of W1 times row k of W2 [c, d · kernel]; only the rows asked for are made."""
    if delta.selected is not None:
        whole = delta.dense(exact)
        return lambda first, last, factor: whole[first:last].reshape(last - first, -1) * factor
    first_factor, second_factor = delta.factors(exact)
    count, inside = len(second_factor), second_factor.shape[1]
    kernel = math.prod(second_factor.shape[2:])
    second = second_factor.reshape(count, 1, inside * kernel)

    def part(first: int, last: int, factor: float) -> Tensor:
        rows = torch.empty(last - first, first_factor.shape[1] * inside * kernel, dtype=exact)
        at = first
        while at < last:
            row, k = divmod(at, count)
            many = min(count - k, last - at)
            here = rows[at - first : at - first + many].view(many, -1, inside * kernel)
            torch.mul(second[k : k + many], first_factor[row].reshape(1, -1, 1), out=here)
            at += many
        return rows.mul_(delta.scale * factor)

    return part
