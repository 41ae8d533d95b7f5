"""Reading the header of a safetensors file, and refusing what is none, before anybody waits for gigabytes.

Layout (https://github.com/huggingface/safetensors, "Format"): 8 bytes little-endian length N, N bytes of JSON
{"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {str: str}}, then the data; offsets count
from the start of the data, leave no holes, and end where the file ends.
"""

from __future__ import annotations

import json
import math
import os
import stat
import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import DiffusionError

MAX_HEADER = 100 * 1024 * 1024  # the limit of the reference reader
# bytes per element; sub-byte types are left out: no model here uses them
SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
}
# dtype of one number -> how `struct` unpacks it
SCALARS = {
    "F64": "<d",
    "F32": "<f",
    "F16": "<e",
    "BF16": "<f",
    "F8_E4M3": "<B",
    "F8_E5M2": "<e",
    "I64": "<q",
    "I32": "<i",
}
# first bytes of what people mistake for safetensors -> what it is, and what to do
IMPOSTORS = (
    (b"<", "a web page, not weights. The download probably needs a login or the raw file's address"),
    (b"version https://git-lfs", "a Git LFS pointer, not the weights. Fetch the file itself with `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive or a PyTorch pickle. Pickles can run code; convert it to safetensors first"),
    (b"\x80", "a Python pickle. Pickles can run code; convert it to safetensors first"),
    (b"GGUF", "a GGUF file. Use the safetensors version"),
)


