"""LoadLoRA: name a LoRA file. Only its header is read."""

from pathlib import Path

from ..graph_runtime.markers import InputLoRA
from ..graph_runtime.node import node
from ..graph_runtime.values import FileRef, LoRA
from .words import blaming


@node(category="LoRA", version=1)
def load_lora(file: InputLoRA) -> LoRA:
    """Return the LoRA in a safetensors file; a truncated file, or one that holds no LoRA, is refused."""
    from ..diffusion.lora.files import inspect

    path = Path(file)
    with blaming("file", file):
        info = inspect(path)
    return LoRA(file=FileRef.of(path), family=info.family, rank=info.rank, modules=info.modules, title=path.stem)
