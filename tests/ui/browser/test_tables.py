"""A table in a node's results: its beginning on the node, all of it in a dialog, numbers on the right."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from loragraph.tests.ui.browser.canvas_page import CanvasPage
from loragraph.tests.ui.browser.dialogs import dialog, theme
from loragraph.tests.ui.browser.kinds import offered
from loragraph.tests.ui.browser.serving import Served
from loragraph.tests.ui.browser.watching import show

pytestmark = pytest.mark.timeout(180)

INSIDE = """(table) => {
    const box = table.getBoundingClientRect();
    const head = table.querySelector("th").getBoundingClientRect();
    const cell = [...table.querySelectorAll("td.number")].map((cell) => getComputedStyle(cell).textAlign);
    return { head: head.top - box.top, left: head.left - box.left, wide: table.scrollWidth > table.clientWidth,
             high: table.scrollHeight > table.clientHeight, aligned: [...new Set(cell)] };
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    server = Served(folder, env=offered(folder))
    server.start()
    yield server
    server.stop()


def test_a_table_is_read_on_its_node_and_in_full(
    canvas: CanvasPage, served: Served, shot: Callable[[CanvasPage, str], Path]
) -> None:
    show(canvas, served.folder, "figures", {"figures": ("Tabulate", {}, {}), "few": ("Tabulate", {"rows": 2}, {})})
    canvas.press_run()
    canvas.wait_for_run("done")
    card = canvas.node("figures").get_by_test_id("table")
    expect(card).to_contain_text("Norms of riso")
    expect(card).to_contain_text("300 rows")
    expect(card).to_contain_text("and 240 more")
    expect(canvas.node("few").get_by_test_id("table")).not_to_contain_text("more")

    table = card.locator(".lg-table")
    found = table.evaluate(INSIDE)
    assert found["wide"] and found["high"] and found["aligned"] == ["right"]
    # The head and the names stay where they are while the rest scrolls under them.
    table.evaluate("(table) => { table.scrollTop = 400; table.scrollLeft = 60; }")
    assert table.evaluate(INSIDE)["head"] == found["head"] and table.evaluate(INSIDE)["left"] == found["left"]
    table.evaluate("(table) => { table.scrollTop = 0; table.scrollLeft = 0; }")
    for name in ("light", "dark"):
        theme(canvas, name)
        shot(canvas, f"table-{name}")

    card.get_by_role("button").click()
    whole = dialog(canvas, "table")
    expect(whole.locator("tbody tr")).to_have_count(300)
    shot(canvas, "table-large-dark")
    whole.get_by_role("button", name="Copy").click()
    expect(whole.get_by_role("button", name="Copied")).to_be_visible()
    lines = canvas.page.evaluate("() => navigator.clipboard.readText()").split("\n")
    assert lines[0] == "module\tkind\trank\tnorm\tcosine"
    assert lines[1] == "transformer.transformer_blocks.0.attn.to_q\tlora + bias\t4\t3\t0.25" and len(lines) == 301
    whole.get_by_role("button", name="Close").last.click()
    theme(canvas, "light")
