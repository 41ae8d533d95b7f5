"""Weights for the nodes that need them: one pipeline for each base, shared through the context's model cache."""

import os
from typing import Any

from ..graph_runtime.context import Context
from ..graph_runtime.values import Base
from .words import blaming


def pipeline_of(base: Base, ctx: Context) -> tuple[Any, Any]:
    """Return (family, pipeline) of the base on the context's device; the pipeline carries no adapter of ours yet.

    Bases that differ in their adapters alone share one pipeline.
    """
    _quieten()
    from ..diffusion import families

    family = families.get(base.family)
    key = ("pipeline", base.fingerprint, base.dtype, ctx.device)
    with blaming("base", base.source):
        return family, ctx.models.get(key, lambda: family.load_pipeline(base.path, base.dtype, ctx.device))


def adapters_of(base: Base) -> list[tuple[str, str, float]]:
    """Return what `diffusion` takes as adapters: (file, sha256, strength) in the order they were applied."""
    return [(item.lora.file.path, item.lora.file.sha256, item.strength) for item in base.adapters]


def _quieten() -> None:
    """Keep the libraries' own progress bars and advice out of a run's log; what goes wrong is raised, not printed.

    The environment is read when the libraries are first imported, and a setting of the user's wins.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
