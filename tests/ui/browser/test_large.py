"""A thousand nodes: opened, looked at from near and far, edited, undone; and the page answers all the while."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from loragraph.tests.ui.browser.building import empty_place, header, menu, node, wait_for_selection
from loragraph.tests.ui.browser.canvas_page import CanvasPage
from loragraph.tests.ui.browser.dialogs import rest, theme

pytestmark = pytest.mark.timeout(180)

COUNT = 1000
ACROSS = 40


def large() -> dict[str, Any]:
    """Rows of a base, samples from it, and grids of those; every wire is a real one."""
    nodes: dict[str, Any] = {}
    for number in range(COUNT):
        column = number % ACROSS
        if column == 0:
            nodes[f"n{number}"] = node("LoadBase")
        elif column % 2:
            nodes[f"n{number}"] = node("Sample", {"prompt": f"fox {number}"}, base=f"n{number - column}.base")
        else:
            nodes[f"n{number}"] = node("Grid", rows=[f"n{number - 1}.images"])
    view = {f"n{number}": {"at": [number % ACROSS * 340, number // ACROSS * 520]} for number in range(COUNT)}
    return {"format": "loragraph/1", "title": "A large one", "nodes": nodes, "view": view}


def zoom(canvas: CanvasPage) -> float:
    found: float = canvas.page.evaluate("() => window.__lg.view().zoom()")
    return found


def mounted(canvas: CanvasPage) -> int:
    return canvas.page.locator(".lg-node").count()


def test_a_thousand_nodes_can_be_worked_with(
    canvas: CanvasPage, tmp_path: Path, shot: Callable[[CanvasPage, str], Path]
) -> None:
    path = tmp_path / "large.json"
    path.write_text(json.dumps(large()))
    canvas.drop_file(path)
    canvas.wait_for_graph("Object.keys(graph.nodes).length === argument", COUNT)
    expect(canvas.page.get_by_test_id("overview")).to_be_visible()
    assert mounted(canvas) == 0  # far out, all of it is one drawing
    shot(canvas, "thousand_nodes")
    theme(canvas, "dark")
    shot(canvas, "thousand_nodes_dark")
    theme(canvas, "light")

    # To one node, by its name; only what is seen is in the page.
    canvas.click_canvas((400, 850))
    canvas.press("Control+f")
    canvas.page.get_by_test_id("dialog-find").get_by_role("combobox").fill("n501")
    canvas.press("Enter")
    expect(canvas.node("n501")).to_be_visible()
    wait_for_selection(canvas, "n501")
    assert 0 < mounted(canvas) < 60
    shot(canvas, "thousand_nodes_near")

    # Small, its settings are text; dragging that moves the node, a click on it zooms in to the field.
    canvas.page.evaluate("() => window.__lg.view().zoomTo(0.42)")
    rest(canvas)
    text = canvas.node("n501").locator(".lg-sketch").first
    expect(text).to_have_attribute("title", "Click to zoom in and edit")
    x, y = canvas.centre(text)
    canvas.drag((x, y), (x + 30, y + 20))
    canvas.wait_for_graph("graph.nodes.n501.at[0] !== argument", large()["view"]["n501"]["at"][0])
    assert zoom(canvas) < 0.5
    canvas.press("Control+z")
    canvas.page.mouse.click(*canvas.centre(text))
    expect(canvas.widget("n501.prompt")).to_be_in_viewport()
    rest(canvas)
    assert zoom(canvas) == pytest.approx(1)

    # The wheel zooms where the pointer is, dragging pans.
    rest(canvas)
    before = zoom(canvas)
    x, y = empty_place(canvas)
    canvas.page.mouse.move(x, y)
    canvas.page.mouse.wheel(0, 120)
    canvas.page.wait_for_function("(before) => window.__lg.view().zoom() < before * 0.95", arg=before)
    centre = canvas.page.evaluate("() => window.__lg.view().centre()")
    canvas.page.mouse.down(button="middle")
    canvas.page.mouse.move(x - 200, y - 100, steps=10)
    canvas.page.mouse.up(button="middle")
    canvas.page.wait_for_function(
        "([x, y]) => { const now = window.__lg.view().centre(); return now[0] > x + 100 && now[1] > y + 50; }",
        arg=centre,
    )

    # Edited: a setting, a node moved, one deleted, all of it undone.
    canvas.press("Control+f")
    canvas.page.get_by_test_id("dialog-find").get_by_role("combobox").fill("n501")
    canvas.press("Enter")
    expect(canvas.node("n501")).to_be_visible()
    rest(canvas)
    first = canvas.graph()
    canvas.type_into("n501.prompt", "an owl in a crowd")
    x, y = header(canvas, "n501")
    canvas.drag((x, y), (x + 60, y + 90))
    canvas.wait_for_graph("graph.nodes.n501.at[1] !== argument", first["view"]["n501"]["at"][1])
    canvas.press("Delete")
    canvas.wait_for_graph("!('n501' in graph.nodes)")
    for _ in range(8):
        canvas.press("Control+z")
    assert canvas.graph() == first

    # All of it: selected, moved as one with the arrow keys, taken back.
    canvas.press("Control+a")
    canvas.page.wait_for_function("(count) => window.__lg.useGraph.getState().selection.size >= count", arg=COUNT)
    canvas.press("ArrowRight")
    canvas.wait_for_graph("graph.nodes.n0.at[0] > 0")
    canvas.press("Control+z")
    assert canvas.graph()["view"] == first["view"]
    menu(canvas, "view", "view.zoom.fit")
    expect(canvas.page.get_by_test_id("overview")).to_be_visible()

    # What is run goes to the server whole; the page is not held up by it.
    canvas.press_run()
    canvas.page.wait_for_function("() => window.__lg.useRuns.getState().shown?.nodes === 1000")
    canvas.page.get_by_test_id("cancel").click()
    canvas.wait_for_run("cancelled")
    canvas.press("Control+a")
    canvas.press("ArrowLeft")
    canvas.wait_for_graph("graph.nodes.n0.at[0] < 0")
