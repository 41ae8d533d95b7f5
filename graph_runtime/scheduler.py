"""Run a workflow: find what is known, run what is not, and tell what happens.

    result = run(document, registry, home=Path("~/.loragraph").expanduser(), out=Path("out"), on_event=print)
    result.status            # "done"
    result.nodes["grid"]     # NodeState(status="done", seconds=0.4, outputs={"images": Images(...)}, ...)

One thread, the caller's, holds the whole state (`run_state` has a worked example of it) and waits for news from the
executors in one inbox: (node, message) while a node runs, (node, future) when it ends. Light nodes run in threads of
this process, device nodes through an executor, one per device. Nothing else touches the state, so nothing is locked,
and `on_event` is always called on the caller's thread, in the order of the events' numbers.

    a node finishes   its outputs are committed to the store, its children have one parent less to wait for
    a node fails      its descendants are skipped, everything else goes on
    cancel is set     nothing new starts, what runs is asked to stop, staging folders are thrown away
"""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event as Flag
from typing import Any

from . import values
from .document import Document
from .errors import Cancelled
from .events import Event, Kind
from .executors.base import Executor, Job, Message
from .executors.in_process import InProcessExecutor
from .executors.workers import WorkerExecutor
from .fingerprints import Fingerprints
from .keys import Work, work
from .modes import effective
from .node import NodeType
from .plan import Plan, plan
from .registry import Registry
from .run_state import (
    Attempt,
    NodeState,
    Outputs,
    RunResult,
    Status,
    address,
    check_types,
    describe_failure,
    look_up,
    make_job,
)
from .store import Store

OnEvent = Callable[[Event], None]

POLL = 0.05
"""Seconds between two looks at the cancel flag, whether nothing happens or more than can be heard."""

THREADS = max(2, min(8, os.cpu_count() or 1))
"""So many light nodes run at a time."""


def run(
    document: Document,
    registry: Registry,
    *,
    home: Path,
    out: Path,
    executor: Executor | None = None,
    wanted: Iterable[str] | None = None,
    on_event: OnEvent | None = None,
    run_id: str | None = None,
    cancel: Flag | None = None,
    finished: Mapping[str, str] = {},
) -> RunResult:
    """Run the workflow and return how it ended; a failing node is a result, not an exception.

    `home` holds the store, `out` is where savers write. `executor` runs the device nodes and stays open (default: one
    worker process for the CPU, ended with the run). `wanted` names the nodes to get (default: all). Setting `cancel`
    from any thread or signal handler stops the run. Muted and bypassed nodes take no part (see `modes`).

    `finished` is for a run that was cut off and goes on under the same `run_id`: {node: key} of what ended well before,
    so that nodes which are never looked up (savers) don't run again.

    Raises DocumentError when the workflow can't be run as it is: nothing has been run then.
    """
    document = document.complete(registry)
    wanted = None if wanted is None else tuple(wanted)
    written, document = document, effective(document, registry, wanted)
    chosen = plan(document, registry, wanted)
    node_types = check_types(document, chosen, registry)
    with ExitStack() as stack:
        fingerprints = Fingerprints(home / "fingerprints.sqlite")
        stack.callback(fingerprints.close)
        jobs = work(document, chosen.order, registry, fingerprints)
        store = Store(home)
        stack.callback(store.close)
        store.clean_stale()
        light = InProcessExecutor(threads=THREADS)
        stack.callback(light.close)
        if executor is None:
            executor = WorkerExecutor()
            stack.callback(executor.close)
        executor.start()
        run_id = run_id or f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        going = _Run(document, chosen, node_types, jobs, store, light, executor, out, run_id, on_event)
        going.written, going.earlier = written, finished
        return going.to_its_end(cancel or Flag())


