"""Files for the user's output folder: whole or not there, and never in the place of another."""

import errno
import filecmp
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..graph_runtime.errors import BadInput

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}

_ADDING = threading.Lock()
"""Held between looking whether a file is there and naming a new one, so that two nodes don't both add the same."""


def checked_name(name: str) -> str:
    """Return `name` if it can be the beginning of a file name anywhere; BadInput otherwise.

    A workflow may come from a stranger, so a name never leads out of the output folder.
    """
    if not re.fullmatch(r"[^\s./\\:*?\"<>|\x00-\x1f\x7f][^/\\:*?\"<>|\x00-\x1f\x7f]{0,99}", name):
        raise BadInput(
            f'{name!r} can\'t be a file name; use 1 to 100 letters, digits, spaces, "-" or "_", and no folder.',
            field="name",
            value=name,
        )
    return name


class NumberedFiles:
    """The files `name-0001.suffix`, `name-0002.suffix`, … of a folder, as one node adds to them.

    Adding what lies there already, the same to the byte, adds nothing; but no file stands for two that one node adds.
    """

    def __init__(self, folder: Path, name: str, suffix: str) -> None:
        self.folder = folder
        self.name = name
        self.suffix = suffix
        self._sizes: dict[int, int] = {}
        self._used: set[int] = set()

    def add(self, write: Callable[[Path], None]) -> tuple[Path, bool]:
        """Return the file with what `write` writes, and whether it is new: it then has the next free number.

        `write` fills a temporary file in the same folder; it gets its final name by a hard link, which fails where the
        name is taken, so programs that save at the same time each get their own file, and none is seen half-written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{self.name}-{uuid.uuid4().hex}.part"
        try:
            write(partial)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            with _ADDING:
                numbers = sorted(_numbers(self.folder, self.name, self.suffix))
                number = self._same(partial, numbers)
                new = number is None
                if number is None:
                    number = 1 + max(numbers, default=0)
                    while not _placed(partial, self._path(number)):
                        number += 1
                self._used.add(number)
            return self._path(number), new
        finally:
            partial.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.name}-{number:04d}{self.suffix}"

    def _same(self, partial: Path, numbers: list[int]) -> int | None:
        """Return the number of the first file with the same bytes that this node hasn't used."""
        size = partial.stat().st_size
        for number in numbers:
            with suppress(OSError):  # another program may take files away meanwhile
                if number not in self._sizes:
                    self._sizes[number] = self._path(number).stat().st_size
                like = self._sizes[number] == size and number not in self._used
                if like and filecmp.cmp(partial, self._path(number), shallow=False):
                    return number
        return None


def _numbers(folder: Path, name: str, suffix: str) -> list[int]:
    pattern = re.compile(re.escape(name) + r"-(\d{1,9})" + re.escape(suffix))
    return [int(match[1]) for entry in os.scandir(folder) if (match := pattern.fullmatch(entry.name))]


def _placed(partial: Path, target: Path) -> bool:
    """Give the finished file its name; False where the name is taken."""
    try:
        os.link(partial, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _placed_without_links(partial, target)
    return True


def _placed_without_links(partial: Path, target: Path) -> bool:
    try:
        target.open("xb").close()
    except FileExistsError:
        return False
    shutil.move(partial, target)
    return True
