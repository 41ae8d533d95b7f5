"""ReweightLoRA and RemoveLoRA: change what stacks on a base, by exact name. No weight is read or touched."""

from typing import Annotated

from ..graph_runtime.errors import BadInput, did_you_mean, show
from ..graph_runtime.markers import Range, Slider
from ..graph_runtime.node import node
from ..graph_runtime.values import Adapter, Base
from .models import name_of

SHORTEST_HASH = 8
"""Hexadecimal digits by which a file may be named instead of by its title."""


@node(category="LoRA", version=1)
def reweight_lora(base: Base, name: str, strength: Annotated[float, Range(-4, 4, step=0.05), Slider()] = 1.0) -> Base:
    """Return the base with the LoRA of that name at another strength; its blocks, steps and lines stay.

    `name` is the LoRA's title, letter for letter, or at least 8 digits that its file's sha256 begins with.
    """
    chosen = _named(base, name)
    changed = (item.model_copy(update={"strength": strength}) if item in chosen else item for item in base.adapters)
    return base.with_adapters(tuple(changed))


@node(category="LoRA", version=1)
def remove_lora(base: Base, name: str) -> Base:
    """Return the base without the LoRA of that name; the others stay as they are.

    `name` is the LoRA's title, letter for letter, or at least 8 digits that its file's sha256 begins with.
    """
    chosen = _named(base, name)
    return base.with_adapters(tuple(item for item in base.adapters if item not in chosen))


def _named(base: Base, name: str) -> list[Adapter]:
    """Return every adapter with the one file of that name; BadInput where there is none, or more than one such file."""
    found = [adapter for adapter in base.adapters if name_of(adapter) == name]
    if not found and len(name) >= SHORTEST_HASH:
        found = [adapter for adapter in base.adapters if adapter.lora.file.sha256.startswith(name.lower())]
    if not found:
        names = dict.fromkeys(map(name_of, base.adapters))
        hint = did_you_mean(name, names, none="There is no LoRA on this base.")
        raise BadInput(f"no LoRA on this base is called {show(name)}. {hint}", "name", name)
    files = list(dict.fromkeys(adapter.lora.file.sha256 for adapter in found))
    if len(files) > 1:
        digits = " or ".join(file[:12] for file in files)
        said = f"{len(files)} LoRAs on this base are called {show(name)}; name one by its file's sha256: {digits}."
        raise BadInput(said, "name", name)
    return found
