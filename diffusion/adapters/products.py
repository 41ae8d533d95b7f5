"""What a change makes of a layer's input: D x, without the weight D being built where that can be helped.

    LowRank     B (A x)                       two thin layers; a convolution keeps its stride, padding and dilation in A
    Kronecker   (W1 ⊗ W2) x = W1 X W2ᵀ        with x as a matrix X, for linear layers
    Hadamard    D is built for the moment     its rank is the product of two ranks
    Full        D is there

`times` leaves the factor of a LowRank out, which PEFT multiplies last: B(A(x)) · (strength · alpha / rank). Done in the
same order, the same numbers come out to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..lora.delta import Delta, Full, Hadamard, Kronecker, LowRank
from ..lora.model import Change

functional = nn.functional
CONVOLUTIONS: dict[int, Any] = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


Memo = dict[int, tuple[Tensor, Tensor]]


def moved(change: Change, device: torch.device, dtype: torch.dtype | None, memo: Memo) -> Change:
    """Return the change with its tensors on the device, and in the dtype unless that is None.

    memo: tensor -> where it has gone, so that what several changes share (the A of a split qkv) stays shared.
    """

    def astray(value: Any) -> bool:
        return isinstance(value, Tensor) and (value.device != device or (dtype is not None and value.dtype != dtype))

    def placed(record: Any) -> Any:
        wrong = {name: value for name, value in vars(record).items() if astray(value)}
        new = {key: memo.setdefault(id(value), (value, value.to(device, dtype)))[1] for key, value in wrong.items()}
        return replace(record, **new) if new else record

    whole = placed(change)
    for name in ("delta", "magnitude"):
        part = getattr(whole, name)
        if part is not None and (here := placed(part)) is not part:
            whole = replace(whole, **{name: here})
    return whole


def fitted(change: Change, module: nn.Module) -> Change:
    """Return the change with its delta shaped for the module's weight, as far as that is another way to write the same:
    a 1 x 1 convolution is a linear layer, and LyCORIS files don't tell the kernel of what they store flat."""
    delta, weight = change.delta, weight_of(module)
    if delta is None or math.prod(delta.shape) != weight.numel():
        return change
    kernel = tuple(weight.shape[2:])
    if isinstance(delta, LowRank):
        if delta.up.ndim == weight.ndim and len(delta.shape) == weight.ndim:
            return change
        down = delta.down if delta.mid is not None else delta.down.reshape(delta.rank, *weight.shape[1:])
        delta = replace(delta, down=down, up=delta.up.reshape(-1, delta.rank, *(1 for _ in kernel)))
    elif delta.shape == tuple(weight.shape):
        return change
    elif isinstance(delta, Full):
        delta = Full(delta.diff.reshape(weight.shape))
    elif (isinstance(delta, Hadamard) and delta.t1 is None) or (isinstance(delta, Kronecker) and delta.t2 is None):
        if isinstance(delta, Kronecker) and delta.w2 is not None:
            c, d = delta.w2.shape[:2]
            delta = replace(delta, w2=delta.w2.reshape(c, d // math.prod(kernel) if delta.w2.ndim == 2 else d, *kernel))
        delta = replace(delta, kernel=kernel)
    return replace(change, delta=delta)


def weight_of(module: nn.Module) -> Tensor:
    """Return the weight of a layer."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def scaling(delta: Delta, strength: float) -> float:
    """Return what `times` is to be multiplied by, computed in PEFT's order."""
    if not isinstance(delta, LowRank):
        return strength
    return strength * delta.alpha / (math.sqrt(delta.rank) if delta.rank_stabilized else delta.rank)


def through(module: Any, x: Tensor, weight: Tensor) -> Tensor:
    """Return what the layer would make of x with this weight and no bias."""
    weight = weight.reshape(weight_of(module).shape)
    if isinstance(module, nn.Linear):
        return functional.linear(x, weight)
    product: Tensor = module._conv_forward(x, weight, None)
    return product


def times(delta: Delta, x: Tensor, module: Any) -> Tensor:
    """Return D x in the dtype of x; without the scale for a LowRank, with it for all others."""
    linear = isinstance(module, nn.Linear)
    if isinstance(delta, LowRank):
        if linear and delta.mid is None:
            return functional.linear(functional.linear(x, delta.down), delta.up)
        if not linear and module.groups == 1:
            return _convolved(delta, x, module)
        down, up = delta.factors()
        weight = up @ down
    elif linear and isinstance(delta, Kronecker) and delta.t2 is None:
        return _kronecker(delta, x)
    else:
        weight = delta.dense() if isinstance(delta, Hadamard | Kronecker) else delta.diff
    return through(module, x, weight.to(x.dtype))


def _convolved(delta: LowRank, x: Tensor, module: Any) -> Tensor:
    convolve = CONVOLUTIONS[delta.up.ndim]
    if delta.mid is None:
        inner = module._conv_forward(x, delta.down, None)
    else:
        inner = module._conv_forward(convolve(x, delta.down), delta.mid, None)
    product: Tensor = convolve(inner, delta.up)
    return product


def _kronecker(delta: Kronecker, x: Tensor) -> Tensor:
    """x [..., b d] seen as a matrix [b, d] gives W1 [a, b] X W2ᵀ [d, c], read off as [..., a c]."""
    first = delta.w1 if delta.w1 is not None else _given(delta.w1_a) @ _given(delta.w1_b)
    spread = x.unflatten(-1, (first.shape[1], -1))
    if delta.w2 is not None:
        inner = functional.linear(spread, delta.w2.flatten(1))
    else:
        inner = functional.linear(functional.linear(spread, _given(delta.w2_b).flatten(1)), _given(delta.w2_a))
    whole = functional.linear(inner.transpose(-1, -2), first * delta.scale).transpose(-1, -2).flatten(-2)
    if delta.selected is None:
        return whole
    return torch.cat([whole[..., begin:end] for begin, end in delta.selected], dim=-1)


def _given(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor
