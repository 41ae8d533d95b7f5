"""LoRA files on a loaded pipeline: `applied` for the time of a drawing or a training.

A pipeline is shared by every node that uses the same base, so `applied` holds the pipeline's lock while it is open.
Files stay attached (off) for the next use; the least recently used leave when there are more than MAX_LOADED, or more
than MAX_IDLE bytes of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from .. import families
from ..errors import LoraMismatch
from ..lora import fits, reading
from .engine import Active, Adapters
from .uses import AnyUse, Use, normal

MAX_LOADED = 8
MAX_IDLE = 2 << 30
"""Bytes that attached LoRAs may take while they are off. Large ones have more than 1 GiB each."""

_locks: WeakKeyDictionary[Any, threading.RLock] = WeakKeyDictionary()
_engines: WeakKeyDictionary[Any, Adapters] = WeakKeyDictionary()
_open: WeakSet[Any] = WeakSet()
_guard = threading.Lock()


def lock(pipeline: Any) -> threading.RLock:
    """Return the lock that guards the state of the pipeline; a thread may take it again."""
    with _guard:
        return _locks.setdefault(model_of(pipeline), threading.RLock())


def model_of(pipeline: Any) -> Any:
    """Return the component that draws, which most adapters go into."""
    return getattr(pipeline, families.of(pipeline).component)


def engine_of(pipeline: Any) -> Adapters:
    """Return what holds the adapters of the pipeline: the same one as long as the pipeline has the same models."""
    model = model_of(pipeline)
    with _guard:
        known = _engines.get(model)
        if known is None or not known.is_for(pipeline):
            if known is not None:
                known.set_strengths({})
            known = _engines[model] = Adapters(pipeline)
        return known


@contextmanager
def applied(pipeline: Any, adapters: Sequence[AnyUse], lines: int | None = None) -> Iterator[list[str]]:
    """Hold the pipeline with exactly these adapters active; yields their names.

    Args:
        lines: how many prompts will be drawn, to check the uses' lines by.

    Raises:
        LoraFileError: a file cannot be read. LoraMismatch: it does not fit, or a key of it found no module.
        SettingError: a strength, a schedule, blocks or lines that cannot be.
    """
    with held(pipeline):
        try:
            yield activate(pipeline, adapters, lines)
        finally:
            deactivate(pipeline)


@contextmanager
def held(pipeline: Any) -> Iterator[None]:
    """Hold the pipeline's lock, and see to it that this thread changes its adapters in one place only."""
    with lock(pipeline):
        model = model_of(pipeline)
        if model in _open:
            raise RuntimeError("adapters.applied is already open on this pipeline in this thread; use it as it is")
        _open.add(model)
        try:
            yield
        finally:
            _open.discard(model)


def activate(pipeline: Any, adapters: Sequence[AnyUse], lines: int | None = None) -> list[str]:
    """Attach what is missing and switch on exactly these; returns the names. `applied` is the safe way to call it."""
    uses = normal(adapters, lines)
    engine = engine_of(pipeline)
    for use in uses:
        if use.name not in engine.names():
            attach(engine, use, pipeline)
    engine.play([Active(use.name, use.strength, use.blocks, use.schedule, use.lines) for use in uses])
    _forget(engine, {use.name for use in uses})
    return [use.name for use in uses]


def _forget(engine: Adapters, wanted: set[str]) -> None:
    """Remove those that are too many or too large, the least recently used first."""
    idle = {name: engine.size(name) for name in engine.names() if name not in wanted}
    for name in list(idle):
        if len(engine.names()) <= MAX_LOADED and sum(idle.values()) <= MAX_IDLE:
            break
        engine.remove(name)
        del idle[name]


def deactivate(pipeline: Any) -> None:
    """Switch every adapter off; the pipeline then answers as the bare base."""
    engine_of(pipeline).set_strengths({})


def attach(engine: Adapters, use: Use, pipeline: Any) -> None:
    """Read a file and attach it under the use's name.

    Raises:
        LoraFileError, LoraMismatch
    """
    opened = reading.open_file(use.path, alpha=use.alpha, partial=use.partial)
    base = type(model_of(pipeline)).__name__
    info = fits.check_shapes(
        use.path, opened.info, engine.shapes(), base, base_family=families.of(pipeline).name, partial=use.partial
    )
    try:
        engine.attach(use.name, opened.load(), info.items)
    except LoraMismatch as error:
        raise LoraMismatch(f"The LoRA {use.path} does not fit the base {base}. {error}") from error
