"""Documents on the server: open, list, save, and notice that somebody else has saved meanwhile.

A `Kept` is what a page has open: {"name", "path" (None: no file yet), "revision" (None: never saved)}. A revision is a
hash of the file's content, so a file that was touched but not changed is still the same:

    revision(path)                         # "9f86d081884c7d65"
    save(workspace, registry, text, path=..., revision="9f86...")    # Conflict where the file is another one by now

Whatever can be read opens, wrong settings, unknown types and all: the problems are told beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..graph_runtime import checking, reading
from ..graph_runtime.document import Document
from ..graph_runtime.errors import BadInput, DocumentError, Problem, show
from ..graph_runtime.files import write_atomically
from ..graph_runtime.registry import Registry
from .workspace import TEMPLATES, Workspace

LARGEST_LISTED = 4 * 2**20
"""Bytes; a larger file is opened on request, but not read for the list."""

DEEPEST, MOST, SECONDS = 4, 500, 2.0
"""The list goes so many folders deep, has so many documents at most, and is made within this time."""

_FILE_NAME = re.compile(r"[^\s./\\:*?\"<>|\x00-\x1f\x7f][^/\\:*?\"<>|\x00-\x1f\x7f]{0,99}")
_saving = threading.Lock()


class Conflict(Exception):
    """The file is not the one that was opened; `theirs` is {"text", "revision"}, the text None where it is no text."""

    def __init__(self, path: Path, theirs: dict[str, str | None]) -> None:
        super().__init__(f"{path} was saved by somebody else meanwhile.")
        self.theirs = theirs


def revision(path: Path) -> str | None:
    """Return the revision of a file, or None where there is none."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    except OSError:
        return None


def read(text: str, registry: Registry, path: Path | None) -> tuple[Document, list[Problem]]:
    """Return the document in a text and every problem of it; raises DocumentError where it can't be read at all.

    `path` is where relative paths start, and is not read.
    """
    if len(text) > reading.LARGEST:
        said = f"this text has {len(text):,} characters; a workflow has at most {reading.LARGEST:,}."
        raise DocumentError([Problem(None, None, None, said)])
    document, problems = reading.read(text, registry, path, allow_missing=True)
    reported = {(problem.node, problem.field) for problem in problems}
    _, more = checking.check(document, registry, check_files=True, reported=reported)
    return document, problems + more


def place(workspace: Workspace, name: str, path: Path | None) -> Path:
    """Return the file that a document has or, without one, would have: relative paths in its settings start there."""
    return path or workspace.folder / f"{plain(name)}.json"


def plain(name: str) -> str:
    """Return a name that can be a file's, made of one that was thought of as a title."""
    return re.sub(r"[^\w -]", "_", name).strip()[:80] or "workflow"


def opened(text: str, registry: Registry, path: Path | None) -> dict[str, Any]:
    """Return what the page needs of a text: {"document", "problems", "missing", "upgraded"}."""
    document, problems = read(text, registry, path)
    return {
        "document": document.to_json(),
        "problems": [problem_dict(problem) for problem in problems],
        "missing": {node: _where(document.nodes[node].type, registry) for node in sorted(document.missing)},
        "upgraded": document.upgraded,
    }


def _where(type_name: str, registry: Registry) -> str:
    hint = registry.unknown(type_name).hint
    return f'"{type_name}" is not installed. {hint} If it is from a node package, install that, and start anew.'


