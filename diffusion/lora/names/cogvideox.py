"""CogVideoX: diffusers names, except in the authors' SAT checkpoints (SwissArmyTransformer, CogVideo `sat/`) and in
ComfyUI, whose own port has flatter ones (`comfy/ldm/cogvideo/model.py`).

SAT's LoRA changes the attention alone (`sat.model.finetune.lora2`). Of a fused query_key_value it holds three pairs,
`matrix_A.0` to `matrix_A.2`, one for each target of the row.

    >>> from loragraph.diffusion.lora import names
    >>> names.get("cogvideox").table("sat").match("layers.7.attention.dense").targets
    ('transformer_blocks.7.attn1.to_out.0',)
"""

from __future__ import annotations

from .family import Names
from .table import Row, Table

BLOCK = "transformer_blocks.{i}"
QKV = (f"{BLOCK}.attn1.to_q", f"{BLOCK}.attn1.to_k", f"{BLOCK}.attn1.to_v")

# what follows `model.diffusion_model.transformer.`
SAT = Table(
    (
        Row("layers.{i}.attention.query_key_value", QKV, "equal"),
        Row("layers.{i}.attention.dense", (f"{BLOCK}.attn1.to_out.0",)),
        Row("layers.{i}.mlp.dense_h_to_4h", (f"{BLOCK}.ff.net.0.proj",)),
        Row("layers.{i}.mlp.dense_4h_to_h", (f"{BLOCK}.ff.net.2",)),
        Row("layers.{i}.input_layernorm", (f"{BLOCK}.norm1.norm",)),
        Row("layers.{i}.post_attention_layernorm", (f"{BLOCK}.norm2.norm",)),
        Row("final_layernorm", ("norm_final",)),
    )
)

# layers that ComfyUI calls as diffusers does
SAME = (
    "patch_embed.proj",
    "patch_embed.text_proj",
    "norm_final",
    "norm_out.linear",
    "norm_out.norm",
    "proj_out",
)
NORMS = ("norm1.linear", "norm1.norm", "norm2.linear", "norm2.norm")
COMFYUI = Table(
    (
        *(Row(name, (name,)) for name in SAME),
        Row("time_embedding_linear_1", ("time_embedding.linear_1",)),
        Row("time_embedding_linear_2", ("time_embedding.linear_2",)),
        # image-to-video of 1.5
        Row("ofs_embedding_linear_1", ("ofs_embedding.linear_1",)),
        Row("ofs_embedding_linear_2", ("ofs_embedding.linear_2",)),
        Row("blocks.{i}.q", (f"{BLOCK}.attn1.to_q",)),
        Row("blocks.{i}.k", (f"{BLOCK}.attn1.to_k",)),
        Row("blocks.{i}.v", (f"{BLOCK}.attn1.to_v",)),
        Row("blocks.{i}.attn_out", (f"{BLOCK}.attn1.to_out.0",)),
        Row("blocks.{i}.norm_q", (f"{BLOCK}.attn1.norm_q",)),
        Row("blocks.{i}.norm_k", (f"{BLOCK}.attn1.norm_k",)),
        *(Row(f"blocks.{{i}}.{name}", (f"{BLOCK}.{name}",)) for name in NORMS),
        Row("blocks.{i}.ff_proj", (f"{BLOCK}.ff.net.0.proj",)),
        Row("blocks.{i}.ff_out", (f"{BLOCK}.ff.net.2",)),
    )
)

NAMES = Names(
    name="cogvideox",
    title="CogVideoX",
    component="transformer",
    tables={"sat": SAT, "comfyui": COMFYUI},
    kohya="diffusers",
    comfyui="comfyui",
    blocks=("transformer_blocks",),
    text_encoders={"text_encoder": ("t5", "t5xxl")},
    modules=tuple(target for row in COMFYUI.rows for target in row.targets),
    widths=(1920, 3072),
    depths={"transformer_blocks": 42},
)
