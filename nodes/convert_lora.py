"""ConvertLoRA: the same LoRA in the layout of another program."""

from typing import Annotated

from ..graph_runtime.context import Context
from ..graph_runtime.markers import Advanced, Choices, Range
from ..graph_runtime.node import node
from ..graph_runtime.values import LoRA
from .lora_values import lora_of, title_of, warn
from .words import blaming

DIALECTS = ("peft", "kohya", "comfyui")
"""What a LoRA can be written as."""


@node(category="LoRA", version=1, device=True)
def convert_lora(
    lora: LoRA,
    to: Annotated[str, Choices(*DIALECTS)] = "peft",
    rank: Annotated[int, Range(0, 65536), Advanced()] = 0,
    *,
    ctx: Context,
) -> LoRA:
    """Return the LoRA in the layout that other programs read, its scale folded in so that they all agree on it.

    `to`: peft for diffusers and PEFT, kohya for sd-scripts and most web interfaces, comfyui for ComfyUI. `rank` is the
    largest that LoHa, LoKr and full differences may have as plain pairs, where the layout has nothing else (0: none).
    """
    from ..diffusion.lora import jobs

    with blaming("lora", lora.file.path, {"dialect": "to"}):
        converted = jobs.convert_file(
            lora.file.path,
            ctx.folder / f"{to}.safetensors",
            to,
            alpha=lora.alpha,
            partial=lora.partial,
            rank=rank or None,
        )
    warn(ctx, converted.warnings)
    return lora_of(converted.path, converted.info, title_of(lora))
