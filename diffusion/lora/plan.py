"""From the names and shapes of a file's tensors to the plan of what they are: no weight is read, and no torch.

header -> groups of keys (parts) -> dialect, family and places (dialects) -> alphas -> Plan
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import LoraFileError, few
from . import seems
from .alphas import PEFT, Alpha, Sources
from .dialects import Dialect, Place, recognise
from .header import Entry
from .info import Item, LoraInfo, Plan, Rows, Source
from .names.table import ranges
from .parts import Form, Group, form, groups, is_adapter, kernel

__all__ = ["Plan", "plan"]

Number = Callable[[str], float]
"""Reads a tensor that is one number."""


def plan(
    path: str,
    tensors: Mapping[str, Entry],
    metadata: Mapping[str, str],
    number: Number,
    alpha: float | None,
    partial: bool,
    adapter_config: Callable[[], Mapping[str, Any] | None] = lambda: None,
    warnings: Sequence[str] = (),
) -> Plan:
    """Return what the tensors mean.

    Args:
        number: reads a tensor that is one number. adapter_config: reads PEFT's, beside the file. warnings: to begin
            with.
        Others, and errors: see `reading.inspect`.
    """
    found, unknown = groups(tensors, path)
    if not is_adapter(found):
        raise seems.no_adapter(path, tensors)
    forms = {id(group): form(group, tensors, path) for group in found}
    known = recognise({group.stem: (forms[id(group)].shape, group.marks) for group in found})
    if known is None or not known.places:
        raise seems.of_no_known_model(path, found, tensors)
    strange = [group for group in found if group.stem not in known.places]
    other = seems.model(group.stem for group in found)
    if other and not known.dialect.components:
        raise seems.of_unknown_model(path, other, [group.stem for group in strange] or [group.stem for group in found])
    unmatched = unknown + [key for group in strange for key in group.keys.values()]
    if unmatched and not partial:
        raise seems.with_strange_keys(path, unmatched, known.dialect.title)
    beside = adapter_config() if known.dialect.name == "raw-peft" else None
    settings = Sources(metadata, beside, alpha, path)
    family = "" if other else known.family
    reader = _Reader(path, known.dialect, family, settings, number, list(warnings))
    if other:
        reader.said.append(
            f"It seems made for {other}, which is not known here; its names are diffusers', so it is read."
        )
    placed = [group for group in found if group.stem in known.places]
    sources = [reader.source(group, forms[id(group)], known.places[group.stem]) for group in placed]
    items = reader.items(sources)
    if family and (wrong := seems.of_another_size(path, family, {name: item.shape for name, item in items.items()})):
        raise wrong
    if settings.says_dora and not any(source.form.dora for source in sources):
        said = f"{path} is a DoRA by its header, but its magnitudes (lora_magnitude_vector) are missing"
        if not partial:
            raise LoraFileError(f"{said}. Save it again with them, or allow a partial load (allow_partial).")
        reader.said.append(f"{said}; it was read as a plain LoRA.")
    return Plan(_info(reader, items, metadata, unmatched), tuple(sources))


@dataclass
class _Reader:
    """Turns groups into sources, and sources into items; collects what there is to warn of."""

    path: str
    dialect: Dialect
    family: str
    settings: Sources
    number: Number
    said: list[str]
    guessed: int = 0
    disagree: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)

    def source(self, group: Group, found: Form, place: Place) -> Source:
        """Return one module of the file with its alpha and the rows of its targets.

        Raises:
            LoraFileError: the rows cannot be shared out; a DoRA over the inputs of a fused weight.
        """
        targets = self._targets(group, found, place)
        first = next(iter(targets))
        if found.dora == "input" and len(targets) > 1:
            raise LoraFileError(
                f"{self.path} is a DoRA over the inputs of {group.label}, which is {len(targets)} weights in one; its "
                "columns cannot be taken apart. Bake it with the program that trained it, or train it per output."
            )
        if found.kind in ("loha", "lokr"):
            found = found._replace(kernel=kernel(first, found.shape) or found.shape[2:])
            if len(found.shape) == 2 and found.kernel:
                inside = found.shape[1] // (found.kernel[0] * found.kernel[1])
                found = found._replace(shape=(found.shape[0], inside, *found.kernel))
        alpha, factor = self._alpha(group, found, first, len(targets))
        return Source(group.keys, found, alpha, targets, len(targets) == 1 and place.match.split == "whole", factor)

    def _targets(self, group: Group, found: Form, place: Place) -> dict[str, Rows]:
        names = place.names
        out = found.shape[0]
        if group.part is not None:
            if group.part >= len(names):
                raise LoraFileError(f"{self.path} is damaged: {group.stem} has no part {group.part}.")
            return {names[group.part]: ((0, out),)}
        if place.match.split == "whole":
            return {names[0]: ((0, out),)}
        try:
            inside = found.shape[1] if len(found.shape) > 1 else 0
            if not inside and place.match.split not in ("equal", "swapped"):
                raise ValueError("a bias alone does not tell where one part ends")
            return dict(zip(names, ranges(place.match, out, inside), strict=True))
        except ValueError as error:
            raise LoraFileError(
                f"{self.path}: the rows of {group.label} cannot be shared out among {few(names)}: {error}. "
                "It is for a model of another size, or damaged."
            ) from error

    def _alpha(self, group: Group, found: Form, module: str, modules: int) -> tuple[Alpha, float]:
        tensor = self.number(group.keys["alpha"]) if "alpha" in group.keys else None
        if not found.rank:
            beside = self.settings.adapter_config
            if found.kind == "lokr" and beside is not None and beside.get("alpha") is not None:
                # PEFT divides by its r even where neither factor is decomposed
                rank = beside.get("r")
                value = self.settings.alpha(module, 1).value
                if not isinstance(rank, int) or rank < 1:
                    raise LoraFileError(f"{self.path}: adapter_config.json has no usable r ({rank!r}).")
                return Alpha(value, False, "adapter_config"), value / rank
            return Alpha(1.0, False, ""), 1.0
        size = math.prod(found.kernel)
        called = group.stem.removeprefix(self.dialect.prefix)
        alpha = self.settings.alpha(module, found.rank, tensor, size, called)
        if alpha.source == "rank":
            self.guessed += modules  # a fused weight is several
            if isinstance(self.dialect.alpha, float):
                alpha = Alpha(self.dialect.alpha, False, "format")
        elif alpha.source == "tensor" and PEFT in self.settings.metadata:
            self._compare(module, found.rank, size, alpha.value, called)
        if alpha.value == 0:
            self.idle.append(group.label)
        return alpha, 1.0

    def _compare(self, module: str, rank: int, kernel: int, tensor: float, called: str) -> None:
        """Note where the header says another alpha than the tensor, or nothing that can be read."""
        try:
            header = self.settings.alpha(module, rank, kernel=kernel, called=called).value
        except LoraFileError:
            header = math.nan
        if not math.isclose(header, tensor, rel_tol=CLOSE):
            self.disagree.append(module)

    def items(self, sources: Sequence[Source]) -> dict[str, Item]:
        """Return what changes by canonical name.

        Raises:
            LoraFileError: two modules of the file are for the same weight.
        """
        found: dict[str, Item] = {}
        for source in sources:
            named = next(iter(source.keys.values()))
            for name, rows in source.targets.items():
                if name in found:
                    raise LoraFileError(
                        f"{self.path} changes {name} twice, by {found[name].source} and by {named}. "
                        "It holds two adapters; save them as two files."
                    )
                found[name] = self._item(source, name, rows, named)
        return found

    def _item(self, source: Source, name: str, rows: Rows, named: str) -> Item:
        form = source.form
        shape = (sum(last - first for first, last in rows), *form.shape[1:])
        most = min(form.most, shape[0]) if form.kind != "lora" else form.most
        root = source.alpha.rank_stabilized and form.rank
        scale = source.factor * (source.alpha.value / (form.rank**0.5 if root else form.rank) if form.rank else 1.0)
        return Item(
            kind=form.kind,
            shape=shape,
            rank=most,
            alpha=source.alpha.value,
            scale=scale,
            alpha_from=source.alpha.source,
            dora=form.dora,
            bias=form.kind == "bias" or bool({"up_bias", "diff_b"} & source.keys.keys()),
            source=named,
            widens=self._widens(source, name),
            dim=form.rank,
        )

    def _widens(self, source: Source, name: str) -> bool:
        """Control LoRAs give FLUX's first layer the control picture's channels beside the latents'."""
        if "reshape" in source.keys:
            return True
        first = self.family == "flux" and name.endswith(".x_embedder") and source.form.kind == "lora"
        return first and (self.dialect.name == "bfl-control" or source.form.shape[1] == CONTROL_INPUTS)

    def warnings(self, modules: int, unmatched: Sequence[str]) -> tuple[str, ...]:
        """Return what was guessed or left out, as sentences."""
        said = list(self.said)
        if self.guessed and self.dialect.alpha is not None and self.dialect.alpha != "rank":
            said.append(
                f"The file says no alpha; what {self.dialect.title} trains with unless told otherwise was taken: "
                f"{self.dialect.alpha:g}. Give alpha if it was trained with another."
            )
        elif self.guessed and self.dialect.alpha is None:
            which = "its modules" if self.guessed >= modules else f"{self.guessed:,} of its modules"
            said.append(
                f"The file says no alpha for {which}, so their rank was taken for it (scale 1). Give alpha if it was "
                "trained with another."
            )
            if self.family == "cogvideox":
                said.append("CogVideo's own trainer writes no alpha either: its default is 64 at rank 128 (scale 0.5).")
        if self.disagree:
            said.append(
                f"The header says another alpha than the tensors, or nothing readable, for {few(self.disagree)}; the "
                "tensors were believed."
            )
        if self.idle:
            said.append(f"Alpha is 0 for {few(self.idle)}, so they change nothing. Give alpha if that is not meant.")
        if unmatched:
            said.append(f"{len(unmatched):,} keys were left out: {few(unmatched)}.")
        return tuple(said)


CLOSE = 1e-2  # an alpha stored in bf16 has two or three digits
CONTROL_INPUTS = 128  # 64 of the latents and 64 of the control picture


def _info(
    reader: _Reader, items: Mapping[str, Item], metadata: Mapping[str, str], unmatched: Sequence[str]
) -> LoraInfo:
    # a LoKr of two whole factors has no alpha, and yet a scale: 1
    scales = [item.scale for item in items.values() if item.alpha_from or item.kind == "lokr"]
    return LoraInfo(
        path=reader.path,
        dialect=reader.dialect.name,
        title=reader.dialect.title,
        family=reader.family,
        rank=max(item.rank for item in items.values()),
        modules=len(items),
        alpha=max((item.alpha for item in items.values() if item.alpha_from), default=1.0),
        scale=Counter(scales).most_common(1)[0][0] if scales else 1.0,
        scales=tuple(sorted(set(scales))) or (1.0,),
        components=tuple(sorted({name.partition(".")[0] for name in items})),
        items=items,
        unmatched=tuple(unmatched),
        warnings=reader.warnings(len(items), unmatched),
        metadata=metadata,
    )