def problem_dict(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON-able data."""
    shown: dict[str, Any] = {"node": problem.node, "field": problem.field}
    if problem.value is not None:
        shown["value"] = show(problem.value)
    return {**shown, "message": problem.message, "hint": problem.hint}


def open_path(workspace: Workspace, text: str) -> tuple[Path, str]:
    """Return the real path and the text of a workflow file that the page names; BadInput, DocumentError."""
    path = workspace.inside(text)
    return path, reading.read_text(path)


def save(
    workspace: Workspace,
    registry: Registry,
    text: str,
    *,
    name: str | None = None,
    path: str | None = None,
    known: str | None = None,
    overwrite: bool = False,
) -> tuple[Path, str]:
    """Write a document and return its path and revision.

    `known` is the revision that the page opened or saved last. Raises Conflict where the file is another one (with
    `name`: where there is one already), BadInput for a place that can't be written, DocumentError for no workflow.
    """
    if len(data := text.encode("utf-8", "replace")) > reading.LARGEST:
        raise BadInput(f"this workflow has {len(data):,} bytes; one of more than {reading.LARGEST:,} can't be opened.")
    reading.read(text, registry, None, allow_missing=True)
    target = _target(workspace, name, path)
    with _saving:
        now = revision(target)
        if now is None and target.exists():
            raise BadInput(f"{target} is there already, and is no file that can be read. Choose another name.")
        if now is not None and now != known and not overwrite:
            raise Conflict(target, {"text": _text_of(target), "revision": now})
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, data)
        except OSError as error:
            raise BadInput(f"{target} can't be written: {error.strerror or error}.") from error
        return target, hashlib.sha256(data).hexdigest()[:16]


def _target(workspace: Workspace, name: str | None, path: str | None) -> Path:
    if path is not None:
        target = workspace.inside(path)
    else:
        stem = (name or "").removesuffix(".json")
        if not _FILE_NAME.fullmatch(stem):
            raise BadInput(f'{show(name)} can\'t be a file name; use letters, digits, spaces, "-" or "_", no folder.')
        target = workspace.inside(f"{stem}.json")
    if target.suffix != ".json":
        raise BadInput(f"{target.name} is no name of a workflow file; it ends in .json.")
    if target != workspace.first and not target.is_relative_to(workspace.folder):
        raise BadInput(f"documents are saved in {workspace.folder}; {target} lies elsewhere.")
    return target


def _text_of(path: Path) -> str | None:
    try:
        return reading.read_text(path)
    except DocumentError:
        return None


def listed(workspace: Workspace) -> list[dict[str, Any]]:
    """Return every workflow in the folder (and the folders in it), the one changed last first."""
    found = []
    end = time.monotonic() + SECONDS
    for path in _json_files(workspace.folder, end):
        try:
            if path.is_symlink():
                workspace.inside(str(path))
            status = path.stat()
            plain_file = stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_LISTED
            about = summary(path) if plain_file else None
        except (OSError, BadInput):  # gone meanwhile, or a link that leads elsewhere
            continue
        if about is not None:
            name = path.relative_to(workspace.folder).with_suffix("").as_posix()
            found.append({"name": name, "path": str(path), "modified": status.st_mtime, **about})
        if len(found) >= MOST or time.monotonic() > end:
            break
    return sorted(found, key=lambda entry: -entry["modified"])


def _json_files(folder: Path, end: float) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        if time.monotonic() > end:
            return
        depth = len(Path(parent).relative_to(folder).parts)
        skipped = (".", "__")
        folders[:] = sorted(
            each for each in folders if depth < DEEPEST and not each.startswith(skipped) and each != "node_modules"
        )
        yield from (Path(parent, name) for name in sorted(files) if name.endswith(".json") and name[0] != ".")


def summary(path: Path) -> dict[str, Any] | None:
    """Return {"title", "nodes": how many} of a workflow file, or None where it is none."""
    try:
        text = path.read_text("utf-8-sig")
        if '"loragraph/' not in text:
            return None
        data = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not str(data.get("format", "")).startswith("loragraph/"):
        return None
    nodes, title = data.get("nodes"), data.get("title")
    return {"title": title if isinstance(title, str) else "", "nodes": len(nodes) if isinstance(nodes, dict) else 0}


def template_files() -> dict[str, Path]:
    """Return the ready-made workflow files by name, the one to begin with first."""
    found = sorted(TEMPLATES.glob("*.json"), key=lambda path: (path.stem != "teach_a_style", path.stem))
    return {path.stem: path for path in found}
