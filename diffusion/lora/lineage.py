"""Where a LoRA comes from: JSON under `loragraph.lineage` in the header of its file.

    {"method": "svd", "settings": {"rank": 16}, "base": "",
     "parts": [{"file": "a.safetensors", "sha256": "9f…", "strength": 0.7},
               {"file": "b.safetensors", "sha256": "41…", "strength": -0.3, "lineage": {…}}]}

`method` is what made the file: "train", "convert", "resize", "extract", or the method of a merge. `base` names the
checkpoint that it was trained on or extracted from. A part that has a lineage of its own brings it along. Files are
told by name and sha256, never by folder: a header is read by strangers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEY = "loragraph.lineage"
DEPTH = 8
"""So many generations are kept."""


@dataclass(frozen=True)
class Part:
    """A file that went in, and how strongly."""

    file: str
    sha256: str
    strength: float = 1.0
    lineage: Lineage | None = None


@dataclass(frozen=True)
class Lineage:
    """How a file was made, from what; see the module's docstring. Settings are JSON values."""

    method: str
    parts: tuple[Part, ...] = ()
    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return the JSON for a header."""
        return json.dumps(_plain(self, DEPTH), ensure_ascii=False, sort_keys=True)


def part(path: str | os.PathLike[str], strength: float = 1.0, metadata: Mapping[str, str] | None = None) -> Part:
    """Return a file as a part; `metadata` is its header's, where its own lineage stands."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(Path(path).name, digest, float(strength), of(metadata or {}))


def of(metadata: Mapping[str, str]) -> Lineage | None:
    """Return the lineage that a header tells; None where there is none that can be read (it is only told, not used)."""
    try:
        return _parsed(json.loads(metadata[KEY]), DEPTH)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _parsed(raw: Mapping[str, Any], depth: int) -> Lineage:
    parts = tuple(
        Part(
            str(each["file"]),
            str(each["sha256"]),
            float(each["strength"]),
            _parsed(each["lineage"], depth - 1) if depth > 1 and each.get("lineage") else None,
        )
        for each in raw.get("parts", ())
    )
    return Lineage(str(raw["method"]), parts, str(raw.get("base", "")), dict(raw.get("settings", {})))


def _plain(lineage: Lineage, depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {"method": lineage.method}
    if lineage.base:
        plain["base"] = lineage.base
    if lineage.settings:
        plain["settings"] = dict(lineage.settings)
    parts = []
    for each in lineage.parts:
        entry: dict[str, Any] = {"file": each.file, "sha256": each.sha256, "strength": each.strength}
        if each.lineage is not None and depth > 1:
            entry["lineage"] = _plain(each.lineage, depth - 1)
        parts.append(entry)
    return {**plain, "parts": parts} if parts else plain
