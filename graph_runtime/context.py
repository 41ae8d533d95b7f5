"""The only door between a node and the world.

A node that asks for `ctx: Context` gets folders to write into, a device, the model cache, a logger, and three things to
say: progress, metrics, and "shall I stop?". It touches nothing else, so it can run in any process, and be tested with
`FakeContext`:

    >>> import tempfile
    >>> ctx = FakeContext(Path(tempfile.mkdtemp()))
    >>> ctx.progress(1, 10, "warming up")
    >>> ctx.steps
    [(1, 10, 'warming up')]
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

from .errors import Cancelled

T = TypeVar("T")


class ModelCache:
    """The few loaded models that a worker keeps: the `max_items` used last, built once however many threads ask.

    The oldest is let go before a new one is built, so that no more than `max_items` are ever in memory.
    """

    def __init__(self, max_items: int = 2) -> None:
        if max_items < 1:
            raise ValueError(f"max_items is {max_items}; a cache holds at least one model")
        self.max_items = max_items
        self._lock = threading.RLock()
        self._items: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, build: Callable[[], T]) -> T:
        """Return the model kept under `key`, building it if it is not there; what `build` raises is passed on."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                found: T = self._items[key]
                return found
            while len(self._items) >= self.max_items:
                self._items.popitem(last=False)
            built = build()
            # A build may have asked for other models; make room again.
            while len(self._items) >= self.max_items:
                self._items.popitem(last=False)
            self._items[key] = built
            return built

    def clear(self) -> None:
        """Let every model go."""
        with self._lock:
            self._items.clear()

    def __len__(self) -> int:
        """How many models are held."""
        return len(self._items)


class Context(ABC):
    """What a running node may touch."""

    node: str
    """The node's id in the workflow."""
    folder: Path
    """Private and empty at the start; files of the returned values go here. Kept only if the node succeeds."""
    out: Path
    """The run's output folder, for nodes that save what the user asked for."""
    workflow: str = ""
    """The text of the workflow that is run, for nodes that save; "" for nodes whose result is kept (`cache=True`)."""
    device: str
    """Where tensors go: "cpu", "cuda:0"."""
    models: ModelCache

    @property
    @abstractmethod
    def scratch(self) -> Path:
        """Private to this work (the node's key); survives failure, cancel and kill, gone after success: checkpoints."""

    @property
    @abstractmethod
    def log(self) -> logging.Logger:
        """Where the node writes what is worth reading later."""

    @abstractmethod
    def progress(self, step: int, total: int, message: str = "", preview: Path | None = None) -> None:
        """Tell that `step` of `total` is done; `preview` is an image file to show."""

    @abstractmethod
    def metric(self, name: str, value: float, step: int) -> None:
        """Tell a number that is worth a curve, such as the loss at a step."""

    @abstractmethod
    def check_cancel(self) -> None:
        """Raise Cancelled if the run was cancelled. Call it at every training or sampling step."""


class FakeContext(Context):
    """A context for tests: records what the node says, and can cancel it.

    `folder` is the node's output folder (made if missing); scratch and out lie beside it. `cancel_after=3` lets three
    checks pass and cancels at the fourth. `steps` holds (step, total, message), `metrics` (name, value, step), and
    `previews` the preview files.
    """

    scratch: Path = Path()
    log: logging.Logger = logging.getLogger("loragraph.node")

    def __init__(
        self, folder: Path, cancel_after: int | None = None, *, device: str = "cpu", node: str = "node"
    ) -> None:
        self.folder = Path(folder).absolute()
        self.scratch = self.folder.with_name(self.folder.name + "-scratch")
        self.out = self.folder.with_name(self.folder.name + "-out")
        for path in (self.folder, self.scratch, self.out):
            path.mkdir(parents=True, exist_ok=True)
        self.device = device
        self.node = node
        self.models = ModelCache()
        self.log = logging.getLogger(f"loragraph.node.{node}")
        self.steps: list[tuple[int, int, str]] = []
        self.metrics: list[tuple[str, float, int]] = []
        self.previews: list[Path] = []
        self.checks = 0
        self.cancel_after = cancel_after

    def progress(self, step: int, total: int, message: str = "", preview: Path | None = None) -> None:
        """Record the step."""
        self.steps.append((step, total, message))
        if preview is not None:
            self.previews.append(preview)

    def metric(self, name: str, value: float, step: int) -> None:
        """Record the number."""
        self.metrics.append((name, value, step))

    def check_cancel(self) -> None:
        """Count the check, and cancel when its number has come."""
        self.checks += 1
        if self.cancel_after is not None and self.checks > self.cancel_after:
            raise Cancelled
