"""Who may ask, and which files may be had."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from loragraph.ui.guard import FILE_POLICY, LOOPBACK_NAMES, Guard
from loragraph.ui.server import is_loopback
from loragraph.ui.workspace import Workspace

SPACE = Workspace(Path("/w/folder"), Path("/w/out"), Path("/w/home"))


async def nothing(*arguments: Any) -> None:
    raise AssertionError("nobody asks")


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("127.0.0.1:7860", None, True),
        ("localhost:7860", "http://localhost:7860", True),
        ("[::1]:7860", None, True),
        ("evil.example:7860", None, False),
        ("127.0.0.1:7860", "http://evil.example", False),
        ("127.0.0.1:7860", "http://127.0.0.1:8000", False),
        ("127.0.0.1:7860", "null", False),
        ("", None, False),
    ],
)
def test_only_requests_for_this_machine_from_its_own_page_come_in(host: str, origin: str | None, allowed: bool) -> None:
    assert Guard(nothing, SPACE, LOOPBACK_NAMES).allows(host, origin) is allowed


@pytest.mark.parametrize(
    ("origin", "forwarded", "allowed"),
    [
        ("https://art.example", "art.example", True),
        ("https://art.example", "", False),
        ("https://evil.example", "art.example", False),
        (None, "art.example", True),
        ("http://inner:80", "", True),
    ],
)
def test_behind_a_proxy_the_address_that_it_was_asked_for_counts(
    origin: str | None, forwarded: str, allowed: bool
) -> None:
    assert Guard(nothing, SPACE).allows("inner:80", origin, forwarded) is allowed


def test_on_this_machine_alone_no_proxy_is_believed() -> None:
    assert not Guard(nothing, SPACE, LOOPBACK_NAMES).allows("127.0.0.1:1", "http://evil.example", "evil.example")


def test_only_addresses_of_this_machine_need_no_password() -> None:
    local = [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "192.168.0.2", "::")]
    assert local == [True, True, True, False, False, False]


def asked(space: Workspace, path: str, **more: str) -> tuple[int, dict[str, str]]:
    """Ask a guard, before an app that says yes to all; return the status and the headers."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    headers_sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    scope = {"type": "http", "path": path, "headers": [(b"host", b"localhost:1"), *headers_sent]}
    asyncio.run(Guard(app, space, LOOPBACK_NAMES)(scope, nothing, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("work/cat.png", 200),
        ("work/notes.md", 403),
        ("work/.git/cat.png", 403),
        ("out/x/page.html", 200),
        ("home/store/ab/cd.safetensors", 200),
        ("home/runs.sqlite", 403),
        ("elsewhere/cat.png", 403),
        ("work/../elsewhere/cat.png", 403),
        ("work/link/cat.png", 403),
    ],
)
def test_files_are_handed_out_by_the_workspaces_rule(tmp_path: Path, path: str, status: int) -> None:
    for place in ("work/.git", "out/x", "home/store/ab", "elsewhere"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "work" / "link").symlink_to(tmp_path / "elsewhere")
    space = Workspace.of(tmp_path / "home", out=tmp_path / "out", folder=tmp_path / "work")
    for prefix in ("/gradio_api/file=", "/studio/gradio_api/file="):
        found, headers = asked(space, f"{prefix}{tmp_path}/{path}")
        assert found == status
        if status == 200:  # What a stranger's workflow wrote can't act as a page of ours.
            assert headers["content-security-policy"] == FILE_POLICY
            assert headers["x-content-type-options"] == "nosniff"


def test_the_front_end_is_kept_by_the_browser_and_the_page_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORAGRAPH_UI_STATIC", str(tmp_path))
    status, headers = asked(SPACE, f"/gradio_api/file={tmp_path}/canvas-ab12.js")
    assert (status, "immutable" in headers["cache-control"]) == (200, True)
    status, headers = asked(SPACE, "/")
    assert (status, "cache-control" in headers) == (200, False)
    assert "default-src 'self'" in headers["content-security-policy"]


@pytest.mark.parametrize("form", ["/gradio_api/file=", "/gradio_api/file/", "/studio/gradio_api/file/", "/file="])
def test_the_rule_holds_for_every_way_in_which_gradio_is_asked_for_a_file(tmp_path: Path, form: str) -> None:
    (tmp_path / "work").mkdir()
    space = Workspace.of(tmp_path / "home", out=tmp_path / "out", folder=tmp_path / "work")
    assert asked(space, f"{form}{tmp_path}/work/notes.md")[0] == 403
    status, headers = asked(space, f"{form}{tmp_path}/work/cat.png")
    assert (status, headers["content-security-policy"]) == (200, FILE_POLICY)
    for name in ("a\0b.png", "https://elsewhere.example/cat.png"):
        assert asked(space, f"{form}{name}")[0] == 403


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
        ("cross-site", "navigate", 200),
        ("cross-site", "no-cors", 403),
        ("same-site", "no-cors", 403),
    ],
)
def test_another_page_may_link_to_this_one_but_not_use_what_it_serves(
    tmp_path: Path, site: str, mode: str, status: int
) -> None:
    assert asked(Workspace.of(tmp_path), "/config", sec_fetch_site=site, sec_fetch_mode=mode)[0] == status
