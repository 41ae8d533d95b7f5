"""LoRAs at a lower rank: the rules that choose it, and what is left, against dense singular values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from loragraph.diffusion.errors import SettingError
from loragraph.diffusion.lora.criterion import Criterion
from loragraph.diffusion.lora.delta import Delta, Full, Hadamard, Kronecker, LowRank
from loragraph.diffusion.lora.model import Change, Lora, Magnitude, plain
from loragraph.diffusion.lora.resize import resize

SPECTRA = st.lists(st.floats(0.001, 100), min_size=1, max_size=12).map(lambda found: sorted(found)[::-1])


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def far(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted.double()).norm() / wanted.double().norm().clamp(min=1e-30))


def one(delta: Delta, **beside: Any) -> Lora:
    return Lora({"unet.a": Change(delta, **beside)})


FORMS: dict[str, Delta] = {
    "alpha below rank": LowRank(numbers(1, 8, 20), numbers(2, 16, 8), alpha=2.0),
    "negative alpha": LowRank(numbers(1, 8, 20), numbers(2, 16, 8), alpha=-2.0),
    "rslora": LowRank(numbers(1, 8, 20), numbers(2, 16, 8), alpha=4.0, rank_stabilized=True),
    "more ranks than inputs": LowRank(numbers(1, 9, 4), numbers(2, 16, 9), alpha=9.0),
    "conv": LowRank(numbers(1, 8, 4, 3, 3), numbers(2, 16, 8, 1, 1), alpha=4.0),
    "tucker": LowRank(numbers(1, 6, 5, 1, 1), numbers(2, 16, 6, 1, 1), 3.0, mid=numbers(3, 6, 6, 3, 3)),
    "loha": Hadamard(numbers(1, 40, 3), numbers(2, 3, 36), numbers(3, 40, 3), numbers(4, 3, 36), alpha=1.0),
    "loha of full rank": Hadamard(numbers(1, 10, 4), numbers(2, 4, 9), numbers(3, 10, 4), numbers(4, 4, 9), alpha=2.0),
    "lokr": Kronecker(-2.0, w1=numbers(1, 4, 3), w2_a=numbers(2, 5, 2), w2_b=numbers(3, 2, 7)),
    "lokr, conv": Kronecker(1.0, w1=numbers(1, 3, 2), w2=numbers(3, 4, 5, 3, 3), kernel=(3, 3)),
    "lokr, tucker": Kronecker(
        2.0, w1=numbers(1, 3, 2), w2_a=numbers(2, 2, 5), w2_b=numbers(3, 2, 4), t2=numbers(4, 2, 2, 3, 3), kernel=(3, 3)
    ),
    "lokr, some rows": Kronecker(1.0, w1=numbers(1, 4, 3), w2=numbers(3, 5, 4)).rows(((2, 9),)),
    "full": Full(numbers(1, 12, 17)),
    "full, conv": Full(numbers(1, 12, 4, 3, 3)),
}


@given(SPECTRA, st.floats(1, 50), st.floats(0.01, 1), st.integers(1, 14))
def test_rules_keep_what_their_definitions_say(spectrum: list[float], ratio: float, share: float, rank: int) -> None:
    values = torch.tensor(spectrum, dtype=torch.float64)
    above = sum(value > spectrum[0] / ratio for value in spectrum)
    assert Criterion(sv_ratio=ratio).count(values) == max(1, above)
    for rule, parts in (("sv_cumulative", values), ("sv_fro", values.square())):
        wanted = share if rule == "sv_cumulative" else share**2
        kept = Criterion(**{rule: share}).count(values)
        total = float(parts.sum())
        assert float(parts[:kept].sum()) >= wanted * total * (1 - 1e-9)
        # one fewer is not enough, so there is no rank too many
        assert kept == 1 or float(parts[: kept - 1].sum()) < wanted * total
        assert Criterion(rank=rank, **{rule: share}).count(values) == min(kept, rank)
    assert Criterion(rank=rank).count(values) == min(rank, len(spectrum))


@pytest.mark.parametrize(
    ("settings_", "field"),
    [
        ({}, "rank"),
        ({"sv_fro": 0.9, "sv_ratio": 3.0}, "sv_fro"),
        ({"rank": 0}, "rank"),
        ({"rank": True}, "rank"),
        ({"rank": 2.5}, "rank"),
        ({"sv_fro": 1.1}, "sv_fro"),
        ({"sv_cumulative": 0.0}, "sv_cumulative"),
        ({"sv_cumulative": float("nan")}, "sv_cumulative"),
        ({"sv_ratio": 0.5}, "sv_ratio"),
        ({"sv_ratio": float("inf")}, "sv_ratio"),
    ],
)
def test_bad_rules_are_refused_by_name(settings_: dict[str, Any], field: str) -> None:
    with pytest.raises(SettingError) as caught:
        resize(one(FORMS["conv"]), **settings_)
    assert caught.value.field == field


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rank", [1, 3, 100])
def test_every_form_becomes_its_best_approximation_with_its_scale(form: str, rank: int) -> None:
    delta = FORMS[form]
    found = resize(one(delta), rank=rank)
    smaller = found.lora.changes["unet.a"].delta
    assert isinstance(smaller, LowRank) and smaller.shape == delta.shape
    assert smaller.rank == found.ranks["unet.a"] <= max(rank, delta.rank)
    values = torch.linalg.svdvals(delta.dense(torch.float64).flatten(1))
    best = float(values[rank:].norm() / values.norm())
    assert far(smaller.dense(torch.float64), delta.dense(torch.float64)) == pytest.approx(best, abs=1e-6)
    assert found.energy == found.energies["unet.a"] == pytest.approx(1 - best**2, abs=1e-6)
    if rank < delta.rank:
        assert smaller.rank <= rank and smaller.scale == 1.0


@settings(max_examples=25)
@given(
    st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.sampled_from([(), (1, 1), (3, 3)]), st.integers(1, 7)
)
def test_sizes_of_all_kinds(rank: int, out: int, inside: int, kernel: tuple[int, ...], keep: int) -> None:
    up = numbers(8, out, rank, *(1 for _ in kernel))
    delta = LowRank(numbers(7, rank, inside, *kernel), up, alpha=0.5)
    smaller = resize(one(delta), rank=keep).lora.changes["unet.a"].delta
    assert smaller is not None and smaller.shape == delta.shape
    values = torch.linalg.svdvals(delta.dense(torch.float64).flatten(1))
    best = float(values[keep:].norm() / values.norm())
    assert far(smaller.dense(torch.float64), delta.dense(torch.float64)) == pytest.approx(best, abs=1e-6)


def test_a_pair_of_low_rank_already_is_untouched() -> None:
    delta = FORMS["rslora"]
    assert resize(one(delta), rank=8).lora.changes["unet.a"].delta is delta
    assert resize(one(delta), rank=4).lora.changes["unet.a"].delta is not delta


@pytest.mark.parametrize("rule", [{"sv_ratio": 2.0}, {"sv_cumulative": 0.5}, {"sv_fro": 0.5}, {"rank": 4}])
def test_a_layer_one_wide_is_no_special_case(rule: dict[str, Any]) -> None:
    delta = LowRank(numbers(1, 4, 1), numbers(2, 6, 4), alpha=4.0)
    found = resize(one(delta), **rule)
    assert far(found.lora.changes["unet.a"].delta.dense(), delta.dense()) < 1e-6  # type: ignore[union-attr]


def test_each_module_has_the_rank_that_its_own_values_ask_for() -> None:
    def of(values: list[float]) -> tuple[Tensor, Tensor, float]:
        size = len(values)
        return torch.eye(size, 9), torch.eye(7, size) * torch.tensor(values), float(size)

    lora = plain({"unet.steep": of([8, 1, 0.5, 0.1]), "unet.flat": of([1, 1, 1, 1]), "unet.zero": of([0, 0])})
    found = resize(lora, sv_fro=0.9)
    assert found.ranks == {"unet.steep": 1, "unet.flat": 4, "unet.zero": 1}
    assert found.energies["unet.zero"] == 1.0
    assert resize(lora, sv_fro=0.9, rank=2).ranks["unet.flat"] == 2
    kept, total = 64 + 4, 64 + 1 + 0.25 + 0.01 + 4
    assert found.energy == pytest.approx(kept / total)


def test_what_has_no_rank_stays_as_it_is() -> None:
    delta = FORMS["alpha below rank"]
    magnitude, bias, norm = Magnitude(numbers(5, 16)), numbers(6, 16), Full(numbers(7, 16))
    replaced = Change(set_weight=numbers(8, 16))
    lora = Lora({"unet.a": Change(delta, magnitude, bias), "unet.norm": Change(norm), "unet.b": replaced}, "sdxl")
    found = resize(lora, rank=2)
    change = found.lora.changes["unet.a"]
    assert change.magnitude is magnitude and change.bias is bias and found.lora.family == "sdxl"
    assert found.lora.changes["unet.norm"].delta is norm and found.lora.changes["unet.b"] is replaced
    assert found.ranks == {"unet.a": 2}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_tensors_keep_their_precision(dtype: torch.dtype) -> None:
    delta = LowRank(numbers(1, 8, 20).to(dtype), numbers(2, 16, 8).to(dtype), alpha=8.0)
    smaller = resize(one(delta), rank=3).lora.changes["unet.a"].delta
    assert isinstance(smaller, LowRank)
    assert smaller.up.dtype == (torch.float32 if dtype == torch.float64 else dtype)
    wide = resize(one(delta), rank=100, dtype=torch.float32).lora.changes["unet.a"].delta
    assert isinstance(wide, LowRank) and wide.up.dtype == torch.float32
    assert far(wide.dense(), delta.dense()) < 1e-6


@pytest.mark.parametrize("alpha", [8e-5, 8.0, 8e5])
def test_small_and_large_changes_fit_into_half_precision(alpha: float) -> None:
    """With all of S in B, a small change would be left with a handful of subnormal numbers."""
    delta = LowRank(numbers(1, 8, 400).half() * 0.02, numbers(2, 300, 8).half() * 0.02, alpha)
    smaller = resize(one(delta), rank=7).lora.changes["unet.a"].delta
    assert isinstance(smaller, LowRank) and smaller.up.dtype == torch.float16
    left, values, right = torch.linalg.svd(delta.dense(torch.float64), full_matrices=False)
    assert far(smaller.dense(), (left[:, :7] * values[:7]) @ right[:7]) < 1e-3


@pytest.mark.parametrize("form", ["full", "lokr"])
@pytest.mark.parametrize("rule", [{"rank": 20}, {"sv_fro": 0.9}, {"sv_ratio": 8.0}, {"sv_cumulative": 0.7}])
def test_large_changes_are_cut_as_the_dense_singular_values_say(form: str, rule: dict[str, Any]) -> None:
    fade = torch.arange(1, 321, dtype=torch.float32) ** -0.7
    left, right = torch.linalg.qr(numbers(1, 320, 320))[0], torch.linalg.qr(numbers(2, 330, 320))[0].T
    delta = {"full": Full((left * fade) @ right), "lokr": Kronecker(1.0, w1=numbers(3, 16, 8), w2=numbers(4, 20, 40))}[
        form
    ]
    values = torch.linalg.svdvals(delta.dense(torch.float64))
    wanted = Criterion(**rule).count(values)
    found = resize(one(delta), **rule)
    assert abs(found.ranks["unet.a"] - wanted) <= 1
    best = 1 - float(values[found.ranks["unet.a"] :].norm() / values.norm()) ** 2
    assert found.energy == pytest.approx(best, rel=0.005)
    smaller = found.lora.changes["unet.a"].delta
    assert smaller is not None
    assert 1 - far(smaller.dense(), delta.dense()) ** 2 == pytest.approx(found.energy, abs=1e-4)


def test_progress_counts_modules_and_may_stop_it() -> None:
    lora = Lora({f"unet.{number}": Change(FORMS["conv"]) for number in range(3)})
    seen: list[tuple[int, int]] = []
    resize(lora, rank=2, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resize(lora, rank=2, on_progress=stop)
