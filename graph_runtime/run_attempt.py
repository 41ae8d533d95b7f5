"""One attempt at a run of the queue: the scheduler's run of it, told to the queue.

The events of a run count on from attempt to attempt. What had finished before is found in the store; of the nodes that
are never looked up (savers), those that had ended well in an earlier attempt are not run again.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import document as documents
from . import scheduler
from .errors import DocumentError
from .events import Event
from .executors.base import Executor
from .registry import Registry
from .rows import ENDS
from .run_history import finished_of
from .run_previews import Previews
from .run_queue import RunQueue
from .run_record import RunRecord, Status


@dataclass
class InHand:
    """A run that a lane has in hand. Setting `cancel` stops it; with `requeue` it is then to wait again."""

    record: RunRecord
    cancel: threading.Event = field(default_factory=threading.Event)
    requeue: bool = False

    @property
    def run(self) -> str:
        """The run's id."""
        return self.record.id


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended; "cancelled" of one that is to wait again means that it stopped."""

    status: Status
    seconds: float
    error: str = ""
    bad_input: bool = False


def attempt(now: InHand, queue: RunQueue, registry: Registry, home: Path, executor: Executor) -> End:
    """Run it, telling the queue all but the `run_done` event, which is written with the run's end.

    A document that can't be loaded or run any more is an end as well; what else is raised is passed on.
    """
    record = now.record
    teller = _Teller(now, queue)
    try:
        path = None if record.path is None else Path(record.path)
        document = documents.load(queue.text(record.id), registry, path=path)
        result = scheduler.run(
            document,
            registry,
            home=home,
            out=Path(record.out),
            executor=executor,
            wanted=record.wanted,
            on_event=teller.hear,
            run_id=record.id,
            cancel=now.cancel,
            finished=finished_of(queue.results(record.id)) if record.attempt > 1 else {},
        )
    except DocumentError as error:
        return End("failed", 0.0, str(error), bad_input=True)
    return End(result.status, result.seconds, teller.failure, result.bad_input)


class _Teller:
    """Passes a run's events on to the queue: numbered on from the attempts before, previews copied."""

    def __init__(self, now: InHand, queue: RunQueue) -> None:
        self.now = now
        self.claims = queue.claims
        self.previews = Previews(queue.previews(now.run))
        self.offset = now.record.last_seq
        self.left_out = 0
        self.failure = ""

    def hear(self, event: Event) -> None:
        if event.kind == "run_done" or (event.kind == "node_cancelled" and self.now.requeue):
            self.left_out += 1  # A run that will go on has not been cancelled, nor have its nodes.
            return
        seq = self.offset + event.seq - self.left_out
        data = event.data
        if event.kind == "run_started":
            data = {**data, "attempt": self.now.record.attempt}
        elif event.kind == "node_failed":
            self.failure = self.failure or str(data.get("message", ""))
        elif event.kind == "node_progress" and data.get("preview") and event.node is not None:
            data = {**data, "preview": self.previews.keep(event.node, Path(data["preview"]), seq)}
        elif event.kind in ENDS and event.node is not None:
            self.previews.end(event.node)
        self.claims.tell(replace(event, seq=seq, data=data))
