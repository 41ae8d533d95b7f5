"""Every dialect, from files built after the published layouts: recognised, and read as the reference formula says.

Files made by the libraries themselves are in `test_reading_of_others.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from loragraph.diffusion.lora import reading
from loragraph.tests.diffusion.lora.made import (
    BARE,
    COMFY,
    DEFAULT,
    KOHYA,
    OLD,
    PEFT,
    PROCESSOR,
    Sheet,
    Suffixes,
    assert_reads_as,
    thirds,
)

BLOCK, SINGLE = "transformer.transformer_blocks.0", "transformer.single_transformer_blocks.0"
CLIP = "text_model.encoder.layers.0.self_attn"
D = 16  # width of the toy FLUX whose layers these are; its MLPs are four times as wide


def flux(sheet: Sheet, prefix: str, flat: bool) -> Sheet:
    """Add FLUX modules in Black Forest Labs' names: fused, fused with the MLP, plain, and the two swapped halves."""

    def named(name: str) -> str:
        return prefix + (name.replace(".", "_") if flat else name)

    sheet.pair(
        named("double_blocks.0.img_attn.qkv"), thirds(f"{BLOCK}.attn.{{}}", D, "to_q", "to_k", "to_v"), (3 * D, D)
    )
    added = thirds(f"{BLOCK}.attn.{{}}", D, "add_q_proj", "add_k_proj", "add_v_proj")
    sheet.pair(named("double_blocks.0.txt_attn.qkv"), added, (3 * D, D))
    sheet.pair(named("double_blocks.0.img_attn.proj"), f"{BLOCK}.attn.to_out.0", (D, D))
    sheet.pair(named("double_blocks.0.txt_mlp.2"), f"{BLOCK}.ff_context.net.2", (D, 4 * D))
    fused = thirds(f"{SINGLE}.attn.{{}}", D, "to_q", "to_k", "to_v") | {f"{SINGLE}.proj_mlp": (3 * D, 7 * D)}
    sheet.pair(named("single_blocks.0.linear1"), fused, (7 * D, D))
    sheet.pair(named("single_blocks.0.linear2"), f"{SINGLE}.proj_out", (D, 5 * D))
    for theirs, ours in (
        ("guidance_in.in_layer", "guidance_embedder.linear_1"),
        ("time_in.out_layer", "timestep_embedder.linear_2"),
    ):
        sheet.pair(named(theirs), f"transformer.time_text_embed.{ours}", (D, D))
    sheet.pair(named("img_in"), "transformer.x_embedder", (D, 8))
    sheet.pair(named("final_layer.linear"), "transformer.proj_out", (8, D))
    # (shift, scale) there is (scale, shift) in diffusers
    swapped = {"transformer.norm_out.linear": ((D, 2 * D), (0, D))}
    sheet.pair(named("final_layer.adaLN_modulation.1"), swapped, (2 * D, D))
    return sheet


def diffusers_flux() -> Sheet:
    sheet = Sheet(PEFT)
    for name in ("attn.to_q", "attn.to_add_out", "ff.net.0.proj", "norm1.linear"):
        sheet.pair(f"{BLOCK}.{name}", f"{BLOCK}.{name}", (D, D))
    sheet.pair(f"{SINGLE}.proj_mlp", f"{SINGLE}.proj_mlp", (4 * D, D))
    name = f"text_encoder.{CLIP}.q_proj"
    sheet.pair(name, name, (D, D))
    return sheet


def diffusers_unknown() -> Sheet:
    """A model that is in no table: diffusers names need none."""
    sheet = Sheet(PEFT)
    for name in ("transformer.layers.0.attention.to_q", "transformer.layers.0.feed_forward.linear_1"):
        sheet.pair(name, name, (D, D))
    return sheet


def raw_peft() -> Sheet:
    sheet = Sheet(PEFT)
    for name in ("transformer_blocks.0.attn.to_q", "single_transformer_blocks.3.proj_out"):
        sheet.pair(f"base_model.model.{name}", f"transformer.{name}", (D, D))
    return sheet


