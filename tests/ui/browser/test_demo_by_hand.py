"""The demo from an empty canvas: built, run, watched, saved, and got back from a picture it made. By mouse and keys."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from loragraph.tests.ui.browser.building import header, select, wait_for_rest
from loragraph.tests.ui.browser.canvas_page import CanvasPage, Point
from loragraph.tests.ui.browser.serving import Served

pytestmark = pytest.mark.timeout(300)

PLACES: dict[str, tuple[str, Point]] = {
    "base": ("LoadBase", (350, 130)),
    "data": ("LoadImages", (350, 330)),
    "train": ("TrainLoRA", (640, 330)),
    "styled": ("ApplyLoRA", (930, 130)),
    "without": ("Sample", (1240, 100)),
    "with": ("Sample", (1240, 500)),
    "grid": ("Grid", (930, 330)),
    "save_grid": ("SaveImages", (930, 640)),
    "save_lora": ("SaveLoRA", (640, 740)),
    "save_with": ("SaveImages", (930, 780)),
    "save_without": ("SaveImages", (350, 560)),
}
"""Every node, its type, and where its header is dropped."""

WIRES = [
    ("base.base", "train.base"),
    ("data.dataset", "train.dataset"),
    ("base.base", "styled.base"),
    ("train.lora", "styled.lora"),
    ("base.base", "without.base"),
    ("styled.base", "with.base"),
    ("without.images", "grid.rows"),
    ("with.images", "grid.rows"),
    ("grid.images", "save_grid.images"),
    ("with.images", "save_with.images"),
    ("without.images", "save_without.images"),
    ("train.lora", "save_lora.lora"),
]
SETTINGS = {
    "data.folder": "embedded:riso",
    "train.rank": "4",
    "train.steps": "12",
    "train.batch_size": "2",
    "train.seed": "1",
    "without.prompt": "fox\nteapot",
    "without.seed": "7",
    "with.prompt": "fox\nteapot",
    "with.seed": "7",
    "grid.titles": "without\nwith LoRA",
    "save_grid.name": "grid",
    "save_lora.name": "riso",
    "save_with.name": "with",
    "save_without.name": "without",
}
Shot = Callable[[CanvasPage, str], Path]


def build(canvas: CanvasPage, shot: Shot) -> None:
    for id, (type, at) in PLACES.items():
        made = canvas.drag_out(type, at)
        # The name is typed over the one it was given.
        canvas.page.mouse.dblclick(*canvas.centre(canvas.node(made).locator(".lg-node-title")))
        expect(canvas.page.get_by_label(f"Name of {made}")).to_be_focused()
        canvas.page.keyboard.type(id)
        canvas.press("Enter")
        canvas.wait_for_graph("argument in graph.nodes", id)
    shot(canvas, "by-hand-nodes")
    for output, input in WIRES:
        canvas.wire(output, input)
        canvas.wait_for_graph("graph.wires.some((wire) => wire.id === argument)", f"{output}→{input}")
    for setting, text in SETTINGS.items():
        id, name = setting.split(".")
        if canvas.widget(setting).count() == 0:
            canvas.expand(id)
        canvas.type_into(setting, text)
        expected: object = int(text) if text.isdigit() else text.split("\n") if name == "titles" else text
        assert canvas.graph()["nodes"][id]["settings"][name] == expected, setting
        if canvas.graph()["view"][id].get("expanded"):
            select(canvas, id)
            canvas.press("e")
            canvas.wait_for_graph("!graph.nodes[argument].expanded", id)
    canvas.page.get_by_test_id("title").click()
    canvas.page.keyboard.type("Riso by hand")
    canvas.press("Enter")


def test_the_demo_is_built_run_watched_saved_and_got_back(
    canvas: CanvasPage, open_page: Callable[..., CanvasPage], served: Served, shot: Shot
) -> None:
    shot(canvas, "empty")
    build(canvas, shot)
    canvas.click_canvas()
    canvas.press("l")
    canvas.wait_for_graph("graph.nodes.base.at[0] === 0")
    canvas.page.wait_for_function("() => window.__lg.useGraph.getState().problems.length === 0")
    wait_for_rest(canvas)
    shot(canvas, "by-hand-built")

    canvas.press_run()
    canvas.wait_for_state("train", "running", "done", timeout=120_000)
    expect(
        canvas.page.get_by_test_id("progress").or_(canvas.node("train").get_by_test_id("badge")).first
    ).to_be_visible()
    canvas.wait_for_run("done", timeout=180_000)
    for id in PLACES:
        assert canvas.state(id) in ("done", "cached"), id
    # Its pictures are on the nodes, and really there.
    for id in ("without", "with", "grid"):
        picture = canvas.node(id).locator(".lg-media img").first
        expect(picture).to_be_visible()
        canvas.page.wait_for_function(
            "(image) => image.complete && image.naturalWidth > 0", arg=picture.element_handle()
        )
    canvas.click_canvas()
    canvas.press("l")
    canvas.press("f")
    wait_for_rest(canvas)
    shot(canvas, "by-hand-done")
    canvas.page.emulate_media(color_scheme="dark")
    expect(canvas.page.locator(".lg").first).to_have_attribute("data-theme", "dark")
    shot(canvas, "by-hand-done-dark")

    canvas.press("Control+s")
    dialog = canvas.page.get_by_test_id("dialog-save-as")
    expect(dialog.get_by_label("File name")).to_have_value("Riso by hand")
    canvas.page.keyboard.type("by_hand")
    canvas.press("Enter")
    expect(dialog).to_be_hidden()
    saved = json.loads((served.work / "by_hand.json").read_text())
    assert saved == canvas.graph()
    assert set(canvas.wires()) == {f"{output}->{input}" for output, input in WIRES}
    assert saved["nodes"]["grid"]["inputs"]["rows"] == ["without.images", "with.images"]

    (picture_file,) = sorted(served.out.rglob("grid-*.png"))
    fresh = open_page()
    fresh.drop_file(picture_file, "image/png")
    fresh.wait_for_graph("Object.keys(graph.nodes).length === argument", len(PLACES))
    again = fresh.graph()
    assert again["nodes"] == saved["nodes"]
    assert again["title"] == "Riso by hand"
    # A picture was made of the workflow as it lay when it was run: all of it is there again.
    assert set(again["view"]) == set(saved["view"])
    fresh.page.mouse.click(*header(fresh, "grid"))
    fresh.check_console()
