"""The nodes that come with LoRAGraph, one file each; found through the entry point group `loragraph.nodes`.

A node here is thin: it checks what the user gave it, calls `loragraph.diffusion` (imported inside the function, so that
listing or validating nodes loads no torch), and hands back values. Importing this package also makes the `embedded:`
scheme known: `embedded:emoji` is the base model that ships with the package, `embedded:riso` its small style data set.
"""

from pathlib import Path

from ..graph_runtime import sources
from .apply_lora import apply_lora
from .bake_lora import bake_lora
from .convert_lora import convert_lora
from .extract_lora import extract_lora
from .grid import grid
from .inspect_lora import compare_lora, inspect_lora
from .load_base import load_base
from .load_images import load_images
from .load_lora import load_lora
from .merge_lora import merge_lora
from .regions import paint_regions, show_regions
from .resize_lora import resize_lora
from .sample import sample
from .save_images import save_images
from .save_lora import save_lora
from .stack import remove_lora, reweight_lora
from .train_lora import train_lora

__all__ = [
    "apply_lora",
    "bake_lora",
    "compare_lora",
    "convert_lora",
    "extract_lora",
    "grid",
    "inspect_lora",
    "load_base",
    "load_images",
    "load_lora",
    "merge_lora",
    "paint_regions",
    "remove_lora",
    "resize_lora",
    "reweight_lora",
    "sample",
    "save_images",
    "save_lora",
    "show_regions",
    "train_lora",
]


def _locate_embedded(name: str) -> Path:
    """Return the folder of the embedded model or data set `name`; ValueError names the ones there are."""
    from ..diffusion.embedded import locate

    return locate(name)


sources.register("embedded", _locate_embedded)
