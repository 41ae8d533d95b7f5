"""The page in an app of somebody's own, under a path and behind a login: `python -m …mounted FOLDER PORT`."""

import socket
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from loragraph.ui.server import mount
from loragraph.ui.studio import Studio

PATH = "/tools/studio"
LOGIN = ("ada", "correct horse")


def app_of(studio: Studio) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def hello() -> str:
        return "an app of somebody's own"

    return mount(app, PATH, studio, auth=LOGIN)


class Told(uvicorn.Server):
    """Says when it can be reached, as `loragraph ui` does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"LoRAGraph is at http://127.0.0.1:{self.config.port}{PATH}", file=sys.stderr, flush=True)


def serve(folder: Path, port: int) -> None:
    with Studio.open(folder / "home", out=folder / "out", folder=folder / "work") as studio:
        Told(
            uvicorn.Config(
                app_of(studio), host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=2
            )
        ).run()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
