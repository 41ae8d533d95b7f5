"""Write the small data that ships beside the model: the gallery of true artwork and the demo's riso style pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

from ..measure import riso
from .gate import sheet
from .subjects import STYLES, SUBJECTS, subject_name

HELD_OUT_EVERY = 4  # Every fourth subject is kept out of the style data, so that the demo can show it carries over.


def held_out() -> tuple[str, ...]:
    """Return the subjects that the style data leaves out."""
    return SUBJECTS[1::HELD_OUT_EVERY]


def write_assets(work: Path, assets: Path) -> None:
    """Write `gallery/{style}.png` (32-pixel tiles) and `riso/*.png` (64-pixel pictures named by subject)."""
    tiles = dict(np.load(work / "tiles.npz"))
    (assets / "gallery").mkdir(parents=True, exist_ok=True)
    for style in STYLES:
        small = [Image.fromarray(tile).resize((32, 32), Image.Resampling.BOX) for tile in tiles[f"{style}-64"]]
        sheet(small).save(assets / "gallery" / f"{style}.png", optimize=True)
    folder = assets / "riso"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for slug, tile in zip(SUBJECTS, tiles["noto-64"], strict=True):
        if slug not in held_out():
            printed = (255 * riso(tile.astype(np.float32) / 255)).round().astype(np.uint8)
            Image.fromarray(printed).save(folder / f"{subject_name(slug)}.png", optimize=True)
            if "-" in subject_name(slug):  # a file name's hyphens are read as spaces
                (folder / f"{subject_name(slug)}.txt").write_text(subject_name(slug) + "\n")
    lines = "\n".join(subject_name(slug) for slug in held_out())
    (folder / "HELD_OUT.txt").write_text(lines + "\n")
