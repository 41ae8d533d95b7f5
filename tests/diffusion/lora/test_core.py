"""Factors of every form of change, and their SVD, against dense matrices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lycoris.functional import locon, loha, lokr
from torch import Tensor

from loragraph.diffusion.lora import core
from loragraph.diffusion.lora.delta import Delta, Full, Hadamard, Kronecker, LowRank

SIZES = st.integers(1, 12)


def numbers(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def far(found: Tensor, wanted: Tensor) -> float:
    """Distance by the size of what is wanted."""
    return float((found.double() - wanted.double()).norm() / wanted.double().norm().clamp(min=1e-30))


FORMS: dict[str, Delta] = {
    "lora": LowRank(numbers(1, 3, 10), numbers(2, 8, 3), alpha=1.5),
    "rslora": LowRank(numbers(1, 4, 10), numbers(2, 8, 4), alpha=3.0, rank_stabilized=True),
    "conv": LowRank(numbers(1, 3, 4, 3, 3), numbers(2, 8, 3, 1, 1), alpha=1.0),
    "mid": LowRank(numbers(1, 3, 4, 1, 1), numbers(2, 8, 3, 1, 1), 1.0, mid=numbers(3, 3, 3, 3, 3)),
    "half precision": LowRank(
        numbers(1, 3, 10, dtype=torch.float16), numbers(2, 8, 3, dtype=torch.bfloat16), alpha=1.5
    ),
    "loha": Hadamard(numbers(1, 16, 2), numbers(2, 2, 12), numbers(3, 16, 3), numbers(4, 3, 12), alpha=1.0),
    "loha of full rank": Hadamard(numbers(1, 6, 4), numbers(2, 4, 7), numbers(3, 6, 4), numbers(4, 4, 7), alpha=1.0),
    "loha, tucker": Hadamard(
        *(numbers(1, 2, 16), numbers(2, 2, 5), numbers(3, 2, 16), numbers(4, 2, 5), 1.0),
        t1=numbers(5, 2, 2, 3, 3),
        t2=numbers(6, 2, 2, 3, 3),
        kernel=(3, 3),
    ),
    "lokr": Kronecker(1.0, w1_a=numbers(1, 4, 2), w1_b=numbers(2, 2, 3), w2_a=numbers(3, 8, 2), w2_b=numbers(4, 2, 9)),
    "lokr, one factor whole": Kronecker(9.0, w1=numbers(1, 2, 3), w2_a=numbers(3, 8, 2), w2_b=numbers(4, 2, 9)),
    "lokr, both whole": Kronecker(9.0, w1=numbers(1, 2, 3), w2=numbers(3, 5, 4)),
    "lokr, conv": Kronecker(9.0, w1=numbers(1, 3, 2), w2=numbers(3, 4, 5, 3, 3), kernel=(3, 3)),
    "lokr, tucker": Kronecker(
        2.0, w1=numbers(1, 3, 2), w2_a=numbers(2, 2, 5), w2_b=numbers(3, 2, 4), t2=numbers(4, 2, 2, 3, 3), kernel=(3, 3)
    ),
    "lokr, some rows": Kronecker(1.0, w1=numbers(1, 2, 3), w2_a=numbers(3, 8, 2), w2_b=numbers(4, 2, 9)).rows(
        [(3, 7), (12, 15)]
    ),
    "full": Full(numbers(1, 6, 9)),
    "full, conv": Full(numbers(1, 6, 2, 3, 3)),
}


@pytest.mark.parametrize("name", FORMS)
def test_factors_multiply_to_the_change(name: str) -> None:
    delta = FORMS[name]
    down, up = core.factors(delta)
    assert far(up @ down, delta.dense(torch.float64).flatten(1)) < 1e-14
    assert len(down) == delta.rank
    assert core.factors(delta, torch.float32)[0].dtype == torch.float32


def test_factors_are_those_of_the_library_that_made_the_forms() -> None:
    torch.manual_seed(0)
    tucker = loha.weight_gen(torch.empty(16, 5, 3, 3), 2, tucker=True)
    tucker = [part if part is None else torch.randn_like(part) for part in tucker]
    w1_b, w1_a, w2_b, w2_a, t1, t2 = tucker  # in lycoris "down" comes first
    made = Hadamard(w1_a, w1_b, w2_a, w2_b, alpha=1.0, t1=t1, t2=t2, kernel=(3, 3))
    down, up = core.factors(made)
    assert far((up @ down).reshape(made.shape), loha.diff_weight(*tucker, gamma=0.5)) < 1e-6
    w1, w2_b, w2_a = numbers(1, 4, 4), numbers(2, 2, 6), numbers(3, 10, 2)
    down, up = core.factors(Kronecker(3.0, w1=w1, w2_a=w2_a, w2_b=w2_b))
    assert far(up @ down, lokr.diff_weight(w1, None, None, None, w2_a, w2_b, None, gamma=3.0)) < 1e-6
    conv = [numbers(4, 3, 4, 1, 1), numbers(5, 8, 3, 1, 1), numbers(6, 3, 3, 3, 3)]
    down, up = core.factors(LowRank(conv[0], conv[1], 6.0, mid=conv[2]))
    assert far((up @ down).reshape(8, 4, 3, 3), locon.diff_weight(*conv, gamma=2.0)) < 1e-6


def test_a_vector_has_no_factors() -> None:
    with pytest.raises(ValueError, match="vector"):
        core.factors(Full(torch.ones(4)))


@settings(max_examples=60, deadline=None)
@given(
    out=SIZES,
    inside=SIZES,
    rank=SIZES,
    keep=SIZES,
    seed=st.integers(0, 999),
    lopsided=st.sampled_from([1.0, 1e6, 1e-6]),
)
def test_svd_of_factors_is_that_of_the_matrix(
    out: int, inside: int, rank: int, keep: int, seed: int, lopsided: float
) -> None:
    down, up = numbers(seed, rank, inside).double(), numbers(seed + 1, out, rank).double()
    # what one factor has, the other lacks: the product is the same, the conditioning is not
    spread = torch.linspace(0, 1, rank, dtype=torch.float64)
    down, up = down * (lopsided**spread).unsqueeze(1), up / lopsided**spread
    dense = up @ down
    left, values, right = torch.linalg.svd(dense, full_matrices=False)
    found = core.svd(down, up)
    most = min(out, inside, rank)
    assert len(found.values) == most
    assert far(found.values, values[:most]) < 1e-12
    assert far(core.values(down, up)[:most], values[:most]) < 1e-12
    assert far(found.left * found.values @ found.right, dense) < 1e-12
    nearest = left[:, :keep] * values[:keep] @ right[:keep]
    best = core.best(down, up, keep)
    error = values[keep:].norm()
    assert far(best.values, values[:most]) < 1e-6
    assert float((best.up @ best.down - dense).norm()) == pytest.approx(float(error), abs=1e-6 * float(values.norm()))
    assert best.energy == pytest.approx(core.share(values, keep), abs=1e-9)
    if error > 1e-3 * values.norm() and values[keep - 1] > 1.01 * values[keep]:
        assert far(best.up @ best.down, nearest) < 1e-6
    truncated = core.truncate(found, keep, (out, inside))
    assert truncated.scale == 1.0 and truncated.rank == min(keep, most)
    assert far(truncated.dense(torch.float64), nearest) < 1e-6 or values[min(keep, most) - 1] < 1e-3 * values[0] + error


def test_nothing_has_a_best_approximation_too() -> None:
    best = core.best(torch.ones(2, 5), torch.zeros(4, 2), 2)
    assert best.up.shape == (4, 1) and not (best.up @ best.down).any()
    assert best.energy == 1.0
    down, up = numbers(0, 3, 9), numbers(1, 8, 3)
    cancelled = core.best(*core.stack([(down, up), (down, -up)]), 4)
    assert not cancelled.values.any() and (cancelled.up @ cancelled.down).abs().max() < 1e-12


def test_convolutions_come_back_in_their_shape() -> None:
    wanted = numbers(0, 8, 4, 3, 3)
    pair = core.truncate(core.svd(*core.factors(Full(wanted))), 99, wanted.shape)
    assert pair.down.shape == (8, 4, 3, 3) and pair.up.shape == (8, 8, 1, 1)
    assert far(pair.dense(), wanted) < 1e-6


def test_a_stack_is_the_sum_and_no_larger_than_the_matrix() -> None:
    parts = [(numbers(seed, rank, 6), numbers(seed + 50, 9, rank)) for seed, rank in enumerate((2, 3, 4))]
    for count in (1, 2, 3):
        down, up = core.stack(parts[:count])
        assert far(up @ down, sum(up @ down for down, up in parts[:count])) < 1e-6
        assert len(down) == min(6, (2, 5, 9)[count - 1])


def test_products_and_norms_are_those_of_the_matrices() -> None:
    one, two = ((numbers(seed, 3, 9).double(), numbers(seed + 9, 7, 3).double()) for seed in (0, 1))
    dense = [up @ down for down, up in (one, two)]
    assert core.inner(one, two) == pytest.approx(float((dense[0] * dense[1]).sum()))
    assert core.norm(one) == pytest.approx(float(dense[0].norm()))


def test_changes_are_stacked_with_their_strengths_and_left_as_they_were() -> None:
    deltas = [(FORMS[name], strength) for name, strength in (("lora", 0.5), ("rslora", -2.0), ("half precision", 1.5))]
    before = [core.factors(delta) for delta, _ in deltas]
    (down, up), parts = core.stack_deltas(deltas)
    assert far(up @ down, sum(strength * delta.dense(torch.float64) for delta, strength in deltas)) < 1e-14
    for (delta, strength), (own_down, own_up), kept in zip(deltas, parts, before, strict=True):
        assert far(own_up @ own_down, strength * delta.dense(torch.float64)) < 1e-14
        assert all(torch.equal(old, new) for old, new in zip(kept, core.factors(delta), strict=True))
    assert (
        far(core.factors(FORMS["full"], strength=-3.0)[1] @ core.factors(FORMS["full"])[0], -3 * FORMS["full"].dense())
        < 1e-6
    )