def old_processors() -> Sheet:
    sheet = Sheet(PROCESSOR)
    attention = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2"
    sheet.pair(f"{attention}.processor.to_k", f"{attention}.to_k", (320, 768))
    sheet.pair(f"{attention}.processor.to_out", f"{attention}.to_out.0", (320, 320))
    encoder = f"text_encoder.{CLIP}.q_proj"
    sheet.pair(encoder, encoder, (D, D), Suffixes(".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"))
    return sheet


def oldest_processors() -> Sheet:
    """Without the component in front."""
    sheet = Sheet(PROCESSOR)
    attention = "mid_block.attentions.0.transformer_blocks.0.attn2"
    sheet.pair(f"{attention}.processor.to_v", f"unet.{attention}.to_v", (1280, 768))
    sheet.pair(f"{attention}.processor.to_out", f"unet.{attention}.to_out.0", (1280, 1280))
    return sheet


def old_layers() -> Sheet:
    sheet = Sheet(OLD)
    for name, shape in (("attn2.to_k", (320, 768)), ("attn2.to_out.0", (320, 320)), ("ff.net.0.proj", (640, 320))):
        module = f"unet.down_blocks.0.attentions.0.transformer_blocks.0.{name}"
        sheet.pair(module, module, shape)
    return sheet


def kohya_sd1() -> Sheet:
    sheet = Sheet(KOHYA, alpha=1.0)
    unet = "unet.down_blocks.1.attentions.0"
    sheet.pair(
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k",
        f"{unet}.transformer_blocks.0.attn2.to_k",
        (640, 768),
    )
    sheet.pair("lora_unet_down_blocks_1_attentions_0_proj_in", f"{unet}.proj_in", (640, 640, 1, 1))
    sheet.pair("lora_unet_down_blocks_0_resnets_1_conv1", "unet.down_blocks.0.resnets.1.conv1", (32, 32, 3, 3))
    sheet.pair("lora_unet_down_blocks_0_downsamplers_0_conv", "unet.down_blocks.0.downsamplers.0.conv", (32, 32, 3, 3))
    sheet.pair(
        "lora_te_text_model_encoder_layers_11_mlp_fc1", "text_encoder.text_model.encoder.layers.11.mlp.fc1", (64, 768)
    )
    return sheet


def kohya_sd2() -> Sheet:
    sheet = Sheet(KOHYA, alpha=2.0)
    unet = "unet.mid_block.attentions.0.transformer_blocks.0.attn2"
    sheet.pair("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_v", f"{unet}.to_v", (1280, 1024))
    return sheet


def kohya_sdxl() -> Sheet:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair(
        "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k",
        "unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k",
        (640, 2048),
    )
    sheet.pair(
        "lora_unet_middle_block_1_transformer_blocks_9_ff_net_2",
        "unet.mid_block.attentions.0.transformer_blocks.9.ff.net.2",
        (32, 64),
    )
    sheet.pair("lora_unet_output_blocks_2_1_proj_out", "unet.up_blocks.0.attentions.2.proj_out", (32, 32))
    sheet.pair("lora_unet_input_blocks_3_0_op", "unet.down_blocks.0.downsamplers.0.conv", (32, 32, 3, 3))
    sheet.pair("lora_unet_middle_block_0_in_layers_2", "unet.mid_block.resnets.0.conv1", (32, 32, 3, 3))
    sheet.pair("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", f"text_encoder.{CLIP}.q_proj", (768, 768))
    sheet.pair(
        "lora_te2_text_model_encoder_layers_31_self_attn_out_proj",
        "text_encoder_2.text_model.encoder.layers.31.self_attn.out_proj",
        (1280, 1280),
    )
    return sheet


def diffusers_named_sdxl() -> Sheet:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair(
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_1_attn2_to_k",
        "unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k",
        (640, 2048),
    )
    sheet.pair("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", f"text_encoder_2.{CLIP}.q_proj", (1280, 1280))
    return sheet


