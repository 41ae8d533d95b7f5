"""Run nodes in worker processes, one per device, each holding that device's models.

    executor = WorkerExecutor(devices=("cuda:0", "cuda:1"))
    executor.submit(job, print).result()      # the worker of job.device starts with its first job

Every device has a `_Lane`: a thread that takes jobs from a line, one at a time, and talks to the worker process. When
the process dies, the job at hand ends with `WorkerDied`, saying how, and the next job gets a new process. A cancelled
job is asked first; if it has not stopped after `grace` seconds (a long call into C code), its process is ended.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Lock, Thread, Timer
from typing import Any

from ..errors import Cancelled, WorkerDied
from .base import Job, NodeFailed, OnMessage, Outputs
from .worker_process import WorkerProcess

GRACE = 5.0
"""Seconds between asking a node to stop and ending its process."""


class WorkerExecutor:
    """An executor of one process per device; `threads` limits the CPU threads of each (None: the library's choice)."""

    def __init__(self, devices: tuple[str, ...] = ("cpu",), threads: int | None = None, grace: float = GRACE) -> None:
        self.devices = devices
        self._lanes = {device: _Lane(device, threads, grace) for device in devices}

    def start(self) -> None:
        """Nothing to do: a process starts with the first job for its device."""

    def submit(self, job: Job, on_message: OnMessage) -> Future[Outputs]:
        """Put the job in line for its device; raises KeyError, naming the devices, for one that is not here."""
        if job.device not in self._lanes:
            raise KeyError(f"node {job.node!r} asks for device {job.device!r}; there are {', '.join(self.devices)}")
        return self._lanes[job.device].submit(job, on_message)

    def cancel(self, job_id: str) -> None:
        """Stop the job, wherever it is in line."""
        for lane in self._lanes.values():
            lane.cancel(job_id)

    def close(self) -> None:
        """Cancel everything, end the processes and wait for them."""
        for lane in self._lanes.values():
            lane.close()
        for lane in self._lanes.values():
            lane.join()

    def pids(self) -> dict[str, int]:
        """The process id of each device's worker, of those that run now."""
        return {name: pid for name, lane in self._lanes.items() if (pid := lane.pid()) is not None}


@dataclass
class _Task:
    job: Job
    on_message: OnMessage
    future: Future[Outputs] = field(default_factory=Future)
    cancelled: bool = False


class _Lane:
    """One device: `_tasks` holds every task that has not ended, by job id, and `_line` the order in which they run."""

    def __init__(self, device: str, threads: int | None, grace: float) -> None:
        self._device = device
        self._threads = threads
        self._grace = grace
        self._line: SimpleQueue[_Task | None] = SimpleQueue()
        self._tasks: dict[str, _Task] = {}
        self._current: _Task | None = None
        self._worker: WorkerProcess | None = None
        self._thread: Thread | None = None
        self._closed = False
        self._lock = Lock()

    def submit(self, job: Job, on_message: OnMessage) -> Future[Outputs]:
        task = _Task(job, on_message)
        # A future that is running can't be cancelled behind our back: `cancel` is the one door.
        task.future.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the executor is closed; node {job.node!r} was not started")
            if self._thread is None:
                # This thread also starts the processes, and lives as long as they do: on Linux a worker dies with
                # the *thread* that started it (PR_SET_PDEATHSIG).
                self._thread = Thread(target=self._serve, name=f"worker-lane-{self._device}", daemon=True)
                self._thread.start()
            self._tasks[job.id] = task
        self._line.put(task)
        return task.future

    def cancel(self, job_id: str) -> None:
        with self._lock:
            task = self._tasks.get(job_id)
            if task is None or task.cancelled:
                return
            task.cancelled = True
            worker = self._worker if task is self._current else None
        if worker is not None:
            worker.write({"kind": "cancel", "id": job_id})
            timer = Timer(self._grace, self._end_if_still_running, (task, worker))
            timer.daemon = True
            timer.start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            ids = list(self._tasks)
        for job_id in ids:
            self.cancel(job_id)
        self._line.put(None)

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def pid(self) -> int | None:
        worker = self._worker
        return worker.pid if worker is not None and worker.alive() else None

    def _serve(self) -> None:
        while (task := self._line.get()) is not None:
            try:
                outputs = self._run(task)
            except BaseException as error:
                self._forget(task)
                task.future.set_exception(error)
            else:
                self._forget(task)
                task.future.set_result(outputs)
        if self._worker is not None:
            self._worker.end(grace=1.0)

    def _run(self, task: _Task) -> Outputs:
        """Run one task in the worker; returns its outputs, or raises as `executors.base` says."""
        while True:
            worker, fresh = self._take_worker(task)
            try:
                started, end = self._converse(task, worker)
            except BaseException:  # the listener raised: what the worker still has to say is not for the next job
                self._worker = None
                worker.end()
                raise
            if end is not None:
                return self._outcome(task, end)
            self._worker = None
            if task.cancelled:
                worker.end()
                raise Cancelled(f"node {task.job.node!r} was cancelled; its worker process had to be ended")
            # A worker that died while idle is noticed only now: the node is not to blame, it gets a new process.
            if started or fresh:
                break
        raise WorkerDied(
            f"Node {task.job.node!r} ({task.job.type}) stopped because its worker process "
            f"(device {self._device}, pid {worker.pid}) {worker.obituary()}"
        )

    def _take_worker(self, task: _Task) -> tuple[WorkerProcess, bool]:
        """Make `task` the current one; returns a living worker for it, and whether that is new."""
        with self._lock:
            if task.cancelled:
                raise Cancelled(f"node {task.job.node!r} was cancelled before it started")
            worker, fresh = self._worker, False
            if worker is None or not worker.alive():
                worker, fresh = WorkerProcess(self._device, self._threads, self._printed), True
                self._worker = worker
            self._current = task
            return worker, fresh

    def _converse(self, task: _Task, worker: WorkerProcess) -> tuple[bool, dict[str, Any] | None]:
        """Send the job and pass its messages on; returns (whether it began, its last message or None for a death)."""
        started = False
        worker.write({"kind": "run", "job": task.job.to_json()})
        if task.cancelled:  # it came between the two: `cancel` wrote before the worker knew the job
            worker.write({"kind": "cancel", "id": task.job.id})
        for message in worker.messages():
            match message["kind"]:
                case "ready":
                    pass
                case "started":
                    started = True
                case "done" | "failed" | "cancelled":
                    return True, message
                case _:
                    task.on_message(message)
        return started, None

    def _outcome(self, task: _Task, end: dict[str, Any]) -> Outputs:
        match end["kind"]:
            case "done":
                outputs: Outputs = end["outputs"]
                return outputs
            case "cancelled":
                raise Cancelled(f"node {task.job.node!r} was cancelled")
        raise NodeFailed(**{name: part for name, part in end.items() if name not in ("kind", "id")})

    def _printed(self, line: str) -> None:
        """Pass on what node code prints as a log message of the node that runs."""
        task = self._current
        if task is not None:
            task.on_message({"kind": "log", "level": "print", "message": line})

    def _forget(self, task: _Task) -> None:
        with self._lock:
            self._current = None
            self._tasks.pop(task.job.id, None)

    def _end_if_still_running(self, task: _Task, worker: WorkerProcess) -> None:
        with self._lock:
            running = self._current is task and self._worker is worker
        if running:
            worker.end()
