"""What the events of runs tell afterwards: the events themselves, how nodes ended, and curves."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping

from .events import Event
from .rows import ENDS
from .run_store import RunStore

_LASTS = ", ".join(f"'{kind}'" for kind in ENDS)


def events_of(store: RunStore, run: str, after: int, limit: int | None) -> list[Event]:
    """Return the events of a run beyond the number `after`, in order."""
    rows = store.read(
        "SELECT seq, time, kind, node, data FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
        (run, after, -1 if limit is None else limit),
    )
    return [Event(seq, at, run, kind, node, json.loads(data)) for seq, at, kind, node, data in rows]


def results_of(store: RunStore, run: str) -> dict[str, tuple[str, str]]:
    """Return {node: (how it ended, key)} by each node's last end; "" is the key of what failed or was skipped."""
    rows = store.read(
        f"SELECT node, kind, key FROM events WHERE run = ? AND kind IN ({_LASTS}) ORDER BY seq",
        (run,),
    )
    return {node: (ENDS[kind], key or "") for node, kind, key in rows}


def finished_of(results: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return {node: key} of the nodes that need not run again when the same run goes on."""
    return {node: key for node, (ended, key) in results.items() if ended in ("done", "cached") and key}


def reached(connection: sqlite3.Connection, run: str, attempt: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return how far nodes came before an attempt, and in it: {node: its highest step, infinity once it was done}."""
    began = _began(connection, run, attempt)
    rows = connection.execute(
        "SELECT node, seq < :began, max(CASE kind WHEN 'node_done' THEN 9e999 ELSE json_extract(data, '$.step') END)"
        " FROM events WHERE run = :run AND kind IN ('node_progress', 'node_done') GROUP BY 1, 2",
        {"began": began, "run": run},
    )
    before: dict[str, float] = {}
    now: dict[str, float] = {}
    for node, earlier, step in rows:
        (before if earlier else now)[node] = step or 0.0
    return before, now


def at_work(connection: sqlite3.Connection, run: str, attempt: int) -> list[str]:
    """Return the nodes that had begun in an attempt, and not ended."""
    rows = connection.execute(
        f"SELECT node, kind FROM events WHERE run = ? AND seq > ? AND kind IN ('node_started', {_LASTS}) ORDER BY seq",
        (run, _began(connection, run, attempt)),
    )
    last = dict(rows.fetchall())
    return [node for node, kind in last.items() if kind == "node_started"]


def _began(connection: sqlite3.Connection, run: str, attempt: int) -> float:
    """Return the number of the attempt's `run_started`; infinity where it died before that."""
    (seq,) = connection.execute(
        "SELECT max(seq) FROM events WHERE run = ? AND kind = 'run_started' AND json_extract(data, '$.attempt') = ?",
        (run, attempt),
    ).fetchone()
    return math.inf if seq is None else float(seq)


def curves_of(store: RunStore, key: str) -> dict[str, list[tuple[int, float]]]:
    """Return {metric: [(step, value), ...]} of the latest run in which the node with this key ran to its end.

    Where a run was resumed and told a step twice, the later one counts.
    """
    rows = store.read(
        "SELECT run, node FROM events WHERE key = ? AND kind = 'node_done' ORDER BY time DESC LIMIT 1", (key,)
    )
    if not rows:
        return {}
    told = store.read(
        "SELECT data FROM events WHERE run = ? AND node = ? AND kind = 'node_metric' ORDER BY seq", rows[0]
    )
    found: dict[str, dict[int, float]] = {}
    for (text,) in told:
        data = json.loads(text)
        if data.get("value") is not None:  # nan and infinity
            found.setdefault(str(data.get("name")), {})[int(data.get("step", 0))] = float(data["value"])
    return {name: sorted(points.items()) for name, points in found.items()}
