"""What baking does to the rows of one weight: the same as the model says of the whole."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from loragraph.diffusion.lora.bake.arithmetic import Step, Work
from loragraph.diffusion.lora.delta import Delta, Full, Hadamard, Kronecker, LowRank
from loragraph.diffusion.lora.model import Change, Magnitude

NUMBERS = torch.Generator()
KINDS = ("lora", "conv", "tucker", "loha", "loha tucker", "lokr", "lokr conv", "lokr tucker", "full", "norm")


def some(*shape: int) -> Tensor:
    return torch.randn(shape, generator=NUMBERS)


def delta_of(kind: str, out: int, inside: int, rank: int) -> Delta:
    alpha, kernel = 0.5 * rank, (3, 3)
    match kind:
        case "lora":
            return LowRank(some(rank, inside), some(out, rank), alpha)
        case "conv":
            return LowRank(some(rank, inside, *kernel), some(out, rank, 1, 1), alpha, rank_stabilized=True)
        case "tucker":
            return LowRank(some(rank, inside, 1, 1), some(out, rank, 1, 1), alpha, mid=some(rank, rank, *kernel))
        case "loha":
            return Hadamard(some(out, rank), some(rank, inside), some(out, rank), some(rank, inside), alpha)
        case "loha tucker":
            pairs = (some(rank, out), some(rank, inside), some(rank, out), some(rank, inside))
            return Hadamard(*pairs, alpha, some(rank, rank, *kernel), some(rank, rank, *kernel), kernel)
        case "lokr":
            return Kronecker(alpha, w1=some(2, 2), w2_a=some(out // 2, rank), w2_b=some(rank, inside // 2))
        case "lokr conv":
            return Kronecker(alpha, w1=some(2, 2), w2=some(out // 2, inside // 2, *kernel), kernel=kernel)
        case "lokr tucker":
            factors: dict[str, Any] = {"w2_a": some(rank, out // 2), "w2_b": some(rank, inside // 2)}
            core = some(rank, rank, *kernel)
            return Kronecker(alpha, w1_a=some(2, 1), w1_b=some(1, 2), **factors, t2=core, kernel=kernel)
        case "norm":
            return Full(some(out))
    return Full(some(out, inside))


def bake_rows(steps: list[Step], weight: Tensor, block: int) -> Tensor:
    """Change a weight block by block, as it is done between two files."""
    work = Work("x.weight", tuple(weight.shape), tuple(steps))
    running, flat = work.start(weight.dtype), weight.clone().reshape(len(weight), -1)
    firsts = range(0, len(weight), block)
    if work.needs_columns:
        running.learn_columns(lambda: ((first, flat[first : first + block].clone()) for first in firsts))
    for first in firsts:
        running.apply(flat[first : first + block], first)
    return flat.reshape(weight.shape)


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        (kind, way)
        for kind in KINDS
        for way in ("plain", "dora rows", "dora columns")
        if kind != "norm" or way == "plain"
    ],
)
def test_rows_are_changed_as_the_whole_would_be(kind: str, way: str) -> None:
    NUMBERS.manual_seed(1)
    delta = delta_of(kind, 12, 8, 3)
    magnitude = None
    if way == "dora rows":
        magnitude = Magnitude(some(12).abs(), 0)
    elif way == "dora columns":
        magnitude = Magnitude(some(math.prod(delta.shape[1:])).abs(), 1)
    change = Change(delta, magnitude)
    weight = some(*delta.shape).double()
    found = bake_rows([Step(change, 0.7)], weight, block=5)
    torch.testing.assert_close(found, change.weight(weight, 0.7), rtol=1e-9, atol=1e-9)


def test_dora_over_input_channels_takes_the_kernel_into_the_norm() -> None:
    NUMBERS.manual_seed(2)
    change = Change(delta_of("conv", 6, 4, 2), Magnitude(some(4).abs(), 1))
    weight = some(6, 4, 3, 3).double()
    found = bake_rows([Step(change, -0.4)], weight, block=4)
    torch.testing.assert_close(found, change.weight(weight, -0.4), rtol=1e-9, atol=1e-9)


def test_steps_follow_one_another() -> None:
    NUMBERS.manual_seed(3)
    changes = [
        Change(delta_of("lora", 10, 6, 2)),
        Change(delta_of("lora", 10, 6, 3), Magnitude(some(6).abs(), 1)),
        Change(delta_of("loha", 10, 6, 2), Magnitude(some(10).abs())),
        Change(set_weight=some(10, 6)),
    ]
    weight = wanted = some(10, 6).double()
    for change, strength in zip(changes, (0.5, 1.0, -0.3, 0.8), strict=True):
        wanted = change.weight(wanted, strength)
    steps = [Step(change, strength) for change, strength in zip(changes, (0.5, 1.0, -0.3, 0.8), strict=True)]
    torch.testing.assert_close(bake_rows(steps, weight, block=3), wanted, rtol=1e-9, atol=1e-9)


def test_a_replaced_weight_at_full_strength_is_that_weight() -> None:
    NUMBERS.manual_seed(4)
    change = Change(set_weight=some(7))
    found = bake_rows([Step(change, 1.0)], torch.zeros(7), block=2)
    assert change.set_weight is not None and torch.equal(found, change.set_weight)


def test_biases_are_added() -> None:
    bias = torch.arange(5.0)
    work = Work("x.bias", (5,), (Step(Change(bias=bias), 0.5), Step(Change(bias=bias), 1.0)))
    block = torch.ones(3, 1)
    work.start().apply(block, first=2)
    assert block.flatten().tolist() == [4.0, 5.5, 7.0]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_low_rank_pair_has_the_bits_of_product_times_scale_added(data: st.DataObject) -> None:
    NUMBERS.manual_seed(data.draw(st.integers(0, 99)))
    out, inside = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 70))
    rank, alpha = data.draw(st.integers(1, 40)), data.draw(st.sampled_from([1.0, 7.0, 16.0]))
    strength = data.draw(st.sampled_from([1.0, 0.8, -0.37]))
    down, up, weight = some(rank, inside), some(out, rank), some(out, inside)
    found = bake_rows([Step(Change(LowRank(down, up, alpha)), strength)], weight, block=out)
    assert torch.equal(found, weight + (up @ down) * (alpha / rank * strength))
