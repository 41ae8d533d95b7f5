"""`loragraph run --queue`: put a run into the queue, work the queue if nobody does, and show the run until it ends."""

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..graph_runtime.keys import map_paths
from ..graph_runtime.lanes import Lanes
from ..graph_runtime.markers import Kind
from ..graph_runtime.run_queue import RunQueue, RunRecord
from ..graph_runtime.sources import SourceError, resolve
from ..graph_runtime.store import default_home
from .common import CANCELLED, DONE, FAILED, WRONG, complain
from .interrupts import interruptible
from .result_tables import show_tables
from .running import Failures, check_devices, display_for, executor_on, files_in, first_device, summarize, usable

if TYPE_CHECKING:
    from ..graph_runtime.document import Document
    from ..graph_runtime.registry import Registry
    from .progress import Display

LOOK = 0.2
"""Seconds between two looks at Ctrl-C while nothing happens."""

CANCELLING = b"""
cancelling this run; press Ctrl-C again to leave at once
"""


def run_queued(
    document: "Document",
    registry: "Registry",
    *,
    name: str,
    out: Path,
    home: Path | None,
    jsonl: bool,
    devices: tuple[str, ...],
    in_process: bool,
    front: bool,
) -> int:
    """Put the workflow into the queue and follow it to its end; return the exit code.

    Raises BadInput where a folder can't be used, DocumentError where the workflow can't be run as it is.
    """
    out, home = out.absolute(), (home or default_home()).absolute()
    usable(out, "--out")
    usable(home, "--home")
    devices = devices or (first_device(),)
    check_devices(devices)
    before = files_in(out)
    display = display_for(document, registry, jsonl)
    queue = RunQueue(home)
    try:
        run = queue.submit(from_anywhere(document, registry), name=name, out=out, front=front).id
        make = partial(_executor, in_process)
        lanes = Lanes(queue, registry, home=home, devices=devices, executor=make, until=run)
        try:
            asked = threading.Event()
            with interruptible(asked, lanes.pids, CANCELLING):
                if not lanes.start():
                    complain(f"{run} waits in the queue, which another process works on {', '.join(devices)}")
                failures = Failures()
                record = _follow(queue, run, display, failures, asked)
        finally:
            lanes.close()
        failures.explain()
        if record.error and not failures:
            complain(record.error)
        results = queue.results(run)
        show_tables(document, registry, results, run=run, home=home, jsonl=jsonl)
        states = [ended for ended, _ in results.values()]
        seconds = (record.ended or 0.0) - (record.started or record.ended or 0.0)
        summarize(record.status, seconds, states, sorted(files_in(out) - before), out)
    finally:
        queue.close()
    return exit_code(record)


def exit_code(record: RunRecord) -> int:
    """Return the exit code for how a run ended."""
    if record.status == "failed":
        return WRONG if record.bad_input else FAILED
    return DONE if record.status == "done" else CANCELLED


def from_anywhere(document: "Document", registry: "Registry") -> "Document":
    """Return the document with those paths made absolute that are found from the current folder only.

    Whoever runs it may stand in another folder.
    """
    here = Path.cwd()

    def absolute(kind: Kind, text: str) -> str:
        try:
            found = resolve(text, kind, document.folder)
        except SourceError:
            return text
        beside = here if document.folder is None else document.folder
        return str(found) if found == here / text and beside != here else text

    nodes = {}
    for node, spec in document.nodes.items():
        node_type = registry.find(spec.type)
        settings = dict(spec.settings)
        for name, kind in ({} if node_type is None else node_type.reads).items():
            if name in settings:
                settings[name] = map_paths(settings[name], partial(absolute, kind))
        nodes[node] = spec if settings == spec.settings else replace(spec, settings=settings)
    return replace(document, nodes=nodes)


def _executor(in_process: bool, device: str) -> Any:
    return executor_on((device,), in_process)


def _follow(queue: RunQueue, run: str, display: "Display", failures: "Failures", asked: threading.Event) -> RunRecord:
    """Show a run's events until it has ended, whoever runs it; pass a Ctrl-C on as a cancel."""
    seen = 0
    told = False
    with display:
        while True:
            queue.wait(run, seen, LOOK)
            for event in queue.events(run, seen, limit=1000):
                seen = event.seq
                failures.take(event)
                display.on_event(event)
            record = queue.get(run)
            if record.ended_for_good and seen >= record.last_seq:
                return record
            if asked.is_set() and not told:
                told = True
                queue.cancel(run)
