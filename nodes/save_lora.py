"""SaveLoRA: a LoRA of the workflow as a file of the user's."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ..graph_runtime.context import Context
from ..graph_runtime.errors import BadInput
from ..graph_runtime.markers import Choices
from ..graph_runtime.node import node
from ..graph_runtime.values import FileRef, LoRA
from .convert_lora import DIALECTS
from .lora_values import warn
from .saving import NumberedFiles, checked_name
from .words import blaming

if TYPE_CHECKING:
    from ..diffusion.lora.jobs import Written

AS_IT_IS = "as it is"


@node(category="LoRA", version=1, cache=False, device=True)
def save_lora(
    lora: LoRA,
    name: str = "lora",
    format: Annotated[str, Choices(AS_IT_IS, *DIALECTS)] = AS_IT_IS,
    *,
    ctx: Context,
) -> None:
    """Save the LoRA as `name-0001.safetensors` in the run's output folder.

    `format`: the file as it is, or in the layout of ConvertLoRA. No file is overwritten; the very same LoRA, saved
    under this name before, is not written again.
    """
    name = checked_name(name)
    source, rank, modules = Path(lora.file.path), lora.rank, lora.modules
    if format == AS_IT_IS:
        if lora.alpha is not None:
            raise BadInput(
                f"the LoRA was loaded with alpha {lora.alpha:g}, which its file doesn't say; "
                f"choose {', '.join(DIALECTS[:-1])} or {DIALECTS[-1]}, which have the scale in them.",
                "format",
                format,
            )
        for path in sorted(ctx.out.glob("*.safetensors")):
            if path.name.startswith(name + "-") and path.stat().st_size == lora.file.size and _same(path, lora.file):
                ctx.log.info("already there: %s", path)
                return
    else:
        converted = _converted(lora, format, ctx)
        # in a layout with fused weights, the rank may be another one
        source, rank, modules = Path(converted.path), converted.info.rank, converted.info.modules
    path, new = NumberedFiles(ctx.out, name, ".safetensors").add(lambda partial: _copy(source, partial))
    said = "saved %s (rank %d, %d modules)" if new else "already there: %s (rank %d, %d modules)"
    ctx.log.info(said, path, rank, modules)


def _converted(lora: LoRA, to: str, ctx: Context) -> "Written":
    from ..diffusion.lora import jobs

    with blaming("lora", lora.file.path, {"dialect": "format", "rank": "format"}):
        converted = jobs.convert_file(
            lora.file.path, ctx.folder / f"{to}.safetensors", to, alpha=lora.alpha, partial=lora.partial
        )
    warn(ctx, converted.warnings)
    return converted


def _same(path: Path, file: FileRef) -> bool:
    return FileRef.of(path).sha256 == file.sha256


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
