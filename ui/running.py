"""The one run that goes on: in a thread of its own, so that it outlives the page that started it.

    desk = Desk(registry, home, out, executor)
    desk.start(document, "teach_a_style")      # raises DocumentError for a wrong document, BadInput while one runs
    for view in desk.watch():                  # from any page, now or after a reload: what there is to show
        view.rows["train"].state
    desk.cancel()

The executor stays open from run to run, so a model that is loaded stays loaded.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from ..graph_runtime import document as documents
from ..graph_runtime import scheduler
from ..graph_runtime.document import Document
from ..graph_runtime.errors import BadInput
from ..graph_runtime.events import Event
from ..graph_runtime.executors.base import Executor
from ..graph_runtime.registry import Registry
from ..graph_runtime.rows import Row
from ..graph_runtime.run_state import RunResult
from ..graph_runtime.values import Images

Status: TypeAlias = Literal["running", "done", "failed", "cancelled"]

EVERY = 0.4
"""Seconds between two looks at a run: often enough to follow, seldom enough to cost nothing."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")


@dataclass
class View:
    """All there is to show of a run at one moment.

    `curve` holds the loss of each training node as (step, loss), `failures` a message and a traceback by node
    (an empty traceback where the user's input is at fault), `preview` the newest preview picture. `pictures`
    (path, caption) and `files` are there when the run has ended.
    """

    name: str
    rows: dict[str, Row]
    status: Status = "running"
    seconds: float = 0.0
    curve: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    preview: str = ""
    error: str = ""
    out: str = ""
    stopping: bool = False
    pictures: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Change by one event of the run."""
        row = self.rows.get(event.node or "")
        if row is None or event.node is None:
            return
        row.take(event)
        data = event.data
        if event.kind == "node_progress" and data.get("preview"):
            self.preview = str(data["preview"])
        elif event.kind == "node_metric" and data.get("name") == "loss" and data.get("value") is not None:
            self.curve.setdefault(event.node, []).append((int(data.get("step", 0)), float(data["value"])))
        elif event.kind == "node_failed":
            trace = "" if data.get("bad_input") else str(data.get("trace") or "")
            self.failures[event.node] = (str(data.get("message", "")), trace)


class Desk:
    """Starts, shows and cancels runs, one at a time."""

    def __init__(self, registry: Registry, home: Path, out: Path, executor: Executor) -> None:
        self.registry = registry
        self.home = home.absolute()
        self.out = out.absolute()
        self._executor = executor
        self._lock = threading.Lock()
        self._view: View | None = None
        self._thread: threading.Thread | None = None
        self._cancel = threading.Event()

    def start(self, document: Document, name: str) -> None:
        """Check the document in full and begin to run it; saved files go to `out/name`.

        Raises DocumentError with everything that is wrong with it, and BadInput where a run is going on or the folder
        can't be made: nothing has been run then.
        """
        checked = documents.load(document.text(), self.registry, path=document.path)
        out = self.out / name
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"the folder {out} can't be made ({error.strerror}); choose another with --out.") from error
        with self._lock:
            if self._view is not None and self._view.status == "running":
                raise BadInput(f'"{self._view.name}" is running; cancel it, or wait for its end.')
            rows = {node: Row(spec.type) for node, spec in checked.nodes.items()}
            view = self._view = View(name, rows, out=str(out))
            cancel = self._cancel = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(checked, view, out, cancel), name="loragraph-run", daemon=True
            )
            self._thread.start()

    def _run(self, document: Document, view: View, out: Path, cancel: threading.Event) -> None:
        begun, before = time.monotonic(), _files(out)

        def on_event(event: Event) -> None:
            with self._lock:
                view.seconds = time.monotonic() - begun
                view.take(event)

        status: Status = "failed"
        error, pictures, files = "", [], []
        try:
            result = scheduler.run(
                document,
                self.registry,
                home=self.home,
                out=out,
                executor=self._executor,
                on_event=on_event,
                cancel=cancel,
            )
            status = result.status
            files = sorted(_files(out) - before)
            pictures = _pictures(document, result, files)
        except Exception as unexpected:  # A full disk, a store that can't be read: the page says so and lives on.
            error = str(unexpected) or type(unexpected).__name__
        with self._lock:
            view.status, view.error, view.seconds = status, error, time.monotonic() - begun
            view.pictures, view.files = pictures, files

    def view(self) -> View | None:
        """Return a copy of what there is to show of the run that goes on, or of the last one; None before the first."""
        with self._lock:
            return copy.deepcopy(self._view)

    def watch(self) -> Iterator[View]:
        """Yield what there is to show, again and again, until the run has ended; nothing where there was none."""
        while (view := self.view()) is not None:
            yield view
            if view.status != "running":
                return
            time.sleep(EVERY)

    def cancel(self) -> None:
        """Ask the run to stop, if one goes on."""
        with self._lock:
            if self._view is not None and self._view.status == "running":
                self._view.stopping = True
                self._cancel.set()

    def close(self) -> None:
        """Cancel what runs, wait for it, and end the worker processes."""
        self.cancel()
        if self._thread is not None:
            self._thread.join()
        self._executor.close()


def _files(folder: Path) -> set[str]:
    """Return the finished files in the output folder; one in the making has a name that begins with a dot."""
    return {str(path) for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")}


def _pictures(document: Document, result: RunResult, files: list[str]) -> list[tuple[str, str]]:
    """Return the pictures that the run saved, or, where it saved none, those that its last nodes made."""
    saved = [(path, Path(path).name) for path in files if path.lower().endswith(PICTURES)]
    if saved:
        return saved
    used = {wire.node for spec in document.nodes.values() for wire in spec.wires()}
    return [
        (picture.file.path, picture.caption or node)
        for node, state in result.nodes.items()
        if node not in used
        for value in state.outputs.values()
        if isinstance(value, Images)
        for picture in value.items
    ]
