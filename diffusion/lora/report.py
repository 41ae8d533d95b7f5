"""What a LoRA does, in numbers: one row for each module, sums for each block, and a picture of both.

    norm             |D|, the Frobenius norm of the change at strength 1
    spectral         S_1, its largest singular value: how far one direction moves at most
    stable rank      |D|² / S_1²
    effective rank   exp(-sum p ln p) with p = S / sum S (Roy & Vetterli 2007, "The effective rank")
    energy rank      how many singular values hold 95 % of |D|²: the rank that ResizeLoRA could do with

All come from the factors; only a full difference is looked at densely, by its leading values (then there is no
effective rank). A block is the smallest numbered part of the network that people give strengths for.

    >>> import torch
    >>> from .model import plain
    >>> one, = table(plain({"transformer.transformer_blocks.3.attn.to_q": (torch.eye(2, 6), torch.eye(4, 2), 4.0)}))
    >>> one.block, one.layer, one.rank, round(one.norm, 4), round(one.stable_rank, 4)
    ('transformer.transformer_blocks.3', 'attn.to_q', 2, 2.8284, 2.0)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from . import singular
from .criterion import Criterion
from .delta import Delta, Full, LowRank
from .model import Change, Lora

LEADING = 128  # singular values looked at of a change as large as its weight
ENERGY = 0.95

OnProgress = Callable[[int, int], None]
"""Called with (modules looked at, modules in all); may raise to stop."""

UNET = re.compile(r"(down_blocks|up_blocks)\.\d+\.\w+\.\d+|mid_block\.\w+\.\d+")
NUMBERED = re.compile(r"(?:[A-Za-z_]\w*\.)+?\d+(?=\.|$)")
INNER = re.compile(r"^(?:transformer_blocks|temporal_transformer_blocks|layers|layer)\.\d+\.")


class Row(NamedTuple):
    """A module. kind: "lora", "loha", "lokr", "full", "set" (a replaced weight) or "bias"; extras: what it has beside,
    such as "DoRA" or "bias". rank: of the change at most; dim: of its factors, which alpha is divided by (the rank
    itself in a plain pair, less in LoHa and LoKr). rank 0, dim None, alpha None: there is none. What follows `norm` is
    0 or None where the weight is a vector. values: the leading singular values. parameters: numbers that it holds."""

    module: str
    block: str
    layer: str
    kind: str
    extras: tuple[str, ...]
    shape: tuple[int, ...]
    rank: int
    dim: int | None
    alpha: float | None
    scale: float
    norm: float
    spectral: float
    stable_rank: float
    effective_rank: float | None
    energy_rank: int
    values: tuple[float, ...]
    parameters: int
    dtype: str


class Block(NamedTuple):
    """The modules of a block together; norm is that of all their changes as one vector."""

    block: str
    modules: int
    norm: float


def table(lora: Lora, on_progress: OnProgress | None = None) -> list[Row]:
    """Return a row for each module, in the order of the LoRA."""
    rows = []
    for module, change in lora.changes.items():
        rows.append(_row(module, change))
        if on_progress is not None:
            on_progress(len(rows), len(lora.changes))
    return rows


def blocks(rows: Sequence[Row]) -> list[Block]:
    """Return the blocks in the order of the network, as far as names tell it: text encoders first, numbers rising."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.block, []).append(row.norm)
    return [Block(block, len(found[block]), math.hypot(*found[block])) for block in sorted(found, key=_place)]


def parameters(lora: Lora) -> int:
    """Return how many numbers the LoRA holds; what modules share, such as A of a fused weight's parts, counts once."""
    tensors = {
        (tensor.data_ptr(), tensor.numel()): tensor.numel()
        for change in lora.changes.values()
        for tensor in _tensors(change)
    }
    return sum(tensors.values())


def block_of(module: str) -> tuple[str, str]:
    """Return (block, layer in it) of a canonical module name.

    >>> block_of("unet.down_blocks.1.attentions.0.transformer_blocks.2.attn1.to_q")
    ('unet.down_blocks.1.attentions.0', 'attn1.to_q')
    >>> block_of("unet.conv_in"), block_of("text_encoder.text_model.encoder.layers.4.mlp.fc1")
    (('unet', 'conv_in'), ('text_encoder.text_model.encoder.layers.4', 'mlp.fc1'))
    """
    component, _, path = module.partition(".")
    found = UNET.match(path) if component == "unet" else NUMBERED.match(path)
    if found is None or not path[found.end() :]:
        return component, path
    return f"{component}.{found[0]}", INNER.sub("", path[found.end() + 1 :])


def picture(lora: Lora, path: str | Path, title: str = "", rows: Sequence[Row] | None = None) -> Path:
    """Draw the LoRA as a PNG of 1200 x 800 pixels: norms by block and by layer, ranks and alphas, singular values.

    Args:
        title: what to call it, such as the file's name. rows: `table(lora)`, where it is there already.
    """
    from .picture import draw

    path = Path(path)
    draw(lora, table(lora) if rows is None else list(rows), title).save(path, format="PNG")
    return path