def kohya_flux() -> Sheet:
    sheet = flux(Sheet(KOHYA, alpha=2.0), "lora_unet_", flat=True)
    sheet.pair("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", f"text_encoder.{CLIP}.q_proj", (D, D))
    sheet.pair(
        "lora_te3_encoder_block_0_layer_0_SelfAttention_q",
        "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q",
        (D, D),
    )
    return sheet


def kohya_sd3() -> Sheet:
    sheet = Sheet(KOHYA, alpha=2.0)
    image = thirds(f"{BLOCK}.attn.{{}}", D, "to_q", "to_k", "to_v")
    text = thirds(f"{BLOCK}.attn.{{}}", D, "add_q_proj", "add_k_proj", "add_v_proj")
    sheet.pair("lora_unet_joint_blocks_0_x_block_attn_qkv", image, (3 * D, D))
    sheet.pair("lora_unet_joint_blocks_0_context_block_attn_qkv", text, (3 * D, D))
    sheet.pair("lora_unet_joint_blocks_0_x_block_mlp_fc1", f"{BLOCK}.ff.net.0.proj", (4 * D, D))
    sheet.pair(
        "lora_te3_encoder_block_0_layer_1_DenseReluDense_wo",
        "text_encoder_3.encoder.block.0.layer.1.DenseReluDense.wo",
        (D, D),
    )
    return sheet


def musubi_wan() -> Sheet:
    """A file need not change every module of a block."""
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair("lora_unet_blocks_0_self_attn_q", "transformer.blocks.0.attn1.to_q", (D, D))
    sheet.pair("lora_unet_blocks_7_cross_attn_o", "transformer.blocks.7.attn2.to_out.0", (D, D))
    sheet.pair("lora_unet_blocks_7_ffn_0", "transformer.blocks.7.ffn.net.0.proj", (4 * D, D))
    return sheet


def musubi_qwen() -> Sheet:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair("lora_unet_transformer_blocks_0_attn_to_out_0", f"{BLOCK}.attn.to_out.0", (D, D))
    sheet.pair("lora_unet_transformer_blocks_0_img_mlp_net_0_proj", f"{BLOCK}.img_mlp.net.0.proj", (4 * D, D))
    sheet.pair("lora_unet_transformer_blocks_0_txt_mod_1", f"{BLOCK}.txt_mod.1", (6 * D, D))
    return sheet


def videox_fun() -> Sheet:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair("lora_unet__transformer_blocks_0_attn1_to_q", f"{BLOCK}.attn1.to_q", (1920, 1920))
    sheet.pair("lora_unet__transformer_blocks_0_attn1_to_out_0", f"{BLOCK}.attn1.to_out.0", (1920, 1920))
    sheet.pair("lora_unet__transformer_blocks_29_ff_net_2", "transformer.transformer_blocks.29.ff.net.2", (D, D))
    return sheet


def onetrainer() -> Sheet:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair("lora_transformer_transformer_blocks_0_attn_to_q", f"{BLOCK}.attn.to_q", (D, D))
    sheet.pair("lora_transformer_transformer_blocks_0_ff_net_0_proj", f"{BLOCK}.ff.net.0.proj", (4 * D, D))
    sheet.pair("lora_transformer_single_transformer_blocks_0_proj_out", f"{SINGLE}.proj_out", (D, 5 * D))
    sheet.pair("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", f"text_encoder.{CLIP}.q_proj", (D, D))
    sheet.pair(
        "lora_te2_encoder_block_0_layer_0_SelfAttention_k",
        "text_encoder_2.encoder.block.0.layer.0.SelfAttention.k",
        (D, D),
    )
    return sheet


def comfyui(suffixes: Suffixes) -> Sheet:
    sheet = flux(Sheet(suffixes, alpha=2.0), "diffusion_model.", flat=False)
    sheet.pair(f"text_encoders.clip_l.transformer.{CLIP}.q_proj", f"text_encoder.{CLIP}.q_proj", (D, D))
    sheet.pair(
        "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q",
        "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q",
        (D, D),
    )
    return sheet


