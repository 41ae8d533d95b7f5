"""Rules that combine changes entry by entry, in the small space that the changes span.

Summing changes needs no basis; dropping small entries or voting on signs does. Done on A and B apart it yields another
LoRA altogether, done on the weights it costs a dense SVD. Core Space merging (2509.17786) does it losslessly between:
with U the left singular vectors of [D_1 | D_2 | …] and V the right ones of [D_1; D_2; …], every D_i = U M_i V exactly,
and the M_i are as small as the ranks added up. U and V depend on the changes alone, not on how a file shares them
out to A and B.

    magnitude   sum of the M_i, each with its largest entries only
    ties        the same, but where signs differ only those count that have the sign of the sum (2306.01708)
    dare        sum of the M_i, entries dropped by chance, the rest divided by the share kept (2311.03099)
    dare_ties   dare, then the vote of ties
    knots       ties on the V_i of [D_1 | D_2 | …] = U S [V_1 | V_2 | …] (2410.19735), which are [rank, in]

A rule gets changes that have the strengths in them already. `density` is the share of entries kept. With `weights` (the
absolute strengths) every entry is divided by those that it comes from: a mean, where without it is a sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from .core import Factors

NEGLIGIBLE = 1e-14
"""Directions whose squared singular value is below this share of the largest are rounding, and are left out."""

RULES = ("magnitude", "ties", "dare", "dare_ties", "knots")


def combine(
    parts: Sequence[Factors],
    rule: str,
    density: float,
    seeds: Sequence[int],
    weights: Sequence[float] | None = None,
) -> Factors:
    """Return the factors of the changes combined by one of RULES.

    Args:
        parts: factors of each change in fp64, its strength in them.
        seeds: one for each change, for the rules that draw.
        weights: the absolute strengths where a mean is wanted.
    """
    if rule == "knots":
        left, values, within = _left_basis(parts)
        rights = [core @ down / values.unsqueeze(1) for core, (down, _) in zip(within, parts, strict=True)]
        return elect([trim(right, density) for right in rights], weights), left * values
    left, cores, right = core_space(parts)
    if rule.startswith("dare"):
        cores = [drop(core, density, seed) for core, seed in zip(cores, seeds, strict=True)]
    else:
        cores = [trim(core, density) for core in cores]
    merged = elect(cores, weights) if rule.endswith("ties") else _sum(cores, weights)
    return merged @ right, left


def core_space(parts: Sequence[Factors]) -> tuple[Tensor, list[Tensor], Tensor]:
    """Return U [out, k], the M_i [k, l], V [l, in · kernel] with D_i = U M_i V; U and V^T have orthonormal columns."""
    left, _, in_left = _left_basis(parts)
    turned = [(core.T, down.T) for core, (down, _) in zip(in_left, parts, strict=True)]
    right, _, in_right = _left_basis(turned)
    return left, [one @ other.T for one, other in zip(in_left, in_right, strict=True)], right.T


def _left_basis(parts: Sequence[Factors]) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return the left singular vectors U of [D_1 | D_2 | …], their values, and C_i [k, rank of i] with D_i = U C_i A_i.

    From the k x k matrix U^T (sum of D_i D_i^T) U in the basis that QR of all B gives.
    """
    basis, triangle = torch.linalg.qr(torch.cat([up for _, up in parts], dim=1))
    within = triangle.split([up.shape[1] for _, up in parts], dim=1)
    gram = sum(core @ (down @ down.T) @ core.T for core, (down, _) in zip(within, parts, strict=True))
    squares, vectors = torch.linalg.eigh(gram)
    kept = max(1, int((squares > NEGLIGIBLE * squares[-1]).sum()))
    vectors = vectors[:, -kept:].flip(1)
    lengths = squares[-kept:].flip(0).clamp(min=torch.finfo(squares.dtype).tiny).sqrt()
    return basis @ vectors, lengths, [vectors.T @ core for core in within]


def trim(entries: Tensor, density: float) -> Tensor:
    """Return a matrix with its largest entries by absolute value, a share of `density` of all, and zeros elsewhere."""
    keep = max(1, round(density * entries.numel()))
    if keep == entries.numel():
        return entries
    chosen = entries.abs().flatten().topk(keep, sorted=False).indices
    kept = torch.zeros_like(entries).flatten()
    kept[chosen] = entries.flatten()[chosen]
    return kept.reshape(entries.shape)


def drop(entries: Tensor, density: float, seed: int) -> Tensor:
    """Return a matrix in which each entry stays with probability `density`, divided by it: the same on average."""
    numbers = torch.Generator().manual_seed(seed)
    return entries * (torch.rand(entries.shape, generator=numbers, dtype=torch.float64) < density) / density


def draw_seed(seed: int, module: str, place: int) -> int:
    """Return the seed for one LoRA's change of one module, so that no other module or its order matters."""
    digest = hashlib.sha256(f"{seed}\0{module}\0{place}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def elect(parts: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """Return, entry by entry, the sum of those that have the sign of the sum of all; with `weights` their mean."""
    sign = sum(parts, torch.zeros_like(parts[0])).sign()
    agreeing = [part * sign > 0 for part in parts]
    total = sum((part * agrees for part, agrees in zip(parts, agreeing, strict=True)), torch.zeros_like(sign))
    if weights is None:
        return total
    behind = sum((weight * agrees for weight, agrees in zip(weights, agreeing, strict=True)), torch.zeros_like(sign))
    return torch.where(behind > 0, total / behind, 0.0)


def _sum(parts: Sequence[Tensor], weights: Sequence[float] | None) -> Tensor:
    total = sum(parts, torch.zeros_like(parts[0]))
    return total if weights is None else total / sum(weights)
