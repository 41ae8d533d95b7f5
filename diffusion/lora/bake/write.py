"""Writing one baked file: tensors stream through in blocks of rows, changed rows in fp32, all else byte for byte."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...errors import ModelError
from ..header import SIZES, Entry, Header
from ..stored import DTYPES
from .arithmetic import BLOCK, Running
from .output import Output, read_exactly
from .plan import Span

CHECKED_ROWS = 16  # rows of a sample that is worked out a second time


class Rows:
    """A tensor of an open file as a matrix [count, width], read in blocks and widened."""

    def __init__(self, source: int, entry: Entry) -> None:
        self.source, self.entry = source, entry
        self.count = entry.shape[0] if entry.shape else 1
        self.width = math.prod(entry.shape[1:])
        self.bytes = self.width * SIZES[entry.dtype]
        self.step = max(1, BLOCK // max(1, self.width))
        self.stored = DTYPES.get(entry.dtype, torch.uint8)
        self.exact = torch.float64 if entry.dtype == "F64" else torch.float32
        self._raw = torch.empty(0, dtype=self.stored)
        self._wide = torch.empty(0, dtype=self.exact)

    def read(self, first: int, last: int) -> Tensor:
        """Return rows [first, last) in the exact dtype; the next call overwrites them."""
        count = last - first
        if len(self._raw) < count:
            self._raw = torch.empty(count, self.width, dtype=self.stored)
            self._wide = self._raw if self.stored == self.exact else torch.empty(count, self.width, dtype=self.exact)
        raw = self._raw[:count]
        read_exactly(self.source, data_of(raw), self.entry.begin + first * self.bytes)
        return raw if self._wide is self._raw else self._wide[:count].copy_(raw)

    def blocks(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the row ranges of the blocks in which [first, last) is worked on."""
        for begin in range(first, last, self.step):
            yield begin, min(begin + self.step, last)


def data_of(tensor: Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor, to be read or to be filled."""
    data: memoryview = tensor.view(-1).view(torch.uint8).numpy().data
    return data


def write_file(
    source: Path,
    header: Header,
    target: Path,
    start: bytes,
    places: Header,
    spans: Mapping[str, list[Span]],
    on_written: Callable[[int], None],
) -> None:
    """Write `target`: `start`, then each tensor of `places`, from the one of that name in `source`.

    Raises:
        ModelError: a sum is no number, or the source changed under our hands. OSError: the disk.
    """
    reading = os.open(source, os.O_RDONLY)
    try:
        with Output(target, on_written) as out:
            out.write(start)
            for key, place in places.tensors.items():
                old = header.tensors[key]
                if old.dtype == place.dtype and key not in spans:
                    out.copy(reading, old.begin, old.end)
                else:
                    _write_tensor(reading, old, place, spans.get(key, []), out)
    except EOFError as error:
        raise ModelError(f"{source} changed while it was read: {error}. Bake again.") from error
    finally:
        os.close(reading)


def _write_tensor(reading: int, old: Entry, place: Entry, spans: list[Span], out: Output) -> None:
    rows = Rows(reading, old)
    rounded = DTYPES[place.dtype]
    at = 0
    for span in spans:
        _write_unchanged(rows, at, span.first, place.dtype, out)
        running = begin(span, rows)
        for first, last in rows.blocks(span.first, span.last):
            out.write(data_of(changed(running, span, rows, first, last).to(rounded)))
        at = span.last
    _write_unchanged(rows, at, rows.count, place.dtype, out)


def _write_unchanged(rows: Rows, first: int, last: int, dtype: str, out: Output) -> None:
    if rows.entry.dtype == dtype:
        out.copy(rows.source, rows.entry.begin + first * rows.bytes, rows.entry.begin + last * rows.bytes)
        return
    for begin, end in rows.blocks(first, last):
        out.write(data_of(rows.read(begin, end).to(DTYPES[dtype])))


def begin(span: Span, rows: Rows) -> Running:
    """Return the span's work ready to be applied, after a first look at the whole weight where it needs one."""
    running = span.work.start(rows.exact)
    if span.work.needs_columns:
        if span.offset or span.last - span.first != span.work.shape[0]:
            raise ModelError(
                f"{span.work.parameter} lies in pieces in the base, and a DoRA over its inputs needs it whole. "
                "Bake into a diffusers folder."
            )
        running.learn_columns(lambda: _unchanged(span, rows))
    return running


def _unchanged(span: Span, rows: Rows) -> Iterable[tuple[int, Tensor]]:
    for first, last in rows.blocks(span.first, span.last):
        yield first - span.first, rows.read(first, last)


def changed(running: Running, span: Span, rows: Rows, first: int, last: int) -> Tensor:
    """Return the stored rows [first, last) as they will be, not yet rounded.

    Raises:
        ModelError: they hold what is no number.
    """
    block = rows.read(first, last)
    running.apply(block, span.offset + first - span.first)
    # a sum is no number if one of its terms is none; only then it is worth looking at each
    if not math.isfinite(block.sum().item()) and not block.isfinite().all():
        raise ModelError(
            f"{span.work.parameter} would hold values that are no numbers. Is the base or one of the LoRAs damaged?"
        )
    return block
