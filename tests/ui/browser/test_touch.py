"""On a tablet, by touch alone: add, wire, set, look closer, and the menu of a long press."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, expect

from loragraph.tests.ui.browser.canvas_page import CanvasPage, Point
from loragraph.tests.ui.browser.dialogs import rest
from loragraph.tests.ui.browser.serving import Served

pytestmark = pytest.mark.timeout(180)

Shot = Callable[[CanvasPage, str], Path]


@pytest.fixture
def tablet(browser: Browser, served: Served) -> Iterator[CanvasPage]:
    context = browser.new_context(viewport={"width": 820, "height": 1180}, has_touch=True, is_mobile=True)
    canvas = CanvasPage(context.new_page(), served.url)
    canvas.open()
    yield canvas
    canvas.check_console()
    context.close()


class Fingers:
    """Touches of the screen, as the system sends them; one list of places for each moment."""

    def __init__(self, canvas: CanvasPage) -> None:
        self.session: CDPSession = canvas.page.context.new_cdp_session(canvas.page)

    def send(self, kind: str, *places: Point) -> None:
        points: list[dict[str, Any]] = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def slide(self, *paths: tuple[Point, Point], steps: int = 12) -> None:
        self.send("touchStart", *(start for start, _ in paths))
        for step in range(1, steps + 1):
            share = step / steps
            self.send(
                "touchMove",
                *((x + (to_x - x) * share, y + (to_y - y) * share) for (x, y), (to_x, to_y) in paths),
            )
        self.send("touchEnd")


def tap(canvas: CanvasPage, at: Point) -> None:
    canvas.page.touchscreen.tap(*at)


def zoom(canvas: CanvasPage) -> float:
    found: float = canvas.page.evaluate("() => window.__lg.view().zoom()")
    return found


def show_everything(canvas: CanvasPage) -> None:
    """Tap the button that does, and wait until the view rests."""
    canvas.page.get_by_role("button", name="Show everything").tap()
    rest(canvas)


def show_list(canvas: CanvasPage, shown: bool) -> None:
    toggle = canvas.page.get_by_test_id("toggle-palette")
    if (toggle.get_attribute("aria-pressed") == "true") != shown:
        toggle.tap()
    expect(toggle).to_have_attribute("aria-pressed", "true" if shown else "false")


def add(canvas: CanvasPage, type: str, id: str) -> None:
    show_list(canvas, True)
    canvas.page.locator(f'.lg-palette-item[data-type="{type}"]').tap()
    canvas.wait_for_graph("argument in graph.nodes", id)
    show_list(canvas, False)
    rest(canvas)


def test_a_workflow_is_built_and_looked_at_by_touch(tablet: CanvasPage, shot: Shot) -> None:
    page, fingers = tablet.page, Fingers(tablet)
    shot(tablet, "tablet_start")
    add(tablet, "LoadBase", "load_base")
    add(tablet, "Sample", "sample")
    shot(tablet, "tablet_two_nodes")
    show_everything(tablet)

    # A node is dragged by a finger.
    before = tablet.graph()["view"]["load_base"]["at"]
    x, y = tablet.centre(tablet.node("load_base").locator(".lg-node-type"))
    fingers.slide(((x, y), (x - 150, y - 230)))
    tablet.wait_for_graph(
        "graph.nodes.load_base.at[0] < argument[0] && graph.nodes.load_base.at[1] < argument[1]", before
    )

    # Tap one socket, then the other: a wire.
    show_everything(tablet)
    tap(tablet, tablet.centre(tablet.socket("load_base.base", "out")))
    tap(tablet, tablet.centre(tablet.socket("sample.base", "in")))
    tablet.wait_for_graph("graph.wires.length === 1")
    assert tablet.wires() == ["load_base.base->sample.base"]

    # A setting is written.
    field = tablet.widget("sample.prompt").locator("textarea")
    field.tap()
    page.keyboard.type("a fox by hand")
    tablet.wait_for_graph("graph.nodes.sample.settings.prompt === 'a fox by hand'")
    shot(tablet, "tablet_wired")

    # A long press opens the menu of what is under the finger.
    place = tablet.centre(tablet.node("load_base").locator(".lg-node-type"))
    fingers.send("touchStart", place)
    menu = page.get_by_test_id("context-menu")
    expect(menu).to_be_visible()
    fingers.send("touchEnd")
    expect(menu).to_be_visible()
    shot(tablet, "tablet_menu")
    menu.get_by_test_id("menu-edit.clip.duplicate").tap()
    tablet.wait_for_graph("Object.keys(graph.nodes).length === 3")
    page.get_by_test_id("undo").tap()
    tablet.wait_for_graph("Object.keys(graph.nodes).length === 2")


def test_the_view_is_pinched_and_pushed(tablet: CanvasPage) -> None:
    page, fingers = tablet.page, Fingers(tablet)
    add(tablet, "Sample", "sample")
    before = zoom(tablet)
    fingers.slide(((380, 1000), (250, 1000)), ((440, 1000), (600, 1000)))
    page.wait_for_function("(before) => window.__lg.view().zoom() > before * 1.2", arg=before)
    page.get_by_role("button", name="Zoom out").tap()
    rest(tablet)
    wide = zoom(tablet)
    x, _ = page.evaluate("() => window.__lg.view().centre()")
    fingers.slide(((600, 1000), (300, 1000)))
    page.wait_for_function("(x) => window.__lg.view().centre()[0] > x + 50", arg=x)
    assert zoom(tablet) == wide


def test_what_is_tapped_is_large_enough(tablet: CanvasPage) -> None:
    add(tablet, "Sample", "sample")
    show_list(tablet, True)
    small = tablet.page.evaluate(
        """() => ["top", "controls", "palette", "start"]
            .flatMap((part) => [...document.querySelectorAll(`.lg-${part} button`)])
            .map((button) => [button.getAttribute("aria-label") || button.textContent, button.getBoundingClientRect()])
            .filter(([, { width, height }]) => width > 0 && (width < 31.5 || height < 31.5))
            .map(([name, { width, height }]) => `${name}: ${width} x ${height}`)"""
    )
    assert small == []
    # Nothing reaches beyond the screen's edge.
    assert tablet.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
