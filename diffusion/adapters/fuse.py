"""LoRAs added into the weights of a pipeline in memory, for a time: drawing then costs nothing extra.

    with fused(pipeline, [Use(path, sha256, 0.8)]):
        ...                        # W = round(W + sum of the changes), computed in fp32, as baking does
                                   # afterwards the weights are the old ones, bit for bit

The weights that are touched are kept and put back: subtracting again would leave rounding errors behind. That costs
the memory of one copy of them. In fp32 the sums are diffusers' (`fuse_lora`) to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from .engine import Active, Adapters
from .layer import Layer
from .pipelines import attach, held
from .products import weight_of
from .uses import AnyUse, steady


@contextmanager
def fused(pipeline: Any, adapters: Sequence[AnyUse]) -> Iterator[None]:
    """Hold the pipeline with these LoRAs in its weights.

    Raises:
        LoraFileError, LoraMismatch, SettingError: as `applied`; a schedule or lines can't be in a weight; a weight is
            quantised.
    """
    uses = steady(adapters, "a weight")
    with held(pipeline):
        engine = Adapters(pipeline, exact=True)
        for name in dict.fromkeys(use.name for use in uses):
            attach(engine, next(use for use in uses if use.name == name), pipeline)
        engine.play([Active(use.name, use.strength, use.blocks) for use in uses])
        planned = list(engine.planned())
        kept: list[tuple[Layer, Any, Any]] = []
        try:
            for layer, acting in planned:
                weight, bias = weight_of(layer.module), layer.module._parameters.get("bias")
                new, new_bias = layer.weight(acting), layer.bias(acting)
                kept.append((layer, weight.detach().clone(), bias))
                weight.data.copy_(new)
                if new_bias is not None and new_bias is not bias:
                    # a new parameter: the old one is kept as it is, and a layer without a bias has one for the time
                    layer.module._parameters["bias"] = nn.Parameter(new_bias, requires_grad=False)
            engine.set_strengths({})
            yield
        finally:
            engine.set_strengths({})
            for layer, weight, bias in kept:
                weight_of(layer.module).data.copy_(weight)
                layer.module._parameters["bias"] = bias
