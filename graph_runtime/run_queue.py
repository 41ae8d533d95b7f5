"""The runs that wait, go on, and are over: kept on disk, and shared by every process that uses the same home.

    queue = RunQueue(home)
    record = queue.submit(document, name="teach_a_style", out=Path("out/teach_a_style"))
    while queue.wait(record.id, after, timeout=1.0):
        for event in queue.events(record.id, after): ...
    queue.close()

The queue only keeps; `lanes.Lanes` runs what waits in it, in this process or another. What is asked of a run that
another process runs (a cancel) is written down, and its lane sees it soon.

Every method raises BadInput for a run that isn't there or can't be changed as asked, and sqlite3.Error where the disk
refuses.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from .document import Document
from .errors import BadInput
from .events import Event
from .run_claims import SELECT, Claims, finish, front_position
from .run_history import curves_of, events_of, results_of
from .run_journal import Journal
from .run_record import COLUMNS, ENDED, RunRecord, Status, from_row, to_row
from .run_requests import checked_id, checked_text, checked_wanted, missing, new_id
from .run_store import RunStore, changed

__all__ = ["RunQueue", "RunRecord", "Status"]

LONGEST = 300
"""Characters of a name or title that the record keeps: whoever lists the queue gets those of all runs."""

POLL = 0.1
"""Seconds between two looks for what another process has written."""

_ORDER = (
    " ORDER BY CASE status WHEN 'running' THEN 0 WHEN 'waiting' THEN 1 ELSE 2 END,"
    " CASE status WHEN 'running' THEN started WHEN 'waiting' THEN position ELSE -ended END,"
    " CASE WHEN status IN ('running', 'waiting') THEN number ELSE -number END"
)
_INSERT = f"INSERT INTO runs ({', '.join(COLUMNS)}, text) VALUES ({', '.join('?' * len(COLUMNS))}, ?)"
_IS_OVER = f"status IN ({', '.join(map(repr, ENDED))})"

# The method `list` hides the built-in name from the annotations after it.
_Records: TypeAlias = list[RunRecord]
_Events: TypeAlias = list[Event]
_Curve: TypeAlias = list[tuple[int, float]]
_Ids: TypeAlias = list[str]


class RunQueue:
    """The queue under one home. Any number of threads and processes may use it at once."""

    def __init__(self, home: Path) -> None:
        self.home = Path(home).absolute()
        self._store = RunStore(self.home)
        self._news = threading.Condition()
        self._count = 0
        self._listeners: list[Callable[[str], None]] = []
        self._journal = Journal(self._store, self._tell)
        self.claims = Claims(self._store, self._journal, self._tell)
        """For lanes: taking, telling and ending runs."""

    def submit(
        self,
        document: Document,
        *,
        name: str,
        out: Path,
        wanted: Iterable[str] | None = None,
        front: bool = False,
        run_id: str | None = None,
    ) -> RunRecord:
        """Put a run at the end of the queue, or at its front; the document has been checked (`document.load`).

        Raises DocumentError where a wanted node isn't there or is muted, BadInput for an id that is taken or is none.
        """
        record = RunRecord(
            id=new_id() if run_id is None else checked_id(run_id),
            name=name[:LONGEST],
            title=document.title[:LONGEST],
            status="waiting",
            position=0.0,
            created=time.time(),
            started=None,
            ended=None,
            out=str(Path(out).absolute()),
            path=None if document.path is None else str(document.path.absolute()),
            wanted=checked_wanted(document, wanted),
            device=None,
            attempt=1,
            error="",
            nodes=len(document.nodes),
            finished=0,
            last_seq=0,
            stopping=False,
            rerun_of=None,
            bad_input=False,
        )
        return self._enter(record, checked_text(document), front)

    def get(self, run: str) -> RunRecord:
        """Return the record of a run."""
        rows = self._store.read(f"{SELECT} WHERE id = ?", (run,))
        if not rows:
            raise missing(run, self._ids())
        return from_row(rows[0])

    def find(self, text: str) -> RunRecord:
        """Return the run whose id begins with `text`, or whose id's last part does: "20250101-120000-ab12cd" by "ab1".

        Raises BadInput where there is none, and where there are several.
        """
        ids = self._ids()
        found = [run for run in ids if run == text] or [
            run for run in ids if text and (run.startswith(text) or run.rpartition("-")[2].startswith(text))
        ]
        if len(found) > 1:
            some = ", ".join(found[:6])
            raise BadInput(f'"{text}" is the beginning of {len(found)} runs ({some}). Write more of it.', "run", text)
        if not found:
            raise missing(text, ids)
        return self.get(found[0])

    def text(self, run: str) -> str:
        """Return the document's text."""
        rows = self._store.read("SELECT text FROM runs WHERE id = ?", (run,))
        if not rows:
            raise missing(run, self._ids())
        return str(rows[0][0])

    def list(self, *, status: Collection[Status] | None = None, limit: int = 100, offset: int = 0) -> _Records:
        """Return records: what runs, then what waits in its order, then what has ended, newest first."""
        where = "" if status is None else f" WHERE status IN ({', '.join('?' * len(status))})"
        rows = self._store.read(f"{SELECT}{where}{_ORDER} LIMIT ? OFFSET ?", (*(status or ()), limit, offset))
        return [from_row(row) for row in rows]

    def cancel(self, run: str) -> RunRecord:
        """End a run that waits, at once; ask one that runs to stop; leave one that has ended as it is."""
        with self._store.change() as connection:
            record = self._one(connection, run)
            if record.status == "waiting":
                finish(connection, record, "cancelled")
            elif record.status == "running" and not record.stopping:
                connection.execute("UPDATE runs SET stopping = 1 WHERE id = ?", (run,))
                changed(connection)
            else:
                return record
            record = self._one(connection, run)
        self._tell(run)
        return record

    def move(self, run: str, place: int) -> RunRecord:
        """Give a waiting run another place among the waiting: 0 is next; a place beyond the end is the end."""
        with self._store.change() as connection:
            record = self._one(connection, run)
            if record.status != "waiting":
                said = f"the run {run} doesn't wait any more (it is {record.status}); only what waits can be moved."
                raise BadInput(said, "run", run)
            rows = connection.execute("SELECT id FROM runs WHERE status = 'waiting' ORDER BY position, number")
            order = [other for (other,) in rows if other != run]
            order.insert(max(0, place), run)
            places = [(float(position), other) for position, other in enumerate(order)]
            connection.executemany("UPDATE runs SET position = ? WHERE id = ?", places)
            changed(connection)
            record = self._one(connection, run)
        self._tell(run)
        return record

    def rerun(self, run: str, front: bool = False) -> RunRecord:
        """Put a new run with the same text, name, folder and wanted nodes into the queue."""
        record = replace(
            self.get(run),
            id=new_id(),
            status="waiting",
            created=time.time(),
            started=None,
            ended=None,
            device=None,
            attempt=1,
            error="",
            finished=0,
            last_seq=0,
            stopping=False,
            rerun_of=run,
            bad_input=False,
            deaths=0,
        )
        return self._enter(record, self.text(run), front)

    def remove(self, *runs: str) -> int:
        """Remove runs that have ended, with their events and previews; returns how many.

        Raises BadInput, and removes nothing, where one isn't there or hasn't ended.
        """
        chosen = dict.fromkeys(runs)
        with self._store.change() as connection:
            for run in chosen:
                status = self._one(connection, run).status
                if status not in ENDED:
                    raise BadInput(f"the run {run} is {status}; cancel it before you remove it.", "run", run)
            self._drop(connection, chosen)
        self._dropped(chosen)
        return len(chosen)

    def clean(self, *, keep: int = 100, older_than: float | None = None) -> int:
        """Remove ended runs beyond the newest `keep`; with `older_than`, only those that ended so many seconds ago."""
        latest = time.time() - (older_than or 0.0)
        with self._store.change() as connection:
            rows = connection.execute(f"SELECT id, ended FROM runs WHERE {_IS_OVER} ORDER BY ended DESC, number DESC")
            old = [run for run, ended in rows.fetchall()[max(0, keep) :] if older_than is None or ended <= latest]
            self._drop(connection, old)
        self._dropped(old)
        return len(old)

    def events(self, run: str, after: int = 0, limit: int | None = None) -> _Events:
        """Return the run's events with a number beyond `after`, in order, at most `limit` of them."""
        found = events_of(self._store, run, after, limit)
        if not found:
            self.get(run)
        return found

    def wait(self, run: str, after: int, timeout: float) -> bool:
        """Wait until there is an event beyond `after` or the run has ended; False where `timeout` seconds passed.

        What this process writes is heard at once, what another writes within about a tenth of a second.
        """
        until = time.monotonic() + timeout
        while True:
            with self._news:
                seen = self._count
            rows = self._store.read(f"SELECT last_seq > ? OR {_IS_OVER} FROM runs WHERE id = ?", (after, run))
            if not rows:
                raise missing(run, self._ids())
            if rows[0][0]:
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            with self._news:
                if self._count == seen:
                    self._news.wait(min(POLL, left))

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(run id)` after every change that this process makes; returns what ends that.

        It is called on the thread that wrote, so it must be quick. What it raises is logged, and goes no further.
        """
        with self._news:
            self._listeners.append(callback)

        def stop() -> None:
            with self._news, suppress(ValueError):
                self._listeners.remove(callback)

        return stop

    def revision(self) -> int:
        """Return a number that changes whenever a record changed, whoever did it; an event alone changes none."""
        return int(self._store.read("SELECT value FROM counters WHERE name = 'revision'")[0][0])

    def results(self, run: str) -> dict[str, tuple[str, str]]:
        """Return {node: (how it ended, key)} of the nodes that have ended; "" is the key of what has none."""
        found = results_of(self._store, run)
        if not found:
            self.get(run)
        return found

    def metrics_of(self, key: str) -> dict[str, _Curve]:
        """Return the curves, {"loss": [(1, 0.9)]}, of the latest run in which the node with this key really ran."""
        return curves_of(self._store, key)

    def previews(self, run: str) -> Path:
        """Return the folder of the run's preview pictures; it need not be there."""
        return self.home / "previews" / checked_id(run)

    def close(self) -> None:
        """Write what was told, and close the file."""
        self._journal.close()
        self._store.close()

    def _enter(self, record: RunRecord, text: str, front: bool) -> RunRecord:
        with self._store.change() as connection:
            if front:
                position = front_position(connection)
            else:
                (last,) = connection.execute("SELECT max(position) FROM runs WHERE status = 'waiting'").fetchone()
                position = 0.0 if last is None else last + 1
            record = replace(record, position=position)
            try:
                connection.execute(_INSERT, (*to_row(record), text))
            except sqlite3.IntegrityError as error:
                raise BadInput(f"there is a run {record.id} already; choose another id.", "run", record.id) from error
            changed(connection)
        self._tell(record.id)
        return record

    def _one(self, connection: sqlite3.Connection, run: str) -> RunRecord:
        row = connection.execute(f"{SELECT} WHERE id = ?", (run,)).fetchone()
        if row is None:
            raise missing(run, self._ids())
        return from_row(row)

    def _ids(self) -> _Ids:
        return [run for (run,) in self._store.read("SELECT id FROM runs ORDER BY number")]

    def _drop(self, connection: sqlite3.Connection, runs: Collection[str]) -> None:
        connection.executemany("DELETE FROM events WHERE run = ?", [(run,) for run in runs])
        connection.executemany("DELETE FROM runs WHERE id = ?", [(run,) for run in runs])
        if runs:
            changed(connection)

    def _dropped(self, runs: Collection[str]) -> None:
        for run in runs:
            shutil.rmtree(self.previews(run), ignore_errors=True)
            self._tell(run)

    def _tell(self, run: str) -> None:
        """Wake who waits, and call who listens."""
        with self._news:
            self._count += 1
            self._news.notify_all()
            listeners = tuple(self._listeners)
        for callback in listeners:
            try:
                callback(run)
            except Exception:
                logging.getLogger("loragraph.queue").exception("a listener of the run queue failed")
