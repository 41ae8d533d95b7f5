"""Where results are kept: on disk, found by what they are.

    home/
      store/9f/86d0.../result.json       the outputs of the node with key 9f86d0..., as JSON
      store/9f/86d0.../adapter.safetensors    the files that it made
      staging/<session>/<key>-<token>/   results in the making; a session is held by a lock while its process lives
      scratch/<key>/                     what a node keeps for its next attempt: checkpoints

A result is made in a staging folder and becomes visible by one rename, so it is there in full or not at all. In
`result.json` a path inside the folder is written {"$store": "adapter.safetensors"}, so that a store can be moved or
shared. A result counts only while everything that it names is as it was: a file of its own that is gone or has another
size, and a file elsewhere (an input image, a base model) that is gone or was touched, make it a miss.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import values
from .files import sync_folder
from .fingerprints import files_in
from .locks import FolderLock
from .values import Value

RESULT = "result.json"
_FORMAT = "loragraph-result/1"
_INSIDE = "$store"
_SCRATCH_DAYS = 30


def default_home() -> Path:
    """Return the folder for everything that is kept: LORAGRAPH_HOME, else the platform's place for user data."""
    given = os.environ.get("LORAGRAPH_HOME")
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("loragraph", appauthor=False)


class Store:
    """The results under one home. Several threads and several processes may use the same home at once."""

    def __init__(self, home: Path | str | None = None) -> None:
        # Resolved once: every path that is handed out begins alike, whatever links lead to it.
        self.home = os.path.realpath(home if home is not None else default_home())
        self._results = os.path.join(self.home, "store")
        self._lock = threading.Lock()
        self._session: FolderLock | None = None
        self._scratches: dict[str, FolderLock] = {}

    def folder(self, key: str) -> Path:
        """Return where the result of `key` lies or would lie."""
        return Path(self._folder(key))

    def lookup(self, key: str) -> dict[str, Value] | None:
        """Return the outputs kept under `key`, with absolute paths, or None where there are none that still hold."""
        return self._load(self._folder(key))

    def holds(self, key: str) -> bool:
        """Whether `lookup` would find something; quicker, since no value is built."""
        folder = self._folder(key)
        record = _read(folder)
        return record is not None and _intact(record, folder)

    def stage(self, key: str) -> Path:
        """Return a new empty folder for the files of a result in the making; end it with `commit` or `discard`."""
        with self._lock:
            if self._session is None:
                self._session = FolderLock.fresh(os.path.join(self.home, "staging"))
        staging = os.path.join(self._session.folder, f"{key[:16]}-{secrets.token_hex(8)}")
        os.mkdir(staging)
        return Path(staging)

    def commit(self, key: str, staging: Path, outputs: Mapping[str, Value]) -> dict[str, Value]:
        """Keep `outputs` and the files in `staging` under `key`, and return them with the paths they now have.

        Where somebody else was first, theirs are returned and `staging` is thrown away. The scratch folder of the key
        goes too. Raises OSError where the disk refuses; nothing is kept then.
        """
        source, target = os.path.realpath(staging), self._folder(key)
        record = self._seal(source, outputs)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        for _ in range(10):
            try:
                os.rename(source, target)
            except OSError:
                if not os.path.isdir(target):
                    raise
                first = self._load(target)
                if first is not None and _kinds(first) == _kinds(outputs):
                    self.discard(Path(source))
                    self._end_scratch(key)
                    return first
                # What lies there no longer holds (a file is gone, the node has other outputs now): out of the way, in
                # one step as well.
                with contextlib.suppress(FileNotFoundError):
                    os.rename(target, f"{source}-old")
                    shutil.rmtree(f"{source}-old", ignore_errors=True)
                continue
            break
        else:
            raise OSError(f"the result folder {target} cannot be replaced")
        if record["files"]:  # What can be lost only with its files is worth waiting for the disk.
            sync_folder(os.path.dirname(target))
        self._end_scratch(key)
        return _values(record, target)

    def discard(self, staging: Path) -> None:
        """Throw a staging folder away; no error where it is gone already."""
        shutil.rmtree(staging, ignore_errors=True)

    def scratch(self, key: str) -> Path:
        """Return the folder in which the node with `key` keeps what its next attempt can use.

        It belongs to one process at a time: where another one holds it, a private one is returned that does not last.
        """
        with self._lock:
            held = self._scratches.get(key)
            if held is None:
                held = FolderLock.take(os.path.join(self.home, "scratch", key))
                if held is None:
                    held = FolderLock.fresh(os.path.join(self.home, "staging"))
                self._scratches[key] = held
            return Path(held.folder)

    def end_attempt(self, key: str) -> None:
        """Let go of the scratch folder of `key` after an attempt that failed; what is in it stays for the next one."""
        with self._lock:
            held = self._scratches.pop(key, None)
        if held is not None:
            self._leave(held)

    def clean_stale(self) -> int:
        """Remove what dead processes left in staging, and scratch whose result is there or that is 30 days old.

        Returns how many folders it removed. What somebody holds stays.
        """
        removed = 0
        staging, scratch = os.path.join(self.home, "staging"), os.path.join(self.home, "scratch")
        for folder in _folders(staging):
            with contextlib.suppress(OSError):  # A home that can only be read is as good as any where all is found.
                removed += FolderLock.remove_if_free(folder)
        oldest = time.time() - _SCRATCH_DAYS * 86400
        for folder in _folders(scratch):
            with contextlib.suppress(OSError, ValueError):  # ValueError: a folder that is named after no key
                if os.stat(folder).st_mtime < oldest or self.holds(os.path.basename(folder)):
                    removed += FolderLock.remove_if_free(folder)
        return removed

    def close(self) -> None:
        """Give up the staging folders of this process; scratch folders stay for the next attempt."""
        with self._lock:
            if self._session is not None:
                self._session.remove()
                self._session = None
            for held in self._scratches.values():
                self._leave(held)
            self._scratches.clear()

    def _leave(self, held: FolderLock) -> None:
        """Give up a scratch folder: one that is private or empty goes."""
        if _is_inside(held.folder, os.path.join(self.home, "staging")) or _is_empty(held.folder):
            held.remove()
        else:
            held.release()

    def _folder(self, key: str) -> str:
        if len(key) < 3 or not key.isalnum():
            raise ValueError(f"not a key: {key!r}")
        return f"{self._results}{os.sep}{key[:2]}{os.sep}{key[2:]}"

    def _load(self, folder: str) -> dict[str, Value] | None:
        record = _read(folder)
        if record is None or not _intact(record, folder):
            return None
        try:
            return _values(record, folder)
        except ValueError:  # Made by a package that is not installed, or by another version of it.
            return None

    def _seal(self, staging: str, outputs: Mapping[str, Value]) -> dict[str, Any]:
        """Write result.json, flush the folder's files to the disk, and return what was written."""
        own = [(name, path, status) for name, path, status in files_in(staging) if name != RESULT]
        for _, path, _ in own:
            _flush(path)
        elsewhere: dict[str, list[int]] = {}
        for name, value in outputs.items():
            for path, _ in values.references(value):
                if not _is_inside(path, staging):
                    elsewhere.update(_marks(path))
                elif not os.path.exists(path):
                    raise FileNotFoundError(f'the output "{name}" names {path}, which the node has not written')
        dumped = {name: values.dump(value) for name, value in outputs.items()}
        relative = _relative(dumped, staging)
        record = {
            "outputs": relative,
            "inside": relative != dumped,  # Most results name nothing of their own; reading them can spare the walk.
            "files": {name: status.st_size for name, _, status in own},
            "elsewhere": elsewhere,
        }
        body = json.dumps(record, ensure_ascii=True, allow_nan=False)
        path = os.path.join(staging, RESULT)
        # The line carries its own checksum, so one that a power cut left half-written is a miss, not a wrong result.
        text = f"{_FORMAT} {hashlib.sha256(body.encode()).hexdigest()}\n{body}\n"
        with open(f"{path}.tmp", "w", encoding="ascii", newline="\n") as stream:
            stream.write(text)
            if own:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(f"{path}.tmp", path)
        if own:
            for folder in {os.path.dirname(each) for _, each, _ in own} | {staging}:
                sync_folder(folder)
        return record

    def _end_scratch(self, key: str) -> None:
        with self._lock:
            held = self._scratches.pop(key, None)
        if held is not None:
            held.remove()