def comfyui_wan() -> Sheet:
    sheet = Sheet(COMFY, alpha=2.0)
    sheet.pair("diffusion_model.blocks.0.self_attn.v", "transformer.blocks.0.attn1.to_v", (D, D))
    sheet.pair("diffusion_model.blocks.0.cross_attn.k_img", "transformer.blocks.0.attn2.add_k_proj", (D, D))
    return sheet


def comfyui_qwen() -> Sheet:
    sheet = Sheet(COMFY, alpha=2.0)
    sheet.pair("diffusion_model.transformer_blocks.0.attn.to_q", f"{BLOCK}.attn.to_q", (D, D))
    sheet.pair("diffusion_model.transformer_blocks.0.img_mod.1", f"{BLOCK}.img_mod.1", (6 * D, D))
    return sheet


def comfyui_sdxl() -> Sheet:
    sheet = Sheet(COMFY, alpha=2.0)
    sheet.pair(
        "diffusion_model.input_blocks.4.1.transformer_blocks.1.attn2.to_k",
        "unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k",
        (640, 2048),
    )
    sheet.pair(f"text_encoders.clip_g.transformer.{CLIP}.q_proj", f"text_encoder_2.{CLIP}.q_proj", (1280, 1280))
    return sheet


def comfyui_sd3() -> Sheet:
    sheet = Sheet(COMFY, alpha=2.0)
    sheet.pair(
        "diffusion_model.joint_blocks.0.x_block.attn.qkv",
        thirds(f"{BLOCK}.attn.{{}}", D, "to_q", "to_k", "to_v"),
        (3 * D, D),
    )
    return sheet


def xlabs() -> Sheet:
    sheet = Sheet(BARE)
    sheet.pair(
        "double_blocks.0.processor.qkv_lora1", thirds(f"{BLOCK}.attn.{{}}", D, "to_q", "to_k", "to_v"), (3 * D, D)
    )
    added = thirds(f"{BLOCK}.attn.{{}}", D, "add_q_proj", "add_k_proj", "add_v_proj")
    sheet.pair("double_blocks.0.processor.qkv_lora2", added, (3 * D, D))
    sheet.pair("double_blocks.0.processor.proj_lora1", f"{BLOCK}.attn.to_out.0", (D, D))
    sheet.pair(
        "single_blocks.0.processor.qkv_lora", thirds(f"{SINGLE}.attn.{{}}", D, "to_q", "to_k", "to_v"), (3 * D, D)
    )
    sheet.pair("single_blocks.0.processor.proj_lora", f"{SINGLE}.proj_out", (D, 5 * D))
    return sheet


def kontext() -> Sheet:
    """fal's trainer for FLUX Kontext: raw PEFT around Black Forest Labs' own model."""
    sheet = Sheet(PEFT)
    sheet.pair("base_model.model.double_blocks.0.img_mod.lin", f"{BLOCK}.norm1.linear", (6 * D, D))
    sheet.pair("base_model.model.single_blocks.0.modulation.lin", f"{SINGLE}.norm.linear", (3 * D, D))
    return sheet


def diffsynth_wan() -> Sheet:
    sheet = Sheet(DEFAULT)
    sheet.pair("blocks.0.self_attn.q", "transformer.blocks.0.attn1.to_q", (D, D))
    sheet.pair("blocks.0.ffn.2", "transformer.blocks.0.ffn.net.2", (D, D))
    return sheet


def diffsynth_flux() -> Sheet:
    sheet = Sheet(DEFAULT)
    sheet.pair("blocks.0.attn.a_to_qkv", thirds(f"{BLOCK}.attn.{{}}", D, "to_q", "to_k", "to_v"), (3 * D, D))
    sheet.pair("blocks.0.ff_b.2", f"{BLOCK}.ff_context.net.2", (D, D))
    fused = thirds(f"{SINGLE}.attn.{{}}", D, "to_q", "to_k", "to_v") | {f"{SINGLE}.proj_mlp": (3 * D, 7 * D)}
    sheet.pair("single_blocks.0.to_qkv_mlp", fused, (7 * D, D))
    return sheet


