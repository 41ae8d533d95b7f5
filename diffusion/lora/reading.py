"""Reading a LoRA file of any dialect: what it is (`inspect`, from its header, without torch), and its weights (`load`).

Each key is accounted for. It is of a module (with its scale, see `alphas`), or the file is refused; with `partial` the
keys without a meaning are left out and listed in `unmatched`.

    header -> groups of keys (parts) -> dialect, family and places (dialects) -> alphas -> Plan -> LoraInfo | Lora

    >>> info = inspect("style.safetensors")                                              # doctest: +SKIP
    >>> info.dialect, info.family, info.rank, info.scale, info.modules                   # doctest: +SKIP
    ('kohya', 'flux', 16, 0.5, 304)
    >>> load("style.safetensors").changes["transformer.transformer_blocks.0.attn.to_q"].delta    # doctest: +SKIP
    LowRank(...)
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import LoraFileError
from . import header as headers
from . import pickles
from .header import Header
from .info import Item, LoraInfo
from .plan import Plan
from .plan import plan as make_plan

if TYPE_CHECKING:
    from .model import Lora

__all__ = ["Item", "LoraInfo", "Opened", "inspect", "load", "open_file", "read_plan"]


class Opened(NamedTuple):
    """A file whose header has been understood; `load` reads its weights. `state` tells if it is still that file."""

    path: Path
    header: Header
    plan: Plan
    state: tuple[int, ...] | None

    @property
    def info(self) -> LoraInfo:
        """What the file holds."""
        return self.plan.info

    def load(self) -> Lora:
        """Return the weights. Raises LoraFileError: one is not a number, or the file was changed since."""
        from . import tensors

        read = tensors.read(self.path, self.header)
        if _state(self.path) != self.state:  # another file under the name, perhaps with a header of the same length
            raise LoraFileError(f"{self.path} was changed while it was read. Try again.")
        return tensors.build(self.plan, read)


def open_file(path: str | os.PathLike[str], *, alpha: float | None = None, partial: bool = False) -> Opened:
    """Return a file whose header has been read, once for what it holds and for its weights. See `inspect`."""
    source = Path(path)
    before = _state(source)
    return Opened(source, *read_plan(source, alpha, partial), before)


def inspect(path: str | os.PathLike[str], *, alpha: float | None = None, partial: bool = False) -> LoraInfo:
    """Return what the file holds.

    Args:
        alpha: what to take for the alpha of every module, whatever the file says.
        partial: keys without a meaning are listed in `unmatched`, and not an error.

    Raises:
        LoraFileError: missing, truncated, corrupt, no safetensors file, not a LoRA, of a kind or a model that is not
            known here, incomplete, or (unless `partial`) with keys that belong to nothing.
        SettingError: alpha is not a number above 0.
    """
    return read_plan(Path(path), alpha, partial)[1].info


def load(path: str | os.PathLike[str], *, alpha: float | None = None, partial: bool = False) -> Lora:
    """Read a file. Arguments and errors: see `inspect`; and a weight that is not a number is a LoraFileError."""
    return open_file(path, alpha=alpha, partial=partial).load()


def _state(path: Path) -> tuple[int, ...] | None:
    """What tells that a file was replaced or written to; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def read_plan(path: Path, alpha: float | None = None, partial: bool = False) -> tuple[Header, Plan]:
    """Return the header of a file, and the plan of what its tensors are. Arguments and errors: see `inspect`."""
    if pickles.is_pickle(path):
        raise pickles.refusal(path)
    found = headers.read(path, LoraFileError)

    def beside() -> dict[str, Any] | None:
        return _adapter_config(path, needed=alpha is None)

    try:
        with path.open("rb", buffering=0) as file:

            def number(key: str) -> float:
                return headers.scalar(file, key, found.tensors[key], LoraFileError)

            return found, make_plan(str(path), found.tensors, found.metadata, number, alpha, partial, beside)
    except OSError as error:
        raise LoraFileError(f"{path} cannot be read: {error.strerror or error}. Check the path.") from error


def _adapter_config(path: Path, needed: bool) -> dict[str, Any] | None:
    """PEFT's configuration, in the file's folder. Where it is broken but not needed, there is none."""
    config = path.with_name("adapter_config.json")
    if not config.is_file():
        return None
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError("it is not a table of settings")
        return settings
    except (OSError, ValueError, RecursionError) as error:
        if not needed:
            return None
        raise LoraFileError(
            f"{config} cannot be read: {error}. Give alpha yourself, or save the LoRA again."
        ) from error
