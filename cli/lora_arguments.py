"""What the arguments of `loragraph lora` name: LoRA files with strengths, base models, and files to be written.

Each function returns what is meant, or ends the command with a sentence and exit code 2.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from .common import WRONG, complain

if TYPE_CHECKING:
    from ..diffusion.lora.jobs import Source

SUFFIX = ".safetensors"
IN_FOLDERS = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors", "adapter_model.bin")
"""What PEFT and diffusers call the one LoRA of a folder."""


def lora_file(path: Path) -> Path:
    """Return the file itself, or the LoRA in a folder that PEFT or diffusers saved."""
    if not path.is_dir():
        return path
    return next((found for name in IN_FOLDERS if (found := path / name).is_file()), path)


def parse_source(text: str) -> tuple[str, float]:
    """Return (path, strength) of "path:number", the number being after the last colon; else the text and 1.

    A file that is called so, colon and number included, is meant itself where there is none without them.

    Raises:
        ValueError: a path that is there, and after the colon no number.
    """
    path, colon, number = text.rpartition(":")
    there = bool(colon and path) and Path(path).exists()
    try:
        strength = float(number) if colon and path else math.nan
    except ValueError:
        strength = math.nan
    if math.isfinite(strength) and (there or not Path(text).exists()):
        return path, strength
    if there and not Path(text).exists():
        raise ValueError(f'{text}: "{number}" is no strength; write a number after the colon, such as {path}:0.7.')
    return text, 1.0


def sources_of(texts: list[str], partial: bool) -> "list[Source]":
    """Return what the arguments LORA[:STRENGTH] name."""
    from ..diffusion.lora.jobs import Source

    try:
        named = [parse_source(text) for text in texts]
    except ValueError as error:
        _refuse(error)
    return [Source(lora_file(Path(path)), strength, partial=partial) for path, strength in named]


def blocks_of(texts: list[str] | None) -> str | list[str]:
    """Return one text for all LoRAs, or one for each."""
    return "" if not texts else texts[0] if len(texts) == 1 else texts


def model_of(text: str) -> Path:
    """Return where a base model lies, found as LoadBase finds it: a path, or `embedded:NAME`."""
    from ..graph_runtime import sources
    from ..graph_runtime.registry import Registry

    Registry.installed()  # the packages of nodes make their schemes known
    try:
        return sources.resolve(text, "model")
    except sources.SourceError as error:
        _refuse(f"{text}: {error}")


def free(out: Path, force: bool, kept: Iterable[Path] = ()) -> None:
    """End the command unless a LoRA may be written to `out`: it is named as one, and nothing is lost.

    Args:
        force: a file that is there is to be replaced. kept: not these, which are read.
    """
    if out.suffix != SUFFIX:
        if out.is_dir():
            _refuse(f"{out} is a folder; name a file in it, such as {out / f'lora{SUFFIX}'}.")
        better = out.with_suffix(SUFFIX) if out.suffix[1:].isalpha() else out.with_name(out.name + SUFFIX)
        _refuse(f"{out}: LoRAs are written as safetensors, whatever the name; call it {better}.")
    _untaken(out, force and (out.is_file() or (out.is_symlink() and not out.exists())), force or out.is_dir())
    for path in kept:
        if out.exists() and out.samefile(path):
            _refuse(f"{out} is {path} itself, which is read; choose another name.")


def free_model(out: Path, force: bool, base: Path) -> None:
    """End the command unless a model may be baked to `out`; what --force may replace is for the baking to say."""
    if base.is_dir() and out.suffix == SUFFIX:
        _refuse(f"{out} would be a folder, as {base} is one; choose a name without {SUFFIX}.")
    _untaken(out, force, force)


def _untaken(out: Path, replaced: bool, forced: bool) -> None:
    if os.path.lexists(out) and not replaced:
        also = "" if forced else ", or add --force to replace it"
        _refuse(f"{out} exists already; choose another name{also}.")


def _refuse(text: object) -> NoReturn:
    complain(text)
    raise typer.Exit(WRONG)
