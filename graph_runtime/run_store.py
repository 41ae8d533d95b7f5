"""The file of the run queue: `home/runs.sqlite`, one table of runs and one of their events.

    runs      one row per run: the columns of `RunRecord`, and `text`, the document
    events    (run, seq) -> time, kind, node, data as JSON; `key` repeats the key that data names, for `metrics_of`
    counters  "revision": goes up with every change of a record

SQLite keeps it whole: a change is there in full or not at all, whatever is killed and whenever. In WAL mode nobody who
reads waits for one who writes. Two connections serve all threads of a process, one to read and one to write.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import BadInput
from .run_record import COLUMNS

FILE = "runs.sqlite"
VERSION = 2
PATIENCE = 15.0
"""Seconds to wait for another process that writes."""

_TABLES = (
    f"CREATE TABLE runs (number INTEGER PRIMARY KEY AUTOINCREMENT, {', '.join(COLUMNS)}, text TEXT, UNIQUE (id))",
    "CREATE INDEX runs_by_status ON runs (status, position)",
    "CREATE TABLE events (run TEXT, seq INTEGER, time REAL, kind TEXT, node TEXT, key TEXT, data TEXT,"
    " PRIMARY KEY (run, seq)) WITHOUT ROWID",
    "CREATE INDEX events_by_key ON events (key, time) WHERE kind = 'node_done'",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER)",
    "INSERT INTO counters VALUES ('revision', 0)",
)
_UPGRADES = {1: "ALTER TABLE runs ADD COLUMN deaths INTEGER DEFAULT 0"}
"""What each older version of the file lacks."""


class RunStore:
    """The opened file. Every method may be called from any thread; sqlite3.Error is passed on."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE
        try:
            home.mkdir(parents=True, exist_ok=True)
            self._writer = _open(self.path)
            try:
                self._make_tables()
                self._reader = _open(self.path)
            except BaseException:
                self._writer.close()
                raise
        except (OSError, sqlite3.Error) as error:
            said = f"the run queue {self.path} can't be opened: {error}."
            raise BadInput(f"{said} Choose another --home, or move that file away.") from error
        self._reading = threading.Lock()
        self._writing = threading.RLock()

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a query, as they were last committed."""
        with self._reading:
            return self._reader.execute(sql, values).fetchall()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one change, which is kept if the block ends well and undone if it raises.

        Nobody else changes anything meanwhile, so what is read inside still holds when it is committed.
        """
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have undone it already
                    self._writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close both connections."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def _make_tables(self) -> None:
        connection = self._writer
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if not 0 <= version <= VERSION:
                raise sqlite3.DatabaseError("it was made by a newer LoRAGraph")
            for statement in _TABLES if version == 0 else [_UPGRADES[old] for old in range(version, VERSION)]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def changed(connection: sqlite3.Connection) -> None:
    """Count a change of a record; part of that change."""
    connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'revision'")


def _open(path: Path) -> sqlite3.Connection:
    # Transactions are written out (isolation_level=None), so that reading never opens one by itself.
    connection = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False, isolation_level=None)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                break
            except sqlite3.OperationalError as error:
                # Two processes that make the file at once: here SQLite doesn't wait by itself.
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.02)
        connection.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection
