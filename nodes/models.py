"""Weights for the nodes that need them: one pipeline for each base, shared through the context's model cache."""

from typing import Any

from ..graph_runtime.context import Context
from ..graph_runtime.values import Base
from .words import blaming


def pipeline_of(base: Base, ctx: Context) -> tuple[Any, Any]:
    """Return (family, pipeline) of the base on the context's device; the pipeline carries no adapter of ours yet.

    Bases that differ in their adapters alone share one pipeline.
    """
    from ..diffusion import families

    family = families.get(base.family)
    key = ("pipeline", base.fingerprint, base.dtype, ctx.device)
    with blaming("base", base.source):
        return family, ctx.models.get(key, lambda: family.load_pipeline(base.path, base.dtype, ctx.device))


def adapters_of(base: Base) -> list[tuple[str, str, float]]:
    """Return what `diffusion` takes as adapters: (file, sha256, strength) in the order they were applied."""
    return [(item.lora.file.path, item.lora.file.sha256, item.strength) for item in base.adapters]
