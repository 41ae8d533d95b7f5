"""How the commands of `loragraph lora` go on and end: progress, what is said, errors, interrupts."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from .common import CANCELLED, FAILED, WRONG, complain

if TYPE_CHECKING:
    from ..diffusion.lora.jobs import Written


def told(written: "Written") -> None:
    """Say what was written, and what there is to know about it."""
    info = written.info
    for warning in written.warnings:
        complain(f"note: {warning}")
    facts = [info.title, info.family or "of an unknown family", f"rank {info.rank}", f"{info.modules} modules"]
    if written.energies:
        facts.append(f"{100 * written.energy:.2f} % of the change's energy kept")
    print(f"{written.path}: {', '.join(facts)}")


@contextmanager
def careful() -> Iterator[None]:
    """Turn wrong files and settings into their message, and an interrupt into an end that leaves nothing behind."""
    from ..diffusion.errors import DiffusionError

    with _interruptible():
        try:
            yield
            sys.stdout.flush()
        except DiffusionError as error:
            complain(error)
            raise typer.Exit(WRONG) from error
        except BrokenPipeError:
            raise  # who read the output has seen enough: typer ends the process without a word
        except OSError as error:
            complain(f"{error.filename or 'the file'}: {error.strerror or error}")
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt:
            complain("stopped; nothing was written")
            raise typer.Exit(CANCELLED) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, so that half-written files are removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def progress(doing: str, unit: str, size: int = 1) -> Iterator[Callable[[int, int], None] | None]:
    """Give a callback (done, in all) that draws a bar, at a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: tuple[Any, ...] = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done // size, total=-(-total // size))
