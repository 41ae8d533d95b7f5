"""Lanes: where the runs of the queue are run, one lane per device, one run at a time on each.

    lanes = Lanes(queue, registry, home=home, devices=("cuda:0", "cuda:1"), executor=make_executor)
    lanes.start()       # ("cuda:0",): another process holds the lane of cuda:1
    lanes.close()       # what runs stops, and waits again at the front

A lane belongs to the process that holds the lock of `home/lanes/<device>`; the system lets go of it when that process
ends, however it ends. So whoever gets a lane knows that nothing runs on it, and whatever the queue says to run there
was orphaned: it waits again, and goes on where it was, since what had finished lies in the store.

One thread, the keeper, takes lanes, hands out runs and passes cancels on; each lane has a thread that runs what it is
handed. Nothing that happens in a run ends its lane.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from .errors import BadInput
from .executors.base import Executor
from .locks import FolderLock
from .registry import Registry
from .run_attempt import End, InHand, attempt
from .run_queue import RunQueue
from .run_record import RunRecord

LOOK = 0.15
"""Seconds between two looks at the queue's file, for what other processes wrote (what this one writes wakes us)."""

RETRY = 1.0
"""Seconds between two tries to take the lanes that others hold."""

_log = logging.getLogger("loragraph.lanes")


class Lanes:
    """The lanes of one process."""

    def __init__(
        self,
        queue: RunQueue,
        registry: Registry,
        *,
        home: Path,
        devices: Sequence[str],
        executor: Callable[[str], Executor],
        until: str | None = None,
    ) -> None:
        """Prepare; `executor(device)` makes the executor of a lane, at its first run, and it is kept from run to run.

        `until` names a run after whose end no other is taken.
        """
        self._queue = queue
        self._registry = registry
        self._home = Path(home).absolute()
        self._lanes = {device: _Lane(device, self) for device in devices}
        self._make_executor = executor
        self._until = until
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._requeue = True
        self._keeper: threading.Thread | None = None
        self._tried = 0.0
        self._deaf: Callable[[], None] = lambda: None

    def start(self) -> tuple[str, ...]:
        """Take the lanes that are free, begin to work, and return their devices; the others are tried again and again.

        Raises OSError where the home can't be written to.
        """
        self._deaf = self._queue.listen(lambda run: self._wake.set())
        try:
            self._take_lanes()
        except BaseException:
            self.close()
            raise
        self._keeper = threading.Thread(target=self._keep, name="loragraph-lanes", daemon=True)
        self._keeper.start()
        return self.held()

    def held(self) -> tuple[str, ...]:
        """Return the devices whose lanes this process holds."""
        return tuple(device for device, lane in self._lanes.items() if lane.lock is not None)

    def running(self) -> dict[str, str]:
        """Return {device: id of the run that it runs now}, of the lanes of this process."""
        return {device: now.run for device, lane in self._lanes.items() if (now := lane.now) is not None}

    def pids(self) -> dict[str, int]:
        """Return the worker processes by device, for whoever must end them at once."""
        found: dict[str, int] = {}
        for lane in self._lanes.values():
            found |= getattr(lane.executor, "pids", dict)()
        return found

    def close(self, *, requeue: bool = True) -> None:
        """Stop: what runs is cancelled and, with `requeue`, waits again at the front. Lets go of the lanes."""
        self._requeue = requeue
        self._closing.set()
        self._wake.set()
        self._deaf()
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
        for lane in self._lanes.values():
            lane.stop()
        for lane in self._lanes.values():
            lane.join()

    def _keep(self) -> None:
        while not self._closing.is_set():
            try:
                self._look()
            except (sqlite3.Error, OSError) as error:  # a full disk, a home that is gone: it may come back
                _log.warning("the queue can't be read: %s", error)
                self._closing.wait(RETRY)
            self._closing.wait(0.01)  # A run that tells a lot must not keep this thread busy.
            self._wake.wait(LOOK)
            self._wake.clear()

    def _look(self) -> None:
        if time.monotonic() - self._tried >= RETRY:
            self._take_lanes()
        running = [now for lane in self._lanes.values() if (now := lane.now) is not None]
        if running:
            stopping = self._queue.claims.stopping()
            for now in running:
                if now.run in stopping:
                    now.cancel.set()
        for lane in self._lanes.values():
            if lane.lock is not None and lane.now is None and not self._closing.is_set() and not self._is_over():
                record = self._queue.claims.take(lane.device)
                if record is not None:
                    lane.give(record)

    def _take_lanes(self) -> None:
        """Take what lanes are free, and give back what dead processes left on those and on all that nobody holds."""
        self._tried = time.monotonic()
        for lane in self._lanes.values():
            lane.take()
        for device in self._queue.claims.running_elsewhere(self._lanes):
            lock = FolderLock.take(self._folder(device))
            if lock is not None:
                try:
                    self._queue.claims.adopt(device)
                finally:
                    lock.release()

    def _is_over(self) -> bool:
        try:
            return self._until is not None and self._queue.get(self._until).ended_for_good
        except BadInput:  # It has been removed.
            return True

    def _folder(self, device: str) -> str:
        return os.path.join(self._home, "lanes", device.replace(":", "-"))


