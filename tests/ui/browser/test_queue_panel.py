"""The panel beside the canvas: the queue steered with the mouse, past runs looked at again, and their pictures."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from loragraph.tests.ui.browser.canvas_page import CanvasPage
from loragraph.tests.ui.browser.dialogs import dialog, theme
from loragraph.tests.ui.browser.kinds import offered
from loragraph.tests.ui.browser.serving import Served
from loragraph.tests.ui.browser.watching import (
    Nodes,
    loaded,
    panel,
    records,
    run_menu,
    select,
    show,
    shown_run,
    wait_for_badge,
    wait_for_new_run,
    wait_for_step,
)

pytestmark = pytest.mark.timeout(180)
Shot = Callable[[CanvasPage, str], Path]


@pytest.fixture
def served(tmp_path: Path, browser: Browser) -> Iterator[Served]:
    """A server of this test's own, with a queue that is empty at first."""
    server = Served(tmp_path, env=offered(tmp_path))
    server.start()
    yield server
    server.stop()


def rows(canvas: CanvasPage, status: str) -> Locator:
    return canvas.page.locator(f"[data-testid=run-row][data-status={status}]")


def order(canvas: CanvasPage) -> list[str]:
    """Return the ids of what waits, as the panel lists it."""
    return [str(row.get_attribute("data-run")) for row in rows(canvas, "waiting").all()]


def wait_for_order(canvas: CanvasPage, runs: list[str]) -> None:
    canvas.page.wait_for_function(
        """(runs) => JSON.stringify(runs) === JSON.stringify(Array.from(
            document.querySelectorAll("[data-testid=run-row][data-status=waiting]"), (row) => row.dataset.run))""",
        arg=runs,
    )


def choose(canvas: CanvasPage, row: Locator, line: str) -> None:
    row.get_by_role("button", name=re.compile("^More about")).click()
    canvas.page.get_by_role("menuitem", name=line, exact=True).click()


def test_the_queue_is_reordered_cancelled_and_run_in_its_order(
    canvas: CanvasPage, served: Served, tmp_path: Path, shot: Shot
) -> None:
    gate = tmp_path / "gate"
    nodes: Nodes = {
        "count": ("Work", {"steps": 4, "hold_at": 2, "gate": str(gate)}, {}),
        "paint": ("Paint", {}, {"after": "count.count"}),
    }
    show(canvas, tmp_path, "queued", nodes, columns=2)
    side = panel(canvas, "queue")
    expect(side).to_contain_text("No runs yet")
    canvas.press_run()
    running = wait_for_new_run(canvas, "")
    wait_for_step(canvas, "count", 2)
    expect(rows(canvas, "running")).to_contain_text("0/2 · count 2/4")
    for colours in ("#111111", "#222222", "#333333"):
        canvas.type_into("paint.colours", colours)
        canvas.press_run()
        expect(canvas.notice("waits in the queue")).to_be_visible()
        expect(rows(canvas, "waiting")).to_have_count(int(colours[-1]))
    assert shown_run(canvas) == running  # what runs is watched on, whatever is put behind it
    first, second, third = order(canvas)
    expect(side.get_by_test_id("tab-queue")).to_contain_text("4")

    # By hand, with the menu, and once to the front of all.
    grips = rows(canvas, "waiting").locator(".lg-grip")
    start, end = canvas.centre(grips.nth(0)), canvas.centre(grips.nth(2))
    canvas.page.mouse.move(*start)
    canvas.page.mouse.down()
    canvas.page.mouse.move(*end, steps=8)
    expect(rows(canvas, "waiting").nth(2)).to_have_class(re.compile("below"))
    shot(canvas, "queue-dragging")
    canvas.page.mouse.up()
    wait_for_order(canvas, [second, third, first])
    choose(canvas, rows(canvas, "waiting").nth(2), "Move up")
    wait_for_order(canvas, [second, first, third])
    choose(canvas, rows(canvas, "waiting").nth(2), "Run next")
    wait_for_order(canvas, [third, second, first])
    shot(canvas, "queue")
    theme(canvas, "dark")
    shot(canvas, "queue-dark")
    theme(canvas, "light")

    # One is cancelled while it waits, and forgotten.
    rows(canvas, "waiting").nth(1).get_by_role("button", name=re.compile("^Cancel")).click()
    wait_for_order(canvas, [third, first])
    expect(rows(canvas, "cancelled")).to_have_count(1)
    choose(canvas, rows(canvas, "cancelled"), "Remove from the history")
    expect(rows(canvas, "cancelled")).to_have_count(0)

    # The rest is run in the order that was asked for.
    gate.touch()
    expect(rows(canvas, "done")).to_have_count(3)
    ran = sorted((record for record in records(served)), key=lambda record: record.started or 0)
    assert [record.id for record in ran] == [running, third, first]
    expect(rows(canvas, "done").first.locator(".lg-thumb img")).to_be_visible()

    # An old run is shown on the nodes, opened as it was, and run again.
    old = canvas.page.locator(f'[data-run="{third}"]')
    old.get_by_role("button", name=re.compile("^Queued")).first.click()
    canvas.page.wait_for_function("(run) => window.__lg.useRuns.getState().shown?.id === run", arg=third)
    wait_for_badge(canvas, "paint", "done")
    expect(canvas.node("paint").get_by_test_id("tile")).to_have_attribute("title", "a #333333 square")
    choose(canvas, canvas.page.locator(f'[data-run="{running}"]'), "Open its workflow")
    asked = dialog(canvas, "ask")
    asked.get_by_role("button", name="Don't save").click()
    canvas.wait_for_graph("!('colours' in graph.nodes.paint.settings)")
    canvas.page.wait_for_function("(run) => window.__lg.useRuns.getState().shown?.id === run", arg=running)
    expect(canvas.node("paint").get_by_test_id("tile")).to_have_count(2)
    canvas.page.locator(f'[data-run="{first}"]').get_by_role("button", name=re.compile("again$")).click()
    expect(rows(canvas, "done")).to_have_count(4)
    loaded(rows(canvas, "done").locator(".lg-thumb img"))
    expect(rows(canvas, "done").locator(".lg-thumb img")).to_have_count(4)  # though two of them share their pictures
    again = next(record for record in records(served) if record.rerun_of == first)
    assert again.status == "done"

    side.get_by_role("button", name="Clean up").click()  # keeps the newest twenty
    expect(rows(canvas, "done")).to_have_count(4)


