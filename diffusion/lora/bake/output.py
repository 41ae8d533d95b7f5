"""Writing one large file from front to back, past the page cache where the file system lets us.

A copy through the page cache costs the kernel a fresh page for every 4 KiB, which is most of its time, pushes out what
other programs keep there, and gains nothing: the file is flushed to disk before it is renamed anyway. With O_DIRECT the
disk takes the bytes from a buffer that is used again and again (open(2), "O_DIRECT": address, length and offset are
multiples of the block size; the last, odd part of the file is written the ordinary way). File systems without it get
ordinary writes of the same size. While one buffer is being written, the other one is filled.

    with Output(path, on_written) as out:
        out.write(b"...")
        out.copy(source, begin, end)
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

BUFFER = 8 * 1024 * 1024  # bytes; a multiple of every block size
ALIGNED = 4096
DIRECT = getattr(os, "O_DIRECT", 0)


class Output:
    """A new file that grows at its end.

    Args:
        path: must not exist. on_written: called with the number of bytes of each part that was handed to the disk; an
            exception from it stops the writing.
    """

    def __init__(self, path: Path, on_written: Callable[[int], None] = lambda amount: None) -> None:
        self.on_written = on_written
        self.direct = bool(DIRECT)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
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
        self.at = 0  # where in the file it will go
        self.writer = ThreadPoolExecutor(1, "bake-write")
        self.pending: Future[None] | None = None

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
            self._added(part)
            data = data[part:]

    def copy(self, source: int, begin: int, end: int) -> None:
        """Append the bytes [begin, end) of an open file.

        Raises:
            EOFError: the file ends before.
        """
        while begin < end:
            part = self.buffers[0][self.used : self.used + min(end - begin, BUFFER - self.used)]
            read_exactly(source, part, begin)
            begin += len(part)
            self._added(len(part))

    def _added(self, amount: int) -> None:
        self.used += amount
        if self.used == BUFFER:
            self._hand_over()

    def _hand_over(self) -> None:
        self._wait()
        self.pending = self.writer.submit(self._write_out, self.buffers[0], self.at)
        self.buffers.reverse()
        self.at += BUFFER
        self.used = 0
        self.on_written(BUFFER)

    def _wait(self) -> None:
        if self.pending is not None:
            self.pending.result()
            self.pending = None

    def _write_out(self, data: memoryview, at: int) -> None:
        while len(data):
            try:
                done = os.pwrite(self.file, data, at)
            except OSError as error:
                if error.errno != errno.EINVAL or not self.direct:
                    raise
                self._write_ordinarily()  # a file system that opens the file so, and then does not write it so
                continue
            data, at = data[done:], at + done
            if done % ALIGNED and len(data):
                self._write_ordinarily()

    def _write_ordinarily(self) -> None:
        if self.direct:
            fcntl.fcntl(self.file, fcntl.F_SETFL, fcntl.fcntl(self.file, fcntl.F_GETFL) & ~DIRECT)
            self.direct = False

    def _finish(self) -> None:
        self._wait()
        whole = self.used - self.used % ALIGNED
        self._write_out(self.buffers[0][:whole], self.at)
        self._write_ordinarily()
        self._write_out(self.buffers[0][whole : self.used], self.at + whole)
        os.fsync(self.file)
        self.on_written(self.used)


def read_exactly(source: int, into: memoryview, begin: int) -> None:
    """Fill a buffer from a place in an open file.

    Raises:
        EOFError: the file ends before.
    """
    while len(into):
        got = os.preadv(source, [into], begin)
        if not got:
            raise EOFError("the file ended too early: it was changed while it was read")
        into, begin = into[got:], begin + got
