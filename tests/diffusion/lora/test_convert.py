"""Changes on their way out: scales folded, fused weights put together, everything exactly the same change."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loragraph.diffusion.errors import LoraMismatch, SettingError
from loragraph.diffusion.lora.convert import fused, renamed, without_idle_parts
from loragraph.diffusion.lora.delta import Full, Hadamard, Kronecker, LowRank
from loragraph.diffusion.lora.model import Change, Magnitude
from loragraph.diffusion.lora.names.table import Match, Row, Table, ranges
from loragraph.diffusion.lora.pairs import as_pair, folded

QKV = Match("qkv", ("q", "k", "v"), "equal")
LINEAR1 = Match("linear1", ("q", "k", "v", "mlp"), "square_then_rest")
SWAPPED = Match("lin", ("linear",), "swapped")


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair(seed: int = 0, rank: int = 3, out: int = 8, inside: int = 8, alpha: float | None = None) -> LowRank:
    return LowRank(numbers(seed, rank, inside), numbers(seed + 1000, out, rank), rank if alpha is None else alpha)


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-6) -> bool:
    return bool((found - expected).abs().max() <= tolerance * max(1.0, float(expected.abs().max())))


def loha(seed: int = 0, out: int = 24, inside: int = 8) -> Hadamard:
    names = {"w1_a": (out, 2), "w1_b": (2, inside), "w2_a": (out, 2), "w2_b": (2, inside)}
    return Hadamard(
        **{name: numbers(seed + place, *shape) for place, (name, shape) in enumerate(names.items())}, alpha=1.0
    )


def lokr(seed: int = 0) -> Kronecker:
    return Kronecker(2.0, w1=numbers(seed, 4, 2), w2_a=numbers(seed + 1, 6, 2), w2_b=numbers(seed + 2, 2, 4))


def thirds(delta: Hadamard | Kronecker) -> list[Change | None]:
    return [Change(delta.rows(rows)) for rows in ranges(QKV, 24, 8)]


@pytest.mark.parametrize("alpha", [1.0, 3.0, 0.7, 0.0])
@pytest.mark.parametrize("stabilized", [False, True])
def test_folding_keeps_the_change(alpha: float, stabilized: bool) -> None:
    before = replace(pair(), alpha=alpha, rank_stabilized=stabilized)
    after = folded(before)
    assert (after.scale, after.alpha, after.rank_stabilized) == (1.0, 3.0, False)
    assert close(after.dense(), before.dense())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_where_the_scale_is_a_power_of_two_and_becomes_float32_where_not(
    dtype: torch.dtype,
) -> None:
    half = LowRank(numbers(0, 4, 8).to(dtype), numbers(1, 8, 4).to(dtype), 2.0)
    assert (folded(half).up.dtype, folded(half).down.dtype) == (dtype, dtype)
    assert torch.equal(folded(half).dense(torch.float64), half.dense(torch.float64))
    odd = folded(replace(half, alpha=3.0 * math.pi))
    assert (odd.up.dtype, odd.down.dtype) == (torch.float32, torch.float32)
    assert close(odd.dense(), replace(half, alpha=3.0 * math.pi).dense())


def test_a_scale_that_half_precision_cannot_hold_overflows_nowhere() -> None:
    large = LowRank(torch.ones(1, 2).half(), torch.full((2, 1), 60000.0).half(), 2.0)
    assert folded(large).dense()[0, 0] == 120000.0


@given(
    ranks=st.lists(st.integers(0, 4), min_size=3, max_size=3).filter(any),
    shared=st.booleans(),
    alpha=st.sampled_from([1.0, 2.0, 0.3]),
)
@settings(max_examples=40, deadline=None)
def test_the_rows_of_a_fused_weight_are_its_parts(ranks: list[int], shared: bool, alpha: float) -> None:
    parts: list[Change | None] = []
    for place, rank in enumerate(ranks):
        part = pair(7 if shared else place, rank, 6, 8, alpha) if rank else None
        parts.append(Change(part and replace(part, up=numbers(place, 6, rank))) if part else None)
    whole = fused(QKV, parts).delta
    assert isinstance(whole, LowRank) and whole.scale == 1.0
    rows = {
        tuple(row.tolist()) for part in parts if part and isinstance(part.delta, LowRank) for row in part.delta.down
    }
    assert whole.rank == len(rows)  # those that several have are there once
    for part, rows in zip(parts, ranges(QKV, 18, 8), strict=True):
        found = whole.rows(rows).dense()
        assert close(found, torch.zeros(6, 8) if part is None or part.delta is None else part.delta.dense())


def test_pairs_that_share_their_a_stay_of_its_rank() -> None:
    whole = pair(0, 4, 24, 8)
    parts: list[Change | None] = [Change(whole.rows(rows)) for rows in ranges(QKV, 24, 8)]
    again = fused(QKV, parts).delta
    assert isinstance(again, LowRank)
    assert torch.equal(again.down, whole.down) and torch.equal(again.up, whole.up)


def test_a_fused_block_gets_zeros_for_an_mlp_that_is_not_changed() -> None:
    whole = fused(LINEAR1, [Change(pair(0)), None, Change(pair(1)), None]).delta
    assert whole is not None and whole.shape == (3 * 8 + 4 * 8, 8)
    q, k, v, mlp = (whole.rows(rows).dense() for rows in ranges(LINEAR1, 56, 8))
    assert close(q, pair(0).dense()) and close(v, pair(1).dense())
    assert not k.any() and not mlp.any()


def test_an_mlp_alone_finds_its_place_below_the_squares() -> None:
    whole = fused(LINEAR1, [None, None, None, Change(pair(0, 3, 20, 8))]).delta
    assert whole is not None and whole.shape == (44, 8)
    assert close(whole.dense()[24:], pair(0, 3, 20, 8).dense()) and not whole.dense()[:24].any()


def test_swapped_halves_are_swapped_back() -> None:
    there = Change(pair(), bias=numbers(5, 8))
    back = fused(SWAPPED, [there])
    assert back.delta is not None and there.delta is not None and back.bias is not None and there.bias is not None
    expected = there.delta.dense()
    assert close(back.delta.dense(), torch.cat([expected[4:], expected[:4]]))
    assert torch.equal(back.bias, torch.cat([there.bias[4:], there.bias[:4]]))


def test_loha_and_lokr_of_a_fused_weight_become_one_again() -> None:
    for delta in (loha(), lokr()):
        whole = fused(QKV, thirds(delta)).delta
        assert type(whole) is type(delta)
        assert torch.equal(whole.dense(), delta.dense())


def test_a_loha_beside_a_pair_becomes_an_exact_pair() -> None:
    parts: list[Change | None] = [Change(loha(0, 8)), Change(pair(3)), None]
    whole = fused(QKV, parts, limit=16).delta
    assert isinstance(whole, LowRank) and whole.rank == 4 + 3
    assert close(whole.dense()[:8], loha(0, 8).dense()) and close(whole.dense()[8:16], pair(3).dense())


def test_a_full_difference_makes_the_whole_a_full_difference() -> None:
    whole = fused(QKV, [Change(Full(numbers(0, 8, 8))), Change(pair()), None]).delta
    assert isinstance(whole, Full)
    assert close(whole.dense(), torch.cat([numbers(0, 8, 8), pair().dense(), torch.zeros(8, 8)]))


def test_biases_and_magnitudes_are_put_together() -> None:
    parts = [Change(pair(place), Magnitude(numbers(place, 8).abs()), numbers(place, 8)) for place in range(3)]
    whole = fused(QKV, parts)
    assert whole.magnitude is not None and whole.bias is not None
    assert torch.equal(whole.bias, torch.cat([numbers(place, 8) for place in range(3)]))
    assert torch.equal(whole.magnitude.vector, torch.cat([numbers(place, 8).abs() for place in range(3)]))


def test_a_bias_of_one_part_gets_zeros_beside_it() -> None:
    whole = fused(QKV, [None, Change(pair(), bias=numbers(0, 8)), None])
    assert whole.bias is not None
    assert torch.equal(whole.bias, torch.cat([torch.zeros(8), numbers(0, 8), torch.zeros(8)]))


def test_dora_on_some_parts_or_over_inputs_cannot_be_fused() -> None:
    dora = Change(pair(), Magnitude(torch.ones(8)))
    with pytest.raises(SettingError, match=r"only some of them are DoRA.*peft"):
        fused(QKV, [dora, Change(pair(1)), None])
    with pytest.raises(SettingError, match="over the inputs"):
        fused(QKV, [replace(dora, magnitude=Magnitude(torch.ones(8), 1))] * 3)


def test_parts_of_unequal_sizes_are_refused_by_name() -> None:
    with pytest.raises(LoraMismatch, match="q, k, v do not make up qkv, being of 8 and 6 and 8 outputs"):
        fused(QKV, [Change(pair()), Change(pair(0, 2, 6)), Change(pair())])
    with pytest.raises(LoraMismatch, match="8 or 9 inputs"):
        fused(QKV, [Change(pair()), Change(pair(0, 2, 8, 9)), Change(pair())])


def test_a_module_without_a_name_elsewhere_is_refused() -> None:
    table = Table((Row("a.qkv", ("x.q", "x.k", "x.v"), "equal"), Row("a.b", ("x.b",))))
    assert set(renamed({"x.q": Change(pair()), "x.b": Change(pair())}, table)) == {"a.qkv", "a.b"}
    with pytest.raises(SettingError, match=r"1 modules have no name there: x\.c"):
        renamed({"x.c": Change(pair())}, table)


def test_any_form_is_an_exact_pair() -> None:
    tucker = LowRank(numbers(0, 3, 5, 1, 1), numbers(1, 6, 3, 1, 1), 1.5, mid=numbers(2, 3, 3, 3, 3))
    for delta in (pair(), tucker, loha(), lokr(), Full(numbers(0, 6, 4)), lokr().rows([(8, 16)])):
        found = as_pair(delta, limit=64)
        assert found.scale == 1.0 and found.mid is None
        assert found.shape == delta.shape
        assert close(found.dense(), delta.dense())


def test_a_pair_larger_than_the_change_itself_is_only_made_when_allowed() -> None:
    with pytest.raises(ValueError, match="rank 4"):
        as_pair(Full(numbers(0, 6, 4)))
    assert as_pair(Full(numbers(0, 6, 4)), limit=4).rank == 4
    with pytest.raises(ValueError, match="rank 4"):
        as_pair(Full(numbers(0, 6, 4)), limit=3)


def test_zeros_that_fill_up_a_fused_weight_do_not_come_back() -> None:
    parts = {"q": Change(pair(0, 2)), "v": Change(pair(1, 3))}
    whole = fused(QKV, [parts["q"], None, parts["v"]]).delta
    assert isinstance(whole, LowRank) and whole.rank == 5
    read = {name: Change(whole.rows(rows)) for name, rows in zip("qkv", ranges(QKV, 24, 8), strict=True)}
    found = without_idle_parts(read)
    assert found.keys() == parts.keys()
    for name, change in found.items():
        delta, expected = change.delta, parts[name].delta
        assert isinstance(delta, LowRank) and expected is not None
        assert delta.rank == expected.rank and close(delta.dense(), expected.dense())


def test_zeros_that_a_training_left_stay() -> None:
    untrained = LowRank(numbers(0, 2, 8), torch.zeros(8, 2), 2.0)
    biased = replace(untrained, up=torch.zeros(8, 2))  # shares its A with the first
    changes = {"alone": Change(replace(untrained, down=numbers(1, 2, 8))), "b": Change(biased, bias=numbers(2, 8))}
    changes["c"] = Change(untrained)
    assert without_idle_parts(changes).keys() == {"alone", "b"}
