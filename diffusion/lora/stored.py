"""Stored tensors as torch tensors: the dtypes' names in safetensors, and rows read from a file."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from .header import SIZES, Entry
from .names.table import Ranges

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


def rows(file: Path, entry: Entry, ranges: Ranges) -> Tensor:
    """Return these rows of a tensor of a file, one after the other, in the dtype of the file."""
    width = math.prod(entry.shape[1:]) * SIZES[entry.dtype]
    raw = bytearray(sum(last - first for first, last in ranges) * width)
    view, at = memoryview(raw), 0
    with file.open("rb", buffering=0) as source:
        for first, last in ranges:
            source.seek(entry.begin + first * width)
            part = view[at : at + (last - first) * width]
            while len(part):  # one read gives 2 GiB at most
                got = source.readinto(part)
                if not got:
                    raise OSError(f"{file} ended within a tensor: it was changed while it was read")
                part, at = part[got:], at + got
    shape = (sum(last - first for first, last in ranges), *entry.shape[1:]) if entry.shape else ()
    if not raw:
        return torch.empty(shape, dtype=DTYPES[entry.dtype])
    return torch.frombuffer(raw, dtype=DTYPES[entry.dtype]).reshape(shape)
