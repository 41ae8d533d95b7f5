"""Changes as plain low-rank pairs of scale 1, which every reader understands in the same way.

`folded` multiplies alpha / rank (or alpha / sqrt(rank)) into B, so that alpha = rank: whether a reader looks for alpha
or not, it computes the same change. `as_pair` makes such a pair of any form, exactly (`core.factors`).

    >>> import torch
    >>> pair = folded(LowRank(torch.ones(2, 3), torch.ones(4, 2), alpha=1.0))
    >>> pair.scale, pair.up[0, 0].item()
    (1.0, 0.5)
"""

from __future__ import annotations

from dataclasses import replace

import torch

from .delta import Delta, LowRank

HALVES = (torch.float16, torch.bfloat16)


def folded(pair: LowRank) -> LowRank:
    """Return the same change with scale 1: alpha = rank, the scale in B.

    Where B times the scale is no number of its half-precision dtype, both factors become float32 (a pair of two dtypes
    would stop torch's linear layers).
    """
    whole = replace(pair, alpha=float(pair.rank), rank_stabilized=False)
    if pair.scale == 1.0:
        return whole
    exact = pair.up.double() * pair.scale
    up = exact.to(pair.up.dtype)
    if pair.up.dtype in HALVES and not torch.equal(up.double(), exact):
        mid = None if pair.mid is None else pair.mid.float()
        return replace(whole, down=pair.down.float(), up=exact.float(), mid=mid)
    return replace(whole, up=up)


def as_pair(delta: Delta, limit: int | None = None) -> LowRank:
    """Return any change as an ordinary low-rank pair of scale 1 whose product is exactly that change, in float32 where
    it has to be computed.

    Raises:
        ValueError: its rank is above the limit (where that is None: the pair would be larger than the change itself).
    """
    if isinstance(delta, LowRank) and delta.mid is None:
        return folded(delta)
    shape, rank = delta.shape, delta.rank
    inside = int(torch.Size(shape[1:]).numel())
    if isinstance(delta, LowRank):
        # the Tucker form: A takes the core into itself, the rank stays
        down, up = delta.factors(torch.float64)
        up = up * delta.scale
    else:
        if len(shape) < 2 or (rank > limit if limit is not None else rank * (shape[0] + inside) > shape[0] * inside):
            raise ValueError(f"rank {rank}")
        from .core import factors

        down, up = factors(delta)
    kernel = shape[2:]
    return LowRank(
        down.float().reshape(-1, *shape[1:]).contiguous(),
        up.float().reshape(*up.shape, *(1 for _ in kernel)).contiguous(),
        float(down.shape[0]),
    )
