"""Wan 2.1 and 2.2, image-to-video and VACE included: the authors' names, which ComfyUI and DiffSynth-Studio use, and
musubi-tuner flattens."""

from __future__ import annotations

from collections.abc import Iterator

from .family import Names
from .table import Row, Table

EMBED = "condition_embedder"
ATTENTION = (
    ("q", "to_q"),
    ("k", "to_k"),
    ("v", "to_v"),
    ("o", "to_out.0"),
    ("norm_q", "norm_q"),
    ("norm_k", "norm_k"),
)
# image-to-video: keys and values of the picture
IMAGE = (("k_img", "add_k_proj"), ("v_img", "add_v_proj"), ("norm_k_img", "norm_added_k"))


def _block(name: str) -> Iterator[Row]:
    for there, here in (("self_attn", "attn1"), ("cross_attn", "attn2")):
        for theirs, ours in ATTENTION if here == "attn1" else ATTENTION + IMAGE:
            yield Row(f"{name}.{{i}}.{there}.{theirs}", (f"{name}.{{i}}.{here}.{ours}",))
    yield Row(f"{name}.{{i}}.ffn.0", (f"{name}.{{i}}.ffn.net.0.proj",))
    yield Row(f"{name}.{{i}}.ffn.2", (f"{name}.{{i}}.ffn.net.2",))
    # the authors count the norm of the cross-attention as the third
    yield Row(f"{name}.{{i}}.norm3", (f"{name}.{{i}}.norm2",))


ORIGINAL = Table(
    (
        Row("patch_embedding", ("patch_embedding",)),
        Row("time_embedding.0", (f"{EMBED}.time_embedder.linear_1",)),
        Row("time_embedding.2", (f"{EMBED}.time_embedder.linear_2",)),
        Row("time_projection.1", (f"{EMBED}.time_proj",)),
        Row("text_embedding.0", (f"{EMBED}.text_embedder.linear_1",)),
        Row("text_embedding.2", (f"{EMBED}.text_embedder.linear_2",)),
        Row("img_emb.proj.0", (f"{EMBED}.image_embedder.norm1",)),
        Row("img_emb.proj.1", (f"{EMBED}.image_embedder.ff.net.0.proj",)),
        Row("img_emb.proj.3", (f"{EMBED}.image_embedder.ff.net.2",)),
        Row("img_emb.proj.4", (f"{EMBED}.image_embedder.norm2",)),
        *_block("blocks"),
        Row("vace_patch_embedding", ("vace_patch_embedding",)),
        *_block("vace_blocks"),
        Row("vace_blocks.{i}.before_proj", ("vace_blocks.{i}.proj_in",)),
        Row("vace_blocks.{i}.after_proj", ("vace_blocks.{i}.proj_out",)),
        Row("head.head", ("proj_out",)),
    )
)

NAMES = Names(
    name="wan",
    title="Wan 2",
    component="transformer",
    tables={"original": ORIGINAL},
    kohya="original",
    comfyui="original",
    blocks=("blocks", "vace_blocks"),
    signs=("blocks.{i}.attn1.to_q",),
    text_encoders={"text_encoder": ("t5", "umt5xxl")},
    widths=(1536, 3072, 5120),
    depths={"blocks": 40},
)
