"""What there is to show of a node that has ended: its values as pictures, cards and facts, its curves, its files.

    results(queue, store, record)    # {"sample": [{"kind": "pictures", "name": "images", "items": [...], "count": 20}]}

The values come from the store, where they lie under the key that the run's events name; a node without outputs shows
the files that it saved. What is gone from the disk by now is left out.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..graph_runtime.keys import Work
from ..graph_runtime.run_queue import RunQueue, RunRecord
from ..graph_runtime.run_state import address
from ..graph_runtime.store import Store
from ..graph_runtime.values import Value
from .saved import saved
from .views import files_shown, view_of

ENDED_WELL = ("done", "cached")


def results(queue: RunQueue, store: Store, record: RunRecord, nodes: Collection[str] | None = None) -> dict[str, Any]:
    """Return {node: [ResultView]} of the nodes (default: all) that have ended well in a run so far."""
    ended = queue.results(record.id)
    chosen = {node: end for node, end in ended.items() if nodes is None or node in nodes}
    found: dict[str, list[dict[str, Any]]] = {}
    savers = []
    for node, (status, key) in chosen.items():
        if status not in ENDED_WELL or not key:
            continue
        outputs = outputs_of(store, record.id, node, key)
        views = _told_once([view_of(name, value) for name, value in outputs.items()])
        curves = queue.metrics_of(key)
        if curves:
            views.append({"kind": "chart", "name": "curves", "curves": curves})
        if not outputs:
            savers.append(node)  # "cached" too: one that had finished before its run was resumed
        found[node] = views
    if savers:
        for node, files in saved(queue.events(record.id), Path(record.out), savers).items():
            found[node] += files_shown(files)
    return {node: views for node, views in found.items() if views}


def _told_once(views: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out pictures that another output of the node has as well, such as a data set's and its images."""
    told: list[list[str]] = []
    kept = []
    for view in views:
        paths = [item["path"] for item in view.get("items", ())]
        if not paths or paths not in told:
            kept.append(view)
            told.append(paths)
    return kept


def outputs_of(store: Store, run: str, node: str, key: str) -> dict[str, Value]:
    """Return a node's values, of one that is never looked up too; {} where they are gone."""
    found = store.lookup(key)
    if found is None:
        found = store.lookup(address(Work(key, {}, cache=False), run, node))
    return found or {}


def saved_files(queue: RunQueue, record: RunRecord) -> list[str]:
    """Return the paths of all files that a run has saved into its output folder."""
    ended = queue.results(record.id)
    savers = [node for node, (how, _) in ended.items() if how in ENDED_WELL]
    files = saved(queue.events(record.id), Path(record.out), savers)
    return sorted({str(path) for paths in files.values() for path in paths})


def named_pictures(found: dict[str, list[dict[str, Any]]]) -> set[str]:
    """Return the paths of all pictures and videos in some results."""
    views = [view for of_node in found.values() for view in of_node]
    return {item["path"] for view in views for item in (*view.get("items", ()), *view.get("pictures", ()))}
