"""`loragraph ui`: the page in the browser, until Ctrl-C."""

import os
import signal
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..graph_runtime.errors import BadInput
from ..graph_runtime.store import default_home
from . import complain
from .running import executor_on, first_device, usable


def serve_page(
    *,
    host: str,
    port: int | None,
    home: Path | None,
    out: Path,
    devices: tuple[str, ...],
    browser: bool,
    folder: Path | None = None,
    models: tuple[Path, ...] = (),
    first: Path | None = None,
) -> None:
    """Serve the page until the process is told to stop; raises BadInput where a folder or the port can't be used."""
    out, home = out.absolute(), (home or default_home()).absolute()
    models = tuple(place.absolute() for place in models)
    first = first and first.absolute()
    usable(out, "--out")
    usable(home, "--home")
    devices = devices or (first_device(),)
    for device in devices:
        executor_on((device,)).close()  # A name that is no device is refused before anything starts.
    if folder is not None:
        if not folder.is_dir():
            raise BadInput(f"--folder {folder} is no folder; name one that is there.")
        # Relative paths in workflows start there in every process that takes part.
        os.chdir(folder)
    complain("starting the page …")
    from ..ui.server import USER, serve
    from ..ui.studio import Studio

    with (
        _told_to_stop() as told,
        Studio.open(
            home, out=out, models=models, devices=devices, first=first, executor=lambda device: executor_on((device,))
        ) as studio,
    ):
        try:
            server = serve(studio, host=host, port=port)
        except (OSError, ValueError) as error:
            if isinstance(error, BadInput):
                raise
            where = f"{host}, port {port}" if port else host
            raise BadInput(f"the page can't be served at {where}: {error} Choose another --host or --port.") from error
        try:
            complain(f"LoRAGraph is at {server.url} (files go to {out}); Ctrl-C ends it")
            if server.password:
                complain(f"other machines can reach this page. User: {USER}, password: {server.password}")
            if browser:
                webbrowser.open(server.url)
            told.wait()
            going = [record for record in studio.queue.list() if record.status == "running"]
            complain("stopping … what runs goes on at the next start" if going else "stopping …")
        finally:
            server.close()


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set, instead of what they did before."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
