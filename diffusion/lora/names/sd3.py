"""Stable Diffusion 3 and 3.5: Stability's names, with fused queries, keys and values."""

from __future__ import annotations

from .family import Names
from .table import Row, Table

BLOCK = "transformer_blocks.{i}"
EMBED = "time_text_embed"


def _three(here: str, names: tuple[str, str, str]) -> tuple[str, ...]:
    return tuple(f"{here}.{name}" for name in names)


IMAGE_QKV = _three(f"{BLOCK}.attn", ("to_q", "to_k", "to_v"))
TEXT_QKV = _three(f"{BLOCK}.attn", ("add_q_proj", "add_k_proj", "add_v_proj"))
SECOND_QKV = _three(f"{BLOCK}.attn2", ("to_q", "to_k", "to_v"))
X, CONTEXT = "joint_blocks.{i}.x_block", "joint_blocks.{i}.context_block"

ORIGINAL = Table(
    (
        Row("x_embedder.proj", ("pos_embed.proj",)),
        Row("context_embedder", ("context_embedder",)),
        Row("t_embedder.mlp.0", (f"{EMBED}.timestep_embedder.linear_1",)),
        Row("t_embedder.mlp.2", (f"{EMBED}.timestep_embedder.linear_2",)),
        Row("y_embedder.mlp.0", (f"{EMBED}.text_embedder.linear_1",)),
        Row("y_embedder.mlp.2", (f"{EMBED}.text_embedder.linear_2",)),
        Row(f"{X}.attn.qkv", IMAGE_QKV, "equal"),
        Row(f"{CONTEXT}.attn.qkv", TEXT_QKV, "equal"),
        Row(f"{X}.attn2.qkv", SECOND_QKV, "equal"),
        Row(f"{X}.attn.proj", (f"{BLOCK}.attn.to_out.0",)),
        Row(f"{CONTEXT}.attn.proj", (f"{BLOCK}.attn.to_add_out",)),
        Row(f"{X}.attn2.proj", (f"{BLOCK}.attn2.to_out.0",)),
        Row(f"{X}.attn.ln_q", (f"{BLOCK}.attn.norm_q",)),
        Row(f"{X}.attn.ln_k", (f"{BLOCK}.attn.norm_k",)),
        Row(f"{CONTEXT}.attn.ln_q", (f"{BLOCK}.attn.norm_added_q",)),
        Row(f"{CONTEXT}.attn.ln_k", (f"{BLOCK}.attn.norm_added_k",)),
        Row(f"{X}.attn2.ln_q", (f"{BLOCK}.attn2.norm_q",)),
        Row(f"{X}.attn2.ln_k", (f"{BLOCK}.attn2.norm_k",)),
        Row(f"{X}.mlp.fc1", (f"{BLOCK}.ff.net.0.proj",)),
        Row(f"{X}.mlp.fc2", (f"{BLOCK}.ff.net.2",)),
        Row(f"{CONTEXT}.mlp.fc1", (f"{BLOCK}.ff_context.net.0.proj",)),
        Row(f"{CONTEXT}.mlp.fc2", (f"{BLOCK}.ff_context.net.2",)),
        Row(f"{X}.adaLN_modulation.1", (f"{BLOCK}.norm1.linear",)),
        # six parts as in diffusers, but in the last block two, and those are the other way round
        Row(f"{CONTEXT}.adaLN_modulation.1", (f"{BLOCK}.norm1_context.linear",), "swapped_if_pair"),
        Row("final_layer.linear", ("proj_out",)),
        Row("final_layer.adaLN_modulation.1", ("norm_out.linear",), "swapped"),
    )
)

NAMES = Names(
    name="sd3",
    title="Stable Diffusion 3",
    component="transformer",
    tables={"original": ORIGINAL},
    kohya="original",
    comfyui="original",
    blocks=("transformer_blocks",),
    signs=("transformer_blocks.{i}.attn2.to_q", "pos_embed.proj"),
    text_encoders={
        "text_encoder": ("clip", "clip_l"),
        "text_encoder_2": ("clip", "clip_g"),
        "text_encoder_3": ("t5", "t5xxl"),
    },
    widths=(1536, 2432),
    depths={"transformer_blocks": 38},
    kohya_text={"text_encoder": "lora_te1", "text_encoder_2": "lora_te2", "text_encoder_3": "lora_te3"},
)
