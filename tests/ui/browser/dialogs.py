"""Dialogs of the page, and what is done through them: save, begin anew, change the theme."""

from playwright.sync_api import Locator, expect

from loragraph.tests.ui.browser.building import menu
from loragraph.tests.ui.browser.canvas_page import CanvasPage


def file_menu(canvas: CanvasPage, name: str) -> None:
    menu(canvas, "file", f"file.{name}")


def dialog(canvas: CanvasPage, name: str) -> Locator:
    return canvas.page.get_by_test_id(f"dialog-{name}")


def answer(canvas: CanvasPage, label: str) -> None:
    """Answer the question that is asked."""
    asked = dialog(canvas, "ask")
    asked.get_by_role("button", name=label, exact=True).click()
    expect(asked).to_have_count(0)


def save_as(canvas: CanvasPage, name: str) -> None:
    """Answer what file name to save under, and wait until it is saved."""
    asked = dialog(canvas, "save-as")
    field = asked.get_by_label("File name")
    field.fill(name)
    field.press("Enter")
    expect(asked).to_have_count(0)
    expect(canvas.notice(f"{name}.json")).to_be_visible()


def new(canvas: CanvasPage) -> None:
    """Begin anew; what is unsaved is given up."""
    file_menu(canvas, "new")
    # Either it is done at once, or it is asked what becomes of the work.
    canvas.page.wait_for_function(
        """() => document.querySelector("[data-testid=dialog-ask]")
            || !Object.keys(window.__lg.useGraph.getState().graph.nodes).length"""
    )
    if dialog(canvas, "ask").count():
        answer(canvas, "Don't save")
    canvas.wait_for_graph("Object.keys(graph.nodes).length === 0")


def theme(canvas: CanvasPage, name: str) -> None:
    """Choose "light" or "dark"."""
    menu(canvas, "view", f"view.theme.{name}")
    expect(canvas.page.locator(".lg")).to_have_attribute("data-theme", name)


def rest(canvas: CanvasPage) -> None:
    """Wait until the view rests: it glides to where it is sent."""
    canvas.page.evaluate(
        """async () => {
            const now = () => `${window.__lg.view().centre()} ${window.__lg.view().zoom()}`;
            for (let still = 0, last = now(); still < 12; still = now() === last ? still + 1 : 0, last = now())
                await new Promise(requestAnimationFrame);
        }"""
    )
