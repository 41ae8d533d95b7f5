"""The families whose names are known."""

from __future__ import annotations

from ...errors import SettingError, nearest
from . import cogvideox, flux, qwen_image, sd3, stable_diffusion, wan
from .family import Names

FAMILIES: dict[str, Names] = {
    family.name: family
    for family in (
        stable_diffusion.SD1,
        stable_diffusion.SD2,
        stable_diffusion.SDXL,
        flux.NAMES,
        sd3.NAMES,
        qwen_image.NAMES,
        cogvideox.NAMES,
        wan.NAMES,
    )
}


def get(name: str) -> Names:
    """Return the names of a family.

    Raises:
        SettingError: there is no such family; the message lists those there are.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    known = ", ".join(FAMILIES)
    raise SettingError("family", name, f"its names are not known here; known are {known}.{nearest(name, FAMILIES)}")
