"""Every kind of setting worked by hand: what is typed, dragged, chosen or dropped is in the document, as one step."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from loragraph.tests.ui.browser.building import begin, node, steps, wait_for_steps
from loragraph.tests.ui.browser.canvas_page import CanvasPage
from loragraph.tests.ui.browser.serving import Served

pytestmark = pytest.mark.timeout(180)

BENCH: dict[str, Any] = {
    "format": "loragraph/1",
    "nodes": {
        "base": node("LoadBase"),
        "data": node("LoadImages", {"folder": "embedded:riso"}),
        "draw": node("Sample", {"prompt": "fox"}, base="base.base"),
        "grid": node("Grid", rows=["draw.images"]),
        "strong": node("ApplyLoRA", base="base.base"),
        "merge": node("MergeLoRA"),
        "lora": node("LoadLoRA"),
        "regions": node("PaintRegions"),
    },
    "view": {
        "base": {"at": [0, 0]},
        "data": {"at": [0, 190]},
        "strong": {"at": [0, 360]},
        "lora": {"at": [0, 520]},
        "draw": {"at": [320, 0]},
        "merge": {"at": [320, 420]},
        "grid": {"at": [640, 0]},
        "regions": {"at": [640, 330]},
    },
}


@pytest.fixture
def bench(shared_page: CanvasPage, tmp_path: Path) -> CanvasPage:
    begin(shared_page, tmp_path, BENCH)
    expect(shared_page.widget("draw.seed").locator("input")).to_be_visible()
    return shared_page


def setting(canvas: CanvasPage, name: str) -> Any:
    """Return a setting as the document has it; None where it isn't written."""
    id, field = name.split(".")
    return canvas.graph()["nodes"][id].get("settings", {}).get(field)


def wait_for(canvas: CanvasPage, name: str, value: object) -> None:
    id, field = name.split(".")
    canvas.wait_for_graph(
        "JSON.stringify(graph.nodes[argument[0]].settings[argument[1]]) === JSON.stringify(argument[2])",
        [id, field, value],
    )


def undone_in_one_step(canvas: CanvasPage, before: dict[str, Any]) -> None:
    wait_for_steps(canvas, 1)
    canvas.page.get_by_test_id("undo").click()
    wait_for_steps(canvas, 0)
    assert canvas.graph() == before


def field(canvas: CanvasPage, name: str) -> Locator:
    return canvas.widget(name).locator("input, textarea, select").first


def test_a_number_is_typed_stepped_and_dragged(bench: CanvasPage) -> None:
    before = bench.graph()
    bench.expand("draw")
    bench.type_into("draw.count", "12")
    assert setting(bench, "draw.count") == 12
    bench.page.get_by_test_id("undo").click()
    assert setting(bench, "draw.count") is None

    field(bench, "draw.count").click()
    for key in ("ArrowUp", "ArrowUp", "ArrowDown", "Shift+ArrowUp"):
        bench.press(key)
    wait_for(bench, "draw.count", 12)
    bench.press("Escape")
    bench.page.get_by_test_id("undo").click()
    assert setting(bench, "draw.count") is None

    x, y = bench.centre(bench.widget("draw.count").locator("label"))
    at = before["view"]["draw"]["at"]
    bench.drag((x, y), (x + 40, y))
    wait_for(bench, "draw.count", 11)
    bench.page.get_by_test_id("undo").click()
    assert setting(bench, "draw.count") is None and bench.graph()["view"]["draw"]["at"] == at


def test_what_is_no_number_is_kept_and_marked(bench: CanvasPage, shot: Callable[[CanvasPage, str], Path]) -> None:
    bench.type_into("draw.seed", "twelve")
    expect(field(bench, "draw.seed")).to_have_attribute("aria-invalid", "true")
    expect(field(bench, "draw.seed")).to_have_value("twelve")
    expect(bench.widget("draw.seed")).to_have_attribute("title", re.compile("whole number|integer|number"))
    shot(bench, "widget_wrong")
    bench.type_into("draw.seed", "12")
    expect(field(bench, "draw.seed")).to_have_attribute("aria-invalid", "false")
    assert setting(bench, "draw.seed") == 12


def test_a_slider_is_dragged_and_its_number_typed(bench: CanvasPage) -> None:
    before = bench.graph()
    slider = bench.widget("strong.strength").locator("input[type=range]")
    box = slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    bench.drag((box["x"] + box["width"] * 0.625, y), (box["x"] + box["width"] - 2, y))
    bench.wait_for_graph("graph.nodes.strong.settings.strength > 2")
    assert bench.graph()["view"] == before["view"]
    undone_in_one_step(bench, before)
    number = bench.widget("strong.strength").locator("input[type=text]")
    number.fill("0.35")
    number.press("Enter")
    wait_for(bench, "strong.strength", 0.35)


def test_texts_in_one_line_in_several_and_as_a_list(bench: CanvasPage) -> None:
    before = bench.graph()
    bench.type_into("data.prefix", "riso")
    assert setting(bench, "data.prefix") == "riso"
    undone_in_one_step(bench, before)

    prompt = field(bench, "draw.prompt")
    prompt.click()
    bench.press("Control+End")
    bench.press("Enter")
    bench.page.keyboard.type("owl")
    bench.press("Tab")
    assert setting(bench, "draw.prompt") == "fox\nowl"

    titles = field(bench, "grid.titles")
    titles.click()
    bench.page.keyboard.type("first")
    bench.press("Enter")
    bench.press("Enter")
    bench.page.keyboard.type("third")
    bench.press("Tab")
    assert setting(bench, "grid.titles") == ["first", "", "third"]


