"""Merging by dropped entries and votes: the small space against the same rules worked out on dense matrices."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from loragraph.diffusion.lora import core_space
from loragraph.diffusion.lora.delta import LowRank
from loragraph.diffusion.lora.merge import merge
from loragraph.diffusion.lora.model import Change, Lora

NAME = "unet.a"


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def one_module(seed: int, rank: int = 4, out: int = 20, inside: int = 14, name: str = NAME) -> Lora:
    return Lora({name: Change(LowRank(numbers(seed, rank, inside), numbers(seed + 99, out, rank), 2.0))})


def dense(lora: Lora, name: str = NAME) -> Tensor:
    delta = lora.changes[name].delta
    assert delta is not None
    return delta.dense(torch.float64).flatten(1)


def far(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def cosine(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum() / (one.norm() * other.norm()))


def voted(parts: list[Tensor], strengths: list[float], density: float, vote: bool, normalize: bool) -> Tensor:
    """Trim, then vote or not, entry by entry in plain Python; the parts have the strengths in them."""
    kept = []
    for part in parts:
        flat = part.flatten().tolist()
        order = sorted(range(len(flat)), key=lambda place: -abs(flat[place]))
        chosen = set(order[: max(1, round(density * len(flat)))])
        kept.append([value if place in chosen else 0.0 for place, value in enumerate(flat)])
    result = []
    for entries in zip(*kept, strict=True):
        counted = [
            (value, abs(strength))
            for value, strength in zip(entries, strengths, strict=True)
            if not vote or value * sum(entries) > 0
        ]
        behind = sum(weight for _, weight in counted) if normalize else 1.0
        result.append(sum(value for value, _ in counted) / behind if counted else 0.0)
    return torch.tensor(result, dtype=torch.float64).reshape(parts[0].shape)


def by_hand(loras: list[tuple[Lora, float]], method: str, density: float, normalize: bool) -> Tensor:
    """The same from SVDs of the dense changes beside and above each other."""
    changes = [strength * dense(lora) for lora, strength in loras]
    strengths = [strength for _, strength in loras]
    left, values, right = torch.linalg.svd(torch.cat(changes, dim=1), full_matrices=False)
    count = int((values > 1e-9 * values[0]).sum())
    left, values, right = left[:, :count], values[:count], right[:count]
    if method == "knots":
        merged = voted(list(right.split(changes[0].shape[1], dim=1)), strengths, density, True, normalize)
        return left * values @ merged
    _, values, right = torch.linalg.svd(torch.cat(changes), full_matrices=False)
    right = right[: int((values > 1e-9 * values[0]).sum())]
    cores = [left.T @ change @ right.T for change in changes]
    return left @ voted(cores, strengths, density, method == "ties", normalize) @ right


@pytest.mark.parametrize("method", ["magnitude", "ties", "knots"])
@pytest.mark.parametrize("normalize", [False, True])
@settings(max_examples=12, deadline=None)
@given(
    ranks=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    strengths=st.lists(st.sampled_from([1.0, 0.7, -0.4, -1.3]), min_size=3, max_size=3),
    density=st.sampled_from([0.1, 0.35, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_the_small_space_gives_what_dense_matrices_give(
    method: str, normalize: bool, ranks: list[int], strengths: list[float], density: float, seed: int
) -> None:
    loras = [
        (one_module(seed + 200 * place, rank), strength)
        for place, (rank, strength) in enumerate(zip(ranks, strengths, strict=False))
    ]
    found = merge(loras, method, density=density, normalize=normalize).lora
    assert far(dense(found), by_hand(loras, method, density, normalize)) < 1e-6


def test_the_space_holds_every_change_without_loss() -> None:
    parts = [(numbers(seed, 3, 14).double(), numbers(seed + 9, 20, 3).double()) for seed in range(3)]
    left, cores, right = core_space.core_space([*parts, parts[0]])
    assert left.shape == (20, 9) and right.shape == (9, 14)
    torch.testing.assert_close(left.T @ left, torch.eye(9, dtype=torch.float64))
    torch.testing.assert_close(right @ right.T, torch.eye(9, dtype=torch.float64))
    for (down, up), core in zip([*parts, parts[0]], cores, strict=True):
        assert far(left @ core @ right, up @ down) < 1e-12


@pytest.mark.parametrize("method", core_space.RULES)
def test_the_result_does_not_depend_on_how_a_file_shares_a_change_out(method: str) -> None:
    turn = numbers(5, 4, 4) + 3 * torch.eye(4)
    one, two = one_module(0), one_module(1)
    pair = one.changes[NAME].delta
    assert isinstance(pair, LowRank)
    same = Lora({NAME: Change(LowRank(turn.inverse() @ pair.down, pair.up @ turn * 0.25, 8.0))})
    assert far(dense(same), dense(one)) < 1e-5
    first = merge([(one, 0.8), (two, -0.5)], method, density=0.6).lora
    assert far(dense(merge([(same, 0.8), (two, -0.5)], method, density=0.6).lora), dense(first)) < 1e-3


@pytest.mark.parametrize("method", core_space.RULES)
def test_with_nothing_dropped_and_nothing_to_vote_on_it_is_the_sum(method: str) -> None:
    one = one_module(0)
    merged = merge([(one, 0.3), (one, 0.5)], method, density=1.0)
    assert far(dense(merged.lora), 0.8 * dense(one)) < 1e-6
    assert merged.energy == pytest.approx(1.0)
    mean = merge([(one, 0.3), (one, 0.5)], method, density=1.0, normalize=True)
    assert far(dense(mean.lora), dense(one)) < 1e-6


def test_the_vote_weighs_strengths_and_adds_up_what_agrees() -> None:
    entries = [
        torch.tensor([3.0, -1.0, 1.0, 0.0]),
        torch.tensor([-1.0, -2.0, 1.0, 0.0]),
        torch.tensor([-1.0, 4.0, 1.0, 2.0]),
    ]
    assert core_space.elect(entries).tolist() == [3.0, 4.0, 3.0, 2.0]
    assert core_space.elect(entries, [1.0, 2.0, 4.0]).tolist() == pytest.approx([3.0, 1.0, 3 / 7, 0.5])
    assert core_space.elect([torch.tensor([1.0]), torch.tensor([-1.0])]).tolist() == [0.0]


def test_trimming_keeps_the_largest_by_size() -> None:
    entries = torch.tensor([[1.0, -4.0], [3.0, -2.0]])
    assert core_space.trim(entries, 0.5).tolist() == [[0.0, -4.0], [3.0, 0.0]]
    assert core_space.trim(entries, 0.01).tolist() == [[0.0, -4.0], [0.0, 0.0]]
    assert core_space.trim(entries, 1.0) is entries


@pytest.mark.parametrize("method", ["dare", "dare_ties"])
def test_a_draw_depends_on_seed_and_module_not_on_what_else_is_there(method: str) -> None:
    both = [(Lora({**one_module(0).changes, **one_module(2, name="unet.b").changes}), 1.0), (one_module(1), 1.0)]
    turned = [(Lora(dict(reversed(lora.changes.items()))), strength) for lora, strength in both]
    first = merge(both, method, seed=7).lora
    assert torch.equal(dense(first), dense(merge(turned, method, seed=7).lora))
    assert torch.equal(dense(first), dense(merge([(one_module(0), 1.0), (one_module(1), 1.0)], method, seed=7).lora))
    assert not torch.equal(dense(first), dense(merge(both, method, seed=8).lora))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    merge(both, method)
    assert torch.equal(before, torch.get_rng_state())


def test_dare_is_the_sum_on_average() -> None:
    loras = [(one_module(0), 0.8), (one_module(1), -0.5)]
    wanted = dense(merge(loras).lora)
    drawn = [dense(merge(loras, "dare", seed=seed, density=0.5).lora) for seed in range(200)]
    assert far(torch.stack(drawn).mean(dim=0), wanted) < 0.15
    assert 0.6 < sum(cosine(one, wanted) for one in drawn) / len(drawn) < 0.8  # sqrt(density)


@pytest.mark.parametrize("method", core_space.RULES)
def test_a_rank_is_kept_to_and_energy_is_what_lies_along_the_sum(method: str) -> None:
    loras = [(one_module(0), 0.8), (one_module(1), -0.5)]
    exact: dict[str, Any] = {"method": method, "density": 0.7, "seed": 3}
    whole, small = merge(loras, **exact), merge(loras, **exact, rank=3)
    assert whole.lora.rank == 8 and small.lora.rank == 3
    values = torch.linalg.svdvals(dense(whole.lora))
    lost = (dense(small.lora) - dense(whole.lora)).norm()
    assert float(lost) == pytest.approx(float(values[3:].norm()), rel=1e-5)
    wanted = dense(merge(loras).lora)
    for merged in (whole, small):
        assert merged.energy == pytest.approx(cosine(dense(merged.lora), wanted) ** 2, abs=1e-6)
        assert merged.energies == {NAME: pytest.approx(merged.energy)}


def test_in_the_small_space_more_of_the_sum_survives_than_in_a_and_b_apart() -> None:
    loras = [(one_module(seed, 8, 96, 64), 1.0) for seed in (0, 1)]
    wanted = dense(merge(loras).lora)
    found = merge(loras, "ties", density=0.5)
    pairs = [lora.changes[NAME].delta for lora, _ in loras]
    apart = []
    for side in ("up", "down"):
        trimmed = [core_space.trim(getattr(pair, side).double(), 0.5) for pair in pairs]
        apart.append(core_space.elect(trimmed))
    assert cosine(apart[0] @ apart[1], wanted) < 0.6 < 0.8 < cosine(dense(found.lora), wanted)
