"""LoRAs in the weights for a time: diffusers' sums, and the old weights back, bit for bit."""

from __future__ import annotations

import copy
from typing import Any

import numpy
import pytest
import torch

from loragraph.diffusion import adapters, families, sampling
from loragraph.diffusion.adapters import Adapters, Schedule, Use, file_sha256, fused
from loragraph.diffusion.errors import LoraMismatch, SettingError
from loragraph.diffusion.lora import reading, writing
from loragraph.diffusion.lora.delta import LowRank
from loragraph.diffusion.lora.model import Change, Lora
from loragraph.tests.diffusion.adapters.conftest import MakeUse

FAMILY = families.get("flux")


def draw(pipeline: Any) -> numpy.ndarray:
    """Draw with the pipeline as it is."""
    return numpy.asarray(sampling.draw(pipeline, FAMILY, ["a red apple"], steps=2)[0], float)


def weights(pipeline: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in pipeline.transformer.state_dict().items()}


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_the_weights_are_those_of_diffusers_fuse_to_the_last_bit(pipeline: Any, make: MakeUse) -> None:
    uses = [make("a", 0.7, seed=1, rank=3), make("b", -1.3, seed=2, alpha=5.0, only="to_k")]
    theirs = copy.deepcopy(pipeline.transformer)
    for name, use in zip("ab", uses, strict=True):
        theirs.load_lora_adapter(use.path, prefix="transformer", adapter_name=name)
    theirs.set_adapters(["a", "b"], [use.strength for use in uses])
    theirs.fuse_lora(adapter_names=["a", "b"])
    wanted = {
        name.replace(".base_layer", ""): value for name, value in theirs.state_dict().items() if ".lora_" not in name
    }
    with fused(pipeline, uses):
        assert equal(weights(pipeline), wanted)


def test_a_hundred_times_leave_the_weights_bit_for_bit(pipeline: Any, make: MakeUse) -> None:
    """Subtracting again drifts: in diffusers a bf16 model is off by 1% after a hundred LoRAs."""
    half = copy.copy(pipeline)
    half.transformer = copy.deepcopy(pipeline.transformer).to(torch.bfloat16)
    before = weights(half)
    use = make(rank=2)
    for turn in range(100):
        with fused(half, [use._replace(strength=turn / 50 - 0.99)]):
            assert not torch.equal(
                half.transformer.transformer_blocks[0].attn.to_q.weight, before["transformer_blocks.0.attn.to_q.weight"]
            )
    assert equal(weights(half), before)


def test_it_draws_what_applied_draws_and_the_strength_is_whole_afterwards(pipeline: Any, make: MakeUse) -> None:
    use = make(blocks="*.to_k=0.5")
    before = draw(pipeline)
    with adapters.applied(pipeline, [use]):
        live = draw(pipeline)
    with fused(pipeline, [use._replace(strength=0.5)]):
        assert not numpy.array_equal(draw(pipeline), live)
    with adapters.applied(pipeline, [use]):
        assert numpy.array_equal(draw(pipeline), live)
    with fused(pipeline, [use]):
        assert numpy.abs(draw(pipeline) - live).max() <= 1
    assert numpy.array_equal(draw(pipeline), before)


def test_a_bias_comes_and_goes(pipeline: Any, tmp_path: Any) -> None:
    """Also where the layer has none."""
    model = pipeline.transformer
    name = "single_transformer_blocks.0.attn.to_q"
    layer = model.get_submodule(name)
    kept = layer.bias
    layer.bias = None
    try:
        lora = Lora(
            {f"transformer.{name}": Change(LowRank(torch.zeros(1, 32), torch.zeros(32, 1), 1.0), bias=torch.ones(32))},
            "flux",
        )
        path = writing.save(lora, tmp_path / "bias.safetensors", "kohya")
        use = Use(str(path), file_sha256(str(path)), 0.5)
        with fused(pipeline, [use]):
            assert torch.equal(layer.bias, torch.full((32,), 0.5))
        assert layer.bias is None
    finally:
        layer.bias = kept


def test_a_failure_inside_puts_the_weights_back(pipeline: Any, make: MakeUse) -> None:
    before = weights(pipeline)
    with pytest.raises(KeyboardInterrupt), fused(pipeline, [make()]):
        raise KeyboardInterrupt
    assert equal(weights(pipeline), before)


@pytest.mark.parametrize("settings", [{"schedule": Schedule(0.5)}, {"lines": (0,)}])
def test_what_changes_cannot_be_in_a_weight(pipeline: Any, make: MakeUse, settings: dict[str, Any]) -> None:
    before = weights(pipeline)
    with (
        pytest.raises(SettingError, match=r"one\.safetensors .* which a weight can't follow"),
        fused(pipeline, [make(**settings)]),
    ):
        pass
    assert equal(weights(pipeline), before)


def test_fused_and_applied_exclude_each_other(pipeline: Any, make: MakeUse) -> None:
    with fused(pipeline, [make()]), pytest.raises(RuntimeError, match="already open"), adapters.applied(pipeline, []):
        pass


def test_quantised_weights_are_refused_before_anything_is_touched(pipeline: Any, make: MakeUse) -> None:
    small = copy.copy(pipeline)
    small.transformer = copy.deepcopy(pipeline.transformer)
    layer = small.transformer.single_transformer_blocks[0].attn.to_v
    layer.weight.data = layer.weight.data.to(torch.float8_e4m3fn)
    before = weights(small)
    with pytest.raises(LoraMismatch, match=r"stored as torch\.float8_e4m3fn"), fused(small, [make()]):
        pass
    after = weights(small)
    assert all(torch.equal(after[name].float(), value.float()) for name, value in before.items())


def test_the_file_s_precision_is_used(pipeline: Any, make: MakeUse) -> None:
    """A bf16 base: the sum is made from the fp32 factors and rounded once."""
    half = copy.copy(pipeline)
    half.transformer = copy.deepcopy(pipeline.transformer).to(torch.bfloat16)
    use = make(strength=0.3)
    lora = reading.load(use.path)
    name = "transformer_blocks.0.attn.to_q"
    old = half.transformer.get_submodule(name).weight.clone()
    with fused(half, [use]):
        wanted = lora.changes[f"transformer.{name}"].weight(old, 0.3).to(torch.bfloat16)
        assert torch.equal(half.transformer.get_submodule(name).weight, wanted)
    assert Adapters(half).names() == ()
