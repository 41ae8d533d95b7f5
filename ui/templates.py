"""Ready-made workflows, with a small picture of each graph, drawn from the file itself so that it is never out of date.

    templates(workspace, registry)   # [{"name": "teach_a_style", "title": ..., "nodes": 11, "thumbnail": "/…svg", …}]

A template's description is the text of the first note on its canvas; without one it is the list of its node types.
"""

from __future__ import annotations

import hashlib
from html import escape
from pathlib import Path
from typing import Any

from ..graph_runtime import reading
from ..graph_runtime.document import Document
from ..graph_runtime.errors import BadInput, DocumentError, did_you_mean
from ..graph_runtime.files import write_atomically
from ..graph_runtime.registry import Registry
from .catalog import look
from .keeping import template_files
from .workspace import Workspace

DRAWING = 3
"""Goes up when pictures are drawn in another way, so that kept ones are not used."""

WIDTH, HEIGHT, EDGE = 480, 270, 16
NODE_WIDTH, NODE_HEIGHT = 220, 96

CATEGORIES = {
    "Model": "#4f7be0",
    "Data": "#2f9e68",
    "LoRA": "#d97a2b",
    "Image": "#a259c4",
    "Training": "#c64b5c",
    "Regions": "#1c9aaa",
    "Video": "#8a6d3b",
    "Text": "#7c8a2e",
}
"""As on the canvas (ui/web/src/canvas/colours.ts)."""
OTHERS = "#5c7c9c"


def templates(workspace: Workspace, registry: Registry) -> list[dict[str, Any]]:
    """Return every ready-made workflow that can be read."""
    found = []
    for name, path in template_files().items():
        try:
            document = load(path, registry)
        except DocumentError:
            continue
        found.append(
            {
                "name": name,
                "title": document.title or name,
                "description": _description(document),
                "nodes": len(document.nodes),
                "thumbnail": _kept(document, registry, workspace.home / "thumbnails", name),
            }
        )
    return found


def text_of(name: str) -> str:
    """Return the text of a ready-made workflow; raises BadInput for a name that is none."""
    files = template_files()
    if name not in files:
        raise BadInput(f'there is no template "{name}". {did_you_mean(name, files)}')
    return reading.read_text(files[name])


def load(path: Path, registry: Registry) -> Document:
    """Return the document of a file, whatever is wrong with it; raises DocumentError where it can't be read."""
    document, _ = reading.read(reading.read_text(path), registry, path, allow_missing=True)
    return document


def _description(document: Document) -> str:
    notes = document.view.get("#notes")
    for note in notes.values() if isinstance(notes, dict) else ():
        if isinstance(note, dict) and isinstance(note.get("text"), str) and note["text"].strip():
            return str(note["text"]).strip()
    return " · ".join(dict.fromkeys(spec.type for spec in document.nodes.values()))


def _kept(document: Document, registry: Registry, folder: Path, name: str) -> str | None:
    """Return the path of the template's picture, drawn where there is none yet; None where it can't be kept."""
    mark = hashlib.sha256(f"{DRAWING} {document.text()}".encode()).hexdigest()[:12]
    path = folder / f"{name}-{mark}.svg"
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob(f"{name}-{'?' * len(mark)}.svg"):
                old.unlink(missing_ok=True)
            write_atomically(path, draw(document, registry).encode())
        except OSError:
            return None
    return str(path)


