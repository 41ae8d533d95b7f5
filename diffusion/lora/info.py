"""What is known of a LoRA file before its weights are read: `LoraInfo` for people and checks, `Plan` for the reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from .alphas import Alpha
from .parts import Axis, Form, Shape

Rows = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Item:
    """What a file changes in one module.

    kind: "lora", "loha", "lokr", "full" (a difference), "set" (a new weight) or "bias". shape: of the weight,
    [out, in, *kernel]; of the bias where that is all. rank: of the change at most; dim: of its factors, which alpha is
    divided by (the rank itself in a plain pair, less in LoHa and LoKr), 0 where there are none. scale: what the product
    of the factors is multiplied by; alpha_from: see `alphas` ("" where there is no alpha). dora: the axis of the
    magnitude. bias: whether the bias changes too. source: the module's name in the file. widens: the weight may have
    more inputs than the base's.
    """

    kind: str
    shape: Shape
    rank: int
    alpha: float
    scale: float
    alpha_from: str
    dora: Axis | None
    bias: bool
    source: str
    widens: bool = False
    dim: int = 0


@dataclass(frozen=True)
class LoraInfo:
    """A LoRA file in short. rank, alpha: the largest over its modules; scale: the most frequent one, `scales`: all
    of modules with factors.
    family: "" when the names do not tell. components: of the pipeline. warnings: sentences on what was guessed or left
    out. items: by canonical name of the module."""

    path: str
    dialect: str
    title: str
    family: str
    rank: int
    modules: int
    alpha: float
    scale: float
    scales: tuple[float, ...]
    components: tuple[str, ...]
    items: Mapping[str, Item] = field(repr=False)
    unmatched: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its items, the most frequent first; "dora" is one of its own."""
        counted = Counter("dora" if item.dora else item.kind for item in self.items.values())
        return tuple(kind for kind, _ in counted.most_common())


@dataclass(frozen=True)
class Source:
    """One module of the file: its keys, form, alpha, and which rows are which module's: {canonical name: rows}."""

    keys: Mapping[str, str]
    form: Form
    alpha: Alpha
    targets: Mapping[str, Rows]
    whole: bool
    factor: float = 1.0
    """What the change is multiplied by beside its scale (PEFT's LoKr, which scales also what is not decomposed)."""


@dataclass(frozen=True)
class Plan:
    """What is to be read, and how it is to be understood."""

    info: LoraInfo
    sources: tuple[Source, ...]
