"""How alike two LoRAs are, against the definitions on dense matrices."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from loragraph.diffusion.errors import LoraMismatch
from loragraph.diffusion.lora.compare import compare
from loragraph.diffusion.lora.delta import Delta, Full, Hadamard, Kronecker, LowRank
from loragraph.diffusion.lora.model import Change, Lora

OUT, IN = 12, 18


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pair(seed: int, rank: int, alpha: float = 1.0, out: int = OUT, inside: int = IN) -> LowRank:
    return LowRank(numbers(seed, rank, inside), numbers(seed + 1, out, rank), alpha)


def one(delta: Delta) -> Lora:
    return Lora({"unet.a": Change(delta)})


FORMS: dict[str, Delta] = {
    "lora": pair(1, 3),
    "rslora": LowRank(numbers(3, 4, IN), numbers(4, OUT, 4), 2.0, rank_stabilized=True),
    "loha": Hadamard(numbers(5, OUT, 2), numbers(6, 2, IN), numbers(7, OUT, 2), numbers(8, 2, IN), alpha=1.0),
    "lokr": Kronecker(1.0, w1=numbers(9, 3, 2), w2_a=numbers(10, 4, 1), w2_b=numbers(11, 1, 9)),
    "full": Full(numbers(12, OUT, IN)),
}


def overlap(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Similarity of the outputs' and the inputs' spaces by dense SVDs (2106.09685, section 7.2)."""
    spaces = []
    for matrix in (a, b):
        left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
        rank = int((values > values[0] * 1e-6).sum())
        spaces.append((left[:, :rank], right[:rank].T))
    (left_a, right_a), (left_b, right_b) = spaces
    smaller = min(left_a.shape[1], left_b.shape[1])
    return (
        float((left_a.T @ left_b).norm() ** 2) / smaller,
        float((right_a.T @ right_b).norm() ** 2) / smaller,
    )


@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("second", FORMS)
def test_forms_are_compared_as_the_matrices_that_they_are(first: str, second: str) -> None:
    a, b = FORMS[first], FORMS[second]
    dense_a, dense_b = a.dense(torch.float64), b.dense(torch.float64)
    found = compare(one(a), one(b)).modules["unet.a"]
    assert (found.outputs, found.inputs) == pytest.approx(overlap(dense_a, dense_b), abs=1e-6)
    assert found.cosine == pytest.approx(float((dense_a * dense_b).sum() / dense_a.norm() / dense_b.norm()), abs=1e-6)
    assert found.ratio == pytest.approx(float(dense_b.norm() / dense_a.norm()))


@settings(max_examples=25)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(2, 12), st.integers(2, 12))
def test_ranks_and_sizes_of_all_kinds(rank_a: int, rank_b: int, out: int, inside: int) -> None:
    a, b = pair(1, rank_a, out=out, inside=inside), pair(3, rank_b, 5.0, out=out, inside=inside)
    found = compare(one(a), one(b)).modules["unet.a"]
    dense_a, dense_b = a.dense(torch.float64), b.dense(torch.float64)
    assert (found.outputs, found.inputs) == pytest.approx(overlap(dense_a, dense_b), abs=1e-5)
    assert found.rank_a == min(rank_a, out, inside)


def test_a_lora_is_like_itself_whatever_its_strength_and_rank() -> None:
    twice = LowRank(torch.cat([FORMS["lora"].down] * 2), torch.cat([FORMS["lora"].up] * 2, dim=1), -3.0)  # type: ignore[union-attr]
    found = compare(one(FORMS["lora"]), one(twice))
    assert found.modules["unet.a"].rank_b == 3
    assert (found.inputs, found.outputs, found.cosine) == pytest.approx((1, 1, -1))
    assert found.ratio == pytest.approx(float(twice.dense().norm() / FORMS["lora"].dense().norm()))


def test_one_side_may_be_shared_without_the_other() -> None:
    a = LowRank(torch.eye(3, IN), torch.eye(OUT, 3), 3.0)
    b = LowRank(torch.eye(3, IN), torch.eye(OUT, 6)[:, 3:], 3.0)
    found = compare(one(a), one(b))
    assert (found.inputs, found.outputs, found.cosine) == pytest.approx((1, 0, 0))


def test_unrelated_loras_are_alike_by_chance() -> None:
    a, b = (Lora({f"unet.{n}": Change(pair(10 * n + seed, 8, out=96, inside=64)) for n in range(8)}) for seed in (1, 3))
    found = compare(a, b)
    assert (found.chance_outputs, found.chance_inputs) == pytest.approx((8 / 96, 8 / 64))
    assert (found.outputs, found.inputs) == pytest.approx((8 / 96, 8 / 64), rel=0.15)
    assert abs(found.cosine) < 0.1


def test_the_whole_counts_modules_that_only_one_has() -> None:
    a = Lora({"unet.a": Change(pair(1, 2)), "unet.only": Change(pair(5, 2))})
    b = Lora({"unet.a": Change(pair(1, 2)), "unet.norm": Change(Full(numbers(7, 4))), "unet.b": Change(pair(9, 2))})
    found = compare(a, b)
    assert (found.only_a, found.only_b) == (("unet.only",), ("unet.b",))
    first, second = ([change.delta.dense() for change in lora.changes.values()] for lora in (a, b))  # type: ignore[union-attr]
    norm_a, norm_b = float(torch.cat(first).norm()), float(torch.cat([first[0], second[2]]).norm())
    assert (found.norm_a, found.norm_b) == pytest.approx((norm_a, norm_b))
    assert found.cosine == pytest.approx(float(first[0].norm() ** 2) / norm_a / norm_b)
    assert json.loads(json.dumps(found.as_json()))["modules"]["unet.a"]["cosine"] == pytest.approx(1)


def test_large_full_changes_are_compared_by_their_leading_directions() -> None:
    fade = torch.arange(1, 401, dtype=torch.float32) ** -1.5
    left, right = torch.linalg.qr(numbers(1, 400, 400))[0], torch.linalg.qr(numbers(2, 400, 400))[0]
    full = (left * fade) @ right
    low = LowRank(right[:4].clone(), (left * fade)[:, :4].clone(), 4.0)
    found = compare(one(Full(full)), one(low)).modules["unet.a"]
    assert (found.inputs, found.outputs) == pytest.approx((1, 1), abs=1e-3)
    assert found.cosine == pytest.approx(float((full * low.dense()).sum() / full.norm() / low.dense().norm()), abs=1e-5)
    both = compare(one(Full(full)), one(Full(full + 0.01 * numbers(3, 400, 400)))).modules["unet.a"]
    assert 0 < both.cosine < 1


def test_a_change_of_nothing_is_like_nothing() -> None:
    found = compare(one(LowRank(numbers(1, 2, IN), torch.zeros(OUT, 2), 1.0)), one(FORMS["lora"]))
    alike = found.modules["unet.a"]
    assert (alike.inputs, alike.outputs, alike.cosine, alike.ratio, alike.rank_a) == (0, 0, 0, 0, 0)


def test_loras_for_different_models_are_refused() -> None:
    with pytest.raises(LoraMismatch, match=r"unet.a is \[12, 18\] in one, \[12, 20\] in the other"):
        compare(one(pair(1, 2)), one(pair(1, 2, inside=20)))
    with pytest.raises(LoraMismatch, match="no weight in common"):
        compare(one(pair(1, 2)), Lora({"unet.b": Change(pair(1, 2))}))
    with pytest.raises(LoraMismatch, match="none"):
        compare(one(pair(1, 2)), Lora({"unet.a": Change(bias=numbers(1, 3))}))
