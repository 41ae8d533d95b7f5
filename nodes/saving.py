"""Files for the user's output folder: whole or not there, and never in the place of another."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from ..graph_runtime.errors import BadInput

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


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


def numbered(folder: Path, name: str, suffix: str, write: Callable[[Path], None]) -> Path:
    """Write `name-0001.suffix`, or the next free number, and return its path.

    `write` fills a temporary file in the same folder; it gets its final name by a hard link, which fails where the name
    is taken, so nodes (and programs) that save at the same time each get their own file, and none is seen half-written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{name}-{uuid.uuid4().hex}.part"
    try:
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        number = 1 + max(_numbers(folder, name, suffix), default=0)
        while not _placed(partial, folder / f"{name}-{number:04d}{suffix}"):
            number += 1
        return folder / f"{name}-{number:04d}{suffix}"
    finally:
        partial.unlink(missing_ok=True)


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
