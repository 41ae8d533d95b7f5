"""The card of a model: how it wants to be sampled, in `loragraph.json` beside `model_index.json`.

    {"title": "Emoji", "width": 64, "height": 64, "max_sequence_length": 16, "true_cfg_scale": 3.0, "steps": 16,
     "negative_prompt": ""}

Stock pipelines do not read it; a folder without one gets the defaults of its family. No torch here: validation reads
cards too. Keys that are not listed below (notes, licences) are left alone.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError

FILE_NAME = "loragraph.json"


@dataclass(frozen=True)
class Card:
    """Sampling defaults. Sizes in pixels, lengths in tokens; `negative_prompt` None means no negative pass."""

    title: str = ""
    width: int = 1024
    height: int = 1024
    max_sequence_length: int = 512
    steps: int = 28
    true_cfg_scale: float = 1.0
    guidance_scale: float = 3.5
    negative_prompt: str | None = None


def load(folder: str | Path, default: Card) -> Card:
    """Return the card in `folder`, or `default` where there is none.

    Raises:
        ModelError: the card is not JSON, or a value is of the wrong kind.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        return default
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} is not a readable model card: {error}. Repair it or remove it.") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} is not a readable model card: it holds no JSON object. Repair it or remove it.")
    values: dict[str, object] = {}
    for field in dataclasses.fields(Card):
        if field.name not in found:
            continue
        value = found[field.name]
        if not _fits(field.name, value):
            raise ModelError(f"{path}: {field.name} = {value!r} is of the wrong kind for a model card.")
        values[field.name] = float(value) if field.name in ("true_cfg_scale", "guidance_scale") else value
    return dataclasses.replace(default, **values)  # type: ignore[arg-type]


def _fits(name: str, value: object) -> bool:
    if name in ("title", "negative_prompt"):
        return isinstance(value, str) or (value is None and name == "negative_prompt")
    if isinstance(value, bool):
        return False
    if name in ("true_cfg_scale", "guidance_scale"):
        return isinstance(value, int | float) and 0 <= value < 1000
    return isinstance(value, int) and 0 < value < 100_000
