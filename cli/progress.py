"""What a run looks like while it goes on: a live table on a terminal, plain lines elsewhere, JSON lines for programs.

All three are fed by the same events, one method `on_event`, and are context managers.
"""

import sys
import threading
import time
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any, Protocol

from ..graph_runtime.rows import ENDS, Row

if TYPE_CHECKING:
    from rich.table import Table

    from ..graph_runtime.events import Event

PLAIN_EVERY = 5.0
"""Seconds between two progress lines of one node where the output isn't a terminal."""


class Display(Protocol):
    """Shows a run's events."""

    def __enter__(self) -> "Display": ...
    def __exit__(self, *exc: object) -> None: ...
    def on_event(self, event: "Event") -> None: ...


class JsonLines:
    """One JSON object a line for each event, on standard output."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stream.flush()

    def on_event(self, event: "Event") -> None:
        self.stream.write(event.to_json() + "\n")
        self.stream.flush()


class PlainLines:
    """A line when a node starts, ends, or has something to say; for logs and pipes."""

    def __init__(self, nodes: Iterable[tuple[str, str]], stream: IO[str]) -> None:
        self.rows = {name: Row(kind) for name, kind in nodes}
        self.width = max((len(name) for name in self.rows), default=0)
        self.stream = stream

    def __enter__(self) -> "PlainLines":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stream.flush()

    def on_event(self, event: "Event") -> None:
        row = self.rows.get(event.node or "")
        if row is None:
            return
        row.take(event)
        if event.kind == "node_started":
            self._say(event.node, f"{row.type} started")
        elif event.kind == "node_progress" and event.time - max(row.said, row.started) >= PLAIN_EVERY:
            row.said = event.time
            self._say(event.node, f"{row.step}/{row.total}  {row.measures()}  {row.note}".rstrip())
        elif event.kind == "node_log":
            self._say(event.node, row.note)
        elif event.kind in ENDS:
            self._say(event.node, _ended(row, event.data))

    def _say(self, node: str | None, text: str) -> None:
        self.stream.write(f"{node or '':<{self.width}}  {text}\n")
        self.stream.flush()


def _ended(row: Row, data: dict[str, Any]) -> str:
    if row.state == "done":
        return f"done in {row.seconds:.1f} s  {row.measures()}".rstrip()
    if row.state == "cached":
        return "cached"
    return f"{row.state} {row.note}".rstrip() if row.state == "skipped" else row.state


STYLES = {
    "running": "bold yellow",
    "done": "green",
    "cached": "cyan",
    "failed": "bold red",
    "skipped": "dim",
    "cancelled": "magenta",
}


class LiveTable:
    """One row for each node, redrawn in place."""

    def __init__(self, nodes: Iterable[tuple[str, str]], stream: IO[str] | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self.rows = {name: Row(kind) for name, kind in nodes}
        self.lock = threading.Lock()
        self.console = Console(file=stream or sys.stderr)
        self.live = Live(get_renderable=self._table, console=self.console, refresh_per_second=8)

    def __enter__(self) -> "LiveTable":
        self.live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.live.refresh()
        self.live.__exit__(None, None, None)

    def on_event(self, event: "Event") -> None:
        with self.lock:
            if row := self.rows.get(event.node or ""):
                row.take(event)

    def _table(self) -> "Table":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in ("node", "type", "state", "", "time", ""):
            table.add_column(title, justify="right" if title == "time" else "left", no_wrap=title != "")
        with self.lock:
            for name, row in self._visible():
                bar = ProgressBar(row.total, row.step, width=24) if row.total and row.state == "running" else ""
                seconds = time.time() - row.started if row.state == "running" else row.seconds
                steps = f"{row.step}/{row.total}  " if row.total and row.state == "running" else ""
                table.add_row(
                    Text(name),
                    Text(row.type, style="dim"),
                    Text(row.state, style=STYLES.get(row.state, "dim")),
                    bar,
                    f"{seconds:.1f} s" if seconds else "",
                    Text(f"{steps}{row.measures()}  {row.note}".strip()),
                )
        return table

    def _visible(self) -> list[tuple[str, Row]]:
        """Return the rows that fit the screen: in a large workflow, those at work and those that went wrong."""
        rows = list(self.rows.items())
        space = max(5, self.console.height - 3)
        if len(rows) <= space:
            return rows
        order = {"running": 0, "failed": 0, "cancelled": 1, "done": 2, "skipped": 3, "waiting": 4, "cached": 5}
        return sorted(rows, key=lambda item: order.get(item[1].state, 4))[:space]
