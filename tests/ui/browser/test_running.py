"""A workflow run from the page and watched on its nodes: progress, preview, curve, results, failures, what is stale."""

import base64
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from loragraph.tests.ui.browser.canvas_page import TIMEOUT, CanvasPage
from loragraph.tests.ui.browser.dialogs import dialog, theme
from loragraph.tests.ui.browser.kinds import offered
from loragraph.tests.ui.browser.serving import Served
from loragraph.tests.ui.browser.watching import (
    Nodes,
    badge,
    loaded,
    panel,
    run_menu,
    select,
    show,
    shown_run,
    steps,
    told,
    wait_for_badge,
    wait_for_judgement,
    wait_for_new_run,
    wait_for_step,
)

pytestmark = pytest.mark.timeout(180)
Shot = Callable[[CanvasPage, str], Path]

TRAINING: Nodes = {
    "base": ("LoadBase", {"source": "embedded:emoji"}, {}),
    "data": ("LoadImages", {"folder": "embedded:riso"}, {}),
    "train": (
        "TrainLoRA",
        {"rank": 4, "steps": 24, "batch_size": 1, "preview_every": 6, "preview_prompt": "fox"},
        {"base": "base.base", "dataset": "data.dataset"},
    ),
    "save_lora": ("SaveLoRA", {"name": "riso"}, {"lora": "train.lora"}),
    "styled": ("ApplyLoRA", {"strength": 1.0}, {"base": "base.base", "lora": "train.lora"}),
    "with": ("Sample", {"prompt": "fox\nowl", "seed": 7, "steps": 3}, {"base": "styled.base"}),
}


