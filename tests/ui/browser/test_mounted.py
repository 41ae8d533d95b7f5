"""The page in a FastAPI app of somebody's own: under a path, behind a login, from logging in to a run's result."""

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from loragraph.tests.ui.browser.building import begin, node
from loragraph.tests.ui.browser.canvas_page import CanvasPage
from loragraph.tests.ui.browser.dialogs import dialog, file_menu, save_as
from loragraph.tests.ui.browser.mounted import LOGIN, PATH
from loragraph.tests.ui.browser.serving import Served

pytestmark = pytest.mark.timeout(180)


class Mounted(Served):
    """A server that has the page under PATH."""

    def command(self) -> list[str]:
        return [sys.executable, "-P", "-m", "loragraph.tests.ui.browser.mounted", str(self.folder), str(self.port)]

    def start(self) -> None:
        super().start()
        self.url = f"{self.url.rstrip('/')}{PATH}/"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Served]:
    server = Mounted(tmp_path_factory.mktemp("mounted"))
    folder = server.work / "pictures"
    folder.mkdir()
    Image.new("RGB", (32, 32), "teal").save(folder / "teal.png")
    server.start()
    yield server
    server.stop()


def test_the_whole_loop_under_a_path_and_behind_a_login(
    browser: Browser, served: Served, tmp_path: Path, shot: Callable[[CanvasPage, str], Path]
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    canvas = CanvasPage(page, served.url)
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if "://" in request.url else None)
    page.goto(served.url)
    user, password = page.get_by_label("username"), page.get_by_label("password")
    user.fill(LOGIN[0])
    password.fill("wrong")
    page.get_by_role("button", name="Login").click()
    expect(page.get_by_text("Incorrect")).to_be_visible()
    assert page.get_by_test_id("run").count() == 0
    shot(canvas, "login")
    user.fill(LOGIN[0])
    password.fill(LOGIN[1])
    page.get_by_role("button", name="Login").click()
    canvas.wait_until_ready()

    file_menu(canvas, "templates")
    dialog(canvas, "templates").get_by_test_id("template-bake").click()
    canvas.wait_for_graph("'baked' in graph.nodes")
    expect(page.locator(".lg-node").first).to_be_visible()

    # Something light, run to its picture, which the page shows; saved and there again after a reload.
    light = {
        "format": "loragraph/1",
        "nodes": {
            "data": node("LoadImages", {"folder": "pictures"}),
            "grid": node("Grid", rows=["data.images"]),
            "save": node("SaveImages", images="grid.images"),
        },
        "view": {"data": {"at": [0, 0]}, "grid": {"at": [360, 0]}, "save": {"at": [720, 0]}},
    }
    begin(canvas, tmp_path, light)
    canvas.press_run()
    canvas.wait_for_run("done")
    picture = canvas.node("grid").locator("img").first
    expect(picture).to_be_visible()
    page.wait_for_function("(image) => image.complete && image.naturalWidth > 0", arg=picture.element_handle())
    assert len(list(served.out.rglob("*.png"))) == 1
    shot(canvas, "mounted")
    canvas.press("Control+s")
    save_as(canvas, "by ada")
    canvas.reload()
    canvas.wait_for_graph("Object.keys(graph.nodes).length === 3")
    canvas.wait_for_state("grid", "done", "cached")

    file_menu(canvas, "api")
    program = page.get_by_test_id("dialog-api").locator("pre")
    expect(program).to_contain_text(served.url)
    expect(program).to_contain_text("auth=")
    canvas.press("Escape")
    assert hosts == {f"127.0.0.1:{served.port}"}  # nothing is fetched from anywhere else
    context.close()


def test_without_a_login_nothing_is_had(served: Served) -> None:
    for path in ("config", f"gradio_api/file={served.work / 'pictures' / 'teal.png'}"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(served.url + path)
        assert refused.value.code == 401
