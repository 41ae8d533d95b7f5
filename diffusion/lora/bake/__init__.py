"""LoRAs into the weights of a saved base: a new checkpoint of the same kind, in bounded memory, at the cost of a copy.

    W' = round(W + sum_i strength_i s_i B_i A_i)          in fp32 and in the order of the adapters, rounded once

A folder stays a folder and a single file a single file, with its own names and its own order. What no LoRA changes is
copied byte for byte; changed rows stream through in blocks, so that memory does not grow with the model. All is written
under a temporary name, flushed, looked at again and renamed: there is the old file or the new one, never half of one.

    bake("models/flux", [Use("style.safetensors", sha256, 0.8)], "models/flux-style")
    bake("sdxl.safetensors", uses, "sdxl-style.safetensors", dtype="float16")

checkpoint → plan (which rows of which tensors) → write (arithmetic, output) → verify → rename
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ...errors import ModelError, SettingError
from .. import blocks, fits, reading
from ..checkpoint import Checkpoint
from ..header import Header
from ..model import Lora
from . import folder, staging
from .output import Output, Source
from .plan import dtypes, new_header, spans, stored_dtype
from .verify import verify
from .write import write_file

OnProgress = Callable[[int, int], None]
OnWarning = Callable[[str], None]
BAKED = "loragraph.baked"
# what a header may say of the bytes that are no longer there
STALE = ("modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash")


class _Wanted(NamedTuple):
    path: str
    sha256: str
    strength: float
    blocks: str
    alpha: float | None
    partial: bool

    def told(self) -> dict[str, Any]:
        said: dict[str, Any] = {"file": Path(self.path).name, "sha256": self.sha256, "strength": self.strength}
        said |= {"blocks": self.blocks} if self.blocks else {}
        return said | ({"alpha": self.alpha} if self.alpha is not None else {})


class _File(NamedTuple):
    """A weight file to be written: its first bytes and its places in the new file."""

    source: Path
    start: bytes
    places: Header

    @property
    def size(self) -> int:
        return max((entry.end for entry in self.places.tensors.values()), default=len(self.start))


def bake(
    base: str | os.PathLike[str],
    adapters: Sequence[Any],
    out: str | os.PathLike[str],
    dtype: str | None = None,
    on_progress: OnProgress | None = None,
    *,
    overwrite: bool = False,
    on_warning: OnWarning | None = None,
) -> Path:
    """Write `out`, a checkpoint like the base with the adapters in it; returns it.

    Args:
        base: a pipeline's folder, a component's folder, or a .safetensors file.
        adapters: `adapters.Use`, or (path, sha256, strength); strengths of equal ones add up.
        dtype: float32, float16 or bfloat16 for the weights of the network, and of text encoders that change; None
            keeps how they are stored.
        on_progress: called with (bytes written, bytes in all) every few MiB; may raise to stop, and nothing is left.
        overwrite: replace `out` if there is one, in the end and at once; of folders, only a model's.
        on_warning: called with each sentence on what was guessed about a LoRA, or left out of it.

    Raises:
        SettingError: unknown dtype, `out` exists, no room for it, or a setting that only makes sense when sampling.
        ModelError, LoraFileError, LoraMismatch: bad files, or files that do not belong together.
    """
    target = Path(out)
    wanted = _wanted(adapters)
    stored = stored_dtype(dtype)
    opened = Checkpoint.open(base)
    staging.clear_debris(target)
    staging.check_target(opened, target, overwrite, [*opened.files, *(Path(use.path) for use in wanted)])
    folder.check_card(opened)
    loras = [_load(use, opened, on_warning) for use in wanted]
    changes = spans(opened, loras, stored)
    told = [use.told() for use in wanted]
    files = []
    for file, header in opened.files.items():
        kept = dtypes(opened, file, changes[file], stored)
        if not changes[file] and all(entry.dtype == kept[key] for key, entry in header.tensors.items()):
            continue
        files.append(_File(file, *new_header(header, kept, _metadata(header, told if changes[file] else []))))
    if opened.kind == "file" and not files:  # nothing to bake: a copy
        (only,) = opened.files
        files = [
            _File(only, *new_header(opened.files[only], dtypes(opened, only, {}, None), opened.files[only].metadata))
        ]
    along = [] if opened.kind == "file" else folder.others(opened, [made.source for made in files])
    total = sum(made.size for made in files) + sum(file.stat().st_size for file in along)
    staging.check_room(target, total)
    progress = _Progress(on_progress, total)
    with _one_thread(), staging.staged(target, opened.kind != "file", total) as place:
        for other in along:
            _copy(other, place / other.relative_to(opened.path), progress.add)
        for made in files:
            path = place if opened.kind == "file" else place / made.source.relative_to(opened.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            header, parts = opened.files[made.source], changes[made.source]
            seams = write_file(made.source, header, path, made.start, made.places, parts, progress.add)
            verify(made.source, header, path, made.places, parts, seams)
        if opened.kind != "file":
            folder.describe(opened, place, told, {made.source: made.places for made in files})
    return target


def _wanted(adapters: Sequence[Any]) -> list[_Wanted]:
    sums: dict[tuple[Any, ...], _Wanted] = {}
    for use in adapters:
        path, sha256, strength = use[:3] if isinstance(use, tuple) else (use.path, use.sha256, use.strength)
        if getattr(use, "schedule", None) is not None or bool(getattr(use, "lines", ())):
            raise SettingError(
                "adapters",
                path,
                "it has a schedule or is for some lines only: that cannot be baked into weights. "
                "Take that away, or apply the LoRA when sampling.",
            )
        if not math.isfinite(strength):
            raise SettingError("strength", strength, f"{path} cannot be added so often; use a number such as 0.8.")
        found = _Wanted(
            str(path), sha256, float(strength), getattr(use, "blocks", ""), getattr(use, "alpha", None),
            getattr(use, "partial", False),
        )  # fmt: skip
        key = (sha256 or found.path, found.blocks, found.alpha, found.partial)
        sums[key] = found._replace(strength=found.strength + (sums[key].strength if key in sums else 0.0))
    return [use for use in sums.values() if use.strength != 0]


def _load(use: _Wanted, base: Checkpoint, on_warning: OnWarning | None) -> tuple[str, Lora, dict[str, float]]:
    """Return (name, LoRA, strength of each module that fits)."""
    opened = reading.open_file(use.path, alpha=use.alpha, partial=use.partial)
    fits.refuse_packed(opened.info, base)
    info = fits.check_shapes(use.path, opened.info, base.shapes(), str(base.path), base.family, use.partial)
    if on_warning is not None:
        for sentence in info.warnings:
            on_warning(f"{Path(use.path).name}: {sentence}")
    lora = opened.load()
    strengths = blocks.strengths(use.blocks, info.items, info.family or base.family)
    return use.path, lora, {module: use.strength * strengths[module] for module in info.items}


def _metadata(header: Header, told: Sequence[dict[str, Any]]) -> dict[str, str]:
    metadata = {key: text for key, text in header.metadata.items() if key not in STALE}
    if told:
        try:
            before = json.loads(metadata.get(BAKED, "[]"))
        except ValueError:
            before = []
        metadata[BAKED] = json.dumps([*(before if isinstance(before, list) else []), *told], ensure_ascii=False)
    return metadata


def _copy(source: Path, target: Path, on_written: Callable[[int], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Source(source) as reading, Output(target, on_written) as out:
            out.copy(reading, 0, reading.size)
            reading.check_unchanged()
    except EOFError as error:
        raise ModelError(f"{error}. Bake again.") from error


class _Progress:
    def __init__(self, report: OnProgress | None, total: int) -> None:
        self.report, self.total, self.done = report, total, 0

    def add(self, amount: int) -> None:
        self.done += amount
        if self.report is not None:
            self.report(self.done, self.total)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Blocks are small: more threads would wait for one another, at full speed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
