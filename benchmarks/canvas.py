"""What the canvas costs, measured in a real browser: start, 1,000 nodes, panning and zooming, events, and its size.

    python -m loragraph.benchmarks.canvas [--rounds 5] [--chromium /usr/bin/chromium]

Chromium runs without a window and paints in software, so frame times are an upper bound for a desktop. A frame's time
is the gap between two animation frames (16.7 ms is the screen's own pace). "Cold" is a browser that has never been
here, "warm" one that has; the server runs on this machine. For scale, the time at which a page of Gradio's own with
nothing but a button is ready is measured in the same run. Judge nothing while the machine has other work: its load is
printed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from loragraph.tests.ui.browser.conftest import FLAGS
from loragraph.tests.ui.browser.serving import Served, free_port
from loragraph.ui.canvas import static_folder

READY = """
window.__lgTest = true;
new MutationObserver((_, observer) => {
    const button = document.querySelector("[data-testid=run]");
    if (button) { window.__ready = performance.now(); observer.disconnect(); }
}).observe(document, { childList: true, subtree: true });
"""
PLAIN = """
import sys
import gradio as gr
with gr.Blocks(analytics_enabled=False) as page:
    gr.Button("Run")
page.launch(server_port=int(sys.argv[1]), quiet=True, ssr_mode=False, footer_links=[], prevent_thread_lock=True)
print("ready", flush=True)
sys.stdin.read()
"""
FRAMES = """
() => {
    window.__frames = [];
    let last = performance.now();
    const tick = (now) => {
        window.__frames.push(now - last);
        last = now;
        window.__ticking = requestAnimationFrame(tick);
    };
    window.__ticking = requestAnimationFrame(tick);
}
"""


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    asked = parser.parse_args()
    print(f"{'load of the machine, 1 min':32}{os.getloadavg()[0]:10.1f} on {os.cpu_count()} cores")
    bundle()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        served = Served(Path(folder))
        (served.work / "thousand.json").write_text(json.dumps(large(1000)))
        served.start()
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=FLAGS)
        try:
            start(browser, served, asked.rounds)
            plain(browser, asked.rounds)
            thousand(browser, served, asked.rounds)
            events(browser, served)
        finally:
            browser.close()
            served.stop()


def bundle() -> None:
    """Print the size of what is loaded at the start, and of all there is."""
    folder = static_folder()
    manifest = json.loads((folder / "manifest.json").read_text())
    first: set[str] = set()
    waiting = [name for name, part in manifest.items() if part.get("isEntry")]
    while waiting:
        part = manifest[waiting.pop()]
        if part["file"] not in first:
            first |= {part["file"], *part.get("css", ())}
            waiting += part.get("imports", ())
    # One style sheet serves all of it, whatever the manifest says of it.
    first |= {path.name for path in folder.glob("style-*.css")}
    parts = [path for path in folder.iterdir() if path.suffix in (".js", ".css")]
    sizes = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in parts}
    print(f"{'bundle, gzipped':32}{sum(sizes[name] for name in first) / 1000:10.1f} kB at the start")
    print(f"{'':32}{sum(sizes.values()) / 1000:10.1f} kB in all")


def start(browser: Browser, served: Served, rounds: int) -> None:
    """Print the time from navigation to a page that can be worked with, cold and warm."""
    cold: list[float] = []
    warm: list[float] = []
    for _ in range(rounds):
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_init_script(READY)
        page = context.new_page()
        for times in (cold, warm, warm):
            page.goto(served.url)
            page.wait_for_function("() => window.__ready !== undefined")
            times.append(page.evaluate("() => window.__ready"))
        context.close()
    print(f"{'interactive, cold':32}{statistics.median(cold):10.0f} ms  (best {min(cold):.0f})")
    print(f"{'interactive, warm':32}{statistics.median(warm):10.0f} ms  (best {min(warm):.0f})")


def plain(browser: Browser, rounds: int) -> None:
    """Print the time to a page of Gradio's own that has nothing but a button."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PLAIN, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    times = []
    try:
        for _ in range(rounds):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.add_init_script(READY.replace("[data-testid=run]", "main button"))
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_function("() => window.__ready !== undefined")
            times.append(page.evaluate("() => window.__ready"))
            context.close()
    finally:
        process.kill()
        process.wait()
    print(f"{'  a button in Gradio, cold':32}{statistics.median(times):10.0f} ms  (best {min(times):.0f})")


def large(count: int) -> dict[str, Any]:
    """A workflow of `count` nodes: bases that samples draw from, in rows; every wire is a real one."""
    nodes: dict[str, Any] = {}
    view: dict[str, Any] = {}
    across = 40
    for number in range(count):
        column, row = number % across, number // across
        if column == 0:
            nodes[f"n{number}"] = {"type": "LoadBase", "version": 1, "settings": {"source": "embedded:emoji"}}
        elif column % 2:
            source = f"n{number - 1}.base" if column == 1 else f"n{number - column}.base"
            nodes[f"n{number}"] = {
                "type": "Sample",
                "version": 1,
                "settings": {"prompt": f"fox {number}", "seed": number},
                "inputs": {"base": source},
            }
        else:
            nodes[f"n{number}"] = {"type": "Grid", "version": 1, "inputs": {"rows": [f"n{number - 1}.images"]}}
        view[f"n{number}"] = {"at": [column * 340, row * 520]}
    return {"format": "loragraph/1", "title": "A large one", "nodes": nodes, "view": view}


