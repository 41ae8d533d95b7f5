"""Looking at a baked file before it takes its name: its header, and samples of all that lies in it.

Every tensor is looked at where it, and each of its changed parts, begins and ends, every STRIDE bytes between,
and where one write to the disk met the next: enough to find what lies in the wrong place, was left out or is not what
was computed. What does not change must have the same bytes; what changes is worked out again.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ...errors import ModelError
from .. import header as headers
from ..delta import Kronecker
from ..header import Header
from ..stored import DTYPES
from .arithmetic import Scratch
from .output import Source
from .plan import Span
from .write import CHECKED_ROWS, Rows, begin, changed, data_of

STRIDE = 16 * 1024 * 1024  # bytes from one sample to the next
SAMPLE = 4096  # bytes compared of what does not change
COSTLY = 12  # changes that need a pass over the whole weight: so many of them are looked at
DIFFERENT = 0.02  # share of 16-bit numbers that may be rounded the other way
Item = TypeVar("Item")


def verify(
    source: Path,
    header: Header,
    target: Path,
    places: Header,
    spans: Mapping[str, list[Span]],
    seams: Sequence[int] = (),
) -> None:
    """Compare what is on the disk with what should be.

    Args:
        seams: places in the target that are to be looked at in any case, rising; what lies around them is.

    Raises:
        ModelError: the file is not what was written.
    """
    if headers.read(target, ModelError).tensors != places.tensors:
        raise ModelError(f"{target.name} has another header than was written to it. Check the disk.")
    costly = [id(span) for parts in spans.values() for span in parts if _is_costly(span)]
    left_out = set(costly) - set(_spread(costly))
    scratch = Scratch()
    try:
        with Source(source) as reading, Source(target) as writing:
            for file in (reading, writing):
                os.posix_fadvise(file.file, 0, 0, os.POSIX_FADV_RANDOM)
            for key, place in places.tensors.items():
                rows = Rows(reading, header.tensors[key], scratch)
                written = Rows(writing, place, scratch)
                near = seams[bisect_left(seams, place.begin - SAMPLE) : bisect_left(seams, place.end + SAMPLE)]
                at = 0
                for span in spans.get(key, ()):
                    _compare_unchanged(key, rows, written, at, span.first, near)
                    if id(span) not in left_out:
                        _compare_changed(key, rows, written, span, near)
                    at = span.last
                _compare_unchanged(key, rows, written, at, rows.count, near)
    except EOFError as error:
        raise ModelError(f"{error}. Bake again.") from error


def _is_costly(span: Span) -> bool:
    deltas = (step.change.delta for step in span.work.steps)
    return span.work.needs_columns or any(
        isinstance(delta, Kronecker) and delta.selected is not None for delta in deltas
    )


def _spread(items: Sequence[Item]) -> list[Item]:
    """Return a few from the first to the last."""
    if len(items) <= COSTLY:
        return list(items)
    return [items[round(number * (len(items) - 1) / (COSTLY - 1))] for number in range(COSTLY)]


def _samples(first: int, last: int, length: int, stride: int, seams: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield parts of that length from first to last: every `stride`, the end, and before and after the seams."""
    around = (at for seam in seams for at in (max(first, seam - length), max(first, seam)))
    for at in sorted({*range(first, last, max(stride, length)), max(first, last - length), *around}):
        if at < last:
            yield at, min(at + length, last)


def _compare_unchanged(key: str, rows: Rows, written: Rows, first: int, last: int, seams: Sequence[int]) -> None:
    old, new = rows.entry, written.entry
    if old.dtype == new.dtype:  # also of a dtype that is not known here
        size = old.end - old.begin
        begin, end = (round(size * row / rows.count) if rows.count else 0 for row in (first, last))
        for at, to in _samples(begin, end, SAMPLE, STRIDE, [seam - new.begin for seam in seams]):
            before, after = bytearray(to - at), bytearray(to - at)
            rows.source.read(memoryview(before), old.begin + at)
            written.source.read(memoryview(after), new.begin + at)
            if before != after:
                raise ModelError(f"{key} is not what was written: its bytes differ from the base's. Check the disk.")
        return
    for at, to in _row_samples(rows, written, first, last, seams):
        if not torch.equal(_found(written, at, to), rows.read(at, to).to(written.stored)):
            raise ModelError(f"{key} is not what was written: its numbers differ from the base's. Check the disk.")


def _compare_changed(key: str, rows: Rows, written: Rows, span: Span, seams: Sequence[int]) -> None:
    """Work some rows out again, and look whether they are there."""
    running = begin(span, rows)
    for first, last in _row_samples(rows, written, span.first, span.last, seams):
        wanted = changed(running, span, rows, first, last).to(DTYPES[written.entry.dtype])
        if not _same(_found(written, first, last), wanted):
            raise ModelError(f"{key} is not what was written: rows {first} to {last} differ. Check the disk.")


def _row_samples(rows: Rows, written: Rows, first: int, last: int, seams: Sequence[int]) -> Iterator[tuple[int, int]]:
    if rows.bytes:
        near = [(seam - written.entry.begin) // written.bytes for seam in seams]
        yield from _samples(first, last, max(1, min(CHECKED_ROWS, rows.step)), STRIDE // rows.bytes, near)


def _found(written: Rows, first: int, last: int) -> Tensor:
    found = torch.empty(last - first, written.width, dtype=written.stored)
    written.source.read(data_of(found), written.entry.begin + first * written.bytes)
    return found


def _same(found: Tensor, wanted: Tensor) -> bool:
    """Whether they differ by no more than another number of rows does, which may take another path through the
    matrix product: in the last bits of what was computed, and so now and then in the rounding to 16 bits."""
    if torch.equal(found, wanted):
        return True
    stored = torch.finfo(wanted.dtype)
    exact = torch.finfo(torch.float64 if wanted.dtype == torch.float64 else torch.float32).eps
    slack = 8 * exact * float(wanted.double().abs().max())
    if stored.bits <= 16:
        if (found != wanted).double().mean() > DIFFERENT and found.numel() > 1 / DIFFERENT:
            return False
        ulps = stored.eps * wanted.double().abs() + stored.smallest_normal * stored.eps
        return bool(((found.double() - wanted.double()).abs() <= slack + ulps).all())
    return bool(((found.double() - wanted.double()).abs() <= slack).all())
