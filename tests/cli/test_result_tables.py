"""The tables in which a run ends: which are printed, where, and how they are made to fit."""

import io
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from loragraph.cli import main, result_tables
from loragraph.cli.result_tables import ROWS, end_tables
from loragraph.graph_runtime.document import load
from loragraph.graph_runtime.node import node
from loragraph.graph_runtime.registry import Registry
from loragraph.graph_runtime.store import Store
from loragraph.graph_runtime.values import Table
from loragraph.tests.nodes import material


class Figures(NamedTuple):
    first: Table
    second: Table


@node(category="Test", version=1)
def figures() -> Figures:
    """Two tables."""
    return Figures(table("one"), table("two"))


@node(category="Test", version=1)
def read_figures(figures: Table) -> Table:
    """Take a table, give it back."""
    return figures


def table(title: str, rows: int = 2) -> Table:
    return Table(title=title, columns=("block", "norm"), rows=tuple((str(row), row / 3) for row in range(rows)))


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    """Run the command line in this process; return (exit code, standard output, standard error)."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


@pytest.fixture
def workflow(tmp_path: Path) -> str:
    nodes: dict[str, Any] = {
        "lora": {"type": "LoadLoRA", "settings": {"file": str(material.lora_file())}},
        "look": {"type": "InspectLoRA", "inputs": {"lora": "lora.lora"}},
        "save": {"type": "SaveImages", "inputs": {"images": "look.picture"}},
    }
    (tmp_path / "w.json").write_text(json.dumps({"format": "loragraph/1", "nodes": nodes}), encoding="utf-8")
    return str(tmp_path / "w.json")


def test_a_table_that_no_node_takes_is_printed_when_the_run_ends(
    workflow: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # the second run finds the table in the store, and the third has been through the queue
    for options in ((), (), ("--queue",)):
        code, out, err = call(capsys, "run", workflow, "--device", "cpu", "--out", str(tmp_path / "out"), *options)
        assert code == 0 and "module" not in err
        title, _, head, *rows = out.strip().splitlines()
        assert title.startswith("look.table: lora-0") and title.endswith("(4 rows)")
        assert head.split()[:4] == ["module", "rank", "alpha", "scale"]
        assert len(rows) == 4 and all(row.split()[0].endswith((".attn.to_q", ".attn.to_v")) for row in rows)


@pytest.mark.parametrize("options", [(), ("--queue",)])
def test_beside_events_standard_output_is_theirs_alone(
    options: tuple[str, ...], workflow: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ("--device", "cpu", "--out", str(tmp_path / "out"))
    code, out, err = call(capsys, "run", workflow, "--events", "jsonl", *places, *options)
    assert code == 0
    assert [json.loads(line)["kind"] for line in out.splitlines()][-1] == "run_done"
    assert "look.table: lora-0" in err and ".attn.to_v" in err


def test_only_ends_that_ended_well_and_are_still_there_are_told(tmp_path: Path) -> None:
    nodes: dict[str, Any] = {
        "a": {"type": "Figures"},
        "b": {"type": "ReadFigures", "inputs": {"figures": "a.first"}},
        "off": {"type": "Figures", "mode": "mute"},
        "gone": {"type": "Figures"},
        "failed": {"type": "Figures"},
    }
    (tmp_path / "w.json").write_text(json.dumps({"format": "loragraph/1", "nodes": nodes}), encoding="utf-8")
    registry, store = Registry(figures, read_figures), Store(tmp_path / "home")
    for key, outputs in (("aaa", figures()._asdict()), ("bbb", {"table": table("three")})):
        store.commit(key, store.stage(key), outputs)
    ended = {"a": ("done", "aaa"), "b": ("cached", "bbb"), "off": ("done", "aaa"), "gone": ("done", "ccc")}
    ended["failed"] = ("failed", "")
    found = list(end_tables(load(tmp_path / "w.json", registry), registry, ended, "run", store))
    assert [(name, value.title) for name, value, _ in found] == [("a.second", "two"), ("b.table", "three")]
    assert all(file.is_file() for *_, file in found)


def shown(table: Table, width: int) -> list[str]:
    stream = io.StringIO()
    result_tables._show(Console(file=stream, width=width), "look.table", table, Path("/store/result.json"))
    return [line.rstrip() for line in stream.getvalue().strip().splitlines()]


def modules(count: int, columns: int = 3) -> Table:
    titles = ("module", "kind", *(f"number {place}" for place in range(columns)))
    rows = tuple(
        (f"unet.down_blocks.{row}.attentions.0.transformer_blocks.0.attn1.to_q", "lora", *(row + 1 / 3,) * columns)
        for row in range(count)
    )
    return Table(title="big\x1b[31m one", columns=titles, rows=rows)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("columns", [3, 30])
def test_a_table_fits_the_terminal(width: int, columns: int) -> None:
    lines = shown(modules(5, columns), width)
    where = 'the whole table is "table" in /store/result.json'
    assert max(len(line) for line in lines if line != where) <= width
    assert "\x1b" not in "".join(lines)
    if columns == 3 and width < 120:
        assert "the same in every row: kind lora" in " ".join(lines)
        assert sum("…" in line and ".to_q" in line for line in lines) == (5 if width < 100 else 0)
    left_out = any(line.startswith("too wide for number") for line in lines)
    assert left_out == (columns == 30 or width == 40) == (lines[-1] == where)


def test_of_a_long_table_the_first_rows_are_shown_and_where_the_others_are() -> None:
    lines = shown(modules(ROWS + 12), 200)
    assert lines[0].endswith(f"({ROWS + 12} rows)")
    assert sum("to_q" in line for line in lines) == ROWS
    assert lines[-1] == '… 12 more rows; the whole table is "table" in /store/result.json'
    assert not any(line.startswith("…") for line in shown(modules(ROWS), 200))


def test_nothing_to_say_is_a_dash_and_long_texts_are_cut() -> None:
    told = Table(title="t", columns=("a", "b", "c"), rows=(("x", None, "word " * 100), ("y", 0.123456, "")))
    lines = shown(told, 100)
    assert "-" in lines[2].split() and lines[2].endswith("…") and lines[3].split() == ["y", "0.1235"]
    assert shown(Table(title="none", columns=("a",), rows=()), 80)[0] == "look.table: none (0 rows)"
    assert os.linesep.join(lines).count("word") < 20
