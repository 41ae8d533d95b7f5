"""What stands between the network and the page: who may ask, and which files may be had.

A page of another site, open in the same browser, can send requests to this server. So every request must come from a
page of its own where it says where it comes from (Origin) and, served on this machine alone, must name this machine as
its Host (which a rebound DNS name doesn't). The page itself may load nothing from elsewhere (Content-Security-Policy).

A file is handed out only where `Workspace.may_show` says so, whatever link leads to it, and as a document of its own it
can run nothing: what a run has written may be anybody's HTML.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

from gradio.utils import get_upload_folder

from .canvas import static_folder
from .workspace import Workspace

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

PAGE_POLICY = (
    # Gradio's page has inline scripts and styles, and builds functions from text.
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "frame-ancestors 'none'"
)
FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; sandbox"

HEADERS = {"referrer-policy": "no-referrer", "x-content-type-options": "nosniff"}

FOREVER = "private, max-age=31536000, immutable"
"""For the front end's files: their names change with their content."""

_OTHERS = ("cross-site", "same-site")
"""What a browser says of a request (Sec-Fetch-Site, Fetch Metadata, section 2.1) that another origin's page makes."""

_FILE = re.compile(r"/file=|/gradio_api/file/")
"""How Gradio is asked for a file; the second form is an older one, which it answers still."""


class Guard:
    """ASGI middleware; `hosts` None lets any Host name pass, as a server that others reach must.

    `framed` leaves out the rule that no other page may hold this one in a frame, for a page mounted in somebody's app.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        workspace: Workspace,
        hosts: frozenset[str] | None = None,
        framed: bool = False,
    ) -> None:
        self.app = app
        self.workspace = workspace
        self.hosts = hosts
        self.policy = PAGE_POLICY.replace("; frame-ancestors 'none'", "") if framed else PAGE_POLICY
        self.static = static_folder()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        come = self.allows(headers.get("host", ""), headers.get("origin"), headers.get("x-forwarded-host", ""))
        # A link may lead here from anywhere; a picture, script or request of another page may not, Origin or none.
        used = headers.get("sec-fetch-site") in _OTHERS and headers.get("sec-fetch-mode") != "navigate"
        if not come or used:
            said = "This page serves only its own requests, under the address that it was started with."
            await _refuse(scope, send, said)
            return
        added = {**HEADERS, "content-security-policy": self.policy}
        asked = str(scope["path"])
        file = _FILE.search(asked)
        if file is not None:
            path = _real(asked[file.end() :])
            if path is not None and path.is_relative_to(self.static):
                added["cache-control"] = FOREVER
            elif path is not None and self.may_show(path):
                added["content-security-policy"] = FILE_POLICY
            else:
                await _refuse(scope, send, "This file is not shown.")
                return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in added.items()]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        await self.app(scope, receive, with_headers)

    def allows(self, host: str, origin: str | None, forwarded: str = "") -> bool:
        """Whether a request with these headers may come in.

        `forwarded` is the Host that a proxy was asked for; no page of another site can send it unasked.
        """
        if self.hosts is not None and _without_port(host).lower() not in self.hosts:
            return False
        named = [host] if self.hosts is not None else [host, *(each.strip() for each in forwarded.split(",") if each)]
        return origin is None or origin.partition("://")[2].lower() in [name.lower() for name in named]

    def may_show(self, path: Path) -> bool:
        """Whether a real path may be handed out: the workspace says so, or the browser itself has sent it."""
        return self.workspace.may_show(path) or path.is_relative_to(os.path.realpath(get_upload_folder()))


def _real(name: str) -> Path | None:
    """Return where a path really leads; None for what can be no path."""
    try:
        return Path(os.path.realpath(name))
    except (OSError, ValueError):
        return None


async def _refuse(scope: Scope, send: Send, said: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    kind = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": kind})
    await send({"type": "http.response.body", "body": f"{said}\n".encode()})


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
