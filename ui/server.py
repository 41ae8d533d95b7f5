"""Serve the page on this machine, and to nobody else unless asked.

A page of another site, open in the same browser, can send requests to this server. So every request must name this
server as its Host (which a rebound DNS name doesn't), and come from a page of its own where it says where it comes from
(Origin). The page itself may load nothing from elsewhere (Content-Security-Policy). Bound to an address that others can
reach, it asks for a password, made anew at each start.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from . import drawing
from .app import build
from .running import Desk

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

WORKFLOWS = Path(__file__).parents[1] / "workflows"
LARGEST_UPLOAD = 64 * 2**20
"""Bytes: as large as a workflow file can be."""

USER = "loragraph"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

HEADERS = {
    # Gradio's page has inline scripts and styles, and builds functions from text.
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Guard:
    """ASGI middleware that refuses other Hosts and Origins and adds HEADERS; `hosts` None lets any Host name pass."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], hosts: frozenset[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not self.allows(headers.get("host", ""), headers.get("origin")):
            await self._refuse(scope, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self.app(scope, receive, with_headers)

    def allows(self, host: str, origin: str | None) -> bool:
        """Whether a request with these headers may come in."""
        if self.hosts is not None and _without_port(host).lower() not in self.hosts:
            return False
        return origin is None or origin.partition("://")[2].lower() == host.lower()

    async def _refuse(self, scope: Scope, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        said = b"This page serves only the machine it runs on, under the address it was started with.\n"
        kind = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 403, "headers": kind})
        await send({"type": "http.response.body", "body": said})


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass
class Server:
    """A page that is being served at `url`; `password` is "" where nobody else can reach it."""

    url: str
    password: str
    page: gr.Blocks
    folder: str

    def close(self) -> None:
        """Stop serving, and remove the copies of files that the browser was given."""
        self.page.close(verbose=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def serve(desk: Desk, *, host: str = "127.0.0.1", port: int | None = None) -> Server:
    """Begin to serve the page, in a thread; raises OSError where the port is taken.

    Without a `port` it is the first free one from 7860.
    """
    local = is_loopback(host)
    password = "" if local else secrets.token_urlsafe(12)
    hosts = LOOPBACK_NAMES | {host.lower()} if local else None
    folder = os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="loragraph-ui-")
    page = build(desk, WORKFLOWS)
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=False,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            run_history=False,
            footer_links=[],
            auth=(USER, password) if password else None,
            allowed_paths=[str(desk.out), os.path.realpath(desk.home / "store")],
            max_file_size=LARGEST_UPLOAD,
            theme=theme(),
            css=drawing.CSS,
            # What Starlette's Middleware objects unpack to.
            app_kwargs={"middleware": [(Guard, (), {"hosts": hosts})]},
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Server(url, password, page, folder)


def theme() -> gr.themes.Base:
    """Return the page's look: the system's own fonts, so that none is fetched."""
    return gr.themes.Default(
        primary_hue="blue",
        font=("system-ui", "-apple-system", "Segoe UI", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "monospace"),
    )
