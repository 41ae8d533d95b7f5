"""The dialects of LoRA files: how each calls the modules, as a table; and which one a file speaks.

A dialect is prefixes (which component of the pipeline a key is of) and the tables of names in which the rest is found
(`names/`), "flat" where dots are written as "_". A file speaks the dialect, and is of the family, that explain the
largest number of its keys. Diffusers names behind a component's prefix need no table, so models that are in none
(of an unknown family) can be read in those dialects.

    diffusers  transformer.transformer_blocks.0.attn.to_q            -> itself
    kohya      lora_unet_double_blocks_0_img_attn_qkv                -> ….attn.to_q, .to_k, .to_v of a fused weight
    comfyui    diffusion_model.double_blocks.0.img_attn.qkv          -> the same

    >>> found = recognise({"lora_unet_double_blocks_0_img_attn_proj": ((64, 64), {"lora_up"})})
    >>> found.dialect.name, found.family, found.places["lora_unet_double_blocks_0_img_attn_proj"].names
    ('kohya', 'flux', ('transformer.transformer_blocks.0.attn.to_out.0',))
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from . import names
from .names.family import Names
from .names.table import Match, Table
from .names.text_encoders import TABLES, canonical

Shape = tuple[int, ...]
Stems = Mapping[str, tuple[Shape | None, Collection[str]]]
"""What a file names: {stem: (shape of the weight if known, marks of its keys)}; see `roles`."""


class Dialect(NamedTuple):
    """How some program calls the modules.

    name: short, as in values. title: for people. prefix: what the network's keys begin with.
    tables: where the rest is looked up, in this order: keys of `Names.tables`, "diffusers", or "kohya" and "comfyui"
        for the one that the family says.
    flat: "_" for ".".
    components: the prefix is a component's name, and what follows a diffusers name, whether in a table or not.
    marks: of suffixes that tell this dialect from one with the same names; see `roles`.
    alpha: of a format that never says it: "rank" where its scale is 1 by definition, or the default of its trainer.
    families: none other has this dialect.
    """

    name: str
    title: str
    prefix: str
    tables: tuple[str, ...]
    flat: bool = False
    components: bool = False
    marks: tuple[str, ...] = ()
    alpha: float | Literal["rank"] | None = None
    families: tuple[str, ...] = ()


# In the order of preference where several explain the same keys.
DIALECTS: tuple[Dialect, ...] = (
    Dialect("peft", "diffusers (PEFT)", "", ("diffusers",), components=True, marks=("lora_A",)),
    Dialect("diffusers-old", "old diffusers", "", ("diffusers",), components=True, marks=("lora.up",), alpha="rank"),
    Dialect("kohya", "kohya (sd-scripts)", "lora_unet_", ("kohya", "diffusers"), flat=True,
            families=("sd1", "sd2", "sdxl", "sd3", "flux")),
    Dialect("musubi", "musubi-tuner", "lora_unet_", ("kohya", "diffusers"), flat=True,
            families=("qwen-image", "wan", "cogvideox")),
    Dialect("videox-fun", "VideoX-Fun", "lora_unet__", ("diffusers", "original"), flat=True),
    Dialect("onetrainer", "OneTrainer", "lora_transformer_", ("diffusers", "original"), flat=True),
    Dialect("lycoris", "LyCORIS", "lycoris_", ("diffusers", "original"), flat=True),
    Dialect("comfyui", "ComfyUI", "diffusion_model.", ("comfyui", "original", "diffusers")),
    Dialect("raw-peft", "PEFT", "base_model.model.", ("diffusers", "original"), marks=("lora_A", "default")),
    Dialect("sat", "CogVideo (SAT)", "model.diffusion_model.transformer.", ("sat",), marks=("matrix",), alpha=1.0),
    Dialect("sat", "CogVideo (SAT)", "transformer.", ("sat",), marks=("matrix",), alpha=1.0),
    Dialect("xlabs", "XLabs", "", ("xlabs",), marks=("lora.up",), alpha="rank"),
    Dialect("xlabs", "XLabs", "diffusion_model.", ("xlabs",), marks=("lora.up",), alpha="rank"),
    Dialect("diffusers-old", "old diffusers", "", ("diffusers",), marks=("lora.up",), alpha="rank"),
    Dialect("bfl-control", "FLUX.1 control (Black Forest Labs)", "", ("original",), marks=("scale",),
            alpha="rank", families=("flux",)),
    Dialect("diffsynth", "DiffSynth-Studio", "", ("diffsynth", "original", "diffusers"), marks=("default",),
            alpha="rank"),
    Dialect("diffsynth", "DiffSynth-Studio", "pipe.dit.", ("diffsynth", "original", "diffusers"), marks=("default",),
            alpha="rank"),
    Dialect("original", "original names without a prefix", "", ("original",)),
    Dialect("diffusers-bare", "diffusers names without a prefix", "", ("diffusers",)),
    Dialect("original", "original names", "transformer.", ("original",)),
)  # fmt: skip

COMPONENTS = ("transformer", "transformer_2", "unet", "text_encoder", "text_encoder_2", "text_encoder_3", "prior")
# Keys of text encoders, in whatever dialect the network's are: prefix -> (component or "last", flat)
ENCODERS: tuple[tuple[str, str, bool], ...] = (
    ("lora_te_", "text_encoder", True),
    ("lora_te1_", "text_encoder", True),
    ("lora_te2_", "text_encoder_2", True),
    ("lora_te3_", "last", True),  # T5 in FLUX and SD3, which have another number of encoders
    ("text_encoders.", "", False),
)
_NUMBER = re.compile(r"\d+")
# Before diffusers 0.23 adapters were part of the attention's processor.
_PROCESSOR = re.compile(r"\.processor\.(to_q|to_k|to_v|to_out|add_k_proj|add_v_proj)_lora$")


class Place(NamedTuple):
    """Where a stem's rows belong: the pipeline component and the row of a table."""

    component: str
    match: Match

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names."""
        return tuple(f"{self.component}.{target}" for target in self.match.targets)


@dataclass(frozen=True)
class Recognised:
    """The dialect of a file, the family it is for ("" if unknown), the place of each stem, and stems without one."""

    dialect: Dialect
    family: str
    places: Mapping[str, Place]
    unmatched: tuple[str, ...] = field(default=())


class Reader(NamedTuple):
    """A dialect for one family (None: unknown): finds the place of stems."""

    dialect: Dialect
    family: Names | None

    def place(self, stem: str) -> tuple[Place, bool] | None:
        """Return where a stem belongs, and whether a table of this dialect says so; None if nowhere."""
        if self.dialect.components:
            return self._in_component(stem)
        for prefix, component, flat in ENCODERS:
            if stem.startswith(prefix):
                found = _in_encoder(stem[len(prefix) :], component, flat, self.family)
                return None if found is None else (found, flat == self.dialect.flat)
        return self._in_network(stem)

    def _in_component(self, stem: str) -> tuple[Place, bool] | None:
        component, _, name = stem.partition(".")
        if component not in COMPONENTS or not name:
            return None
        plain = _PROCESSOR.sub(_without_processor, name)
        if component.startswith("text_encoder"):
            plain = canonical(plain)
        table = _table(self.family, "diffusers", component)
        match = table.match(plain) if table is not None else None
        return Place(component, match or Match(plain, (plain,), "whole")), match is not None

    def _in_network(self, stem: str) -> tuple[Place, bool] | None:
        dialect, family = self.dialect, self.family
        if family is None or not stem.startswith(dialect.prefix):
            return None
        name = stem[len(dialect.prefix) :]
        if dialect.tables == ("diffusers",):
            name = _PROCESSOR.sub(_without_processor, name)
        for which in dialect.tables:
            table = _table(family, which, family.component)
            match = table.match(name, dialect.flat) if table is not None else None
            if match is not None:
                return Place(family.component, match), True
        return None


def _without_processor(found: re.Match[str]) -> str:
    return ".to_out.0" if found[1] == "to_out" else f".{found[1]}"


def _table(family: Names | None, which: str, component: str) -> Table | None:
    if family is None:
        return None
    if component.startswith("text_encoder"):
        return _encoder_table(family.text_encoders[component][0]) if component in family.text_encoders else None
    if which in ("kohya", "comfyui"):
        which = getattr(family, which)
    return family.table(which) if which in ("diffusers", "original") or which in family.tables else None


def _in_encoder(rest: str, component: str, flat: bool, family: Names | None) -> Place | None:
    encoders = family.text_encoders if family is not None else {"text_encoder": ("clip", "clip_l")}
    if not component:  # text_encoders.clip_l.transformer.text_model.…
        called, _, rest = rest.partition(".")
        rest = rest.removeprefix("transformer.")
        component = next((name for name, (_, comfy) in encoders.items() if comfy == called), "")
    elif component == "last":
        component = max(encoders, default="")
    if component not in encoders:
        return None
    table = _encoder_table(encoders[component][0])
    # a CLIP of transformers 5.6 or newer lacks the level that its names begin with elsewhere
    match = table.match(rest, flat) or table.match(f"text_model_{rest}" if flat else f"text_model.{rest}", flat)
    return None if match is None else Place(component, match)


def _encoder_table(architecture: str) -> Table:
    return TABLES[architecture]


def recognise(stems: Stems) -> Recognised | None:
    """Return the dialect and the family that explain most of the stems; None where no dialect explains any."""
    kinds = _kinds(stems)
    marks = {mark for _, found in stems.values() for mark in found}
    best: list[Reader] = []
    score: tuple[int, int, bool] = (0, 0, False)
    for dialect in DIALECTS:
        if score == (len(stems), len(stems), True):
            break
        if not _begins(dialect, kinds):
            continue
        for reader in _readers(dialect):
            found = [(count, place) for stem, count in kinds.items() if (place := reader.place(stem)) is not None]
            # a table's word counts more than a name that may be one; of dialects with the same names, marks decide
            this = (
                sum(count for count, _ in found),
                sum(count for count, (_, sure) in found if sure),
                not dialect.marks or bool(marks & set(dialect.marks)),
            )
            if this[0] and this > score:
                best, score = [reader], this
            elif this == score and best and reader.dialect == best[0].dialect:
                best.append(reader)
    return _choose(best, stems) if best else None


def _kinds(stems: Stems) -> dict[str, int]:
    """One stem of those that differ in their numbers alone, and how many they are."""
    first: dict[str, str] = {}
    counts: dict[str, int] = {}
    for stem in stems:
        example = first.setdefault(_NUMBER.sub("#", stem), stem)
        counts[example] = counts.get(example, 0) + 1
    return counts


def _begins(dialect: Dialect, kinds: Mapping[str, int]) -> bool:
    if dialect.components:
        return any(stem.partition(".")[0] in COMPONENTS for stem in kinds)
    starts = (dialect.prefix, *(prefix for prefix, _, _ in ENCODERS))
    return any(stem.startswith(starts) for stem in kinds)


def _readers(dialect: Dialect) -> Iterator[Reader]:
    for name, family in names.FAMILIES.items():
        if not dialect.families or name in dialect.families:
            yield Reader(dialect, family)
    if dialect.components:
        yield Reader(dialect, None)


def _choose(readers: list[Reader], stems: Stems) -> Recognised:
    """Take the one of equally good readers whose family the modules' shapes speak for."""
    first: Recognised | None = None
    # names that are diffusers' own are the same whatever the family
    for reader in readers[:1] if readers[0].dialect.components else readers:
        places = {stem: found[0] for stem in stems if (found := reader.place(stem)) is not None}
        shapes: dict[str, Shape | None] = {}
        for stem, place in places.items():
            shapes.update(dict.fromkeys(place.names, stems[stem][0]))
        family = names.recognise(shapes)
        sure = reader.family is not None and family == reader.family.name
        unmatched = tuple(stem for stem in stems if stem not in places)
        foreign = any(place.match.name != place.match.targets[0] for place in places.values())
        if reader.family is not None and foreign and (len(readers) == 1 or not family):
            family = reader.family.name
        this = Recognised(reader.dialect, family, places, unmatched)
        if sure:
            return this
        first = first or this
    assert first is not None
    return first
