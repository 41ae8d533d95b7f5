"""One worker process as its parent sees it: start it, write to it, read from it, and say how it died.

    worker = WorkerProcess("cuda:0")
    worker.write({"kind": "run", "job": {...}})
    for message in worker.messages():       # ends when the process does
        ...
    worker.obituary()                       # "was killed by signal 9 (SIGKILL). That is usually …"

The process is started with `subprocess`, not `multiprocessing`: that would import the caller's main module again,
which surprises scripts and costs the command line its start-up twice. The protocol is in `worker_main`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

BOOT = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main(int(sys.argv[2]))"
"""What the new interpreter runs: it finds modules where this one does, whatever changed sys.path here."""

LAST_LINES = 12
"""So many lines of what a worker printed are quoted when it dies."""

SIGNAL_MEANINGS = {
    "SIGKILL": "That is usually the operating system, because the memory ran out (try a smaller batch, size or dtype), "
    "or somebody who ended it by hand",
    "SIGSEGV": "It crashed inside native code, e.g. a driver or a compiled extension",
    "SIGBUS": "It could not read memory that it had mapped: the disk may be full or a model file was cut short",
    "SIGABRT": "A native library gave up; the lines it printed last say why",
    "SIGILL": "A compiled extension was built for another processor",
    "SIGFPE": "A native library divided by zero",
    "SIGTERM": "Somebody asked it to end",
    "SIGHUP": "The terminal that it belonged to was closed",
}


class WorkerProcess:
    """A running worker; `on_print` gets every line that node code prints."""

    def __init__(self, device: str, threads: int | None = None, on_print: Callable[[str], None] | None = None) -> None:
        self.device = device
        self.printed: deque[str] = deque(maxlen=LAST_LINES)
        self._on_print = on_print
        module = f"{__package__}.worker_main"
        self._process = subprocess.Popen(
            [sys.executable, "-c", BOOT.format(module=module), json.dumps(sys.path), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(threads),
            # Its own session: Ctrl-C in the terminal goes to the parent alone, and what nodes start ends with it.
            start_new_session=True,
        )
        self._writing = threading.Lock()
        self._printer = threading.Thread(target=self._read_printed, name=f"worker-output-{device}", daemon=True)
        self._printer.start()
        self._reaper = threading.Thread(target=self._reap, name=f"worker-reaper-{device}", daemon=True)
        self._reaper.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None and self._reaper.is_alive()

    def write(self, command: dict[str, Any]) -> bool:
        """Send a command; False when the process is gone."""
        assert self._process.stdin is not None
        try:
            with self._writing:
                self._process.stdin.write(json.dumps(command).encode() + b"\n")
                self._process.stdin.flush()
        except (OSError, ValueError):  # a broken pipe, or one that `end` has closed
            return False
        return True

    def read(self) -> dict[str, Any] | None:
        """Wait for the next message; None when the process has ended and everything it said was read."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        # A line without its end was cut by the death of the writer.
        return json.loads(line) if line.endswith(b"\n") else None

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield messages until the process has ended."""
        while (message := self.read()) is not None:
            yield message

    def end(self, grace: float = 0.0) -> None:
        """End the process and all it started: after `grace` seconds to leave by itself, by force."""
        if grace:
            with contextlib.suppress(OSError, ValueError), self._writing:
                assert self._process.stdin is not None
                self._process.stdin.close()
            self._reaper.join(grace)
        if self.alive():
            _signal_group(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        self._reaper.join()

    def obituary(self) -> str:
        """Return how the process ended, in words, with what it printed last. Waits until it has ended."""
        self._reaper.join()
        self._printer.join(1.0)
        words = describe_exit(self._process.returncode)
        if not self.printed:
            return words
        return f"{words} It printed last:\n" + "\n".join(f"    {line}" for line in self.printed)

    def _reap(self) -> None:
        """Wait for the end, then end what the worker started: a child of it would hold the pipes open."""
        if hasattr(os, "waitid"):
            # WNOWAIT keeps the dead process's id reserved, so that the group's id can't have a new owner.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            _signal_group(self.pid, signal.SIGKILL)
        self._process.wait()

    def _read_printed(self) -> None:
        assert self._process.stderr is not None
        for raw in self._process.stderr:
            # A progress bar redraws itself with carriage returns: only its last state is kept.
            line = raw.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]
            if line.strip():
                self.printed.append(line)
                if self._on_print is not None:
                    self._on_print(line)


def describe_exit(code: int | None) -> str:
    """Say what a process's exit code means; negative codes are signals, as `subprocess` has it."""
    if code is None:
        return "has not ended."
    if code >= 0:
        return f"ended by itself with exit code {code}, in the middle of the node."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"was killed by signal {-code}."
    meaning = SIGNAL_MEANINGS.get(name)
    return f"was killed by signal {-code} ({name})." + (f" {meaning}." if meaning else "")


def _environment(threads: int | None) -> dict[str, str]:
    """The worker's environment: OpenMP threads sleep instead of spinning, which on busy cores costs many times over."""
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONUNBUFFERED": "1"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = environment["MKL_NUM_THREADS"] = str(threads)
    return environment


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number) if hasattr(os, "killpg") else os.kill(pid, number)
