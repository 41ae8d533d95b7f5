"""Baking into packed numbers: refused by the name of the packing. (Plain and scaled fp8 are in `test_bake.py`.)"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from loragraph.diffusion.adapters import Use
from loragraph.diffusion.errors import ModelError
from loragraph.diffusion.lora.bake import bake
from loragraph.diffusion.lora.fits import check_fits
from loragraph.tests.diffusion.lora.test_bake import ONE, WEIGHTS, pairs_for, write_peft

QUERY = "single_transformer_blocks.0.attn.to_q"


@pytest.fixture
def lora(base: Path, tmp_path: Path) -> Path:
    return write_peft(tmp_path / "one.safetensors", pairs_for(base, **ONE))


@pytest.mark.parametrize(
    ("packed", "beside", "said"),
    [
        (f"{QUERY}.weight", f"{QUERY}.weight.absmax", "4-bit of bitsandbytes"),
        (f"{QUERY}.qweight", f"{QUERY}.scales", "integers or packed numbers (U8)"),
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_weights_of_packed_numbers_are_refused_by_name_and_not_for_their_size(
    packed: str, beside: str, said: str, partial: bool, base: Path, lora: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    shutil.copytree(base, small)
    tensors = load_file(base / WEIGHTS)
    numbers = tensors.pop(f"{QUERY}.weight").numel() // 2
    save_file(tensors | {packed: torch.zeros(numbers, 1, dtype=torch.uint8), beside: torch.ones(4)}, small / WEIGHTS)
    use = Use(str(lora), "1" * 64, 0.8, partial=partial)
    with pytest.raises(ModelError, match=rf"{re.escape(packed)} of .* is quantised: {re.escape(said)}"):
        bake(small, [use], tmp_path / "x")
    with pytest.raises(ModelError, match="is quantised"):
        check_fits(lora, small, partial=partial)
    assert not (tmp_path / "x").exists()


def test_eight_bits_of_bitsandbytes_are_refused_by_name(base: Path, lora: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    shutil.copytree(base, small)
    tensors = load_file(base / WEIGHTS)
    tensors[f"{QUERY}.weight"] = tensors[f"{QUERY}.weight"].to(torch.int8)
    save_file(tensors | {f"{QUERY}.SCB": torch.ones(4)}, small / WEIGHTS)
    with pytest.raises(ModelError, match=rf"{re.escape(QUERY)}\.weight of .* is quantised: 8-bit of bitsandbytes"):
        bake(small, [(str(lora), "1" * 64, 0.8)], tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("partial", [False, True])
def test_a_single_file_of_packed_numbers_is_refused_too(partial: bool, lora: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.safetensors"
    names = ("double_blocks.0.img_attn.proj", "double_blocks.0.txt_attn.proj", "single_blocks.0.linear2")
    plain = {f"{name}.weight": torch.zeros(64, 64) for name in (*names, "img_in", "txt_in")}
    packed = {"single_blocks.0.linear1.qweight": torch.zeros(8, 64, dtype=torch.int32)}
    save_file(plain | packed, base)
    use = Use(str(lora), "1" * 64, 0.8, partial=partial)
    with pytest.raises(ModelError, match=r"single_blocks\.0\.linear1\.qweight of .* is quantised: GPTQ or AWQ"):
        bake(base, [use], tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
