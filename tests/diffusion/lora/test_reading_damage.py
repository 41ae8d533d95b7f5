"""Damaged LoRA files are refused, with the module."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from loragraph.diffusion.errors import LoraFileError
from loragraph.diffusion.lora import reading
from loragraph.diffusion.lora.delta import LowRank
from loragraph.tests.diffusion.lora.made import (
    KOHYA,
    PROJ,
    TO_Q,
    D,
    Sheet,
    plain,
    refused,
)


def _drop(sheet: Sheet) -> None:
    del sheet.tensors[f"{TO_Q}.lora_B.weight"]


def _cut(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_B.weight"] = torch.ones(D, 3)


def _flatten(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_B.weight"] = torch.ones(D * 4)


def _empty(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_A.weight"] = torch.ones(0, D)
    sheet.tensors[f"{TO_Q}.lora_B.weight"] = torch.ones(D, 0)


def _magnitude(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_magnitude_vector"] = torch.ones(D - 1)


def _bias(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_B.bias"] = torch.ones(D + 1)


def _lonely_magnitude(sheet: Sheet) -> None:
    sheet.tensors["transformer.transformer_blocks.1.attn.to_q.dora_scale"] = torch.ones(D, 1)


def _lonely_alpha(sheet: Sheet) -> None:
    sheet.tensors["transformer.transformer_blocks.1.attn.to_q.alpha"] = torch.tensor(1.0)


def _two_kinds(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.diff"] = torch.ones(D, D)


def _two_adapters(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_A.second.weight"] = torch.ones(4, D)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_drop, "is incomplete: lora_B"),
        (_cut, "do not fit together"),
        (_flatten, "do not fit together"),
        (_empty, "is damaged"),
        (_magnitude, "do not fit together"),
        (_bias, "do not fit together"),
        (_lonely_magnitude, "is incomplete"),
        (_lonely_alpha, "is incomplete"),
        (_two_kinds, "in several ways at once"),
        (_two_adapters, "says the same twice"),
    ],
)
def test_damage_is_told_with_the_module(damage: object, words: str, tmp_path: Path) -> None:
    sheet = plain()
    assert callable(damage)
    damage(sheet)
    found = refused(sheet, tmp_path)
    assert words in found
    assert "attn.to_q" in found


def test_two_names_for_one_module_are_an_error(tmp_path: Path) -> None:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair("diffusion_model.double_blocks.0.img_attn.proj", "one", (D, D))
    sheet.pair("diffusion_model.transformer_blocks.0.attn.to_out.0", "two", (D, D))
    words = refused(sheet, tmp_path)
    assert "twice" in words
    assert "transformer.transformer_blocks.0.attn.to_out.0" in words


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_found_in_every_precision(
    value: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    sheet = plain()
    sheet.tensors = {key: tensor.to(dtype) for key, tensor in sheet.tensors.items()}
    sheet.tensors[f"{PROJ}.lora_A.weight"][3, 7] = value
    path = sheet.write(tmp_path / "one.safetensors")
    with pytest.raises(LoraFileError, match=rf"no numbers, in {PROJ}\.lora_A\.weight"):
        reading.load(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_largest_numbers_are_numbers(dtype: torch.dtype, tmp_path: Path) -> None:
    sheet = plain()
    for sign, side in ((1, "A"), (-1, "B")):
        key = f"{TO_Q}.lora_{side}.weight"
        sheet.tensors[key] = torch.full_like(sheet.tensors[key], sign * torch.finfo(dtype).max, dtype=dtype)
    delta = reading.load(sheet.write(tmp_path / "one.safetensors")).changes[TO_Q].delta
    assert isinstance(delta, LowRank)
    assert delta.up.min().item() == -torch.finfo(dtype).max
