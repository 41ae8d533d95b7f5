"""A run as HTML: the table of its nodes, the loss curve, the newest preview. Every text from outside is escaped."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..graph_runtime.document import Document, NodeSpec
from ..graph_runtime.node import NodeType
from ..graph_runtime.rows import Row
from .running import View

WIDTH, HEIGHT, LEFT, BELOW = 640, 200, 52, 24
"""Pixels of the curve, with its margins for the numbers."""

MOST_POINTS = 400
LARGEST_PREVIEW = 4 * 2**20
"""Bytes; a larger preview is not shown."""

COLOURS = ("#2f6fde", "#d9730d", "#2e8b57", "#a23bbf", "#c0392b")

ENDINGS = {"done": "Done", "failed": "Failed", "cancelled": "Cancelled"}

CSS = """
.lg-run, .lg-run tr { border: 0 !important; }
.lg-run td.step { white-space: nowrap; }
.lg-run { border-collapse: collapse; width: 100%; font-size: 14px; }
.lg-run th { text-align: left !important; font-weight: 500; opacity: .65; border: 0 !important; }
.lg-run td { border: 0 !important; border-top: 1px solid var(--border-color-primary) !important; vertical-align: top; }
.lg-run th, .lg-run td { padding: 5px 12px 5px 0 !important; }
.lg-run td.num { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.lg-run td.note { overflow-wrap: anywhere; width: 40%; }
.lg-run .type { opacity: .6; margin-left: 6px; }
.lg-state { padding: 1px 9px; border-radius: 9px; white-space: nowrap; background: #8883; }
.lg-running { background: #f0b42955; } .lg-done { background: #35a86a44; } .lg-cached { background: #2f9fde44; }
.lg-failed { background: #d6453d55; } .lg-cancelled { background: #a23bbf44; }
.lg-run progress { width: 110px; height: 8px; vertical-align: middle; accent-color: #2f6fde; }
.lg-head { font-size: 16px; font-weight: 600; margin-bottom: 6px; overflow-wrap: anywhere; }
.lg-error { background: #d6453d22; border-left: 3px solid #d6453d; padding: 8px 12px; margin: 8px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.lg-error pre { font-size: 12px; overflow-x: auto; white-space: pre; margin-top: 6px; }
.lg-curve { width: 100%; height: auto; display: block; }
.lg-curve text { fill: currentColor; font-size: 11px; opacity: .75; } .lg-curve line { stroke: #8885; }
.lg-preview img { max-width: 100%; max-height: 260px; min-height: 96px; image-rendering: auto; }
@media (min-width: 900px) {
  .gradio-container { overflow: clip !important; } /* hidden would make the container, not the window, what scrolls */
  .lg-run-side { position: sticky; top: 12px; max-height: calc(100vh - 24px); overflow-y: auto; flex-wrap: nowrap; }
}
.lg-run-side > * { flex-shrink: 0; }
@media (max-width: 899px) { .lg-run-side { order: -1; } }
.lg-wires, .lg-doc { font-size: 13px; opacity: .75; } .lg-quiet { opacity: .65; }
"""


def problem(text: object) -> str:
    """Return an error as the page shows it."""
    return f'<div class="lg-error" role="alert">{escape(str(text))}</div>'


def run(view: View) -> str:
    """Return the head, the table of nodes, and what went wrong."""
    seconds = f"{view.seconds:.1f} s"
    if view.status == "running":
        head = "Stopping after this step…" if view.stopping else f"Running “{view.name}”"
    else:
        states = [row.state for row in view.rows.values()]
        counted = ", ".join(f"{states.count(s)} {s}" for s in ("done", "cached", "failed", "skipped") if s in states)
        head = f"{ENDINGS[view.status]} in {seconds}: {counted}" if counted else f"{ENDINGS[view.status]} in {seconds}"
    rows = "".join(_row(node, row) for node, row in view.rows.items())
    table = (
        f'<table class="lg-run"><tr><th>node</th><th>state</th><th>step</th><th>time</th><th></th></tr>{rows}</table>'
    )
    return f'<div class="lg-head">{escape(head)}</div>{_failures(view)}{table}'


def _row(node: str, row: Row) -> str:
    running = row.state == "running"
    step = ""
    if running and row.total:
        done, total = min(row.step, row.total), row.total
        step = f'<progress max="{total}" value="{done}"></progress> {done}/{total}'
    seconds = time.time() - row.started if running else row.seconds
    took = f"{seconds:.1f} s" if seconds else ""
    note = "  ".join(part for part in (row.measures(), row.note) if part)
    return (
        f'<tr><td>{escape(node)}<span class="type">{escape(row.type)}</span></td>'
        f'<td><span class="lg-state lg-{row.state}">{row.state}</span></td>'
        f'<td class="step">{step}</td><td class="num">{took}</td><td class="note">{escape(note)}</td></tr>'
    )


def _failures(view: View) -> str:
    found = [problem(view.error)] if view.error else []
    for message, trace in view.failures.values():
        more = f"<details><summary>the traceback</summary><pre>{escape(trace)}</pre></details>" if trace else ""
        found.append(f'<div class="lg-error" role="alert">{escape(message)}{more}</div>')
    return "".join(found)


def curve(view: View) -> str:
    """Return the loss of every training node over its steps as an SVG picture; "" before there are two points."""
    lines = {node: _thinned(points) for node, points in view.curve.items() if len(points) > 1}
    if not lines:
        return ""
    steps = [step for points in lines.values() for step, _ in points]
    losses = [loss for points in lines.values() for _, loss in points]
    first, last, low, high = min(steps), max(steps), min(losses), max(losses)
    across, up = (WIDTH - LEFT - 8) / ((last - first) or 1), (HEIGHT - BELOW - 12) / ((high - low) or 1.0)
    drawn = []
    for index, (node, points) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(
            f"{LEFT + (step - first) * across:.1f},{HEIGHT - BELOW - (loss - low) * up:.1f}" for step, loss in points
        )
        label = f"{node}: loss {points[-1][1]:.4g} at step {points[-1][0]}"
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        drawn.append(
            f'<text x="{WIDTH - 8}" y="{18 + 14 * index}" text-anchor="end" style="fill:{colour};opacity:1">'
            f"{escape(label)}</text>"
        )
    floor = HEIGHT - BELOW
    axes = (
        f'<line x1="{LEFT}" y1="{floor}" x2="{WIDTH - 8}" y2="{floor}"/>'
        f'<line x1="{LEFT}" y1="12" x2="{LEFT}" y2="{floor}"/>'
        f'<text x="{LEFT - 6}" y="18" text-anchor="end">{high:.3g}</text>'
        f'<text x="{LEFT - 6}" y="{floor}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 6}">step {first}</text>'
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 6}" text-anchor="end">{last}</text>'
    )
    return (
        f'<svg class="lg-curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Loss curve">'
        f"{axes}{''.join(drawn)}</svg>"
    )


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return at most about MOST_POINTS points: the mean loss of equal stretches, and the last point as it is."""
    width = -(-len(points) // MOST_POINTS)
    if width == 1:
        return list(points)
    stretches = [points[i : i + width] for i in range(0, len(points), width)]
    means = [(stretch[-1][0], sum(loss for _, loss in stretch) / len(stretch)) for stretch in stretches]
    return [*means[:-1], points[-1]]


def preview(path: str) -> str:
    """Return the picture itself within the HTML: the file goes when its node ends. "" where it can't be shown."""
    try:
        file = Path(path)
        if not path or file.suffix.lower() != ".png" or file.stat().st_size > LARGEST_PREVIEW:
            return ""
        data = base64.b64encode(file.read_bytes()).decode("ascii")
    except OSError:
        return ""
    return f'<div class="lg-preview"><img alt="The newest preview" src="data:image/png;base64,{data}"></div>'


def workflow(document: Document, name: str, most: int) -> str:
    """Return the title of the open workflow (its name where it has none), and a word on the nodes that get no form."""
    title = f'<div class="lg-head">{escape(document.title or name)}</div>'
    left_out = len(document.nodes) - most
    if left_out <= 0:
        return title
    return f'{title}<div class="lg-quiet">The last {left_out} nodes are run as the file has them.</div>'


def about(spec: NodeSpec, node_type: NodeType) -> str:
    """Return what a node does, and where its wires come from."""
    doc = (node_type.doc or "").strip().split("\n\n")[0]
    wires = "".join(
        f"<div>{escape(name)} ← {escape(', '.join(str(wire) for wire in spec.wires(name)))}</div>"
        for name in spec.inputs
    )
    return f'<div class="lg-doc">{_code(doc)}</div><div class="lg-wires">{wires}</div>'


def _code(text: str) -> str:
    """Return text as HTML, with what stands in backticks as code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))
