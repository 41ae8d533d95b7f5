"""ApplyLoRA: put a LoRA on a base, as a description; several in a row stack."""

from pathlib import Path
from typing import Annotated

from ..graph_runtime.context import Context
from ..graph_runtime.errors import BadInput
from ..graph_runtime.markers import Advanced, Choices, Range, Slider
from ..graph_runtime.node import node
from ..graph_runtime.values import Base, LoRA, Schedule
from .lora_values import warn
from .words import blaming

Share = Annotated[float, Range(0, 1, step=0.05), Slider(), Advanced()]


@node(category="LoRA", version=1)
def apply_lora(
    base: Base,
    lora: LoRA,
    strength: Annotated[float, Range(-4, 4, step=0.05), Slider()] = 1.0,
    blocks: Annotated[str, Advanced()] = "",
    start: Share = 0.0,
    end: Share = 1.0,
    end_strength: Annotated[float | None, Range(-4, 4, step=0.05), Advanced()] = None,
    curve: Annotated[str, Choices("linear", "cosine", "quadratic"), Advanced()] = "linear",
    lines: Annotated[tuple[Annotated[int, Range(1, 1_000_000)], ...], Advanced()] = (),
    *,
    ctx: Context,
) -> Base:
    """Return the base with the LoRA added at the given strength; no weight is read or touched.

    A LoRA whose modules or shapes are not the base's is refused here, by comparing the two files' headers. `blocks`
    multiplies the strength of parts of the model, for example "transformer_blocks.0-5=0.5, *.attn.to_q=0". The LoRA is
    on from the share `start` of the sampling steps to the share `end`; with `end_strength`, its strength goes there
    along the `curve` meanwhile. It counts for those `lines` of the prompt, from 1; none means all.
    """
    from ..diffusion.lora import blocks as block_strengths
    from ..diffusion.lora.fits import check_fits

    if start >= end:
        raise BadInput(f"it starts at {start:g} and ends at {end:g} of the steps; let it end later.", "end", end)
    with blaming("lora", lora.file.path):
        info = check_fits(Path(lora.file.path), Path(base.path), alpha=lora.alpha, partial=lora.partial)
        if blocks:
            block_strengths.strengths(blocks, info.items, info.family)
    warn(ctx, info.warnings)
    schedule = None
    if (start, end, end_strength) != (0.0, 1.0, None):
        went = "constant" if end_strength is None else curve
        schedule = Schedule(start=start, end=end, end_strength=end_strength, curve=went)
    return base.with_adapter(lora, strength, blocks=blocks, schedule=schedule, lines=lines)