def _read(folder: str) -> dict[str, Any] | None:
    """Return what result.json says, or None where it is not there or not whole."""
    try:
        handle = os.open(f"{folder}{os.sep}{RESULT}", os.O_RDONLY)
    except OSError:
        return None
    try:
        size = os.fstat(handle).st_size
        data = os.read(handle, size)
        while len(data) < size and (more := os.read(handle, size - len(data))):
            data += more
    except OSError:
        return None
    finally:
        os.close(handle)
    head, _, body = data.partition(b"\n")
    body = body.rstrip(b"\n")
    if head.decode("ascii", "replace") != f"{_FORMAT} {hashlib.sha256(body).hexdigest()}":
        return None
    record: dict[str, Any] = json.loads(body)
    return record


def _intact(record: Mapping[str, Any], folder: str) -> bool:
    """Whether every file of the result, and every file elsewhere that it names, is as it was."""
    try:
        for name, size in record["files"].items():
            status = os.stat(f"{folder}{os.sep}{name}")
            if status.st_size != size or not stat.S_ISREG(status.st_mode):
                return False
        for path, mark in record["elsewhere"].items():
            if _mark(os.stat(path)) != mark:
                return False
    except OSError:
        return False
    return True


def _values(record: Mapping[str, Any], folder: str) -> dict[str, Value]:
    inside = record["inside"]
    return {
        name: values.load(_absolute(dumped, folder) if inside else dumped) for name, dumped in record["outputs"].items()
    }


