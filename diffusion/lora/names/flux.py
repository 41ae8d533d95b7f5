"""FLUX.1: how its modules are called by Black Forest Labs (and ComfyUI, kohya), DiffSynth-Studio and XLabs."""

from __future__ import annotations

from .family import Names
from .table import Row, Table

DOUBLE, SINGLE = "transformer_blocks.{i}", "single_transformer_blocks.{i}"
IMAGE_QKV = (f"{DOUBLE}.attn.to_q", f"{DOUBLE}.attn.to_k", f"{DOUBLE}.attn.to_v")
TEXT_QKV = (f"{DOUBLE}.attn.add_q_proj", f"{DOUBLE}.attn.add_k_proj", f"{DOUBLE}.attn.add_v_proj")
SINGLE_QKV = (f"{SINGLE}.attn.to_q", f"{SINGLE}.attn.to_k", f"{SINGLE}.attn.to_v")
EMBED = "time_text_embed"

ORIGINAL = Table(
    (
        Row("img_in", ("x_embedder",)),
        Row("txt_in", ("context_embedder",)),
        Row("time_in.in_layer", (f"{EMBED}.timestep_embedder.linear_1",)),
        Row("time_in.out_layer", (f"{EMBED}.timestep_embedder.linear_2",)),
        Row("vector_in.in_layer", (f"{EMBED}.text_embedder.linear_1",)),
        Row("vector_in.out_layer", (f"{EMBED}.text_embedder.linear_2",)),
        Row("guidance_in.in_layer", (f"{EMBED}.guidance_embedder.linear_1",)),
        Row("guidance_in.out_layer", (f"{EMBED}.guidance_embedder.linear_2",)),
        Row("double_blocks.{i}.img_attn.qkv", IMAGE_QKV, "equal"),
        Row("double_blocks.{i}.txt_attn.qkv", TEXT_QKV, "equal"),
        Row("double_blocks.{i}.img_attn.proj", (f"{DOUBLE}.attn.to_out.0",)),
        Row("double_blocks.{i}.txt_attn.proj", (f"{DOUBLE}.attn.to_add_out",)),
        Row("double_blocks.{i}.img_attn.norm.query_norm", (f"{DOUBLE}.attn.norm_q",)),
        Row("double_blocks.{i}.img_attn.norm.key_norm", (f"{DOUBLE}.attn.norm_k",)),
        Row("double_blocks.{i}.txt_attn.norm.query_norm", (f"{DOUBLE}.attn.norm_added_q",)),
        Row("double_blocks.{i}.txt_attn.norm.key_norm", (f"{DOUBLE}.attn.norm_added_k",)),
        Row("double_blocks.{i}.img_mlp.0", (f"{DOUBLE}.ff.net.0.proj",)),
        Row("double_blocks.{i}.img_mlp.2", (f"{DOUBLE}.ff.net.2",)),
        Row("double_blocks.{i}.txt_mlp.0", (f"{DOUBLE}.ff_context.net.0.proj",)),
        Row("double_blocks.{i}.txt_mlp.2", (f"{DOUBLE}.ff_context.net.2",)),
        Row("double_blocks.{i}.img_mod.lin", (f"{DOUBLE}.norm1.linear",)),
        Row("double_blocks.{i}.txt_mod.lin", (f"{DOUBLE}.norm1_context.linear",)),
        Row("single_blocks.{i}.linear1", (*SINGLE_QKV, f"{SINGLE}.proj_mlp"), "square_then_rest"),
        Row("single_blocks.{i}.linear2", (f"{SINGLE}.proj_out",)),
        Row("single_blocks.{i}.norm.query_norm", (f"{SINGLE}.attn.norm_q",)),
        Row("single_blocks.{i}.norm.key_norm", (f"{SINGLE}.attn.norm_k",)),
        Row("single_blocks.{i}.modulation.lin", (f"{SINGLE}.norm.linear",)),
        Row("final_layer.linear", ("proj_out",)),
        Row("final_layer.adaLN_modulation.1", ("norm_out.linear",), "swapped"),
    )
)

