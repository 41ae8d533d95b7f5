"""A home with a queue and lanes, for tests; run as a module, a process that works the queue until it is killed.

python -m loragraph.tests.graph_runtime.queueing HOME DEVICE...
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loragraph.graph_runtime.document import Document
from loragraph.graph_runtime.executors import Executor, InProcessExecutor
from loragraph.graph_runtime.lanes import Lanes
from loragraph.graph_runtime.run_queue import RunQueue, RunRecord
from loragraph.tests.graph_runtime.running import REGISTRY
from loragraph.tests.graph_runtime.sample_nodes import noted


def in_process(device: str) -> Executor:
    return InProcessExecutor(devices=(device,))


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Return the first true answer; fails when none came in time."""
    end = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


class Place:
    """A home, its queue, and whatever lanes a test opens there; `close` ends them all."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.out = folder / "out"
        self.journal = folder / "journal"
        self.queue = RunQueue(self.home)
        self.opened: list[Lanes] = []
        self.processes: list[subprocess.Popen[str]] = []

    def lanes(self, *devices: str, **options: Any) -> Lanes:
        """Return lanes that have been started."""
        options = {"executor": in_process, **options}
        lanes = Lanes(self.queue, REGISTRY, home=self.home, devices=devices or ("cpu",), **options)
        self.opened.append(lanes)
        lanes.start()
        return lanes

    def process(self, *devices: str) -> subprocess.Popen[str]:
        """Return another process that works this queue and holds its lanes."""
        command = [sys.executable, "-m", "loragraph.tests.graph_runtime.queueing", str(self.home), *devices]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def submit(self, document: Document, **options: Any) -> str:
        return self.queue.submit(document, name="test", out=self.out, **options).id

    def ended(self, run: str) -> RunRecord:
        """Return the record of a run once it has ended."""
        until(lambda: self.queue.get(run).ended_for_good)
        return self.queue.get(run)

    def kinds(self, run: str) -> list[str]:
        """What a run told, but for progress and metrics."""
        return [e.kind for e in self.queue.events(run) if e.kind not in ("node_progress", "node_metric")]

    def noted(self) -> list[str]:
        return noted(self.journal)

    def close(self) -> None:
        for lanes in self.opened:
            lanes.close()
        for process in self.processes:
            process.kill()
            process.communicate()
        self.queue.close()


def take_all(home: str, results: multiprocessing.Queue[str]) -> None:
    """Take every waiting run."""
    queue = RunQueue(Path(home))
    while (record := queue.claims.take("cpu")) is not None:
        results.put(record.id)
    queue.close()


def main() -> None:
    home = Path(sys.argv[1])
    queue = RunQueue(home)
    lanes = Lanes(queue, REGISTRY, home=home, devices=sys.argv[2:] or ["cpu"], executor=in_process)
    lanes.start()
    print("ready", flush=True)
    sys.stdin.read()
    lanes.close()
    queue.close()


if __name__ == "__main__":
    main()
