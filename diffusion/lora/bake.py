"""LoRAs into a saved base: a new pipeline folder whose weights contain them.

    W' = round(W + sum_i strength_i alpha_i / r_i B_i A_i)

computed in fp32 and rounded once. Weights stream through in blocks of rows, so memory does not grow with the model. The
folder is built under a temporary name and renamed when it is complete; stock diffusers loads it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ..adapters import Use, total_strengths
from ..errors import ModelError, SettingError, nearest
from ..families import card as cards
from ..families import detect
from . import header as headers
from . import weights
from .algebra import concat
from .files import check_fits, weight_files
from .header import Entry, Header
from .weights import NAMES, Pair, raw_bytes

TORCH = {name: dtype for dtype, name in NAMES.items()}
DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
FLOATS = ("F64", "F32", "F16", "BF16")
BLOCK = 8 * 1024 * 1024  # elements worked on at once: 32 MiB in fp32
COMPONENT = "transformer"

OnProgress = Callable[[int, int], None]


def bake(
    base_folder: str | Path,
    adapters: Sequence[Use | tuple[str, str, float]],
    out_folder: str | Path,
    dtype: str | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Write `out_folder`, a pipeline like the base with the adapters in it; returns it.

    Args:
        adapters: (path, sha256, strength); strengths of equal files add up.
        dtype: float32, float16 or bfloat16 for the transformer's weights; None keeps how the base stores them.
        on_progress: called with (bytes written, bytes in all); may raise to stop, and nothing is left behind.

    Raises:
        SettingError: unknown dtype, or `out_folder` exists. ModelError, LoraFileError, LoraMismatch: bad files.
    """
    base, out = Path(base_folder), Path(out_folder)
    if dtype is not None and dtype not in DTYPES:
        raise SettingError("dtype", dtype, f"use one of {', '.join(DTYPES)}.{nearest(dtype, DTYPES)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingError("out_folder", str(out), "there is something already; choose a new folder.")
    detect(base)
    cards.load(base, cards.Card())  # a broken card is refused now, not after all has been written
    uses = list(total_strengths(adapters).values())
    for path, _ in uses:
        check_fits(path, base)
    change = concat([(weights.load(path), strength) for path, strength in uses]) if uses else {}
    files = weight_files(base, COMPONENT)
    found = {file: headers.read(file, ModelError) for file in files}
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp"))
    try:
        weight_names = {str(file.relative_to(base)) for file in files}
        _copy_rest(base, staging, weight_names)
        progress = _Progress(on_progress, [_plan(header, dtype) for header in found.values()])
        for file, header in found.items():
            _write(file, header, staging / file.relative_to(base), change, dtype, progress)
        _describe(staging, adapters)
        staging.chmod(0o755)
        if out.is_dir():
            out.rmdir()
        os.replace(staging, out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return out


class _Progress:
    def __init__(self, report: OnProgress | None, plans: Sequence[dict[str, tuple[str, tuple[int, ...]]]]) -> None:
        self.report, self.done = report, 0
        sizes = [headers.SIZES[kind] * _count(shape) for plan in plans for kind, shape in plan.values()]
        self.total = sum(sizes)

    def add(self, amount: int) -> None:
        self.done += amount
        if self.report is not None:
            self.report(self.done, self.total)


def _count(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def _plan(header: Header, dtype: str | None) -> dict[str, tuple[str, tuple[int, ...]]]:
    """What each tensor will be: floats take the wanted dtype, all else stays."""
    wanted = DTYPES[dtype] if dtype else None
    return {
        name: (wanted if wanted and entry.dtype in FLOATS else entry.dtype, entry.shape)
        for name, entry in header.tensors.items()
    }


def _write(
    source: Path, header: Header, target: Path, change: dict[str, Pair], dtype: str | None, progress: _Progress
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    start, places = headers.build(_plan(header, dtype), header.metadata)
    with source.open("rb") as reading, target.open("wb") as writing:
        writing.write(start)
        for name, place in places.tensors.items():
            pair = change.get(name.removesuffix(".weight")) if name.endswith(".weight") else None
            _copy_tensor(reading, writing, header.tensors[name], place, pair, name, progress)
        writing.flush()
        os.fsync(writing.fileno())


def _copy_tensor(
    reading: BinaryIO, writing: BinaryIO, old: Entry, new: Entry, pair: Pair | None, name: str, progress: _Progress
) -> None:
    """Copy one tensor in blocks of rows, adding the change and converting on the way."""
    if pair is not None and old.dtype not in FLOATS:
        raise ModelError(
            f"{name} is stored as {old.dtype}: a LoRA cannot be baked into quantised weights. Use a full base."
        )
    rows = old.shape[0] if old.shape else 1
    width = _count(old.shape) // rows if rows else 0
    step = max(1, BLOCK // max(1, width))
    reading.seek(old.begin)
    for first in range(0, rows, step):
        count = min(step, rows - first)
        block = reading.read(count * width * headers.SIZES[old.dtype])
        if pair is None and old.dtype == new.dtype:
            writing.write(block)
        else:
            values = torch.frombuffer(bytearray(block), dtype=TORCH[old.dtype]).reshape(count, width)
            if pair is not None:
                exact = torch.float64 if old.dtype == "F64" else torch.float32
                values = values.to(exact) + pair.up[first : first + count].to(exact) @ pair.down.to(exact)
            writing.write(raw_bytes(values.to(TORCH[new.dtype])))
        progress.add(count * width * headers.SIZES[new.dtype])


def _copy_rest(base: Path, staging: Path, weight_names: set[str]) -> None:
    """Everything but the transformer's weights, links followed (a hub cache is made of links)."""
    for path in _files(base):
        name = path.relative_to(base)
        if str(name) in weight_names:
            continue
        if name.parts[0] in (COMPONENT, name.name) and name.suffix in (".safetensors", ".bin", ".pt", ".ckpt"):
            continue  # other variants of the weights (a single file beside the folders) would not have the LoRA in them
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, staging / name)


def _files(base: Path) -> list[Path]:
    """Every file below the folder that is not hidden; folders may be links too (a shared text encoder)."""
    found = []
    for root, folders, names in os.walk(base, followlinks=True):
        here = Path(root).resolve()
        # a link to a folder above would never end
        folders[:] = [
            folder
            for folder in folders
            if not folder.startswith(".") and not here.is_relative_to((here / folder).resolve())
        ]
        found += [Path(root, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _describe(staging: Path, adapters: Sequence[Any]) -> None:
    """Say in the model card what was baked, and repair the sizes in a shard index."""
    card_file = staging / cards.FILE_NAME
    card = json.loads(card_file.read_text(encoding="utf-8")) if card_file.is_file() else {}
    card["baked"] = [
        *card.get("baked", []),
        *({"file": Path(path).name, "sha256": sha256, "strength": strength} for path, sha256, strength in adapters),
    ]
    card_file.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    index_file = staging / COMPONENT / "diffusion_pytorch_model.safetensors.index.json"
    if index_file.is_file():
        index = json.loads(index_file.read_text(encoding="utf-8"))
        shards = [headers.read(path, ModelError) for path in weight_files(staging, COMPONENT)]
        sizes = [entry.end - entry.begin for shard in shards for entry in shard.tensors.values()]
        index.setdefault("metadata", {})["total_size"] = sum(sizes)
        index_file.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