RECORD = """
() => new Promise((resolve, reject) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
    const pen = canvas.getContext("2d");
    const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: "video/webm" });
    const parts = [];
    let drawn = 0;
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onerror = reject;
    recorder.onstop = async () => {
        const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
        resolve(btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")));
    };
    recorder.start();
    const timer = setInterval(() => {
        pen.fillStyle = "#223344";
        pen.fillRect(0, 0, 64, 48);
        pen.fillStyle = "#ffaa22";
        pen.fillRect(drawn * 4, 16, 16, 16);
        if (++drawn > 12) { clearInterval(timer); recorder.stop(); }
    }, 40);
})
"""
"""Half a second of a moving box, filmed by the browser itself."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    server = Served(folder, env=offered(folder))
    server.start()
    yield server
    server.stop()


def test_a_training_is_watched_cancelled_taken_up_again_and_found_in_the_store(
    canvas: CanvasPage, served: Served, tmp_path: Path, shot: Shot
) -> None:
    show(canvas, tmp_path, "training", TRAINING, rows=520, columns=3)
    canvas.press_run()

    # What waits says so, what works tells step, preview and curve; Cancel stops it in the middle.
    wait_for_step(canvas, "train", 8)
    cancelled = shown_run(canvas)
    expect(badge(canvas, "with")).to_have_text("waiting")
    expect(badge(canvas, "train")).to_contain_text(re.compile(r"\d+%"))
    expect(steps(canvas, "train")).to_have_text(re.compile(r"^\d+/24$"))
    expect(canvas.node("train").get_by_test_id("chart")).to_contain_text("loss")
    loaded(canvas.node("train").get_by_test_id("preview"))
    expect(canvas.page.get_by_test_id("progress")).to_contain_text(re.compile(r"train \d+/24"))
    shot(canvas, "run-training")
    canvas.page.get_by_test_id("cancel").click()
    canvas.wait_for_run("cancelled")
    wait_for_badge(canvas, "train", "cancelled")
    expect(canvas.page.get_by_test_id("cancel")).to_have_count(0)
    last = told(served, cancelled, "node_progress", "train")[-1].data["step"]
    assert 8 <= last < 24
    shot(canvas, "run-cancelled")

    # Run again: what was made is there already, and the training goes on where it was.
    canvas.press_run()
    resumed = wait_for_new_run(canvas, cancelled)
    canvas.wait_for_run("done")
    assert told(served, resumed, "node_progress", "train")[0].data["step"] > last
    assert canvas.state("base") == "cached" and canvas.state("data") == "cached"
    expect(badge(canvas, "train")).to_contain_text(re.compile(r"done in .*s$"))
    loaded(canvas.node("with").get_by_test_id("tile").locator("img"))
    expect(canvas.node("with").get_by_test_id("tile")).to_have_count(2)
    expect(canvas.node("train").get_by_test_id("lora-card")).to_contain_text("rank 4, 24 steps")
    expect(canvas.node("save_lora")).to_contain_text(re.compile(r"riso-\d+\.safetensors"))
    shot(canvas, "run-done")
    theme(canvas, "dark")
    shot(canvas, "run-done-dark")
    canvas.node("train").get_by_role("button", name="Curve").click()
    expect(canvas.node("train").get_by_test_id("chart")).to_be_visible()

    # The same once more is found in the store; only what is never kept (the saver) runs.
    canvas.press_run()
    again = wait_for_new_run(canvas, resumed)
    canvas.wait_for_run("done")
    assert {canvas.state(id) for id in ("base", "data", "train", "styled", "with")} == {"cached"}
    assert told(served, again, "node_done", "save_lora")
    loaded(canvas.node("with").get_by_test_id("tile").locator("img"))


def test_progress_curve_and_preview_stand_on_the_node_that_works(
    canvas: CanvasPage, tmp_path: Path, shot: Shot
) -> None:
    gate = tmp_path / "gate"
    nodes: Nodes = {
        "count": ("Work", {"steps": 10, "hold_at": 6, "gate": str(gate)}, {}),
        "paint": ("Paint", {}, {"after": "count.count"}),
    }
    show(canvas, tmp_path, "watched", nodes)
    canvas.press_run()
    wait_for_step(canvas, "count", 6)
    expect(badge(canvas, "count")).to_contain_text("60%")
    expect(steps(canvas, "count")).to_have_text("6/10")
    expect(badge(canvas, "paint")).to_have_text("waiting")
    live = canvas.node("count").get_by_test_id("live")
    expect(live.get_by_role("progressbar")).to_have_js_property("value", 0.6)
    expect(live).to_contain_text(re.compile(r"s left"))
    expect(live.get_by_test_id("chart")).to_contain_text("step 1")
    loaded(live.get_by_test_id("preview"))
    expect(canvas.page.get_by_test_id("progress")).to_contain_text(re.compile(r"0/2 · count 6/10 · .* left"))
    shot(canvas, "run-live")
    theme(canvas, "dark")
    shot(canvas, "run-live-dark")
    gate.touch()
    canvas.wait_for_run("done")
    wait_for_badge(canvas, "paint", "done")
    expect(canvas.page.get_by_test_id("progress")).to_have_count(0)
    expect(canvas.node("paint").get_by_test_id("tile")).to_have_count(2)


def test_run_to_here_and_from_here_run_those_nodes_alone(canvas: CanvasPage, tmp_path: Path) -> None:
    nodes: Nodes = {
        "first": ("Work", {"steps": 11}, {}),
        "middle": ("Work", {"steps": 12}, {"after": "first.count"}),
        "last": ("Paint", {}, {"after": "middle.count"}),
        "aside": ("Paint", {"colours": ["#00aa55"]}, {}),
    }
    show(canvas, tmp_path, "parts", nodes)
    select(canvas, "middle")
    canvas.press("Control+Shift+Enter")
    first = wait_for_new_run(canvas, "")
    canvas.wait_for_run("done")
    assert [canvas.state(id) for id in nodes] == ["done", "done", "", ""]
    expect(badge(canvas, "aside")).to_have_count(0)

    select(canvas, "middle")
    run_menu(canvas, "run.from")
    wait_for_new_run(canvas, first)
    canvas.wait_for_run("done")
    assert [canvas.state(id) for id in nodes] == ["cached", "cached", "done", ""]

    canvas.click_canvas()
    canvas.page.get_by_test_id("run-menu").click()
    expect(canvas.page.get_by_test_id("menu-run.to")).to_have_attribute("aria-disabled", "true")
    canvas.press("Escape")


def test_a_node_that_fails_says_why_and_its_trace_is_one_click_away(
    canvas: CanvasPage, tmp_path: Path, shot: Shot
) -> None:
    nodes: Nodes = {
        "count": ("Work", {"steps": 7}, {}),
        "wheel": ("Stumble", {"message": "the wheel came off <b>again</b>"}, {"after": "count.count"}),
        "paint": ("Paint", {}, {"after": "wheel.count"}),
        "aside": ("Paint", {"colours": ["#aa00aa"]}, {}),
    }
    show(canvas, tmp_path, "failing", nodes)
    canvas.press("Control+Enter")
    canvas.wait_for_run("failed")
    assert [canvas.state(id) for id in nodes] == ["done", "failed", "skipped", "done"]
    failure = canvas.node("wheel").get_by_test_id("failure")
    expect(failure).to_contain_text("the wheel came off <b>again</b>")
    expect(badge(canvas, "paint")).to_have_attribute("title", re.compile("because wheel failed"))
    shot(canvas, "run-failed")
    theme(canvas, "dark")
    shot(canvas, "run-failed-dark")

    failure.get_by_role("button", name="Show trace").click()
    trace = dialog(canvas, "trace")
    expect(trace).to_contain_text("Traceback")
    expect(trace).to_contain_text("RuntimeError: the wheel came off")
    shot(canvas, "run-trace-dark")
    trace.get_by_role("button", name="Copy").click()
    expect(trace.get_by_role("button", name="Copied")).to_be_visible()
    assert "in stumble" in canvas.page.evaluate("() => navigator.clipboard.readText()")
    canvas.press("Escape")
    expect(trace).to_have_count(0)

    row = panel(canvas, "queue").get_by_test_id("run-row").first
    expect(row).to_have_attribute("data-status", "failed")
    expect(row).to_contain_text("the wheel came off")

    # Mended, it goes on from there: the next run takes the message away.
    canvas.press("Escape")
    canvas.node("wheel").get_by_role("button", name="Show trace").wait_for()
    failed = shown_run(canvas)
    select(canvas, "wheel")
    canvas.press("m")
    canvas.press_run()
    wait_for_new_run(canvas, failed)
    canvas.wait_for_run("done")
    expect(canvas.node("wheel").get_by_test_id("failure")).to_have_count(0)


def test_a_workflow_that_cannot_run_shows_its_problems_instead(canvas: CanvasPage, tmp_path: Path, shot: Shot) -> None:
    nodes: Nodes = {
        "data": ("LoadImages", {"folder": "nowhere/at/all"}, {}),
        "grid": ("Grid", {}, {}),
    }
    show(canvas, tmp_path, "wrong", nodes, judged=False)
    canvas.press_run()
    expect(canvas.notice("cannot run yet")).to_be_visible()
    problems = canvas.page.get_by_test_id("problems")
    expect(problems).to_contain_text("grid")
    expect(problems.get_by_role("listitem")).to_have_count(2)
    shot(canvas, "run-problems")
    assert shown_run(canvas) == ""
    problems.get_by_role("button").filter(has_text="grid").click()
    canvas.page.wait_for_function("() => window.__lg.useGraph.getState().selection.has('grid')")


def test_a_run_that_cannot_begin_any_more_says_why(canvas: CanvasPage, served: Served, tmp_path: Path) -> None:
    gone, gate = served.work / "gone", tmp_path / "gate"
    gone.mkdir()
    Image.new("RGB", (8, 8)).save(gone / "red.png")
    nodes: Nodes = {
        "count": ("Work", {"steps": 3, "hold_at": 1, "gate": str(gate)}, {}),
        "data": ("LoadImages", {"folder": "gone"}, {}),
    }
    show(canvas, tmp_path, "late", nodes)
    canvas.press_run()
    wait_for_step(canvas, "count", 1)
    canvas.press_run()
    side = panel(canvas, "queue")
    expect(side.locator("[data-status=waiting]")).to_have_count(1)
    shutil.rmtree(gone)
    gate.touch()
    failed = side.locator("[data-status=failed]").first
    expect(failed).to_contain_text("Late")
    failed.locator(".lg-run-main").click()
    expect(canvas.notice("“Late” has failed.")).to_contain_text("there is no such folder")


def test_what_would_come_out_differently_now_is_marked_as_stale(canvas: CanvasPage, tmp_path: Path, shot: Shot) -> None:
    nodes: Nodes = {
        "count": ("Work", {"steps": 2}, {}),
        "more": ("Work", {"steps": 3}, {"after": "count.count"}),
        "paint": ("Paint", {}, {"after": "more.count"}),
    }
    show(canvas, tmp_path, "stale", nodes)
    canvas.press_run()
    canvas.wait_for_run("done")
    stale = canvas.page.locator(".lg-node-stale")
    expect(stale).to_have_count(0)
    canvas.type_into("more.steps", "4")
    expect(canvas.node("more").locator(".lg-node-stale")).to_be_visible()
    expect(canvas.node("paint").locator(".lg-node-stale")).to_be_visible()
    expect(stale).to_have_count(2)
    shot(canvas, "run-stale")
    canvas.click_canvas()
    canvas.press("Control+z")
    expect(stale).to_have_count(0)
    canvas.press("Control+Shift+z")
    expect(stale).to_have_count(2)
    before = shown_run(canvas)
    canvas.press_run()
    wait_for_new_run(canvas, before)
    canvas.wait_for_run("done", timeout=2 * TIMEOUT)
    wait_for_judgement(canvas, nodes)
    expect(stale).to_have_count(0)
    assert [canvas.state(id) for id in nodes] == ["cached", "done", "done"]


def test_results_on_the_nodes_are_pictures_with_a_slider_a_video_a_curve_and_facts(
    canvas: CanvasPage, served: Served, tmp_path: Path, shot: Shot
) -> None:
    film = served.work / "box.webm"
    film.write_bytes(base64.b64decode(canvas.page.evaluate(RECORD)))
    nodes: Nodes = {
        "film": ("Film", {"file": "box.webm"}, {}),
        "pair": ("Paint", {}, {}),
        "many": ("Paint", {"colours": [f"#{shade:02x}66aa" for shade in range(0, 250, 10)]}, {}),
        "count": ("Work", {"steps": 12}, {}),
    }
    show(canvas, tmp_path, "results", nodes, columns=2, rows=430)
    canvas.press_run()
    canvas.wait_for_run("done")

    video = canvas.node("film").locator("video")
    expect(video).to_be_visible()
    canvas.page.wait_for_function("() => document.querySelector('video').readyState >= 2")
    video.hover()
    canvas.page.mouse.click(*canvas.centre(video))  # anywhere on it: it plays
    canvas.page.wait_for_function("() => document.querySelector('video').currentTime > 0")

    pair = canvas.node("pair")
    loaded(pair.get_by_test_id("tile").locator("img"))
    pair.get_by_role("button", name="Compare with a slider").click()
    compare = pair.get_by_test_id("compare")
    box = compare.bounding_box()
    assert box is not None
    before = canvas.graph()["view"]["pair"]["at"]
    middle = box["y"] + box["height"] / 2
    canvas.drag((box["x"] + box["width"] / 2, middle), (box["x"] + box["width"] * 0.25, middle))
    assert 20 <= float(compare.get_by_role("slider").input_value()) <= 30
    assert canvas.graph()["view"]["pair"]["at"] == before  # the slider moved, not the node

    tiles = canvas.node("many").get_by_test_id("tile")
    loaded(tiles.locator("img"))
    last = tiles.last
    expect(last).to_have_text(re.compile(r"^\+\d+$"))
    shown = tiles.count()
    assert int(str(last.text_content()).removeprefix("+")) == 25 - shown + 1
    last.click()
    expect(dialog(canvas, "pictures")).to_contain_text(f"{shown} of 25")
    canvas.press("Escape")

    canvas.node("count").get_by_role("button", name="Curve").click()
    expect(canvas.node("count").get_by_test_id("chart")).to_contain_text("12")
    canvas.click_canvas()
    canvas.press("f")
    expect(canvas.node("count").get_by_test_id("chart")).to_be_in_viewport(ratio=0.99)
    shot(canvas, "results")
    theme(canvas, "dark")
    shot(canvas, "results-dark")