class _Lane:
    """One device of this process: its lock while it is held, its thread, its executor, and the run at hand."""

    def __init__(self, device: str, lanes: Lanes) -> None:
        self.device = device
        self.lanes = lanes
        self.lock: FolderLock | None = None
        self.now: InHand | None = None
        self.executor: Executor | None = None
        self._line: SimpleQueue[InHand | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Take the lane if it is free, and give back what a dead process left on it."""
        if self.lock is not None:
            return
        lock = FolderLock.take(self.lanes._folder(self.device))
        if lock is None:
            return
        try:
            self.lanes._queue.claims.adopt(self.device)
        except BaseException:
            lock.release()
            raise
        self.lock = lock
        self._thread = threading.Thread(target=self._serve, name=f"loragraph-lane-{self.device}", daemon=True)
        self._thread.start()

    def give(self, record: RunRecord) -> None:
        """Hand a run to the thread."""
        self.now = InHand(record)
        self._line.put(self.now)

    def stop(self) -> None:
        """Let the run at hand be the last, and cancel it."""
        now = self.now
        if now is not None:
            now.requeue = self.lanes._requeue
            now.cancel.set()
        self._line.put(None)

    def join(self) -> None:
        """Wait until the run at hand has stopped; then end the executor, and let go of the lane."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.executor is not None:
            self.executor.close()
            self.executor = None
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def _serve(self) -> None:
        while (now := self._line.get()) is not None:
            self._settle(now, self._attempt(now))
            self.now = None
            self.lanes._wake.set()

    def _attempt(self, now: InHand) -> End:
        """Run it; whatever goes wrong is how it ended."""
        lanes = self.lanes
        try:
            if self.executor is None:
                self.executor = lanes._make_executor(self.device)
            return attempt(now, lanes._queue, lanes._registry, lanes._home, self.executor)
        except BaseException as error:  # also what a listener, an executor or a SystemExit of theirs throws
            _log.exception("the run %s failed outside its nodes", now.run)
            return End("failed", 0.0, f"{type(error).__name__}: {error}".rstrip(": "))

    def _settle(self, now: InHand, end: End) -> None:
        """Write how the run ended; while the disk refuses, try again, until the lanes close."""
        claims = self.lanes._queue.claims
        while True:
            try:
                if now.requeue and end.status == "cancelled":
                    claims.give_back(now.run)
                else:
                    given: dict[str, Any] = {"error": end.error, "bad_input": end.bad_input}
                    claims.end(now.run, end.status, seconds=end.seconds, **given)
                return
            except sqlite3.Error as error:
                _log.warning("the end of the run %s can't be written: %s", now.run, error)
                if self.lanes._closing.wait(RETRY):
                    return  # It is said to run still, so the next who holds this lane resumes it.
