"""Files that the libraries themselves write (peft, diffusers, lycoris-lora), against the weights that they compute."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel, UNet2DConditionModel
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from loragraph.diffusion.lora import reading
from loragraph.diffusion.lora.model import Lora
from loragraph.tests.diffusion.lora.made import assert_close

RANK, ALPHA = 4, 2.0
ATTENTION = [
    "transformer_blocks.0.attn.to_q",
    "transformer_blocks.0.attn.to_out.0",
    "transformer_blocks.0.ff.net.0.proj",
    "single_transformer_blocks.0.proj_out",
]


@pytest.fixture
def transformer() -> FluxTransformer2DModel:
    torch.manual_seed(0)
    return FluxTransformer2DModel(
        in_channels=8,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(2, 2, 4),
    )


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=12,
        attention_head_dim=8,
        norm_num_groups=4,
    )


def trained(model: nn.Module) -> dict[str, Tensor]:
    """Make the adapter's weights random, as if it had learned, and return the base's weights by module."""
    numbers = torch.Generator().manual_seed(1)
    base = {}
    for name, value in model.named_parameters():
        if re.search(r"lora_|hada_|lokr_", name):
            with torch.no_grad():
                noise = torch.rand(value.shape, generator=numbers) + 0.5
                value.copy_(noise if "magnitude" in name else torch.randn(value.shape, generator=numbers))
        elif name.endswith(".weight"):
            plain = name.replace("base_model.model.", "").replace(".base_layer", "").removesuffix(".weight")
            base[plain] = value.detach().clone()
    return base


def merged(model: nn.Module) -> dict[str, Tensor]:
    """The weights that peft itself makes."""
    found = {}
    for name, module in model.named_modules():
        if hasattr(module, "merge") and hasattr(module, "base_layer"):
            module.merge()
            found[name.replace("base_model.model.", "")] = module.base_layer.weight.detach().clone()
    return found


def assert_makes(lora: Lora, component: str, base: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
    assert {name.removeprefix(f"{component}.") for name in lora.changes} == set(weights)
    for name, weight in weights.items():
        change = lora.changes[f"{component}.{name}"]
        # fp32 sums of a few dozen products, in another order
        torch.testing.assert_close(change.weight(base[name]), weight, rtol=1e-5, atol=2e-5)


PEFT_CONFIGS: dict[str, Any] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "patterns": {"rank_pattern": {"ff.net.0.proj": 2}, "alpha_pattern": {"ff.net.0.proj": 8, "attn.to_q": 1}},
}


@pytest.mark.parametrize("settings", PEFT_CONFIGS)
def test_what_diffusers_saves(settings: str, transformer: FluxTransformer2DModel, tmp_path: Path) -> None:
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=ATTENTION, **PEFT_CONFIGS[settings])
    transformer.add_adapter(config)
    base = trained(transformer)
    FluxPipeline.save_lora_weights(
        tmp_path,
        transformer_lora_layers=get_peft_model_state_dict(transformer),
        transformer_lora_adapter_metadata=transformer.peft_config["default"].to_dict(),
    )
    lora = reading.load(tmp_path / "pytorch_lora_weights.safetensors")
    assert (lora.dialect, lora.family, lora.warnings) == ("peft", "flux", ())
    assert_makes(lora, "transformer", base, merged(transformer))


@pytest.mark.parametrize("settings", PEFT_CONFIGS)
def test_what_peft_saves(settings: str, transformer: FluxTransformer2DModel, tmp_path: Path) -> None:
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=ATTENTION, **PEFT_CONFIGS[settings])
    model = get_peft_model(transformer, config)
    base = trained(model)
    model.save_pretrained(tmp_path)
    lora = reading.load(tmp_path / "adapter_model.safetensors")
    assert (lora.dialect, lora.family, lora.warnings) == ("raw-peft", "flux", ())
    assert_makes(lora, "transformer", base, merged(model))


@pytest.mark.parametrize(
    "config",
    [
        LoHaConfig(r=RANK, alpha=ALPHA, target_modules=ATTENTION),
        LoKrConfig(r=2, alpha=ALPHA, target_modules=ATTENTION),
        # neither factor is decomposed, and peft divides by r all the same
        LoKrConfig(r=32, alpha=ALPHA, target_modules=ATTENTION),
        LoKrConfig(r=1, alpha=ALPHA, target_modules=ATTENTION, decompose_both=True),
    ],
    ids=["loha", "lokr", "lokr-whole", "lokr-both"],
)
def test_lycoris_adapters_that_peft_saves(config: Any, transformer: FluxTransformer2DModel, tmp_path: Path) -> None:
    model = get_peft_model(transformer, config)
    base = trained(model)
    model.save_pretrained(tmp_path)
    lora = reading.load(tmp_path / "adapter_model.safetensors")
    assert_makes(lora, "transformer", base, merged(model))


def test_a_bias_of_the_second_factor_is_scaled_with_it(transformer: FluxTransformer2DModel, tmp_path: Path) -> None:
    transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=ATTENTION, lora_bias=True))
    trained(transformer)
    FluxPipeline.save_lora_weights(
        tmp_path,
        transformer_lora_layers=get_peft_model_state_dict(transformer),
        transformer_lora_adapter_metadata=transformer.peft_config["default"].to_dict(),
    )
    lora = reading.load(tmp_path / "pytorch_lora_weights.safetensors")
    layer = transformer.get_submodule(ATTENTION[0])
    before = layer.base_layer.bias.detach().clone()
    layer.merge()
    change = lora.changes[f"transformer.{ATTENTION[0]}"]
    assert change.bias is not None
    torch.testing.assert_close(before + change.bias, layer.base_layer.bias.detach())


ALGORITHMS: dict[str, dict[str, Any]] = {
    "locon": {"algo": "lora"},
    "locon-tucker": {"algo": "lora", "use_tucker": True},
    "locon-rs": {"algo": "lora", "rs_lora": True},
    "dora-output": {"algo": "lora", "dora_wd": True},
    "dora-input": {"algo": "lora", "dora_wd": True, "wd_on_output": False},
    "loha": {"algo": "loha"},
    "loha-tucker": {"algo": "loha", "use_tucker": True},
    "loha-dora": {"algo": "loha", "dora_wd": True},
    "lokr": {"algo": "lokr", "factor": 2},
    "lokr-tucker": {"algo": "lokr", "factor": 2, "use_tucker": True},
    "lokr-whole": {"algo": "lokr", "full_matrix": True},
    "lokr-both": {"algo": "lokr", "decompose_both": True},
    "lokr-dora": {"algo": "lokr", "factor": 2, "dora_wd": True, "wd_on_output": False},
    "full": {"algo": "full"},
    "norms": {"algo": "lora", "train_norm": True},
}


SHAPES: dict[type, Any] = {
    nn.Linear: lambda layer: (3, layer.in_features),
    nn.Conv2d: lambda layer: (2, layer.in_channels, 6, 6),
    nn.GroupNorm: lambda layer: (2, layer.num_channels, 6, 6),
    nn.LayerNorm: lambda layer: (3, *layer.normalized_shape),
}


def applied(layer: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What the layer makes of x with these weights."""
    if isinstance(layer, nn.Linear):
        return functional.linear(x, weight, bias)
    if isinstance(layer, nn.Conv2d):
        return functional.conv2d(x, weight, bias, layer.stride, layer.padding)
    if isinstance(layer, nn.GroupNorm):
        return functional.group_norm(x, layer.num_groups, weight, bias, layer.eps)
    return functional.layer_norm(x, layer.normalized_shape, weight, bias, layer.eps)


