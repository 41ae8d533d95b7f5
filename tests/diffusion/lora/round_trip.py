"""Random LoRAs of every family, small but with all the modules that the family's tables name."""

from __future__ import annotations

import re

import torch

from loragraph.diffusion.lora import names
from loragraph.diffusion.lora.delta import LowRank
from loragraph.diffusion.lora.model import Change, Lora

WIDTH = 8
MOST = 60
"""So many modules of a family are enough."""
TEXT_WIDTHS = {"sd1": 768, "sd2": 1024, "sdxl": 2048}
NORMS = re.compile(r"(^|\.)(norm\w*|ln_\w*|group_norm|layer_norm\w*|conv_norm_out|\w*_norm)$")
CONVOLUTIONS = re.compile(r"(^|\.)(conv|conv1|conv2|conv_in|conv_out|conv_shortcut)$")


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def modules(family: str) -> list[str]:
    """The diffusers names of the layers of a family that an adapter changes, of the first block of each list."""
    own = names.get(family)
    rows = own.table("original").rows if family in TEXT_WIDTHS else own.diffusers.rows
    targets = [target for row in rows for target in row.targets]
    filled = (re.sub(r"\{\w+\}", "0", target) for target in targets)
    found = [name for name in dict.fromkeys(filled) if not NORMS.search(name)]
    every = -(-len(found) // MOST)
    return [name for place, name in enumerate(found) if place % every == 0 or name.endswith("conv_in")]


def shape(family: str, module: str) -> tuple[int, ...]:
    if CONVOLUTIONS.search(module):
        kernel = 1 if module.endswith("conv_shortcut") else 3
        return WIDTH, WIDTH, kernel, kernel
    if module.endswith((".attn2.to_k", ".attn2.to_v")) and family in TEXT_WIDTHS:
        return WIDTH, TEXT_WIDTHS[family]
    if module.endswith("proj_mlp"):
        return 4 * WIDTH, WIDTH
    return WIDTH, WIDTH


def lora(family: str, rank: int = 2, alpha: float = 3.0, only: str = "", dtype: torch.dtype = torch.float32) -> Lora:
    """Plain pairs, of ranks `rank` and `rank` + 1, on the modules whose names hold `only`."""
    changes = {}
    for place, module in enumerate(name for name in modules(family) if only in name):
        out, inside, *kernel = shape(family, module)
        each = rank + place % 2
        down = numbers(2 * place, each, inside, *kernel).to(dtype)
        up = numbers(2 * place + 1, out, each, *(1 for _ in kernel)).to(dtype)
        changes[f"{names.get(family).component}.{module}"] = Change(LowRank(down, up, alpha))
    return Lora(changes, family)


def distance(found: Lora, expected: Lora) -> float:
    """The largest difference of a change's entries over its largest entry; infinite where modules differ, apart from
    those that changed nothing in `found`."""
    worst = 0.0
    for name in found.changes.keys() | expected.changes.keys():
        delta = found.changes[name].delta if name in found.changes else None
        wanted = expected.changes[name].delta if name in expected.changes else None
        if wanted is None:
            if delta is None or delta.dense().any():
                return float("inf")
            continue
        if delta is None or delta.shape != wanted.shape:
            return float("inf")
        reference = wanted.dense(torch.float64)
        worst = max(worst, float((delta.dense(torch.float64) - reference).abs().max() / reference.abs().max()))
    return worst