def as_json(lora: Lora, rows: Sequence[Row] | None = None) -> dict[str, Any]:
    """Return the report in plain JSON types; of the singular values the first eight."""
    rows = table(lora) if rows is None else rows
    return {
        "family": lora.family,
        "dialect": lora.dialect,
        "modules": len(rows),
        "rank": lora.rank,
        "dim": max((row.dim for row in rows if row.dim), default=None),
        "scales": sorted({row.scale for row in rows if row.alpha is not None}),
        "parameters": parameters(lora),
        "norm": math.hypot(*(row.norm for row in rows)),
        "additive": lora.additive,
        "warnings": list(lora.warnings),
        "unmatched": list(lora.unmatched),
        "blocks": [block._asdict() for block in blocks(rows)],
        "table": [
            row._asdict() | {"shape": list(row.shape), "extras": list(row.extras), "values": list(row.values[:8])}
            for row in rows
        ],
    }


def _row(module: str, change: Change) -> Row:
    block, layer = block_of(module)
    delta = change.delta
    extras = []
    if change.magnitude is not None:
        extras.append("DoRA" if change.magnitude.axis == 0 else "DoRA (inputs)")
    if change.bias is not None and change.shape is not None:
        extras.append("bias")
    if change.set_weight is not None and delta is not None:
        extras.append("set")
    if change.widens:
        extras.append("wider")
    kind = delta.kind if delta is not None else "bias" if change.set_weight is None else "set"
    tensors = _tensors(change)
    shape = change.shape or tuple(change.bias.shape if change.bias is not None else ())
    row = Row(
        module=module,
        block=block,
        layer=layer,
        kind=kind,
        extras=tuple(extras),
        shape=shape,
        rank=0,
        dim=None,
        alpha=None,
        scale=1.0,
        norm=0.0,
        spectral=0.0,
        stable_rank=0.0,
        effective_rank=None,
        energy_rank=0,
        values=(),
        parameters=sum(tensor.numel() for tensor in tensors),
        dtype=" ".join(dict.fromkeys(str(tensor.dtype).removeprefix("torch.") for tensor in tensors)),
    )
    if delta is None:
        # what a replaced weight changes depends on the base, so that only a bias has a norm of its own
        return row if change.bias is None else row._replace(norm=float(change.bias.double().norm()))
    if len(delta.shape) < 2:
        return row._replace(norm=float(delta.dense(torch.float64).norm()))
    return row._replace(**_measured(delta))


def _tensors(change: Change) -> list[torch.Tensor]:
    found = list(vars(change.delta).values()) if change.delta is not None else []
    if change.magnitude is not None:
        found.append(change.magnitude.vector)
    return [value for value in (*found, change.bias, change.set_weight) if isinstance(value, torch.Tensor)]


def _measured(delta: Delta) -> dict[str, Any]:
    found = singular.of(delta, LEADING, torch.float32)
    values = found.values.double()
    top = float(values[0])
    complete = len(values) >= min(delta.rank, delta.shape[0], math.prod(delta.shape[1:]))
    measured = {
        "rank": delta.rank,
        "dim": _dim(delta),
        "alpha": None if isinstance(delta, Full) else float(delta.alpha),
        "scale": delta.scale,
        "norm": math.sqrt(found.squared),
        "spectral": top,
        "stable_rank": found.squared / top**2 if top > 0 else 0.0,
        "energy_rank": Criterion(sv_fro=math.sqrt(ENERGY)).count(values, found.squared) if top > 0 else 0,
        "values": tuple(float(value) for value in values),
    }
    if complete and top > 0:
        shares = values[values > 0] / values.sum()
        measured["effective_rank"] = math.exp(-float((shares * shares.log()).sum()))
    return measured


def _dim(delta: Delta) -> int | None:
    """The rank of the factors, None where there are none."""
    if isinstance(delta, Full):
        return None
    return delta.rank if isinstance(delta, LowRank) else delta.inner or None


def _place(block: str) -> tuple[Any, ...]:
    """Sorts blocks: text encoders before the network, what has no number first, then numbers as numbers. A UNet's block
    takes a resnet and an attention in turns, and its sampler comes last."""
    component, _, path = block.partition(".")
    lists = ("down_blocks", "mid_block", "up_blocks", "transformer_blocks", "single_transformer_blocks")
    head = path.split(".")[0]
    order = lists.index(head) if head in lists else -1 if not path else len(lists)
    pieces = [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in path.split(".")]
    if component == "unet" and len(pieces) > 2:
        (*_, layer), number = path.split(".")[:-1], pieces[-1]
        turn = ("resnets", "attentions").index(layer) if layer in ("resnets", "attentions") else 0
        pieces = [*pieces[:-2], (int(layer.endswith("samplers")), 0, ""), number, (turn, 0, layer)]
    return not component.startswith("text_encoder"), component, order, pieces
