"""Stable Diffusion 1.x, 2.x and XL: the UNet's names in CompVis/Stability checkpoints ("LDM names").

The three have the same modules: a stem, levels going down, a middle, the same levels going up. They differ in which
levels have attention and how deep, so each gets its own LDM table: the number in `input_blocks.7` counts residual
blocks and downsamplers from the start (CompVis/latent-diffusion, `openaimodel.py`).

kohya-style files flatten the diffusers names for SD 1 and 2; for XL they flatten the LDM names (some tools the
diffusers names). Weights are never fused.

    >>> from loragraph.diffusion.lora import names
    >>> names.get("sdxl").table("original").match("input_blocks_4_1_proj_in", flat=True).targets
    ('down_blocks.1.attentions.0.proj_in',)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .family import Names
from .table import Row, Table

# LDM name, diffusers name, within a residual block
RESNET = (
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
)
# the same names on both sides
TRANSFORMER = (
    "norm",
    "proj_in",
    "proj_out",
    *(f"transformer_blocks.{{k}}.{attn}.{part}" for attn in ("attn1", "attn2") for part in ("to_q", "to_k", "to_v")),
    "transformer_blocks.{k}.attn1.to_out.0",
    "transformer_blocks.{k}.attn2.to_out.0",
    "transformer_blocks.{k}.ff.net.0.proj",
    "transformer_blocks.{k}.ff.net.2",
    "transformer_blocks.{k}.norm1",
    "transformer_blocks.{k}.norm2",
    "transformer_blocks.{k}.norm3",
)
STEM = (
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("input_blocks.0.0", "conv_in"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
)
LAYERS = 2  # residual blocks of a level on the way down; one more on the way up


def _resnet(there: str, here: str) -> Iterator[Row]:
    return (Row(f"{there}.{ldm}", (f"{here}.{name}",)) for ldm, name in RESNET)


def _attention(there: str, here: str) -> Iterator[Row]:
    return (Row(f"{there}.{name}", (f"{here}.{name}",)) for name in TRANSFORMER)


def ldm(attention: tuple[bool, ...]) -> Table:
    """Return the LDM table of a UNet; `attention` says for each level, from the top, whether it has attention."""
    rows = [Row(there, (here,)) for there, here in STEM]
    last, n = len(attention) - 1, 1
    for level, attends in enumerate(attention):
        for layer in range(LAYERS):
            rows += _resnet(f"input_blocks.{n}.0", f"down_blocks.{level}.resnets.{layer}")
            if attends:
                rows += _attention(f"input_blocks.{n}.1", f"down_blocks.{level}.attentions.{layer}")
            n += 1
        if level < last:
            rows.append(Row(f"input_blocks.{n}.0.op", (f"down_blocks.{level}.downsamplers.0.conv",)))
            n += 1
    rows += _resnet("middle_block.0", "mid_block.resnets.0")
    rows += _attention("middle_block.1", "mid_block.attentions.0")
    rows += _resnet("middle_block.2", "mid_block.resnets.1")
    n = 0
    for level, attends in enumerate(reversed(attention)):
        for layer in range(LAYERS + 1):
            rows += _resnet(f"output_blocks.{n}.0", f"up_blocks.{level}.resnets.{layer}")
            if attends:
                rows += _attention(f"output_blocks.{n}.1", f"up_blocks.{level}.attentions.{layer}")
            if layer == LAYERS and level < last:
                # it comes after the attention, where there is one
                place = 2 if attends else 1
                rows.append(Row(f"output_blocks.{n}.{place}.conv", (f"up_blocks.{level}.upsamplers.0.conv",)))
            n += 1
    return Table(rows)


# `time_embedding.cond_proj` is that of LCM; the numbers are left open, so that UNets of any depth are known
MODULES = (
    *(here for _, here in STEM),
    "time_embedding.cond_proj",
    *(
        f"{side}.{name}"
        for side in ("down_blocks.{i}.resnets.{j}", "mid_block.resnets.{j}", "up_blocks.{i}.resnets.{j}")
        for _, name in RESNET
    ),
    *(
        f"{side}.{name}"
        for side in ("down_blocks.{i}.attentions.{j}", "mid_block.attentions.{j}", "up_blocks.{i}.attentions.{j}")
        for name in TRANSFORMER
    ),
    "down_blocks.{i}.downsamplers.{j}.conv",
    "up_blocks.{i}.upsamplers.{j}.conv",
)
BLOCKS = ("down_blocks", "mid_block", "up_blocks")

SD1 = Names(
    name="sd1",
    title="Stable Diffusion 1",
    component="unet",
    tables={"original": ldm((True, True, True, False))},
    kohya="diffusers",
    comfyui="original",
    blocks=BLOCKS,
    text_encoders={"text_encoder": ("clip", "clip_l")},
    modules=MODULES,
    kohya_text={"text_encoder": "lora_te"},
)
SD2 = Names(
    name="sd2",
    title="Stable Diffusion 2",
    component="unet",
    tables={"original": ldm((True, True, True, False))},
    kohya="diffusers",
    comfyui="original",
    blocks=BLOCKS,
    text_encoders={"text_encoder": ("clip", "clip_h")},
    modules=MODULES,
    kohya_text={"text_encoder": "lora_te"},
)
SDXL = Names(
    name="sdxl",
    title="Stable Diffusion XL",
    component="unet",
    tables={"original": ldm((False, True, True))},
    kohya="original",
    comfyui="original",
    blocks=BLOCKS,
    text_encoders={"text_encoder": ("clip", "clip_l"), "text_encoder_2": ("clip", "clip_g")},
    modules=MODULES,
    kohya_text={"text_encoder": "lora_te1", "text_encoder_2": "lora_te2"},
)

# inputs of the cross-attention: the width of the text encoders
TEXT_WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
REFINER = 1280


def tell_apart(modules: Mapping[str, tuple[int, ...] | None]) -> str:
    """Return which of the three a UNet's modules (diffusers names) are of.

    The width of the cross-attention decides; where the file has none of it, or one that no model has (a toy), the
    levels that have attention do, and SD 1 is what is left over. "" for XL's refiner, which is another model.
    """
    for name, shape in modules.items():
        if shape and len(shape) > 1 and name.endswith((".attn2.to_k", ".attn2.to_v")):
            if shape[1] == REFINER:
                return ""
            if shape[1] in TEXT_WIDTHS:
                return TEXT_WIDTHS[shape[1]]
    return "sdxl" if _looks_like_xl(modules) else "sd1"


def _looks_like_xl(modules: Iterable[str]) -> bool:
    for name in modules:
        parts = name.split(".")
        if parts[0] == "add_embedding":
            return True
        if "attentions" in parts and parts[:2] in (["down_blocks", "0"], ["up_blocks", "3"]):
            return False
        if "attentions" in parts and parts[:2] == ["up_blocks", "0"]:
            return True
        if "transformer_blocks" in parts and parts[parts.index("transformer_blocks") + 1] != "0":
            return True
    return False
