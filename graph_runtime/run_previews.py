"""Copies of the preview pictures that running nodes show.

A node draws its previews into a folder of its own, which is renamed or thrown away when it ends. So each is copied when
it is told, to `home/previews/<run>/<node>-<seq>.png`, and the event names the copy. Of a node that runs the newest few
are kept (somebody may be looking at one), of a node that has ended the last.

    previews = Previews(home / "previews" / run)
    previews.keep("train", Path("…/preview-000050.png"), seq=71)      # ".../previews/<run>/train-71.png", or None
"""

from __future__ import annotations

import hashlib
import re
import shutil
from contextlib import suppress
from pathlib import Path

NEWEST = 3
"""So many previews of a node are kept while it runs."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")


class Previews:
    """The previews of one run; used by one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept = _left_there(folder)
        """The copies of each node, oldest first, by the beginning of their names."""
        self._sources: dict[str, tuple[str, int, int, int]] = {}
        """What each node's latest copy was made of: path, inode, size, mtime in nanoseconds."""

    def keep(self, node: str, source: Path, seq: int) -> str | None:
        """Copy a picture and return the path of the copy, or None where it cannot be copied.

        The very picture that was copied last isn't copied again: nodes name it at every step until they draw another.
        """
        try:
            status = source.stat()
            mark = (str(source), status.st_ino, status.st_size, status.st_mtime_ns)
            kept = self._kept.setdefault(_stem(node), [])
            if kept and self._sources.get(node) == mark:
                return str(kept[-1])
            suffix = source.suffix if _SUFFIX.fullmatch(source.suffix) else ""
            target = self.folder / f"{_stem(node)}-{seq}{suffix}"
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        except (OSError, ValueError, shutil.Error):
            return None
        self._sources[node] = mark
        kept.append(target)
        self._thin(kept, NEWEST)
        return str(target)

    def end(self, node: str) -> None:
        """Keep only the last preview of a node."""
        self._sources.pop(node, None)
        self._thin(self._kept.get(_stem(node), []), 1)

    def _thin(self, kept: list[Path], count: int) -> None:
        for path in kept[:-count]:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        del kept[:-count]


def _stem(node: str) -> str:
    """Return how the names of a node's copies begin.

    The name of a node may have 100 letters of four bytes each; that of a file has 255 bytes at most.
    """
    if len(node) <= 50:
        return node
    return f"{node[:40]}-{hashlib.sha256(node.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _left_there(folder: Path) -> dict[str, list[Path]]:
    """Return the copies that an earlier attempt at the run left, oldest first, by the beginning of their names."""
    found: dict[str, list[tuple[int, Path]]] = {}
    with suppress(OSError):
        for path in folder.iterdir():
            stem, _, seq = path.name.partition(".")[0].rpartition("-")
            if seq.isdecimal():
                found.setdefault(stem, []).append((int(seq), path))
    return {stem: [path for _, path in sorted(copies)] for stem, copies in found.items()}
