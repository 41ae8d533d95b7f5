"""LoadLoRA: name a LoRA file. Only its header is read."""

from pathlib import Path
from typing import Annotated

from ..graph_runtime.context import Context
from ..graph_runtime.markers import Advanced, InputLoRA, Range
from ..graph_runtime.node import node
from ..graph_runtime.values import LoRA
from .lora_values import lora_of, warn
from .words import blaming


@node(category="LoRA", version=2)
def load_lora(
    file: InputLoRA,
    alpha: Annotated[float, Range(0, 1_000_000), Advanced()] = 0.0,
    allow_partial: Annotated[bool, Advanced()] = False,
    *,
    ctx: Context,
) -> LoRA:
    """Return the LoRA in a safetensors file, whichever program wrote it; a file that is no sound LoRA is refused.

    With `alpha` 0 the file says its own; another number takes its place. With `allow_partial`, keys of the file that
    find no meaning are left out instead of refused.
    """
    from ..diffusion.lora import beside, reading

    path = Path(file)
    title = path.parent.name if path.with_name(beside.CONFIG).is_file() else path.stem
    with blaming("file", file):
        info = reading.inspect(path, alpha=alpha or None, partial=allow_partial)
        if any(item.alpha_from == "adapter_config" for item in info.items.values()):
            # The value is a file and its hash, so all that counts has to be in the file.
            path = beside.embedded(path, ctx.folder / f"{title}.safetensors")
            info = reading.inspect(path, partial=allow_partial)
    warn(ctx, info.warnings)
    return lora_of(path, info, title, alpha or None, allow_partial)
