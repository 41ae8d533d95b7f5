"""Run nodes in threads of this process: for light nodes, for tests, and for debugging a heavy one.

    executor = InProcessExecutor(threads=4)
    executor.submit(job, print).result()      # {"base": {...}}

A thread can't be killed: a cancelled node stops at its next `ctx.check_cancel()`.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from threading import Event, Lock

from ..context import ModelCache
from ..errors import Cancelled
from .base import Job, NodeFailed, OnMessage, Outputs
from .calling import call, failure, resolve


class InProcessExecutor:
    """An executor of threads. With `threads=1` it is the in-process stand-in for one device's worker."""

    def __init__(self, threads: int = 1, devices: tuple[str, ...] = ("cpu",)) -> None:
        self.devices = devices
        self._models = ModelCache()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="loragraph-node")
        self._cancels: dict[str, Event] = {}
        self._lock = Lock()
        # Finding a node by its name walks the import system; a graph has few types and many nodes.
        self._resolve = lru_cache(maxsize=None)(resolve)

    def start(self) -> None:
        """Nothing to do: threads start with the first job."""

    def submit(self, job: Job, on_message: OnMessage) -> Future[Outputs]:
        """Queue the job for the next free thread."""
        cancelled = Event()
        with self._lock:
            self._cancels[job.id] = cancelled
        return self._pool.submit(self._run, job, on_message, cancelled)

    def cancel(self, job_id: str) -> None:
        """Set the job's event; its next `check_cancel` raises, and a queued job ends before it begins."""
        with self._lock:
            cancelled = self._cancels.get(job_id)
        if cancelled is not None:
            cancelled.set()

    def close(self) -> None:
        """Cancel what is left, wait for it, and drop the models."""
        with self._lock:
            for cancelled in self._cancels.values():
                cancelled.set()
        self._pool.shutdown(wait=True)
        self._models.clear()

    def _run(self, job: Job, on_message: OnMessage, cancelled: Event) -> Outputs:
        try:
            return call(job, on_message, cancelled, self._models, self._resolve(job.function))
        except Cancelled:
            raise
        # A node that calls sys.exit() fails like any other; it must not end the caller's thread silently.
        except (Exception, SystemExit) as error:
            raise NodeFailed(**failure(error)) from error
        finally:
            with self._lock:
                self._cancels.pop(job.id, None)