@pytest.fixture
def quiet_lycoris() -> Iterator[None]:
    logger = logging.getLogger("LyCORIS")
    before = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(before)


@pytest.mark.usefixtures("quiet_lycoris")
@pytest.mark.parametrize(
    ("algorithm", "prefix"),
    [*((name, "lora_unet_") for name in ALGORITHMS), ("locon", "lycoris_"), ("lokr", "lycoris_")],
)
def test_what_lycoris_saves(algorithm: str, prefix: str, unet: UNet2DConditionModel, tmp_path: Path) -> None:
    from lycoris import LycorisNetwork, create_lycoris

    LycorisNetwork.apply_preset({"target_module": ["Transformer2DModel", "ResnetBlock2D"]})
    names = {id(module): name for name, module in unet.named_modules()}
    weights = {name: value.detach().clone() for name, value in unet.named_parameters()}
    network = create_lycoris(
        unet, 1.0, linear_dim=2, linear_alpha=1.0, conv_dim=2, conv_alpha=0.5, **ALGORITHMS[algorithm]
    )
    network.apply_to()
    try:
        numbers = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, value in network.named_parameters():
                noise = torch.randn(value.shape, generator=numbers)
                value.copy_(noise.abs() + 0.5 if "dora" in name else noise)
        state = {key.replace("lycoris_", prefix, 1): value.contiguous() for key, value in network.state_dict().items()}
        save_file(state, tmp_path / "one.safetensors")
        lora = reading.load(tmp_path / "one.safetensors")
        assert (lora.dialect, lora.unmatched) == ("lycoris" if prefix == "lycoris_" else "kohya", ())
        assert lora.family == "sd1"
        assert len(lora.changes) == len(network.loras)
        items = reading.inspect(tmp_path / "one.safetensors").items
        for module in network.loras:
            # what the layer does is the reference: get_merged_weight of LyCORIS 4.1 scales LoHa and LoKr twice
            layer = module.org_module[0]
            name = f"unet.{names[id(layer)]}"
            change, item = lora.changes[name], items[name]
            assert change.delta is not None
            told = (
                change.delta.kind,
                change.delta.shape,
                change.delta.rank,
                change.delta.scale,
                change.bias is not None,
            )
            assert told == (item.kind, item.shape, item.rank, item.scale, item.bias)
            assert (change.magnitude is None) == (item.dora is None)
            weight = change.weight(weights[f"{names[id(layer)]}.weight"])
            bias = weights.get(f"{names[id(layer)]}.bias")
            bias = bias if change.bias is None or bias is None else bias + change.bias
            x = torch.randn(SHAPES[type(layer)](layer), generator=numbers)
            with torch.no_grad():
                torch.testing.assert_close(applied(layer, x, weight, bias), layer(x), rtol=1e-5, atol=1e-4)
    finally:
        network.restore()


