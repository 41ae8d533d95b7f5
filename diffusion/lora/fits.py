"""Whether a LoRA fits a base: every module of it must be there, with the same shape. From headers alone, without torch.

A linear layer and a convolution with a 1x1 kernel fit each other, as do a kernel and its flattened form: the numbers
are the same, and what is added takes the shape of the base's weight.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import LoraMismatch, ModelError, few
from . import names, seems
from .info import Item, LoraInfo
from .quantised import SIGNS, how_stored
from .reading import inspect
from .single_file import part_shape

if TYPE_CHECKING:
    from .checkpoint import Checkpoint

PACKED = (".weight", ".qweight", ".weight_packed")
"""What a weight is called, plain or as packed numbers."""

Shapes = Mapping[str, tuple[int, ...]]
"""{canonical name of a parameter: its shape}."""


def check_fits(
    path: str | os.PathLike[str],
    base: str | os.PathLike[str],
    *,
    alpha: float | None = None,
    partial: bool = False,
) -> LoraInfo:
    """Return the LoRA's info if it fits the base (a pipeline's folder, a component's folder, or a single file).

    Raises:
        LoraFileError, ModelError: one of the two cannot be read, or see `refuse_packed`.
        LoraMismatch: see `check_shapes`.
    """
    from .checkpoint import Checkpoint

    info = inspect(path, alpha=alpha, partial=partial)
    opened = Checkpoint.open(base)
    refuse_packed(info, opened)
    return check_shapes(str(path), info, opened.shapes(), str(base), opened.family, partial)


def refuse_packed(info: LoraInfo, base: Checkpoint) -> None:
    """Refuse a base whose numbers are packed where the LoRA changes it: their shapes tell nothing of the weights'.

    Raises:
        ModelError: such a weight; the message says how it is quantised.
    """
    for key in base.unnamed:  # of a single file, whose packed weights have no place in the tables of names
        if key.endswith(PACKED[1:]):
            how = SIGNS["." + key.rpartition(".")[2]]
            raise ModelError(
                f"{key} of {base.path} is quantised: {how}. A LoRA's change cannot be added to packed numbers; use a "
                "full-precision checkpoint."
            )
    for module, item in info.items.items():
        for parameter in (f"{module}{ending}" for ending in PACKED):
            if parameter not in base.parameters:
                continue
            for place in base.places(parameter):
                how = how_stored(place.key, base.files[place.file])
                if how not in ("", "fp8") and not fits(item, part_shape(place.entry.shape, place.rows)):
                    raise ModelError(
                        f"{parameter} of {base.path} is quantised: {how}. A LoRA's change cannot be added to packed "
                        "numbers; use a full-precision checkpoint."
                    )


def check_shapes(
    path: str, info: LoraInfo, shapes: Shapes, base_name: str, base_family: str = "", partial: bool = False
) -> LoraInfo:
    """Return the info if each module meets a weight of its shape in the base.

    Args:
        shapes: of the base's parameters. base_name, base_family: for the message.
        partial: leave out what does not fit, and say so in the info's warnings.

    Raises:
        LoraMismatch: modules without a home, or of another shape; also with `partial` if none fits. The message says
            which family the LoRA is for, and names a few.
    """
    missing = [name for name in info.items if f"{name}.weight" not in shapes]
    wrong = [
        name
        for name, item in info.items.items()
        if f"{name}.weight" in shapes and not fits(item, shapes[f"{name}.weight"], shapes.get(f"{name}.bias"))
    ]
    out = {*missing, *wrong}
    if not out:
        return info
    if partial and len(out) < len(info.items):
        said = f"{len(out):,} of its {info.modules:,} modules do not fit {base_name} and were left out: {few(out)}."
        kept = {name: item for name, item in info.items.items() if name not in out}
        return replace(info, items=kept, modules=len(kept), warnings=(*info.warnings, said))
    reasons = []
    if missing:
        reasons.append(f"{len(missing):,} of its {info.modules:,} modules are not in the base ({few(missing)})")
    if wrong:
        shown = (
            f"{name} is {_size(info.items[name].shape)} in the LoRA, {_size(shapes[f'{name}.weight'])} in the base"
            for name in wrong
        )
        reasons.append(f"{len(wrong):,} have another size ({few(shown, 2)})")
    remedy = "Use a LoRA made for this base."
    if len(out) < len(info.items):
        remedy = "Use a LoRA made for this base, or allow a partial load (allow_partial) to leave them out."
    raise LoraMismatch(
        f"The LoRA {path} does not fit the base {base_name}: {' and '.join(reasons)}."
        f"{_families(info.family or seems.model(info.items), base_family)} {remedy}"
    )


def fits(item: Item, weight: tuple[int, ...], bias: tuple[int, ...] | None = None) -> bool:
    """Whether a change fits a weight [out, in, *kernel] and its bias [out], if it has one.

    >>> from loragraph.diffusion.lora.info import Item
    >>> fits(Item("lora", (320, 320, 1, 1), 4, 4.0, 1.0, "tensor", None, False, ""), (320, 320))
    True
    """
    out = item.shape[0]
    if item.bias and bias is not None and bias != (out,):
        return False
    if item.kind == "bias":
        return weight[0] == out
    if item.widens and len(weight) > 1 and len(item.shape) > 1:
        return weight[0] == out and weight[1] <= item.shape[1] and weight[2:] == item.shape[2:]
    return weight[0] == out and math.prod(weight) == math.prod(item.shape)


def _size(shape: tuple[int, ...]) -> str:
    """A linear layer as in -> out, others by their shape."""
    return f"{shape[1]} -> {shape[0]}" if len(shape) == 2 else str(list(shape))


def _families(lora: str, base: str) -> str:
    titles = {name: known.title for name, known in names.FAMILIES.items()}
    if not lora or lora == base:
        return ""
    of_base = f", and the base is {titles.get(base, base)}" if base else ""
    return f" It is made for {titles.get(lora, lora)}{of_base}."