def test_the_gallery_shows_every_picture_large_with_what_made_it_and_compares_two(
    canvas: CanvasPage, tmp_path: Path, shot: Shot
) -> None:
    show(canvas, tmp_path, "gallery", {"paint": ("Paint", {}, {})})
    side = panel(canvas, "gallery")
    expect(side).to_contain_text("No pictures yet")
    canvas.press_run()
    first = wait_for_new_run(canvas, "")
    canvas.wait_for_run("done")
    gallery = canvas.page.get_by_test_id("gallery")
    expect(gallery.locator("img")).to_have_count(2)
    canvas.type_into("paint.colours", "#00aa55")
    canvas.press_run()
    wait_for_new_run(canvas, first)
    canvas.wait_for_run("done")
    expect(gallery.locator("img")).to_have_count(3)
    loaded(gallery.locator("img"))
    expect(gallery.locator("img").first).to_have_attribute("src", re.compile(r"/0\.png$"))
    shot(canvas, "gallery")

    # One large, with the settings that made it; the arrow keys go on.
    gallery.get_by_role("button", name="a #2255cc square: show large").click()
    large = dialog(canvas, "pictures")
    expect(large).to_contain_text("2 of 3")
    loaded(large.get_by_test_id("large-picture"))
    expect(large).to_contain_text("a #2255cc square")
    expect(large).to_contain_text("96 × 96")
    expect(large.locator(".lg-facts")).to_contain_text(re.compile(r"seed\s*0"))
    expect(large.locator(".lg-facts")).to_contain_text("riso at 0.5")
    shot(canvas, "picture-large")
    canvas.press("ArrowRight")
    expect(large).to_contain_text("a #cc5522 square")
    canvas.press("ArrowRight")
    expect(large).to_contain_text("a #00aa55 square")
    with canvas.page.expect_download() as download:
        large.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    canvas.press("Escape")
    expect(large).to_have_count(0)

    # Two marked ones, one over the other: the slider says how much of each is seen.
    for colour in ("#2255cc", "#cc5522"):
        gallery.get_by_role("button", name=f"a {colour} square: show large").hover()
        gallery.get_by_role("button", name=f"Mark a {colour} square for comparing").click()
    gallery.get_by_role("button", name="Compare", exact=True).click()
    compare = large.get_by_test_id("compare")
    loaded(compare.locator("img"))
    box = compare.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    canvas.drag((box["x"] + box["width"] / 2, middle), (box["x"] + box["width"] * 0.8, middle))
    assert 75 <= float(compare.get_by_role("slider").input_value()) <= 85
    shot(canvas, "compare")
    canvas.press("ArrowLeft")
    assert float(compare.get_by_role("slider").input_value()) < 85
    canvas.press("Escape")
    theme(canvas, "dark")
    shot(canvas, "gallery-dark")

    # From a picture back to the workflow that made it.
    gallery.get_by_role("button", name="a #2255cc square: show large").click()
    large.get_by_role("button", name="Open the workflow").click()
    dialog(canvas, "ask").get_by_role("button", name="Don't save").click()
    canvas.wait_for_graph("!('colours' in graph.nodes.paint.settings)")
    canvas.page.wait_for_function("(run) => window.__lg.useRuns.getState().shown?.id === run", arg=first)


