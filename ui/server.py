"""Serve the page on this machine, or mount it in an app of one's own.

    server = serve(studio)                     # 127.0.0.1, the first free port from 7860
    server.url, server.password                # "http://127.0.0.1:7860/", "" (a password where others can reach it)
    server.close()

    app = mount(FastAPI(), "/studio", studio, auth=("ada", "secret"))     # any ASGI server runs it then

Either stands behind the `Guard`. Bound to an address that others can reach, `serve` asks for a password, made anew at
each start.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import gradio as gr

from .app import build, launch_options
from .guard import LOOPBACK_NAMES, Guard
from .studio import Studio

USER = "loragraph"

AT_ONCE = 250
"""So many pages and programs may follow runs at once: one more waits until another leaves."""

_App = TypeVar("_App")
"""A FastAPI app; Gradio brings FastAPI along, and this package needs no more of it."""


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
        """Stop serving, and remove the files that the browser has sent and nobody kept. The studio stays open."""
        self.page.close(verbose=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def serve(studio: Studio, *, host: str = "127.0.0.1", port: int | None = None) -> Server:
    """Begin to serve the page, in a thread; raises OSError where the port is taken.

    Without a `port` it is the first free one from 7860.
    """
    local = is_loopback(host)
    password = "" if local else secrets.token_urlsafe(12)
    hosts = LOOPBACK_NAMES | {host.lower()} if local else None
    folder = os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="loragraph-ui-")
    try:
        page = build(studio)
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=False,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            auth=(USER, password) if password else None,
            max_threads=AT_ONCE,  # Gradio counts what waits without a thread as well; it would stop at 40.
            # What Starlette's Middleware objects unpack to.
            app_kwargs={"middleware": [(Guard, (), {"workspace": studio.workspace, "hosts": hosts})]},
            **launch_options(studio),
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Server(url, password, page, folder)


def mount(
    app: _App,
    path: str,
    studio: Studio,
    *,
    auth: Callable[[str, str], bool] | tuple[str, str] | list[tuple[str, str]] | None = None,
    **options: Any,
) -> _App:
    """Mount the page in a FastAPI app at a path such as "/studio", and return the app.

    `auth` asks for a login; `options` go to `gradio.mount_gradio_app`, such as `root_path` behind a proxy that takes a
    part of the path away. Who may reach the app at all is the app's own business, but requests of other sites' pages
    are refused, and files are shown by the workspace's rule.
    """
    guard = (Guard, (), {"workspace": studio.workspace, "framed": True})
    inner: Any = app
    gr.mount_gradio_app(
        inner,
        build(studio),
        path=path,
        auth=auth,
        app_kwargs={"middleware": [guard]},
        **{**launch_options(studio), **options},
    )
    return app
