"""Several LoRAs into one.

With t_i the strength of a LoRA times what `blocks` says for the module, and D_i = s_i B_i A_i its change, per module:

    concat      A = [A_1; A_2; …], B = [t_1 s_1 B_1, t_2 s_2 B_2, …]: exactly the sum of the t_i D_i; the ranks add up
    svd         the nearest change to that sum of at most `rank` (Eckart-Young), from small factors (`core`); where the
                dialect has several modules as one weight, of that weight
    magnitude, ties, dare, dare_ties, knots
                entries dropped or voted on in the space that the changes span (`core_space`)

Ranks, dtypes, alphas, forms (LoHa, LoKr, full differences) and scale conventions may differ, strengths may be negative,
modules may be in some LoRAs only. Biases and norms are added up. Everything is worked out in fp64 and comes in fp32.
Adding A's and B's apart ("linear" merging) is not offered: its cross terms B_i A_j make the result another LoRA.

What the result has in common with the plain sum D is told as its energy: <R, D>² / (|R|² |D|²), the share of the sum's
squared norm that lies along the result R. For svd that is the energy that truncation keeps; concat always has 1.

    >>> import torch
    >>> from .model import plain
    >>> one = plain({"unet.conv_in": (torch.ones(1, 3), torch.ones(2, 1), 1.0)})
    >>> merge([(one, 0.5), (one, -0.25)]).lora.changes["unet.conv_in"].delta.dense()
    tensor([[0.2500, 0.2500, 0.2500],
            [0.2500, 0.2500, 0.2500]])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from ..errors import LoraMismatch, SettingError, few, nearest
from . import core_space, names
from .blocks import strengths
from .convert import grouped
from .merge_module import Found, Likeness, Part, Rule, merged_weight
from .model import Change, Lora

METHODS = ("concat", "svd", *core_space.RULES)

OnProgress = Callable[[int, int], None]
"""Called with (modules done, modules in all); may raise to stop."""


class Merged(NamedTuple):
    """lora: the result. energy: what it has of the plain sum, 0 to 1 (see above), over all modules; energies: of each.
    warnings: sentences."""

    lora: Lora
    energy: float
    energies: dict[str, float]
    warnings: tuple[str, ...]


def merge(
    loras: Sequence[tuple[Lora, float]],
    method: str = "concat",
    *,
    rank: int | None = None,
    density: float = 0.5,
    seed: int = 0,
    normalize: bool = False,
    blocks: Sequence[str] = (),
    labels: Sequence[str] = (),
    dialect: str = "peft",
    on_progress: OnProgress | None = None,
) -> Merged:
    """Return one LoRA for several with their strengths.

    Args:
        method: one of METHODS.
        rank: the most that a module may have; None keeps all that there is. Not for concat.
        density: share of the entries that magnitude, ties, dare, dare_ties and knots keep, above 0, up to 1.
        seed: for dare and dare_ties; a module's draw depends on this, its name and the place of the LoRA alone.
        normalize: divide by the sum of the absolute strengths of those LoRAs that change the module (with votes: of
            those that agree on the entry), so that the result is a mean and no sum.
        blocks: strengths by block for each LoRA (see `blocks`), "" for none; what is 0 is left out.
        labels: what to call the LoRAs in messages, such as names of files.
        dialect: that the result will be written in. The rank is that of a weight there, which may be several modules.

    Raises:
        SettingError: a setting out of range, nothing to combine, a pattern in `blocks` that fits nothing, strengths so
            large that the result is no number.
        LoraMismatch: LoRAs for different models, or changes that do not add up (DoRA).
    """
    _check(loras, method, rank, density, blocks, labels)
    called = labels or [f"LoRA {place + 1}" for place in range(len(loras))]
    family = _family([lora.family for lora, _ in loras], called)
    parts = _gather(loras, blocks, called)
    _refuse_what_does_not_add_up(parts)
    rule = Rule(method, rank, density, seed, normalize)
    changes: dict[str, Change] = {}
    found: list[Found] = []
    for weight in grouped(parts, family, "peft" if method == "concat" else dialect):
        made, alike = _one({module: parts[module] for module in weight}, rule)
        changes |= made
        found += alike
        if on_progress is not None:
            on_progress(len(changes), len(parts))
    overall = Likeness(*(sum(column) for column in zip(*(each.likeness for each in found), strict=True)))
    energies = {module: each.likeness.energy for each in found for module in each.modules}
    return Merged(
        Lora({module: changes[module] for module in parts}, family),
        overall.energy,
        {module: energies[module] for module in parts if changes[module].delta is not None},
        _warnings(loras, parts, called, overall),
    )


def _one(weight: Mapping[str, Sequence[Part]], rule: Rule) -> tuple[dict[str, Change], list[Found]]:
    """The changes of the modules of one weight, refused where they overflow."""
    try:
        changes, alike = merged_weight(weight, rule)
        if all(_finite(change) for change in changes.values()):
            return changes, alike
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # squares overflow first
        pass
    given = [part.strength for part in next(iter(weight.values()))]
    raise SettingError("strengths", given, f"{few(weight)} would change by more than fp32 can hold; use smaller ones.")


def _finite(change: Change) -> bool:
    tensors = [change.bias, *(vars(change.delta).values() if change.delta is not None else ())]
    return all(bool(value.isfinite().all()) for value in tensors if isinstance(value, torch.Tensor))


def _check(
    loras: Sequence[tuple[Lora, float]],
    method: str,
    rank: int | None,
    density: float,
    blocks: Sequence[str],
    labels: Sequence[str],
) -> None:
    if not loras:
        raise SettingError("loras", [], "give at least one LoRA to combine.")
    if method not in METHODS:
        raise SettingError("method", method, f"use one of {', '.join(METHODS)}.{nearest(method, METHODS)}")
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 1):
        raise SettingError("rank", rank, "use a whole number of at least 1, or none to keep all.")
    if rank is not None and method == "concat":
        raise SettingError("rank", rank, 'concat keeps all ranks; use the method "svd" for the best of a given rank.')
    if not 0 < density <= 1:
        raise SettingError("density", density, "use a share above 0, up to 1.")
    for _, strength in loras:
        if not math.isfinite(strength):
            raise SettingError("strength", strength, "use a number.")
    for name, given in (("blocks", blocks), ("labels", labels)):
        if given and len(given) != len(loras):
            raise SettingError(name, list(given), f"give one for each of the {len(loras)} LoRAs, or none.")


def _family(families: Sequence[str], labels: Sequence[str]) -> str:
    known: dict[str, str] = {}
    for family, label in zip(families, labels, strict=True):
        if family:
            known.setdefault(family, label)
    if len(known) > 1:
        said = [f"{label} is for {names.get(family).title}" for family, label in known.items()]
        raise LoraMismatch(f"These LoRAs are for different models: {', '.join(said)}. Combine those of one model.")
    return next(iter(known), "")


def _gather(loras: Sequence[tuple[Lora, float]], blocks: Sequence[str], labels: Sequence[str]) -> dict[str, list[Part]]:
    """Return the changes of each module in the order in which modules first appear; those of strength 0 left out."""
    parts: dict[str, list[Part]] = {}
    for place, (lora, strength) in enumerate(loras):
        by_module = strengths(blocks[place] if blocks else "", lora.changes, lora.family)
        for module, change in lora.changes.items():
            share = strength * by_module[module]
            if share and (change.delta is not None or change.bias is not None or not change.additive):
                parts.setdefault(module, []).append(Part(place, labels[place], share, change))
    if not parts:
        given = [strength for _, strength in loras]
        raise SettingError("strengths", given, "nothing is left of these LoRAs; give at least one of them a strength.")
    return parts


def _refuse_what_does_not_add_up(parts: Mapping[str, Sequence[Part]]) -> None:
    """Raise LoraMismatch where a change depends on the base's weight."""
    found: dict[tuple[str, str], list[str]] = {}
    for module, members in parts.items():
        for part in members:
            if part.change.magnitude is not None:
                found.setdefault((part.label, "is a DoRA: what it does depends on the base's weights"), []).append(
                    module
                )
            elif part.change.set_weight is not None:
                found.setdefault((part.label, "replaces weights of the base"), []).append(module)
    for (label, what), modules in found.items():
        raise LoraMismatch(
            f"{label} {what} ({few(modules)}), so it cannot be added to another LoRA. Bake it into the base, or leave "
            "these modules out with a strength of 0 by block."
        )


def _warnings(
    loras: Sequence[tuple[Lora, float]], parts: Mapping[str, Sequence[Part]], labels: Sequence[str], overall: Likeness
) -> tuple[str, ...]:
    said = [f"{label}: {text}" for (lora, _), label in zip(loras, labels, strict=True) for text in lora.warnings]
    if len(loras) > 1 and all(len(members) == 1 for members in parts.values()):
        said.append("No module is changed by more than one of these LoRAs, so there was nothing to weigh up.")
    if overall.plain <= 0 and any(part.change.delta is not None for members in parts.values() for part in members):
        said.append("At these strengths the LoRAs cancel each other out.")
    return tuple(said)
