"""Whether a LoRA fits a base, and what is said if it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from loragraph.diffusion.errors import LoraMismatch
from loragraph.diffusion.lora import fits, reading
from loragraph.diffusion.lora.info import Item
from loragraph.tests.diffusion.lora.made import KOHYA, PEFT, Sheet

D = 16
TO_Q = "transformer.transformer_blocks.0.attn.to_q"
PROJ = "transformer.single_transformer_blocks.0.proj_out"
BASE = {f"{TO_Q}.weight": (D, D), f"{TO_Q}.bias": (D,), f"{PROJ}.weight": (D, 5 * D)}


def info(folder: Path, *, width: int = D, **extra: tuple[int, int]) -> reading.LoraInfo:
    sheet = Sheet(PEFT)
    sheet.pair(TO_Q, TO_Q, (width, width))
    sheet.pair(PROJ, PROJ, (D, 5 * D))
    for name, shape in extra.items():
        sheet.pair(name, name, shape)
    return reading.inspect(sheet.write(folder / "one.safetensors"))


def test_a_lora_that_fits_is_handed_back_as_it_is(tmp_path: Path) -> None:
    found = info(tmp_path)
    assert fits.check_shapes("one", found, BASE, "base") is found


def test_modules_without_a_home_are_named_with_both_families(tmp_path: Path) -> None:
    found = info(tmp_path)
    shapes = {"unet.mid_block.attentions.0.proj_in.weight": (D, D)}
    with pytest.raises(LoraMismatch) as caught:
        fits.check_shapes("one.safetensors", found, shapes, "my base", "sdxl")
    words = str(caught.value)
    assert "one.safetensors does not fit the base my base" in words
    assert f"2 of its 2 modules are not in the base ({PROJ}, {TO_Q})" in words
    assert "It is made for FLUX.1, and the base is Stable Diffusion XL." in words
    assert "allow_partial" not in words


def test_another_size_is_told_with_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(LoraMismatch) as caught:
        fits.check_shapes("one", info(tmp_path, width=32), BASE, "base", "flux")
    words = str(caught.value)
    assert f"{TO_Q} is 32 -> 32 in the LoRA, 16 -> 16 in the base" in words
    assert "It is made for" not in words
    assert "allow_partial" in words


def test_what_does_not_fit_is_left_out_where_that_is_allowed(tmp_path: Path) -> None:
    found = fits.check_shapes("one", info(tmp_path, width=32), BASE, "base", partial=True)
    assert (list(found.items), found.modules) == ([PROJ], 1)
    assert any(f"1 of its 2 modules do not fit base and were left out: {TO_Q}" in words for words in found.warnings)


def test_a_lora_of_which_nothing_fits_is_an_error_even_then(tmp_path: Path) -> None:
    with pytest.raises(LoraMismatch):
        fits.check_shapes("one", info(tmp_path), {"unet.conv_in.weight": (4, 4, 3, 3)}, "base", partial=True)


def item(kind: str, shape: tuple[int, ...], *, bias: bool = False, widens: bool = False) -> Item:
    return Item(kind, shape, 4, 4.0, 1.0, "tensor", None, bias, "", widens)


@pytest.mark.parametrize(
    ("change", "weight", "bias", "right"),
    [
        (item("lora", (8, 4)), (8, 4), None, True),
        (item("lora", (8, 4)), (4, 8), None, False),
        (item("lora", (8, 4)), (8, 4, 1, 1), None, True),
        (item("lora", (8, 4, 1, 1)), (8, 4), None, True),
        (item("loha", (8, 36)), (8, 4, 3, 3), None, True),
        (item("lora", (8, 4, 3, 3)), (8, 4, 1, 1), None, False),
        (item("full", (8,)), (8,), None, True),
        (item("lora", (8, 4), bias=True), (8, 4), (8,), True),
        (item("lora", (8, 4), bias=True), (8, 4), None, True),
        (item("lora", (8, 4), bias=True), (8, 4), (9,), False),
        (item("bias", (8,), bias=True), (8, 4), (8,), True),
        (item("bias", (8,), bias=True), (9, 4), None, False),
        (item("lora", (8, 128), widens=True), (8, 64), None, True),
        (item("lora", (8, 128)), (8, 64), None, False),
        (item("lora", (8, 64), widens=True), (8, 128), None, False),
    ],
)
def test_shapes_fit(change: Item, weight: tuple[int, ...], bias: tuple[int, ...] | None, right: bool) -> None:
    assert fits.fits(change, weight, bias) is right


def test_what_fits_in_another_shape_is_added_in_the_weight_s(tmp_path: Path) -> None:
    sheet = Sheet(KOHYA, alpha=2.0)
    name = "unet.mid_block.attentions.0.proj_in"
    sheet.pair("lora_unet_mid_block_attentions_0_proj_in", name, (D, D, 1, 1))
    change = reading.load(sheet.write(tmp_path / "one.safetensors")).changes[name]
    base = torch.zeros(D, D)
    torch.testing.assert_close(change.weight(base), sheet.expected[name].reshape(D, D).float())


def test_a_file_is_checked_against_a_base_s_folder(base: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    with safe_open(base / "transformer" / "diffusion_pytorch_model.safetensors", "pt") as weights:
        shape = tuple(weights.get_slice("transformer_blocks.0.attn.to_q.weight").get_shape())
    sheet = Sheet(PEFT)
    sheet.pair(TO_Q, TO_Q, shape)
    assert list(fits.check_fits(sheet.write(tmp_path / "one.safetensors"), base).items) == [TO_Q]
    sheet.pair(PROJ, PROJ, (7, 7))
    with pytest.raises(LoraMismatch, match="1 have another size"):
        fits.check_fits(sheet.write(tmp_path / "two.safetensors"), base)
