"""Wires by hand: what fits, where a wire may be dropped, its ends, its order, and the keyboard's way."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from loragraph.tests.ui.browser.building import (
    begin,
    context_menu,
    empty_place,
    header,
    node,
    on_wire,
    select,
    wait_for_selection,
    wait_for_steps,
    wire_end,
)
from loragraph.tests.ui.browser.canvas_page import CanvasPage, Point

pytestmark = pytest.mark.timeout(180)

BENCH: dict[str, Any] = {
    "format": "loragraph/1",
    "nodes": {
        "base": node("LoadBase"),
        "data": node("LoadImages", {"folder": "embedded:riso"}),
        "styled": node("ApplyLoRA"),
        "again": node("ApplyLoRA"),
        "draw": node("Sample", {"prompt": "fox"}),
        "grid": node("Grid"),
        "save": node("SaveImages"),
    },
    "view": {
        "base": {"at": [0, 0]},
        "data": {"at": [0, 220]},
        "styled": {"at": [400, 0]},
        "again": {"at": [400, 240]},
        "draw": {"at": [800, 0]},
        "grid": {"at": [1200, 0]},
        "save": {"at": [1200, 330]},
    },
}
"""Nodes without a wire."""


@pytest.fixture
def bench(shared_page: CanvasPage, tmp_path: Path) -> Iterator[CanvasPage]:
    """Nodes without a wire."""
    lay_out(shared_page, tmp_path)
    yield shared_page
    shared_page.check_console()


def lay_out(canvas: CanvasPage, folder: Path, **wires: dict[str, str | list[str]]) -> None:
    """Open the bench, with these wires: `draw={"base": "base.base"}`."""
    nodes = {id: body | ({"inputs": wires[id]} if id in wires else {}) for id, body in BENCH["nodes"].items()}
    begin(canvas, folder, {**BENCH, "nodes": nodes})


def opacity(canvas: CanvasPage, socket: str, side: str) -> float:
    found: float = (
        canvas.socket(socket, side).locator("xpath=..").evaluate("(row) => Number(getComputedStyle(row).opacity)")
    )
    return found


def wait_for_dimming(canvas: CanvasPage, socket: str, side: str) -> None:
    canvas.page.wait_for_function(
        """([socket, side]) => {
            const handle = document.querySelector(`[data-socket="${socket}"][data-side="${side}"]`);
            return getComputedStyle(handle.parentElement).opacity === "0.22";
        }""",
        arg=[socket, side],
    )


def wait_for_wires(canvas: CanvasPage, *wires: str) -> None:
    canvas.page.wait_for_function(
        "(count) => window.__lg.useGraph.getState().graph.wires.length === count", arg=len(wires)
    )
    assert canvas.wires() == list(wires)


def test_a_wire_is_drawn_from_either_end(bench: CanvasPage) -> None:
    bench.wire("base.base", "styled.base")
    wait_for_wires(bench, "base.base->styled.base")
    bench.drag(bench.centre(bench.socket("draw.base", "in")), bench.centre(bench.socket("styled.base", "out")))
    wait_for_wires(bench, "base.base->styled.base", "styled.base->draw.base")


def test_a_wire_of_another_type_is_refused_with_the_reason(
    bench: CanvasPage, shot: Callable[[CanvasPage, str], Path]
) -> None:
    start = bench.centre(bench.socket("data.images", "out"))
    bench.page.mouse.move(*start)
    bench.page.mouse.down()
    bench.page.mouse.move(*bench.centre(bench.socket("draw.base", "in")), steps=12)
    wait_for_dimming(bench, "draw.base", "in")
    assert opacity(bench, "grid.rows", "in") == opacity(bench, "save.images", "in") == 1
    assert opacity(bench, "styled.lora", "in") == opacity(bench, "base.base", "out") == pytest.approx(0.22)
    shot(bench, "wire-refused")
    bench.page.mouse.up()
    expect(bench.notice('"base" of "draw" takes Base; "images" of "data" is Images.')).to_be_visible()
    wait_for_wires(bench)
    assert opacity(bench, "grid.rows", "in") == 1
    bench.page.wait_for_function("() => !document.querySelector('.lg-canvas').dataset.wire")


def test_a_wire_between_two_inputs_or_two_outputs_is_refused(bench: CanvasPage) -> None:
    bench.drag(bench.centre(bench.socket("styled.base", "in")), bench.centre(bench.socket("draw.base", "in")))
    expect(bench.notice("A wire goes from an output to an input.")).to_be_visible()
    wait_for_wires(bench)


def test_a_wire_that_would_close_a_circle_is_refused(bench: CanvasPage, tmp_path: Path) -> None:
    lay_out(bench, tmp_path, again={"base": "styled.base"})
    bench.wire("again.base", "styled.base")
    expect(bench.notice("this wire would close a circle")).to_be_visible()
    bench.wire("styled.base", "styled.base")
    expect(bench.notice('"styled" can\'t take its own output.')).to_be_visible()
    wait_for_wires(bench, "styled.base->again.base")


def test_a_second_wire_into_a_single_input_takes_the_place_of_the_first(bench: CanvasPage) -> None:
    bench.wire("base.base", "draw.base")
    wait_for_wires(bench, "base.base->draw.base")
    bench.wire("styled.base", "draw.base")
    bench.page.wait_for_function("() => window.__lg.useGraph.getState().graph.wires[0].from === 'styled'")
    wait_for_wires(bench, "styled.base->draw.base")


def test_a_wire_dropped_on_the_empty_canvas_offers_what_fits_and_connects(
    bench: CanvasPage, shot: Callable[[CanvasPage, str], Path]
) -> None:
    bench.drag(bench.centre(bench.socket("draw.images", "out")), empty_place(bench))
    chooser = bench.page.get_by_test_id("quick-add")
    expect(chooser.get_by_role("combobox")).to_be_focused()
    offered = [option.get_attribute("data-option") for option in chooser.get_by_role("option").all()]
    assert {"Grid", "SaveImages"} <= set(offered)
    assert not {"LoadBase", "Sample", "TrainLoRA", "ApplyLoRA"} & set(offered)
    shot(bench, "wire-dropped")
    bench.page.keyboard.type("sav")
    bench.press("Enter")
    wait_for_wires(bench, "draw.images->save_images.images")
    bench.press("Control+z")
    bench.wait_for_graph("!graph.nodes.save_images")
    wait_for_wires(bench)


def test_from_an_input_what_gives_it_is_offered(bench: CanvasPage) -> None:
    bench.drag(bench.centre(bench.socket("styled.lora", "in")), empty_place(bench))
    chooser = bench.page.get_by_test_id("quick-add")
    expect(chooser.get_by_role("combobox")).to_be_focused()
    offered = [option.get_attribute("data-option") for option in chooser.get_by_role("option").all()]
    assert {"LoadLoRA", "TrainLoRA", "MergeLoRA"} <= set(offered) and "LoadBase" not in offered
    bench.press("Escape")
    expect(chooser).to_be_hidden()
    wait_for_wires(bench)


def test_a_wire_dropped_on_a_node_finds_the_socket_that_fits(bench: CanvasPage) -> None:
    bench.drag(bench.centre(bench.socket("base.base", "out")), header(bench, "draw"))
    wait_for_wires(bench, "base.base->draw.base")
    bench.drag(bench.centre(bench.socket("base.base", "out")), header(bench, "save"))
    expect(bench.notice('"save" has no input for Base.')).to_be_visible()
    wait_for_wires(bench, "base.base->draw.base")


def test_the_end_of_a_wire_is_moved_and_dropped(bench: CanvasPage, tmp_path: Path) -> None:
    lay_out(bench, tmp_path, styled={"base": "base.base"})
    bench.drag(wire_end(bench, "styled.base", "in"), bench.centre(bench.socket("again.base", "in")))
    bench.wait_for_graph("graph.wires[0]?.to === 'again'")
    wait_for_wires(bench, "base.base->again.base")
    # Its other end, too; onto a socket that doesn't fit it stays as it was.
    bench.drag(wire_end(bench, "again.base", "in"), bench.centre(bench.socket("grid.rows", "in")))
    expect(bench.notice('"rows" of "grid" takes Images')).to_be_visible()
    wait_for_wires(bench, "base.base->again.base")
    bench.drag(wire_end(bench, "base.base", "out"), bench.centre(bench.socket("styled.base", "out")))
    bench.wait_for_graph("graph.wires[0]?.from === 'styled'")
    wait_for_wires(bench, "styled.base->again.base")
    bench.drag(wire_end(bench, "again.base", "in"), empty_place(bench))
    wait_for_wires(bench)
    expect(bench.page.get_by_test_id("quick-add")).to_be_hidden()


def test_an_input_for_several_wires_keeps_their_order(bench: CanvasPage) -> None:
    for source in ("data.images", "draw.images"):
        bench.wire(source, "grid.rows")
    wait_for_wires(bench, "data.images->grid.rows", "draw.images->grid.rows")
    assert bench.graph()["nodes"]["grid"]["inputs"] == {"rows": ["data.images", "draw.images"]}
    # Taken away and drawn again, it is the last.
    context_menu(bench, on_wire(bench, "data.images→grid.rows", 0.1), "wire.delete")
    wait_for_wires(bench, "draw.images->grid.rows")
    bench.wire("data.images", "grid.rows")
    wait_for_wires(bench, "draw.images->grid.rows", "data.images->grid.rows")


def test_wires_are_drawn_by_the_keyboard(bench: CanvasPage, shot: Callable[[CanvasPage, str], Path]) -> None:
    select(bench, "draw")
    bench.press("w")
    dialog = bench.page.get_by_test_id("connect")
    expect(dialog.get_by_role("searchbox")).to_be_focused()
    bench.page.keyboard.type("grid")
    found = dialog.get_by_role("button", name=re.compile("draw.images.*grid.rows"))
    expect(found).to_have_count(1)
    bench.press("Tab")
    expect(found).to_be_focused()
    bench.press("Enter")
    expect(found).to_have_attribute("aria-pressed", "true")
    shot(bench, "connect-by-keyboard")
    wait_for_wires(bench, "draw.images->grid.rows")
    bench.press("Enter")
    wait_for_wires(bench)
    bench.press("Escape")
    expect(dialog).to_be_hidden()


def test_two_clicks_draw_a_wire(bench: CanvasPage) -> None:
    bench.page.mouse.click(*bench.centre(bench.socket("base.base", "out")))
    wait_for_dimming(bench, "styled.lora", "in")
    bench.page.mouse.click(*bench.centre(bench.socket("draw.base", "in")))
    wait_for_wires(bench, "base.base->draw.base")
    bench.page.mouse.click(*bench.centre(bench.socket("base.base", "out")))
    wait_for_dimming(bench, "styled.lora", "in")
    bench.press("Escape")
    bench.page.wait_for_function("() => !document.querySelector('.lg-canvas').dataset.wire")
    bench.page.mouse.click(*bench.centre(bench.socket("styled.base", "in")))
    wait_for_wires(bench, "base.base->draw.base")


def test_a_selected_wire_stands_out_and_is_deleted(bench: CanvasPage, tmp_path: Path) -> None:
    lay_out(bench, tmp_path, draw={"base": "base.base"}, grid={"rows": ["draw.images"]})
    at: Point = on_wire(bench, "base.base→draw.base", 0.12)
    bench.page.mouse.click(*at)
    wait_for_selection(bench, "base.base→draw.base")
    expect(bench.page.locator(".lg-wire-glow")).to_have_count(1)
    bench.press("Delete")
    wait_for_wires(bench, "draw.images->grid.rows")
    wait_for_steps(bench, 1)


def test_kinds_of_values_differ_in_colour_and_in_shape(bench: CanvasPage) -> None:
    looks: dict[str, set[tuple[str, str]]] = {}
    for handle in bench.page.locator("[data-socket]").all():
        mark = handle.locator("path").last
        fill, stroke, path = mark.evaluate(
            "(mark) => [getComputedStyle(mark).fill, getComputedStyle(mark).stroke, mark.getAttribute('d')]"
        )
        hollow = handle.evaluate("(handle) => handle.parentElement.title.includes('may stay empty')")
        looks.setdefault(handle.get_attribute("data-type") or "", set()).add((stroke if hollow else fill, path))
    assert len(looks) >= 4, looks
    assert all(len(each) == 1 for each in looks.values()), looks
    flat = [next(iter(each)) for each in looks.values()]
    assert len({colour for colour, _ in flat}) == len(flat), "two kinds of values have one colour"
    assert len({shape for _, shape in flat}) == len(flat), "two kinds of values have one shape"
    # Which takes several wires is seen too: two marks in one.
    assert bench.socket("grid.rows", "in").locator("path").count() == 2
    assert bench.socket("save.images", "in").locator("path").count() == 1