def draw(document: Document, registry: Registry) -> str:
    """Return the graph as SVG: a card for each node where the file's view has it, wires in their values' colours."""
    places = _places(document)
    left, top = (min((at[axis] for at in places.values()), default=0.0) for axis in (0, 1))
    right = max((at[0] for at in places.values()), default=0.0) + NODE_WIDTH
    bottom = max((at[1] for at in places.values()), default=0.0) + NODE_HEIGHT
    scale = min((WIDTH - 2 * EDGE) / (right - left), (HEIGHT - 2 * EDGE) / (bottom - top), 1.0)
    shift_x = (WIDTH - (right - left) * scale) / 2 - left * scale
    shift_y = (HEIGHT - (bottom - top) * scale) / 2 - top * scale
    drawn = [_wire(at, end, colour) for at, end, colour in _wires(document, registry, places)]
    for node, (x, y) in places.items():
        spec = document.nodes[node]
        node_type = registry.find(spec.type)
        colour = CATEGORIES.get(node_type.category, OTHERS) if node_type else OTHERS
        drawn.append(_card(x, y, node, spec.type, colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#eef0f4"/>'
        f'<g transform="translate({shift_x:.1f} {shift_y:.1f}) scale({scale:.4f})" '
        f'font-family="system-ui, sans-serif">{"".join(drawn)}</g></svg>\n'
    )


def _places(document: Document) -> dict[str, tuple[float, float]]:
    """Return where each node is drawn; those without a place stand in a row below the others."""
    places: dict[str, tuple[float, float]] = {}
    homeless = []
    for node in document.nodes:
        seen = document.view.get(node)
        at = seen.get("at") if isinstance(seen, dict) else None
        if isinstance(at, list) and len(at) == 2 and all(isinstance(each, int | float) for each in at):
            places[node] = (float(at[0]), float(at[1]))
        else:
            homeless.append(node)
    below = max((y for _, y in places.values()), default=-NODE_HEIGHT - 60.0) + NODE_HEIGHT + 60
    places.update({node: (index * (NODE_WIDTH + 60.0), below) for index, node in enumerate(homeless)})
    wide = max((x for x, _ in places.values()), default=0.0) - min((x for x, _ in places.values()), default=0.0)
    high = max((y for _, y in places.values()), default=0.0) - min((y for _, y in places.values()), default=0.0)
    # Cards are lower here than on the canvas, and most graphs wider than the picture: its height is there to be used.
    stretch = min(max((wide + NODE_WIDTH) * HEIGHT / WIDTH - NODE_HEIGHT, high) / high, 1.8) if high else 1.0
    return {node: (x, y * stretch) for node, (x, y) in places.items()}


def _wires(
    document: Document, registry: Registry, places: dict[str, tuple[float, float]]
) -> list[tuple[tuple[float, float], tuple[float, float], str]]:
    found = []
    for node, spec in document.nodes.items():
        for wire in spec.wires():
            source = document.nodes.get(wire.node)
            node_type = registry.find(source.type) if source else None
            kind = node_type.outputs.get(wire.output) if node_type else None
            if wire.node in places:
                (x, y), (to_x, to_y) = places[wire.node], places[node]
                begin, end = (x + NODE_WIDTH, y + NODE_HEIGHT / 2), (to_x, to_y + NODE_HEIGHT / 2)
                found.append((begin, end, look(kind)["colour"] if kind else "#7b8494"))
    return found


def _wire(begin: tuple[float, float], end: tuple[float, float], colour: str) -> str:
    bend = max(60.0, abs(end[0] - begin[0]) / 2)
    path = f"M{begin[0]:.0f} {begin[1]:.0f}C{begin[0] + bend:.0f} {begin[1]:.0f} {end[0] - bend:.0f} {end[1]:.0f} "
    return f'<path d="{path}{end[0]:.0f} {end[1]:.0f}" fill="none" stroke="{colour}" stroke-width="6"/>'


def _card(x: float, y: float, title: str, type_name: str, colour: str) -> str:
    return (
        f'<g transform="translate({x:.0f} {y:.0f})">'
        f'<rect width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="14" fill="#fff" stroke="#b9c0cc" stroke-width="3"/>'
        f'<path d="M0 14a14 14 0 0 1 14-14h{NODE_WIDTH - 28}a14 14 0 0 1 14 14v24H0z" fill="{colour}"/>'
        f'<text x="12" y="27" font-size="23" font-weight="600" fill="#fff">{escape(title[:17])}</text>'
        f'<text x="12" y="72" font-size="22" fill="#545d6d">{escape(type_name[:18])}</text></g>'
    )
