"""Qwen-Image: everybody uses the diffusers names; kohya-style files (musubi-tuner) flatten them."""

from __future__ import annotations

from .family import Names

BLOCK = "transformer_blocks.{i}"
EMBED = "time_text_embed.timestep_embedder"

MODULES = (
    "img_in",
    "txt_norm",
    "txt_in",
    f"{EMBED}.linear_1",
    f"{EMBED}.linear_2",
    # Qwen-Image-Layered
    "time_text_embed.addition_t_embedding",
    *(f"{BLOCK}.attn.{name}" for name in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj")),
    *(f"{BLOCK}.attn.{name}" for name in ("to_out.0", "to_add_out")),
    *(f"{BLOCK}.attn.{name}" for name in ("norm_q", "norm_k", "norm_added_q", "norm_added_k")),
    *(f"{BLOCK}.{side}_mlp.net.{name}" for side in ("img", "txt") for name in ("0.proj", "2")),
    *(f"{BLOCK}.{side}_mod.1" for side in ("img", "txt")),
    "norm_out.linear",
    "proj_out",
)

NAMES = Names(
    name="qwen-image",
    title="Qwen-Image",
    component="transformer",
    tables={},
    kohya="diffusers",
    comfyui="diffusers",
    blocks=("transformer_blocks",),
    signs=(
        *(f"{BLOCK}.{side}_mlp.net.{name}" for side in ("img", "txt") for name in ("0.proj", "2")),
        *(f"{BLOCK}.{side}_mod.1" for side in ("img", "txt")),
    ),
    modules=MODULES,
    widths=(3072,),
    depths={"transformer_blocks": 60},
)