def test_a_run_before_all_that_waits_is_next_and_another_document_shows_its_own_runs(
    canvas: CanvasPage, served: Served, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    nodes: Nodes = {"count": ("Work", {"steps": 3, "hold_at": 1, "gate": str(gate)}, {})}
    show(canvas, tmp_path, "busy", nodes)
    canvas.press_run()
    running = wait_for_new_run(canvas, "")
    wait_for_step(canvas, "count", 1)
    panel(canvas, "queue")
    canvas.press_run()
    expect(rows(canvas, "waiting")).to_have_count(1)
    (behind,) = order(canvas)

    # Another workflow: it shows nothing of this run, which goes on, and goes before what waits.
    show(canvas, tmp_path, "other", {"swift": ("Paint", {"colours": ["#abcdef"]}, {})})
    canvas.page.wait_for_function("() => window.__lg.useRuns.getState().shown === null")
    expect(canvas.page.locator(".lg-running")).to_contain_text("2 runs go on")
    select(canvas, "swift")
    run_menu(canvas, "run.front")
    swift = wait_for_new_run(canvas, "")
    expect(rows(canvas, "waiting")).to_have_count(2)
    assert order(canvas) == [swift, behind]
    canvas.press("Control+.")  # cancels what is shown, not what runs
    canvas.wait_for_run("cancelled")
    assert order(canvas) == [behind]
    assert next(record for record in records(served) if record.id == running).status == "running"
    gate.touch()
    expect(rows(canvas, "done")).to_have_count(2)


@pytest.mark.parametrize("how", ["end", "cancel"])
def test_the_next_run_of_this_page_is_shown_when_the_one_before_is_over(
    canvas: CanvasPage, tmp_path: Path, how: str
) -> None:
    gate = tmp_path / "gate"
    nodes: Nodes = {
        "count": ("Work", {"steps": 4, "hold_at": 2, "gate": str(gate)}, {}),
        "paint": ("Paint", {}, {"after": "count.count"}),
    }
    show(canvas, tmp_path, "queued", nodes, columns=2)
    canvas.press_run()
    first = wait_for_new_run(canvas, "")
    wait_for_step(canvas, "count", 2)
    canvas.type_into("paint.colours", "#111111")
    canvas.press_run()
    expect(canvas.notice("waits in the queue")).to_be_visible()
    if how == "cancel":
        canvas.page.get_by_test_id("cancel").click()
        second = wait_for_new_run(canvas, first)
        gate.touch()
    else:
        gate.touch()
        second = wait_for_new_run(canvas, first)
    canvas.wait_for_run("done")
    assert shown_run(canvas) == second
    wait_for_badge(canvas, "paint", "done")
    expect(canvas.node("paint").get_by_test_id("tile")).to_have_attribute("title", "a #111111 square")
    expect(canvas.page.locator(".lg-node-stale")).to_have_count(0)
    expect(canvas.notice(re.compile("Done in"))).to_be_visible()
