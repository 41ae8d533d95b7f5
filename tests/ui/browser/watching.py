"""What the tests of runs share: a workflow put on the canvas, and the run of it looked at from the page and the queue.

show(canvas, folder, "count", {"work": ("Work", {"steps": 10}, {}), "paint": ("Paint", {}, {"after": "work.count"})})
canvas.press_run()
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, expect

from loragraph.graph_runtime.events import Event
from loragraph.graph_runtime.run_queue import RunQueue, RunRecord
from loragraph.tests.ui.browser.canvas_page import TIMEOUT, CanvasPage
from loragraph.tests.ui.browser.serving import Served

Nodes = Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]]
"""{id: (type, settings, inputs)}"""


def show(
    canvas: CanvasPage,
    folder: Path,
    name: str,
    nodes: Nodes,
    *,
    columns: int = 4,
    rows: int = 400,
    judged: bool = True,
) -> None:
    """Drop a workflow on the canvas, `columns` nodes in a row, and wait until the server has found it right."""
    document = {
        "format": "loragraph/1",
        "title": name.capitalize(),
        "nodes": {
            id: {"type": type, "version": 1, "settings": settings, "inputs": inputs}
            for id, (type, settings, inputs) in nodes.items()
        },
        "view": {id: {"at": [index % columns * 330, index // columns * rows]} for index, id in enumerate(nodes)},
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document))
    canvas.drop_file(path)
    canvas.wait_for_graph("argument.every((id) => id in graph.nodes)", list(nodes))
    if judged:
        wait_for_judgement(canvas, nodes)


def wait_for_judgement(canvas: CanvasPage, ids: Any) -> None:
    canvas.page.wait_for_function(
        "(ids) => ids.every((id) => id in window.__lg.useGraph.getState().keys)", arg=list(ids)
    )


def badge(canvas: CanvasPage, id: str) -> Locator:
    return canvas.node(id).get_by_test_id("badge")


def wait_for_badge(canvas: CanvasPage, id: str, state: str) -> None:
    expect(badge(canvas, id)).to_have_attribute("data-state", state, timeout=4 * TIMEOUT)


def steps(canvas: CanvasPage, id: str) -> Locator:
    return canvas.node(id).get_by_test_id("steps")


def wait_for_step(canvas: CanvasPage, id: str, step: int) -> None:
    """Wait until the node has come to a step or beyond."""
    canvas.page.wait_for_function(
        "([id, step]) => window.__lg.useRuns.getState().nodes[id]?.step >= step", arg=[id, step], timeout=4 * TIMEOUT
    )


def loaded(pictures: Locator) -> None:
    """Wait until pictures are really drawn, not only asked for."""
    expect(pictures.first).to_be_visible()
    for index in range(pictures.count()):
        expect(pictures.nth(index)).to_have_js_property("complete", True)
        assert pictures.nth(index).evaluate("(image) => image.naturalWidth") > 0


def select(canvas: CanvasPage, *ids: str) -> None:
    """Click nodes, the second and later ones with Control."""
    for index, id in enumerate(ids):
        canvas.node(id).locator(".lg-node-type").click(modifiers=["Control"] if index else [])
    canvas.page.wait_for_function(
        "(ids) => ids.every((id) => window.__lg.useGraph.getState().selection.has(id))", arg=list(ids)
    )


def run_menu(canvas: CanvasPage, command: str) -> None:
    canvas.page.get_by_test_id("run-menu").click()
    canvas.page.get_by_test_id(f"menu-{command}").click()


def panel(canvas: CanvasPage, name: str) -> Locator:
    """Open a tab of the side panel, and return the panel."""
    side = canvas.page.get_by_test_id("side-panel")
    if not side.count():
        canvas.click_canvas()
        canvas.press({"queue": "q", "gallery": "i", "problems": "p"}[name])
    canvas.page.get_by_test_id(f"tab-{name}").click()
    expect(canvas.page.get_by_test_id(f"tab-{name}")).to_have_attribute("aria-selected", "true")
    return side


def shown_run(canvas: CanvasPage) -> str:
    """Return the id of the run that the nodes show."""
    found: str = canvas.page.evaluate("() => window.__lg.useRuns.getState().shown?.id ?? ''")
    return found


def wait_for_new_run(canvas: CanvasPage, before: str) -> str:
    canvas.page.wait_for_function(
        "(before) => ![before, undefined].includes(window.__lg.useRuns.getState().shown?.id)", arg=before
    )
    return shown_run(canvas)


def told(served: Served, run: str, kind: str, node: str | None = None) -> list[Event]:
    """Return a run's events of a kind, as the queue on the disk has them."""
    queue = RunQueue(served.home)
    try:
        return [event for event in queue.events(run) if event.kind == kind and (node is None or event.node == node)]
    finally:
        queue.close()


def records(served: Served) -> list[RunRecord]:
    queue = RunQueue(served.home)
    try:
        return queue.list()
    finally:
        queue.close()
