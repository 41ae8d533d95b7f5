"""Nodes for the tests of running: they count their calls, sleep, fail, print, or die, as their settings say.

Every call adds one line to the file `journal`: "<what> <process id>". They are found in any process under their full
name, `loragraph.tests.graph_runtime.sample_nodes`, so tests import them by that name too.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from loragraph.graph_runtime.context import Context
from loragraph.graph_runtime.errors import BadInput
from loragraph.graph_runtime.node import node
from loragraph.graph_runtime.values import FileRef, Value


class Number(Value):
    """A number on a wire."""

    value: int


class Text(Value):
    """A file on a wire."""

    file: FileRef


class Both(NamedTuple):
    """Two outputs."""

    small: Number
    large: Number


def note(journal: str, what: str) -> None:
    """Add a line to the journal; one write of a short line is not torn by other processes."""
    if journal:
        with open(journal, "a") as stream:
            stream.write(f"{what} {os.getpid()}\n")


def noted(journal: Path) -> list[str]:
    """What the journal says, without the process ids."""
    return [line.split()[0] for line in journal.read_text().splitlines()] if journal.exists() else []


@node(category="test")
def constant(value: int = 1, journal: str = "") -> Number:
    """Return the number."""
    note(journal, f"constant={value}")
    return Number(value=value)


@node(category="test")
def add(numbers: tuple[Number, ...] = (), more: Number | None = None, plus: int = 0, journal: str = "") -> Number:
    """Return the sum."""
    note(journal, "add")
    return Number(value=sum(number.value for number in numbers) + (more.value if more else 0) + plus)


@node(category="test", device=True)
def heavy_add(numbers: tuple[Number, ...] = (), plus: int = 0, journal: str = "") -> Number:
    """Return the sum, on a device."""
    note(journal, "heavy")
    return Number(value=sum(number.value for number in numbers) + plus)


@node(category="test")
def split(number: Number) -> Both:
    """Return half and double."""
    return Both(small=Number(value=number.value // 2), large=Number(value=number.value * 2))


@node(category="test")
def sleep(ctx: Context, number: Number | None = None, seconds: float = 0.1, journal: str = "") -> Number:
    """Pass the number on after a while, checking for a cancel every 5 ms."""
    _sleep(ctx, seconds, journal)
    return number or Number(value=0)


@node(category="test", device=True)
def heavy_sleep(ctx: Context, number: Number | None = None, seconds: float = 0.1, journal: str = "") -> Number:
    """Pass the number on after a while, on a device."""
    _sleep(ctx, seconds, journal)
    return number or Number(value=0)


def _sleep(ctx: Context, seconds: float, journal: str) -> None:
    note(journal, "begin")
    (ctx.folder / "half.txt").write_text("half")
    end = time.monotonic() + seconds
    step = 0
    while time.monotonic() < end:
        ctx.progress(step, 1000)
        ctx.check_cancel()
        time.sleep(0.005)
        step += 1
    note(journal, "end")


@node(category="test")
def chatter(ctx: Context, seconds: float = 1.0) -> Number:
    """Tell more than anybody can hear."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ctx.progress(1, 2)
        ctx.check_cancel()
    return Number(value=0)


@node(category="test", device=True)
def stubborn(seconds: float = 60.0, journal: str = "", hold: bool = False) -> Number:
    """Wait in one C call that hears no cancel; `hold` keeps the interpreter's lock all the while."""
    note(journal, "begin")
    (ctypes.PyDLL(None) if hold else ctypes.CDLL(None)).usleep(int(seconds * 1e6))
    return Number(value=0)


@node(category="test", device=True)
def train(ctx: Context, steps: int = 10, die_at: int = 0, how: int = int(signal.SIGKILL), journal: str = "") -> Text:
    """Count to `steps`, keeping the count in the scratch folder; at step `die_at` of a first attempt, kill itself."""
    count = ctx.scratch / "count.txt"
    first = int(count.read_text()) if count.exists() else 0
    note(journal, f"from={first}")
    for step in range(first + 1, steps + 1):
        ctx.check_cancel()
        count.write_text(str(step))
        ctx.metric("loss", 1 / step, step)
        if step == die_at and first == 0:
            print("about to die")
            os.kill(os.getpid(), how)
            time.sleep(5)
    result = ctx.folder / "result.txt"
    result.write_text(f"counted to {steps}")
    return Text(file=FileRef.of(result))


@node(category="test")
def fail(number: Number | None = None, message: str = "it broke", bad_input: bool = False, journal: str = "") -> Number:
    """Raise."""
    note(journal, "fail")
    raise BadInput(message, field="message", value=message) if bad_input else OSError(message)


@node(category="test", device=True)
def heavy_fail(number: Number | None = None, message: str = "it broke", bad_input: bool = False) -> Number:
    """Raise, on a device."""
    raise BadInput(message, field="message", value=message) if bad_input else OSError(message)


@node(category="test", device=True)
def talk(ctx: Context, said: str = "hello") -> None:
    """Use every way of telling something."""
    ctx.progress(1, 2, said, preview=ctx.folder / "p.png")
    ctx.metric("loss", 0.5, 1)
    ctx.log.warning("%s from the log", said)
    print(f"{said} from print", flush=True)


@node(category="test")
def draw(ctx: Context, count: int = 3) -> Number:
    """Draw previews into the folder that goes when the node ends."""
    for number in range(1, count + 1):
        picture = ctx.folder / f"p{number}.png"
        picture.write_text(f"picture {number}")
        ctx.progress(number, count, preview=picture)
    return Number(value=count)


@node(category="test")
def write(ctx: Context, number: Number, text: str = "kept") -> Text:
    """Return a file of its own."""
    path = ctx.folder / "text.txt"
    path.write_text(f"{text} {number.value}")
    return Text(file=FileRef.of(path))


@node(category="test", cache=False)
def save(
    ctx: Context, text: Text | None = None, number: Number | None = None, name: str = "saved", journal: str = ""
) -> None:
    """Write into the run's folder, under a name that is free."""
    note(journal, "save")
    what = Path(text.file.path).read_text() if text else str(number.value if number else "")
    ctx.out.mkdir(parents=True, exist_ok=True)
    for count in range(1, 1000):
        try:
            with open(ctx.out / f"{name}-{count}.txt", "x") as stream:
                stream.write(what)
            return
        except FileExistsError:
            continue


@node(category="test", cache=False)
def keep_workflow(ctx: Context, number: Number) -> None:
    """Write down which workflow it is part of."""
    ctx.out.mkdir(parents=True, exist_ok=True)
    (ctx.out / "workflow.json").write_text(ctx.workflow)


@node(category="test", cache=False)
def clock(journal: str = "") -> Number:
    """Return something else every time."""
    note(journal, "clock")
    return Number(value=time.perf_counter_ns())


@node(category="test")
def lie() -> Number:
    """Return what it did not promise."""
    return "no number"  # type: ignore[return-value]


@node(category="test", device=True)
def leave() -> Number:
    """Call sys.exit, as badly behaved libraries do."""
    raise SystemExit(3)
