"""ApplyLoRA: put a LoRA on a base, as a description; several in a row stack."""

from pathlib import Path
from typing import Annotated

from ..graph_runtime.markers import Range, Slider
from ..graph_runtime.node import node
from ..graph_runtime.values import Base, LoRA
from .words import blaming


@node(category="LoRA", version=1)
def apply_lora(
    base: Base,
    lora: LoRA,
    strength: Annotated[float, Range(-4, 4, step=0.05), Slider()] = 1.0,
) -> Base:
    """Return the base with the LoRA added at the given strength; no weight is read or touched.

    A LoRA whose modules or shapes are not the base's is refused here, by comparing the two files' headers.
    """
    from ..diffusion.lora.files import check_fits

    with blaming("lora", lora.file.path):
        check_fits(Path(lora.file.path), Path(base.path))
    return base.with_adapter(lora, strength)
