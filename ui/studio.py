"""The one door between a page and the server: `answer(method, data)`, always with an object that says "ok".

    studio.answer("check", {"text": "..."})     # {"ok": True, "problems": [], "keys": {...}, "ready": [...]}
    studio.answer("open", {"path": "/etc"})     # {"ok": False, "message": "...", "problems": []}

    catalog {}                                  catalog, workspace, first (the file the page begins with, or None)
    open {text | path | template, name?}        document, problems, missing, upgraded, name, path, revision
    check {text, path?, name?}                  problems, keys, ready
    save {text, name | path, revision, overwrite?}   path, name, revision; or ok False, conflict, theirs
    documents {}, templates {}, changed {path}
    files {kind, query?, folder?}, keep {path, name}
    submit {text, name, path?, wanted?, front?} run
    cancel {run}, move {run, place}, again {run}, remove {runs}, clean {keep?}, queue {known?}     revision, queue
    run {run}                                   run, text
    results {run, nodes?}, gallery {offset}
    command {text, path?, name}, snippet {text}

What is wrong with what was sent comes back as {"ok": False, "message", "problems"}; so does what nobody foresaw, which
is also logged. A studio belongs to one workspace and serves any number of pages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import gradio as gr

from ..graph_runtime.errors import BadInput, DocumentError, did_you_mean, show
from ..graph_runtime.events import finite
from ..graph_runtime.executors.base import Executor
from ..graph_runtime.executors.workers import WorkerExecutor
from ..graph_runtime.fingerprints import Fingerprints
from ..graph_runtime.lanes import Lanes
from ..graph_runtime.registry import Registry
from ..graph_runtime.run_queue import RunQueue
from ..graph_runtime.store import Store, default_home
from . import keeping, picking, words
from .catalog import catalog
from .gallery import Gallery
from .judging import check
from .keeping import Conflict, place
from .results import named_pictures, results
from .runs import Runs, as_dict, said
from .templates import templates, text_of
from .workspace import Workspace

PATIENCE = 2.0
"""Seconds that a check may read in a folder which a setting names: it may be a stranger's, or hold a disk's content."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
Answer = dict[str, Any]

KEPT = 20
"""So many runs that have ended outlive a cleaning."""


@dataclass(frozen=True)
class Visitor:
    """Who asks: the address under which the browser has this page, and the user who is logged in (None: no login)."""

    url: str = "http://127.0.0.1:7860/"
    user: str | None = None


_visitor: ContextVar[Visitor] = ContextVar("visitor")


