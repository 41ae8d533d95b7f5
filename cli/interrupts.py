"""Ctrl-C and SIGTERM on the command line: the first one asks for an end, the second one makes it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

from .common import CANCELLED


@contextmanager
def interruptible(asked: threading.Event, workers: Callable[[], Mapping[str, int]], said: bytes) -> Iterator[None]:
    """Make the first interrupt set `asked` and print `said`, and the second end this process and its workers at once.

    `workers` gives their process ids, by device. Outside the main thread, which alone hears signals, nothing changes.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            for pid in workers().values():
                # A worker leads a process group of its own, with all that its node has started.
                with suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
            os._exit(CANCELLED)
        asked.set()
        os.write(2, said)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
