"""Writes the events of runs into the queue's file, so that whoever runs them never waits for the disk.

`append` only puts an event in line; a thread takes what is in line, commits it as one change, and tells whoever
listens. While the disk is slow the line grows and the next change is a larger one; while nothing can be written
(a full disk) it is tried again. Events of a run are written in the order of their numbers.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from .events import Event, finite
from .rows import ENDS
from .run_store import RunStore, changed

RETRY = 0.5
"""Seconds between two tries to write what could not be written."""

GATHER = 0.003
"""Seconds between two changes, in which events gather: one change for each of them would slow the run down."""

_LARGEST = 5000
"""So many events are written in one change at most, so that readers hear something meanwhile."""


class Journal:
    """The line of events and the thread that writes it; `told` is called with each run after its events are there."""

    def __init__(self, store: RunStore, told: Callable[[str], None]) -> None:
        self._store = store
        self._told = told
        self._line: deque[Event] = deque()
        self._news = threading.Condition()
        self._appended = 0
        self._written = 0
        self._failure: sqlite3.Error | None = None
        self._closed = False
        self._ended = False
        self._thread: threading.Thread | None = None

    def append(self, event: Event) -> None:
        """Put an event in line."""
        with self._news:
            self._line.append(event)
            self._appended += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="loragraph-journal", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def flush(self) -> None:
        """Wait until everything that is in line now has been written; raises sqlite3.Error where that fails."""
        with self._news:
            until = self._appended
            while self._written < until:
                if self._failure is not None:
                    raise self._failure
                if self._ended:
                    raise sqlite3.ProgrammingError("the run queue is closed")
                self._news.wait()

    def close(self) -> None:
        """Write what is in line, if that is possible, and end the thread."""
        with self._news:
            self._closed = True
            thread = self._thread
            self._news.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _serve(self) -> None:
        try:
            self._write_all()
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _write_all(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: bool(self._line) or self._closed)
                if not self._line:
                    return
                batch = [self._line.popleft() for _ in range(min(len(self._line), _LARGEST))]
            if not self._write(batch):
                return
            with self._news:
                self._written += len(batch)
                self._news.notify_all()
            for run in dict.fromkeys(event.run for event in batch):
                self._told(run)
            time.sleep(GATHER)

    def _write(self, batch: list[Event]) -> bool:
        """Write the batch, however long that takes; False where that did not come to pass before the end."""
        while True:
            try:
                with self._store.change() as connection:
                    insert(connection, batch)
            except sqlite3.Error as error:
                with self._news:
                    if self._failure is None:
                        logging.getLogger("loragraph.queue").error("events can't be written: %s", error)
                    self._failure = error
                    self._news.notify_all()
                    if self._closed or self._news.wait_for(lambda: self._closed, RETRY):
                        return False
            else:
                self._failure = None
                return True


def insert(connection: sqlite3.Connection, batch: Sequence[Event]) -> None:
    """Add events, and bring the records of their runs up to date; part of a change."""
    connection.executemany(
        "INSERT OR IGNORE INTO events (run, seq, time, kind, node, key, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (event.run, event.seq, event.time, event.kind, event.node, event.data.get("key"), _text(event))
            for event in batch
        ],
    )
    records = False
    for run in dict.fromkeys(event.run for event in batch):
        mine = [event for event in batch if event.run == run]
        connection.execute("UPDATE runs SET last_seq = max(last_seq, ?) WHERE id = ?", (mine[-1].seq, run))
        starts = [index for index, event in enumerate(mine) if event.kind == "run_started"]
        if starts:
            nodes = int(mine[starts[-1]].data.get("nodes", 0))
            connection.execute("UPDATE runs SET nodes = ?, finished = 0 WHERE id = ?", (nodes, run))
            mine = mine[starts[-1] :]
        ended = sum(event.kind in ENDS for event in mine)
        if ended:
            connection.execute("UPDATE runs SET finished = finished + ? WHERE id = ?", (ended, run))
        records = records or bool(starts) or ended > 0
    if records:
        changed(connection)


def _text(event: Event) -> str:
    # ASCII: what a node logs may hold half characters, which SQLite refuses.
    return json.dumps(finite(event.data), ensure_ascii=True, allow_nan=False, default=str)
