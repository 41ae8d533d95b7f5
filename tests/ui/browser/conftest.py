"""A real browser on a real server: Chromium without a window, `loragraph ui` in a process of its own.

The browser is the system's (Debian's `chromium`; LORAGRAPH_CHROMIUM names another). Where there is none the tests are
skipped, but with CI set in the environment they fail. Pictures of the page land in out/screenshots (LORAGRAPH_SHOTS).
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

import loragraph
from loragraph.tests.ui.browser.canvas_page import TIMEOUT, CanvasPage
from loragraph.tests.ui.browser.serving import Served

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHOTS = Path(os.environ.get("LORAGRAPH_SHOTS") or Path(loragraph.__file__).parent / "out" / "screenshots")


expect.set_options(timeout=TIMEOUT)


def _chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("LORAGRAPH_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        said = "no Chromium: install it (apt install chromium) or name it in LORAGRAPH_CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return found


# Not of the session: while it is open, its event loop runs on this thread, and no other test here can run one.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = _chromium()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Served]:
    """A server for the tests of one module. (`browser` is asked for first: without one, no server is started.)"""
    server = Served(tmp_path_factory.mktemp("served"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    made.grant_permissions(["clipboard-read", "clipboard-write"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_page(browser: Browser, served: Served) -> Iterator[CanvasPage]:
    """One tab for all tests of a module that begin by opening a workflow of their own (`building.begin`)."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    canvas = CanvasPage(context.new_page(), served.url)
    canvas.open()
    yield canvas
    context.close()


@pytest.fixture
def open_page(context: BrowserContext, served: Served) -> Callable[..., CanvasPage]:
    """Open the canvas in a new tab: `open_page()`; a later tab of one test shares the first one's storage."""

    def open_(url: str | None = None) -> CanvasPage:
        page: Page = context.new_page()
        canvas = CanvasPage(page, url or served.url)
        canvas.open()
        return canvas

    return open_


@pytest.fixture
def canvas(open_page: Callable[..., CanvasPage], request: pytest.FixtureRequest) -> Iterator[CanvasPage]:
    """The canvas in one tab. Whatever the page says is wrong (errors on its console) fails the test."""
    opened = open_page()
    yield opened
    opened.check_console()


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Callable[[CanvasPage, str], Path]:
    """Keep a picture of the page for people to look at: `shot(canvas, "running")`."""
    SHOTS.mkdir(parents=True, exist_ok=True)

    def keep(canvas: CanvasPage, name: str) -> Path:
        path = SHOTS / f"{name}.png"
        # What fades or moves has come to its end, as it has a moment later before people.
        canvas.page.screenshot(path=path, animations="disabled")
        return path

    return keep
