"""What the tests of building share: choosing nodes, menus, wires, and a small workflow to work on."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, expect

from loragraph.tests.ui.browser.canvas_page import CanvasPage, Point


def header(canvas: CanvasPage, id: str) -> Point:
    """Return a place in a node's header on which nothing but the header is."""
    return canvas.centre(canvas.node(id).locator(".lg-node-type"))


def frame_title(canvas: CanvasPage, id: str) -> Point:
    """Return the left end of a group's title, free of its words."""
    box = canvas.page.locator(f'[data-node-group="{id}"] .lg-group-title').bounding_box()
    assert box is not None
    return box["x"] + 5, box["y"] + box["height"] / 2


def note_place(canvas: CanvasPage, id: str) -> Point:
    return canvas.centre(canvas.page.locator(f'[data-note="{id}"]'))


def select(canvas: CanvasPage, *ids: str) -> None:
    """Click on the header of the first node, then with Ctrl on those of the others."""
    for index, id in enumerate(ids):
        if index:
            canvas.page.keyboard.down("Control")
        canvas.page.mouse.click(*header(canvas, id))
        canvas.page.keyboard.up("Control")
    wait_for_selection(canvas, *ids)


def wait_for_selection(canvas: CanvasPage, *ids: str) -> None:
    canvas.page.wait_for_function(
        """(ids) => {
            const now = window.__lg.useGraph.getState().selection;
            return now.size === ids.length && ids.every((id) => now.has(id));
        }""",
        arg=list(ids),
    )


def selection(canvas: CanvasPage) -> set[str]:
    return set(canvas.page.evaluate("() => [...window.__lg.useGraph.getState().selection]"))


def steps(canvas: CanvasPage) -> int:
    """Return how many steps can be undone."""
    count: int = canvas.page.evaluate("() => window.__lg.useGraph.getState().past.length")
    return count


def wait_for_rest(canvas: CanvasPage) -> None:
    """Wait until the view stands still, and the settings that it plainly drew while moving are there."""
    canvas.page.evaluate("() => { window.lastView = undefined; }")
    canvas.page.wait_for_function(
        """() => {
            const now = document.querySelector(".react-flow__viewport").style.transform;
            const same = window.lastView === now;
            window.lastView = now;
            return same;
        }""",
        polling=250,
    )


def wait_for_steps(canvas: CanvasPage, count: int) -> None:
    canvas.page.wait_for_function("(count) => window.__lg.useGraph.getState().past.length === count", arg=count)


def menu(canvas: CanvasPage, name: str, command: str) -> None:
    """Choose a command from a menu of the top bar."""
    canvas.page.get_by_test_id(f"menu-{name}").click()
    canvas.page.get_by_test_id(f"menu-{command}").click()


def context_menu(canvas: CanvasPage, at: Point, *chosen: str) -> Locator:
    """Right-click at a place; with `chosen` (the id of a line), choose it."""
    canvas.page.mouse.click(*at, button="right")
    opened = canvas.page.get_by_test_id("context-menu")
    expect(opened).to_be_visible()
    # It opens where was clicked, or as near as the window has room for it.
    box = opened.locator(".lg-menu").bounding_box()
    assert box is not None
    assert box["x"] <= at[0] + 1 <= box["x"] + box["width"] + 2 and box["y"] <= at[1] + 1, (box, at)
    for item in chosen:
        opened.get_by_test_id(f"menu-{item}").click()
        expect(opened).to_be_hidden()
    return opened


def on_wire(canvas: CanvasPage, id: str, share: float = 0.5) -> Point:
    """Return the place of the window where so much of a wire's length lies before."""
    found: list[float] = canvas.page.evaluate(
        """([id, share]) => {
            const path = document.querySelector(`[data-wire-id="${CSS.escape(id)}"] .lg-wire-hit`);
            const { x, y } = path.getPointAtLength(path.getTotalLength() * share);
            const { a, d, e, f } = path.getScreenCTM();
            return [x * a + e, y * d + f];
        }""",
        [id, share],
    )
    return found[0], found[1]


