"""Opening and saving in the browser: every way in, every way out, and nothing is lost on the way."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from loragraph.tests.ui.browser.building import begin, node
from loragraph.tests.ui.browser.canvas_page import CanvasPage
from loragraph.tests.ui.browser.dialogs import answer, dialog, file_menu, new, save_as
from loragraph.tests.ui.browser.serving import Served
from loragraph.ui.keeping import template_files

pytestmark = pytest.mark.timeout(180)

Shot = Callable[[CanvasPage, str], Path]
OpenPage = Callable[..., CanvasPage]

ONE: dict[str, Any] = {"format": "loragraph/1", "nodes": {"base": node("LoadBase")}}
PICTURES: dict[str, Any] = {
    "format": "loragraph/1",
    "title": "Pictures to keep",
    "nodes": {
        "data": {"type": "LoadImages", "version": 1, "settings": {"folder": "pictures"}},
        "save": {"type": "SaveImages", "version": 1, "settings": {"name": "kept"}, "inputs": {"images": "data.images"}},
    },
    "view": {"data": {"at": [0, 0]}, "save": {"at": [400, 40]}},
}
"""A workflow that runs in a moment."""


@pytest.fixture(scope="module", autouse=True)
def pictures(served: Served) -> None:
    folder = served.work / "pictures"
    folder.mkdir()
    for colour in ("red", "blue"):
        Image.new("RGB", (32, 32), colour).save(folder / f"{colour}.png")


def write(path: Path, document: object) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def nodes(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["nodes"]
    return found


def wait_for_nodes(canvas: CanvasPage, *names: str) -> None:
    canvas.wait_for_graph("Object.keys(graph.nodes).sort().join() === argument", ",".join(sorted(names)))


def unsaved(canvas: CanvasPage) -> bool:
    return "on" in (canvas.page.get_by_test_id("unsaved").get_attribute("class") or "").split()


def wait_for_draft(page: Page, text: str) -> None:
    """Wait until the browser keeps a draft that holds this text."""
    page.evaluate(
        """async (text) => {
            const database = await new Promise((done, failed) => {
                const request = indexedDB.open("loragraph", 1);
                request.onsuccess = () => done(request.result);
                request.onerror = failed;
            });
            const kept = () => new Promise((done) => {
                const request = database.transaction("drafts").objectStore("drafts").getAll();
                request.onsuccess = () => done(request.result.some((draft) => draft.text.includes(text)));
            });
            while (!(await kept())) await new Promise((done) => setTimeout(done, 50));
            database.close();
        }""",
        text,
    )


# -- saving and opening ------------------------------------------------------------------------------------------------


def test_saving_asks_once_for_a_name_and_the_file_opens_again(
    canvas: CanvasPage, served: Served, tmp_path: Path, shot: Shot
) -> None:
    canvas.drop_file(write(tmp_path / "mine.json", PICTURES))
    wait_for_nodes(canvas, "data", "save")
    canvas.press("Control+s")
    shot(canvas, "save_as")
    save_as(canvas, "Two pictures")
    file = served.work / "Two pictures.json"
    assert json.loads(file.read_text()) == PICTURES
    assert not unsaved(canvas)

    canvas.type_into("save.name", "again")
    assert unsaved(canvas)
    canvas.press("Control+s")
    expect(canvas.page.get_by_test_id("unsaved")).not_to_have_class(re.compile(r"\bon\b"))
    assert nodes(json.loads(file.read_text()))["save"]["settings"] == {"name": "again"}

    new(canvas)
    canvas.press("Control+o")
    expect(dialog(canvas, "open").get_by_role("listitem")).not_to_have_count(0)
    shot(canvas, "open")
    dialog(canvas, "open").get_by_role("searchbox").fill("pictures two")
    dialog(canvas, "open").locator(".lg-list-row").click()
    wait_for_nodes(canvas, "data", "save")
    assert canvas.graph() == json.loads(file.read_text())
    assert not unsaved(canvas)


def test_a_taken_name_replaces_only_when_asked_again(canvas: CanvasPage, served: Served, tmp_path: Path) -> None:
    taken = write(served.work / "taken.json", {**PICTURES, "title": "Somebody else's"})
    before = taken.read_bytes()
    canvas.drop_file(write(tmp_path / "mine.json", PICTURES))
    wait_for_nodes(canvas, "data", "save")
    canvas.press("Control+Shift+S")
    asked = dialog(canvas, "save-as")
    asked.get_by_label("File name").fill("taken")
    asked.get_by_role("button", name="Save", exact=True).click()
    expect(asked.get_by_role("alert")).to_contain_text("already a workflow of this name")
    assert taken.read_bytes() == before
    asked.get_by_role("button", name="Replace").click()
    expect(asked).to_have_count(0)
    assert json.loads(taken.read_text())["title"] == PICTURES["title"]


@pytest.mark.parametrize("name", ["../outside", ".hidden", "a/b", "what?"])
def test_a_name_that_is_no_file_name_is_refused_with_the_reason(
    shared_page: CanvasPage, served: Served, tmp_path: Path, name: str
) -> None:
    canvas = shared_page
    begin(canvas, tmp_path, ONE)
    canvas.press("Control+s")
    asked = dialog(canvas, "save-as")
    asked.get_by_label("File name").fill(name)
    canvas.press("Enter")
    expect(asked.get_by_role("alert")).to_contain_text("can't be a file name")
    canvas.press("Escape")
    expect(asked).to_have_count(0)
    assert not any(served.folder.glob("outside.json"))


def test_what_is_open_stays_unsaved_where_another_file_is_refused(canvas: CanvasPage, tmp_path: Path) -> None:
    canvas.drag_out("LoadBase", at=(700, 450))
    canvas.drop_file(write(tmp_path / "strange.json", "[1, 2, 3]"))
    answer(canvas, "Don't save")
    dialog(canvas, "unreadable").get_by_role("button", name="Close").last.click()
    wait_for_nodes(canvas, "load_base")
    assert unsaved(canvas)


def test_the_title_is_part_of_the_file(canvas: CanvasPage, served: Served) -> None:
    canvas.drag_out("LoadBase", at=(700, 450))
    title = canvas.page.get_by_test_id("title")
    title.click()
    title.fill('Füchse & "Eulen" 🦊')
    title.press("Enter")
    canvas.press("Control+s")
    save_as(canvas, "foxes")
    assert json.loads((served.work / "foxes.json").read_text("utf-8"))["title"] == 'Füchse & "Eulen" 🦊'


def test_a_template_opens_with_its_picture(canvas: CanvasPage, shot: Shot) -> None:
    file_menu(canvas, "templates")
    cards = dialog(canvas, "templates").locator(".lg-card")
    expect(cards).to_have_count(len(template_files()))
    canvas.page.wait_for_function(
        "() => [...document.querySelectorAll('dialog .lg-card img')].every((each) => each.naturalWidth)"
    )
    shot(canvas, "templates")
    cards.filter(has_text="Bake").click()
    canvas.wait_for_graph("'baked' in graph.nodes")
    # A template is a beginning of one's own: it has no file yet, and is not written back to.
    canvas.press("Control+s")
    expect(dialog(canvas, "save-as")).to_be_visible()


# -- dropping files ----------------------------------------------------------------------------------------------------


def test_a_picture_that_save_images_wrote_gives_its_workflow_back(
    canvas: CanvasPage, served: Served, tmp_path: Path
) -> None:
    canvas.drop_file(write(tmp_path / "mine.json", PICTURES))
    wait_for_nodes(canvas, "data", "save")
    canvas.press_run()
    canvas.wait_for_run("done")
    (picture, *_) = sorted(served.out.rglob("kept-*.png"))
    before = canvas.graph()
    new(canvas)
    canvas.drop_file(picture, "image/png")
    wait_for_nodes(canvas, "data", "save")
    assert nodes(canvas.graph()) == nodes(before)
    assert canvas.graph()["view"] == before["view"]


COMFY = {"3": {"class_type": "KSampler", "inputs": {"seed": 1}}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("hello", "JSON"),
        ("[1, 2, 3]", "object"),
        (json.dumps(COMFY), "format"),
        (json.dumps({**PICTURES, "format": "loragraph/99"}), "newer"),
        (json.dumps({"format": "loragraph/1", "nodes": [1]}), "nodes"),
        ("[" * 100_000, "deeper"),
    ],
    ids=["empty", "cut off", "text", "a list", "of another program", "newer format", "nodes are a list", "deep"],
)
def test_what_is_no_workflow_is_refused_and_the_canvas_stays(
    shared_page: CanvasPage, tmp_path: Path, content: str, said: str
) -> None:
    canvas = shared_page
    begin(canvas, tmp_path, ONE)
    before = canvas.graph()
    canvas.drop_file(write(tmp_path / "strange.json", content))
    refused = dialog(canvas, "unreadable")
    expect(refused).to_contain_text("strange.json")
    expect(refused).to_contain_text(said)
    refused.get_by_role("button", name="Close").last.click()
    expect(refused).to_have_count(0)
    assert canvas.graph() == before


def test_a_picture_without_a_workflow_says_so(canvas: CanvasPage, served: Served, shot: Shot) -> None:
    canvas.drop_file(served.work / "pictures" / "red.png", "image/png")
    expect(dialog(canvas, "unreadable")).to_contain_text("carries no workflow")
    shot(canvas, "unreadable")


def test_a_file_of_50_mb_is_refused_before_it_is_read(canvas: CanvasPage, tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as stream:
        stream.truncate(50 * 2**20)
    with canvas.page.expect_file_chooser() as chooser:
        file_menu(canvas, "open")
        dialog(canvas, "open").get_by_role("button", name="From this computer").click()
    chooser.value.set_files(large)
    expect(dialog(canvas, "unreadable")).to_contain_text("50 MB")
    expect(dialog(canvas, "unreadable")).to_contain_text("loragraph run")


# -- what is not installed here ----------------------------------------------------------------------------------------

FOREIGN: dict[str, Any] = {
    "format": "loragraph/1",
    "title": "From a friend",
    "nodes": {
        "data": {"type": "LoadImages", "version": 1, "settings": {"folder": "pictures", "retired": 5}},
        "sharpen": {
            "type": "SharpenMore",
            "version": 4,
            "settings": {"amount": 0.25, "deep": {"list": [1, None, "ü"]}},
            "inputs": {"images": "data.images", "masks": ["data.images", "data.gone_output"]},
        },
        "save": {
            "type": "SaveImages",
            "version": 1,
            "settings": {"name": "sharp"},
            "inputs": {"images": "sharpen.images", "gone_input": "data.images"},
        },
    },
    "view": {
        "data": {"at": [0, 0]},
        "sharpen": {"at": [360, 0], "theirs": {"colour": "red"}},
        "save": {"at": [760, 0]},
        "#theirs": {"kept": True},
    },
}


def test_unknown_nodes_and_removed_sockets_are_shown_and_nothing_is_lost(
    canvas: CanvasPage, served: Served, tmp_path: Path, shot: Shot
) -> None:
    canvas.drop_file(write(tmp_path / "friend.json", FOREIGN))
    told = dialog(canvas, "missing")
    expect(told).to_contain_text("sharpen")
    expect(told).to_contain_text("SharpenMore")
    expect(told).to_contain_text("package")
    shot(canvas, "missing_nodes")
    told.get_by_role("button", name="Go on").click()
    placeholder = canvas.node("sharpen")
    expect(placeholder).to_have_class(re.compile("unknown"))
    expect(placeholder.locator("pre")).to_contain_text('"amount": 0.25')
    expect(canvas.node("save").locator(".lg-socket.gone")).to_have_count(1)
    expect(canvas.node("data").locator(".lg-socket.gone")).to_have_count(1)
    shot(canvas, "placeholders")
    canvas.click_canvas()
    canvas.press("Control+s")
    save_as(canvas, "friend")
    assert json.loads((served.work / "friend.json").read_text("utf-8")) == FOREIGN


# -- drafts, and leaving -----------------------------------------------------------------------------------------------


def test_unsaved_work_is_there_after_a_reload(canvas: CanvasPage) -> None:
    canvas.drag_out("Sample", at=(700, 450))
    canvas.type_into("sample.prompt", "a fox that was never saved")
    before = canvas.graph()
    canvas.reload()  # at once, before the draft's own pause has passed
    canvas.wait_for_graph("'sample' in graph.nodes")
    assert canvas.graph() == before
    assert unsaved(canvas)


def test_a_closed_tab_leaves_its_draft_to_the_next(open_page: OpenPage, shot: Shot) -> None:
    first = open_page()
    first.drag_out("Sample", at=(700, 450))
    first.type_into("sample.prompt", "a fox in a closed tab")
    wait_for_draft(first.page, "a fox in a closed tab")
    first.page.close()
    second = open_page()
    offer = second.notice(re.compile("Unsaved work"))
    expect(offer).to_be_visible()
    offer.get_by_role("button", name="Show").click()
    expect(dialog(second, "open").get_by_role("listitem")).to_have_count(1)
    shot(second, "drafts")
    dialog(second, "open").locator(".lg-list-row").click()
    second.wait_for_graph("graph.nodes.sample?.settings.prompt === 'a fox in a closed tab'")
    assert unsaved(second)


def test_opening_something_else_asks_what_becomes_of_unsaved_work(
    canvas: CanvasPage, served: Served, tmp_path: Path, shot: Shot
) -> None:
    canvas.drag_out("LoadBase", at=(700, 450))
    other = write(tmp_path / "other.json", PICTURES)
    canvas.drop_file(other)
    expect(dialog(canvas, "ask")).to_contain_text("not saved")
    shot(canvas, "leaving")
    answer(canvas, "Cancel")
    assert set(nodes(canvas.graph())) == {"load_base"}

    canvas.drop_file(other)
    answer(canvas, "Save")
    save_as(canvas, "before leaving")
    wait_for_nodes(canvas, "data", "save")
    assert set(nodes(json.loads((served.work / "before leaving.json").read_text()))) == {"load_base"}

    canvas.type_into("save.name", "thrown away")
    file_menu(canvas, "new")
    answer(canvas, "Don't save")
    wait_for_nodes(canvas)


def test_closing_a_page_warns_only_where_the_browser_keeps_no_draft(open_page: OpenPage) -> None:
    kept = open_page()
    kept.drag_out("LoadBase", at=(700, 450))
    asked: list[str] = []
    kept.page.on("dialog", lambda raised: (asked.append(raised.type), raised.accept()))
    with kept.page.expect_event("close"):
        kept.page.close(run_before_unload=True)
    assert asked == []

    refusing = open_page()
    refusing.page.evaluate(
        """() => {
            IDBObjectStore.prototype.put = () => { throw new DOMException("full", "QuotaExceededError"); };
            Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
        }"""
    )
    refusing.drag_out("LoadBase", at=(700, 450))
    expect(refusing.notice(re.compile("can't keep a copy"))).to_be_visible()
    with refusing.page.expect_event("dialog") as raised:
        refusing.page.close(run_before_unload=True)
    assert raised.value.type == "beforeunload"
    raised.value.accept()


# -- two people --------------------------------------------------------------------------------------------------------


def test_two_people_editing_one_file_overwrite_nothing_unasked(
    canvas: CanvasPage, browser: Browser, served: Served, tmp_path: Path, shot: Shot
) -> None:
    file = write(served.work / "shared.json", PICTURES)
    theirs_in = browser.new_context(viewport={"width": 1280, "height": 800})
    theirs = CanvasPage(theirs_in.new_page(), served.url)
    theirs.open()
    for page in (canvas, theirs):
        page.press("Control+o")
        dialog(page, "open").get_by_role("searchbox").fill("shared")
        dialog(page, "open").locator(".lg-list-row").click()
        wait_for_nodes(page, "data", "save")

    def rename_and_save(page: CanvasPage, name: str) -> None:
        page.type_into("save.name", name)
        page.press("Control+s")

    def kept() -> str:
        found: str = nodes(json.loads(file.read_text()))["save"]["settings"]["name"]
        return found

    rename_and_save(theirs, "theirs")
    expect(theirs.notice("Saved as")).to_be_visible()
    # The other page notices by itself …
    expect(canvas.notice("was saved by someone else")).to_be_visible()
    shot(canvas, "saved_by_someone_else")
    # … and saving there asks: nothing is written before.
    rename_and_save(canvas, "mine")
    conflict = dialog(canvas, "conflict")
    expect(conflict).to_be_visible()
    shot(canvas, "conflict")
    assert kept() == "theirs"
    canvas.press("Escape")
    expect(conflict).to_have_count(0)
    assert kept() == "theirs" and unsaved(canvas)

    # As a copy: both versions are kept.
    canvas.press("Control+s")
    conflict.get_by_role("button", name="Save a copy").click()
    save_as(canvas, "shared copy")
    assert kept() == "theirs"
    assert nodes(json.loads((served.work / "shared copy.json").read_text()))["save"]["settings"]["name"] == "mine"

    # Replaced, after the warning; and the other one is warned in turn.
    canvas.press("Control+o")
    dialog(canvas, "open").get_by_role("searchbox").fill("shared.json")
    dialog(canvas, "open").locator(".lg-list-row").first.click()
    canvas.wait_for_graph("graph.nodes.save.settings.name === 'theirs'")
    rename_and_save(theirs, "theirs again")
    expect(theirs.page.get_by_test_id("unsaved")).not_to_have_class(re.compile(r"\bon\b"))
    rename_and_save(canvas, "the last")
    conflict.get_by_role("button", name="Replace with mine").click()
    expect(canvas.page.get_by_test_id("unsaved")).not_to_have_class(re.compile(r"\bon\b"))
    assert kept() == "the last"
    rename_and_save(theirs, "too late")
    dialog(theirs, "conflict").get_by_role("button", name="Show theirs").click()
    answer(theirs, "Give up my changes")
    theirs.wait_for_graph("graph.nodes.save.settings.name === 'the last'")
    assert kept() == "the last" and not unsaved(theirs)
    theirs_in.close()


# -- other ways out ----------------------------------------------------------------------------------------------


def test_the_downloaded_file_is_the_workflow(canvas: CanvasPage, tmp_path: Path) -> None:
    canvas.drop_file(write(tmp_path / "to take along.json", PICTURES))
    wait_for_nodes(canvas, "data", "save")
    with canvas.page.expect_download() as downloaded:
        file_menu(canvas, "download")
    assert downloaded.value.suggested_filename == "to take along.json"
    assert json.loads(downloaded.value.path().read_text("utf-8")) == PICTURES


def test_a_command_is_copied_only_of_what_is_saved(canvas: CanvasPage, served: Served, tmp_path: Path) -> None:
    canvas.page.evaluate("() => navigator.clipboard.writeText('nothing yet')")
    canvas.drop_file(write(tmp_path / "mine.json", PICTURES))
    wait_for_nodes(canvas, "data", "save")
    file_menu(canvas, "command")
    dialog(canvas, "save-as").get_by_role("button", name="Cancel").click()
    expect(dialog(canvas, "save-as")).to_have_count(0)
    file_menu(canvas, "command")
    save_as(canvas, "saved to be copied")
    expect(canvas.notice("on the clipboard")).to_be_visible()
    file = served.work / "saved to be copied.json"
    copied = canvas.page.evaluate("() => navigator.clipboard.readText()")
    assert shlex.split(copied)[:3] == ["loragraph", "run", str(file.resolve())]

    canvas.page.evaluate("() => navigator.clipboard.writeText('nothing since')")
    canvas.type_into("save.name", "changed")
    file_menu(canvas, "command")
    answer(canvas, "Cancel")
    assert unsaved(canvas) and canvas.page.evaluate("() => navigator.clipboard.readText()") == "nothing since"
    assert nodes(json.loads(file.read_text()))["save"]["settings"]["name"] == "kept"


def test_the_copied_command_runs_the_workflow_as_it_is_now(canvas: CanvasPage, served: Served, tmp_path: Path) -> None:
    canvas.drop_file(write(tmp_path / "mine.json", PICTURES))
    wait_for_nodes(canvas, "data", "save")
    canvas.press("Control+s")
    save_as(canvas, "for the command line")
    canvas.type_into("save.name", "by command")
    file_menu(canvas, "command")
    answer(canvas, "Save and copy")
    expect(canvas.notice("on the clipboard")).to_be_visible()
    line = canvas.page.evaluate("() => navigator.clipboard.readText()")
    first, *rest = shlex.split(line)
    assert first == "loragraph"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "loragraph", *rest], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len(list(served.out.rglob("by command-*.png"))) == 2


def test_the_program_for_the_api_runs_the_workflow(
    canvas: CanvasPage, served: Served, tmp_path: Path, shot: Shot
) -> None:
    canvas.drop_file(write(tmp_path / "by program.json", PICTURES))
    wait_for_nodes(canvas, "data", "save")
    canvas.type_into("save.name", "by program")
    file_menu(canvas, "api")
    shown = dialog(canvas, "api")
    expect(shown.locator("pre")).to_contain_text("gradio_client")
    shot(canvas, "use_via_api")
    shown.get_by_role("button", name="Copy").click()
    program = canvas.page.evaluate("() => navigator.clipboard.readText()")
    assert program == shown.locator("pre").text_content()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"},
    )
    assert done.returncode == 0, done.stderr
    assert len(list(served.out.rglob("by program-*.png"))) == 2
    assert "by program-0001.png" in done.stdout.splitlines()[-1]