def _marks(path: str) -> Iterator[tuple[str, list[int]]]:
    """Yield (path, mark) for a file, or for a folder and every file in it."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        yield path, []  # Like no mark: a result that names what is not there is never found again.
        return
    yield path, _mark(status)
    if stat.S_ISDIR(status.st_mode):
        for _, file, inside in files_in(path):
            yield file, _mark(inside)


def _mark(status: os.stat_result) -> list[int]:
    # A folder's size and time change with every file that comes and goes beside those that count; its being there
    # is what matters.
    return [-1, -1] if stat.S_ISDIR(status.st_mode) else [status.st_size, status.st_mtime_ns]


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _relative(data: Any, folder: str) -> Any:
    """Return JSON-able data with every text that is a path in `folder` as {"$store": relative path}."""
    if isinstance(data, str):
        if not _is_inside(data, folder):
            return data
        return {_INSIDE: data[len(folder) + 1 :].replace(os.sep, "/")}
    if isinstance(data, dict):
        inner = {name: _relative(part, folder) for name, part in data.items()}
        return {_INSIDE: [inner[_INSIDE]]} if list(inner) == [_INSIDE] else inner  # Somebody's own {"$store": ...}.
    return [_relative(part, folder) for part in data] if isinstance(data, list) else data


def _absolute(data: Any, folder: str) -> Any:
    """Undo `_relative`, for the folder where the result lies now."""
    if isinstance(data, dict):
        if list(data) == [_INSIDE]:
            inside = data[_INSIDE]
            if isinstance(inside, list):
                return {_INSIDE: _absolute(inside[0], folder)}
            return os.path.join(folder, *inside.split("/")) if inside else folder
        return {name: _absolute(part, folder) for name, part in data.items()}
    return [_absolute(part, folder) for part in data] if isinstance(data, list) else data


def _kinds(outputs: Mapping[str, Value]) -> dict[str, type[Value]]:
    return {name: type(value) for name, value in outputs.items()}


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def _flush(path: str) -> None:
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _folders(parent: str) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
