"""Random changes of every form for a weight, small models, and what a model gives with weights changed for real."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from loragraph.diffusion.lora.delta import Delta, Full, Hadamard, Kronecker, LowRank
from loragraph.diffusion.lora.model import Change, Lora, Magnitude

KINDS = ("lora", "rslora", "loha", "lokr", "lokr_whole", "full", "biased", "dora_out", "dora_in")


def random_change(kind: str, module: nn.Module, seed: int = 0, rank: int = 3) -> Change:
    """Return a random change of this kind for a linear layer or a convolution."""
    weight = module.weight
    out, inside, *kernel = weight.shape
    numbers = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=numbers) * 0.3

    def pair(alpha: float = 2.0, stable: bool = False) -> LowRank:
        ones = [1] * len(kernel)
        return LowRank(draw(rank, inside, *kernel), draw(out, rank, *ones), alpha, rank_stabilized=stable)

    flat = inside * math.prod(kernel)
    if kind == "lora":
        return Change(pair())
    if kind == "rslora":
        return Change(pair(1.5, True))
    if kind == "tucker":
        ones = [1] * len(kernel)
        return Change(LowRank(draw(rank, inside, *ones), draw(out, rank, *ones), 2.0, draw(rank, rank, *kernel)))
    if kind == "loha":
        parts = draw(out, rank), draw(rank, flat), draw(out, 2), draw(2, flat)
        return Change(Hadamard(*parts, 2.0, kernel=tuple(kernel)))
    if kind in ("lokr", "lokr_whole"):
        return Change(kronecker(kind == "lokr_whole", out, inside, tuple(kernel), rank, draw))
    if kind == "full":
        return Change(Full(draw(*weight.shape)))
    if kind == "biased":
        return Change(pair(), bias=draw(out))
    if kind == "set":
        return Change(set_weight=draw(*weight.shape), bias=draw(out))
    axis = 0 if kind == "dora_out" else 1
    return Change(pair(), Magnitude(draw(weight.shape[axis]).abs() + 1, axis), bias=draw(out) if seed % 2 else None)


def kronecker(whole: bool, out: int, inside: int, kernel: tuple[int, ...], rank: int, draw: object) -> Delta:
    """Return a LoKr of (2 x 2) ⊗ the rest; decomposed on the second side unless `whole`."""
    assert callable(draw)
    if whole:
        return Kronecker(5.0, w1=draw(2, 2), w2=draw(out // 2, inside // 2, *kernel))
    a, b = draw(out // 2, rank), draw(rank, inside // 2 * math.prod(kernel))
    return Kronecker(2.0, w1_a=draw(2, 1), w1_b=draw(1, 2), w2_a=a, w2_b=b, kernel=kernel)


def really(module: nn.Module, acting: Sequence[tuple[Change, float]]) -> nn.Module:
    """Return a copy of the module in fp64 whose weight and bias have been changed, one change after the other."""
    import copy

    changed = copy.deepcopy(module).double()
    changed._forward_hooks.clear()
    weight = changed.weight.data
    bias = None if changed.bias is None else changed.bias.data
    for change, strength in acting:
        weight = change.weight(weight, strength)
        if change.bias is not None:
            bias = (0 if bias is None else bias) + strength * change.bias.double()
    changed.weight.data = weight
    if bias is not None:
        changed.bias = nn.Parameter(bias)
    return changed.requires_grad_(False)


def flux_lora(model: nn.Module, seed: int = 0, rank: int = 4, alpha: float = 2.0, only: str = "") -> Lora:
    """Return a random LoRA for every attention layer of a transformer whose name has `only` in it."""
    chosen: Mapping[str, nn.Module] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".attn." in name and only in name
    }
    numbers = torch.Generator().manual_seed(seed)
    changes = {}
    for name, module in chosen.items():
        out, inside = module.weight.shape
        down = torch.randn(rank, inside, generator=numbers) * 0.3
        changes[f"transformer.{name}"] = Change(LowRank(down, torch.randn(out, rank, generator=numbers) * 0.3, alpha))
    return Lora(changes, "flux")
