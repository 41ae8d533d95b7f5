"""Putting LoRAs onto a loaded pipeline and taking them off again.

    with applied(pipeline, [Use(path, sha256, 0.8)]):
        ...                       # exactly these LoRAs at exactly these strengths
                                  # afterwards the pipeline answers as the bare base, bit for bit

A pipeline is shared by every node that uses the same base, so `applied` holds the pipeline's lock while it is open.
Loaded adapters stay attached (switched off) for the next use; the least recently used leave at MAX_LOADED.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from peft.tuners.lora import LoraLayer

from . import families
from .errors import LoraMismatch, few
from .lora import weights
from .lora.files import check_shapes, inspect

MAX_LOADED = 8
# Several adapters on one model are what this module is for.
warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
# Which modules a file names and which it got is checked in `load`.
warnings.filterwarnings("ignore", message="While injecting the PEFT adapters, an inconsistency")
warnings.filterwarnings("ignore", message="Adapter .* was active which is now deleted")

_locks: WeakKeyDictionary[Any, threading.RLock] = WeakKeyDictionary()
_locks_guard = threading.Lock()
_open: WeakSet[Any] = WeakSet()


class Use(NamedTuple):
    """One LoRA file at one strength; `sha256` of its content names it."""

    path: str
    sha256: str
    strength: float


def lock(pipeline: Any) -> threading.RLock:
    """Return the lock that guards the state of the pipeline; a thread may take it again."""
    with _locks_guard:
        return _locks.setdefault(model_of(pipeline), threading.RLock())


def model_of(pipeline: Any) -> Any:
    """Return the component that adapters go into."""
    return getattr(pipeline, families.of(pipeline).component)


def file_sha256(path: str) -> str:
    """Return the sha256 of a file, for callers that have none at hand."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def total_strengths(adapters: Iterable[Use | tuple[str, str, float]]) -> dict[str, tuple[str, float]]:
    """Return {adapter name: (path, summed strength)} in order; strengths that cancel out are left out."""
    sums: dict[str, tuple[str, float]] = {}
    for path, sha256, strength in adapters:
        name = f"lora_{sha256[:32]}"
        sums[name] = (path, sums.get(name, (path, 0.0))[1] + strength)
    return {name: use for name, use in sums.items() if use[1] != 0}


@contextmanager
def applied(pipeline: Any, adapters: Sequence[Use | tuple[str, str, float]]) -> Iterator[list[str]]:
    """Hold the pipeline with exactly these adapters active; yields their names.

    Raises:
        LoraFileError: a file cannot be read. LoraMismatch: it does not fit, or a key of it found no module.
    """
    with lock(pipeline):
        model = model_of(pipeline)
        if model in _open:
            raise RuntimeError("adapters.applied is already open on this pipeline in this thread; use it as it is")
        _open.add(model)
        try:
            yield activate(pipeline, adapters)
        finally:
            _open.discard(model)
            deactivate(pipeline)


def activate(pipeline: Any, adapters: Sequence[Use | tuple[str, str, float]]) -> list[str]:
    """Load what is missing and switch on exactly these; returns the names. `applied` is the safe way to call it."""
    model = model_of(pipeline)
    uses = total_strengths(adapters)
    for name, (path, _) in uses.items():
        if name in getattr(model, "peft_config", {}):
            model.peft_config[name] = model.peft_config.pop(name)  # to the end: most recently used
        else:
            load(model, name, path)
    loaded = list(getattr(model, "peft_config", {}))
    surplus = [name for name in loaded if name not in uses][: max(0, len(loaded) - MAX_LOADED)]
    if surplus:
        model.delete_adapters(surplus)
    if not uses:
        deactivate(pipeline)
        return []
    model.enable_adapters()
    model.set_adapters(list(uses), [strength for _, strength in uses.values()])
    freeze(model)
    return list(uses)


def deactivate(pipeline: Any) -> None:
    """Switch every adapter off; the pipeline then answers as the bare base."""
    model = model_of(pipeline)
    if getattr(model, "peft_config", None):
        model.disable_adapters()


def load(model: Any, name: str, path: str) -> None:
    """Attach one file to the model under `name`, and check that every module of it found its place at its own scale.

    Raises:
        LoraFileError, LoraMismatch
    """
    info = inspect(path)
    check_shapes(path, info, _shapes(model), type(model).__name__)
    lora = weights.load(path)
    model.load_lora_adapter(
        weights.state_dict(lora, prefix=""),
        prefix=None,
        adapter_name=name,
        metadata=weights.peft_config(lora),
        low_cpu_mem_usage=True,
    )
    layers = {key: layer for key, layer in model.named_modules() if isinstance(layer, LoraLayer) and name in layer.r}
    homeless = sorted(lora.keys() - layers.keys())
    uninvited = sorted(layers.keys() - lora.keys())
    off_scale = sorted(
        key for key in lora.keys() & layers.keys() if abs(layers[key].scaling[name] - lora[key].scale) > 1e-6
    )
    if homeless or uninvited or off_scale:
        remove(model, name)
        raise LoraMismatch(
            f"The LoRA {path} was not attached as the file says; without a module: {few(homeless) or 'none'}; "
            f"attached but not in the file: {few(uninvited) or 'none'}; at a wrong scale: {few(off_scale) or 'none'}."
        )
    freeze(model)


def freeze(model: Any) -> None:
    """Adapters that are only used take no gradients: PEFT makes every active one trainable."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)


def remove(model: Any, name: str) -> None:
    """Detach one adapter; with the last one the PEFT layers go too, and the model is as it was loaded."""
    if name in getattr(model, "peft_config", {}):
        if len(model.peft_config) == 1:
            model.unload_lora()
        else:
            model.delete_adapters(name)


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the bare model, whether or not PEFT has wrapped its layers."""
    return {
        name.replace(".base_layer.", "."): tuple(value.shape)
        for name, value in model.named_parameters()
        if ".lora_" not in name
    }
