"""How the commands of `loragraph lora` begin, go on and end: their arguments read, progress, errors, interrupts."""

import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from .common import CANCELLED, FAILED, WRONG, complain

if TYPE_CHECKING:
    from ..diffusion.lora.jobs import Source, Written


def parse_source(text: str) -> tuple[str, float]:
    """Return (path, strength) of "path:number", the number being after the last colon; else the text and 1.

    A file that is called so, colon and number included, is meant itself where there is none without them.
    """
    path, colon, number = text.rpartition(":")
    try:
        strength = float(number) if colon and path else math.nan
    except ValueError:
        strength = math.nan
    if not math.isfinite(strength) or (Path(text).exists() and not Path(path).exists()):
        return text, 1.0
    return path, strength


def sources_of(texts: list[str], partial: bool) -> "list[Source]":
    """Return what the arguments LORA[:STRENGTH] name."""
    from ..diffusion.lora.jobs import Source

    return [Source(path, strength, partial=partial) for path, strength in map(parse_source, texts)]


def blocks_of(texts: list[str] | None) -> str | list[str]:
    """Return one text for all LoRAs, or one for each."""
    return "" if not texts else texts[0] if len(texts) == 1 else texts


def free(out: Path, force: bool, folder: bool = False) -> None:
    """End the command if there is something at `out` that was not to be replaced, or (unless `folder`) cannot be."""
    if not out.exists() or (force and (folder or out.is_file())):
        return
    remedy = (
        "choose another name"
        if force or (out.is_dir() and not folder)
        else "choose another name, or add --force to replace it"
    )
    complain(f"{out} exists already; {remedy}.")
    raise typer.Exit(WRONG)


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
        except DiffusionError as error:
            complain(error)
            raise typer.Exit(WRONG) from error
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
