"""The embedded base model `embedded:emoji`: where it lies, how it is measured, and the scripts that built it
(`build`)."""

from pathlib import Path

NAMES = ("emoji", "riso", "gallery")
"""`emoji`: the model. `riso`: the demo's style pictures. `gallery`: the true artwork, for measuring."""


def locate(name: str) -> Path:
    """Return the folder of an embedded asset; LookupError names the choices."""
    if name not in NAMES:
        raise LookupError(f"There is no embedded asset {name!r}; there are: {', '.join(NAMES)}.")
    return Path(__file__).parent / "assets" / name
