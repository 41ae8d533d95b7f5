"""What can go wrong with models, in words for the person who chose the file or the setting.

DiffusionError (ValueError)      the caller's input cannot be used; the text says which, why, and what to do
 ├ ModelError                    a base model folder: missing, incomplete, of an unknown kind
 ├ LoraFileError                 a LoRA file: missing, truncated, no safetensors file, not a LoRA, in another format
 ├ LoraMismatch                  a sound LoRA for another architecture than the base
 ├ PictureError                  a training picture that cannot be read
 ├ SettingError                  a setting out of range or at odds with another one; has .field and .value
 └ TrainingDiverged              the loss is no longer a number
TrainingStopped (Exception)      training ended because it was asked to; a checkpoint has been written
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DiffusionError(ValueError):
    """Something the user gave cannot be used; the message names it and the remedy."""


class ModelError(DiffusionError):
    """A base model folder cannot be used."""


class LoraFileError(DiffusionError):
    """A file is not a LoRA that can be read."""


class LoraMismatch(DiffusionError):
    """A LoRA was made for another architecture than the base."""


class PictureError(DiffusionError):
    """A picture cannot be read."""


class SettingError(DiffusionError):
    """A setting has a value that cannot be used.

    Args:
        field: name of the setting. value: what was given. message: why not, and what would do.
    """

    def __init__(self, field: str, value: object, message: str) -> None:
        super().__init__(f"{field} = {value!r}: {message}")
        self.field = field
        self.value = value


class TrainingDiverged(DiffusionError):
    """The loss became infinite or not a number."""


class TrainingStopped(Exception):
    """Training was asked to stop; `step` steps are done and are in the checkpoint."""

    def __init__(self, step: int) -> None:
        super().__init__(f"training stopped after step {step}")
        self.step = step


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ' Did you mean "x"?' when a known word is close, else an empty text."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f' Did you mean "{close[0]}"?' if close else ""


def few(names: Iterable[str], limit: int = 3) -> str:
    """Return 'a, b, c and 5 more' for a message."""
    listed = list(names)
    shown = ", ".join(listed[:limit])
    return shown if len(listed) <= limit else f"{shown} and {len(listed) - limit} more"