class Entry(NamedTuple):
    """One tensor: dtype as in the file ("F32"), shape, and its first and one-past-last byte within the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """tensors by name in file order, and the text metadata."""

    tensors: dict[str, Entry]
    metadata: dict[str, str]


def build(tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]) -> tuple[bytes, Header]:
    """Return the first bytes of a file that will hold these tensors ({name: (dtype, shape)}), and where each will lie.

    The order is fixed (wide types first, so that all stay aligned, then by name), as is that of the metadata: the same
    tensors always give the same bytes.
    """
    order = sorted(tensors, key=lambda name: (-SIZES[tensors[name][0]], name))
    described: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    places, at = {}, 0
    for name in order:
        dtype, shape = tensors[name]
        end = at + SIZES[dtype] * math.prod(shape)
        described[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        places[name] = (dtype, shape, at, end)
        at = end
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    entries = {name: Entry(dtype, shape, start + a, start + b) for name, (dtype, shape, a, b) in places.items()}
    return struct.pack("<Q", len(text)) + text, Header(entries, dict(metadata))


def read(path: str | Path, error: type[DiffusionError] = DiffusionError) -> Header:
    """Return the header of a safetensors file.

    Raises:
        error: the file is missing, is something else, is truncated or is corrupt; the message says which.
    """
    path = Path(path)
    try:
        refuse_others(path, error)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(64)
            if reason := _impostor(start):
                raise error(f"{path} is {reason}.")
            if size < 8:
                raise error(f"{path} is not a safetensors file: it has {size} bytes. Download it again.")
            length = struct.unpack("<Q", start[:8])[0]
            if length > MAX_HEADER or start[8:9] != b"{":
                raise error(f"{path} is not a safetensors file: it does not begin with a header.")
            if 8 + length > size:
                raise error(f"{path} is truncated within its header: {size} bytes are there. Download it again.")
            file.seek(8)
            raw = file.read(length)
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror or problem}. Check the path.") from problem
    try:
        described = json.loads(str(raw, "utf-8"), object_pairs_hook=_no_duplicates)
        if b"\\u" in raw:  # half a character, which could be written nowhere
            json.dumps(described, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as problem:
        raise error(f"{path} has a corrupt header: {problem}. Download it again.") from problem
    return _check(path, size, 8 + length, described, error)


def refuse_others(path: Path, error: type[DiffusionError] = DiffusionError) -> None:
    """Refuse what is no file: opening a pipe would wait for somebody to write.

    Raises:
        error: it is a folder or something else, or its name cannot be one. OSError: it is not there.
    """
    try:
        mode = path.stat().st_mode
    except ValueError as problem:  # zero bytes, lone surrogates
        raise error(f"{str(path)!r} cannot be read: {problem}. Check the path.") from problem
    if stat.S_ISDIR(mode):
        raise error(f"{path} is a folder; give the safetensors file in it.")
    if not stat.S_ISREG(mode):
        raise error(f"{path} is not a file but a pipe or a device. Give a safetensors file.")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A table of JSON, whose names must differ: of two tensors with one name, one would be lost without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{twice} is there twice")
    return found


def _impostor(start: bytes) -> str | None:
    text = start.lstrip(b"\xef\xbb\xbf \r\n\t")
    for magic, reason in IMPOSTORS:
        # A header length may begin with any byte, so a one-byte magic counts only without "{" where a header has it.
        if (text if magic == b"<" else start).startswith(magic) and start[8:9] != b"{":
            return reason
    return None


def _check(path: Path, size: int, data: int, described: object, error: type[DiffusionError]) -> Header:
    try:
        tensors, metadata = _entries(described, data)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise error(f"{path} has a corrupt header: {problem}. Download it again.") from problem
    last = max((entry.end for entry in tensors.values()), default=data)
    if last > size:
        raise error(f"{path} is truncated: {size:,} of {last:,} bytes are there. Download it again.")
    at = data
    for entry in sorted(tensors.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != at:
            raise error(f"{path} is corrupt: its tensors overlap, or leave holes. Download it again.")
        at = entry.end
    if at != size:
        raise error(f"{path} is corrupt: its tensors do not fill the file. Download it again.")
    return Header(tensors, metadata)


def _entries(described: object, data: int) -> tuple[dict[str, Entry], dict[str, str]]:
    if not isinstance(described, dict):
        raise ValueError("it is not a table of tensors")
    metadata = described.pop("__metadata__", None)
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not a table of texts")
    tensors = {}
    for name, entry in described.items():
        shape = tuple(_whole(length, name) for length in entry["shape"])
        begin, end = (_whole(offset, name) for offset in entry["data_offsets"])
        width = SIZES.get(entry["dtype"])
        if not 0 <= begin <= end or min(shape, default=0) < 0:
            raise ValueError(f"{name} has no place in the file")
        if width is not None and math.prod(shape) * width != end - begin:
            raise ValueError(f"{name} has another size than its shape says")
        tensors[name] = Entry(str(entry["dtype"]), shape, data + begin, data + end)
    return tensors, dict(metadata)


def _whole(number: object, name: str) -> int:
    if type(number) is not int:
        raise ValueError(f"{name} has a size that is no whole number")
    return number


def scalar(file: BinaryIO, key: str, entry: Entry, error: type[DiffusionError] = DiffusionError) -> float:
    """Return the number that a tensor of one element is, from its few bytes in the open file.

    Raises:
        error: it is none, or of another dtype.
    """
    code = SCALARS.get(entry.dtype)
    if code is None or entry.end - entry.begin != SIZES[entry.dtype]:
        raise error(f"{file.name} is damaged: {key} is not one number.")
    file.seek(entry.begin)
    raw = file.read(entry.end - entry.begin)
    if entry.dtype == "BF16":
        raw = b"\0\0" + raw  # a bfloat16 is the upper half of a float32
    if entry.dtype == "F8_E5M2":
        raw = b"\0" + raw  # and this the upper half of a float16
    try:
        number = struct.unpack(code, raw)[0]
        return _e4m3(number) if entry.dtype == "F8_E4M3" else float(number)
    except struct.error as problem:
        raise error(f"{file.name} was changed while it was read. Try again.") from problem


def _e4m3(bits: int) -> float:
    """A sign, four bits of exponent (bias 7) and three of mantissa; no infinity, all ones are NaN (2209.05433)."""
    exponent, mantissa = bits >> 3 & 15, bits & 7
    if (exponent, mantissa) == (15, 7):
        return math.nan
    size = mantissa / 512 if not exponent else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return -size if bits & 128 else size
