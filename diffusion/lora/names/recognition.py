"""Which family of models some modules are of.

The family that knows most of the names is taken, if it knows more than half. Where several know them all, what decides
is, in this order: how wide and how deep the models are, names that only one has, the order of FAMILIES.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from . import stable_diffusion
from .family import Names
from .registry import FAMILIES
from .table import Row, Table
from .text_encoders import TABLES, canonical

_INDEX = re.compile(r"(?<=\.)\d+(?=\.|$)")
_COMPONENT = re.compile(r"(?:unet|transformer(?:_\d)?|text_encoder(?:_\d)?)\.")
_QUERY = re.compile(r"\.(?:attn|attn1)\.to_[qkv]$")
_PROJECTION = re.compile(r"\.self_attn\.[qkv]_proj$")
MOST_DIGITS = 10  # more are no number of a block
UNETS = ("sd1", "sd2", "sdxl")

Shapes = Mapping[str, tuple[int, ...] | None]


def recognise(modules: Shapes) -> str:
    """Return the family of some modules, "" if it is not known.

    Args:
        modules: {canonical name, or diffusers name without the component: shape of the weight [out, in, ...] or None}.
    """
    network: dict[str, tuple[int, ...] | None] = {}
    encoders: dict[str, tuple[int, ...] | None] = {}
    for name, shape in modules.items():
        found = _COMPONENT.match(name)
        if found and found[0].startswith("text_encoder"):
            encoders[name] = shape
        else:
            network[name[found.end() :] if found else name] = shape
    if not network:
        return _by_text_encoders(encoders)
    # one of each kind is enough: the blocks are all alike
    kinds: dict[str, tuple[str, int]] = {}
    for name in network:
        kind = _INDEX.sub("#", name)
        first, count = kinds.get(kind, (name, 0))
        kinds[kind] = (first, count + 1)
    known = {
        family.name: sum(count for name, count in kinds.values() if family.diffusers.match(name))
        for family in FAMILIES.values()
    }
    most = max(known.values())
    if 2 * most <= len(network):
        return ""
    candidates = [FAMILIES[name] for name, count in known.items() if count == most]
    if any(family.name in UNETS for family in candidates):
        return stable_diffusion.tell_apart({**network, **encoders})
    return _tell_apart(candidates, network)


def _tell_apart(candidates: Iterable[Names], network: Shapes) -> str:
    deepest = _deepest(network)
    width = _width(network, _QUERY)
    possible = [
        family
        for family in candidates
        if all(deepest.get(block, 0) < depth for block, depth in family.depths.items())
        # models narrower than any that was published are toys, which are known by their names alone
        and (not width or not family.widths or width in family.widths or width < min(family.widths))
    ]
    exact = [family for family in possible if width in family.widths] or possible
    for family in exact:
        signs = Table(Row(sign, (sign,)) for sign in family.signs)
        if any(signs.match(name) for name in network):
            return family.name
    return exact[0].name if exact else ""


def _width(modules: Shapes, pattern: re.Pattern[str]) -> int:
    """Return the inputs of the first module that fits; 0 where none does or no shape is known."""
    return next((shape[1] for name, shape in modules.items() if shape and len(shape) > 1 and pattern.search(name)), 0)


def _deepest(names: Iterable[str]) -> dict[str, int]:
    """Return the highest number in each list of blocks."""
    found: dict[str, int] = {}
    for name in names:
        block, _, rest = name.partition(".")
        number = rest.partition(".")[0]
        if number.isdecimal() and len(number) < MOST_DIGITS:
            found[block] = max(found.get(block, 0), int(number))
    return found


def _by_text_encoders(encoders: Shapes) -> str:
    """A file that changes text encoders alone: only those of Stable Diffusion are told from the others."""
    clip = TABLES["clip"]
    parts = [name.partition(".") for name in encoders]
    if not any(clip.match(canonical(name)) for _, _, name in parts):
        return ""
    components = {component for component, _, _ in parts}
    if "text_encoder_3" in components:
        return "sd3"
    if "text_encoder_2" in components:
        return "sdxl" if all(clip.match(canonical(name)) for _, _, name in parts) else "flux"
    width = _width(encoders, _PROJECTION)
    return stable_diffusion.TEXT_WIDTHS.get(width, "")
