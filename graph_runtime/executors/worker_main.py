"""The worker process's own side: read jobs, run them one after the other, tell what happens.

Both directions are lines of JSON, so that nothing a stranger's workflow carries is ever unpickled:

    to the worker    {"kind": "run", "job": {...}}      {"kind": "cancel", "id": "run-1/train"}
    from the worker  {"kind": "ready", "pid": 4711}     {"kind": "started", "id": "run-1/train"}
                     {"kind": "progress", ...}          any message of `executors.base`, while a node runs
                     {"kind": "done", "id": ..., "outputs": {...}}
                     {"kind": "failed", "id": ..., "error": ..., "message": ..., "trace": ..., ...}
                     {"kind": "cancelled", "id": ...}

They come in on standard input and go out on what was standard output at the start. Node code sees neither: its input
is empty, and what it prints goes to standard error, which the parent keeps for the report of a crash.

The main thread runs the nodes (native libraries prefer it); a second thread reads, so that a cancel arrives while a
node runs. When the parent is gone, the input ends and this process ends with it, in the middle of whatever it does.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import IO, Any

from ..context import ModelCache
from ..errors import Cancelled
from .base import Job
from .calling import call, failure

PR_SET_PDEATHSIG = 1
"""Linux: the signal this process gets when its parent dies (prctl(2))."""


def main(parent: int) -> None:
    """Serve jobs until the input ends. `parent` is the process id of whoever started this process."""
    _die_with(parent)
    # The parent alone decides what Ctrl-C means. An empty handler rather than SIG_IGN, which children would inherit.
    signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    commands, messages = _take_over_pipes()
    faulthandler.enable(sys.stderr)
    Worker(commands, messages).serve()


class Worker:
    """The loop: `_jobs` holds what is to run (None: no more), `_cancels` an event per job that has not ended."""

    def __init__(self, commands: IO[str], messages: IO[str]) -> None:
        self._commands = commands
        self._messages = messages
        self._writing = threading.Lock()
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._cancels: dict[str, threading.Event] = {}
        self._models = ModelCache()

    def serve(self) -> None:
        """Run jobs as they come; does not return, the reading thread ends the process."""
        threading.Thread(target=self._read, name="commands", daemon=True).start()
        self._send({"kind": "ready", "pid": os.getpid()})
        while True:
            self._run(self._jobs.get())

    def _run(self, job: Job) -> None:
        cancelled = self._cancels[job.id]
        self._send({"kind": "started", "id": job.id})
        try:
            end = {"kind": "done", "outputs": call(job, self._send, cancelled, self._models)}
            end_line = self._line({**end, "id": job.id})
        except Cancelled:
            end_line = self._line({"kind": "cancelled", "id": job.id})
        except BaseException as error:  # a SystemExit too: a node must not end the process that holds the models
            end_line = self._line({"kind": "failed", "id": job.id, **failure(error)})
        del self._cancels[job.id]
        sys.stdout.flush()
        sys.stderr.flush()
        self._write(end_line)

    def _read(self) -> None:
        for line in self._commands:
            command = json.loads(line)
            if command["kind"] == "run":
                job = Job(**command["job"])
                self._cancels[job.id] = threading.Event()
                self._jobs.put(job)
            elif command["kind"] == "cancel" and (cancelled := self._cancels.get(command["id"])):
                cancelled.set()
        _end_process_group()

    def _send(self, message: dict[str, Any]) -> None:
        self._write(self._line(message))

    @staticmethod
    def _line(message: dict[str, Any]) -> str:
        return json.dumps(message, separators=(",", ":")) + "\n"

    def _write(self, line: str) -> None:
        with self._writing:
            self._messages.write(line)
            self._messages.flush()


def _take_over_pipes() -> tuple[IO[str], IO[str]]:
    """Move the two pipes out of the way of node code, which gets an empty input and standard error as its output."""
    commands = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n")
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return commands, messages


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process with its parent: the reading thread can't, while C code holds the lock."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the request
        os._exit(1)


def _end_process_group() -> None:
    """End this process and whatever its nodes started (data loaders, subprocesses), at once."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(0)
