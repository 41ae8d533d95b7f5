"""Several LoRAs into one: the exact sum, the best of a rank, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from loragraph.diffusion.errors import LoraMismatch, SettingError
from loragraph.diffusion.lora.delta import Delta, Full, Hadamard, Kronecker, LowRank
from loragraph.diffusion.lora.merge import METHODS, merge
from loragraph.diffusion.lora.model import Change, Lora, Magnitude

Weighted = list[tuple[Lora, float]]


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def low_rank(seed: int, rank: int, alpha: float, out: int = 40, inside: int = 24, **more: Any) -> LowRank:
    return LowRank(numbers(seed, rank, inside), numbers(seed + 500, out, rank), alpha, **more)


def lora(seed: int, rank: int, alpha: float, modules: str = "abc", **more: Any) -> Lora:
    return Lora(
        {f"unet.{name}": Change(low_rank(seed + 7 * place, rank, alpha, **more)) for place, name in enumerate(modules)}
    )


def plain_sum(loras: Weighted) -> dict[str, Tensor]:
    """The sum of what the LoRAs do, made dense in fp64 from the definition alone."""
    total: dict[str, Tensor] = {}
    for one, strength in loras:
        for name, change in one.changes.items():
            if change.delta is not None:
                part = strength * change.delta.dense(torch.float64)
                total[name] = total[name] + part if name in total else part
    return total


def delta_of(made: Lora, name: str) -> Delta:
    delta = made.changes[name].delta
    assert delta is not None
    return delta


def far(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


THREE: Weighted = [(lora(0, 4, 2.0), 0.7), (lora(1, 6, 6.0, "ab"), -1.3), (lora(2, 3, 1.0, "bcd"), 0.4)]


def test_concat_is_the_sum() -> None:
    merged = merge(THREE)
    for name, wanted in plain_sum(THREE).items():
        assert far(delta_of(merged.lora, name).dense(), wanted) < 1e-6
    ranks = {name: change.delta.rank for name, change in merged.lora.changes.items() if change.delta}
    assert ranks == {"unet.a": 10, "unet.b": 13, "unet.c": 7, "unet.d": 3}
    assert merged.energy == 1.0 and set(merged.energies.values()) == {1.0}
    assert all(change.delta.scale == 1.0 for change in merged.lora.changes.values() if change.delta)


def test_svd_without_a_rank_is_the_sum() -> None:
    merged = merge(THREE, "svd")
    for name, wanted in plain_sum(THREE).items():
        assert far(delta_of(merged.lora, name).dense(), wanted) < 1e-6
        assert delta_of(merged.lora, name).rank == torch.linalg.matrix_rank(wanted)
    assert merged.energy == pytest.approx(1.0)


def test_svd_at_a_rank_is_the_best_there_is_and_reports_what_it_keeps() -> None:
    merged = merge(THREE, "svd", rank=5)
    kept = total = 0.0
    for name, wanted in plain_sum(THREE).items():
        values = torch.linalg.svdvals(wanted)
        best = float(values[5:].norm() / values.norm())
        assert far(delta_of(merged.lora, name).dense(), wanted) == pytest.approx(best, abs=1e-6)
        assert delta_of(merged.lora, name).rank <= 5
        assert merged.energies[name] == pytest.approx(1 - best**2, abs=1e-6)
        kept, total = kept + float(values[:5].square().sum()), total + float(values.square().sum())
    assert merged.energy == pytest.approx(kept / total)
    assert 0.3 < merged.energy < 0.95


class _Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name in "abcd":
            self.add_module(name, nn.Linear(24, 40))


def test_svd_does_what_peft_does_where_peft_is_right() -> None:
    model = get_peft_model(_Layers(), LoraConfig(r=4, lora_alpha=2.0, target_modules=["a", "b", "c"]), "one")
    model.add_adapter("two", LoraConfig(r=6, lora_alpha=6.0, target_modules=["a", "b", "c"]))
    loras: Weighted = [(lora(0, 4, 2.0), 0.7), (lora(1, 6, 6.0), -1.3)]
    for adapter, (one, _) in zip(("one", "two"), loras, strict=True):
        for name, change in one.changes.items():
            layer = model.base_model.model.get_submodule(name.removeprefix("unet."))
            assert isinstance(change.delta, LowRank)
            layer.lora_A[adapter].weight.data = change.delta.down
            layer.lora_B[adapter].weight.data = change.delta.up
    model.add_weighted_adapter(["one", "two"], [0.7, -1.3], "both", combination_type="svd", svd_rank=5)
    merged = merge(loras, "svd", rank=5)
    for name in ("a", "b", "c"):
        theirs = model.base_model.model.get_submodule(name).get_delta_weight("both").detach().double()
        assert far(delta_of(merged.lora, f"unet.{name}").dense(), theirs) < 1e-5


@pytest.mark.parametrize("method", ["concat", "svd"])
def test_rank_stabilised_sources_keep_their_scale(method: str) -> None:
    loras: Weighted = [(lora(0, 16, 8.0, "a", rank_stabilized=True), 1.0), (lora(1, 4, 8.0, "a"), 0.5)]
    one, two = (low_rank(0, 16, 0.0), low_rank(1, 4, 0.0))
    wanted = 8 / math.sqrt(16) * (one.up.double() @ one.down.double()) + 0.5 * 2 * (two.up.double() @ two.down.double())
    assert far(delta_of(merge(loras, method).lora, "unet.a").dense(), wanted) < 1e-6


@pytest.mark.parametrize("method", ["concat", "svd"])
def test_a_lora_less_itself_is_nothing_and_has_no_cross_terms(method: str) -> None:
    one, two = lora(0, 8, 8.0, "a"), lora(1, 8, 8.0, "a")
    gone = merge([(one, 1.0), (one, -1.0)], method)
    assert delta_of(gone.lora, "unet.a").dense().abs().max() < 1e-5
    assert "cancel" in merge([(one, 1.0), (one, -1.0)], "svd").warnings[0]
    left = merge([(one, 1.0), (two, -1.0), (one, -1.0)], method)
    assert far(delta_of(left.lora, "unet.a").dense(), plain_sum([(two, -1.0)])["unet.a"]) < 1e-5


def test_names_that_begin_alike_are_not_mixed_up() -> None:
    names = ("unet.attn.to_q", "unet.attn.to_q_proj", "unet.attn.to_q.lora")
    loras: Weighted = [
        (Lora({name: Change(low_rank(seed, 2, 2.0)) for seed, name in enumerate(names)}), 0.5),
        (Lora({names[0]: Change(low_rank(9, 2, 2.0))}), 2.0),
    ]
    merged = merge(loras)
    for name, wanted in plain_sum(loras).items():
        assert far(delta_of(merged.lora, name).dense(), wanted) < 1e-6
    assert delta_of(merged.lora, names[1]).rank == 2


MIXED: dict[str, Delta] = {
    "half": LowRank(numbers(0, 4, 24).half(), numbers(1, 40, 4).bfloat16(), 3.0),
    "stabilised": low_rank(2, 5, 3.0, rank_stabilized=True),
    "loha": Hadamard(numbers(4, 40, 2), numbers(5, 2, 24), numbers(6, 40, 2), numbers(7, 2, 24), alpha=1.0),
    "lokr": Kronecker(
        1.0, w1_a=numbers(8, 4, 1), w1_b=numbers(9, 1, 3), w2_a=numbers(10, 10, 2), w2_b=numbers(11, 2, 8)
    ),
    "lokr of full rank": Kronecker(1.0, w1=numbers(12, 4, 3), w2=numbers(13, 10, 8)),
    "full": Full(numbers(14, 40, 24)),
}


@pytest.mark.parametrize("method", ["concat", "svd"])
@pytest.mark.parametrize("name", MIXED)
def test_every_form_adds_to_every_other(name: str, method: str) -> None:
    loras: Weighted = [
        (Lora({"unet.a": Change(delta)}), strength)
        for delta, strength in ((MIXED[name], -0.7), (low_rank(20, 3, 3.0), 0.4))
    ]
    delta = delta_of(merge(loras, method).lora, "unet.a")
    assert far(delta.dense(), plain_sum(loras)["unet.a"]) < 1e-6
    assert (delta.kind == "full") == (method == "concat" and name in ("lokr of full rank", "full"))


def test_convolutions_and_their_1x1_as_a_matrix() -> None:
    conv = LowRank(numbers(0, 3, 6, 3, 3), numbers(1, 8, 3, 1, 1), 1.5)
    other = LowRank(numbers(2, 2, 6, 3, 3), numbers(3, 8, 2, 1, 1), 1.0)
    point, matrix = LowRank(numbers(4, 2, 6, 1, 1), numbers(5, 8, 2, 1, 1), 1.0), low_rank(6, 3, 1.0, 8, 6)
    one = Lora({"unet.conv": Change(conv), "unet.proj": Change(point)})
    two = Lora({"unet.conv": Change(other), "unet.proj": Change(matrix)})
    for method in ("concat", "svd", "ties"):
        made = merge([(one, 1.0), (two, 0.5)], method, density=1.0).lora
        assert delta_of(made, "unet.conv").shape == (8, 6, 3, 3)
        assert delta_of(made, "unet.proj").shape == (8, 6, 1, 1)
        if method != "ties":
            wanted = conv.dense(torch.float64) + 0.5 * other.dense(torch.float64)
            assert far(delta_of(made, "unet.conv").dense(), wanted) < 1e-6
            wanted = point.dense(torch.float64) + 0.5 * matrix.dense(torch.float64).reshape(8, 6, 1, 1)
            assert far(delta_of(made, "unet.proj").dense(), wanted) < 1e-6


def test_ranks_that_add_up_to_more_than_the_layer_has_are_folded() -> None:
    loras: Weighted = [(lora(seed, 20, 5.0, "a"), 0.5) for seed in range(3)]
    delta = delta_of(merge(loras).lora, "unet.a")
    assert delta.rank == 24
    assert far(delta.dense(), plain_sum(loras)["unet.a"]) < 1e-6


@pytest.mark.parametrize("method", ["concat", "svd", "ties", "dare"])
def test_biases_and_norms_are_added_up(method: str) -> None:
    one = Lora({"unet.a": Change(low_rank(0, 2, 2.0), bias=numbers(1, 40)), "unet.norm": Change(Full(numbers(2, 16)))})
    two = Lora(
        {"unet.a": Change(bias=numbers(3, 40).half()), "unet.norm": Change(Full(numbers(4, 16)), bias=numbers(5, 16))}
    )
    made = merge([(one, 2.0), (two, -0.5)], method, density=1.0).lora
    found = [made.changes["unet.a"].bias, delta_of(made, "unet.norm").dense(), made.changes["unet.norm"].bias]
    wanted = [2 * numbers(1, 40) - 0.5 * numbers(3, 40).half().float(), 2 * numbers(2, 16) - 0.5 * numbers(4, 16)]
    for left, right in zip(found, [*wanted, -0.5 * numbers(5, 16)], strict=True):
        assert left is not None
        torch.testing.assert_close(left, right)
    assert far(delta_of(made, "unet.a").dense(), 2 * low_rank(0, 2, 2.0).dense(torch.float64)) < 1e-6


def test_a_mean_in_place_of_a_sum() -> None:
    sums, means = merge(THREE).lora, merge(THREE, normalize=True).lora
    shares = {"unet.a": 2.0, "unet.b": 2.4, "unet.c": 1.1, "unet.d": 0.4}
    for name, share in shares.items():
        assert far(delta_of(means, name).dense() * share, delta_of(sums, name).dense().double()) < 1e-6
    small = merge(THREE, "svd", rank=4, normalize=True)
    assert small.energy == pytest.approx(merge(THREE, "svd", rank=4).energy)
    wanted = delta_of(merge(THREE, "svd", rank=4).lora, "unet.b").dense().double() / 2.4
    assert far(delta_of(small.lora, "unet.b").dense(), wanted) < 1e-6


def test_strengths_by_block_multiply_and_0_leaves_out() -> None:
    blocks = ["a=0, b=0.5", "", "c-d=0"]
    with pytest.raises(SettingError, match="c-d"):
        merge(THREE, blocks=blocks)
    blocks[2] = "c=0, d=0"
    merged = merge(THREE, blocks=blocks).lora
    assert list(merged.changes) == ["unet.b", "unet.c", "unet.a"]
    scaled = {name: delta.double() for name, delta in plain_sum([THREE[0]]).items()}
    rest = plain_sum(THREE[1:])
    assert far(delta_of(merged, "unet.a").dense(), plain_sum([THREE[1]])["unet.a"]) < 1e-6
    assert far(delta_of(merged, "unet.b").dense(), 0.5 * scaled["unet.b"] + rest["unet.b"]) < 1e-6
    assert far(delta_of(merged, "unet.c").dense(), scaled["unet.c"]) < 1e-6


def test_inputs_that_only_a_control_lora_has_get_zeros_from_the_others() -> None:
    wide, narrow = low_rank(0, 3, 3.0, 8, 12), low_rank(1, 2, 2.0, 8, 6)
    control, style = Lora({"unet.x": Change(wide, widens=True)}), Lora({"unet.x": Change(narrow)})
    for order in ([(control, 1.0), (style, 0.5)], [(style, 0.5), (control, 1.0)]):
        made = merge(order).lora
        wanted = wide.dense(torch.float64)
        wanted[:, :6] += 0.5 * narrow.dense(torch.float64)
        assert made.changes["unet.x"].widens
        assert far(delta_of(made, "unet.x").dense(), wanted) < 1e-6
    with pytest.raises(LoraMismatch, match="different models"):
        merge([(Lora({"unet.x": Change(wide)}), 1.0), (style, 1.0)])


def test_dora_and_replaced_weights_are_refused_by_name() -> None:
    dora = Lora({"unet.a": Change(low_rank(0, 2, 2.0), magnitude=Magnitude(torch.ones(40)))})
    sets = Lora({"unet.norm": Change(set_weight=torch.ones(16)), "unet.b": Change(low_rank(1, 2, 2.0))})
    with pytest.raises(LoraMismatch, match=r"LoRA 2 is a DoRA.*unet\.a.*Bake it into the base"):
        merge([(lora(0, 2, 2.0), 1.0), (dora, 1.0)])
    with pytest.raises(LoraMismatch, match=r"gloss\.safetensors replaces weights of the base \(unet\.norm\)"):
        merge([(sets, 1.0)], labels=["gloss.safetensors"])
    assert list(merge([(sets, 1.0)], blocks=["norm=0"]).lora.changes) == ["unet.b"]


def test_loras_of_different_models_are_refused() -> None:
    one = Lora({"transformer.a": Change(low_rank(0, 2, 2.0))}, family="flux")
    two = Lora({"unet.a": Change(low_rank(0, 2, 2.0))}, family="sdxl")
    with pytest.raises(LoraMismatch, match=r"LoRA 1 is for FLUX\.1, LoRA 2 is for .*XL"):
        merge([(one, 1.0), (two, 1.0)])
    narrow = Lora({"unet.a": Change(low_rank(0, 2, 2.0, 8, 24))})
    with pytest.raises(LoraMismatch, match=r"unet\.a is \[40, 24\] in LoRA 1, \[8, 24\] in LoRA 2"):
        merge([(lora(0, 2, 2.0), 1.0), (narrow, 1.0)])
    assert merge([(one, 1.0), (Lora(one.changes), 1.0)]).lora.family == "flux"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "tied"}, 'use one of concat, svd, .* Did you mean "ties"'),
        ({"method": "svd", "rank": 0}, "rank = 0"),
        ({"method": "svd", "rank": True}, "rank = True"),
        ({"rank": 4}, 'use the method "svd"'),
        ({"density": 0.0}, "density = 0.0"),
        ({"density": 1.5}, "density = 1.5"),
        ({"blocks": ["", ""]}, "one for each of the 3 LoRAs"),
        ({"blocks": ["", "", "nowhere=1"]}, "nowhere"),
    ],
)
def test_nonsense_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        merge(THREE, **settings)


def test_nothing_to_combine_is_refused() -> None:
    with pytest.raises(SettingError, match="at least one LoRA"):
        merge([])
    with pytest.raises(SettingError, match="strength"):
        merge([(lora(0, 2, 2.0), math.nan)])
    with pytest.raises(SettingError, match=r"strengths = \[0\.0, 1\.0\]: nothing is left"):
        merge([(lora(0, 2, 2.0), 0.0), (lora(1, 2, 2.0), 1.0)], blocks=["", "unet=0"])


@pytest.mark.parametrize("strength", [1e30, 1e300])
@pytest.mark.parametrize("method", METHODS)
def test_strengths_that_overflow_are_refused(method: str, strength: float) -> None:
    loud = Lora({"unet.a": Change(LowRank(numbers(0, 2, 6), 1e12 * numbers(1, 8, 2), 2.0))})
    with pytest.raises(SettingError, match=r"strengths = \[.*: unet\.a would change by more than fp32 can hold"):
        merge([(loud, strength), (loud, strength)], method, density=1.0)


def test_progress_counts_modules_and_may_stop_it() -> None:
    seen: list[tuple[int, int]] = []
    merge(THREE, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(THREE, on_progress=stop)


def test_what_was_said_of_the_sources_is_said_again() -> None:
    one = Lora(lora(0, 2, 2.0, "a").changes, warnings=("The scale is a guess.",))
    merged = merge([(one, 1.0), (lora(1, 2, 2.0, "b"), 1.0)], labels=["one", "two"])
    assert merged.warnings[0] == "one: The scale is a guess."
    assert "No module is changed by more than one" in merged.warnings[1]


def test_a_lora_that_changes_nothing_keeps_all_its_energy() -> None:
    zero = Lora({"unet.a": Change(LowRank(torch.ones(2, 24), torch.zeros(40, 2), 2.0))})
    for method in ("concat", "svd", "ties", "dare", "knots"):
        merged = merge([(zero, 1.0)], method)
        assert merged.energy == 1.0
        assert not delta_of(merged.lora, "unet.a").dense().any()


ONE_SOURCE = st.tuples(
    st.integers(1, 9),  # rank
    st.floats(0.1, 32),  # alpha
    st.booleans(),  # rank-stabilised
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    st.floats(-2, 2).filter(lambda strength: abs(strength) > 1e-3),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ONE_SOURCE, min_size=1, max_size=4), st.integers(1, 16), st.integers(1, 16), st.integers(1, 9))
def test_any_ranks_shapes_dtypes_and_strengths(sources: list[Any], out: int, inside: int, keep: int) -> None:
    loras: Weighted = []
    for seed, (rank, alpha, stabilised, dtype, strength) in enumerate(sources):
        delta = LowRank(
            numbers(seed, rank, inside).to(dtype), numbers(seed + 9, out, rank).to(dtype), alpha, None, stabilised
        )
        loras.append((Lora({"unet.a": Change(delta)}), strength))
    wanted = plain_sum(loras)["unet.a"]
    size = math.sqrt(sum(float(plain_sum([one])["unet.a"].square().sum()) for one in loras))
    for method, rank in (("concat", None), ("svd", None), ("svd", keep)):
        merged = merge(loras, method, rank=rank)
        values = torch.linalg.svdvals(wanted)
        lost = float(values[rank:].norm()) if rank else 0.0
        error = float((delta_of(merged.lora, "unet.a").dense(torch.float64) - wanted).norm())
        assert error == pytest.approx(lost, abs=1e-6 * size)
        if float(values.norm()) > 1e-3 * size:
            assert merged.energy == pytest.approx(1 - (lost / float(values.norm())) ** 2, abs=1e-6)
