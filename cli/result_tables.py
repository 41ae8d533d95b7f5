"""The tables that a run ends in, for people to read: those of outputs that no other node takes.

    inspect.table: emoji style (4 rows)
    the same in every row: rank 4, alpha 4, scale 1, kind lora, dtype float32
    module                                        norm  largest  stable rank
    …single_transformer_blocks.0.attn.to_q      0.1307   0.1051        1.545
    … 12 more rows; the whole table is "table" in /home/…/store/9f/86d0…/result.json

A table is as wide as the terminal at most. If it is too wide, what is the same in every row is said once, names are
shortened from the left, where they differ least, and the last columns are left out by name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from ..graph_runtime.keys import Work
from ..graph_runtime.modes import effective
from ..graph_runtime.run_state import address
from ..graph_runtime.store import RESULT, Store
from ..graph_runtime.values import Table
from .common import printable

if TYPE_CHECKING:
    from rich.console import Console

    from ..graph_runtime.document import Document
    from ..graph_runtime.registry import Registry

ROWS = 40
"""So many rows of a table are printed."""
PIPED = 300
"""Characters a line where the output is no terminal."""
NARROWEST, WIDEST, SHORT, GAP = 16, 60, 8, 2
"""Characters: names are shortened to no fewer; another text is cut at so many; a title of so many is not broken; so
many lie between columns."""

ENDED_WELL = ("done", "cached")


def show_tables(
    document: Document,
    registry: Registry,
    ended: Mapping[str, tuple[str, str]],
    *,
    run: str,
    home: Path,
    jsonl: bool = False,
) -> None:
    """Print the tables in which a run has ended, to standard error where events are what the output is for.

    `ended` is {node: (how it ended, key)} of that run; what is gone from the store by now is left out.
    """
    from rich.console import Console

    stream: IO[str] = sys.stderr if jsonl else sys.stdout
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else PIPED)
    for name, table, file in end_tables(document, registry, ended, run, Store(home)):
        _show(console, name, table, file)


def end_tables(
    document: Document, registry: Registry, ended: Mapping[str, tuple[str, str]], run: str, store: Store
) -> Iterator[tuple[str, Table, Path]]:
    """Yield ("node.output", the table, the file that holds it) of each output that no node takes."""
    nodes = effective(document, registry).nodes
    taken = {(wire.node, wire.output) for spec in nodes.values() for wire in spec.wires()}
    for node, spec in nodes.items():
        node_type = registry.find(spec.type)
        status, key = ended.get(node, ("", ""))
        if node_type is None or status not in ENDED_WELL or not key:
            continue
        ends = [n for n, kind in node_type.outputs.items() if issubclass(kind, Table) and (node, n) not in taken]
        place = address(Work(key, {}, cache=node_type.cache), run, node)
        outputs = (store.lookup(place) if ends else None) or {}
        for name in ends:
            value = outputs.get(name)
            if isinstance(value, Table):
                yield f"{node}.{name}", value, store.folder(place) / RESULT


class _Column(NamedTuple):
    title: str
    cells: list[str]
    number: bool
    width: int


def _show(console: Console, name: str, table: Table, file: Path) -> None:
    import rich.table
    from rich.text import Text

    count = len(table.rows)
    console.print(Text(f"\n{name}: {printable(table.title)} ({count} row{'s' * (count != 1)})", style="bold"))
    columns = [_column(table, place) for place in range(len(table.columns))]
    if _wide(columns) > console.width and count > 1:
        alike = [column for place, column in enumerate(columns) if place and len(set(column.cells)) == 1]
        columns = [column for column in columns if column not in alike]
        if alike:
            told = ", ".join(f"{column.title} {column.cells[0]}" for column in alike)
            console.print(Text(f"the same in every row: {told}"))
    columns, left_out = _fitted(columns, console.width)
    drawn = rich.table.Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for column in columns:
        drawn.add_column(Text(column.title), justify="right" if column.number else "left", width=column.width)
    for number in range(min(count, ROWS)):
        drawn.add_row(*(Text(_cut(column.cells[number], column, column is columns[0])) for column in columns))
    console.print(drawn)
    if left_out:
        console.print(Text(f"too wide for {', '.join(left_out)}"))
    if left_out or count > ROWS:
        rows = f"… {count - ROWS} more rows; " if count > ROWS else ""
        # in one piece, for it to be copied from a narrow terminal
        console.print(Text(f'{rows}the whole table is "{name.rpartition(".")[2]}" in {file}'), soft_wrap=True)


def _column(table: Table, place: int) -> _Column:
    cells = [row[place] for row in table.rows]
    # of many rows only some are printed; which are alike is told of all
    written = ["-" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else printable(cell) for cell in cells]
    written = [" ".join(cell.split()) for cell in written]
    title = " ".join(printable(table.columns[place]).split())
    number = bool(place) and all(cell is None or isinstance(cell, int | float) for cell in cells)
    widest = max((len(cell) for cell in written[:ROWS]), default=0)
    # a long title is broken between its words
    words = title.split() if len(title) > SHORT else [title]
    return _Column(title, written, number, max(min(widest, WIDEST) if place else widest, *map(len, words), 1))


def _wide(columns: Sequence[_Column]) -> int:
    return sum(column.width + GAP for column in columns)


def _fitted(columns: Sequence[_Column], width: int) -> tuple[list[_Column], list[str]]:
    """Return the columns that fit, the first one narrower where that helps, and the titles of the others."""
    name, *others = columns
    kept = list(others)
    while kept and min(name.width, NARROWEST) + GAP + _wide(kept) > width:
        kept.pop()
    name = name._replace(width=max(1, min(name.width, width - _wide(kept) - GAP)))
    return [name, *kept], [column.title for column in others[len(kept) :]]


def _cut(cell: str, column: _Column, first: bool) -> str:
    if len(cell) <= column.width:
        return cell
    return f"…{cell[len(cell) - column.width + 1 :]}" if first else f"{cell[: column.width - 1]}…"
