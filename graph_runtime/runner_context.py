"""The context that a running node gets: everything it reports becomes a message, sent at once.

It lives in the process that runs the node. `send` takes a message dict (see `executors.base`), and `cancelled` is an
event that somebody else sets, e.g. the thread of a worker that reads its pipe while the node runs:

    context = RunnerContext(job, send=print, cancelled=Event(), models=ModelCache())
    context.progress(3, 100, "step 3")      # prints {"kind": "progress", "step": 3, "total": 100, ...}
    context.check_cancel()                  # raises Cancelled once the event is set
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from .context import Context, ModelCache
from .errors import Cancelled

if TYPE_CHECKING:
    from .executors.base import Job

Send = Callable[[dict[str, Any]], None]


class RunnerContext(Context):
    """The Context of one job; see the module."""

    def __init__(self, job: Job, send: Send, cancelled: Event, models: ModelCache) -> None:
        self.node = job.node
        self.folder = Path(job.folder)
        self.out = Path(job.out)
        self.device = job.device
        self.workflow = job.workflow
        self.models = models
        self._scratch = Path(job.scratch)
        self._send = send
        self._cancelled = cancelled

    @property
    def scratch(self) -> Path:
        """The folder that outlives a failure, a cancel and a kill."""
        return self._scratch

    @cached_property
    def log(self) -> logging.Logger:
        """A logger of this job alone, so that no other job's handlers and levels touch it."""
        logger = logging.Logger(f"loragraph.{self.node}", level=logging.DEBUG)
        logger.addHandler(_Forward(self._send))
        return logger

    def progress(self, step: int, total: int, message: str = "", preview: Path | None = None) -> None:
        self._send(
            {
                "kind": "progress",
                "step": int(step),
                "total": int(total),
                "message": message,
                "preview": None if preview is None else str(preview),
            }
        )

    def metric(self, name: str, value: float, step: int) -> None:
        self._send({"kind": "metric", "name": name, "value": float(value), "step": int(step)})

    def check_cancel(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled(f"node {self.node!r} was cancelled")


class _Forward(logging.Handler):
    """Sends every log record as a message."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._to = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._to({"kind": "log", "level": record.levelname.lower(), "message": self.format(record)})
        except Exception:
            self.handleError(record)
