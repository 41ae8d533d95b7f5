"""Writing one baked file: tensors stream through in blocks of rows, changed rows in fp32, all else byte for byte."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...errors import ModelError
from .. import header as headers
from ..header import SIZES, Entry, Header
from ..stored import DTYPES
from .arithmetic import BLOCK, Running, Scratch
from .output import LARGEST, Output, Source
from .plan import Span

CHECKED_ROWS = 16  # rows of a sample that is worked out a second time


class Rows:
    """A tensor of an open file as a matrix [count, width], read in blocks and widened."""

    def __init__(self, source: Source, entry: Entry, scratch: Scratch) -> None:
        self.source, self.entry, self.scratch = source, entry, scratch
        self.count = entry.shape[0] if entry.shape else 1
        self.width = math.prod(entry.shape[1:])
        self.bytes = (entry.end - entry.begin) // max(1, self.count)  # also of a dtype that is not known here
        self.step = max(1, BLOCK // max(1, self.width))
        self.stored = DTYPES.get(entry.dtype, torch.uint8)
        self.exact = torch.float64 if entry.dtype == "F64" else torch.float32

    @property
    def plain(self) -> bool:
        """Whether the tensor is stored in the dtype that is counted in."""
        return self.stored == self.exact

    def read(self, first: int, last: int, into: Tensor | None = None) -> Tensor:
        """Return rows [first, last) in the exact dtype; `into` is filled if it is given, which must be of that dtype.

        Without `into` the next call overwrites them.
        """
        count = last - first
        wide = self.scratch.take("wide", count, self.width, self.exact) if into is None else into
        raw = wide if self.plain else self.scratch.take("raw", count, self.width, self.stored)
        self.source.read(data_of(raw), self.entry.begin + first * self.bytes)
        return wide if self.plain else wide.copy_(raw)

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
) -> list[int]:
    """Write `target`: `start`, then each tensor of `places`, from the one of that name in `source`.

    Returns the places in it where one write to the disk met the next.

    Raises:
        ModelError: a sum is no number, or the source changed under our hands. OSError: the disk.
    """
    scratch = Scratch()
    try:
        with Source(source) as reading, Output(target, on_written) as out:
            if headers.read(source, ModelError).tensors != header.tensors:
                raise EOFError(f"{source} was changed after it was opened")
            out.write(start)
            for key, place in places.tensors.items():
                old = header.tensors[key]
                if key in spans:
                    _write_changed(Rows(reading, old, scratch), place.dtype, spans[key], out)
                elif old.dtype == place.dtype:
                    out.copy(reading, old.begin, old.end)
                else:
                    flat = old._replace(shape=(math.prod(old.shape),))  # rows mean nothing here, and may be long
                    _write_unchanged(Rows(reading, flat, scratch), 0, flat.shape[0], place.dtype, out)
            reading.check_unchanged()
        return out.seams
    except EOFError as error:
        raise ModelError(f"{error}. Bake again.") from error


def _write_changed(rows: Rows, dtype: str, spans: list[Span], out: Output) -> None:
    at = 0
    for span in spans:
        _write_unchanged(rows, at, span.first, dtype, out)
        running = begin(span, rows)
        for first, last in rows.blocks(span.first, span.last):
            _write_block(running, span, rows, first, last, dtype, out)
        at = span.last
    _write_unchanged(rows, at, rows.count, dtype, out)


def _write_block(running: Running, span: Span, rows: Rows, first: int, last: int, dtype: str, out: Output) -> None:
    rounded = DTYPES[dtype]
    amount = (last - first) * rows.width * SIZES[dtype]
    if amount > LARGEST:  # a single row of many megabytes
        out.write(data_of(changed(running, span, rows, first, last).to(rounded)))
        return
    room = torch.frombuffer(out.take(amount), dtype=rounded).view(last - first, rows.width)
    if rounded == rows.exact:
        changed(running, span, rows, first, last, into=room)
    else:
        room.copy_(changed(running, span, rows, first, last))
    out.filled(amount)


def _write_unchanged(rows: Rows, first: int, last: int, dtype: str, out: Output) -> None:
    if rows.entry.dtype == dtype:
        out.copy(rows.source, rows.entry.begin + first * rows.bytes, rows.entry.begin + last * rows.bytes)
        return
    for begin, end in rows.blocks(first, last):
        out.write(data_of(rows.read(begin, end).to(DTYPES[dtype])))


def begin(span: Span, rows: Rows) -> Running:
    """Return the span's work ready to be applied, after a first look at the whole weight where it needs one."""
    running = span.work.start(rows.exact, rows.scratch)
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


def changed(running: Running, span: Span, rows: Rows, first: int, last: int, into: Tensor | None = None) -> Tensor:
    """Return the stored rows [first, last) as they will be, not yet rounded; see `Rows.read` for `into`.

    Raises:
        ModelError: they hold what is no number.
    """
    block = rows.read(first, last, into)
    running.apply(block, span.offset + first - span.first)
    # a sum is no number if one of its terms is none; only then it is worth looking at each
    if not math.isfinite(block.sum().item()) and not block.isfinite().all():
        raise ModelError(
            f"{span.work.parameter} would hold values that are no numbers. Is the base or one of the LoRAs damaged?"
        )
    return block
