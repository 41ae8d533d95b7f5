"""What a run tells: a numbered list of small facts, in order, that a late reader can catch up on.

    {"seq": 3, "time": 1732300000.5, "run": "r1", "kind": "node_progress", "node": "train",
     "data": {"step": 4, "total": 300, "message": "loss 0.21"}}

| kind             | data                                                                     |
|------------------|--------------------------------------------------------------------------|
| `run_started`    | nodes: how many take part; from the queue, attempt: 1, 2 after a resume  |
| `node_started`   | device                                                                   |
| `node_progress`  | step, total, message, preview (a path, or null)                          |
| `node_metric`    | name, value (null where it is not a finite number), step                 |
| `node_log`       | level, message                                                           |
| `node_cached`    | key                                                                      |
| `node_done`      | key, seconds                                                             |
| `node_failed`    | error (class), message (one paragraph), trace, bad_input (true, false)   |
| `node_skipped`   | because: the node that failed                                            |
| `node_cancelled` |                                                                          |
| `run_done`       | status ("done", "failed", "cancelled"), seconds; from the queue, error:  |
|                  | why it could not start, or the message of the first node that failed     |

A run of the queue that was cut off, by a kill or a restart, goes on later: its numbers go on, and a further
`run_started` says that all nodes begin anew (what they had finished is told as cached).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast, get_args

Kind: TypeAlias = Literal[
    "run_started",
    "node_started",
    "node_progress",
    "node_metric",
    "node_log",
    "node_cached",
    "node_done",
    "node_failed",
    "node_skipped",
    "node_cancelled",
    "run_done",
]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about a run. `seq` counts from 1 within the run, `time` is in seconds since 1970."""

    seq: int
    time: float
    run: str
    kind: Kind
    node: str | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON-able data; numbers that JSON cannot write (nan, inf) become null."""
        return {
            "seq": self.seq,
            "time": self.time,
            "run": self.run,
            "kind": self.kind,
            "node": self.node,
            "data": finite(self.data),
        }

    def to_json(self) -> str:
        """Return the event as one line of JSON, without the line's end."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, default=str)

    @classmethod
    def from_json(cls, line: str) -> Event:
        """Return the event that `to_json` wrote; raises ValueError for anything else."""
        data = json.loads(line)
        if not isinstance(data, dict) or data.get("kind") not in KINDS:
            raise ValueError("not an event: a JSON object with a known kind is needed")
        try:
            return cls(**cast(dict[str, Any], data))
        except TypeError as error:
            raise ValueError(f"not an event: {error}") from error


def finite(data: Any) -> Any:
    """Return `data` as any JSON writer can write it: nan and infinity are None, every text is `writable`.

    A whole number of more than 64 bits, which some writers refuse, is the nearest float. An event's data is shallow,
    and so is a document, so recursion is safe.
    """
    if isinstance(data, int) and not -(2**63) <= data < 2**63:
        data = float(data) if abs(data) < 10**308 else math.inf
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, str):
        return writable(data)
    if isinstance(data, dict):
        return {writable(str(name)): finite(part) for name, part in data.items()}
    if isinstance(data, list | tuple):
        return [finite(part) for part in data]
    return data


def writable(text: str) -> str:
    r"""Return a text that UTF-8 can say: half a character, as in the name of a file that is none, is written \udcff."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
