"""Files on the server, for the pickers on nodes: what lies in a folder, and what is found by a few letters.

    files(workspace, "lora", "style")            # every LoRA file in the workspace's folders with "style" in its path
    files(workspace, "file", "", "/flows/cats")   # what lies in that folder: folders first, then files

An entry is {"path", "label", "detail", "kind", "size" (bytes), "modified" (seconds since 1970)}; its kind is what was
looked for, or "folder" for one to look into.
Nothing outside of the workspace's folders is ever listed, hidden files and folders are not, links are followed only
while they stay inside. `keep` turns a file that the browser has sent into one that stays.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from gradio.utils import get_upload_folder

from ..graph_runtime.errors import BadInput, did_you_mean, show
from ..graph_runtime.fingerprints import fingerprint
from .workspace import Workspace

Wanted: TypeAlias = Literal["file", "folder", "model", "lora"]

MOST = 200
"""Entries in an answer."""

SECONDS, DEEPEST = 1.5, 8
"""A search ends after this long, and goes so many folders deep."""

MODEL_FILES = (".safetensors", ".gguf")
SKIPPED = ("node_modules", "__pycache__")

LONGEST = 200
"""Bytes of the name of a file that is kept: a number, or what marks it as unfinished, must still fit into 255."""

_keeping = threading.Lock()


def files(workspace: Workspace, kind: str, query: str = "", folder: str | None = None) -> dict[str, Any]:
    """Return {"entries", "folder", "parent", "roots"}: a folder's content, or what `query` finds in all folders.

    Raises BadInput for an unknown kind and for a folder that may not be shown.
    """
    if kind not in get_args(Wanted):
        raise BadInput(f"{show(kind)} is nothing to look for. {did_you_mean(kind, get_args(Wanted))}")
    roots = workspace.roots()
    place = workspace.inside(folder) if folder else None
    if place is not None and not place.is_dir():
        raise BadInput(f"{place} is no folder.")
    words = query.lower().split()
    if words:
        found = _search(workspace, kind, words, [place] if place else [root for _, root in roots])
    elif place is None and kind in ("model", "lora"):
        found = _search(workspace, kind, [], [root for _, root in roots])
    else:
        found = _content(workspace, kind, place or workspace.folder)
    shown = place or workspace.folder
    parent = None if shown in {root for _, root in roots} else str(shown.parent)
    return {
        "entries": found,
        "folder": str(shown),
        "parent": parent,
        "roots": [{"label": name, "path": str(root)} for name, root in roots],
    }


def _content(workspace: Workspace, kind: str, place: Path) -> list[dict[str, Any]]:
    """Return what lies in a folder: the folders in it, and the files of the kind."""
    found = []
    try:
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name.lower()):
                if _hidden(entry.name) or not _stays_inside(workspace, entry):
                    continue
                path = Path(entry.path)
                if entry.is_dir() or _is(kind, path):
                    found.append(_entry(path, kind, ""))
    except OSError as error:
        raise BadInput(f"{place} can't be listed: {error.strerror or error}.") from error
    return sorted(found, key=lambda entry: entry["kind"] != "folder")[: 5 * MOST]


def _search(workspace: Workspace, kind: str, words: list[str], places: list[Path]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    end = time.monotonic() + SECONDS
    for root in places:
        for path in _walk(workspace, root, end, whole=kind in ("model", "lora")):
            relative = path.relative_to(root).as_posix()
            if str(path) not in found and all(word in relative.lower() for word in words) and _is(kind, path):
                found[str(path)] = _entry(path, kind, path.parent.relative_to(root.parent).as_posix())
            if len(found) >= MOST:
                break
    # The name itself first, then the short ones: what was meant is seldom the deepest.
    return sorted(
        found.values(), key=lambda entry: (not all(word in entry["label"].lower() for word in words), entry["label"])
    )


def _walk(workspace: Workspace, root: Path, end: float, whole: bool) -> Iterator[Path]:
    """Yield everything below a folder, nearest first, until the time is up; with `whole`, nothing inside of a model."""
    waiting = [(root, 0)]
    for place, depth in waiting:
        try:
            with os.scandir(place) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name.lower()):
                    if _hidden(entry.name) or not _stays_inside(workspace, entry):
                        continue
                    yield Path(entry.path)
                    into = entry.is_dir(follow_symlinks=False) and depth < DEEPEST
                    if into and not (whole and _is("model", Path(entry.path))):
                        waiting.append((Path(entry.path), depth + 1))
        except OSError:
            continue
        if time.monotonic() > end:
            return


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in SKIPPED


def _stays_inside(workspace: Workspace, entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder that may be shown may be shown too: a link is, where it leads to such a place."""
    if not entry.is_symlink():
        return entry.is_dir() or entry.is_file()
    try:
        workspace.inside(entry.path)
    except BadInput:
        return False
    return os.path.exists(entry.path)


def _is(kind: str, path: Path) -> bool:
    if kind == "folder":
        return path.is_dir()
    if kind == "lora":
        return path.suffix == ".safetensors" and path.is_file() and "-of-" not in path.name
    if kind == "model":
        return (path / "model_index.json").is_file() or (path.suffix in MODEL_FILES and path.is_file())
    return path.is_file()


def _entry(path: Path, kind: str, detail: str) -> dict[str, Any]:
    status = path.stat()
    return {
        "path": str(path),
        "label": path.name,
        "detail": detail,
        "kind": kind if _is(kind, path) else "folder",
        "size": 0 if path.is_dir() else status.st_size,
        "modified": status.st_mtime,
    }


def keep(workspace: Workspace, path: str, name: str) -> Path:
    """Move a file that the browser has just sent into the inputs folder, and return where it is now.

    The very same file, sent before under this name, is used again; another one of that name gets a number. Raises
    BadInput for a file that was not sent to this page.
    """
    sent = workspace.real(path)
    uploads = Path(os.path.realpath(get_upload_folder()))
    if not sent.is_relative_to(uploads) or not sent.is_file():
        raise BadInput(f"{show(path)} is no file that was sent to this page; send it again.")
    wanted = _plain(name)
    try:
        with _keeping:  # Two files of one name may come at once.
            return _moved(sent, workspace.inputs, wanted)
    except OSError as error:
        raise BadInput(f"the file can't be kept in {workspace.inputs}: {error.strerror or error}.") from error


def _plain(name: str) -> Path:
    """Return the name under which a file that was sent is kept; of a long one the end, which has its suffix."""
    letters = re.sub(r"[^\w. ()+-]", "_", Path(name.replace("\\", "/")).name)
    return Path(letters.encode("utf-8")[-LONGEST:].decode("utf-8", "ignore").lstrip(". ") or "file")


def _moved(sent: Path, inputs: Path, wanted: Path) -> Path:
    """Move a file into a folder under a name, with a number where another file has that name; return its path."""
    inputs.mkdir(parents=True, exist_ok=True)
    mark = fingerprint(sent, full=True)
    number = 1
    while True:
        target = inputs / (str(wanted) if number == 1 else f"{wanted.stem}-{number}{wanted.suffix}")
        if target.is_file() and fingerprint(target, full=True) == mark:
            sent.unlink()
            return target
        if not target.exists():
            break
        number += 1
    # A name that no other process has, which may keep a file of this name too.
    half = target.with_name(f".{secrets.token_hex(4)}-{target.name}.part")
    shutil.move(sent, half)
    os.replace(half, target)
    return target
