"""The canvas as a user has it before them: found by what it shows, worked with the mouse and the keyboard.

    canvas.drag_out("LoadBase", at=(500, 300))
    canvas.wire("load_base.base", "sample.base")
    canvas.type_into("sample.prompt", "a fox")
    canvas.press_run()
    canvas.wait_for_state("sample", "done")

`graph()` reads the document that the page would save; nothing here changes the page other than by events.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page, expect

TIMEOUT = 30_000
"""Milliseconds; generous, because the machines that run tests are busy."""

Point = tuple[float, float]

HARMLESS = re.compile(
    r"favicon|manifest\.json|An Unexpected Error Occurred|preload|\[vite\]|Download the React DevTools", re.IGNORECASE
)
"""What the browser or Gradio's own page say on the console without meaning us."""


class CanvasPage:
    """One tab with the canvas in it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        page.set_default_timeout(TIMEOUT)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.add_init_script("window.__lgTest = true")

    def open(self) -> None:
        """Go to the page and wait until it can be worked with."""
        self.page.goto(self.url)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        self.page.wait_for_selector("[data-testid=run]", state="visible")
        self.page.wait_for_function(
            "() => Object.keys(window.__lg?.useGraph.getState().catalog.nodes ?? {}).length > 0"
        )

    def reload(self) -> None:
        self.page.reload()
        self.wait_until_ready()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not HARMLESS.search(message.text):
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def check_console(self) -> None:
        """Fail where the page reported an error; a test that provokes one empties `errors` first."""
        if self.errors:
            raise AssertionError("the page reported:\n" + "\n".join(self.errors))

    # -- looking ------------------------------------------------------------------------------------------------------

    def graph(self) -> dict[str, Any]:
        """Return the document as the page would save it."""
        found: dict[str, Any] = json.loads(
            self.page.evaluate("() => JSON.stringify(window.__lg.toDocument(window.__lg.useGraph.getState().graph))")
        )
        return found

    def node(self, id: str) -> Locator:
        return self.page.locator(f'[data-node="{id}"]')

    def socket(self, name: str, side: str) -> Locator:
        return self.page.locator(f'[data-socket="{name}"][data-side="{side}"]')

    def widget(self, name: str) -> Locator:
        return self.page.locator(f'[data-setting="{name}"]')

    def state(self, id: str) -> str:
        """Return the state of a node in the run that is shown, "" where it takes no part."""
        found: str = self.page.evaluate("(id) => window.__lg.useRuns.getState().nodes[id]?.state ?? ''", id)
        return found

    def wait_for_state(self, id: str, *states: str, timeout: int = TIMEOUT) -> None:
        self.page.wait_for_function(
            "([id, states]) => states.includes(window.__lg.useRuns.getState().nodes[id]?.state)",
            arg=[id, list(states)],
            timeout=timeout,
        )

    def wait_for_run(self, status: str, timeout: int = 120_000) -> None:
        """Wait until the shown run has this status; one that is done has told the end of each of its nodes, too.

        The queue may say that a run is done before the last events of it are there.
        """
        self.page.wait_for_function(
            """(status) => {
                const { shown, nodes } = window.__lg.useRuns.getState();
                const open = Object.values(nodes).some(({ state }) => state === "waiting" || state === "running");
                return shown?.status === status && !(status === "done" && open);
            }""",
            arg=status,
            timeout=timeout,
        )

    def wait_for_graph(self, condition: str, argument: Any = None) -> None:
        """Wait until `condition` (JavaScript, of `graph` and `argument`) holds for the graph being edited."""
        self.page.wait_for_function(
            f"(argument) => {{ const graph = window.__lg.useGraph.getState().graph; return {condition}; }}",
            arg=argument,
        )

    def notice(self, text: str | re.Pattern[str]) -> Locator:
        return self.page.locator("[data-testid^=notice]").filter(has_text=text).first

    # -- doing --------------------------------------------------------------------------------------------------------

    def centre(self, locator: Locator) -> Point:
        box = locator.bounding_box()
        assert box is not None, f"{locator} is not seen"
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, start: Point, end: Point, *, steps: int = 12) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=steps)
        self.page.mouse.up()

    def drag_out(self, type: str, at: Point) -> str:
        """Drag a node type from the palette to a place of the window; return the new node's id."""
        before = set(self.graph()["nodes"])
        item = self.page.locator(f'.lg-palette-item[data-type="{type}"]')
        item.scroll_into_view_if_needed()
        self.drag(self.centre(item), at)
        self.wait_for_graph("Object.keys(graph.nodes).length > argument", len(before))
        (added,) = set(self.graph()["nodes"]) - before
        return added

    def wire(self, output: str, input: str) -> None:
        """Draw a wire from an output socket to an input socket."""
        self.drag(self.centre(self.socket(output, "out")), self.centre(self.socket(input, "in")))

    def wires(self) -> list[str]:
        """Return every wire as "from.output->to.input"."""
        return [
            f"{wire}->{node}.{name}"
            for node, body in self.graph()["nodes"].items()
            for name, wires in body.get("inputs", {}).items()
            for wire in (wires if isinstance(wires, list) else [wires])
        ]

    def expand(self, id: str) -> None:
        """Show all settings of a node."""
        more = self.node(id).locator(".lg-node-toggle")
        if more.count() and more.get_attribute("aria-expanded") == "false":
            more.click()
            expect(more).to_have_attribute("aria-expanded", "true")

    def type_into(self, setting: str, text: str) -> None:
        """Replace what a text or number field holds, as by hand."""
        field = self.widget(setting).locator("input, textarea").first
        field.click()
        field.press("Control+a")
        field.type(text) if "\n" not in text else field.fill(text)
        field.press("Tab")

    def choose(self, setting: str, choice: str) -> None:
        self.widget(setting).locator("select").select_option(choice)

    def press(self, keys: str) -> None:
        self.page.keyboard.press(keys)

    def click_canvas(self, at: Point | None = None) -> None:
        """Click an empty place of the canvas, so that the keyboard is the canvas' own."""
        box = self.page.locator(".lg-canvas").bounding_box()
        assert box is not None
        self.page.mouse.click(*(at or (box["x"] + 12, box["y"] + box["height"] / 2)))

    def press_run(self) -> None:
        self.page.locator("[data-testid=run]").click()

    def drop_file(self, path: Path, type: str = "application/json") -> None:
        """Drop a file of this computer on the canvas."""
        data = base64.b64encode(path.read_bytes()).decode()
        transfer = self.page.evaluate_handle(
            """([data, name, type]) => {
                const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], name, { type }));
                return transfer;
            }""",
            [data, path.name, type],
        )
        target = self.page.locator(".lg-canvas")
        for event in ("dragenter", "dragover", "drop"):
            target.dispatch_event(event, {"dataTransfer": transfer})
