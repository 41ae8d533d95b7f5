"""`loragraph run`: the scheduler's run on a terminal, with Ctrl-C, exit codes, and a summary at the end."""

import os
import re
import sys
import threading
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from ..graph_runtime import scheduler
from ..graph_runtime.errors import BadInput
from ..graph_runtime.executors.base import Executor
from ..graph_runtime.modes import effective
from ..graph_runtime.store import default_home
from .common import CANCELLED, DONE, FAILED, WRONG, complain
from .interrupts import interruptible
from .progress import Display, JsonLines, LiveTable, PlainLines
from .result_tables import show_tables

if TYPE_CHECKING:
    from ..graph_runtime.document import Document
    from ..graph_runtime.events import Event
    from ..graph_runtime.registry import Registry


STOPPING = b"""
stopping after this step; press Ctrl-C again to stop at once. The same command goes on from here later
"""


def run_workflow(
    document: "Document",
    registry: "Registry",
    *,
    out: Path,
    home: Path | None,
    jsonl: bool,
    devices: tuple[str, ...],
    in_process: bool,
) -> int:
    """Run the workflow, showing how it goes; return the exit code. Raises BadInput where a folder can't be used."""
    out, home = out.absolute(), (home or default_home()).absolute()
    usable(out, "--out")
    usable(home, "--home")
    before = files_in(out)
    failures = Failures()

    def on_event(event: "Event") -> None:
        failures.take(event)
        display.on_event(event)

    display = display_for(document, registry, jsonl)
    cancel = threading.Event()
    executor = executor_on(devices or (first_device(),), in_process)
    try:
        with display, interruptible(cancel, getattr(executor, "pids", dict), STOPPING):
            result = scheduler.run(
                document, registry, home=home, out=out, executor=executor, on_event=on_event, cancel=cancel
            )
    finally:
        executor.close()
    failures.explain()
    ended = {node: (state.status, state.key) for node, state in result.nodes.items()}
    show_tables(document, registry, ended, run=result.run, home=home, jsonl=jsonl)
    states = [state.status for state in result.nodes.values()]
    summarize(result.status, result.seconds, states, sorted(files_in(out) - before), out)
    if result.status == "cancelled":
        return CANCELLED
    if result.status == "failed":
        return WRONG if result.bad_input else FAILED
    return DONE


def usable(folder: Path, option: str) -> None:
    """Make the folder that `option` names; raises BadInput where it can't be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{option} {folder} can't be made ({error.strerror}); choose another folder.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(f"{option} {folder} can't be written to; choose another folder or change its rights.")


def files_in(folder: Path) -> set[str]:
    """Return the names of the finished files; one in the making has a name that begins with a dot."""
    return {entry.name for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith(".")}


def display_for(document: "Document", registry: "Registry", jsonl: bool) -> Display:
    """Return what shows a run of this document here: a table, lines, or JSON."""
    nodes = [(name, spec.type) for name, spec in effective(document, registry).nodes.items()]
    if jsonl:
        return JsonLines(sys.stdout)
    return LiveTable(nodes) if sys.stderr.isatty() else PlainLines(nodes, sys.stderr)


def first_device() -> str:
    """Return "cuda:0" where an NVIDIA card and a torch built for it are there, else "cpu"; torch isn't imported."""
    try:
        built_for_cpu = metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        built_for_cpu = True
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1", "NoDevFiles")
    return "cuda:0" if not built_for_cpu and not hidden and Path("/dev/nvidiactl").exists() else "cpu"


def check_devices(devices: tuple[str, ...]) -> None:
    """Raise BadInput for a name that is no device."""
    for device in devices:
        if not re.fullmatch(r"cpu|mps|(cuda|xpu):\d{1,3}", device):
            raise BadInput(f'--device "{device}" is no device; write cpu, mps, or a card by number such as cuda:0.')


def executor_on(devices: tuple[str, ...], in_process: bool = False) -> Executor:
    """Return what runs the device nodes, not started yet; raises BadInput for a name that is no device."""
    check_devices(devices)
    if in_process:
        from ..graph_runtime.executors.in_process import InProcessExecutor

        return InProcessExecutor(devices=devices)
    from ..graph_runtime.executors.workers import WorkerExecutor

    return WorkerExecutor(devices=devices)


class Failures:
    """The nodes that failed in a run, from its events."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def __len__(self) -> int:
        """How many nodes failed."""
        return len(self._events)

    def take(self, event: "Event") -> None:
        """Note a failure; a run that goes on after it was cut off begins anew."""
        if event.kind == "run_started":
            self._events.clear()
        elif event.kind == "node_failed":
            self._events.append(event)

    def explain(self) -> None:
        """Print one paragraph for each node that failed, below the traceback where the node is at fault."""
        for event in self._events:
            if not event.data.get("bad_input") and event.data.get("trace"):
                complain(str(event.data["trace"]).rstrip())
            complain(event.data.get("message", ""))


def summarize(status: str, seconds: float, states: Sequence[str], saved: list[str], out: Path) -> None:
    """Print how it ended: the time, how many nodes ran or were found in the store, and where the files lie."""
    counted = {"run": states.count("done"), "cached": states.count("cached")}
    counted |= {name: states.count(name) for name in ("failed", "skipped", "cancelled")}
    parts = [f"{number} {name}" for name, number in counted.items() if number or name in ("run", "cached")]
    complain(f"{status} in {seconds:.1f} s: {', '.join(parts)}")
    if saved:
        more = f" and {len(saved) - 8} more" if len(saved) > 8 else ""
        complain(f"results in {out}: {', '.join(saved[:8])}{more}")
