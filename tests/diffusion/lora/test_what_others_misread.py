"""Files that diffusers 0.42 misreads, drops in silence or breaks on, each read right or refused by name here.

After each test its file goes through the node LoadLoRA too: what a sampler will read from its value is the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from loragraph.diffusion.errors import LoraFileError
from loragraph.diffusion.lora import reading
from loragraph.diffusion.lora.delta import Hadamard, Kronecker
from loragraph.graph_runtime import FakeContext
from loragraph.graph_runtime.errors import BadInput
from loragraph.nodes import load_lora
from loragraph.tests.diffusion.lora.made import (
    COMFY,
    DEFAULT,
    KOHYA,
    PEFT,
    Sheet,
    assert_close,
    assert_reads_as,
    peft_header,
    thirds,
)

D = 16
BLOCK = "transformer.transformer_blocks.0"
COG = f"{BLOCK}.attn1.to_q"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "one.safetensors"
    yield path
    load = partial(load_lora, str(path), ctx=FakeContext(tmp_path / "run"))
    try:
        read = reading.load(path)
    except LoraFileError:
        with pytest.raises(BadInput, match=r"one\.safetensors"):
            load()
        return
    value = load()
    again = reading.load(value.file.path, alpha=value.alpha, partial=value.partial)
    assert (value.family, value.modules, value.rank) == (read.family, len(read.changes), read.rank)
    assert again.changes.keys() == read.changes.keys()
    for name, change in read.changes.items():
        if change.delta is not None:
            delta = again.changes[name].delta
            assert delta is not None
            assert_close(delta.dense(), change.delta.dense())


# 1. dora_scale is dropped, which leaves a wrong plain LoRA; LoHa, LoKr and lora_mid are errors


@pytest.mark.parametrize(("shape", "axis"), [((3 * D, 1), 0), ((3 * D,), 0)])
def test_1_the_magnitude_of_a_dora_is_kept_and_shared_out_with_the_rows(
    shape: tuple[int, ...], axis: int, file: Path
) -> None:
    sheet = Sheet(KOHYA, alpha=2.0)
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    whole = sheet.pair(name, thirds(f"{BLOCK}.attn.{{}}", D, "to_q", "to_k", "to_v"), (3 * D, D))
    scale = sheet.tensors[f"{name}.dora_scale"] = sheet.random(*shape).abs() + 0.5
    lora = reading.load(sheet.write(file))
    base = sheet.random(3 * D, D)
    moved = base.double() + whole
    right = moved * (scale.reshape(-1, 1).double() / moved.norm(dim=1, keepdim=True))
    for place, part in enumerate(("to_q", "to_k", "to_v")):
        rows = slice(D * place, D * (place + 1))
        change = lora.changes[f"{BLOCK}.attn.{part}"]
        assert change.magnitude is not None
        assert change.magnitude.axis == axis
        assert_close(change.weight(base[rows]), right[rows])


def test_1_a_dora_over_the_inputs_is_read_so(file: Path) -> None:
    sheet = Sheet(KOHYA, alpha=2.0)
    name = "lora_unet_double_blocks_0_img_attn_proj"
    delta = sheet.pair(name, f"{BLOCK}.attn.to_out.0", (D, 2 * D))
    scale = sheet.tensors[f"{name}.dora_scale"] = sheet.random(1, 2 * D).abs() + 0.5
    change = reading.load(sheet.write(file)).changes[f"{BLOCK}.attn.to_out.0"]
    base = sheet.random(D, 2 * D)
    moved = base.double() + delta
    assert_close(change.weight(base), moved * (scale.double() / moved.norm(dim=0, keepdim=True)))


def test_1_a_dora_over_the_inputs_of_a_fused_weight_is_refused_by_name(file: Path) -> None:
    sheet = Sheet(KOHYA, alpha=2.0)
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    sheet.pair(name, thirds(f"{BLOCK}.attn.{{}}", D, "to_q", "to_k", "to_v"), (3 * D, D))
    sheet.tensors[f"{name}.dora_scale"] = torch.ones(1, D)
    with pytest.raises(LoraFileError, match=r"DoRA over the inputs of lora_unet_double_blocks_0_img_attn_qkv"):
        reading.inspect(sheet.write(file))


def test_1_loha_of_a_unet(file: Path) -> None:
    sheet = Sheet(KOHYA)
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    parts = [sheet.random(*shape) for shape in ((D, 4), (4, D), (D, 4), (4, D))]
    for key, value in zip(("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), parts, strict=True):
        sheet.tensors[f"{name}.{key}"] = value
    sheet.tensors[f"{name}.alpha"] = torch.tensor(1.0)
    lora = reading.load(sheet.write(file))
    delta = lora.changes["unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"].delta
    assert isinstance(delta, Hadamard)
    one, two, three, four = (part.double() for part in parts)
    assert_close(delta.dense(), (one @ two) * (three @ four) / 4)


def test_1_a_convolution_with_a_middle_factor(file: Path) -> None:
    sheet = Sheet(KOHYA)
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    down, mid, up = sheet.random(4, D, 1, 1), sheet.random(4, 4, 3, 3), sheet.random(D, 4, 1, 1)
    for key, value in (("lora_down", down), ("lora_mid", mid), ("lora_up", up)):
        sheet.tensors[f"{name}.{key}.weight"] = value
    sheet.tensors[f"{name}.alpha"] = torch.tensor(1.0)
    delta = reading.load(sheet.write(file)).changes["unet.down_blocks.0.resnets.0.conv1"].delta
    assert delta is not None
    # three convolutions in a row are one with this kernel
    right = torch.einsum("op,pqhw,qi->oihw", up[:, :, 0, 0].double(), mid.double(), down[:, :, 0, 0].double()) / 4
    assert_close(delta.dense(), right)


@pytest.mark.parametrize(
    ("key", "canonical"),
    [
        ("lycoris_transformer_blocks_0_attn_to_q", f"{BLOCK}.attn.to_q"),
        ("lycoris_transformer_blocks_0_attn1_to_q", f"{BLOCK}.attn1.to_q"),
        ("lora_unet_transformer_blocks_0_img_mlp_net_2", f"{BLOCK}.img_mlp.net.2"),
        ("diffusion_model.double_blocks.0.img_attn.proj", f"{BLOCK}.attn.to_out.0"),
    ],
)
def test_1_lokr_of_any_family(key: str, canonical: str, file: Path) -> None:
    sheet = Sheet(KOHYA)
    first, a, b = sheet.random(4, 4), sheet.random(4, 2), sheet.random(2, 4)
    for role, value in (("lokr_w1", first), ("lokr_w2_a", a), ("lokr_w2_b", b)):
        sheet.tensors[f"{key}.{role}"] = value
    sheet.tensors[f"{key}.alpha"] = torch.tensor(1.0)
    delta = reading.load(sheet.write(file)).changes[canonical].delta
    assert isinstance(delta, Kronecker)
    assert_close(delta.dense(), torch.kron(first.double(), a.double() @ b.double()) / 2)


def test_1_the_alpha_of_a_lokr_means_nothing_where_no_factor_is_decomposed(file: Path) -> None:
    sheet = Sheet(KOHYA)
    first, second = sheet.random(4, 4), sheet.random(4, 4)
    key = "lycoris_transformer_blocks_0_attn1_to_q"
    sheet.tensors = {f"{key}.lokr_w1": first, f"{key}.lokr_w2": second, f"{key}.alpha": torch.tensor(1e10)}
    delta = reading.load(sheet.write(file)).changes[COG].delta
    assert delta is not None
    assert_close(delta.dense(), torch.kron(first.double(), second.double()))


# 2. `.alpha` beside diffusers' names is honoured for FLUX alone; elsewhere an error


@pytest.mark.parametrize("module", [COG, f"{BLOCK}.img_mlp.net.2", "transformer.single_transformer_blocks.0.proj_out"])
def test_2_alpha_tensors_beside_diffusers_names(module: str, file: Path) -> None:
    sheet = Sheet(COMFY, alpha=1.0)
    sheet.pair(module, module, (D, D))
    lora = reading.load(sheet.write(file))
    assert_reads_as(lora, sheet.expected)
    delta = lora.changes[module].delta
    assert delta is not None
    assert delta.scale == 0.25


# 3. kohya's FLUX modules outside the blocks are dropped without a word


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("guidance_in_in_layer", "transformer.time_text_embed.guidance_embedder.linear_1"),
        ("time_in_out_layer", "transformer.time_text_embed.timestep_embedder.linear_2"),
        ("vector_in_in_layer", "transformer.time_text_embed.text_embedder.linear_1"),
        ("img_in", "transformer.x_embedder"),
        ("txt_in", "transformer.context_embedder"),
        ("final_layer_linear", "transformer.proj_out"),
    ],
)
def test_3_kohya_modules_of_flux_outside_its_blocks(name: str, canonical: str, file: Path) -> None:
    sheet = Sheet(KOHYA, alpha=1.0)
    sheet.pair(f"lora_unet_{name}", canonical, (D, D))
    assert_reads_as(reading.load(sheet.write(file)), sheet.expected)


def test_3_the_halves_of_the_last_modulation_change_places(file: Path) -> None:
    sheet = Sheet(KOHYA, alpha=1.0)
    swapped = {"transformer.norm_out.linear": ((D, 2 * D), (0, D))}
    sheet.pair("lora_unet_final_layer_adaLN_modulation_1", swapped, (2 * D, D))
    assert_reads_as(reading.load(sheet.write(file)), sheet.expected)


# 4. OneTrainer's FLUX with MLPs is a KeyError, with T5 an AssertionError


def test_4_onetrainer_with_mlps_and_t5(file: Path) -> None:
    sheet = Sheet(KOHYA, alpha=1.0)
    sheet.pair("lora_transformer_transformer_blocks_0_ff_net_0_proj", f"{BLOCK}.ff.net.0.proj", (4 * D, D))
    sheet.pair("lora_transformer_transformer_blocks_0_ff_context_net_2", f"{BLOCK}.ff_context.net.2", (D, 4 * D))
    t5 = "encoder.block.0.layer.1.DenseReluDense.wi_0"
    sheet.pair("lora_te2_encoder_block_0_layer_1_DenseReluDense_wi_0", f"text_encoder_2.{t5}", (4 * D, D))
    lora = reading.load(sheet.write(file))
    assert_reads_as(lora, sheet.expected)
    assert lora.family == "flux"


# 5. ComfyUI's FLUX with lora_A loads no layer


def test_5_comfyui_with_lora_a(file: Path) -> None:
    sheet = Sheet(COMFY, alpha=1.0)
    sheet.pair(
        "diffusion_model.single_blocks.0.linear2", "transformer.single_transformer_blocks.0.proj_out", (D, 5 * D)
    )
    assert_reads_as(reading.load(sheet.write(file)), sheet.expected)


# 6. Wan: a subset of modules is a KeyError, `.default.` and raw PEFT load nothing


def test_6_musubi_wan_with_some_modules_only(file: Path) -> None:
    sheet = Sheet(KOHYA, alpha=1.0)
    sheet.pair("lora_unet_blocks_3_cross_attn_k", "transformer.blocks.3.attn2.to_k", (D, D))
    lora = reading.load(sheet.write(file))
    assert_reads_as(lora, sheet.expected)
    assert lora.family == "wan"


@pytest.mark.parametrize("prefix", ["", "base_model.model.", "diffusion_model."])
def test_6_wan_with_an_adapter_s_name_in_its_keys(prefix: str, file: Path) -> None:
    sheet = Sheet(DEFAULT)
    sheet.pair(f"{prefix}blocks.3.self_attn.q", "transformer.blocks.3.attn1.to_q", (D, D))
    assert_reads_as(reading.load(sheet.write(file)), sheet.expected)


# 7. SD3 in kohya's or ComfyUI's names loads nothing; HunyuanVideo is an error


@pytest.mark.parametrize(
    "prefix", ["lora_unet_joint_blocks_0_context_block_", "diffusion_model.joint_blocks.0.context_block."]
)
def test_7_sd3(prefix: str, file: Path) -> None:
    sheet = Sheet(KOHYA, alpha=1.0)
    attention = "attn_qkv" if prefix.endswith("_") else "attn.qkv"
    added = thirds(f"{BLOCK}.attn.{{}}", D, "add_q_proj", "add_k_proj", "add_v_proj")
    sheet.pair(prefix + attention, added, (3 * D, D))
    lora = reading.load(sheet.write(file))
    assert_reads_as(lora, sheet.expected)
    assert lora.family == "sd3"


def test_7_a_model_that_is_in_no_table_is_named(file: Path) -> None:
    sheet = Sheet(KOHYA, alpha=1.0)
    sheet.pair("lora_unet_individual_token_refiner_blocks_0_self_attn_qkv", "unused", (3 * D, D))
    with pytest.raises(LoraFileError, match=r"model that is not known here.*HunyuanVideo"):
        reading.load(sheet.write(file))


# 8. The alpha that finetrainers writes is not read


def test_8_lora_config_in_the_header(file: Path) -> None:
    sheet = Sheet(PEFT)
    sheet.pair(COG, COG, (D, D))
    sheet.metadata = {"lora_config": json.dumps({"r": 4, "lora_alpha": 2, "target_modules": ["to_q"]})}
    lora = reading.load(sheet.write(file))
    assert_reads_as(lora, {COG: sheet.expected[COG] / 2})
    assert lora.warnings == ()
    assert reading.inspect(file).items[COG].alpha_from == "lora_config"


# 9. Alpha tensors and a header at once are an error; ranks that differ


def test_9_alpha_tensors_win_over_the_header_and_a_contradiction_is_told(file: Path) -> None:
    sheet = Sheet(COMFY, alpha=1.0)
    sheet.pair(COG, COG, (D, D))
    sheet.metadata = peft_header(r=4, lora_alpha=4)
    lora = reading.load(sheet.write(file))
    assert_reads_as(lora, sheet.expected)
    assert any("says another alpha" in warning for warning in lora.warnings)


def test_9_alpha_tensors_and_a_header_that_agree_are_no_news(file: Path) -> None:
    sheet = Sheet(COMFY, alpha=1.0)
    sheet.pair(COG, COG, (D, D))
    sheet.metadata = peft_header(r=4, lora_alpha=1)
    assert reading.load(sheet.write(file)).warnings == ()


def test_9_mixed_ranks_without_alpha_have_the_scale_1_each(file: Path) -> None:
    sheet = Sheet(PEFT)
    other = f"{BLOCK}.attn1.to_k"
    sheet.pair(COG, COG, (D, D), rank=2)
    sheet.pair(other, other, (D, D), rank=8)
    assert_reads_as(reading.load(sheet.write(file)), sheet.expected)


# 10. Text encoders, projections, and changes of biases and norms are dropped


def test_10_text_encoders_of_t5_and_the_projection(file: Path) -> None:
    sheet = Sheet(KOHYA, alpha=1.0)
    sheet.pair("lora_unet_double_blocks_0_img_attn_proj", f"{BLOCK}.attn.to_out.0", (D, D))
    t5 = "encoder.block.0.layer.0.SelfAttention.o"
    sheet.pair("lora_te3_encoder_block_0_layer_0_SelfAttention_o", f"text_encoder_2.{t5}", (D, D))
    assert_reads_as(reading.load(sheet.write(file)), sheet.expected)

    sheet = Sheet(KOHYA, alpha=1.0)
    sheet.pair("lora_unet_input_blocks_4_1_proj_in", "unet.down_blocks.1.attentions.0.proj_in", (D, D))
    sheet.pair("lora_te2_text_projection", "text_encoder_2.text_projection", (D, D))
    assert_reads_as(reading.load(sheet.write(file)), sheet.expected)


def test_10_biases_norms_and_full_differences(file: Path) -> None:
    sheet = Sheet(COMFY, alpha=1.0)
    qkv = "diffusion_model.double_blocks.0.img_attn.qkv"
    sheet.pair(qkv, thirds(f"{BLOCK}.attn.{{}}", D, "to_q", "to_k", "to_v"), (3 * D, D))
    bias = sheet.tensors[f"{qkv}.diff_b"] = sheet.random(3 * D)
    diff = sheet.tensors["diffusion_model.double_blocks.0.txt_attn.proj.diff"] = sheet.random(D, D)
    norm = sheet.tensors["diffusion_model.double_blocks.0.img_attn.norm.query_norm.diff"] = sheet.random(8)
    alone = sheet.tensors["diffusion_model.double_blocks.0.img_mlp.0.diff_b"] = sheet.random(4 * D)
    changes = reading.load(sheet.write(file)).changes
    for place, part in enumerate(("to_q", "to_k", "to_v")):
        found = changes[f"{BLOCK}.attn.{part}"].bias
        assert found is not None
        assert torch.equal(found, bias[D * place : D * (place + 1)])
    full, normed = changes[f"{BLOCK}.attn.to_add_out"].delta, changes[f"{BLOCK}.attn.norm_q"].delta
    assert full is not None
    assert normed is not None
    assert torch.equal(full.dense(), diff)
    assert torch.equal(normed.dense(), norm)
    only = changes[f"{BLOCK}.ff.net.0.proj"]
    assert only.delta is None
    assert only.bias is not None
    assert torch.equal(only.bias, alone)


def test_10_black_forest_labs_control_lora_with_whole_norms_biases_and_a_wider_first_layer(file: Path) -> None:
    sheet = Sheet(PEFT)
    sheet.pair("img_in", "transformer.x_embedder", (D, 128))
    qkv = "double_blocks.0.img_attn.qkv"
    sheet.pair(qkv, thirds(f"{BLOCK}.attn.{{}}", D, "to_q", "to_k", "to_v"), (3 * D, D))
    bias = sheet.tensors[f"{qkv}.lora_B.bias"] = sheet.random(3 * D)
    norm = sheet.tensors["double_blocks.0.img_attn.norm.query_norm.scale"] = sheet.random(8)
    lora = reading.load(sheet.write(file))
    assert (lora.dialect, lora.family, lora.warnings) == ("bfl-control", "flux", ())
    set_norm = lora.changes[f"{BLOCK}.attn.norm_q"].set_weight
    assert set_norm is not None
    assert torch.equal(set_norm, norm)
    to_k = lora.changes[f"{BLOCK}.attn.to_k"].bias
    assert to_k is not None
    assert torch.equal(to_k, bias[D : 2 * D])
    assert lora.changes["transformer.x_embedder"].widens
    assert not lora.changes[f"{BLOCK}.attn.to_k"].widens
    deltas = {name: change.delta for name, change in lora.changes.items() if change.delta is not None}
    assert set(deltas) == set(sheet.expected)
    for name, delta in deltas.items():
        assert_close(delta.dense(), sheet.expected[name], name)
