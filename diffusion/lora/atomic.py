"""Safetensors files that are there whole or not at all.

    save_tensors({"a": torch.zeros(2)}, "x.safetensors", {"format": "pt"})

The file is written under a temporary name beside its place, flushed to disk and renamed. The same tensors and texts
give the same bytes (see `header.build`), so that a file's sha256 tells whether two results are the same.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from . import header as headers

# torch dtype -> its name in safetensors
NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.uint8: "U8",
}


def raw_bytes(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor, little-endian as on every machine that torch runs on."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    data: memoryview = flat.view(torch.uint8).numpy().data
    return data


def data_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 of what follows the header in the file of these tensors, whatever its metadata."""
    _, places = headers.build(_described(tensors), {})
    digest = hashlib.sha256()
    for name in places.tensors:
        digest.update(raw_bytes(tensors[name]))
    return digest.hexdigest()


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write the file, replacing what is there, and return its path.

    Raises:
        OSError: the disk is full, the folder cannot be written; an earlier file is then still as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:30]}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            start, places = headers.build(_described(tensors), metadata or {})
            file.write(start)
            for key in places.tensors:
                file.write(raw_bytes(tensors[key]))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's 0600 would hide the file from the other users of a shared folder
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


def _described(tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (NAMES[tensor.dtype], tuple(tensor.shape)) for name, tensor in tensors.items()}
