"""Writing one large file from front to back, past the page cache where the file system lets us.

A copy through the page cache costs the kernel a fresh page for every 4 KiB and two passes over the memory, which is
nearly all of its time, and pushes out what other programs keep there. It gains nothing here: the file is flushed to the
disk before it is renamed. With O_DIRECT (open(2)) the disk takes the bytes from where they are, if address, length and
offset are multiples of its block size:

- what was computed, from one of two buffers that are used in turns: one is filled while the other is written;
- what is copied, from the pages of the source file themselves, if it lies at the same place within a page there
  (`in_step`, which the padding of the header provides). Nothing is copied then in the sense of the word.

The last, odd part of the file is written the ordinary way, and file systems without O_DIRECT get ordinary writes of the
buffers.

    with Source(old) as source, Output(new, on_written) as out:
        out.write(b"...")
        out.copy(source, begin, end)
        view = out.take(1024); ...; out.filled(1024)
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

BUFFER = 8 * 1024 * 1024  # bytes; a multiple of PAGE
PAGE = 4096  # a multiple of the block size of every disk, and of no page size but itself
DIRECT = getattr(os, "O_DIRECT", 0)
POPULATE = 22  # MADV_POPULATE_READ of Linux 5.14: map many pages at once, not one fault at a time
ENDED = "the base ended too early, so it was changed while it was read"
LARGEST = BUFFER - PAGE  # bytes that `take` can give


class Source:
    """A file that is read from, by reading or as a map of its pages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDONLY)
        self.found = os.fstat(self.file)
        self.size = self.found.st_size
        self.map = mmap.mmap(self.file, self.size, mmap.MAP_SHARED, mmap.PROT_READ) if self.size else None

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.map is not None:
            with contextlib.suppress(BufferError):  # the error of a failed write may keep a view of it alive
                self.map.close()
        os.close(self.file)

    def check_unchanged(self) -> None:
        """Look whether the file is as it was when it was opened.

        Raises:
            EOFError: it was written to.
        """
        now = os.fstat(self.file)
        if (now.st_size, now.st_mtime_ns) != (self.size, self.found.st_mtime_ns):
            raise EOFError(f"{self.path} was changed while it was read")

    def read(self, into: memoryview, begin: int) -> None:
        """Fill a buffer from a place in the file.

        Raises:
            EOFError: the file ends before.
        """
        while len(into):
            got = os.preadv(self.file, [into], begin)
            if not got:
                raise EOFError(f"{self.path}: {ENDED}")
            into, begin = into[got:], begin + got


