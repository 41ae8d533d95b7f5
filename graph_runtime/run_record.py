"""A run as the queue knows it: what is to be run, where it stands, and how it ended.

A run is `waiting` (in order of `position`), then `running` on a lane, then `done`, `failed` or `cancelled`. A run whose
process died goes back to `waiting` with one `attempt` more:

    waiting -> running -> done | failed | cancelled
       ^----------'  (resumed: attempt 2)

One that takes its process down again and again, without getting any further, is not resumed for ever: see `run_claims`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: tuple[Status, ...] = ("done", "failed", "cancelled")
"""The states that a run never leaves."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the queue knows of a run, without its document (`RunQueue.text`) and its events (`RunQueue.events`)."""

    id: str
    name: str
    title: str
    status: Status
    position: float
    """The order among the waiting: the smallest is next."""
    created: float
    """Seconds since 1970, like `started` (of the latest attempt) and `ended`."""
    started: float | None
    ended: float | None
    out: str
    """The folder in which savers write."""
    path: str | None
    """The document's file, if it has one: relative paths in settings start in its folder."""
    wanted: tuple[str, ...] | None
    """The nodes that are asked for; None asks for all."""
    device: str | None
    """The lane that runs it, or ran it last."""
    attempt: int
    """1; 2 and up after a resume."""
    error: str
    """Why it could not even start, else the message of the first node that failed."""
    nodes: int
    """How many nodes take part; before its first start, how many the document has."""
    finished: int
    """How many of them have ended in this attempt, in whatever state."""
    last_seq: int
    """The number of its latest event; 0 before the first."""
    stopping: bool
    """Whether a cancel was asked for."""
    rerun_of: str | None
    bad_input: bool
    """Whether a failure is one that the user has to mend."""
    deaths: int = 0
    """How many attempts in a row, up to the one before, died with their process and had got no further than before."""

    @property
    def ended_for_good(self) -> bool:
        """Whether nothing about this run will change any more."""
        return self.status in ENDED

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-able data; bytes of a path that are no text are shown as question marks."""
        data: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        data["out"] = _shown(self.out)
        data["path"] = None if self.path is None else _shown(self.path)
        data["wanted"] = None if self.wanted is None else list(self.wanted)
        return data


COLUMNS = tuple(field.name for field in fields(RunRecord))
"""The columns of the table `runs` that make a record, in the order of its fields."""


def to_row(record: RunRecord) -> tuple[Any, ...]:
    """Return the values of COLUMNS; paths as bytes, since they need not be UTF-8."""
    return tuple(_written(name, getattr(record, name)) for name in COLUMNS)


def from_row(row: tuple[Any, ...]) -> RunRecord:
    """Return the record that `to_row` wrote."""
    data = dict(zip(COLUMNS, row, strict=True))
    data["out"] = os.fsdecode(data["out"])
    data["path"] = None if data["path"] is None else os.fsdecode(data["path"])
    data["wanted"] = None if data["wanted"] is None else tuple(json.loads(data["wanted"]))
    data["stopping"], data["bad_input"] = bool(data["stopping"]), bool(data["bad_input"])
    return RunRecord(**data)


def _written(name: str, value: Any) -> Any:
    if name in ("out", "path"):
        return None if value is None else os.fsencode(value)
    if name == "wanted":
        return None if value is None else json.dumps(value)
    return int(value) if isinstance(value, bool) else value


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")