def test_a_choice_and_a_switch(bench: CanvasPage) -> None:
    before = bench.graph()
    select = field(bench, "base.dtype")
    select.focus()
    bench.press("ArrowDown")
    wait_for(bench, "base.dtype", "float16")
    undone_in_one_step(bench, before)
    bench.choose("merge.method", "svd")
    wait_for(bench, "merge.method", "svd")
    bench.widget("grid.captions").locator("input").click()
    wait_for(bench, "grid.captions", False)
    bench.widget("grid.captions").locator("input").press("Space")
    bench.wait_for_graph("graph.nodes.grid.settings.captions !== false")


def test_a_seed_is_drawn_kept_and_drawn_for_each_run(bench: CanvasPage) -> None:
    widget = bench.widget("draw.seed")
    widget.get_by_role("button", name="New seed", exact=True).click()
    bench.wait_for_graph("typeof graph.nodes.draw.settings.seed === 'number' && graph.nodes.draw.settings.seed > 0")
    each = widget.get_by_role("button", name="New seed for each run")
    each.click()
    expect(each).to_have_attribute("aria-pressed", "true")
    assert bench.graph()["view"]["draw"]["randomise"] == ["seed"]
    each.click()
    expect(each).to_have_attribute("aria-pressed", "false")
    assert "randomise" not in bench.graph()["view"]["draw"]


def test_a_colour_is_typed_short_and_long(bench: CanvasPage) -> None:
    before = bench.graph()
    text = bench.widget("grid.background").locator("input[type=text]")
    text.fill("#f80")
    text.press("Enter")
    wait_for(bench, "grid.background", "#ff8800")
    expect(bench.widget("grid.background").locator("input[type=color]")).to_have_value("#ff8800")
    text.blur()
    undone_in_one_step(bench, before)


def test_json_is_checked_as_it_is_typed(bench: CanvasPage) -> None:
    area = field(bench, "merge.strengths")
    area.click()
    bench.press("Control+a")
    bench.page.keyboard.type("[0.5, ")
    expect(bench.widget("merge.strengths").locator(".lg-widget-error")).to_have_text("not finished yet")
    assert setting(bench, "merge.strengths") is None
    bench.page.keyboard.type("1]")
    expect(bench.widget("merge.strengths").locator(".lg-widget-error")).to_have_count(0)
    wait_for(bench, "merge.strengths", [0.5, 1])


def test_a_folder_and_a_lora_are_looked_for_on_the_server(
    bench: CanvasPage, served: Served, shot: Callable[[CanvasPage, str], Path]
) -> None:
    holiday = served.work / "holiday"
    holiday.mkdir(exist_ok=True)
    Image.new("RGB", (24, 24), "orange").save(holiday / "sun.png")
    (served.work / "riso.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    bench.widget("data.folder").get_by_role("button").click()
    pop_up = bench.page.get_by_test_id("browse")
    expect(pop_up.get_by_text("embedded:riso")).to_be_visible()
    shot(bench, "browse_folder")
    pop_up.get_by_role("searchbox").fill("holi")
    pop_up.locator(".lg-browse-entry").filter(has_text="holiday").click()
    expect(pop_up).to_have_count(0)
    assert setting(bench, "data.folder") in ("holiday", str(holiday))

    bench.widget("lora.file").get_by_role("button").click()
    pop_up.get_by_role("searchbox").fill("riso")
    entry = pop_up.locator(".lg-browse-entry").filter(has_text="riso.safetensors")
    expect(entry).to_be_visible()
    bench.press("ArrowDown")
    expect(entry).to_be_focused()
    bench.press("Enter")
    expect(pop_up).to_have_count(0)
    assert str(setting(bench, "lora.file")).endswith("riso.safetensors")
    before = setting(bench, "base.source")
    bench.widget("base.source").get_by_role("button").click()
    expect(pop_up.get_by_text("embedded:emoji")).to_be_visible()
    bench.press("Escape")
    expect(pop_up).to_have_count(0)
    assert setting(bench, "base.source") == before


def test_a_picture_dropped_on_a_file_setting_is_sent_and_kept(
    bench: CanvasPage, served: Served, tmp_path: Path
) -> None:
    picture = tmp_path / "my photo.png"
    Image.new("RGB", (64, 48), "navy").save(picture)
    data = base64.b64encode(picture.read_bytes()).decode()
    transfer = bench.page.evaluate_handle(
        """(data) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], "my photo.png", { type: "image/png" }));
            return transfer;
        }""",
        data,
    )
    for event in ("dragenter", "dragover", "drop"):
        field(bench, "regions.background").dispatch_event(event, {"dataTransfer": transfer})
    bench.wait_for_graph("graph.nodes.regions.settings.background?.endsWith('.png')")
    kept = Path(setting(bench, "regions.background"))
    assert kept.is_relative_to(served.home) and kept.read_bytes() == picture.read_bytes()
    thumbnail = bench.widget("regions.background").locator("img")
    bench.page.wait_for_function("(image) => image.naturalWidth === 64", arg=thumbnail.element_handle())
    assert steps(bench) == 1


def test_keys_typed_in_a_field_are_none_of_the_canvas(bench: CanvasPage) -> None:
    names = set(bench.graph()["nodes"])
    field(bench, "draw.prompt").click()
    bench.press("Control+a")
    bench.page.keyboard.type("mute? l, f; n")
    bench.press("Backspace")
    bench.press("Delete")
    bench.press("Escape")
    assert set(bench.graph()["nodes"]) == names
    assert setting(bench, "draw.prompt") == "mute? l, f; "
    assert "mode" not in bench.graph()["nodes"]["draw"]
