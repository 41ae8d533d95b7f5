"""What axe-core finds wrong with the page, in both themes and with every dialog open; and work without a mouse.

axe-core comes with the canvas' development tools (`npm ci` in ui/web); where they are not installed these tests are
skipped, but with CI set in the environment they fail.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

import loragraph
from loragraph.tests.ui.browser.building import DESK, begin, context_menu, empty_place, menu, wait_for_selection
from loragraph.tests.ui.browser.canvas_page import CanvasPage
from loragraph.tests.ui.browser.dialogs import theme
from loragraph.tests.ui.browser.serving import Served

pytestmark = pytest.mark.timeout(180)

AXE = Path(loragraph.__file__).parent / "ui" / "web" / "node_modules" / "axe-core" / "axe.min.js"
NOT_OURS = ["page-has-heading-one", "region", "landmark-one-main", "meta-viewport"]
"""Rules on the page as a whole, which is Gradio's."""


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        said = "no axe-core: run `npm ci` in ui/web"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    return AXE.read_text("utf-8")


def findings(canvas: CanvasPage, axe: str) -> list[str]:
    """Return what is wrong with what is shown now, one line for each thing."""
    page = canvas.page
    page.evaluate("() => Promise.allSettled(document.getAnimations().map((each) => each.finished))")
    page.wait_for_function("() => !window.__lg.useGraph.getState().merging")
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe)
    result: dict[str, Any] = page.evaluate(
        """async (off) => await axe.run(".lg", {
            resultTypes: ["violations"], rules: Object.fromEntries(off.map((rule) => [rule, { enabled: false }])),
        })""",
        NOT_OURS,
    )
    return [
        f"{found['id']} ({found['impact']}): {found['help']}: {' '.join(each['target'])}\n    {each['html'][:200]}"
        f"\n    {' '.join(each['failureSummary'].split())[:300]}"
        for found in result["violations"]
        for each in found["nodes"]
    ]


def check(canvas: CanvasPage, axe: str, what: str) -> None:
    found = findings(canvas, axe)
    assert not found, f"{what}:\n" + "\n".join(found)


WRONG: dict[str, Any] = {
    **DESK,
    "nodes": {
        **DESK["nodes"],
        "data": {"type": "LoadImages", "version": 1},
        "train": {"type": "TrainLoRA", "version": 1, "inputs": {"base": "base.base"}, "mode": "mute"},
        "merge": {"type": "MergeLoRA", "version": 1, "mode": "bypass"},
        "regions": {"type": "PaintRegions", "version": 1},
        "file": {"type": "LoadLoRA", "version": 1},
        "other": {"type": "NotHere", "version": 1, "settings": {"a": 1}, "inputs": {"from": ["draw.images"]}},
    },
    "view": {
        **DESK["view"],
        "data": {"at": [0, 640]},
        "train": {"at": [340, 640], "expanded": True},
        "merge": {"at": [700, 640], "collapsed": True},
        "regions": {"at": [700, 720]},
        "file": {"at": [0, 860]},
        "other": {"at": [1100, 640]},
    },
}
"""Nodes of every kind and in every state that an editor can be in."""


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_is_wrong_with_the_page(
    shared_page: CanvasPage, axe: str, colours: str, tmp_path: Path, shot: Callable[[CanvasPage, str], Path]
) -> None:
    canvas = shared_page
    canvas.page.mouse.move(720, 5)
    theme(canvas, colours)
    if colours == "light":
        check(canvas, axe, "the empty page")
    shot(canvas, f"start_{colours}")
    open_wrong(canvas, tmp_path)
    shot(canvas, f"all_states_{colours}")
    check(canvas, axe, "the canvas")
    for panel in ("queue", "gallery", "problems"):
        canvas.page.get_by_test_id(f"toggle-{panel}").click()
        expect(canvas.page.get_by_test_id("side-panel")).to_be_visible()
        shot(canvas, f"panel_{panel}_{colours}")
        check(canvas, axe, f"the panel {panel}")
        canvas.page.get_by_test_id(f"toggle-{panel}").click()
    canvas.page.get_by_test_id("menu-file").click()
    check(canvas, axe, "an open menu")
    canvas.press("Escape")
    context_menu(canvas, empty_place(canvas))
    check(canvas, axe, "a context menu")
    canvas.press("Escape")