def wire_end(canvas: CanvasPage, socket: str, side: str) -> Point:
    """Return the place beside a socket at which the end of its wire is grabbed."""
    x, y = canvas.centre(canvas.socket(socket, side))
    return (x - 16 if side == "in" else x + 16), y


def shift(at: Point, dx: float, dy: float) -> Point:
    return at[0] + dx, at[1] + dy


def empty_place(canvas: CanvasPage) -> Point:
    """Return a place of the canvas with nothing on it and around it."""
    found: list[float] | None = canvas.page.evaluate(
        """() => {
            const { left, top, width, height } = document.querySelector(".lg-canvas").getBoundingClientRect();
            const bare = (x, y) => document.elementFromPoint(x, y)?.matches(".react-flow__pane");
            const around = [[0, 0], [-30, 0], [30, 0], [0, -30], [0, 30]];
            for (let y = top + 40; y < top + height - 40; y += 20)
                for (let x = left + 40; x < left + width - 40; x += 20)
                    if (around.every(([dx, dy]) => bare(x + dx, y + dy))) return [x, y];
            return null;
        }"""
    )
    assert found is not None, "there is no empty place on the canvas"
    return found[0], found[1]


def begin(canvas: CanvasPage, folder: Path, document: dict[str, Any]) -> None:
    """Open a workflow in a page that other tests have used, whatever they left."""
    canvas.errors.clear()
    canvas.press("Escape")
    unsaved: bool = canvas.page.evaluate(
        "() => { const { graph, saved } = window.__lg.useGraph.getState(); return graph !== saved; }"
    )
    open_text(canvas, folder, document, discard=unsaved)
    canvas.page.mouse.click(*empty_place(canvas))
    wait_for_selection(canvas)


def open_text(canvas: CanvasPage, folder: Path, document: dict[str, Any], *, discard: bool = False) -> None:
    """Drop a workflow file on the canvas and wait until it is there; `discard` what is there and unsaved."""
    path = folder / "dropped.json"
    path.write_text(json.dumps(document))
    canvas.page.evaluate("() => { window.lastGraph = window.__lg.useGraph.getState().graph; }")
    canvas.drop_file(path)
    if discard:
        canvas.page.get_by_test_id("dialog-ask").get_by_role("button", name="Don't save").click()
    # The same nodes may have been there before: only another graph tells.
    canvas.wait_for_graph(
        "graph !== window.lastGraph && Object.keys(graph.nodes).sort().join() === argument",
        ",".join(sorted(document["nodes"])),
    )


def node(type: str, settings: dict[str, Any] | None = None, **inputs: str | list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {"type": type, "version": 1}
    return body | ({"settings": settings} if settings else {}) | ({"inputs": inputs} if inputs else {})


STYLED_WIRE = "base.base→styled.base"
ROUTED_WIRE = "draw.images→grid.rows"

DESK: dict[str, Any] = {
    "format": "loragraph/1",
    "title": "Desk",
    "nodes": {
        "base": node("LoadBase"),
        "styled": node("ApplyLoRA", base="base.base"),
        "draw": node("Sample", {"prompt": "fox\nowl", "seed": 7}, base="styled.base"),
        "grid": node("Grid", {"titles": ["plain"]}, rows=["draw.images"]),
        "save": node("SaveImages", images="grid.images"),
    },
    "view": {
        "base": {"at": [0, 0]},
        "styled": {"at": [30, 250]},
        "draw": {"at": [420, 20]},
        "grid": {"at": [850, 60]},
        "save": {"at": [1190, 400]},
        "#groups": {"#g1": {"title": "Drawing", "at": [390, -50], "size": [340, 440], "colour": "#5b7fd6"}},
        "#notes": {"#n1": {"text": "Look here", "at": [30, 460], "size": [240, 130], "colour": "#c9a227"}},
        "#wires": {ROUTED_WIRE: {"via": [[790, 300]]}},
    },
}
"""A workflow with one of everything that can be edited; two nodes lack something, and none is run."""
