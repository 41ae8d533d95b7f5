"""ResizeLoRA: a LoRA at lower ranks."""

from typing import Annotated

from ..graph_runtime.context import Context
from ..graph_runtime.markers import Range
from ..graph_runtime.node import node
from ..graph_runtime.values import LoRA
from .lora_values import counting, lora_of, title_of, warn
from .words import blaming

Share = Annotated[float, Range(0, 1, step=0.01)]


@node(category="LoRA", version=1, device=True)
def resize_lora(
    lora: LoRA,
    rank: Annotated[int, Range(0, 4096)] = 16,
    sv_ratio: Annotated[float, Range(0, 1_000_000)] = 0.0,
    sv_cumulative: Share = 0.0,
    sv_fro: Share = 0.0,
    *,
    ctx: Context,
) -> LoRA:
    """Return the best LoRA of a lower rank for each module, and say how much of the change it keeps.

    `rank` is the rank, or with one of the others the most that a module may have (0: no limit). `sv_ratio` keeps the
    directions that are at least one part in so many of the strongest; `sv_cumulative` keeps as many as make up this
    share of the sum of singular values, `sv_fro` of the norm. At most one of these three is given; 0 is none.
    """
    from ..diffusion.lora import jobs

    with blaming("lora", lora.file.path, {"dialect": "lora"}):
        resized = jobs.resize_file(
            lora.file.path,
            ctx.folder / "resized.safetensors",
            rank=rank or None,
            sv_ratio=sv_ratio or None,
            sv_cumulative=sv_cumulative or None,
            sv_fro=sv_fro or None,
            alpha=lora.alpha,
            partial=lora.partial,
            on_progress=counting(ctx, "modules"),
        )
    warn(ctx, resized.warnings)
    ctx.log.info("rank %d keeps %.2f %% of the energy of rank %d", resized.info.rank, 100 * resized.energy, lora.rank)
    return lora_of(resized.path, resized.info, f"{title_of(lora)} at rank {resized.info.rank}")
