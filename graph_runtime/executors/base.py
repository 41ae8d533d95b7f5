"""What an executor is, and what travels to it and back.

A `Job` is one node to run, as plain JSON-able data: the node function by name, its settings, the values on its wires
as `values.dump` wrote them, and the folders it may write to. Because nothing in it is a Python object of the caller,
the same job runs in a thread, in a worker process or on another machine:

    Job(id="run-1/train", node="train", type="TrainLoRA", function="loragraph.nodes.train_lora:train_lora",
        settings={"rank": 8}, inputs={"base": {"$type": "Base", ...}}, folder="/…/staging/1", scratch="/…/scratch/ab12",
        out="/…/out", device="cpu")

`submit` answers with a future of the node's outputs by name, dumped in the same way, or it raises

* `NodeFailed`   the node raised: class name, message and traceback text as data
* `Cancelled`    the job was cancelled, whether it was queued, stopped by itself or had to be killed
* `WorkerDied`   the process that ran it ended

While a node runs, its `Message`s arrive one by one (on a thread of the executor): plain dicts whose "kind" is
"progress" {step, total, message, preview}, "metric" {name, value, step} or "log" {level, message}.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any, Protocol

Message = dict[str, Any]
OnMessage = Callable[[Message], None]
Outputs = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """One node to run, JSON-able throughout.

    `id` is unique among the jobs of one executor; `node` is the node's id in the document and `type` its type's name,
    both for messages to people. An input that takes many wires is a list of dumped values, and an optional one that is
    not connected is None. `folder` exists, and `scratch` too unless the node has no use for it (""); `out` is made by
    whoever writes there. `workflow` is the document's text, for the nodes that are never looked up.
    """

    id: str
    node: str
    type: str
    function: str
    settings: dict[str, Any]
    inputs: dict[str, Any]
    folder: str
    scratch: str
    out: str
    device: str = "cpu"
    workflow: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the job as a JSON-able dict; `Job(**that)` gives it back."""
        return asdict(self)


class NodeFailed(RuntimeError):
    """A node raised an exception; it is carried as data, because its class may not exist in this process.

    `error` is the exception's class name, `message` its text, `trace` its traceback, and `bad_input` says that a file
    or a setting of the user is to blame rather than the node, with the `field` and `value` if the node named them.
    """

    def __init__(
        self, error: str, message: str, trace: str, bad_input: bool = False, field: str | None = None, value: Any = None
    ) -> None:
        super().__init__(f"{error}: {message}")
        self.error = error
        self.message = message
        self.trace = trace
        self.bad_input = bad_input
        self.field = field
        self.value = value


class Executor(Protocol):
    """Runs jobs, at most one at a time on each of `devices`; further jobs for a busy device wait in line."""

    devices: tuple[str, ...]

    def start(self) -> None:
        """Get ready. Costs nothing that the first job can do just as well; calling it again does nothing."""

    def submit(self, job: Job, on_message: OnMessage) -> Future[Outputs]:
        """Queue a job on `job.device` and return its outputs as a future; see the module for what it raises."""

    def cancel(self, job_id: str) -> None:
        """Ask a queued or running job to stop: its future ends with Cancelled, soon. Unknown ids are ignored."""

    def close(self) -> None:
        """Cancel what is left, and release threads, processes and models. No submit after that."""
