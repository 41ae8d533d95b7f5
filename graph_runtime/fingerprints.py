"""What is in a file, said in one short text, and remembered so that an unchanged file is read once.

    Fingerprints(home / "fingerprints.sqlite").of(Path("cat.safetensors"))     "sha256:9f86..."

A file of up to 256 MiB is hashed whole. A larger one (a checkpoint) is told by its size, its first 8 MiB (a safetensors
file's header), its last MiB, and 256 blocks of 64 KiB spread evenly between: "sampled:..."; a change that touches none
of these goes unseen, so `full=True` hashes it whole. A folder is told by the names and fingerprints of all its files.

What was read is remembered by path, size, modification time, change time and inode. A file that was modified within the
last two seconds is not remembered: a second change within the clock's tick would go unseen.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

WHOLE = 256 * 2**20
HEADER = 8 * 2**20
TAIL = 2**20
BLOCK = 64 * 2**10
BLOCKS = 256
RECENT_NS = 2 * 10**9
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that file managers strew about; they are no part of a folder's content."""

State = tuple[int, int, int, int]
"""(size, mtime_ns, ctime_ns, inode)"""


def fingerprint(path: Path | str, full: bool = False) -> str:
    """Return the fingerprint of a file or folder, reading it; raises OSError where it cannot be read."""
    return _of(Path(path), lambda file, status: _read(file, status.st_size, full))


class Fingerprints:
    """Fingerprints with a memory on disk. A memory that cannot be opened or written costs time, never correctness.

    Safe to use from several threads, and from several processes with the same memory. With `patience`, `of` raises
    TimeoutError after so many seconds in a folder; what it has read by then is remembered, and the next try goes on.
    """

    def __init__(self, memory: Path | None = None, *, patience: float | None = None) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        if memory is not None:
            with contextlib.suppress(sqlite3.Error, OSError):
                memory.parent.mkdir(parents=True, exist_ok=True)
                self._database = _open(memory)

    def of(self, path: Path | str, full: bool = False) -> str:
        """Return the fingerprint of a file or folder; raises OSError where it cannot be read.

        `full` reads every file to its end, whatever its size and whatever is remembered.
        """
        learned: list[tuple[str, State, str]] = []
        end = None if self._patience is None else time.monotonic() + self._patience

        def one(file: str, status: os.stat_result) -> str:
            state = _state(status)
            known = None if full else self._recall(file, state)
            if known is not None:
                return known
            if end is not None and time.monotonic() > end:
                raise TimeoutError(f"there is too much in {path} to be read now")
            found = _read(file, status.st_size, full)
            settled = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > RECENT_NS
            # A file that changed while it was read is not remembered either.
            if settled and not full and _state(os.stat(file)) == state:
                learned.append((file, state, found))
            return found

        try:
            return _of(Path(path), one)
        finally:
            self._remember(learned)

    def close(self) -> None:
        """Close the memory."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _recall(self, file: str, state: State) -> str | None:
        with self._lock:
            if self._database is None:
                return None
            try:
                row = self._database.execute(
                    "SELECT fingerprint FROM files WHERE path=? AND size=? AND mtime=? AND ctime=? AND inode=?",
                    (os.fsencode(file), *map(str, state)),
                ).fetchone()
            except sqlite3.Error:
                return None
            return None if row is None else str(row[0])

    def _remember(self, learned: list[tuple[str, State, str]]) -> None:
        with self._lock:
            if self._database is None or not learned:
                return
            rows = [(os.fsencode(file), *map(str, state), found) for file, state, found in learned]
            with contextlib.suppress(sqlite3.Error), self._database:
                self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)


def _open(memory: Path) -> sqlite3.Connection:
    database = sqlite3.connect(memory, timeout=10, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        # Numbers as text: an inode can be larger than SQLite's integers; paths as bytes: they need not be UTF-8.
        database.execute(
            "CREATE TABLE IF NOT EXISTS files"
            " (path BLOB PRIMARY KEY, size TEXT, mtime TEXT, ctime TEXT, inode TEXT, fingerprint TEXT)"
        )
    except sqlite3.Error:
        database.close()
        raise
    return database


def _state(status: os.stat_result) -> State:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _of(path: Path, one: Callable[[str, os.stat_result], str]) -> str:
    absolute = os.path.abspath(path)
    status = os.stat(absolute)
    if stat.S_ISREG(status.st_mode):
        return one(absolute, status)
    if not stat.S_ISDIR(status.st_mode):
        raise OSError(f"{absolute} is neither a file nor a folder")
    digest = hashlib.sha256()
    for name, file, inside in sorted(files_in(absolute), key=lambda found: found[0]):
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0" + one(file, inside).encode() + b"\0")
    return f"folder:{digest.hexdigest()}"


def files_in(folder: str) -> list[tuple[str, str, os.stat_result]]:
    """Return (name relative to `folder` with /, absolute path, status) of every file in it, at any depth.

    Links are followed, a folder that a link leads back to is entered once.
    """
    found: list[tuple[str, str, os.stat_result]] = []
    waiting = [("", folder)]
    root = os.stat(folder)
    entered = {(root.st_dev, root.st_ino)}
    while waiting:
        prefix, path = waiting.pop()
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                status = os.stat(entry.path)
                if stat.S_ISDIR(status.st_mode):
                    place = (status.st_dev, status.st_ino)
                    if not entry.is_symlink() or place not in entered:
                        entered.add(place)
                        waiting.append((f"{prefix}{entry.name}/", entry.path))
                elif stat.S_ISREG(status.st_mode) and entry.name not in LITTER:
                    found.append((f"{prefix}{entry.name}", entry.path, status))
    return found


def _read(file: str, size: int, full: bool) -> str:
    with open(file, "rb") as stream:
        if full or size <= WHOLE:
            return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        digest = hashlib.sha256(str(size).encode() + b"\0" + stream.read(HEADER))
        for index in range(BLOCKS):
            stream.seek(HEADER + (size - HEADER - TAIL - BLOCK) * index // (BLOCKS - 1))
            digest.update(stream.read(BLOCK))
        stream.seek(size - TAIL)
        digest.update(stream.read(TAIL))
        return f"sampled:{digest.hexdigest()}"
