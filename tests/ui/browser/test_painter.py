"""Regions painted by hand, with every tool, and drawn by a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from loragraph.tests.ui.browser.building import begin, node, steps
from loragraph.tests.ui.browser.canvas_page import CanvasPage, Point
from loragraph.tests.ui.browser.dialogs import theme

pytestmark = pytest.mark.timeout(180)

PAPER: dict[str, Any] = {
    "format": "loragraph/1",
    "nodes": {"regions": node("PaintRegions"), "show": node("ShowRegions", entities="regions.entities")},
    "view": {"regions": {"at": [0, 0]}, "show": {"at": [380, 0]}},
}


class Painter:
    """The painter while it is open; places are shares of the picture."""

    def __init__(self, canvas: CanvasPage) -> None:
        self.canvas = canvas
        self.dialog = canvas.page.get_by_test_id("painter")

    def open(self) -> None:
        self.canvas.widget("regions.regions").get_by_role("button").click()
        expect(self.dialog.get_by_test_id("painter-stage")).to_be_visible()
        self.press("0")

    def press(self, key: str) -> None:
        self.dialog.get_by_test_id("painter-stage").press(key)

    def tool(self, name: str) -> None:
        button = self.dialog.get_by_test_id(f"painter-{name}")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")

    def at(self, x: float, y: float) -> Point:
        """Return where in the window a place of the (square) picture is: it lies in the middle of the stage."""
        box = self.dialog.get_by_test_id("painter-stage").bounding_box()
        assert box is not None
        side = min(box["width"], box["height"]) * 0.8
        return (
            box["x"] + box["width"] / 2 + (x - 0.5) * side,
            box["y"] + box["height"] / 2 + (y - 0.5) * side,
        )

    def drag(self, *places: Point) -> None:
        mouse = self.canvas.page.mouse
        mouse.move(*self.at(*places[0]))
        mouse.down()
        for place in places[1:]:
            mouse.move(*self.at(*place), steps=6)
        mouse.up()

    def click(self, place: Point) -> None:
        self.canvas.page.mouse.click(*self.at(*place))

    def layer(self, index: int) -> Locator:
        return self.dialog.locator(f'[data-layer="{index}"]')

    def name(self, index: int, prompt: str) -> None:
        self.layer(index).locator(".lg-layer-prompt").fill(prompt)

    def new_layer(self, prompt: str) -> None:
        self.dialog.get_by_test_id("painter-new-layer").click()
        field = self.dialog.locator(".lg-layer-prompt:focus")
        expect(field).to_be_visible()
        field.fill(prompt)

    def apply(self) -> None:
        self.dialog.get_by_test_id("painter-apply").click()
        expect(self.dialog).to_have_count(0)


def layers(canvas: CanvasPage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = canvas.graph()["nodes"]["regions"].get("settings", {}).get("regions", [])
    return found


@pytest.fixture
def painter(canvas: CanvasPage, tmp_path: Path) -> Painter:
    begin(canvas, tmp_path, PAPER)
    opened = Painter(canvas)
    opened.open()
    return opened


def test_regions_are_painted_applied_and_drawn(
    painter: Painter, canvas: CanvasPage, shot: Callable[[CanvasPage, str], Path]
) -> None:
    painter.tool("box")
    painter.drag((0.1, 0.1), (0.5, 0.6))
    painter.name(0, "a red fox")
    painter.new_layer("a tall tree")
    painter.tool("polygon")
    for corner in ((0.6, 0.2), (0.9, 0.2), (0.75, 0.7)):
        painter.click(corner)
    painter.press("Enter")
    painter.new_layer("a river")
    painter.tool("brush")
    painter.drag((0.1, 0.9), (0.4, 0.8), (0.9, 0.9))
    painter.tool("eraser")
    painter.drag((0.45, 0.75), (0.5, 0.95))
    shot(canvas, "painter")
    painter.apply()

    fox, tree, river = layers(canvas)
    assert [layer["prompt"] for layer in (fox, tree, river)] == ["a red fox", "a tall tree", "a river"]
    assert [set(shape) for shape in fox["shapes"]] == [{"box"}]
    left, top, right, bottom = fox["shapes"][0]["box"]
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    assert len(tree["shapes"][0]["polygon"]) == 3
    stroke, erased = river["shapes"]
    assert len(stroke["stroke"]) > 2 and stroke["size"] > 0 and not stroke.get("erase")
    assert erased["erase"] is True
    assert steps(canvas) == 1

    # Drawn as it is meant: what the run shows is what was painted.
    canvas.press_run()
    canvas.wait_for_run("done")
    picture = canvas.node("show").locator("img").first
    expect(picture).to_be_visible()
    canvas.page.wait_for_function("(image) => image.naturalWidth >= 64", arg=picture.element_handle())
    shot(canvas, "regions_shown")
    canvas.page.get_by_test_id("undo").click()
    assert layers(canvas) == []


def test_order_undo_and_what_a_layer_has(painter: Painter, canvas: CanvasPage) -> None:
    painter.tool("box")
    painter.drag((0.1, 0.1), (0.4, 0.4))
    painter.name(0, "below")
    painter.new_layer("above")
    painter.tool("box")
    painter.drag((0.3, 0.3), (0.8, 0.8))
    painter.layer(1).get_by_role("button", name="Move above down").click()
    expect(painter.layer(0).locator(".lg-layer-prompt")).to_have_value("above")
    undo = painter.dialog.get_by_role("button", name="Undo")
    undo.click()
    expect(painter.layer(0).locator(".lg-layer-prompt")).to_have_value("below")
    painter.dialog.get_by_role("button", name="Redo").click()
    expect(painter.layer(0).locator(".lg-layer-prompt")).to_have_value("above")

    # By its grip, too.
    grip = canvas.centre(painter.layer(0).locator(".lg-layer-grip"))
    canvas.drag(grip, canvas.centre(painter.layer(1).locator(".lg-layer-grip")))
    expect(painter.layer(0).locator(".lg-layer-prompt")).to_have_value("below")

    painter.layer(1).get_by_role("button", name="above is used").click()
    painter.layer(0).locator(".lg-layer-prompt").click()
    painter.layer(0).get_by_role("button", name="Duplicate below").click()
    expect(painter.layer(2)).to_be_visible()
    painter.layer(1).get_by_role("button", name="Delete below").click()
    expect(painter.layer(2)).to_have_count(0)
    painter.apply()
    assert [layer["prompt"] for layer in layers(canvas)].count("below") == 1
    assert sum(bool(layer.get("hidden")) for layer in layers(canvas)) == 1


def test_a_region_is_moved_and_deleted_and_nothing_is_kept_without_apply(painter: Painter, canvas: CanvasPage) -> None:
    painter.tool("box")
    painter.drag((0.2, 0.2), (0.5, 0.5))
    painter.name(0, "a fox")
    painter.apply()
    (before,) = layers(canvas)[0]["shapes"]

    painter.open()
    painter.tool("select")
    painter.click((0.35, 0.35))
    painter.drag((0.35, 0.35), (0.55, 0.45))
    painter.apply()
    (after,) = layers(canvas)[0]["shapes"]
    assert after["box"][0] > before["box"][0] and after["box"][1] > before["box"][1]
    assert after["box"][2] - after["box"][0] == pytest.approx(before["box"][2] - before["box"][0], abs=0.01)

    painter.open()
    painter.tool("select")
    painter.click((0.55, 0.45))
    painter.press("Delete")
    canvas.press("Escape")
    expect(painter.dialog.get_by_role("alert")).to_contain_text("not been applied")
    painter.dialog.get_by_role("button", name="Discard them").click()
    expect(painter.dialog).to_have_count(0)
    assert layers(canvas)[0]["shapes"] == [after]


def test_a_box_is_made_and_named_by_keys_alone(
    painter: Painter, canvas: CanvasPage, shot: Callable[[CanvasPage, str], Path]
) -> None:
    painter.press("b")
    painter.press("Enter")
    expect(painter.layer(0)).to_be_visible()
    painter.press("ArrowRight")
    painter.layer(0).locator(".lg-layer-prompt").focus()
    canvas.page.keyboard.type("an owl")
    canvas.press("Control+Enter")
    expect(painter.dialog).to_have_count(0)
    (owl,) = layers(canvas)
    assert owl["prompt"] == "an owl" and "box" in owl["shapes"][0]
    theme(canvas, "dark")
    painter.open()
    shot(canvas, "painter_dark")