class _Run:
    """The state of one run and the steps that change it."""

    def __init__(
        self,
        document: Document,
        plan: Plan,
        node_types: dict[str, NodeType],
        work: dict[str, Work],
        store: Store,
        light: Executor,
        heavy: Executor,
        out: Path,
        run_id: str,
        on_event: OnEvent | None,
    ) -> None:
        self.document = document
        self.plan = plan
        self.node_types = node_types
        self.work = work
        self.store = store
        self.light = light
        self.heavy = heavy
        self.out = out.absolute()
        self.run_id = run_id
        self.on_event = on_event
        self.seq = 0

        self.waiting: dict[str, set[str]] = {}
        self.ready: deque[str] = deque()
        self.ready_for_device: deque[str] = deque()
        self.running: dict[str, Future[dict[str, Any]]] = {}
        self.finished: dict[str, NodeState] = {}

        self.attempts: dict[str, Attempt] = {}
        self.outputs: dict[str, Outputs] = {}
        self.twins: dict[str, list[str]] = {}
        """Nodes that would do the same as one that runs (by its address): they wait for it, and use its result."""
        self.idle_threads = THREADS
        self.idle_devices = list(reversed(heavy.devices))
        self.inbox: SimpleQueue[tuple[str, Message | Future[dict[str, Any]]]] = SimpleQueue()
        self.stopping = False
        self.written = document
        """The document as its author wrote it, with what takes no part."""
        self.earlier: Mapping[str, str] = {}
        """{node: key} of what ended well in an earlier attempt at the same run."""

    def to_its_end(self, cancel: Flag) -> RunResult:
        """Do everything; the one method to call."""
        begun = time.monotonic()
        self._tell("run_started", None, nodes=len(self.plan.order))
        try:
            self._begin()
            while self.running or self.ready or self.ready_for_device:
                if cancel.is_set() and not self.stopping:
                    self._stop()
                self._start_what_can()
                if self.running:
                    self._hear()
        finally:
            # After an exception of ours or of a listener (or a Ctrl-C that nobody caught): leave nothing half done.
            self._abandon()
        statuses = {state.status for state in self.finished.values()}
        status: Status = "cancelled" if "cancelled" in statuses else "failed" if "failed" in statuses else "done"
        seconds = time.monotonic() - begun
        self._tell("run_done", None, status=status, seconds=seconds)
        nodes = {node: self.finished[node] for node in self.plan.order}
        return RunResult(status, nodes, seconds, self.out, self.run_id)

    def _begin(self) -> None:
        """Look results up and sort the nodes into waiting, ready and finished."""
        found, must_run = look_up(self.plan, self.work, self.node_types, self.store, self.run_id, self.earlier)
        self.outputs.update(found)
        for node in self.plan.order:
            if node in must_run:
                if parents := must_run.intersection(self.plan.parents[node]):
                    self.waiting[node] = parents
                else:
                    self._make_ready(node)
            else:
                self.finished[node] = NodeState("cached", outputs=found.get(node, {}), key=self.work[node].key)
                self._tell("node_cached", node, key=self.work[node].key)

    def _make_ready(self, node: str) -> None:
        (self.ready_for_device if self.node_types[node].device else self.ready).append(node)

    def _start_what_can(self) -> None:
        while self.ready and self.idle_threads:
            self._start(self.ready.popleft(), self.light, None)
        while self.ready_for_device and self.idle_devices:
            self._start(self.ready_for_device.popleft(), self.heavy, self.idle_devices[-1])

    def _start(self, node: str, executor: Executor, device: str | None) -> None:
        work = self.work[node]
        place = address(work, self.run_id, node)
        if place in self.twins:
            self.twins[place].append(node)
            return
        try:
            job, attempt = self._prepare(node, place, device)
        except (OSError, ValueError) as error:  # a full or read-only disk; a document that cannot be written as text
            self._fail(node, error, 0.0)
            return
        self.twins[place] = []
        self.attempts[node] = attempt
        if device is None:
            self.idle_threads -= 1
        else:
            self.idle_devices.remove(device)
        self._tell("node_started", node, device=job.device)
        try:
            future = executor.submit(job, lambda message: self.inbox.put((node, message)))
        except Exception as error:  # it was closed, or has no such device
            future = Future()
            future.set_exception(error)
        self.running[node] = future
        future.add_done_callback(lambda future: self.inbox.put((node, future)))

    def _prepare(self, node: str, place: str, device: str | None) -> tuple[Job, Attempt]:
        """Make the folders and the job of a node that starts now."""
        work, kind = self.work[node], self.node_types[node]
        folder = self.store.stage(place)
        scratch = None
        if kind.context is not None:  # else nobody could write there
            # What is never looked up has no next attempt: its scratch folder goes when it ends.
            scratch = self.store.scratch(place) if work.cache else self.store.stage(place)
        places = {"folder": str(folder), "scratch": str(scratch or ""), "out": str(self.out), "device": device or "cpu"}
        if not kind.cache:
            places["workflow"] = self.workflow
        job = make_job(self.document.nodes[node], kind, work, self.outputs, f"{self.run_id}/{node}", places)
        passing = (folder,) if scratch is None or work.cache else (folder, scratch)
        return job, Attempt(place, folder, passing, device, time.monotonic())

    @cached_property
    def workflow(self) -> str:
        """The document's text, written once however many nodes save; raises ValueError where JSON cannot say it."""
        return self.written.text()

    def _hear(self) -> None:
        """Take what is in the inbox; wait a moment if it is empty.

        Not without end: a node that tells faster than the listener hears must not keep the cancel flag from being seen.
        """
        end = time.monotonic() + POLL
        with suppress(Empty):
            node, news = self.inbox.get(timeout=POLL)
            while True:
                if isinstance(news, Future):
                    self._end(node, news)
                elif node in self.running and not (self.stopping and news["kind"] == "progress"):
                    data = {name: part for name, part in news.items() if name != "kind"}
                    self._tell(_KINDS[news["kind"]], node, **data)
                if time.monotonic() > end:
                    return
                node, news = self.inbox.get_nowait()

    def _end(self, node: str, future: Future[dict[str, Any]]) -> None:
        del self.running[node]
        attempt = self.attempts.pop(node)
        twins = self.twins.pop(attempt.address)
        if attempt.device is None:
            self.idle_threads += 1
        else:
            self.idle_devices.append(attempt.device)
        seconds = time.monotonic() - attempt.begun
        try:
            outputs: Outputs = {name: values.load(dumped) for name, dumped in future.result().items()}
            if outputs or self.work[node].cache:
                outputs = self.store.commit(attempt.address, attempt.folder, outputs)
        except Cancelled:
            self._cancelled(node, seconds)
        except Exception as error:
            self._fail(node, error, seconds)
        else:
            key = self.work[node].key
            self._tell("node_done", node, key=key, seconds=seconds)
            self._finish(node, NodeState("done", seconds, outputs, key))
            for twin in twins:
                self._tell("node_cached", twin, key=key)
                self._finish(twin, NodeState("cached", outputs=outputs, key=key))
            twins = []
        self._discard(attempt)
        # What the twins waited for did not come: each tries for itself, or ends with the run.
        for twin in twins:
            if self.stopping:
                self._cancelled(twin, 0.0)
            else:
                self._make_ready(twin)

    def _discard(self, attempt: Attempt) -> None:
        self.store.end_attempt(attempt.address)
        for folder in attempt.passing:
            self.store.discard(folder)

    def _finish(self, node: str, state: NodeState) -> None:
        self.finished[node] = state
        self.outputs[node] = state.outputs
        for child in self.plan.children[node]:
            parents = self.waiting.get(child)
            if parents is None:
                continue
            parents.discard(node)
            if not parents:
                del self.waiting[child]
                self._make_ready(child)

    def _fail(self, node: str, error: BaseException, seconds: float) -> None:
        """Note the failure and skip everything that needs this node."""
        type_name, key = self.document.nodes[node].type, self.work[node].key
        data = describe_failure(node, type_name, error)
        self.finished[node] = NodeState("failed", seconds, {}, key, data["message"], data["bad_input"])
        self._tell("node_failed", node, **data)
        below = list(self.plan.children[node])
        while below:
            child = below.pop()
            if self.waiting.pop(child, None) is not None:
                said = f"Node {child!r} was skipped because node {node!r} failed."
                self.finished[child] = NodeState("skipped", key=self.work[child].key, error=said)
                self._tell("node_skipped", child, because=node)
                below.extend(self.plan.children[child])

    def _cancelled(self, node: str, seconds: float) -> None:
        self.finished[node] = NodeState("cancelled", seconds, key=self.work[node].key)
        self._tell("node_cancelled", node)
        if not self.stopping:  # somebody else closed the executor: what follows can't run either
            self._stop()

    def _stop(self) -> None:
        """Start nothing more, and ask what runs to stop."""
        self.stopping = True
        for node in self.running:
            executor = self.light if self.attempts[node].device is None else self.heavy
            executor.cancel(f"{self.run_id}/{node}")
        left = [*self.ready, *self.ready_for_device, *self.waiting]
        self.ready.clear()
        self.ready_for_device.clear()
        self.waiting.clear()
        for node in left:
            self._cancelled(node, 0.0)

    def _abandon(self) -> None:
        """Stop what still runs without telling anybody, and throw its files away."""
        for node, future in self.running.items():
            attempt = self.attempts[node]
            (self.light if attempt.device is None else self.heavy).cancel(f"{self.run_id}/{node}")
            future.exception()  # waits for it
            self._discard(attempt)

    def _tell(self, kind: Kind, node: str | None, **data: Any) -> None:
        self.seq += 1
        if self.on_event is not None:
            self.on_event(Event(self.seq, time.time(), self.run_id, kind, node, data))


_KINDS: dict[str, Kind] = {"progress": "node_progress", "metric": "node_metric", "log": "node_log"}
