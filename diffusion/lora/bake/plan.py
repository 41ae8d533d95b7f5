"""Which rows of which stored tensors a bake changes, and what each written file will hold. Nothing is read or written.

{Path("….safetensors"): {"double_blocks.0.img_attn.qkv.weight": [Span(0, 3072, 0, to_q), Span(6144, 9216, 0, to_v)]}}
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import LoraMismatch, ModelError, SettingError, few, nearest
from .. import header as headers
from ..checkpoint import Checkpoint, Place
from ..header import SIZES, Header
from ..model import Change, Lora
from ..quantised import FLOATS, PLAIN_8_BIT, how_stored
from .arithmetic import Step, Work
from .output import PAGE

DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


class Span(NamedTuple):
    """Stored rows [first, last) are the rows of a parameter from `offset` on."""

    first: int
    last: int
    offset: int
    work: Work


Spans = Mapping[Path, Mapping[str, list[Span]]]


def stored_dtype(dtype: str | None) -> str | None:
    """Return how safetensors calls a dtype.

    Raises:
        SettingError: there is no such dtype here.
    """
    if dtype is not None and dtype not in DTYPES:
        raise SettingError("dtype", dtype, f"use one of {', '.join(DTYPES)}.{nearest(dtype, DTYPES)}")
    return DTYPES[dtype] if dtype else None


def spans(base: Checkpoint, loras: Sequence[tuple[str, Lora, Mapping[str, float]]], dtype: str | None) -> Spans:
    """Return what changes in the files of `base`.

    Args:
        loras: (name for messages, the LoRA, {module: strength}); they are applied in this order.
        dtype: as safetensors calls it, None to keep what is stored.

    Raises:
        LoraMismatch: a module that the base has not, or not in this shape. ModelError: its weight is quantised.
    """
    steps: dict[str, list[Step]] = {}
    for name, lora, strengths in loras:
        for module, change in lora.changes.items():
            if strengths.get(module):
                for parameter in _parameters(name, module, change, base):
                    steps.setdefault(parameter, []).append(Step(change, strengths[module]))
    found: dict[Path, dict[str, list[Span]]] = {file: {} for file in base.files}
    for parameter, wanted in steps.items():
        for place in base.places(parameter):
            _refuse_quantised(base, parameter, place, dtype)
            shape = (sum(last - first for first, last in place.rows), *place.entry.shape[1:])
            work, offset = Work(parameter, shape, tuple(wanted)), 0
            for first, last in place.rows:
                found[place.file].setdefault(place.key, []).append(Span(first, last, offset, work))
                offset += last - first
    return {
        file: {key: sorted(parts, key=lambda span: span.first) for key, parts in by_key.items()}
        for file, by_key in found.items()
    }


def _parameters(name: str, module: str, change: Change, base: Checkpoint) -> list[str]:
    """Return the parameters that a change of a module changes, if they are there and of its shape."""
    if change.widens:
        raise LoraMismatch(
            f"{name} widens {module} (a control LoRA): the base would become another model. It can only be applied."
        )
    wanted = {}
    if change.shape is not None:
        wanted[f"{module}.weight"] = change.shape
    if change.bias is not None:
        wanted[f"{module}.bias"] = tuple(change.bias.shape)
    for parameter, shape in wanted.items():
        if parameter not in base.parameters:
            what = "no bias in" if parameter.endswith(".bias") else "not in"
            raise LoraMismatch(f"{name} changes {parameter}, which is {what} the base {base.path}.")
        (place,) = base.places(parameter)
        have = (sum(last - first for first, last in place.rows), *place.entry.shape[1:])
        # a 1 x 1 convolution and a linear layer are the same matrix, a kernel and its flattened form too
        if have[:1] != shape[:1] or math.prod(have) != math.prod(shape):
            raise LoraMismatch(f"{name} changes {parameter} of shape {list(shape)}; in the base it is {list(have)}.")
    return list(wanted)


def _refuse_quantised(base: Checkpoint, parameter: str, place: Place, dtype: str | None) -> None:
    how = how_stored(place.key, base.files[place.file])
    if how == "fp8" and dtype is not None:
        return
    if how == "fp8":
        raise ModelError(
            f"{parameter} of {base.path} is stored in fp8, too coarse for a LoRA to be rounded to. "
            f"Give a dtype ({few(DTYPES)}): the weights are widened exactly, and the file grows."
        )
    if how:
        raise ModelError(
            f"{parameter} of {base.path} is quantised: {how}. A LoRA cannot be baked into it; use a full-precision "
            "checkpoint, or apply the LoRA when sampling."
        )


def dtypes(base: Checkpoint, file: Path, spans: Mapping[str, list[Span]], dtype: str | None) -> dict[str, str]:
    """Return {key: the dtype it will have}: floats of the network and of text encoders that change take `dtype`.

    Raises:
        ModelError: the file holds quantised weights, which have no other dtype.
    """
    header = base.files[file]
    kept = {key: entry.dtype for key, entry in header.tensors.items()}
    if dtype is None:
        return kept
    changed = {span.work.parameter.partition(".")[0] for parts in spans.values() for span in parts}
    for parameter, place in base.parameters.items():
        component = parameter.partition(".")[0]
        if place.file != file or (component.startswith("text_encoder") and component not in changed):
            continue
        if place.entry.dtype in (*FLOATS, *PLAIN_8_BIT):
            if how_stored(place.key, header) not in ("", "fp8"):
                raise ModelError(
                    f"{parameter} of {base.path} is quantised: {how_stored(place.key, header)}. It has no {dtype}."
                )
            kept[place.key] = dtype
    if unknown := [key for key, entry in header.tensors.items() if entry.dtype not in SIZES]:
        raise ModelError(
            f"{file} holds {few(unknown, 1)} as {header.tensors[unknown[0]].dtype}, which is not known here, so it can "
            "only be baked as it is stored. Leave out the dtype."
        )
    return kept


def new_header(header: Header, kept: Mapping[str, str], metadata: Mapping[str, str]) -> tuple[bytes, Header]:
    """Return the first bytes of the new file, and where its tensors will lie.

    Where no dtype changes, they lie in the order of the old one, so that it is read from front to back.
    """
    if any(entry.dtype != kept[key] for key, entry in header.tensors.items()):
        return headers.build({key: (kept[key], entry.shape) for key, entry in header.tensors.items()}, metadata)
    start = min((entry.begin for entry in header.tensors.values()), default=0)
    ordered = dict(sorted(header.tensors.items(), key=lambda item: item[1].begin))
    described: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    for key, entry in ordered.items():
        offsets = [entry.begin - start, entry.end - start]
        described[key] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": offsets}
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * ((start - 8 - len(text)) % PAGE)  # in step with the old file: see `output`
    shift = 8 + len(text) - start
    moved = {key: entry._replace(begin=entry.begin + shift, end=entry.end + shift) for key, entry in ordered.items()}
    return struct.pack("<Q", len(text)) + text, Header(moved, dict(metadata))