class Output:
    """A new file that grows at its end.

    Args:
        path: must not exist. on_written: called with the number of bytes of each part that was handed to the disk; an
            exception from it stops the writing.
    """

    def __init__(self, path: Path, on_written: Callable[[int], None] = lambda amount: None) -> None:
        self.on_written = on_written
        self.direct = bool(DIRECT)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            self.file = os.open(path, flags | DIRECT, 0o644)
        except OSError as error:
            if error.errno != errno.EINVAL or not DIRECT:
                raise
            self.direct = False
            path.unlink(missing_ok=True)  # some file systems make the file before they refuse
            self.file = os.open(path, flags, 0o644)
        # anonymous maps begin at a page, as O_DIRECT wants
        self.buffers = [memoryview(mmap.mmap(-1, BUFFER)) for _ in range(2)]
        self.used = 0  # bytes in the first buffer
        self.at = 0  # where in the file they will go; a multiple of PAGE
        self.writer = ThreadPoolExecutor(1, "bake-write")
        self.pending: Future[None] | None = None
        self.seams: list[int] = []  # where one write ends and the next begins

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self.writer.shutdown(wait=True)
            os.close(self.file)

    def write(self, data: memoryview | bytes) -> None:
        """Append bytes."""
        data = memoryview(data).cast("B")
        while len(data):
            part = min(len(data), BUFFER - self.used)
            self.buffers[0][self.used : self.used + part] = data[:part]
            self.filled(part)
            data = data[part:]

    def take(self, amount: int) -> memoryview:
        """Return room for so many bytes, at most LARGEST, to be filled and then confirmed by `filled`."""
        if self.used + amount > BUFFER:
            self._hand_over()
        return self.buffers[0][self.used : self.used + amount]

    def filled(self, amount: int) -> None:
        """Append what was put into the room that `take` gave."""
        self.used += amount
        if self.used == BUFFER:
            self._hand_over()

    def copy(self, source: Source, begin: int, end: int) -> None:
        """Append the bytes [begin, end) of a file.

        Raises:
            EOFError: the file ends before.
        """
        first = begin + -begin % PAGE
        last = end - end % PAGE
        if self.direct and source.map is not None and self.in_step(begin) and last - first >= PAGE:
            self._copy_through(source, begin, first)
            self._hand_over()
            for at in range(first, last, BUFFER):
                self._submit(self._write_pages, source, at, min(BUFFER, last - at))
            begin = last
        self._copy_through(source, begin, end)

    def in_step(self, begin: int) -> bool:
        """Whether a place in a source is as far into its page as the end of this file is."""
        return (self.at + self.used - begin) % PAGE == 0

    def _copy_through(self, source: Source, begin: int, end: int) -> None:
        while begin < end:
            part = self.buffers[0][self.used : self.used + min(end - begin, BUFFER - self.used)]
            source.read(part, begin)
            begin += len(part)
            self.filled(len(part))

    def _hand_over(self) -> None:
        """Give all whole pages of the buffer to the disk, and go on with the other buffer."""
        whole = self.used - self.used % PAGE
        if not whole:
            return
        full, other = self.buffers
        self._wait()
        other[: self.used - whole] = full[whole : self.used]
        self._submit(self._write_out, full[:whole], whole)
        self.buffers.reverse()
        self.used -= whole

    def _submit(self, job: Callable[..., None], *arguments: object) -> None:
        """Let the writer do the job at the end of the file; the last argument is how many bytes that will be."""
        self._wait()
        amount = arguments[-1]
        assert isinstance(amount, int)
        self.pending = self.writer.submit(job, *arguments, self.at)
        self.at += amount
        self.seams.append(self.at)
        self.on_written(amount)

    def _wait(self) -> None:
        if self.pending is not None:
            self.pending.result()
            self.pending = None

    def _write_pages(self, source: Source, begin: int, amount: int, at: int) -> None:
        assert source.map is not None
        os.posix_fadvise(source.file, begin, 2 * amount, os.POSIX_FADV_WILLNEED)
        with contextlib.suppress(OSError):  # an older kernel maps the pages when they are written
            source.map.madvise(POPULATE, begin, amount)
        with memoryview(source.map)[begin : begin + amount] as pages:
            self._write_out(pages, amount, at)
        source.map.madvise(mmap.MADV_DONTNEED, begin, amount)  # they count as ours while they are mapped

    def _write_out(self, data: memoryview, amount: int, at: int) -> None:
        done = 0
        while done < amount:
            try:
                more = os.pwrite(self.file, data[done:], at + done)
            except OSError as error:
                if error.errno == errno.EFAULT:
                    raise EOFError(ENDED) from error  # the pages of the source are there no more
                if error.errno != errno.EINVAL or not self.direct:
                    raise
                self._write_ordinarily()  # a file system that opens the file so, and then does not write it so
                continue
            done += more
            if more % PAGE and done < amount:
                self._write_ordinarily()

    def _write_ordinarily(self) -> None:
        if self.direct:
            fcntl.fcntl(self.file, fcntl.F_SETFL, fcntl.fcntl(self.file, fcntl.F_GETFL) & ~DIRECT)
            self.direct = False

    def _finish(self) -> None:
        self._hand_over()
        self._wait()
        self._write_ordinarily()
        self._write_out(self.buffers[0][: self.used], self.used, self.at)
        os.fsync(self.file)
        self.on_written(self.used)
