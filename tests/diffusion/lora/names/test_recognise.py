"""Which family some modules are of, from little."""

from __future__ import annotations

import pytest

from loragraph.diffusion.errors import SettingError
from loragraph.diffusion.lora import names

Shapes = dict[str, tuple[int, ...] | None]


def blocks(pattern: str, count: int, shape: tuple[int, ...] | None) -> Shapes:
    return {pattern.format(i): shape for i in range(count)}


@pytest.mark.parametrize(
    ("modules", "family"),
    [
        ({"unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k": (1280, 768)}, "sd1"),
        ({"unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v": (1280, 1024)}, "sd2"),
        ({"unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k": (1280, 2048)}, "sdxl"),
        # without widths, by the levels that have attention and how deep it is
        ({"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": None}, "sd1"),
        ({"unet.up_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": None}, "sdxl"),
        ({"unet.mid_block.attentions.0.transformer_blocks.9.attn1.to_q": None}, "sdxl"),
        ({"unet.add_embedding.linear_1": None, "unet.conv_in": None}, "sdxl"),
        # the refiner of XL is none of the three
        ({"unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k": (1536, 1280)}, ""),
        # the same names in FLUX, SD3 and Qwen-Image: by width, then by depth, then by what only one has
        (blocks("transformer.transformer_blocks.{}.attn.to_q", 19, (3072, 3072)), "flux"),
        (blocks("transformer.transformer_blocks.{}.attn.to_q", 60, (3072, 3072)), "qwen-image"),
        (blocks("transformer.transformer_blocks.{}.attn.to_q", 24, (1536, 1536)), "sd3"),
        (blocks("transformer.transformer_blocks.{}.attn.to_q", 38, (2432, 2432)), "sd3"),
        ({"transformer_blocks.0.attn.to_q": (64, 64), "single_transformer_blocks.0.attn.to_q": (64, 64)}, "flux"),
        ({"transformer_blocks.0.attn.to_q": (64, 64), "transformer_blocks.0.img_mod.1": (384, 64)}, "qwen-image"),
        ({"transformer_blocks.0.attn.to_q": (64, 64), "transformer_blocks.0.attn2.to_q": (64, 64)}, "sd3"),
        (blocks("transformer_blocks.{}.attn1.to_q", 42, (3072, 3072)), "cogvideox"),
        (blocks("blocks.{}.attn1.to_q", 40, (5120, 5120)), "wan"),
        # CogView4 and HunyuanVideo have the names of CogVideoX and FLUX, but are wider and deeper
        (blocks("transformer_blocks.{}.attn1.to_q", 28, (4096, 4096)), ""),
        (blocks("single_transformer_blocks.{}.attn.to_q", 40, (3072, 3072)), ""),
        ({"text_encoder.text_model.encoder.layers.0.self_attn.q_proj": (768, 768)}, "sd1"),
        ({"text_encoder.text_model.encoder.layers.0.self_attn.q_proj": (1024, 1024)}, "sd2"),
        ({"text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj": (1280, 1280)}, "sdxl"),
        ({"model.layers.0.self_attn.q_proj": (4096, 4096)}, ""),
        ({}, ""),
    ],
)
def test_a_few_modules_tell_the_family(modules: Shapes, family: str) -> None:
    assert names.recognise(modules) == family


def test_the_text_encoders_of_a_file_do_not_hide_the_network() -> None:
    encoder: Shapes = {f"text_encoder.text_model.encoder.layers.{i}.mlp.fc1": (3072, 768) for i in range(12)}
    assert names.recognise({**encoder, "unet.conv_in": (320, 4, 3, 3)}) == "sd1"
    flux: Shapes = {"transformer.single_transformer_blocks.0.proj_out": (3072, 15360)}
    assert names.recognise({**encoder, **flux}) == "flux"


def test_a_network_most_of_which_is_unknown_is_of_no_family() -> None:
    known: Shapes = {"blocks.0.attn1.to_q": (1536, 1536)}
    assert names.recognise(known) == "wan"
    assert names.recognise({**known, "blocks.0.mystery": None}) == ""


def test_an_unknown_family_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match='"sdxl"'):
        names.get("sdxll")
    assert all(names.get(name).name == name for name in names.FAMILIES)
