"""The names in a single-file checkpoint: which of its tensors' rows are which parameter of the diffusers models.

    {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": [9216, 3072]}
    -> {"transformer.transformer_blocks.0.attn.to_k.weight": ("model.diffusion_model.….qkv.weight", ((3072, 6144),))}

A network is named by its authors or as diffusers names it, with one of PREFIXES or none; text encoders stand beside it
under TEXT_ENCODERS. Which family and which table it is, is told by how many names each explains. No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from . import names
from .names import text_encoders
from .names.family import Names
from .names.table import Match, Ranges, Table, ranges

Shape = tuple[int, ...]

# how the network's names may begin; the first that occurs counts, and without one all names that are no text encoder's
PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.", "unet.")
# beginning of a name -> what ComfyUI calls that text encoder, or its place in Stability's own files
TEXT_ENCODERS = {
    "cond_stage_model.transformer.": "clip_l",
    "cond_stage_model.model.": "clip_h",
    "conditioner.embedders.0.transformer.": "clip_l",
    "conditioner.embedders.0.model.": "clip_g",
    "conditioner.embedders.1.model.": "clip_g",
    "text_encoders.clip_l.transformer.": "clip_l",
    "text_encoders.clip_g.transformer.": "clip_g",
    "text_encoders.t5xxl.transformer.": "t5xxl",
}
# what stands in a single file beside the network and the text encoders
OTHERS = ("first_stage_model.", "vae.", "model_ema.", "alphas_cumprod", "cond_stage_model.", "conditioner.")
# endings of stored names -> of the parameter; the scale of an RMS norm is its weight in diffusers
ENDINGS = {
    ".weight": ".weight",
    ".bias": ".bias",
    ".scale": ".weight",
    "_weight": ".weight",
    "_bias": ".bias",
}
SAMPLE = 64  # names that are looked at before a table is taken for a candidate


class Named(NamedTuple):
    """family ("" if unknown); parameters: {canonical name: (key, rows)}; unnamed: keys that found no meaning."""

    family: str
    parameters: dict[str, tuple[str, Ranges]]
    unnamed: tuple[str, ...]


def name_all(tensors: Mapping[str, Shape]) -> Named:
    """Return which parameter each tensor of a single file is, or parts of it are."""
    encoders = {key: prefix for key in tensors for prefix in TEXT_ENCODERS if key.startswith(prefix)}
    rest = [key for key in tensors if key not in encoders and not key.startswith(OTHERS)]
    prefix = next((prefix for prefix in PREFIXES if any(key.startswith(prefix) for key in rest)), "")
    network = {key[len(prefix) :]: key for key in rest if key.startswith(prefix)}
    family, found = _network({name: tensors[key] for name, key in network.items()})
    parameters = {parameter: (network[name], rows) for parameter, (name, rows) in found.items()}
    known = names.FAMILIES[family].text_encoders if family else {}
    for key, start in encoders.items():
        component = next((part for part, (_, called) in known.items() if called == TEXT_ENCODERS[start]), "")
        if not component and len(known) == 1 and start.startswith("cond_stage_model."):
            component = next(iter(known))
        if component:
            parameters |= _encoder(component, known[component][0], key, key[len(start) :], tensors[key])
    used = {key for key, _ in parameters.values()}
    return Named(family, parameters, tuple(key for key in tensors if key not in used))


def _network(tensors: Mapping[str, Shape]) -> tuple[str, dict[str, tuple[str, Ranges]]]:
    """Return (family, {canonical parameter: (name, rows)}) of the table that explains most."""
    modules = {module for name in tensors if (module := split(name)[0])}
    best: tuple[int, bool, str, dict[str, tuple[str, Ranges]]] = (0, False, "", {})
    for family, which, table in _candidates(modules):
        found = _translate(tensors, table, family.component, keep=which == "diffusers")
        shapes = {
            parameter.removesuffix(".weight"): part_shape(tensors[name], rows)
            for parameter, (name, rows) in found.items()
            if parameter.endswith(".weight")
        }
        claim = (len(found), names.recognise(shapes) == family.name, family.name, found)
        # families share names (the UNets): the right one is that which the names and widths are recognised as
        if (claim[1], claim[0]) > (best[1], best[0]):
            best = claim
    return best[2], best[3]


def _candidates(modules: set[str]) -> Iterable[tuple[Names, str, Table]]:
    looked_at = sorted(modules)[:: max(1, len(modules) // SAMPLE)]
    for family in names.FAMILIES.values():
        for which in dict.fromkeys(("original", family.comfyui, "diffusers")):
            if which not in (*family.tables, "diffusers"):
                continue
            table = family.table(which)
            hits = sum(table.match(module) is not None for module in looked_at)
            if hits and hits * 3 >= len(looked_at):
                yield family, which, table


def _translate(tensors: Mapping[str, Shape], table: Table, component: str, keep: bool) -> dict[str, tuple[str, Ranges]]:
    found: dict[str, tuple[str, Ranges]] = {}
    for name, shape in tensors.items():
        module, ending = split(name)
        match = table.match(module) if module else None
        if keep:  # a name that no table lists is still the diffusers name
            found[f"{component}.{name}"] = (name, whole(shape))
        elif match is not None:
            rows = _rows(match, shape, module, tensors)
            for target, part in zip(match.targets, rows, strict=True):
                found[f"{component}.{target}{ending}"] = (name, part)
    return found


def _rows(match: Match, shape: Shape, module: str, tensors: Mapping[str, Shape]) -> tuple[Ranges, ...]:
    if len(match.targets) == 1 and match.split == "whole":
        return (whole(shape),)
    # a bias has no inputs to tell the parts by: those of its weight
    weight = shape if len(shape) > 1 else tensors.get(f"{module}.weight", (*shape, 1))
    try:
        return ranges(match, shape[0], math.prod(weight[1:]))
    except (ValueError, IndexError):
        return ()


def _encoder(component: str, kind: str, key: str, name: str, shape: Shape) -> dict[str, tuple[str, Ranges]]:
    module, ending = split(name)
    table = text_encoders.OPEN_CLIP if kind == "clip" else None
    match = table.match(module) if table is not None and module else None
    if match is None:
        return {f"{component}.{text_encoders.canonical(name)}": (key, whole(shape))}
    return {
        f"{component}.{target}{ending}": (key, part)
        for target, part in zip(match.targets, ranges(match, shape[0], 0), strict=True)
    }


def whole(shape: Shape) -> Ranges:
    """Return all rows of a tensor; a number counts as one row."""
    return ((0, shape[0] if shape else 1),)


def part_shape(shape: Shape, rows: Ranges) -> Shape:
    """Return the shape of these rows of a tensor."""
    return (sum(last - first for first, last in rows), *shape[1:]) if shape else ()


def split(name: str) -> tuple[str, str]:
    """Return (module, the parameter's ending in diffusers); ("", "") where a name ends in neither."""
    for ending, meant in ENDINGS.items():
        if name.endswith(ending):
            return name[: -len(ending)], meant
    return "", ""
