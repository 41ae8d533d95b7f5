"""SaveLoRA: a LoRA of the workflow as a file of the user's."""

import shutil
from pathlib import Path

from ..graph_runtime.context import Context
from ..graph_runtime.node import node
from ..graph_runtime.values import FileRef, LoRA
from .saving import NumberedFiles, checked_name


@node(category="LoRA", version=1, cache=False)
def save_lora(lora: LoRA, name: str = "lora", *, ctx: Context) -> None:
    """Save the LoRA as `name-0001.safetensors` in the run's output folder, in the layout that diffusers loads.

    No file is overwritten; the very same LoRA, saved under this name before, is not written again.
    """
    name = checked_name(name)
    for path in sorted(ctx.out.glob("*.safetensors")):
        if path.name.startswith(name + "-") and path.stat().st_size == lora.file.size and _same(path, lora.file):
            ctx.log.info("already there: %s", path)
            return
    source = Path(lora.file.path)
    path, _ = NumberedFiles(ctx.out, name, ".safetensors").add(lambda partial: _copy(source, partial))
    ctx.log.info("saved %s (rank %d, %d modules)", path, lora.rank, lora.modules)


def _same(path: Path, file: FileRef) -> bool:
    return FileRef.of(path).sha256 == file.sha256


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
