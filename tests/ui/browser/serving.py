"""`loragraph ui` as a process that a test can end, kill and start again on the same port and home."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Served:
    """A server whose folders lie in `folder`: home, out, and `work`, where documents are saved."""

    def __init__(self, folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.home, self.out, self.work = folder / "home", folder / "out", folder / "work"
        self.work.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.arguments = arguments
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.said: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def command(self) -> list[str]:
        """Return what starts the server; it says "LoRAGraph is at http…" when it is there."""
        return [
            *(sys.executable, "-P", "-m", "loragraph", "ui", "--no-browser", "--port", str(self.port)),
            *("--home", str(self.home), "--out", str(self.out), "--folder", str(self.work), *self.arguments),
        ]

    def start(self) -> None:
        # A process group of its own, so that a kill takes the worker processes along.
        self.process = subprocess.Popen(
            self.command(),
            cwd=self.work,
            env=self.env,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        ready = threading.Event()
        threading.Thread(target=self._listen, args=(self.process, ready), daemon=True).start()
        if not ready.wait(90):
            raise AssertionError("the server did not start:\n" + "\n".join(self.said))
        with urllib.request.urlopen(self.url) as answer:
            assert answer.status == 200

    def _listen(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.said.append(line.rstrip())
            if re.search(r"LoRAGraph is at http", line):
                ready.set()

    def kill(self) -> None:
        """Kill the server and its workers without a word, as a power cut would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ask the server to end."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
