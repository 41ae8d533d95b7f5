"""`loragraph ui`: the page in the browser, until Ctrl-C."""

import signal
import threading
import webbrowser
from pathlib import Path

from ..graph_runtime.errors import BadInput
from ..graph_runtime.registry import Registry
from ..graph_runtime.store import default_home
from . import complain
from .running import executor_on, first_device, usable


def serve_page(
    *, host: str, port: int | None, home: Path | None, out: Path, devices: tuple[str, ...], browser: bool
) -> None:
    """Serve the page until the process is told to stop; raises BadInput where a folder or the port can't be used."""
    out, home = out.absolute(), (home or default_home()).absolute()
    usable(out, "--out")
    usable(home, "--home")
    executor = executor_on(devices or (first_device(),))
    complain("starting the page …")
    from ..ui.running import Desk
    from ..ui.server import USER, serve

    desk = Desk(Registry.installed(), home, out, executor)
    told_to_stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: told_to_stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        try:
            server = serve(desk, host=host, port=port)
        except (OSError, ValueError) as error:
            where = f"{host}, port {port}" if port else host
            raise BadInput(f"the page can't be served at {where}: {error} Choose another --host or --port.") from error
        try:
            complain(f"LoRAGraph is at {server.url} (files go to {out}); Ctrl-C ends it")
            if server.password:
                complain(f"other machines can reach this page. User: {USER}, password: {server.password}")
            if browser:
                webbrowser.open(server.url)
            told_to_stop.wait()
            complain("stopping …")
        finally:
            server.close()
    finally:
        desk.close()
        for number, handler in before.items():
            signal.signal(number, handler)
