"""A run's events as they come, from any number on, until it has ended: for a page, a reloaded page, and programs.

    async for part in follow(queue, run, after=0):
        part["events"], part["run"]        # what is new (maybe nothing), and how the run stands

A change that this process makes wakes its followers at once: the queue's callback, on the thread that wrote, sets the
follower's own flag in its event loop. What other processes write is found by looking again. A follower holds no thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from ..graph_runtime.events import Event
from ..graph_runtime.rows import Row
from ..graph_runtime.run_queue import RunQueue, RunRecord
from .runs import as_dict

AGAIN = 0.2
"""Seconds between two looks for what another process has written."""

QUIET = 15.0
"""After so many seconds without news the run is told again: it keeps the connection, and finds out who has left."""

MOST = 2000
"""Events in one part."""


async def follow(queue: RunQueue, run: str, after: int = 0) -> AsyncIterator[dict[str, Any]]:
    """Yield {"events": [...], "run": {...}}, first at once, last when the run has ended; BadInput for no such run."""
    async for events, record in news(queue, run, after):
        yield {"events": [event.to_dict() for event in events], "run": as_dict(record)}


async def news(queue: RunQueue, run: str, after: int = 0) -> AsyncIterator[tuple[list[Event], RunRecord]]:
    """Yield (new events, record) whenever one of them has changed, until the run has ended and all is told."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()

    def heard(which: str) -> None:
        if which == run and not loop.is_closed():
            loop.call_soon_threadsafe(changed.set)

    def look() -> tuple[RunRecord, list[Event]]:
        # The record first: what it says of the end is then never ahead of the events.
        return queue.get(run), queue.events(run, after, MOST)

    stop = queue.listen(heard)
    told: RunRecord | None = None
    quiet = 0.0
    try:
        while True:
            changed.clear()
            record, events = await asyncio.to_thread(look)
            if events or record != told or quiet >= QUIET:
                yield events, record
                told, quiet = record, 0.0
            if events:
                after = events[-1].seq
                continue
            if record.ended_for_good:
                return
            try:
                await asyncio.wait_for(changed.wait(), AGAIN)
            except TimeoutError:
                quiet += AGAIN
    finally:
        stop()


class Progress:
    """A run summed up for a program, part by part: `take` each one, `told` is the sum."""

    def __init__(self, nodes: dict[str, str]) -> None:
        self.rows = {node: Row(type_name) for node, type_name in nodes.items()}
        self.failures: dict[str, str] = {}

    def take(self, events: list[Event]) -> None:
        """Take note of new events."""
        for event in events:
            row = self.rows.get(event.node or "")
            if row is not None:
                row.take(event)
            if event.kind == "node_failed" and event.node is not None:
                self.failures[event.node] = str(event.data.get("message", ""))

    def told(self, record: RunRecord, files: list[str]) -> dict[str, Any]:
        """Return the run as JSON-able data; `seconds` since it began, 0 while it waits."""
        begun, ended = record.started, record.ended or time.time()
        return {
            "run": record.id,
            "status": record.status,
            "seconds": 0.0 if begun is None else ended - begun,
            "nodes": {
                node: {"type": row.type, "state": row.state, "step": row.step, "total": row.total, "note": row.note}
                for node, row in self.rows.items()
            },
            "failures": self.failures,
            "error": record.error,
            "files": files,
        }