def diffsynth_qwen() -> Sheet:
    sheet = Sheet(DEFAULT)
    sheet.pair("transformer_blocks.0.attn.to_q", f"{BLOCK}.attn.to_q", (D, D))
    sheet.pair("transformer_blocks.0.img_mlp.net.2", f"{BLOCK}.img_mlp.net.2", (D, D))
    return sheet


def kohya_encoder_alone() -> Sheet:
    sheet = Sheet(KOHYA, alpha=1.0)
    sheet.pair("lora_te_text_model_encoder_layers_0_self_attn_q_proj", f"text_encoder.{CLIP}.q_proj", (768, 768))
    return sheet


def comfyui_encoder_alone() -> Sheet:
    sheet = Sheet(COMFY, alpha=1.0)
    sheet.pair(f"text_encoders.clip_l.transformer.{CLIP}.q_proj", f"text_encoder.{CLIP}.q_proj", (768, 768))
    return sheet


def encoders_of_newer_transformers() -> Sheet:
    """Their CLIPTextModel has no level `text_model` any more; canonical names keep it."""
    sheet = Sheet(PEFT)
    sheet.pair("unet.mid_block.attentions.0.proj_in", "unet.mid_block.attentions.0.proj_in", (D, D))
    sheet.pair("text_encoder.encoder.layers.0.self_attn.q_proj", f"text_encoder.{CLIP}.q_proj", (768, 768))
    return sheet


def kohya_encoders_of_newer_transformers() -> Sheet:
    sheet = Sheet(KOHYA, alpha=1.0)
    sheet.pair("lora_unet_mid_block_attentions_0_proj_in", "unet.mid_block.attentions.0.proj_in", (D, D))
    sheet.pair("lora_te_encoder_layers_0_self_attn_q_proj", f"text_encoder.{CLIP}.q_proj", (768, 768))
    return sheet


def original_behind_a_component() -> Sheet:
    return flux(Sheet(COMFY, alpha=2.0), "transformer.", flat=False)


def wan_of_two_transformers() -> Sheet:
    sheet = Sheet(PEFT)
    for component in ("transformer", "transformer_2"):
        name = f"{component}.blocks.0.attn1.to_q"
        sheet.pair(name, name, (D, D))
    return sheet


def bare_original() -> Sheet:
    return flux(Sheet(COMFY, alpha=2.0), "", flat=False)


def bare_diffusers() -> Sheet:
    sheet = Sheet(PEFT)
    sheet.pair("single_transformer_blocks.0.proj_out", f"{SINGLE}.proj_out", (D, 5 * D))
    return sheet


def sat() -> Sheet:
    """CogVideo's SAT, saved as safetensors: alpha is SAT's default 1, and the fused weight has a pair for each part."""
    sheet = Sheet(Suffixes(".matrix_A.0", ".matrix_B.0", "unsaid"), rank=8)
    layer = "model.diffusion_model.transformer.layers.3.attention"
    for part, name in enumerate(("to_q", "to_k", "to_v")):
        called = Suffixes(f".matrix_A.{part}", f".matrix_B.{part}")
        sheet.pair(f"{layer}.query_key_value", f"transformer.transformer_blocks.3.attn1.{name}", (D, D), called)
    called = Suffixes(".matrix_A.0", ".matrix_B.0")
    sheet.pair(f"{layer}.dense", "transformer.transformer_blocks.3.attn1.to_out.0", (D, D), called)
    sheet.expected = {name: change / 8 for name, change in sheet.expected.items()}
    return sheet