def thousand(browser: Browser, served: Served, rounds: int) -> None:
    """Print how long a file of 1,000 nodes takes to open, and the frames while it is panned and zoomed."""
    text = (served.work / "thousand.json").read_text()
    opened, shown = [], []
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(READY)
    page = context.new_page()
    for _ in range(rounds):
        page.goto(served.url)
        page.wait_for_function("() => window.__lg && window.__ready !== undefined")
        found = page.evaluate(
            """async (text) => {
                const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
                const { useGraph, fromDocument } = window.__lg;
                const transfer = new DataTransfer();
                transfer.items.add(new File([text], "thousand.json", { type: "application/json" }));
                const begun = performance.now();
                document.querySelector(".lg-canvas").dispatchEvent(
                    new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
                while (Object.keys(useGraph.getState().graph.nodes).length < 1000) await painted();
                await painted();
                const whole = performance.now() - begun;
                const graph = useGraph.getState().graph;
                useGraph.getState().load(fromDocument({ format: "loragraph/1", nodes: {} }));
                await painted();
                const again = performance.now();
                useGraph.getState().load(graph);
                await painted();
                return [whole, performance.now() - again, Object.keys(graph.nodes).length];
            }""",
            text,
        )
        assert found[2] == 1000
        opened.append(found[0])
        shown.append(found[1])
    print(f"{'1,000 nodes, opened':32}{statistics.median(opened):10.0f} ms  (read, checked, laid out, painted)")
    print(f"{'1,000 nodes, painted':32}{statistics.median(shown):10.0f} ms  (the browser's part)")
    print(f"{'':32}{'median':>10}{'95 %':>8}{'frames/s':>10}")
    for zoom in (1.0, 0.5, 0.0):
        name = "all of it" if zoom == 0 else f"zoom {zoom:g}"
        for kind in ("pan", "zoom"):
            frames = moved(page, zoom, kind)
            fast, rate = statistics.quantiles(frames, n=20)[-1], 1000 / statistics.mean(frames)
            print(f"  {name + ', ' + kind:30}{statistics.median(frames):10.1f}{fast:8.1f}{rate:10.0f}")
    context.close()


def moved(page: Page, zoom: float, kind: str) -> list[float]:
    """Return the frame times in ms while the mouse pans or zooms for a while, beginning at `zoom` (0: all is seen)."""
    if zoom == 0:
        page.evaluate("() => window.__lg.view().reveal()")
    else:
        page.evaluate("() => window.__lg.view().reveal(['n500'])")
        page.mouse.move(720, 500)
        while (now := page.evaluate("() => window.__lg.view().zoom()")) > zoom * 1.02:
            page.mouse.wheel(0, 60 if now > zoom * 1.2 else 6)
            page.wait_for_timeout(40)
    page.wait_for_timeout(500)
    page.evaluate(FRAMES)
    middle = (720, 500)
    page.mouse.move(*middle)
    if kind == "pan":
        for way in (1, -1) * 3:
            page.mouse.move(720 + 300 * way, 500)
            page.mouse.down(button="middle")
            page.mouse.move(720 - 300 * way, 500 - 200 * way, steps=40)
            page.mouse.up(button="middle")
    else:
        for way in (1, -1) * 3:
            for _ in range(12):
                page.mouse.wheel(0, 40 * way)
                page.wait_for_timeout(16)
    frames: list[float] = page.evaluate("() => { cancelAnimationFrame(window.__ticking); return window.__frames; }")
    return frames[1:]


def events(browser: Browser, served: Served) -> None:
    """Print how long an event takes from the runtime to the node that shows it."""
    workflow = {
        "format": "loragraph/1",
        "nodes": {
            "base": {"type": "LoadBase", "settings": {"source": "embedded:emoji"}},
            "data": {"type": "LoadImages", "settings": {"folder": "embedded:riso"}},
            "train": {
                "type": "TrainLoRA",
                "settings": {"steps": 150, "batch_size": 1, "rank": 4, "preview_every": 0},
                "inputs": {"base": "base.base", "dataset": "data.dataset"},
            },
        },
        "view": {"base": {"at": [0, 0]}, "data": {"at": [0, 300]}, "train": {"at": [340, 0]}},
    }
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(READY)
    page.goto(served.url)
    page.wait_for_function("() => window.__lg && window.__ready !== undefined")
    page.evaluate(
        """(document) => window.__lg.useGraph.getState().load(window.__lg.fromDocument(document))""", workflow
    )
    page.evaluate(
        """() => {
            // The moment at which the node's element says step n: the page's tree has changed, and is painted next.
            window.__seen = {};
            const look = () => {
                const steps = document.querySelector('[data-node="train"] [data-testid=steps]')?.textContent;
                const step = steps?.match(/^(\\d+)/)?.[1];
                if (step && !(step in window.__seen)) window.__seen[step] = performance.timeOrigin + performance.now();
            };
            new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
        }"""
    )
    page.locator("[data-testid=run]").click()
    page.wait_for_function("() => window.__lg.useRuns.getState().nodes.train?.state === 'done'", timeout=300_000)
    seen = {int(step): at for step, at in page.evaluate("() => window.__seen").items()}
    with sqlite3.connect(served.home / "runs.sqlite") as database:
        told: dict[int, float] = {}
        query = "select time, data from events where kind = 'node_progress' and node = 'train'"
        for time, data in database.execute(query):
            told.setdefault(json.loads(data)["step"], time * 1000)
    late = sorted(seen[step] - told[step] for step in seen.keys() & told.keys() if step)
    fast = statistics.quantiles(late, n=20)[-1]
    print(f"{'event to its node':32}{statistics.median(late):10.1f} ms  (95 %: {fast:.1f}; {len(late)} of 150 seen)")
    page.close()


if __name__ == "__main__":
    main()
