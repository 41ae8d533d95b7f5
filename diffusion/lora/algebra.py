"""Several LoRAs into one, exactly or at a chosen rank.

With w_i the strengths, s_i = alpha_i / r_i and the sum  D = sum_i w_i s_i B_i A_i  per module:

    concat   A = [A_1; A_2; ...], B = [w_1 s_1 B_1, w_2 s_2 B_2, ...]: B A = D exactly; the ranks add up
    svd      the best rank-k approximation of D (Eckart-Young), from QR of the small factors

Both take modules that only some of the LoRAs have. Adding A's and B's apart ("linear" merging) is not offered: its
cross terms B_i A_j make the result another LoRA altogether.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from ..errors import LoraMismatch, SettingError
from .weights import Lora, Pair

Weighted = Sequence[tuple[Mapping[str, Pair], float]]


class Reduced(NamedTuple):
    """lora: the result. energy: share of the squared norm of all changes that it keeps, 0..1; energies: per module."""

    lora: Lora
    energy: float
    energies: dict[str, float]


def concat(loras: Weighted) -> Lora:
    """Return one LoRA whose change is the weighted sum; ranks add up. Maths in fp32.

    Raises:
        SettingError: nothing to combine. LoraMismatch: a module has different sizes in two of them.
    """
    return {
        module: Pair(down.contiguous(), up.contiguous(), float(down.shape[0]))
        for module, (down, up) in _stacked(loras, torch.float32).items()
    }


def svd(loras: Weighted, rank: int) -> Reduced:
    """Return the best LoRA of at most `rank` per module, and how much of the sum it keeps.

    B = Qb Rb and A^T = Qa Ra by QR, then the SVD of Rb Ra^T, which is only as large as the ranks added up; equal to the
    dense SVD of D, and exact when `rank` is at least that sum. fp64 inside, fp32 out. B carries the singular values.

    Raises:
        SettingError: rank below 1, or nothing to combine. LoraMismatch: see `concat`.
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise SettingError("rank", rank, "use a whole number of at least 1.")
    lora: Lora = {}
    energies: dict[str, float] = {}
    kept_all = total_all = 0.0
    for module, (down, up) in _stacked(loras, torch.float64).items():
        q_up, r_up = torch.linalg.qr(up)
        q_down, r_down = torch.linalg.qr(down.T)
        left, values, right = torch.linalg.svd(r_up @ r_down.T, full_matrices=False)
        keep = min(rank, len(values))
        new_up = q_up @ (left[:, :keep] * values[:keep])
        new_down = right[:keep] @ q_down.T
        lora[module] = Pair(new_down.float().contiguous(), new_up.float().contiguous(), float(keep))
        kept, total = float(values[:keep].square().sum()), float(values.square().sum())
        energies[module] = kept / total if total > 0 else 1.0
        kept_all, total_all = kept_all + kept, total_all + total
    return Reduced(lora, kept_all / total_all if total_all > 0 else 1.0, energies)


def dense(loras: Weighted) -> dict[str, torch.Tensor]:
    """Return {module: D [out, in]} in fp32; as large as the base, so for checks and small models."""
    return {module: up @ down for module, (down, up) in _stacked(loras, torch.float32).items()}


def _stacked(loras: Weighted, dtype: torch.dtype) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """{module: (A stacked [sum r, in], B side by side with strength and scale in it [out, sum r])}."""
    if not loras:
        raise SettingError("loras", [], "give at least one LoRA to combine.")
    parts: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    for lora, strength in loras:
        for module, pair in lora.items():
            up = pair.up.to(dtype) * (strength * pair.scale)
            known = parts.setdefault(module, [])
            if known and (known[0][0].shape[1], known[0][1].shape[0]) != (pair.down.shape[1], pair.up.shape[0]):
                raise LoraMismatch(
                    f"These LoRAs are for different models: {module} is {known[0][0].shape[1]} -> "
                    f"{known[0][1].shape[0]} in one, {pair.down.shape[1]} -> {pair.up.shape[0]} in another."
                )
            known.append((pair.down.to(dtype), up))
    return {
        module: (torch.cat([down for down, _ in pairs]), torch.cat([up for _, up in pairs], dim=1))
        for module, pairs in parts.items()
    }
