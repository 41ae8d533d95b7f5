"""How alike two LoRAs are, module by module, from their factors alone.

With D = U S V^T for each of the two, and ranks i, j:

    outputs    |U_a^T U_b|_F² / min(i, j)     how much of one's space of outputs lies in the other's, 0 to 1
    inputs     |V_a^T V_b|_F² / min(i, j)     the same for the inputs it reacts to
    cosine     <D_a, D_b> / (|D_a| |D_b|)     whether they push the same way: 1 same, 0 unrelated, -1 opposite
    ratio      |D_b| / |D_a|                  how much stronger the second is

The first two are the Grassmann-like similarity of the LoRA paper (2106.09685, section 7.2 and appendix G). Spaces that
have nothing to do with each other overlap by `chance` = max(i, j) / n of it. Only the change of the weight is compared:
no biases, DoRA magnitudes or replaced weights.

    >>> from .model import plain
    >>> import torch
    >>> one = plain({"unet.a": (torch.eye(2, 6), torch.eye(4, 2), 2.0)})
    >>> found = compare(one, one)
    >>> round(found.cosine, 6), round(found.modules["unet.a"].outputs, 6), found.only_a
    (1.0, 1.0, ())
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import LoraMismatch, few
from . import core, singular
from .delta import Delta
from .model import Lora
from .singular import Singular

LEADING = 128  # directions that are looked at of a change as large as its weight

OnProgress = Callable[[int, int], None]
"""Called with (modules compared, modules in all); may raise to stop."""


@dataclass(frozen=True)
class Alike:
    """One module; see the table above. norm_a, norm_b: the Frobenius norms of the two changes. cosine and ratio are 0
    where a change is nothing."""

    rank_a: int
    rank_b: int
    inputs: float
    outputs: float
    chance_inputs: float
    chance_outputs: float
    cosine: float
    norm_a: float
    norm_b: float

    @property
    def ratio(self) -> float:
        """|D_b| / |D_a|; 0 where D_a is nothing."""
        return self.norm_b / self.norm_a if self.norm_a > 0 else 0.0


@dataclass(frozen=True)
class Comparison:
    """modules: those that both change. only_a, only_b: the others. inputs, outputs: means over the shared modules (with
    `chance_…` likewise). cosine, norm_a, norm_b: of each LoRA as one vector, modules it does not have being zeros.
    notes: sentences on what of the two was not compared."""

    modules: dict[str, Alike]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    inputs: float
    outputs: float
    chance_inputs: float
    chance_outputs: float
    cosine: float
    norm_a: float
    norm_b: float
    notes: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """|D_b| / |D_a| of the whole; 0 where D_a is nothing."""
        return self.norm_b / self.norm_a if self.norm_a > 0 else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return everything in plain JSON types."""
        whole = {name: value for name, value in asdict(self).items() if name != "modules"}
        modules = {name: asdict(alike) | {"ratio": alike.ratio} for name, alike in self.modules.items()}
        return whole | {"ratio": self.ratio, "modules": modules}


def compare(a: Lora, b: Lora, on_progress: OnProgress | None = None) -> Comparison:
    """Return how alike two LoRAs are.

    Raises:
        LoraMismatch: they share no module, or a module has another size in each.
    """
    deltas_a, deltas_b = _deltas(a), _deltas(b)
    shared = [name for name in deltas_a if name in deltas_b]
    if not shared:
        raise LoraMismatch(
            f"These two LoRAs change no weight in common: one changes {few(deltas_a, 2) or 'none'}, the other "
            f"{few(deltas_b, 2) or 'none'}."
        )
    modules = {}
    for number, name in enumerate(shared):
        modules[name] = _alike(name, deltas_a[name], deltas_b[name])
        if on_progress is not None:
            on_progress(number + 1, len(shared))
    only_a, only_b = (tuple(name for name in one if name not in modules) for one in (deltas_a, deltas_b))
    norm_a = math.hypot(*(m.norm_a for m in modules.values()), *(_norm(deltas_a[name]) for name in only_a))
    norm_b = math.hypot(*(m.norm_b for m in modules.values()), *(_norm(deltas_b[name]) for name in only_b))
    product = sum(alike.cosine * alike.norm_a * alike.norm_b for alike in modules.values())
    means = {
        name: sum(getattr(alike, name) for alike in modules.values()) / len(modules)
        for name in ("inputs", "outputs", "chance_inputs", "chance_outputs")
    }
    cosine = product / (norm_a * norm_b) if norm_a * norm_b > 0 else 0.0
    notes = (*_left_out("A", a), *_left_out("B", b))
    return Comparison(modules, only_a, only_b, **means, cosine=cosine, norm_a=norm_a, norm_b=norm_b, notes=notes)