CASES: dict[str, tuple[Callable[[], Sheet], str, str]] = {
    "diffusers-flux": (diffusers_flux, "peft", "flux"),
    "diffusers-unknown": (diffusers_unknown, "peft", ""),
    "raw-peft": (raw_peft, "raw-peft", "flux"),
    "old-processors": (old_processors, "diffusers-old", "sd1"),
    "oldest-processors": (oldest_processors, "diffusers-old", "sd1"),
    "old-layers": (old_layers, "diffusers-old", "sd1"),
    "kohya-sd1": (kohya_sd1, "kohya", "sd1"),
    "kohya-sd2": (kohya_sd2, "kohya", "sd2"),
    "kohya-sdxl": (kohya_sdxl, "kohya", "sdxl"),
    "kohya-sdxl-diffusers": (diffusers_named_sdxl, "kohya", "sdxl"),
    "kohya-flux": (kohya_flux, "kohya", "flux"),
    "kohya-sd3": (kohya_sd3, "kohya", "sd3"),
    "musubi-wan": (musubi_wan, "musubi", "wan"),
    "musubi-qwen": (musubi_qwen, "musubi", "qwen-image"),
    "videox-fun": (videox_fun, "videox-fun", "cogvideox"),
    "onetrainer": (onetrainer, "onetrainer", "flux"),
    "comfyui-AB": (lambda: comfyui(COMFY), "comfyui", "flux"),
    "comfyui-down-up": (lambda: comfyui(KOHYA), "comfyui", "flux"),
    "comfyui-wan": (comfyui_wan, "comfyui", "wan"),
    "comfyui-qwen": (comfyui_qwen, "comfyui", "qwen-image"),
    "comfyui-sdxl": (comfyui_sdxl, "comfyui", "sdxl"),
    "comfyui-sd3": (comfyui_sd3, "comfyui", "sd3"),
    "xlabs": (xlabs, "xlabs", "flux"),
    "kontext": (kontext, "raw-peft", "flux"),
    "diffsynth-wan": (diffsynth_wan, "diffsynth", "wan"),
    "diffsynth-flux": (diffsynth_flux, "diffsynth", "flux"),
    "diffsynth-qwen": (diffsynth_qwen, "diffsynth", "qwen-image"),
    "kohya-encoder-alone": (kohya_encoder_alone, "kohya", "sd1"),
    "comfyui-encoder-alone": (comfyui_encoder_alone, "comfyui", "sd1"),
    "diffusers-newer-encoder": (encoders_of_newer_transformers, "peft", "sd1"),
    "kohya-newer-encoder": (kohya_encoders_of_newer_transformers, "kohya", "sd1"),
    "component-original": (original_behind_a_component, "original", "flux"),
    "diffusers-two-transformers": (wan_of_two_transformers, "peft", "wan"),
    "bare-original": (bare_original, "original", "flux"),
    "bare-diffusers": (bare_diffusers, "diffusers-bare", "flux"),
    "sat": (sat, "sat", "cogvideox"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_file_of_this_dialect_is_read_as_the_formula_says(case: str, tmp_path: Path) -> None:
    made, dialect, family = CASES[case]
    sheet = made()
    path = sheet.write(tmp_path / "one.safetensors")
    lora = reading.load(path)
    assert_reads_as(lora, sheet.expected)
    assert (lora.dialect, lora.family, lora.unmatched) == (dialect, family, ())


@pytest.mark.parametrize("case", CASES)
def test_the_header_alone_tells_the_same(case: str, tmp_path: Path) -> None:
    made, dialect, family = CASES[case]
    path = made().write(tmp_path / "one.safetensors")
    info, lora = reading.inspect(path), reading.load(path)
    assert (info.dialect, info.family, info.rank) == (dialect, family, lora.rank)
    for name, item in info.items.items():
        delta = lora.changes[name].delta
        assert delta is not None
        assert (item.kind, item.shape, item.rank, item.scale) == (delta.kind, delta.shape, delta.rank, delta.scale)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_half_and_quarter_precision_mean_the_numbers_that_they_hold(dtype: torch.dtype, tmp_path: Path) -> None:
    sheet = Sheet(PEFT)
    sheet.pair(f"{BLOCK}.attn.to_q", f"{BLOCK}.attn.to_q", (D, D))
    sheet.tensors = {key: value.to(dtype) for key, value in sheet.tensors.items()}
    down, up = (sheet.tensors[f"{BLOCK}.attn.to_q.lora_{side}.weight"].double() for side in "AB")
    delta = reading.load(sheet.write(tmp_path / "one.safetensors")).changes[f"{BLOCK}.attn.to_q"].delta
    assert delta is not None
    torch.testing.assert_close(delta.dense(), (up @ down).float(), rtol=1e-5, atol=1e-6)
