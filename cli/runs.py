"""`loragraph runs`: the queue and what has been run, listed, shown, and put in order."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, Home, complain, wrong_input_exits

if TYPE_CHECKING:
    from ..graph_runtime.run_queue import RunQueue, RunRecord

app = typer.Typer(
    help="List the runs: what runs, what waits, what is over. Ids may be shortened.", invoke_without_command=True
)

Id = Annotated[str, typer.Argument(metavar="ID", help="A run's id, its beginning, or its last part.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of runs, their beginnings, or last parts.")]

SHOWN = 20
"""So many runs are listed without --all."""
EVERY = 1_000_000_000
GAP = 2
"""Blanks between the columns of the list."""
NARROWEST = 16
"""Errors are left out of the list where there is less room for them."""


@contextmanager
def _opened(home: Any) -> Iterator["RunQueue"]:
    from ..graph_runtime.run_queue import RunQueue
    from ..graph_runtime.store import default_home

    with wrong_input_exits():
        queue = RunQueue(home or default_home())
        try:
            yield queue
        finally:
            queue.close()


@app.callback()
def listed(
    context: typer.Context,
    home: Home = None,
    json_: AsJson = False,
    all_: Annotated[bool, typer.Option("--all", help=f"All runs, not only the first {SHOWN}.")] = False,
) -> None:
    """List the runs: what runs, what waits in its order, what is over, newest first."""
    context.obj = home
    if context.invoked_subcommand is not None:
        return
    with _opened(home) as queue:
        records = queue.list(limit=EVERY if all_ else SHOWN)
    if json_:
        print(json.dumps([record.to_dict() for record in records], indent=2, ensure_ascii=False))
    elif records:
        _print_table(records)
    else:
        complain("no runs yet; `loragraph run FILE --queue` makes one")


@app.command()
def show(context: typer.Context, run: Id, home: Home = None, json_: AsJson = False) -> None:
    """Show one run: its nodes and how they ended, and what went wrong."""
    with _opened(home or context.obj) as queue:
        record = queue.find(run)
        results = queue.results(record.id)
        failures = {event.node: event.data for event in queue.events(record.id) if event.kind == "node_failed"}
        written = json.loads(queue.text(record.id))["nodes"]
    if json_:
        nodes = {node: {"ended": ended, "key": key} for node, (ended, key) in results.items()}
        print(json.dumps({**record.to_dict(), "results": nodes}, indent=2, ensure_ascii=False))
        return
    for title, value in _facts(record):
        print(f"{title:<9} {value}")
    width = max(map(len, written), default=0)
    for node, body in written.items():
        ended = results.get(node, (body.get("mode") or "-", ""))[0]
        print(f"  {node:<{width}}  {ended:<9}  {body.get('type')}")
        if ended == "failed" and (data := failures.get(node)) is not None:
            said = (
                data.get("message", "") if data.get("bad_input") else f"{data.get('trace') or ''}{data.get('message')}"
            )
            print("\n".join(f"      {line}" for line in said.splitlines()))
    if record.error and "failed" not in {ended for ended, _ in results.values()}:
        print(record.error)


@app.command()
def cancel(context: typer.Context, runs: Ids, home: Home = None) -> None:
    """End waiting runs, and ask running ones to stop."""
    with _opened(home or context.obj) as queue:
        for run in _found(queue, runs):
            record = queue.cancel(run)
            print(f"{run} {'is asked to stop' if record.status == 'running' else f'is {record.status}'}")


@app.command()
def move(
    context: typer.Context,
    run: Id,
    place: Annotated[int, typer.Argument(min=0, help="The place among those that wait; 0 is next.")],
    home: Home = None,
) -> None:
    """Give a waiting run another place."""
    with _opened(home or context.obj) as queue:
        found = queue.find(run).id
        queue.move(found, place)
        print(f"{found} is moved")


@app.command()
def again(
    context: typer.Context,
    run: Id,
    front: Annotated[bool, typer.Option("--front", help="Before all that wait.")] = False,
    home: Home = None,
) -> None:
    """Put the same run into the queue once more."""
    with _opened(home or context.obj) as queue:
        record = queue.rerun(queue.find(run).id, front)
        print(f"{record.id} waits in the queue, until `loragraph ui` or a `loragraph run --queue` takes it")


@app.command()
def remove(context: typer.Context, runs: Ids, home: Home = None) -> None:
    """Forget runs that are over; results and saved files stay."""
    with _opened(home or context.obj) as queue:
        print(f"{queue.remove(*_found(queue, runs))} removed")


@app.command()
def clean(
    context: typer.Context,
    keep: Annotated[int, typer.Option("--keep", min=0, help="So many of the newest stay.")] = 100,
    home: Home = None,
) -> None:
    """Forget old runs that are over; results and saved files stay."""
    with _opened(home or context.obj) as queue:
        print(f"{queue.clean(keep=keep)} removed")


def _found(queue: "RunQueue", texts: list[str]) -> list[str]:
    return list(dict.fromkeys(queue.find(text).id for text in texts))


def _print_table(records: list["RunRecord"]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from .progress import STYLES

    console = Console(highlight=False)
    titles = ("id", "name", "state", "nodes", "made", "took", "")
    short = len("2026-") if console.width < 100 else 0
    rows = []
    for record in records:
        state = "stopping" if record.stopping and record.status == "running" else record.status
        ended = f"{record.finished}/{record.nodes}"
        error = record.error.partition("\n")[0]
        rows.append((record.id, record.name, state, ended, _moment(record.created)[short:], _took(record), error))
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    # What is left is shared by the names, which are cut, and the errors, which wrap; `runs show` has both in full.
    room = console.width - sum(width + GAP for place, width in enumerate(widths) if place not in (1, 6))
    widths[1] = min(widths[1], max(room, len("name")))
    widths[6] = room - widths[1] - GAP
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for title, width in zip(titles[:6], widths, strict=False):
        table.add_column(title, justify="right" if title in ("nodes", "took") else "left", no_wrap=True, width=width)
    if widths[6] >= NARROWEST:
        table.add_column("", width=min(widths[6], max(len(row[6]) for row in rows) or 1))
    for row in rows:
        cells = [Text(cell, style=STYLES.get(cell, "dim") if place == 2 else "") for place, cell in enumerate(row)]
        table.add_row(*cells[: len(table.columns)])
    console.print(table)


def _facts(record: "RunRecord") -> Iterator[tuple[str, str]]:
    yield "run", record.id
    yield "workflow", f"{record.name}{f' ({record.path})' if record.path else ''}"
    if record.title:
        yield "title", record.title
    yield "state", f"{record.status}, {record.finished} of {record.nodes} nodes have ended"
    yield "made", _moment(record.created) + (f", again after {record.rerun_of}" if record.rerun_of else "")
    if record.started is not None:
        attempt = f", attempt {record.attempt}" if record.attempt > 1 else ""
        yield "started", f"{_moment(record.started)} on {record.device}{attempt}"
    if record.ended is not None:
        yield "ended", f"{_moment(record.ended)}{f', after {_took(record)}' if record.started else ''}"
    if record.wanted is not None:
        yield "wanted", ", ".join(record.wanted)
    yield "files in", record.out


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _took(record: "RunRecord") -> str:
    """Return how long the latest attempt has taken, "" where there was none."""
    if record.started is None:
        return ""
    return f"{(record.ended or time.time()) - record.started:.1f} s"