def test_the_kernel_of_a_flattened_convolution_is_known_from_its_name(tmp_path: Path) -> None:
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    keys = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    shapes = ((8, 2), (2, 4 * 9), (8, 2), (2, 4 * 9))
    save_file(
        {f"{name}.{key}": torch.ones(shape) for key, shape in zip(keys, shapes, strict=True)},
        tmp_path / "a.safetensors",
    )
    item = reading.inspect(tmp_path / "a.safetensors").items["unet.down_blocks.0.resnets.0.conv1"]
    assert item.shape == (8, 4, 3, 3)


def test_the_files_are_the_libraries_own(transformer: FluxTransformer2DModel, tmp_path: Path) -> None:
    """A check of the checks: the files hold other keys than ours, and weights that are not zero."""
    model = get_peft_model(transformer, LoraConfig(r=RANK, target_modules=ATTENTION))
    trained(model)
    model.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert all(key.startswith("base_model.model.") and value.abs().max() > 0 for key, value in stored.items())
    down, up = (stored[f"base_model.model.{ATTENTION[0]}.lora_{side}.weight"] for side in "AB")
    delta = reading.load(tmp_path / "adapter_model.safetensors").changes[f"transformer.{ATTENTION[0]}"].delta
    assert delta is not None
    assert_close(delta.dense(), (up.double() @ down.double()) * 8 / RANK)
