"""What surrounds the weights of a baked folder: the other files, the card, the index of the shards."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...families import card as cards
from ..checkpoint import Checkpoint
from ..header import Header

# weights in any format: other variants of what is baked would not have the LoRA in them
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5", ".onnx", ".gguf")


def others(base: Checkpoint, written: Sequence[Path]) -> list[Path]:
    """Return the files of a folder that go along as they are."""
    folders = {file.parent for file in written}
    if base.kind == "pipeline":
        folders.add(base.path)  # a loose single-file checkpoint beside the folders
    known = set(base.files)

    def goes_along(file: Path) -> bool:
        if file in known:
            return file not in written
        return file.parent not in folders or not _is_weights(file, base)

    return [file for file in _files(base.path) if goes_along(file)]


def _is_weights(file: Path, base: Checkpoint) -> bool:
    if file.suffix in WEIGHTS:
        return True
    # the index of another variant would name files that are not there
    return ".index." in file.name and file.suffix == ".json" and _named(file) != _shards(base, file.parent)


def _named(index: Path) -> set[str]:
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, OSError, KeyError, AttributeError, TypeError):
        return set()


def _shards(base: Checkpoint, folder: Path) -> set[str]:
    return {file.name for file in base.files if file.parent == folder}


def _files(root: Path) -> list[Path]:
    """Every file below the folder that is not hidden, nor a link to nowhere; folders may be links, too."""
    found = []
    for place, folders, names in os.walk(root, followlinks=True):
        here = Path(place).resolve()
        # a link to a folder above would never end
        folders[:] = [
            folder
            for folder in folders
            if not folder.startswith(".") and not here.is_relative_to((here / folder).resolve())
        ]
        found += [file for name in names if not name.startswith(".") and (file := Path(place, name)).is_file()]
    return sorted(found)


def check_card(base: Checkpoint) -> None:
    """Refuse a broken card now, and not after all has been written.

    Raises:
        ModelError: it cannot be read.
    """
    if base.kind == "pipeline":
        cards.load(base.path, cards.Card())


def describe(base: Checkpoint, staging: Path, baked: Sequence[Mapping[str, Any]], files: Mapping[Path, Header]) -> None:
    """Say in the pipeline's card what was baked, and repair the sizes in the indexes.

    Args:
        files: the new headers of the weights that were written, by their names in the base.
    """
    if base.kind == "pipeline" and baked:
        card_file = staging / cards.FILE_NAME
        card = json.loads(card_file.read_text(encoding="utf-8")) if card_file.is_file() else {}
        card["baked"] = [*card.get("baked", []), *baked]
        card_file.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for folder in {file.parent for file in files}:
        headers = [files.get(file, header) for file, header in base.files.items() if file.parent == folder]
        size = sum(entry.end - entry.begin for header in headers for entry in header.tensors.values())
        for index_file in (staging / folder.relative_to(base.path)).glob("*.index*.json"):
            if _named(index_file) == _shards(base, folder):
                _resize(index_file, size)


def _resize(index_file: Path, size: int) -> None:
    index = json.loads(index_file.read_text(encoding="utf-8"))
    described = index.get("metadata")
    if isinstance(described, dict) and described.get("total_size") == size:
        return
    index["metadata"] = {**(described if isinstance(described, dict) else {}), "total_size": size}
    index_file.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
