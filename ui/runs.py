"""What a page may do with the queue: put a run into it, change it, and look.

A page never waits for a run: `submit` returns at once, and how it goes is told by `following`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..graph_runtime.errors import BadInput, DocumentError
from ..graph_runtime.registry import Registry
from ..graph_runtime.run_queue import RunQueue, RunRecord
from .judging import runnable
from .keeping import place, plain
from .workspace import Workspace

LISTED = 200
"""So many runs are listed: what runs, what waits, and of what has ended the newest."""


def as_dict(record: RunRecord) -> dict[str, Any]:
    """Return a run for the browser; `path` is None where the document never had a file of its own."""
    shown = record.to_dict()
    if record.path is not None and not Path(record.path).is_file():
        shown["path"] = None
    return shown


def said(error: DocumentError | BadInput) -> str:
    """Return what is wrong in words; a file that isn't there (a document that was never saved) is not named."""
    if isinstance(error, DocumentError) and error.source and not Path(error.source).is_file():
        return str(DocumentError(error.problems))
    return str(error)


class Runs:
    """The queue as the pages of one workspace see it."""

    def __init__(self, workspace: Workspace, registry: Registry, queue: RunQueue) -> None:
        self.workspace = workspace
        self.registry = registry
        self.queue = queue

    def submit(
        self,
        text: str,
        name: str,
        path: str | None = None,
        wanted: Sequence[str] | None = None,
        front: bool = False,
        changes: Sequence[str] = (),
    ) -> RunRecord:
        """Check a document in full and put it into the queue; its files go to a folder of its name.

        Raises DocumentError with everything that is wrong with it, BadInput where its folder can't be made.
        """
        file = place(self.workspace, name, None if path is None else self.workspace.inside(path))
        document = runnable(text, self.registry, file, wanted, changes)
        out = self.workspace.out / plain(name)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"the folder {out} can't be made ({error.strerror}); choose another with --out.") from error
        return self.queue.submit(document, name=name, out=out, wanted=wanted, front=front)

    def listed(self) -> list[dict[str, Any]]:
        """Return what runs, then what waits in its order, then what has ended, newest first."""
        return [as_dict(record) for record in self.queue.list(limit=LISTED)]

    def since(self, known: int | None) -> dict[str, Any]:
        """Return {"revision", "queue"}; the queue is None where nothing has changed since revision `known`."""
        revision = self.queue.revision()
        return {"revision": revision, "queue": None if revision == known else self.listed()}

    def after(self, change: Callable[[], Any]) -> dict[str, Any]:
        """Do what `change` does, and return the queue as it is then."""
        change()
        return {"revision": self.queue.revision(), "queue": self.listed()}
