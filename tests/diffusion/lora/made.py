"""LoRA files made for tests from the published layouts, with what they must be read as.

A `Sheet` collects tensors under their names in the file and, by canonical name, the change that the reference formula
gives (in fp64): s · B A, reshaped to the weight. Rows of fused weights are given to their targets explicitly, so that
nothing here repeats what the reader does.

    >>> sheet = Sheet(suffixes=KOHYA)
    >>> sheet.pair("lora_unet_double_blocks_0_img_attn_proj", "transformer.transformer_blocks.0.attn.to_out.0", (8, 8))
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from loragraph.diffusion.errors import LoraFileError
from loragraph.diffusion.lora import reading
from loragraph.diffusion.lora.model import Lora

Ranges = tuple[int, int] | tuple[tuple[int, int], ...]


class Suffixes(NamedTuple):
    down: str
    up: str
    alpha: str = ""


PEFT = Suffixes(".lora_A.weight", ".lora_B.weight")
DEFAULT = Suffixes(".lora_A.default.weight", ".lora_B.default.weight")
KOHYA = Suffixes(".lora_down.weight", ".lora_up.weight", ".alpha")
COMFY = Suffixes(".lora_A.weight", ".lora_B.weight", ".alpha")
OLD = Suffixes(".lora.down.weight", ".lora.up.weight")
PROCESSOR = Suffixes("_lora.down.weight", "_lora.up.weight")
BARE = Suffixes(".down.weight", ".up.weight")


class Sheet:
    """suffixes: how the pair is called. alpha: of every pair (None: the format has none, so that the scale is 1)."""

    def __init__(self, suffixes: Suffixes, alpha: float | None = None, rank: int = 4) -> None:
        self.suffixes, self.alpha, self.rank = suffixes, alpha, rank
        self.tensors: dict[str, Tensor] = {}
        self.expected: dict[str, Tensor] = {}
        self.metadata: dict[str, str] = {}
        self.numbers = torch.Generator().manual_seed(0)

    def random(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.numbers)

    def pair(
        self,
        name: str,
        targets: Mapping[str, Ranges] | str,
        shape: tuple[int, ...],
        suffixes: Suffixes | None = None,
        rank: int | None = None,
    ) -> Tensor:
        """Add a pair for a weight [out, in, *kernel], whose rows are those of its targets; returns the whole change."""
        called = suffixes or self.suffixes
        inner = rank or self.rank
        out, inside, *kernel = shape
        down = self.random(inner, inside, *kernel)
        up = self.random(out, inner, *(1 for _ in kernel))
        self.tensors[name + called.down], self.tensors[name + called.up] = down, up
        scale = 1.0
        if called.alpha and self.alpha is not None:
            self.tensors[name + called.alpha] = torch.tensor(self.alpha)
            scale = self.alpha / inner
        change = (scale * (up.double().flatten(1) @ down.double().flatten(1))).reshape(shape)
        for target, rows in ({targets: (0, out)} if isinstance(targets, str) else targets).items():
            self.expected[target] = rows_of(change, rows)
        return change

    def write(self, path: Path) -> Path:
        save_file({key: value.contiguous() for key, value in self.tensors.items()}, path, self.metadata or None)
        return path


def rows_of(change: Tensor, rows: Ranges) -> Tensor:
    parts = (rows,) if isinstance(rows[0], int) else rows
    return torch.cat([change[first:last] for first, last in parts])  # type: ignore[misc]


def thirds(names: str, size: int, *keys: str) -> dict[str, Ranges]:
    """`names` with each key put in for {}: equal parts of a fused weight, in their order."""
    return {names.format(key): (size * place, size * (place + 1)) for place, key in enumerate(keys)}


def peft_header(component: str = "transformer", **settings: object) -> dict[str, str]:
    return {"lora_adapter_metadata": json.dumps({f"{component}.{key}": value for key, value in settings.items()})}


def assert_reads_as(lora: Lora, expected: Mapping[str, Tensor]) -> None:
    """Every module is there and no other, and each change is the expected one to 1e-6 of its size, in fp32."""
    assert set(lora.changes) == set(expected)
    for name, change in lora.changes.items():
        assert change.delta is not None
        assert_close(change.delta.dense(), expected[name], name)


def assert_close(found: Tensor, expected: Tensor, name: str = "") -> None:
    assert found.dtype == torch.float32
    assert tuple(found.shape) == tuple(expected.shape), name
    size = math.sqrt(float(expected.double().square().mean())) or 1.0
    assert float((found.double() - expected).abs().max()) <= 1e-6 * max(size, float(expected.abs().max())), name


D = 16
TO_Q = "transformer.transformer_blocks.0.attn.to_q"
PROJ = "transformer.single_transformer_blocks.0.proj_out"
NORM = f"{TO_Q.removesuffix('.to_q')}.norm_q"


def plain(**metadata: str) -> Sheet:
    sheet = Sheet(PEFT)
    sheet.pair(TO_Q, TO_Q, (D, D))
    sheet.pair(PROJ, PROJ, (D, D))
    sheet.metadata = dict(metadata)
    return sheet


def refused(sheet: Sheet, folder: Path, partial: bool = False) -> str:
    """The words of the refusal, which must be the same for the header alone and for the weights."""
    path = sheet.write(folder / "one.safetensors")
    with pytest.raises(LoraFileError) as first:
        reading.inspect(path, partial=partial)
    with pytest.raises(LoraFileError) as second:
        reading.load(path, partial=partial)
    assert str(first.value) == str(second.value)
    return str(first.value).removeprefix(str(path))