def open_wrong(canvas: CanvasPage, folder: Path) -> None:
    path = folder / "wrong.json"
    path.write_text(json.dumps(WRONG))
    canvas.drop_file(path)
    canvas.page.get_by_test_id("dialog-missing").get_by_role("button", name="Go on").click()
    canvas.wait_for_graph("'other' in graph.nodes")
    canvas.page.wait_for_function("() => window.__lg.useGraph.getState().problems.length > 0")


DIALOGS = {
    "shortcuts": ("view", "view.help.keys", "dialog-shortcuts"),
    "commands": ("edit", "edit.search.commands", "dialog-commands"),
    "find": ("edit", "edit.search.find", "dialog-find"),
    "open": ("file", "file.open", "dialog-open"),
    "templates": ("file", "file.templates", "dialog-templates"),
    "save as": ("file", "file.saveAs", "dialog-save-as"),
    "api": ("file", "file.api", "dialog-api"),
}


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_is_wrong_with_the_dialogs(
    shared_page: CanvasPage, axe: str, colours: str, tmp_path: Path, shot: Callable[[CanvasPage, str], Path]
) -> None:
    canvas = shared_page
    begin(canvas, tmp_path, DESK)
    theme(canvas, colours)
    for name, (section, command, hook) in DIALOGS.items():
        menu(canvas, section, command)
        expect(canvas.page.get_by_test_id(hook)).to_be_visible()
        check(canvas, axe, f"the dialog {name}")
        shot(canvas, f"dialog_{name.replace(' ', '_')}_{colours}")
        canvas.press("Escape")
        expect(canvas.page.get_by_test_id(hook)).to_have_count(0)
    canvas.click_canvas(empty_place(canvas))
    canvas.press(" ")
    expect(canvas.page.get_by_test_id("quick-add")).to_be_visible()
    check(canvas, axe, "quick-add")
    shot(canvas, f"quick_add_{colours}")
    canvas.press("Escape")
    theme(canvas, "light")


def test_two_nodes_are_added_wired_and_set_without_a_mouse(canvas: CanvasPage, served: Served) -> None:
    page = canvas.page
    page.keyboard.press("Space")
    for text, id in (("loadbase", "load_base"), ("sample", "sample")):
        if id == "sample":
            page.keyboard.press("Space")
        expect(page.get_by_test_id("quick-add")).to_be_visible()
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        canvas.wait_for_graph("argument in graph.nodes", id)
        wait_for_selection(canvas, id)
    # The new node is selected: it is wired through the list of what fits.
    page.keyboard.press("w")
    expect(page.get_by_test_id("connect")).to_be_visible()
    page.keyboard.type("load_base")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    canvas.wait_for_graph("graph.wires.length === 1")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("connect")).to_have_count(0)
    assert canvas.wires() == ["load_base.base->sample.base"]
    # Into its settings by Tab, and one of them written.
    for _ in range(60):
        if page.evaluate("() => document.activeElement.closest('[data-setting]')?.dataset.setting") == "sample.prompt":
            break
        page.keyboard.press("Tab")
    page.keyboard.type("a fox by keys")
    canvas.wait_for_graph("graph.nodes.sample.settings.prompt === 'a fox by keys'")
    page.keyboard.press("Control+s")
    name = page.get_by_test_id("dialog-save-as").get_by_label("File name")
    expect(name).to_be_focused()
    page.keyboard.type("by keys")
    page.keyboard.press("Enter")
    expect(canvas.notice(re.compile("by keys.json"))).to_be_visible()
    kept = json.loads((served.work / "by keys.json").read_text("utf-8"))
    assert kept["nodes"]["sample"]["inputs"] == {"base": "load_base.base"}


def test_a_dialog_keeps_the_focus_and_gives_it_back(canvas: CanvasPage) -> None:
    page = canvas.page
    opener = page.get_by_test_id("shortcuts")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("dialog-shortcuts")).to_be_visible()
    for _ in range(5):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "() => document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("dialog-shortcuts")).to_have_count(0)
    expect(opener).to_be_focused()