def _left_out(name: str, lora: Lora) -> list[str]:
    """What a LoRA has beside the changes of weights, in sentences."""
    changes = lora.changes.values()
    doras = sum(change.magnitude is not None for change in changes)
    biases = sum(change.bias is not None for change in changes)
    replaced = sum(change.set_weight is not None for change in changes)
    said = []
    if doras:
        said.append(
            f"{name} is a DoRA in {doras} modules: their B A is compared, without the magnitudes, whose effect depends "
            "on the base."
        )
    if biases or replaced:
        said.append(f"{name} also changes {biases} biases and replaces {replaced} weights, which are not compared.")
    return said


def _deltas(lora: Lora) -> dict[str, Delta]:
    """The changes that have two sides; a norm's weight has one."""
    return {
        name: change.delta
        for name, change in lora.changes.items()
        if change.delta is not None and len(change.delta.shape) > 1
    }


def _norm(delta: Delta) -> float:
    return math.sqrt(singular.of(delta, limit=1).squared)


def _alike(name: str, a: Delta, b: Delta) -> Alike:
    if a.shape != b.shape:
        raise LoraMismatch(
            f"These LoRAs are for different models: {name} is {list(a.shape)} in one, {list(b.shape)} in the other."
        )
    one, other = singular.of(a, LEADING), singular.of(b, LEADING)
    norm_a, norm_b = math.sqrt(one.squared), math.sqrt(other.squared)
    rank_a, rank_b = _rank(one), _rank(other)
    most = max(rank_a, rank_b)
    return Alike(
        rank_a=rank_a,
        rank_b=rank_b,
        inputs=_overlap(one.svd.right.T, other.svd.right.T, rank_a, rank_b),
        outputs=_overlap(one.svd.left, other.svd.left, rank_a, rank_b),
        chance_inputs=most / math.prod(a.shape[1:]),
        chance_outputs=most / a.shape[0],
        cosine=_product(a, b, one, other) / (norm_a * norm_b) if norm_a * norm_b > 0 else 0.0,
        norm_a=norm_a,
        norm_b=norm_b,
    )


def _rank(found: Singular) -> int:
    """How many directions there are: values that are more than rounding."""
    values = found.values.double()
    return int((values > values[0] * 1e-6).sum()) if float(values[0]) > 0 else 0


def _overlap(one: Tensor, other: Tensor, rank_one: int, rank_other: int) -> float:
    if not rank_one or not rank_other:
        return 0.0
    cosines = one[:, :rank_one].double().T @ other[:, :rank_other].double()
    return float(cosines.square().sum()) / min(rank_one, rank_other)


def _product(a: Delta, b: Delta, one: Singular, other: Singular) -> float:
    """<D_a, D_b>, from the leading directions where they are all there is, from the matrices otherwise."""
    if _complete(one) and _complete(other):
        return core.inner(_factors(one), _factors(other))
    if _complete(one):
        return _against(b, one)
    if _complete(other):
        return _against(a, other)
    return float((a.dense() * b.dense()).sum(dtype=torch.float64))


def _complete(found: Singular) -> bool:
    return found.kept(len(found.values)) >= found.squared * (1 - 1e-9)


def _factors(found: Singular) -> core.Factors:
    svd = found.svd
    return svd.right.double(), (svd.left * svd.values).double()


def _against(dense: Delta, found: Singular) -> float:
    """<D, U S V^T> = tr(S U^T D V)."""
    svd = found.svd
    turned = (svd.left.T.float() @ dense.dense().flatten(1)) @ svd.right.T.float()
    return float((turned.diagonal().double() * svd.values.double()).sum())
