"""All pictures that past runs have made and the store still has, newest first, with the settings that made each.

    Gallery(queue, store).page(0)
    # {"items": [{"path", "caption", "settings", "run", "title", ...}], "more": True, "covers": {run: path}}

A picture that several runs have in common (a result that was found in the store) is told once, with the newest of them;
`covers` has the first picture of each run that was looked at all the same.
What was read of a run that has ended is remembered, since it doesn't change.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..graph_runtime.run_queue import RunQueue, RunRecord
from ..graph_runtime.store import Store
from ..graph_runtime.values import Images
from .results import ENDED_WELL, outputs_of
from .views import picture_shown

PAGE = 60
"""Pictures in one answer."""

RUNS = 500
"""Runs that are read from the queue at a time; it sorts all of them for each answer."""

REMEMBERED = 50_000
"""So many runs are remembered at most: many of them are removed while a server goes on."""


class Gallery:
    """The pictures of one queue's runs."""

    def __init__(self, queue: RunQueue, store: Store) -> None:
        self._queue = queue
        self._store = store
        self._made = str(Path(store.home) / "store")
        self._known: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def page(self, offset: int) -> dict[str, Any]:
        """Return the pictures from number `offset` (0 is the newest) on, and whether there are more."""
        items: list[dict[str, Any]] = []
        seen: set[str] = set()
        covers: dict[str, str] = {}
        for item in self._all():
            if not Path(item["path"]).is_file():
                continue
            covers.setdefault(item["run"], item["path"])
            if item["path"] not in seen:
                seen.add(item["path"])
                if len(seen) > offset:
                    items.append(item)
                if len(items) > PAGE:
                    break
        return {"items": items[:PAGE], "more": len(items) > PAGE, "covers": covers}

    def _all(self) -> Iterator[dict[str, Any]]:
        offset = 0
        while records := self._queue.list(status=("done", "failed", "cancelled", "running"), limit=RUNS, offset=offset):
            for record in records:
                yield from self._of(record)
            offset += RUNS

    def _of(self, record: RunRecord) -> list[dict[str, Any]]:
        with self._lock:
            known = self._known.get(record.id)
        if known is not None:
            return known
        found: list[dict[str, Any]] = []
        for node, (status, key) in self._queue.results(record.id).items():
            outputs = outputs_of(self._store, record.id, node, key) if status in ENDED_WELL and key else {}
            for value in outputs.values():
                if isinstance(value, Images):
                    time = record.ended or record.started or record.created
                    about = {"run": record.id, "title": record.title or record.name, "node": node, "time": time}
                    found += [
                        {**picture_shown(picture), **about}
                        for picture in value.items
                        if picture.file.path.startswith(self._made)
                    ]
        if record.ended_for_good:
            with self._lock:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[record.id] = found
        return found
