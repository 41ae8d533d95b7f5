"""Which files in a run's output folder each of its nodes has saved, found by what the nodes said and when they ran.

    saved(events, out)        # {"save_grid": [Path("/out/grid-0001.png")], ...}

A saver names its files in its log ("saved grid-0001.png", "already there: /out/riso-0001.safetensors"; of a row of
files the first and the last, with " … " between). A node that names none gets what appeared in the folder while it ran
and nobody else has named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..graph_runtime.events import Event

TICK = 0.05
"""Seconds by which a file's time and an event's time may differ, though one follows from the other."""

_NUMBERED = re.compile(r"(.*?)(\d+)(\.\w+)")


@dataclass
class _Ran:
    """What is known of a node that really ran: its log, and when it began and ended (seconds since 1970)."""

    begun: float = 0.0
    ended: float = 0.0
    said: list[str] = field(default_factory=list)


def saved(events: Iterable[Event], out: Path, savers: Iterable[str]) -> dict[str, list[Path]]:
    """Return the files of each of `savers` (nodes without outputs), in the order of their names."""
    ran = {node: _Ran() for node in savers}
    for event in events:
        about = ran.get(event.node or "")
        if about is None:
            continue
        if event.kind == "node_started":
            about.begun = event.time
        elif event.kind == "node_log":
            about.said.append(str(event.data.get("message", "")))
        elif event.kind in ("node_done", "node_failed", "node_cancelled"):
            about.ended = event.time
    there = _files(out)
    found = {node: _named(" ".join(about.said), there) for node, about in ran.items()}
    taken = {name for names in found.values() for name in names}
    for node, about in ran.items():
        if not found[node] and about.begun and about.ended:
            found[node] = [
                name
                for name, changed in there.items()
                if name not in taken and about.begun - TICK <= changed <= about.ended + TICK
            ]
    return {node: [out / name for name in sorted(names)] for node, names in found.items()}


def _files(out: Path) -> dict[str, float]:
    """Return {name: when it was written} of the finished files; one in the making begins with a dot."""
    try:
        with os.scandir(out) as entries:
            return {entry.name: entry.stat().st_mtime for entry in entries if entry.is_file() and entry.name[0] != "."}
    except OSError:
        return {}


def _named(text: str, there: Iterable[str]) -> list[str]:
    """Return the files that a log names, and those that stand between two that it joins by " … "."""
    if not text:
        return []
    names = set(there)
    # Of thousands of files few are named, and a pattern costs a thousand times what a look does.
    likely = (name for name in names if name in text)
    found = {name for name in likely if re.search(rf"(^|[\s/\\'\"(]){re.escape(name)}($|[\s,;:.'\")])", text)}
    for first in list(found):
        match = re.search(re.escape(first) + r" … ([^,;\n]+)", text)
        ends = [name for name in names if match and match[1].startswith(name)]
        if ends:
            found |= _between(first, max(ends, key=len), names)
    return sorted(found)


def _between(first: str, last: str, names: Iterable[str]) -> set[str]:
    """Return those of `names` that differ from `first` and `last` in their number alone, which lies between theirs."""
    begin, end = _NUMBERED.fullmatch(first), _NUMBERED.fullmatch(last)
    if begin is None or end is None or (begin[1], begin[3]) != (end[1], end[3]):
        return set()
    found = set()
    for name in names:
        number = _NUMBERED.fullmatch(name)
        same = number is not None and (number[1], number[3]) == (begin[1], begin[3])
        if same and number is not None and int(begin[2]) <= int(number[2]) <= int(end[2]):
            found.add(name)
    return found