class Studio:
    """The server's side of every page of one workspace; see the module. Close it in the end."""

    def __init__(self, workspace: Workspace, registry: Registry, queue: RunQueue, lanes: Lanes | None = None) -> None:
        self.workspace = workspace
        self.registry = registry
        self.queue = queue
        self.lanes = lanes
        self.runs = Runs(workspace, registry, queue)
        self.store = Store(workspace.home)
        self.gallery = Gallery(queue, self.store)
        self._fingerprints = Fingerprints(workspace.home / "fingerprints.sqlite", patience=PATIENCE)
        self._catalog: Answer | None = None
        self._methods: dict[str, Callable[[Mapping[str, Any]], Answer]] = {
            name.removeprefix("_do_"): getattr(self, name) for name in dir(self) if name.startswith("_do_")
        }

    @classmethod
    def open(
        cls,
        home: Path | None = None,
        *,
        out: Path = Path("out"),
        folder: Path | None = None,
        models: Sequence[Path] = (),
        devices: Sequence[str] = ("cpu",),
        first: Path | None = None,
        registry: Registry | None = None,
        executor: Callable[[str], Executor] | None = None,
    ) -> Self:
        """Return a studio that also works its queue, one lane per device; raises BadInput for a folder that is none.

        `executor("cpu")` makes what runs a lane's device nodes (default: a worker process each).
        """
        workspace = Workspace.of(
            home or default_home(), out=out, folder=folder, models=tuple(models), devices=tuple(devices), first=first
        )
        registry = registry or Registry.installed()
        queue = RunQueue(workspace.home)
        make = executor or (lambda device: WorkerExecutor(devices=(device,)))
        lanes = Lanes(queue, registry, home=workspace.home, devices=workspace.devices, executor=make)
        lanes.start()
        return cls(workspace, registry, queue, lanes)

    def close(self) -> None:
        """Stop: what runs goes back to the front of the queue, and is resumed at the next start."""
        if self.lanes is not None:
            self.lanes.close(requeue=True)
        self.queue.close()
        self.store.close()
        self._fingerprints.close()

    def __enter__(self) -> Self:
        """Enter a `with` block that closes the studio in the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the studio."""
        self.close()

    @property
    def allowed_paths(self) -> list[str]:
        """What `launch(allowed_paths=...)` needs, where a canvas stands in a page of one's own."""
        return self.workspace.allowed_paths()

    def answer(self, method: object, data: object, visitor: Visitor | None = None) -> Answer:
        """Do what a page asks for; never raises, and what it returns can be written as JSON."""
        _visitor.set(visitor or Visitor())
        return dict(finite(self._answered(method, data)))

    def _answered(self, method: object, data: object) -> Answer:
        try:
            if not isinstance(method, str) or method not in self._methods:
                raise BadInput(f"there is no method {show(method)}. {did_you_mean(method, self._methods)}")
            if not isinstance(data, dict):
                raise BadInput(f"{method} takes an object, not {show(data)}.")
            return {"ok": True, **self._methods[method](data)}
        except DocumentError as error:
            problems = [keeping.problem_dict(problem) for problem in error.problems]
            return {"ok": False, "message": said(error), "problems": problems}
        except BadInput as error:
            return {"ok": False, "message": str(error), "problems": []}
        except Conflict as conflict:
            return {"ok": False, "message": str(conflict), "problems": [], "conflict": True, "theirs": conflict.theirs}
        except Exception as unexpected:
            _log.exception("%s failed", method)
            message = f"{method} failed: {unexpected or type(unexpected).__name__}"
            return {"ok": False, "message": message, "problems": []}

    # ---- the catalog and documents --------------------------------------------------------------------------------

    def _do_catalog(self, data: Mapping[str, Any]) -> Answer:
        if self._catalog is None:
            self._catalog = catalog(self.registry)
        space, first, visitor = self.workspace, None, _visitor.get()
        if space.first is not None:
            path, text = keeping.open_path(space, str(space.first))
            first = {"text": text, "name": path.stem, "path": str(path), "revision": keeping.revision(path)}
        about = {
            "version": metadata.version("loragraph"),
            "folder": str(space.folder),
            "out": str(space.out),
            "home": str(space.home),
            "devices": list(space.devices),
            "url": visitor.url,
            "user": visitor.user,
        }
        return {"catalog": self._catalog, "workspace": about, "first": first}

    def _do_open(self, data: Mapping[str, Any]) -> Answer:
        path, template = _get(data, "path", str, None), _get(data, "template", str, None)
        file: Path | None = None
        if path is not None:
            file, text = keeping.open_path(self.workspace, path)
            name, revision = file.stem, keeping.revision(file)
        elif template is not None:
            text, name, revision = text_of(template), template, None
        else:
            text, name, revision = _get(data, "text", str), _get(data, "name", str, "workflow"), None
        found = keeping.opened(text, self.registry, place(self.workspace, name, file))
        return {**found, "name": name, "path": None if file is None else str(file), "revision": revision}

    def _do_check(self, data: Mapping[str, Any]) -> Answer:
        return check(_get(data, "text", str), self.registry, self._place(data), self._fingerprints, self.store)

    def _do_save(self, data: Mapping[str, Any]) -> Answer:
        path, revision = keeping.save(
            self.workspace,
            self.registry,
            _get(data, "text", str),
            name=_get(data, "name", str, None),
            path=_get(data, "path", str, None),
            known=_get(data, "revision", str, None),
            overwrite=_get(data, "overwrite", bool, False),
        )
        return {"path": str(path), "name": path.stem, "revision": revision}

    def _do_documents(self, data: Mapping[str, Any]) -> Answer:
        return {"documents": keeping.listed(self.workspace)}

    def _do_templates(self, data: Mapping[str, Any]) -> Answer:
        return {"templates": templates(self.workspace, self.registry)}

    def _do_changed(self, data: Mapping[str, Any]) -> Answer:
        return {"revision": keeping.revision(self.workspace.inside(_get(data, "path", str)))}

    def _do_files(self, data: Mapping[str, Any]) -> Answer:
        kind, query = _get(data, "kind", str), _get(data, "query", str, "")
        return picking.files(self.workspace, kind, query, _get(data, "folder", str, None))

    def _do_keep(self, data: Mapping[str, Any]) -> Answer:
        return {"path": str(picking.keep(self.workspace, _get(data, "path", str), _get(data, "name", str)))}

    def _do_command(self, data: Mapping[str, Any]) -> Answer:
        path, name = _get(data, "path", str, None), _get(data, "name", str, "workflow")
        file = None if path is None else self.workspace.inside(path)
        return {"line": words.command(self.workspace, self.registry, _get(data, "text", str), file, name)}

    def _do_snippet(self, data: Mapping[str, Any]) -> Answer:
        visitor = _visitor.get()
        text = _get(data, "text", str)
        return {"python": words.snippet(self.registry, text, visitor.url, visitor.user is not None)}

    # ---- runs -----------------------------------------------------------------------------------------------------

    def _do_submit(self, data: Mapping[str, Any]) -> Answer:
        record = self.runs.submit(
            _get(data, "text", str),
            _get(data, "name", str, "workflow"),
            _get(data, "path", str, None),
            _names(data, "wanted"),
            _get(data, "front", bool, False),
        )
        return {"run": as_dict(record)}

    def _do_cancel(self, data: Mapping[str, Any]) -> Answer:
        return self.runs.after(lambda: self.queue.cancel(_get(data, "run", str)))

    def _do_move(self, data: Mapping[str, Any]) -> Answer:
        return self.runs.after(lambda: self.queue.move(_get(data, "run", str), _get(data, "place", int)))

    def _do_again(self, data: Mapping[str, Any]) -> Answer:
        made = self.queue.rerun(_get(data, "run", str))
        return {"run": as_dict(made), **self.runs.since(None)}

    def _do_remove(self, data: Mapping[str, Any]) -> Answer:
        return self.runs.after(lambda: self.queue.remove(*(_names(data, "runs") or ())))

    def _do_clean(self, data: Mapping[str, Any]) -> Answer:
        return self.runs.after(lambda: self.queue.clean(keep=_get(data, "keep", int, KEPT)))

    def _do_queue(self, data: Mapping[str, Any]) -> Answer:
        return self.runs.since(_get(data, "known", int, None))

    def _do_run(self, data: Mapping[str, Any]) -> Answer:
        run = _get(data, "run", str)
        return {"run": as_dict(self.queue.get(run)), "text": self.queue.text(run)}

    def _do_results(self, data: Mapping[str, Any]) -> Answer:
        record = self.queue.get(_get(data, "run", str))
        found = results(self.queue, self.store, record, _names(data, "nodes"))
        for path in named_pictures(found):
            folder = self.workspace.grant(Path(path))
            if folder is not None:
                gr.set_static_paths([folder])  # Gradio's list of what may be had is made at the start; this one grows.
        return {"results": found}

    def _do_gallery(self, data: Mapping[str, Any]) -> Answer:
        return self.gallery.page(_get(data, "offset", int, 0))

    def _place(self, data: Mapping[str, Any]) -> Path:
        path = _get(data, "path", str, None)
        file = None if path is None else self.workspace.inside(path)
        return place(self.workspace, _get(data, "name", str, "workflow"), file)


_NEEDED: Any = object()


def _get(data: Mapping[str, Any], name: str, kind: type[_T], default: Any = _NEEDED) -> Any:
    """Return a part of what was sent; raises BadInput where it is missing or of another kind."""
    value = data.get(name)
    if value is None:
        if default is _NEEDED:
            raise BadInput(f'"{name}" is missing; send a {_KINDS[kind]}.', name)
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadInput(f'"{name}" is a {_KINDS[kind]}, not {show(value)}.', name, value)
    return value


_KINDS: dict[type, str] = {str: "text", int: "whole number", bool: "true or false"}


def _names(data: Mapping[str, Any], name: str) -> list[str] | None:
    """Return a list of names that was sent, or None where it wasn't; raises BadInput for anything else."""
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadInput(f'"{name}" is a list of names, not {show(value)}.', name, value)
    return value
