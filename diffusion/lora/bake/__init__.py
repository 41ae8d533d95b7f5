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

import errno
import json
import os
import shutil
import tempfile
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
from . import folder
from .output import Output, Source
from .plan import dtypes, new_header, spans, stored_dtype
from .verify import verify
from .write import write_file

OnProgress = Callable[[int, int], None]
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
        said = {"file": Path(self.path).name, "sha256": self.sha256, "strength": self.strength}
        return said | ({"blocks": self.blocks} if self.blocks else {})


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
) -> Path:
    """Write `out`, a checkpoint like the base with the adapters in it; returns it.

    Args:
        base: a pipeline's folder, a component's folder, or a .safetensors file.
        adapters: `adapters.Use`, or (path, sha256, strength); strengths of equal ones add up.
        dtype: float32, float16 or bfloat16 for the weights of the network, and of text encoders that change; None
            keeps how they are stored.
        on_progress: called with (bytes written, bytes in all) every few MiB; may raise to stop, and nothing is left.
        overwrite: replace `out` if there is one, in the end and at once.

    Raises:
        SettingError: unknown dtype, `out` exists, no room for it, or a setting that only makes sense when sampling.
        ModelError, LoraFileError, LoraMismatch: bad files, or files that do not belong together.
    """
    target = Path(out)
    wanted = _wanted(adapters)
    stored = stored_dtype(dtype)
    opened = Checkpoint.open(base)
    _check_target(opened, target, overwrite)
    folder.check_card(opened)
    loras = [_load(use, opened) for use in wanted]
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
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_room(target, total)
    progress = _Progress(on_progress, total)
    with _one_thread(), _staged(opened, target, total) as staging:
        for other in along:
            _copy(other, staging / other.relative_to(opened.path), progress.add)
        for made in files:
            path = staging if opened.kind == "file" else staging / made.source.relative_to(opened.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            header, parts = opened.files[made.source], changes[made.source]
            write_file(made.source, header, path, made.start, made.places, parts, progress.add)
            verify(made.source, header, path, made.places, parts)
        if opened.kind != "file":
            folder.describe(opened, staging, told, {made.source: made.places for made in files})
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
        found = _Wanted(
            str(path), sha256, float(strength), getattr(use, "blocks", ""), getattr(use, "alpha", None),
            getattr(use, "partial", False),
        )  # fmt: skip
        key = (sha256, found.blocks, found.alpha, found.partial)
        sums[key] = found._replace(strength=found.strength + (sums[key].strength if key in sums else 0.0))
    return [use for use in sums.values() if use.strength != 0]


def _load(use: _Wanted, base: Checkpoint) -> tuple[str, Lora, dict[str, float]]:
    """Return (name, LoRA, strength of each module that fits)."""
    info = reading.inspect(use.path, alpha=use.alpha, partial=use.partial)
    info = fits.check_shapes(use.path, info, base.shapes(), str(base.path), base.family, use.partial)
    lora = reading.load(use.path, alpha=use.alpha, partial=use.partial)
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


def _check_target(base: Checkpoint, out: Path, overwrite: bool) -> None:
    if base.kind == "file" and out.is_dir():
        raise SettingError("out", str(out), "it is a folder, but the base is one file; give the name of a file.")
    if base.kind == "file" and out.suffix != ".safetensors":
        raise SettingError(
            "out", str(out), "the base is one file, so the result is one too: end its name in .safetensors."
        )
    if base.kind != "file" and out.is_file():
        raise SettingError("out", str(out), "it is a file, but the base is a folder; choose a new folder.")
    empty = out.is_dir() and not any(out.iterdir())
    if out.exists() and not empty and not overwrite:
        raise SettingError("out", str(out), "there is something already; choose a new name.")
    if base.kind != "file" and out.exists() and (base.path.resolve() == out.resolve()):
        raise SettingError("out", str(out), "that is the base itself; choose a new folder.")


def _check_room(out: Path, need: int) -> None:
    free = shutil.disk_usage(out.parent).free
    if need > free:
        raise SettingError(
            "out",
            str(out),
            f"it needs {_size(need)}, and {_size(free)} are free there. Make room or choose another disk.",
        )


def _size(amount: int) -> str:
    return f"{amount / 1e9:.2f} GB" if amount >= 1e8 else f"{amount / 1e6:.2f} MB"


@contextmanager
def _staged(base: Checkpoint, out: Path, need: int) -> Iterator[Path]:
    """Give a temporary name beside `out`; what was made there takes the name `out` if nothing went wrong."""
    staging = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp"))
    made = staging / out.name
    try:
        if base.kind != "file":
            made.mkdir()
        try:
            yield made
            _rename(made, out)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise SettingError(
                    "out",
                    str(out),
                    f"the disk became full while it was written ({_size(need)} are needed). "
                    "Nothing was left behind; make room or choose another disk.",
                ) from error
            raise ModelError(f"Baking {base.path} into {out} failed: {error}. Nothing was left behind.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _rename(made: Path, out: Path) -> None:
    if made.is_dir() and out.is_dir():
        out.replace(
            made.parent / "old"
        )  # a folder does not replace one that is not empty; this one leaves with staging
    made.replace(out)
    handle = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(handle)  # the new name is on the disk too
    finally:
        os.close(handle)


def _copy(source: Path, target: Path, on_written: Callable[[int], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Source(source) as reading, Output(target, on_written) as out:
            out.copy(reading, 0, reading.size)
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
