"""What a run looks like: the table of a terminal, and the lines of everything else."""

import io
from typing import Any

from loragraph.cli.progress import LiveTable, PlainLines
from loragraph.graph_runtime.events import Event

NODES = [("train", "TrainLoRA"), ("with", "Sample"), ("grid", "Grid")]


def told(*events: tuple[float, str, str, dict[str, Any]]) -> list[Event]:
    """Return events from (time, kind, node, data)."""
    return [Event(seq, 100 + at, "r", kind, node, data) for seq, (at, kind, node, data) in enumerate(events, start=1)]


RUN = told(
    (0.0, "node_cached", "grid", {"key": "k"}),
    (0.0, "node_started", "train", {"device": "cpu"}),
    (1.0, "node_metric", "train", {"name": "loss", "value": 0.25, "step": 1}),
    (1.0, "node_progress", "train", {"step": 1, "total": 3, "message": "", "preview": None}),
    (6.0, "node_progress", "train", {"step": 2, "total": 3, "message": "", "preview": None}),
    (6.1, "node_progress", "train", {"step": 3, "total": 3, "message": "", "preview": None}),
    (7.0, "node_log", "train", {"level": "info", "message": "nearly [there]"}),
    (8.0, "node_failed", "train", {"error": "X", "message": "it broke", "trace": "", "bad_input": False}),
    (8.0, "node_skipped", "with", {"because": "train"}),
)


def test_plain_lines_tell_beginnings_ends_and_some_steps() -> None:
    stream = io.StringIO()
    with PlainLines(NODES, stream) as display:
        for event in RUN:
            display.on_event(event)
    assert stream.getvalue().splitlines() == [
        "grid   cached",
        "train  TrainLoRA started",
        "train  2/3  loss 0.25",
        "train  nearly [there]",
        "train  failed",
        "with   skipped because train failed",
    ]


def test_the_live_table_has_a_row_for_each_node() -> None:
    stream = io.StringIO()
    display = LiveTable(NODES, stream)
    for event in RUN[:5]:
        display.on_event(event)
    display.console.print(display._table())
    during = stream.getvalue()
    assert "running" in during
    assert "2/3  loss 0.25" in during
    for event in RUN[5:]:
        display.on_event(event)
    display.console.print(display._table())
    after = stream.getvalue()[len(during) :]
    assert all(word in after for word in ("failed", "8.0 s", "cached", "skipped", "because train failed"))


def test_a_large_workflow_shows_what_is_at_work_and_what_went_wrong() -> None:
    stream = io.StringIO()
    display = LiveTable([(f"n{number}", "Grid") for number in range(500)], stream)
    for event in told(
        (0.0, "node_started", "n444", {}), (0.0, "node_started", "n7", {}), (1.0, "node_failed", "n7", {})
    ):
        display.on_event(event)
    rows = [name for name, _ in display._visible()]
    assert len(rows) < 100
    assert {"n444", "n7"} <= set(rows)
