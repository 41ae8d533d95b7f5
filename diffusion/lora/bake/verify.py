"""Looking at a baked file before it takes its name: its header, and samples of what lies in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch

from ...errors import ModelError
from .. import header as headers
from ..header import Header
from ..stored import DTYPES
from .arithmetic import Scratch
from .output import Source
from .plan import Span
from .write import CHECKED_ROWS, Rows, begin, changed, data_of

SAMPLES = 12  # changed tensors, and unchanged ones, that are looked at
SAMPLE = 64 * 1024  # bytes compared of an unchanged tensor
Item = TypeVar("Item")


def verify(source: Path, header: Header, target: Path, places: Header, spans: Mapping[str, list[Span]]) -> None:
    """Compare what is on the disk with what should be.

    Raises:
        ModelError: the file is not what was written.
    """
    if headers.read(target, ModelError).tensors != places.tensors:
        raise ModelError(f"{target.name} has another header than was written to it. Check the disk.")
    try:
        with Source(source) as reading, Source(target) as writing:
            same = [key for key, place in places.tensors.items() if key not in spans and _kept(key, header, places)]
            for key in _spread(same):
                _compare_bytes(key, reading, header, writing, places)
            for key in _spread(list(spans)):
                _compare_rows(key, reading, header, writing, places, spans[key])
    except EOFError as error:
        raise ModelError(f"{error}. Bake again.") from error


def _kept(key: str, header: Header, places: Header) -> bool:
    return header.tensors[key].dtype == places.tensors[key].dtype


def _spread(items: Sequence[Item]) -> list[Item]:
    """Return a few from the first to the last."""
    if len(items) <= SAMPLES:
        return list(items)
    return [items[round(number * (len(items) - 1) / (SAMPLES - 1))] for number in range(SAMPLES)]


def _compare_bytes(key: str, reading: Source, header: Header, writing: Source, places: Header) -> None:
    old, new = header.tensors[key], places.tensors[key]
    for offset in {0, max(0, old.end - old.begin - SAMPLE)}:
        length = min(SAMPLE, old.end - old.begin - offset)
        before, after = bytearray(length), bytearray(length)
        reading.read(memoryview(before), old.begin + offset)
        writing.read(memoryview(after), new.begin + offset)
        if before != after:
            raise ModelError(f"{key} is not what was written: its bytes differ from the base's. Check the disk.")


def _compare_rows(
    key: str, reading: Source, header: Header, writing: Source, places: Header, spans: list[Span]
) -> None:
    """Work some rows out again, and look whether they are there."""
    scratch = Scratch()
    rows, written = Rows(reading, header.tensors[key], scratch), Rows(writing, places.tensors[key], scratch)
    for span in spans:
        running = begin(span, rows)
        for first in {span.first, max(span.first, span.last - CHECKED_ROWS)}:
            last = min(first + CHECKED_ROWS, span.last)
            wanted = changed(running, span, rows, first, last).to(DTYPES[places.tensors[key].dtype])
            found = torch.empty_like(wanted)
            writing.read(data_of(found), written.entry.begin + first * written.bytes)
            # another number of rows may take another path through the matrix product: allow for the last bits
            slack = 4 * torch.finfo(wanted.dtype).eps * float(wanted.double().abs().max())
            if not (found.double() - wanted.double()).abs().max() <= slack:
                raise ModelError(f"{key} is not what was written: rows {first} to {last} differ. Check the disk.")
