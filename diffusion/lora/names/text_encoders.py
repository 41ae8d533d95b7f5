"""Text encoders: the modules of CLIP and T5 as transformers names them, and OpenCLIP's in single-file checkpoints.

Canonical names keep `text_model.` for every CLIP, as files do, though transformers ≥ 5.6 builds a CLIPTextModel without
that level (its CLIPTextModelWithProjection still has it).

    >>> TABLES["clip"].match("text_model_encoder_layers_3_self_attn_q_proj", flat=True).targets
    ('text_model.encoder.layers.3.self_attn.q_proj',)
    >>> canonical("encoder.layers.3.mlp.fc1")
    'text_model.encoder.layers.3.mlp.fc1'
"""

from __future__ import annotations

from .table import Row, Table

LAYER = "text_model.encoder.layers.{i}"
EMBEDDINGS = "text_model.embeddings"
BLOCK = "encoder.block.{i}.layer"
RESBLOCK = "transformer.resblocks.{i}"
QKV = (f"{LAYER}.self_attn.q_proj", f"{LAYER}.self_attn.k_proj", f"{LAYER}.self_attn.v_proj")

CLIP = (
    f"{EMBEDDINGS}.token_embedding",
    f"{EMBEDDINGS}.position_embedding",
    *QKV,
    f"{LAYER}.self_attn.out_proj",
    f"{LAYER}.mlp.fc1",
    f"{LAYER}.mlp.fc2",
    f"{LAYER}.layer_norm1",
    f"{LAYER}.layer_norm2",
    "text_model.final_layer_norm",
    "text_projection",
)
T5 = (
    "shared",
    "encoder.embed_tokens",
    *(f"{BLOCK}.0.SelfAttention.{name}" for name in ("q", "k", "v", "o", "relative_attention_bias")),
    f"{BLOCK}.0.layer_norm",
    *(f"{BLOCK}.1.DenseReluDense.{name}" for name in ("wi", "wi_0", "wi_1", "wo")),
    f"{BLOCK}.1.layer_norm",
    "encoder.final_layer_norm",
)
TABLES: dict[str, Table] = {
    "clip": Table(Row(name, (name,)) for name in CLIP),
    "t5": Table(Row(name, (name,)) for name in T5),
}
"""transformers' names onto themselves, by the architecture that `Names.text_encoders` gives."""

# SDXL's second and SD 2's only encoder within single files (mlfoundations/open_clip, `transformer.py`). `attn.in_proj`
# stands for the parameters `attn.in_proj_weight` and `attn.in_proj_bias`. Left out are two parameters that belong to no
# module there: `positional_embedding`, and `text_projection`, which is stored transposed.
OPEN_CLIP = Table(
    (
        Row("token_embedding", (f"{EMBEDDINGS}.token_embedding",)),
        Row("ln_final", ("text_model.final_layer_norm",)),
        Row(f"{RESBLOCK}.ln_1", (f"{LAYER}.layer_norm1",)),
        Row(f"{RESBLOCK}.ln_2", (f"{LAYER}.layer_norm2",)),
        Row(f"{RESBLOCK}.attn.in_proj", QKV, "equal"),
        Row(f"{RESBLOCK}.attn.out_proj", (f"{LAYER}.self_attn.out_proj",)),
        Row(f"{RESBLOCK}.mlp.c_fc", (f"{LAYER}.mlp.fc1",)),
        Row(f"{RESBLOCK}.mlp.c_proj", (f"{LAYER}.mlp.fc2",)),
    )
)


def canonical(name: str) -> str:
    """Return a CLIP's module or parameter with `text_model.` in front, which newer transformers leave out."""
    return f"text_model.{name}" if name.startswith(("encoder.layers.", "embeddings.", "final_layer_norm")) else name
