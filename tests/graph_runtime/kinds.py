"""Node types for the tests of the runtime: trivial, and at the top of a module, as real ones are."""

from typing import Annotated, NamedTuple

from loragraph.graph_runtime import (
    Base,
    Choices,
    Images,
    InputFile,
    LoRA,
    ModelSource,
    Range,
    Registry,
    node,
)


@node(category="test")
def load_base(source: ModelSource = "embedded:none") -> Base:
    """Name a base."""
    return Base(source=source, path=source, fingerprint="f", family="none", dtype="float32")


@node(category="test", version=3, upgrades={1: lambda old: {"size": old.get("n", 1)}, 2: lambda old: old})
def make(size: Annotated[int, Range(1, 100)] = 1, kind: Annotated[str, Choices("a", "b")] = "a") -> LoRA:
    """Make a LoRA of nothing."""
    raise NotImplementedError


@node(category="test")
def read(file: InputFile, note: str = "") -> LoRA:
    """Read a file."""
    raise NotImplementedError


@node(category="test")
def apply_lora(lora: LoRA, strength: Annotated[float, Range(-4, 4)] = 1.0) -> LoRA:
    """Pass it on."""
    return lora


@node(category="test")
def merge(loras: tuple[LoRA, ...], strengths: tuple[float, ...] = ()) -> LoRA:
    """Take the first."""
    return loras[0]


class Both(NamedTuple):
    lora: LoRA
    images: Images


@node(category="test")
def both(size: int = 1) -> Both:
    """Two outputs."""
    raise NotImplementedError


@node(category="test", cache=False)
def random_one() -> LoRA:
    """Differs at every run."""
    raise NotImplementedError


@node(category="test", cache=False)
def save(lora: LoRA, name: str = "x") -> None:
    """Write."""


def registry() -> Registry:
    """Return a registry of these."""
    return Registry(load_base, make, read, apply_lora, merge, both, random_one, save)


def chain(length: int) -> dict[str, object]:
    """Return the document of a chain: one Make and the rest ApplyLoRA."""
    nodes: dict[str, object] = {"n0": {"type": "Make", "version": 3}}
    for i in range(1, length):
        nodes[f"n{i}"] = {"type": "ApplyLoRA", "version": 1, "inputs": {"lora": f"n{i - 1}.lora"}}
    return {"format": "loragraph/1", "nodes": nodes}