DIFFSYNTH = Table(
    (
        Row("x_embedder", ("x_embedder",)),
        Row("context_embedder", ("context_embedder",)),
        Row("time_embedder.timestep_embedder.0", (f"{EMBED}.timestep_embedder.linear_1",)),
        Row("time_embedder.timestep_embedder.2", (f"{EMBED}.timestep_embedder.linear_2",)),
        Row("guidance_embedder.timestep_embedder.0", (f"{EMBED}.guidance_embedder.linear_1",)),
        Row("guidance_embedder.timestep_embedder.2", (f"{EMBED}.guidance_embedder.linear_2",)),
        Row("pooled_text_embedder.0", (f"{EMBED}.text_embedder.linear_1",)),
        Row("pooled_text_embedder.2", (f"{EMBED}.text_embedder.linear_2",)),
        Row("blocks.{i}.attn.a_to_qkv", IMAGE_QKV, "equal"),
        Row("blocks.{i}.attn.b_to_qkv", TEXT_QKV, "equal"),
        Row("blocks.{i}.attn.a_to_out", (f"{DOUBLE}.attn.to_out.0",)),
        Row("blocks.{i}.attn.b_to_out", (f"{DOUBLE}.attn.to_add_out",)),
        Row("blocks.{i}.ff_a.0", (f"{DOUBLE}.ff.net.0.proj",)),
        Row("blocks.{i}.ff_a.2", (f"{DOUBLE}.ff.net.2",)),
        Row("blocks.{i}.ff_b.0", (f"{DOUBLE}.ff_context.net.0.proj",)),
        Row("blocks.{i}.ff_b.2", (f"{DOUBLE}.ff_context.net.2",)),
        Row("blocks.{i}.norm1_a.linear", (f"{DOUBLE}.norm1.linear",)),
        Row("blocks.{i}.norm1_b.linear", (f"{DOUBLE}.norm1_context.linear",)),
        Row("single_blocks.{i}.to_qkv_mlp", (*SINGLE_QKV, f"{SINGLE}.proj_mlp"), "square_then_rest"),
        Row("single_blocks.{i}.proj_out", (f"{SINGLE}.proj_out",)),
        Row("single_blocks.{i}.norm.linear", (f"{SINGLE}.norm.linear",)),
        # already the halves in the order of diffusers
        Row("final_norm_out.linear", ("norm_out.linear",)),
        Row("final_proj_out", ("proj_out",)),
    )
)

XLABS = Table(
    (
        Row("double_blocks.{i}.processor.qkv_lora1", IMAGE_QKV, "equal"),
        Row("double_blocks.{i}.processor.qkv_lora2", TEXT_QKV, "equal"),
        Row("double_blocks.{i}.processor.proj_lora1", (f"{DOUBLE}.attn.to_out.0",)),
        Row("double_blocks.{i}.processor.proj_lora2", (f"{DOUBLE}.attn.to_add_out",)),
        Row("single_blocks.{i}.processor.qkv_lora", SINGLE_QKV, "equal"),
        Row("single_blocks.{i}.processor.proj_lora", (f"{SINGLE}.proj_out",)),
    )
)

NAMES = Names(
    name="flux",
    title="FLUX.1",
    component="transformer",
    tables={"original": ORIGINAL, "diffsynth": DIFFSYNTH, "xlabs": XLABS},
    kohya="original",
    comfyui="original",
    blocks=("transformer_blocks", "single_transformer_blocks"),
    signs=("single_transformer_blocks.{i}.attn.to_q",),
    text_encoders={"text_encoder": ("clip", "clip_l"), "text_encoder_2": ("t5", "t5xxl")},
    widths=(3072,),
    depths={"transformer_blocks": 19, "single_transformer_blocks": 38},
    kohya_text={"text_encoder": "lora_te1", "text_encoder_2": "lora_te3"},
)
