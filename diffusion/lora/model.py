"""A LoRA in memory, whatever its file looked like: {name of a module: what changes there}.

A module is named as diffusers names it, with the component of the pipeline in front:
`transformer.transformer_blocks.0.attn.to_q`, `unet.mid_block.attentions.0.proj_in`, `text_encoder.text_model.….q_proj`.

At strength t the weight W of a module and its bias b become

    plain   W + t D               D: `delta.dense()`, the scale in it
    DoRA    W + t (m (W + D) / |W + D| - W)      the norm taken over each row (axis 0) or each column (axis 1) of the
            flattened weight (2402.09353); not additive, and it depends on W
    bias    b + t d               (a module without a bias counts as one with zeros)
    set     W + t (V - W)         V replaces the weight (norms of a control LoRA); only at strength 1 is it V itself
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from .delta import Delta, LowRank


@dataclass(frozen=True, eq=False)
class Magnitude:
    """DoRA's m: one number for each output (axis 0, [out]) or each input (axis 1, [in]; [in, *kernel] is flattened)."""

    vector: Tensor
    axis: Literal[0, 1] = 0


@dataclass(frozen=True, eq=False)
class Change:
    """What an adapter does to one module; see the table above. `bias` has its scale in it."""

    delta: Delta | None = None
    magnitude: Magnitude | None = None
    bias: Tensor | None = None
    set_weight: Tensor | None = None
    widens: bool = False
    """The weight has more inputs than the base's, which is to be filled up with zeros first (control LoRAs)."""

    @property
    def additive(self) -> bool:
        """Whether the change is the same whatever the weight is, so that changes add up."""
        return self.magnitude is None and self.set_weight is None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of the weight that it fits; None where only the bias changes."""
        if self.delta is not None:
            return self.delta.shape
        return None if self.set_weight is None else tuple(self.set_weight.shape)

    def weight(self, base: Tensor, strength: float = 1.0) -> Tensor:
        """Return the changed weight in fp32 (fp64 where the base is), rounded nowhere before."""
        exact = torch.float64 if base.dtype == torch.float64 else torch.float32
        start = base.to(exact)
        if self.set_weight is not None:
            start = start + strength * (self.set_weight.to(exact) - start)
        if self.delta is None:
            return start
        # a 1x1 kernel or a flattened one is the same numbers in another shape
        dense = self.delta.dense(exact).reshape(start.shape)
        if self.magnitude is None:
            return start + strength * dense
        moved = start + dense
        return start + strength * (renormed(moved, self.magnitude) - start)


def renormed(weight: Tensor, magnitude: Magnitude) -> Tensor:
    """Return the weight with the norm of each row (or column) being the magnitude, in the weight's dtype."""
    flat = weight.flatten(1)
    vector = magnitude.vector.to(weight.dtype).flatten()
    if magnitude.axis == 0:
        return (flat * (vector / flat.norm(dim=1)).unsqueeze(1)).reshape(weight.shape)
    if weight.ndim > 2 and len(vector) == weight.shape[1]:
        # one number for an input channel: the norm is over the outputs and the kernel
        norm = weight.transpose(0, 1).flatten(1).norm(dim=1)
        return weight * (vector / norm).reshape(1, -1, *(1 for _ in weight.shape[2:]))
    return (flat * (vector / flat.norm(dim=0)).unsqueeze(0)).reshape(weight.shape)


@dataclass(frozen=True)
class Lora:
    """An adapter: changes by module, the family of models it is for ("" if unknown), the texts of its file's header,
    what its file was (`dialect`), what was guessed or left out (`warnings`, sentences), and keys that found no meaning
    (`unmatched`, only when the reader was allowed to leave some)."""

    changes: Mapping[str, Change]
    family: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    dialect: str = ""
    warnings: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """The largest rank of a module."""
        return max((change.delta.rank for change in self.changes.values() if change.delta is not None), default=0)

    @property
    def additive(self) -> bool:
        """Whether no module depends on the base's weight."""
        return all(change.additive for change in self.changes.values())


def plain(pairs: Mapping[str, tuple[Tensor, Tensor, float]], family: str = "") -> Lora:
    """Return a Lora of low-rank pairs: {module: (A, B, alpha)}."""
    return Lora({name: Change(LowRank(down, up, alpha)) for name, (down, up, alpha) in pairs.items()}, family)
