"""Keys, menus, and finding things: each shortcut of the sheet answers, and what it says is done."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from loragraph.tests.ui.browser.building import (
    DESK,
    STYLED_WIRE,
    begin,
    context_menu,
    empty_place,
    frame_title,
    header,
    menu,
    node,
    on_wire,
    select,
    selection,
    steps,
    wait_for_rest,
    wait_for_selection,
    wait_for_steps,
)
from loragraph.tests.ui.browser.canvas_page import CanvasPage
from loragraph.tests.ui.browser.serving import Served

pytestmark = pytest.mark.timeout(180)

Answer = Callable[[CanvasPage, str], None]
Shot = Callable[[CanvasPage, str], Path]


@pytest.fixture
def desk(shared_page: CanvasPage, tmp_path: Path) -> Iterator[CanvasPage]:
    begin(shared_page, tmp_path, DESK)
    yield shared_page
    shared_page.check_console()


# -- every key --------------------------------------------------------------------------------------------------------


def makes(label: str, *chosen: str) -> Answer:
    """The keys make an undo step of this name, with these nodes selected."""

    def answer(canvas: CanvasPage, keys: str) -> None:
        if chosen:
            select(canvas, *chosen)
        canvas.press(keys)
        canvas.page.wait_for_function(
            "(label) => window.__lg.useGraph.getState().past.at(-1)?.label === label", arg=label
        )

    return answer


def opens(test_id: str, *chosen: str) -> Answer:
    def answer(canvas: CanvasPage, keys: str) -> None:
        if chosen:
            select(canvas, *chosen)
        canvas.press(keys)
        expect(canvas.page.get_by_test_id(test_id)).to_be_visible()
        canvas.press("Escape")
        expect(canvas.page.get_by_test_id(test_id)).to_be_hidden()

    return answer


def turns(condition: str) -> Answer:
    """The keys make a condition (JavaScript, of `shell`) true that was false, and pressed again false."""
    script = f"(wanted) => {{ const shell = window.__lg.useShell.getState(); return ({condition}) === wanted; }}"

    def answer(canvas: CanvasPage, keys: str) -> None:
        now = canvas.page.evaluate(script, True)
        for wanted in (not now, now):
            canvas.press(keys)
            canvas.page.wait_for_function(script, arg=wanted)

    return answer


def zooms(compare: str) -> Answer:
    """The keys change the zoom: `compare` is JavaScript, of `now` and `before`."""

    def answer(canvas: CanvasPage, keys: str) -> None:
        before = canvas.page.evaluate("() => window.__lg.view().zoom()")
        canvas.press(keys)
        canvas.page.wait_for_function(
            f"(before) => {{ const now = window.__lg.view().zoom(); return {compare}; }}", arg=before
        )
        canvas.press("f")

    return answer


def undoes(canvas: CanvasPage, keys: str) -> None:
    makes("collapse", "draw")(canvas, "c")
    canvas.press(keys)
    wait_for_steps(canvas, 0)


def redoes(canvas: CanvasPage, keys: str) -> None:
    undoes(canvas, "Control+z")
    canvas.press(keys)
    wait_for_steps(canvas, 1)


def copies(canvas: CanvasPage, keys: str) -> None:
    select(canvas, "draw")
    canvas.press(keys)
    makes("paste")(canvas, "Control+v")


def pastes(canvas: CanvasPage, keys: str) -> None:
    copies(canvas, "Control+c")
    makes("paste")(canvas, keys)
    wait_for_steps(canvas, 2)


def renames(canvas: CanvasPage, keys: str) -> None:
    select(canvas, "draw")
    canvas.press(keys)
    expect(canvas.page.get_by_label("Name of draw")).to_be_focused()
    canvas.press("Escape")
    expect(canvas.page.get_by_label("Name of draw")).to_be_hidden()


def selects_all(canvas: CanvasPage, keys: str) -> None:
    canvas.press(keys)
    wait_for_selection(canvas, *DESK["nodes"], "#g1", "#n1")


def selects_nothing(canvas: CanvasPage, keys: str) -> None:
    select(canvas, "draw")
    canvas.press(keys)
    wait_for_selection(canvas)


def steps_on(*order: str) -> Answer:
    def answer(canvas: CanvasPage, keys: str) -> None:
        for id in order:
            canvas.press(keys)
            wait_for_selection(canvas, id)

    return answer


def ungroups(canvas: CanvasPage, keys: str) -> None:
    canvas.page.mouse.click(*frame_title(canvas, "#g1"))
    wait_for_selection(canvas, "#g1")
    makes("ungroup")(canvas, keys)


def shows_selection(canvas: CanvasPage, keys: str) -> None:
    select(canvas, "save")
    for _ in range(2):
        canvas.press("-")
        wait_for_rest(canvas)
    zooms("now > before")(canvas, keys)


def switches_tool(canvas: CanvasPage, keys: str) -> None:
    tool = canvas.page.get_by_role("button", name="Select by dragging")
    for pressed in ("true", "false"):
        canvas.press(keys)
        expect(tool).to_have_attribute("aria-pressed", pressed)


def shows_problems(canvas: CanvasPage, keys: str) -> None:
    """The desk lacks a wire, so that running it shows what is wrong instead."""
    select(canvas, "styled")
    canvas.press(keys)
    canvas.page.wait_for_function("() => window.__lg.useShell.getState().panel === 'problems'")
    canvas.press("p")


def nothing_to_cancel(canvas: CanvasPage, keys: str) -> None:
    """That it cancels a run is seen in the tests of runs; without one it does nothing, nor does the browser."""
    canvas.press(keys)
    wait_for_steps(canvas, 0)


KEYS: dict[str, dict[str, Answer]] = {
    "Run": {"Control+Enter": shows_problems},
    "Run to the selected nodes": {"Control+Shift+Enter": shows_problems},
    "Cancel the run": {"Control+.": nothing_to_cancel},
    "Open": {"Control+o": opens("dialog-open")},
    "Save": {"Control+s": opens("dialog-save-as")},
    "Save as": {"Control+Shift+S": opens("dialog-save-as")},
    "Add a node": {"Space": opens("quick-add")},
    "Add a note": {"n": makes("add note")},
    "Undo": {"Control+z": undoes},
    "Redo": {"Control+Shift+Z": redoes, "Control+y": redoes},
    "Cut": {"Control+x": makes("cut", "draw")},
    "Copy": {"Control+c": copies},
    "Paste": {"Control+v": pastes},
    "Duplicate": {"Control+d": makes("duplicate", "draw")},
    "Duplicate without incoming wires": {"Control+Shift+D": makes("duplicate", "draw")},
    "Delete": {"Delete": makes("delete", "draw"), "Backspace": makes("delete", "draw")},
    "Delete and join the wires": {"Shift+Delete": makes("delete", "draw")},
    "Rename": {"F2": renames},
    "Connect": {"w": opens("connect", "draw")},
    "Mute": {"m": makes("mute", "draw")},
    "Bypass": {"Control+b": makes("bypass", "draw")},
    "Collapse": {"c": makes("collapse", "draw")},
    "Show all settings": {"e": makes("show settings", "draw")},
    "Select all": {"Control+a": selects_all},
    "Select nothing": {"Escape": selects_nothing},
    "Next node": {".": steps_on("base", "styled", "draw", "grid", "save", "base")},
    "Previous node": {",": steps_on("save", "grid", "draw")},
    "Find a node": {"Control+f": opens("dialog-find")},
    "All commands": {"Control+k": opens("dialog-commands")},
    "Lay out": {"l": makes("lay out")},
    "Group": {"Control+g": makes("group", "draw", "grid")},
    "Ungroup": {"Control+Shift+G": ungroups},
    **{
        f"Move {way.lower()} (Shift: further)": {
            f"Arrow{way}": makes("move", "save"),
            f"Shift+Arrow{way}": makes("move", "save"),
        }
        for way in ("Left", "Right", "Up", "Down")
    },
    "Show everything": {"f": zooms("now > 0")},
    "Show the selection": {"Shift+F": shows_selection},
    "Zoom in": {"+": zooms("now > before"), "=": zooms("now > before")},
    "Zoom out": {"-": zooms("now < before")},
    "Zoom to 100%": {"1": zooms("now === 1")},
    "Minimap": {"Shift+M": turns("shell.minimap")},
    "Select by dragging": {"v": switches_tool},
    "Node list": {"a": turns("shell.palette")},
    "Keyboard shortcuts": {"?": opens("dialog-shortcuts")},
    "Queue and history": {"q": turns("shell.panel === 'queue'")},
    "Gallery": {"i": turns("shell.panel === 'gallery'")},
    "Problems": {"p": turns("shell.panel === 'problems'")},
}
"""What the sheet lists: the title of each command, its keys as Playwright writes them, and what shows their work."""

SIGNS = {"ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓", "Control": "Ctrl", "Delete": "Del"}
SIGNS |= {"Escape": "Esc"}


def written(keys: str) -> str:
    """Return keys as the sheet writes them: "Ctrl+Shift+Z"."""
    parts = [keys] if keys in ("+", "-") else keys.split("+")
    return "+".join(SIGNS.get(part, part.upper() if len(part) == 1 else part) for part in parts)


def test_the_sheet_lists_every_key(desk: CanvasPage, shot: Shot) -> None:
    desk.press("?")
    sheet = desk.page.get_by_test_id("dialog-shortcuts")
    expect(sheet).to_be_visible()
    lines = sheet.locator("dl > div:not(.lg-sheet-pointer)")
    found = {line.locator("dt").inner_text(): line.locator("kbd").all_inner_texts() for line in lines.all()}
    assert found == {title: [written(each) for each in keys] for title, keys in KEYS.items()}
    shot(desk, "shortcut-sheet")
    desk.press("Escape")


@pytest.mark.parametrize(("title", "keys"), [(title, key) for title, keys in KEYS.items() for key in keys])
def test_keys_do_what_the_sheet_says(desk: CanvasPage, title: str, keys: str) -> None:
    KEYS[title][keys](desk, keys)


def test_keys_that_are_typed_into_a_setting_are_text(desk: CanvasPage) -> None:
    field = desk.widget("save.name").locator("input")
    field.click()
    desk.press("Control+a")
    desk.page.keyboard.type("m c l?")
    desk.press("Backspace")
    expect(field).to_have_value("m c l")
    assert set(desk.graph()["nodes"]) == set(DESK["nodes"])
    assert "mode" not in desk.graph()["nodes"]["save"]


# -- finding and adding -----------------------------------------------------------------------------------------------


def test_a_node_is_found_by_its_name_its_type_and_its_settings(desk: CanvasPage, shot: Shot) -> None:
    for words, id in (("gri", "grid"), ("apply", "styled"), ("owl", "draw")):
        desk.press("Control+f")
        dialog = desk.page.get_by_test_id("dialog-find")
        expect(dialog.get_by_role("combobox")).to_be_focused()
        desk.page.keyboard.type(words)
        expect(dialog.get_by_role("option").first).to_contain_text(id)
        if id == "draw":
            shot(desk, "find")
        desk.press("Enter")
        wait_for_selection(desk, id)
    desk.press("f")


def test_space_adds_a_node_under_the_pointer(desk: CanvasPage, shot: Shot) -> None:
    at = empty_place(desk)
    desk.page.mouse.move(*at)
    desk.press("Space")
    chooser = desk.page.get_by_test_id("quick-add")
    expect(chooser.get_by_role("combobox")).to_be_focused()
    desk.page.keyboard.type("lora")
    expect(chooser.get_by_role("option")).not_to_have_count(0)
    shot(desk, "quick-add")
    desk.press("ArrowDown")
    chosen = chooser.locator("[aria-selected=true]").get_attribute("data-option")
    desk.press("Enter")
    wait_for_steps(desk, 1)
    (added,) = selection(desk)
    assert desk.graph()["nodes"][added]["type"] == chosen
    box = desk.node(added).bounding_box()
    assert box is not None
    assert box["x"] <= at[0] <= box["x"] + box["width"] and box["y"] <= at[1] <= box["y"] + box["height"]


def test_double_click_searches_and_escape_adds_nothing(desk: CanvasPage) -> None:
    desk.page.mouse.dblclick(*empty_place(desk))
    chooser = desk.page.get_by_test_id("quick-add")
    expect(chooser.get_by_role("combobox")).to_be_focused()
    desk.page.keyboard.type("there is no such node")
    expect(chooser.get_by_text("No node answers this.")).to_be_visible()
    desk.press("Escape")
    expect(chooser).to_be_hidden()
    wait_for_steps(desk, 0)
    # The keys are the canvas' again.
    desk.press("c")
    desk.press("Control+a")
    selects_all(desk, "Control+a")


# -- context menus ----------------------------------------------------------------------------------------------------


def test_a_node_is_copied_cut_and_pasted_by_the_menus(desk: CanvasPage) -> None:
    context_menu(desk, header(desk, "draw"), "edit.clip.copy")
    context_menu(desk, empty_place(desk), "canvas.paste")
    desk.wait_for_graph("graph.nodes.draw_2")
    context_menu(desk, header(desk, "save"), "edit.clip.cut")
    desk.wait_for_graph("!graph.nodes.save")
    menu(desk, "edit", "edit.clip.paste")
    desk.wait_for_graph("graph.nodes.save")
    assert steps(desk) == 3
    select(desk, "grid")
    menu(desk, "edit", "edit.clip.copy")
    menu(desk, "edit", "edit.clip.paste")
    desk.wait_for_graph("graph.nodes.grid_2")
    menu(desk, "edit", "edit.clip.cut")
    desk.wait_for_graph("!graph.nodes.grid_2")


def test_menus_belong_to_what_was_clicked(desk: CanvasPage, shot: Shot) -> None:
    opened = context_menu(desk, header(desk, "draw"))
    wait_for_selection(desk, "draw")
    expect(opened.get_by_role("menuitem", name="Rename")).to_contain_text("F2")
    shot(desk, "menu-node")
    desk.press("Escape")
    expect(opened).to_be_hidden()

    opened = context_menu(desk, on_wire(desk, STYLED_WIRE, 0.1))
    expect(opened.get_by_role("menuitem")).to_have_text(["Add a reroute point", "Delete the wire"])
    desk.press("Escape")

    context_menu(desk, frame_title(desk, "#g1"), "group.select")
    desk.page.wait_for_function("() => window.__lg.useGraph.getState().selection.has('draw')")
    context_menu(desk, on_wire(desk, STYLED_WIRE, 0.1), "wire.delete")
    desk.wait_for_graph("!graph.wires.some((wire) => wire.to === 'styled')")

    opened = context_menu(desk, empty_place(desk))
    expect(opened.get_by_test_id("menu-edit.undo")).to_be_visible()
    shot(desk, "menu-canvas")
    desk.page.mouse.click(*empty_place(desk))
    expect(opened).to_be_hidden()


def test_a_menu_is_opened_and_used_by_the_keyboard(desk: CanvasPage) -> None:
    desk.press(".")
    expect(desk.page.locator('.react-flow__node[data-id="base"]')).to_be_focused()
    desk.press("Shift+F10")
    opened = desk.page.get_by_test_id("context-menu")
    expect(opened).to_be_visible()
    desk.press("c")
    while "Collapse" not in (desk.page.evaluate("() => document.activeElement.textContent") or ""):
        desk.press("c")
    desk.press("Enter")
    desk.wait_for_graph("graph.nodes.base.collapsed")
    expect(opened).to_be_hidden()


# -- what muting and bypassing change ---------------------------------------------------------------------------------


@pytest.fixture
def pictures(served: Served) -> dict[str, Any]:
    """A workflow that needs no model: pictures in a row, and as they are."""
    folder = served.work / "pictures"
    folder.mkdir(exist_ok=True)
    for name, colour in (("red", "#cc2222"), ("blue", "#2222cc")):
        Image.new("RGB", (32, 32), colour).save(folder / f"{name}.png")
    return {
        "format": "loragraph/1",
        "title": "Pictures",
        "nodes": {
            "data": node("LoadImages", {"folder": str(folder)}),
            "grid": node("Grid", rows=["data.images"]),
            "row": node("SaveImages", {"name": "row"}, images="grid.images"),
            "plain": node("SaveImages", {"name": "plain"}, images="data.images"),
        },
        "view": {
            "data": {"at": [0, 0]},
            "grid": {"at": [360, 0]},
            "row": {"at": [720, 0]},
            "plain": {"at": [720, 420]},
        },
    }


def test_mute_and_bypass_change_what_is_run(
    shared_page: CanvasPage, tmp_path: Path, pictures: dict[str, Any], served: Served, shot: Shot
) -> None:
    canvas = shared_page
    begin(canvas, tmp_path, pictures)

    def run() -> None:
        before = canvas.page.evaluate("() => window.__lg.useRuns.getState().shown?.id ?? ''")
        canvas.press("Control+Enter")
        canvas.page.wait_for_function(
            "(id) => { const run = window.__lg.useRuns.getState().shown; return run && run.id !== id && run.ended; }",
            arg=before,
            timeout=60_000,
        )
        canvas.wait_for_run("done")

    def files(name: str) -> int:
        return len(list(served.out.rglob(f"{name}-*.png")))

    select(canvas, "grid")
    canvas.press("m")
    run()
    assert canvas.state("plain") == "done"
    assert canvas.state("grid") == canvas.state("row") == ""
    assert (files("plain"), files("row")) == (2, 0)
    expect(canvas.node("grid")).to_have_attribute("data-mode", "mute")
    shot(canvas, "muted")
    # Bypassed, the grid hands on the two pictures as they are.
    canvas.page.mouse.click(*empty_place(canvas))
    select(canvas, "grid")
    canvas.press("Control+b")
    run()
    assert canvas.state("row") == "done" and canvas.state("grid") == ""
    assert files("row") == 2
    expect(canvas.node("grid")).to_have_attribute("data-mode", "bypass")
    canvas.page.wait_for_function(
        """() => {
            const images = [...document.querySelectorAll("[data-node=row] .lg-media img")];
            return images.length === 2 && images.every((image) => image.complete && image.naturalWidth > 0);
        }"""
    )
    shot(canvas, "bypassed")
    # And neither: one picture with both, beside the two.
    canvas.press("Control+b")
    run()
    assert canvas.state("grid") == "done"
    assert files("row") == 3
    canvas.check_console()
