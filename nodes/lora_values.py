"""LoRA files as values: what the header of a file says, and what the jobs on files need to know of a LoRA."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..graph_runtime.context import Context
from ..graph_runtime.values import FileRef, LoRA

if TYPE_CHECKING:
    from ..diffusion.lora.reading import LoraInfo


def lora_of(path: Path, info: LoraInfo, title: str, alpha: float | None = None, partial: bool = False) -> LoRA:
    """Return the value for a file whose header has been read."""
    return LoRA(
        file=FileRef.of(path),
        family=info.family,
        rank=info.rank,
        modules=info.modules,
        title=title,
        dialect=info.dialect,
        alpha=alpha,
        partial=partial,
    )


def title_of(lora: LoRA) -> str:
    """Return what a LoRA is called: its title, else the name of its file."""
    return lora.title or Path(lora.file.path).stem


def warn(ctx: Context, sentences: Iterable[str]) -> None:
    """Write into the log what was guessed or left out."""
    for sentence in sentences:
        ctx.log.warning("%s", sentence)


def counting(ctx: Context, what: str) -> Callable[[int, int], None]:
    """Return what tells the run how many of the `what` are done, and stops the work where the run is cancelled."""

    def on_progress(done: int, total: int) -> None:
        ctx.check_cancel()
        ctx.progress(done, total, what)

    return on_progress
