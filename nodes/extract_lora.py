"""ExtractLoRA: what a training changed in a checkpoint, as a LoRA."""

from typing import Annotated

from ..graph_runtime.context import Context
from ..graph_runtime.errors import BadInput
from ..graph_runtime.markers import Advanced, Range
from ..graph_runtime.node import node
from ..graph_runtime.values import Base, LoRA
from .lora_values import counting, lora_of, warn
from .resize_lora import Share
from .words import blaming


@node(category="LoRA", version=1, device=True)
def extract_lora(
    original: Base,
    tuned: Base,
    rank: Annotated[int, Range(0, 4096)] = 32,
    sv_ratio: Annotated[float, Range(0, 1_000_000), Advanced()] = 0.0,
    sv_cumulative: Annotated[Share, Advanced()] = 0.0,
    sv_fro: Annotated[Share, Advanced()] = 0.0,
    clamp: Annotated[float, Range(0, 1, step=0.001), Advanced()] = 0.0,
    min_diff: Annotated[float, Range(0, 1_000_000), Advanced()] = 0.0,
    text_encoders: Annotated[bool, Advanced()] = True,
    small_weights: Annotated[bool, Advanced()] = True,
    *,
    ctx: Context,
) -> LoRA:
    """Return the LoRA that turns `original` into `tuned` as nearly as its rank allows; one weight is read at a time.

    `rank`, `sv_ratio`, `sv_cumulative` and `sv_fro` are those of ResizeLoRA. `clamp` cuts the largest entries of the
    factors at this quantile (0: none). Weights that changed by no more than `min_diff` anywhere are left out.
    `text_encoders` takes theirs in; `small_weights` keeps biases and norms in full.
    """
    for field, base in (("original", original), ("tuned", tuned)):
        if base.adapters:
            remedy = "Bake them into it first, or take the base without them."
            raise BadInput(f"{base.source} has LoRAs on it, which are not in its checkpoint. {remedy}", field)
    if original.family != tuned.family:
        raise BadInput(f"{original.source} is {original.family} and {tuned.source} is {tuned.family}.", "tuned")
    from ..diffusion.lora import jobs

    with blaming("tuned", tuned.source, {"dialect": "tuned"}):
        extracted = jobs.extract_file(
            original.path,
            tuned.path,
            ctx.folder / "extracted.safetensors",
            rank=rank or None,
            sv_ratio=sv_ratio or None,
            sv_cumulative=sv_cumulative or None,
            sv_fro=sv_fro or None,
            clamp=clamp or None,
            min_diff=min_diff,
            include_text_encoders=text_encoders,
            full_small=small_weights,
            on_progress=counting(ctx, "weights"),
        )
    warn(ctx, extracted.warnings)
    ctx.log.info("rank %d keeps %.2f %% of the difference", extracted.info.rank, 100 * extracted.energy)
    return lora_of(extracted.path, extracted.info, f"{tuned.source} from {original.source}")
