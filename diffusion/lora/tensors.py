"""The weights of a LoRA file: read in one go, checked to be numbers, and put into the model (`model.Lora`).

The whole file is one buffer, and its tensors are views of it: nothing is copied but fp8, which has no arithmetic and
becomes bf16 (exact: e4m3 and e5m2 have fewer bits in either part).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import LoraFileError, few
from .delta import Delta, Full, Hadamard, Kronecker, LowRank, Ranges, take
from .header import Header
from .info import Plan, Source
from .model import Change, Lora, Magnitude

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
}
INFINITY = {"F64": (8, 0x7FF << 52), "F32": (4, 0xFF << 23), "F16": (2, 0x1F << 10), "BF16": (2, 0xFF << 7)}
"""Bytes of a number, and positive infinity as an integer."""
_FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)


def read(path: Path, found: Header) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file whose header was read; of dtypes that an adapter can have.

    Raises:
        LoraFileError: the file cannot be read, was changed in the meantime, or holds values that are no numbers.
    """
    start = min((entry.begin for entry in found.tensors.values()), default=0)
    size = max((entry.end for entry in found.tensors.values()), default=0) - start
    try:
        data = np.fromfile(path, dtype=np.uint8, count=size, offset=start)
    except OSError as error:
        raise LoraFileError(f"{path} cannot be read: {error.strerror or error}. Check the path.") from error
    if len(data) != size:
        raise LoraFileError(f"{path} was changed while it was read. Try again.")
    buffer = torch.from_numpy(data)
    tensors = {}
    for key, entry in found.tensors.items():
        if (dtype := DTYPES.get(entry.dtype)) is None:
            continue
        raw = buffer[entry.begin - start : entry.end - start]
        if (entry.begin - start) % dtype.itemsize:
            raw = raw.clone()
        tensors[key] = computable(raw.view(dtype).view(entry.shape))
    if any(len(run) and not _numbers(run, dtype) for dtype, run in _runs(data, found, start)):
        check_numbers(tensors, str(path))
    return tensors


def _runs(data: NDArray[np.uint8], found: Header, start: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Neighbours of one dtype as one piece: a look at a few long pieces is quicker than at hundreds of tensors."""
    entries = sorted(found.tensors.values(), key=lambda entry: entry.begin)
    for dtype, run in groupby(entries, key=lambda entry: entry.dtype):
        members = list(run)
        yield dtype, data[members[0].begin - start : members[-1].end - start]


def _numbers(raw: NDArray[np.uint8], dtype: str) -> bool:
    """Whether there is no infinity and no NaN: as integers they are the largest of either sign (IEEE 754)."""
    if dtype not in INFINITY:
        return dtype in ("I64", "I32")  # of fp8 each tensor is looked at
    width, infinity = INFINITY[dtype]
    if raw.ctypes.data % width:
        raw = raw.copy()
    negative = infinity | 1 << (8 * width - 1)
    return bool(raw.view(f"<i{width}").max() < infinity and raw.view(f"<u{width}").max() < negative)


def check_numbers(tensors: Mapping[str, Tensor], path: str) -> None:
    """Raise LoraFileError if any value is infinite or not a number."""
    if broken := sorted(key for key, value in tensors.items() if not bool(value.isfinite().all())):
        raise LoraFileError(
            f"{path} holds values that are no numbers, in {few(broken)}: its training went wrong, and every picture "
            "would be black. Use an earlier state of it."
        )


def computable(value: Tensor) -> Tensor:
    """Return the tensor in a dtype that has arithmetic: fp8 as bf16, others as they are."""
    return value.to(torch.bfloat16) if value.dtype in _FP8 else value


def build(plan: Plan, tensors: Mapping[str, Tensor]) -> Lora:
    """Return the adapter of a plan."""
    changes: dict[str, Change] = {}
    for source in plan.sources:
        whole = _change(source, {role: tensors[key] for role, key in source.keys.items()})
        for name, rows in source.targets.items():
            change = whole if source.whole else _rows(whole, rows)
            changes[name] = replace(change, widens=True) if plan.info.items[name].widens else change
    info = plan.info
    return Lora(
        changes=changes,
        family=info.family,
        metadata=dict(info.metadata),
        dialect=info.dialect,
        warnings=info.warnings,
        unmatched=info.unmatched,
    )


def _change(source: Source, given: Mapping[str, Tensor]) -> Change:
    if source.form.kind == "set":
        return Change(set_weight=given["set"], bias=given.get("diff_b"))
    delta = _delta(source, given)
    bias = given.get("diff_b")
    if "up_bias" in given:
        assert isinstance(delta, LowRank)
        bias = given["up_bias"].float() * delta.scale
    return Change(delta, _magnitude(source, given), bias)


def _delta(source: Source, given: Mapping[str, Tensor]) -> Delta | None:
    form, alpha = source.form, source.alpha
    common = {"alpha": alpha.value, "rank_stabilized": alpha.rank_stabilized}
    if form.kind == "lora":
        return LowRank(given["down"], given["up"], alpha.value, given.get("mid"), alpha.rank_stabilized)
    if form.kind == "full":
        return Full(given["diff"])
    if form.kind == "bias":
        return None
    flattened = form.kernel if not {"loha_t1", "lokr_t2"} & given.keys() else ()
    if form.kind == "loha":
        return Hadamard(**_named("loha_", given), **common, kernel=flattened)  # type: ignore[arg-type]
    factors = _named("lokr_", given)
    if source.factor != 1.0:
        factors["w1"] = factors["w1"].float() * source.factor
    if "w2" in factors and not {"w1_a"} & factors.keys():
        flattened = ()
    return Kronecker(**factors, **common, kernel=flattened)  # type: ignore[arg-type]


def _named(prefix: str, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {role.removeprefix(prefix): value for role, value in given.items() if role.startswith(prefix)}


def _magnitude(source: Source, given: Mapping[str, Tensor]) -> Magnitude | None:
    if source.form.dora is None:
        return None
    axis: Literal[0, 1] = 0 if source.form.dora == "output" else 1
    vector = given["magnitude"] if "magnitude" in given else given["dora"]
    return Magnitude(vector.flatten(), axis)


def _rows(change: Change, rows: Ranges) -> Change:
    """Return the part of a change that is these rows (outputs) of the weight."""
    magnitude = change.magnitude
    if magnitude is not None and magnitude.axis == 0:
        magnitude = Magnitude(take(magnitude.vector, rows))
    return Change(
        None if change.delta is None else change.delta.rows(rows),
        magnitude,
        None if change.bias is None else take(change.bias, rows),
        None if change.set_weight is None else take(change.set_weight, rows),
    )
