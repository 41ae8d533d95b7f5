"""Each editing action by hand, taken back and done again; copying between tabs; choosing several."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from loragraph.tests.ui.browser.building import (
    DESK,
    ROUTED_WIRE,
    STYLED_WIRE,
    begin,
    context_menu,
    empty_place,
    frame_title,
    header,
    menu,
    note_place,
    on_wire,
    open_text,
    select,
    selection,
    shift,
    wait_for_selection,
    wait_for_steps,
    wire_end,
)
from loragraph.tests.ui.browser.canvas_page import CanvasPage

pytestmark = pytest.mark.timeout(180)

Act = Callable[[CanvasPage], None]


# -- what is done -----------------------------------------------------------------------------------------------------


def drag_from_palette(canvas: CanvasPage) -> None:
    assert canvas.drag_out("LoadImages", empty_place(canvas)) == "load_images"


def add_by_search(canvas: CanvasPage) -> None:
    canvas.page.mouse.dblclick(*empty_place(canvas))
    expect(canvas.page.get_by_test_id("quick-add").get_by_role("combobox")).to_be_focused()
    canvas.page.keyboard.type("lora save")
    canvas.press("Enter")


def connect(canvas: CanvasPage) -> None:
    canvas.wire("draw.images", "save.images")


def disconnect(canvas: CanvasPage) -> None:
    canvas.page.mouse.click(*on_wire(canvas, STYLED_WIRE))
    wait_for_selection(canvas, STYLED_WIRE)
    canvas.press("Delete")


def move_end(canvas: CanvasPage) -> None:
    canvas.drag(wire_end(canvas, "styled.base", "in"), canvas.centre(canvas.socket("draw.base", "in")))


def drop_end(canvas: CanvasPage) -> None:
    canvas.drag(wire_end(canvas, "save.images", "in"), empty_place(canvas))


def move(canvas: CanvasPage) -> None:
    canvas.drag(header(canvas, "save"), shift(header(canvas, "save"), -60, 40))


def move_several(canvas: CanvasPage) -> None:
    select(canvas, "base", "styled")
    canvas.drag(header(canvas, "base"), shift(header(canvas, "base"), 20, -30))


def nudge(canvas: CanvasPage) -> None:
    select(canvas, "save")
    for _ in range(3):
        canvas.press("ArrowLeft")


def set_number(canvas: CanvasPage) -> None:
    canvas.type_into("grid.columns", "4")


def step_number(canvas: CanvasPage) -> None:
    canvas.widget("grid.columns").locator("input").first.click()
    canvas.press("ArrowUp")


def set_text(canvas: CanvasPage) -> None:
    canvas.type_into("save.name", "sketch")


def set_lines(canvas: CanvasPage) -> None:
    canvas.widget("draw.prompt").locator("textarea").click()
    canvas.press("Control+End")
    canvas.page.keyboard.type("lets")


def set_slider(canvas: CanvasPage) -> None:
    box = canvas.widget("styled.strength").locator("input[type=range]").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    canvas.drag((box["x"] + box["width"] * 0.6, middle), (box["x"] + box["width"] * 0.9, middle))


def set_switch(canvas: CanvasPage) -> None:
    canvas.widget("grid.captions").locator("input").click()


def set_choice(canvas: CanvasPage) -> None:
    canvas.widget("base.dtype").locator("select").focus()
    canvas.page.keyboard.type("bf")


def set_colour(canvas: CanvasPage) -> None:
    field = canvas.widget("grid.background").locator("input:not([type=color])")
    field.click()
    field.press("Control+a")
    canvas.page.keyboard.type("#102030")
    canvas.press("Tab")


def new_seed(canvas: CanvasPage) -> None:
    canvas.widget("draw.seed").get_by_label("New seed", exact=True).click()


def unlock_seed(canvas: CanvasPage) -> None:
    canvas.widget("draw.seed").get_by_label("New seed for each run").click()


def reset_setting(canvas: CanvasPage) -> None:
    context_menu(canvas, canvas.centre(canvas.widget("draw.seed").locator("label")), "setting.reset")


def delete(canvas: CanvasPage) -> None:
    select(canvas, "draw")
    canvas.press("Delete")


def delete_and_join(canvas: CanvasPage) -> None:
    select(canvas, "styled")
    canvas.press("Shift+Delete")
    canvas.wait_for_graph("!graph.nodes.styled")
    assert "base.base->draw.base" in canvas.wires()


def rename(canvas: CanvasPage) -> None:
    select(canvas, "draw")
    canvas.press("F2")
    expect(canvas.page.get_by_label("Name of draw")).to_be_focused()
    canvas.page.keyboard.type("sketch")
    canvas.press("Enter")
    canvas.wait_for_graph("graph.nodes.sketch")
    assert "sketch.images->grid.rows" in canvas.wires()


def collapse(canvas: CanvasPage) -> None:
    canvas.node("draw").get_by_label("Collapse draw").click()


def expand(canvas: CanvasPage) -> None:
    canvas.expand("draw")


def press_on(keys: str, *ids: str) -> Act:
    def act(canvas: CanvasPage) -> None:
        select(canvas, *ids)
        canvas.press(keys)

    return act


def paste(canvas: CanvasPage) -> None:
    select(canvas, "draw", "grid")
    canvas.press("Control+c")
    canvas.page.mouse.move(*empty_place(canvas))
    canvas.press("Control+v")
    canvas.wait_for_graph("graph.nodes.draw_2 && graph.nodes.grid_2")
    assert "draw_2.images->grid_2.rows" in canvas.wires()


def group(canvas: CanvasPage) -> None:
    select(canvas, "base", "styled")
    canvas.press("Control+g")
    canvas.press("Escape")


def ungroup(canvas: CanvasPage) -> None:
    canvas.page.mouse.click(*frame_title(canvas, "#g1"))
    wait_for_selection(canvas, "#g1")
    canvas.press("Control+Shift+G")


def move_group(canvas: CanvasPage) -> None:
    before = canvas.graph()["view"]
    canvas.drag(frame_title(canvas, "#g1"), shift(frame_title(canvas, "#g1"), 10, 60))
    canvas.wait_for_graph("graph.groups['#g1'].at[1] > argument", before["#groups"]["#g1"]["at"][1])
    after = canvas.graph()["view"]
    moved = [b - a for a, b in zip(before["#groups"]["#g1"]["at"], after["#groups"]["#g1"]["at"], strict=True)]
    assert [b - a for a, b in zip(before["draw"]["at"], after["draw"]["at"], strict=True)] == moved
    assert after["grid"] == before["grid"]


def resize_group(canvas: CanvasPage) -> None:
    corner = canvas.centre(canvas.page.locator('[data-node-group="#g1"] .lg-corner'))
    canvas.drag(corner, shift(corner, 20, 40))


def rename_group(canvas: CanvasPage) -> None:
    canvas.page.locator('[data-node-group="#g1"] .lg-group-name').dblclick()
    canvas.page.keyboard.type("Sketches")
    canvas.press("Enter")


def colour_group(canvas: CanvasPage) -> None:
    context_menu(canvas, frame_title(canvas, "#g1"), "tint.2")


def mute_group(canvas: CanvasPage) -> None:
    context_menu(canvas, frame_title(canvas, "#g1"), "group.mute")


def add_note(canvas: CanvasPage) -> None:
    canvas.page.mouse.move(*empty_place(canvas))
    canvas.press("n")
    expect(canvas.page.get_by_label("Text of the note")).to_be_focused()
    canvas.press("Escape")


def write_note(canvas: CanvasPage) -> None:
    canvas.page.mouse.dblclick(*note_place(canvas, "#n1"))
    expect(canvas.page.get_by_label("Text of the note")).to_be_focused()
    canvas.press("Control+End")
    canvas.page.keyboard.type(" and there")
    canvas.press("Escape")


def move_note(canvas: CanvasPage) -> None:
    canvas.drag(note_place(canvas, "#n1"), shift(note_place(canvas, "#n1"), 30, 0))


def resize_note(canvas: CanvasPage) -> None:
    corner = canvas.centre(canvas.page.locator('[data-note="#n1"] .lg-corner'))
    canvas.drag(corner, shift(corner, 40, 10))


def add_point(canvas: CanvasPage) -> None:
    canvas.page.mouse.dblclick(*on_wire(canvas, "styled.base→draw.base"))


def add_point_by_alt(canvas: CanvasPage) -> None:
    canvas.page.keyboard.down("Alt")
    canvas.page.mouse.click(*on_wire(canvas, "styled.base→draw.base"))
    canvas.page.keyboard.up("Alt")


def move_point(canvas: CanvasPage) -> None:
    point = canvas.centre(canvas.page.locator(".lg-via"))
    canvas.drag(point, shift(point, 0, 60))


def remove_point(canvas: CanvasPage) -> None:
    canvas.page.mouse.dblclick(*canvas.centre(canvas.page.locator(".lg-via")))


def remove_point_by_key(canvas: CanvasPage) -> None:
    canvas.page.locator(".lg-via").focus()
    canvas.press("Delete")


def straighten(canvas: CanvasPage) -> None:
    context_menu(canvas, on_wire(canvas, ROUTED_WIRE, 0.2), "wire.straight")


def arrange(command: str) -> Act:
    def act(canvas: CanvasPage) -> None:
        select(canvas, "base", "draw", "grid")
        menu(canvas, "arrange", f"arrange.{command}")

    return act


def lay_out(canvas: CanvasPage) -> None:
    canvas.page.mouse.click(*empty_place(canvas))
    canvas.press("l")


def retitle(canvas: CanvasPage) -> None:
    canvas.page.get_by_test_id("title").click()
    canvas.page.keyboard.type("A tidy desk")
    canvas.press("Enter")


ACTIONS: dict[str, Act] = {
    "add from the list": drag_from_palette,
    "add by search": add_by_search,
    "connect": connect,
    "disconnect": disconnect,
    "move the end of a wire": move_end,
    "drop the end of a wire": drop_end,
    "move": move,
    "move several": move_several,
    "move by keys": nudge,
    "a number": set_number,
    "a number by its arrows": step_number,
    "a text": set_text,
    "a text of several lines": set_lines,
    "a slider": set_slider,
    "a switch": set_switch,
    "a choice": set_choice,
    "a colour": set_colour,
    "a new seed": new_seed,
    "unlock a seed": unlock_seed,
    "reset a setting": reset_setting,
    "delete": delete,
    "delete several": press_on("Backspace", "grid", "save"),
    "delete and join the wires": delete_and_join,
    "rename": rename,
    "collapse": collapse,
    "collapse by key": press_on("c", "grid", "save"),
    "show all settings": expand,
    "mute": press_on("m", "grid", "save"),
    "bypass": press_on("Control+b", "styled"),
    "duplicate": press_on("Control+d", "draw"),
    "duplicate without wires": press_on("Control+Shift+D", "draw"),
    "paste": paste,
    "cut": press_on("Control+x", "draw"),
    "group": group,
    "ungroup": ungroup,
    "move a group": move_group,
    "resize a group": resize_group,
    "rename a group": rename_group,
    "colour a group": colour_group,
    "mute a group": mute_group,
    "add a note": add_note,
    "write a note": write_note,
    "move a note": move_note,
    "resize a note": resize_note,
    "add a reroute point": add_point,
    "add a reroute point with Alt": add_point_by_alt,
    "move a reroute point": move_point,
    "remove a reroute point": remove_point,
    "remove a reroute point by key": remove_point_by_key,
    "remove all reroute points": straighten,
    **{f"align {way}": arrange(f"align.{way}") for way in ("left", "centre", "right", "top", "middle", "bottom")},
    **{f"distribute {way}": arrange(f"distribute.{way}") for way in ("across", "down")},
    "lay out": lay_out,
    "title": retitle,
}


# -- taken back -------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(shared_page: CanvasPage, tmp_path: Path) -> Iterator[CanvasPage]:
    begin(shared_page, tmp_path, DESK)
    yield shared_page
    shared_page.check_console()


@pytest.mark.parametrize("name", ACTIONS)
def test_an_edit_is_taken_back_and_done_again(desk: CanvasPage, name: str) -> None:
    canvas = desk
    before = canvas.graph()
    ACTIONS[name](canvas)
    wait_for_steps(canvas, 1)
    after = canvas.graph()
    assert after != before
    for undo, redo in (("Control+z", "Control+Shift+Z"), ("Control+z", "Control+y")):
        canvas.press(undo)
        wait_for_steps(canvas, 0)
        assert canvas.graph() == before
        canvas.press(redo)
        wait_for_steps(canvas, 1)
        assert canvas.graph() == after
    canvas.page.get_by_test_id("undo").click()
    wait_for_steps(canvas, 0)
    assert canvas.graph() == before


def test_words_that_are_typed_are_taken_back_one_by_one(desk: CanvasPage) -> None:
    field = desk.widget("draw.negative_prompt").locator("input")
    field.click()
    desk.page.keyboard.type("grey blurred")
    expect(field).to_have_value("grey blurred")
    desk.press("Control+z")
    expect(field).to_have_value(re.compile(r"^grey ?$"))
    desk.press("Control+z")
    expect(field).to_have_value("")
    wait_for_steps(desk, 0)


def test_a_drag_is_one_step_and_so_is_each_next(desk: CanvasPage) -> None:
    before = desk.graph()["view"]["save"]["at"]
    move(desk)
    once = desk.graph()["view"]["save"]["at"]
    move(desk)
    wait_for_steps(desk, 2)
    desk.press("Control+z")
    desk.wait_for_graph("graph.nodes.save.at.join() === argument", ",".join(map(str, once)))
    desk.press("Control+z")
    assert desk.graph()["view"]["save"]["at"] == before


def test_a_new_edit_after_undo_ends_what_could_be_done_again(desk: CanvasPage) -> None:
    move(desk)
    desk.press("Control+z")
    expect(desk.page.get_by_test_id("redo")).to_be_enabled()
    collapse(desk)
    wait_for_steps(desk, 1)
    expect(desk.page.get_by_test_id("redo")).to_be_disabled()
    desk.press("Control+z")
    wait_for_steps(desk, 0)


def test_aligned_edges_are_in_line_and_gaps_are_equal(desk: CanvasPage) -> None:
    boxes = {id: desk.node(id) for id in ("base", "draw", "grid")}

    def edges(side: str) -> list[float]:
        found = []
        for node in boxes.values():
            box = node.bounding_box()
            assert box is not None
            x, y, width, height = box["x"], box["y"], box["width"], box["height"]
            found.append(
                {"left": x, "right": x + width, "top": y, "bottom": y + height, "middle": y + height / 2}[side]
            )
        return found

    for side in ("top", "bottom", "middle", "left", "right"):
        arrange(f"align.{side}")(desk)
        wait_for_steps(desk, 1)
        assert edges(side) == pytest.approx([edges(side)[0]] * 3, abs=1), side
        desk.press("Control+z")
        wait_for_steps(desk, 0)
    arrange("distribute.across")(desk)
    wait_for_steps(desk, 1)
    left, right = edges("left"), edges("right")
    assert left[1] - right[0] == pytest.approx(left[2] - right[1], abs=1)
    desk.press("Control+z")
    wait_for_steps(desk, 0)


def test_several_are_chosen_by_box_by_ctrl_and_all_at_once(
    desk: CanvasPage, shot: Callable[[CanvasPage, str], Path]
) -> None:
    box = desk.node("grid").bounding_box()
    save = desk.node("save").bounding_box()
    assert box is not None and save is not None
    desk.page.keyboard.down("Shift")
    desk.drag((box["x"] - 60, box["y"] - 40), (save["x"] + 60, save["y"] + 30))
    desk.page.keyboard.up("Shift")
    desk.page.wait_for_function("() => window.__lg.useGraph.getState().selection.has('grid')")
    assert {"grid", "save"} <= selection(desk) and not selection(desk) & {"draw", "base", "styled"}
    desk.page.keyboard.down("Control")
    desk.page.mouse.click(*header(desk, "base"))
    desk.page.mouse.click(*header(desk, "save"))
    desk.page.keyboard.up("Control")
    desk.page.wait_for_function("() => !window.__lg.useGraph.getState().selection.has('save')")
    assert {"grid", "base"} <= selection(desk)
    desk.page.mouse.click(*empty_place(desk))
    wait_for_selection(desk)
    desk.press("Control+a")
    wait_for_selection(desk, "base", "styled", "draw", "grid", "save", "#g1", "#n1")
    shot(desk, "all-selected")
    desk.press("Escape")
    wait_for_selection(desk)
    # The other tool: what is dragged on the empty canvas is a box at once.
    desk.press("v")
    desk.drag((box["x"] - 60, box["y"] - 40), (save["x"] + 60, save["y"] + 30))
    desk.page.wait_for_function("() => window.__lg.useGraph.getState().selection.has('save')")
    desk.press("v")


def test_nodes_are_copied_between_tabs(
    open_page: Callable[..., CanvasPage], tmp_path: Path, canvas: CanvasPage
) -> None:
    open_text(canvas, tmp_path, DESK)
    other = open_page()
    canvas.page.bring_to_front()
    select(canvas, "draw", "grid")
    canvas.press("Control+c")
    other.page.bring_to_front()
    other.page.mouse.move(820, 260)
    other.press("Control+v")
    other.wait_for_graph("graph.nodes.draw && graph.nodes.grid && !graph.nodes.base")
    assert other.wires() == ["draw.images->grid.rows"]
    assert other.graph()["nodes"]["draw"]["settings"] == DESK["nodes"]["draw"]["settings"]
    # And back, cut by the menu and pasted by the menu: names that are taken are numbered.
    wait_for_selection(other, "draw", "grid")
    context_menu(other, header(other, "draw"), "edit.clip.cut")
    other.wait_for_graph("!graph.nodes.draw && !graph.nodes.grid")
    canvas.page.bring_to_front()
    place = empty_place(canvas)
    context_menu(canvas, place, "canvas.paste")
    canvas.wait_for_graph("graph.nodes.draw_2 && graph.nodes.grid_2")
    assert "draw_2.images->grid_2.rows" in canvas.wires()
    canvas.press("Control+z")
    canvas.wait_for_graph("!graph.nodes.draw_2")
    other.check_console()


def test_what_is_no_workflow_is_not_pasted(desk: CanvasPage) -> None:
    title = desk.page.get_by_test_id("title")
    title.click()
    desk.press("Control+c")
    desk.press("Escape")
    desk.page.mouse.click(*empty_place(desk))
    desk.press("Control+v")
    expect(desk.notice("The clipboard holds no nodes.")).to_be_visible()
    wait_for_steps(desk, 0)
