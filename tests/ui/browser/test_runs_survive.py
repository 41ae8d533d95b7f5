"""Runs belong to the server: they outlive the page, are seen from several at once, and go on where it was killed."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from loragraph.tests.ui.browser.canvas_page import CanvasPage
from loragraph.tests.ui.browser.dialogs import theme
from loragraph.tests.ui.browser.kinds import offered
from loragraph.tests.ui.browser.serving import Served
from loragraph.tests.ui.browser.watching import (
    Nodes,
    badge,
    loaded,
    panel,
    records,
    run_menu,
    show,
    shown_run,
    steps,
    told,
    wait_for_badge,
    wait_for_new_run,
    wait_for_step,
)

pytestmark = pytest.mark.timeout(180)
Shot = Callable[[CanvasPage, str], Path]

CUT_OFF = re.compile(r"net::ERR_|network error|Connection errored out|Failed to fetch")
"""What browser and Gradio's client say on the console when a server is gone."""


@pytest.fixture
def served(tmp_path: Path, browser: Browser) -> Iterator[Served]:
    """A server of this test's own: it may be killed."""
    server = Served(tmp_path, env=offered(tmp_path))
    server.start()
    yield server
    server.stop()


def held(folder: Path, name: str = "gate") -> tuple[Nodes, Path, Path]:
    """Return a workflow that holds at step 5 of 10, the gate to open for it, and its journal."""
    gate, journal = folder / name, folder / f"{name}.journal"
    count = {"steps": 10, "hold_at": 5, "gate": str(gate), "journal": str(journal)}
    nodes: Nodes = {
        "ready": ("Paint", {"colours": ["#2255cc"]}, {}),
        "count": ("Work", count, {}),
        "paint": ("Paint", {}, {"after": "count.count"}),
        "save": ("SaveImages", {"name": "kept"}, {"images": "ready.images"}),
    }
    return nodes, gate, journal


def test_a_page_that_is_reloaded_or_opened_twice_shows_the_run_where_it_stands(
    browser: Browser, canvas: CanvasPage, served: Served, tmp_path: Path, shot: Shot
) -> None:
    nodes, gate, _ = held(tmp_path)
    show(canvas, tmp_path, "shared", nodes)
    canvas.press_run()
    wait_for_step(canvas, "count", 5)
    wait_for_badge(canvas, "save", "done")
    run = shown_run(canvas)

    canvas.reload()
    expect(steps(canvas, "count")).to_have_text("5/10")
    assert shown_run(canvas) == run
    expect(canvas.node("count").get_by_test_id("chart")).to_contain_text("step 1")
    loaded(canvas.node("count").get_by_test_id("preview"))
    loaded(canvas.node("ready").get_by_test_id("tile").locator("img"))
    expect(badge(canvas, "paint")).to_have_text("waiting")

    # Another browser, which has nothing of the first one's, finds the run that goes on.
    other_context = browser.new_context(viewport={"width": 1440, "height": 900})
    other = CanvasPage(other_context.new_page(), served.url)
    other.open()
    expect(steps(other, "count")).to_have_text("5/10")
    assert shown_run(other) == run
    assert other.graph()["nodes"] == canvas.graph()["nodes"]
    shot(other, "run-second-browser")

    # What one asks for, both see: a second run behind it, its cancel, and the end of the first.
    other.press_run()
    side = panel(canvas, "queue")
    waiting = side.locator("[data-testid=run-row][data-status=waiting]")
    expect(waiting).to_have_count(1)
    waiting.get_by_role("button", name=re.compile("^Cancel")).click()
    expect(panel(other, "queue").locator("[data-testid=run-row][data-status=cancelled]")).to_have_count(1)
    gate.touch()
    for page in (canvas, other):
        page.wait_for_run("done")
        wait_for_badge(page, "paint", "done")
        loaded(page.node("paint").get_by_test_id("tile").locator("img"))
        assert shown_run(page) == run
    other.check_console()
    other_context.close()
    assert [record.status for record in records(served)].count("done") == 1


def test_a_server_that_is_killed_in_mid_run_loses_nothing(
    canvas: CanvasPage, served: Served, tmp_path: Path, shot: Shot
) -> None:
    nodes, gate, journal = held(tmp_path)
    show(canvas, tmp_path, "survivor", nodes, columns=2)
    # Something that has been, something that runs, something that waits.
    canvas.node("ready").locator(".lg-node-type").click()
    run_menu(canvas, "run.to")
    earlier = wait_for_new_run(canvas, "")
    canvas.wait_for_run("done")
    canvas.press_run()
    run = wait_for_new_run(canvas, earlier)
    wait_for_step(canvas, "count", 5)
    wait_for_badge(canvas, "save", "done")
    canvas.press_run()
    side = panel(canvas, "queue")
    expect(side.locator("[data-status=waiting]")).to_have_count(1)
    (behind,) = (record.id for record in records(served) if record.status == "waiting")

    served.kill()
    banner = canvas.page.get_by_test_id("lost")
    expect(banner).to_be_visible()
    expect(banner).to_contain_text("Your work is kept here")
    expect(canvas.page.get_by_test_id("run")).to_be_disabled()
    shot(canvas, "server-lost")
    theme(canvas, "dark")
    shot(canvas, "server-lost-dark")
    # Work goes on without a server, and is kept.
    canvas.type_into("paint.colours", "#111111\n#eeeeee\n#00aa55")
    canvas.click_canvas()
    assert canvas.graph()["nodes"]["paint"]["settings"] == {"colours": ["#111111", "#eeeeee", "#00aa55"]}
    canvas.press("Control+Enter")
    assert {record.id: record.status for record in records(served)}[run] == "running"  # as the dead one left it

    served.start()
    expect(banner).to_have_count(0)
    expect(canvas.page.get_by_test_id("run")).to_be_enabled()
    gate.touch()
    # When it has ended, the page goes on with the one behind it; this one is chosen in the history.
    expect(side.locator("[data-status=done]")).to_have_count(3)
    canvas.wait_for_run("done")
    assert shown_run(canvas) == behind
    side.locator(f'[data-run="{run}"] button').first.click()
    canvas.page.wait_for_function("(run) => window.__lg.useRuns.getState().shown?.id === run", arg=run)
    canvas.wait_for_run("done")
    assert canvas.graph()["nodes"]["paint"]["settings"] == {"colours": ["#111111", "#eeeeee", "#00aa55"]}
    # What had finished was not done again, the rest went on from the step that was kept, and it ended once.
    assert Counter(journal.read_text().split()) == Counter(str(step) for step in range(1, 11))
    assert [event.data["attempt"] for event in told(served, run, "run_started")] == [1, 2]
    assert len(told(served, run, "run_done")) == 1
    assert [event.kind for event in told(served, run, "node_cached") if event.node == "save"] == ["node_cached"]
    assert sorted(path.name for path in served.out.rglob("kept-*.png")) == ["kept-0001.png"]
    loaded(canvas.node("paint").get_by_test_id("tile").locator("img"))
    expect(canvas.node("count").get_by_test_id("media")).to_be_visible()
    canvas.node("count").get_by_role("button", name="Curve").click()
    expect(canvas.node("count").get_by_test_id("chart")).to_contain_text("step 1")
    loaded(canvas.node("save").get_by_test_id("tile").locator("img"))

    # The one behind it was run after it, and the history is there.
    expect(side.locator("[data-status=done]")).to_have_count(3)
    assert {record.id for record in records(served)} == {earlier, run, behind}
    shot(canvas, "run-resumed-dark")
    canvas.errors = [error for error in canvas.errors if not CUT_OFF.search(error)]
