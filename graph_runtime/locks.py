"""A folder that belongs to one process while that process lives.

Beside the folder lies `<folder>.lock`, on which the process holds an advisory lock (flock; a locked byte on Windows).
The system lets go of it when the process ends, however it ends, so a folder whose lock can be taken has no owner.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
from dataclasses import dataclass


@dataclass
class FolderLock:
    """A folder that this process holds."""

    folder: str
    handle: int

    @classmethod
    def take(cls, folder: str) -> FolderLock | None:
        """Make the folder if need be and take it; None where another process (or this one) holds it.

        Raises OSError where the folder cannot be made or the file system has no locks.
        """
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        handle = _lock(f"{folder}.lock")
        if handle is None:
            return None
        os.makedirs(folder, exist_ok=True)
        return cls(folder, handle)

    @classmethod
    def fresh(cls, parent: str) -> FolderLock:
        """Make and take a new folder in `parent`."""
        while True:
            taken = cls.take(os.path.join(parent, secrets.token_hex(8)))
            if taken is not None:
                return taken

    @classmethod
    def remove_if_free(cls, folder: str) -> bool:
        """Remove the folder where nobody holds it; returns whether it did."""
        taken = cls.take(folder)
        if taken is None:
            return False
        taken.remove()
        return True

    def release(self) -> None:
        """Let go of the folder, and leave it there."""
        os.close(self.handle)

    def remove(self) -> None:
        """Remove the folder, and let go of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        lock = f"{self.folder}.lock"
        if os.name == "nt":  # An open file cannot be removed there.
            os.close(self.handle)
            _unlink(lock)
        else:  # Removed while held: whoever opened it meanwhile sees that it is gone, and takes a new one.
            _unlink(lock)
            os.close(self.handle)


_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""What the system says of a lock that another process has."""


def _unlink(path: str) -> None:
    """Remove a file where that is possible."""
    try:
        os.unlink(path)
    except OSError:
        return


def _lock(path: str) -> int | None:
    """Return a handle that holds the lock on `path`, or None where it is held."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if error.errno in _HELD:
                return None
            raise  # A file system without locks, which no second try would give one.
        # Between opening and locking, the former holder may have removed the file.
        try:
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)
