"""The lane's side of the run queue: taking runs, telling how they go, ending them, and giving them back.

    claims = queue.claims
    record = claims.take("cpu")               # the next waiting run, now running on this lane; None where none waits
    claims.tell(event)                        # written soon, in order
    claims.end(record.id, "done", seconds=3)  # after all its events; or claims.give_back(record.id)
    claims.adopt("cpu")                       # what a dead process left running on a lane whose lock is held here

A run that was orphaned DEATHS times in a row, and in none of those attempts got further than before (by a node that had
never ended, or a step that none had reached), takes its process down by itself, or so it seems: it fails.

A run's `run_done` event and its record's end are one change: whoever is killed between two changes leaves a run that is
either over, with all its events, or still "running", to be found by `adopt`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection

from .events import Event, writable
from .run_history import at_work, reached
from .run_journal import Journal, insert
from .run_record import COLUMNS, RunRecord, Status, from_row
from .run_store import RunStore, changed

DEATHS = 3

LONGEST = 10_000
"""Characters of an error that the record keeps: it is told whenever the queue is; the events have all of it."""

SELECT = f"SELECT {', '.join(COLUMNS)} FROM runs"


class Claims:
    """See the module. One per RunQueue."""

    def __init__(self, store: RunStore, journal: Journal, told: Callable[[str], None]) -> None:
        self._store = store
        self._journal = journal
        self._told = told

    def take(self, device: str) -> RunRecord | None:
        """Make the next waiting run a running one on this lane; no two lanes, wherever they are, get the same one."""
        if not self._store.read("SELECT 1 FROM runs WHERE status = 'waiting' LIMIT 1"):
            return None
        with self._store.change() as connection:  # where two saw it, only one finds it waiting still
            row = connection.execute(f"{SELECT} WHERE status = 'waiting' ORDER BY position, number LIMIT 1").fetchone()
            if row is None:
                return None
            run = from_row(row).id
            connection.execute(
                "UPDATE runs SET status = 'running', started = ?, device = ?, finished = 0 WHERE id = ?",
                (time.time(), device, run),
            )
            changed(connection)
            taken = from_row(connection.execute(f"{SELECT} WHERE id = ?", (run,)).fetchone())
        self._told(run)
        return taken

    def tell(self, event: Event) -> None:
        """Write an event of a running run soon."""
        self._journal.append(event)

    def flush(self) -> None:
        """Wait until all that was told is written."""
        self._journal.flush()

    def end(self, run: str, status: Status, *, seconds: float, error: str = "", bad_input: bool = False) -> None:
        """Write what was told of a running run, then its `run_done` event and its end."""
        self._journal.flush()
        with self._store.change() as connection:
            row = connection.execute(f"{SELECT} WHERE id = ? AND status = 'running'", (run,)).fetchone()
            if row is not None:
                finish(connection, from_row(row), status, seconds=seconds, error=error, bad_input=bad_input)
        self._told(run)

    def give_back(self, run: str) -> None:
        """Let a running run wait again, at the front, for its next attempt; one that was to be cancelled ends."""
        self._journal.flush()
        self._resume("id = ?", (run,), died=False)

    def adopt(self, device: str) -> list[str]:
        """Give back what is said to run on a lane, or fail it; only for whoever holds its lock. Returns the ids."""
        return self._resume("device = ?", (device,), died=True)

    def running_elsewhere(self, devices: Collection[str]) -> set[str]:
        """Return the lanes, other than `devices`, on which something is said to run."""
        rows = self._store.read("SELECT DISTINCT device FROM runs WHERE status = 'running'")
        return {device for (device,) in rows if device not in devices}

    def stopping(self) -> set[str]:
        """Return the running runs of which a cancel was asked."""
        return {run for (run,) in self._store.read("SELECT id FROM runs WHERE status = 'running' AND stopping = 1")}

    def _resume(self, which: str, values: tuple[str, ...], *, died: bool) -> list[str]:
        with self._store.change() as connection:
            sql = f"{SELECT} WHERE status = 'running' AND {which} ORDER BY started, number"
            found = [from_row(row) for row in connection.execute(sql, values)]
            again = []
            for record in found:
                deaths = _deaths(connection, record) if died else 0
                if record.stopping:
                    finish(connection, record, "cancelled")
                elif deaths >= DEATHS:
                    finish(connection, record, "failed", error=_deadly(connection, record))
                else:
                    again.append((record.id, deaths))
            front = front_position(connection)
            for index, (run, deaths) in enumerate(again):
                connection.execute(
                    "UPDATE runs SET status = 'waiting', position = ?, started = NULL, attempt = attempt + 1,"
                    " deaths = ? WHERE id = ?",
                    (front + index - len(again) + 1, deaths, run),
                )
            if found:
                changed(connection)
        for record in found:
            self._told(record.id)
        return [record.id for record in found]


def _deaths(connection: sqlite3.Connection, record: RunRecord) -> int:
    """Return how many attempts in a row, with the one that is over now, have died and got no further than before."""
    before, now = reached(connection, record.id, record.attempt)
    return 0 if any(step > before.get(node, 0) for node, step in now.items()) else record.deaths + 1


def _deadly(connection: sqlite3.Connection, record: RunRecord) -> str:
    nodes = at_work(connection, record.id, record.attempt)
    last = f", the last time at {' and '.join(nodes)}" if nodes else ""
    return (
        f"the process that ran it died {DEATHS} times and got no further{last}. It isn't tried again by itself: see"
        " that there is memory enough, or ask for less of it, and run it again."
    )


def front_position(connection: sqlite3.Connection) -> float:
    """Return a position before all that waits; part of a change."""
    (first,) = connection.execute("SELECT min(position) FROM runs WHERE status = 'waiting'").fetchone()
    return 0.0 if first is None else float(first) - 1


def finish(
    connection: sqlite3.Connection,
    record: RunRecord,
    status: Status,
    *,
    seconds: float = 0.0,
    error: str = "",
    bad_input: bool = False,
) -> None:
    """End a run, with its `run_done` event; part of a change."""
    error = writable(error) if len(error) <= LONGEST else f"{writable(error[:LONGEST])} …"
    (last,) = connection.execute("SELECT last_seq FROM runs WHERE id = ?", (record.id,)).fetchone()
    data = {"status": status, "seconds": seconds, **({"error": error} if error else {})}
    insert(connection, [Event(last + 1, time.time(), record.id, "run_done", None, data)])
    connection.execute(
        "UPDATE runs SET status = ?, ended = ?, error = ?, bad_input = ? WHERE id = ?",
        (status, time.time(), error, int(bad_input), record.id),
    )
    changed(connection)
