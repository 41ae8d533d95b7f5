"""Fetch the pinned artwork and draw it as tiles: `tiles.npz` with one uint8 array `[subject, side, side, 3]` per
style and size.

Sizes are the side of the tile in pixels with the emoji nearly filling it: 64 (the whole canvas), 56 and 32. They are
multiples of 4, the autoencoder's stride, so that a tile's latents can be pasted anywhere on a canvas's latent grid.
"""

import io
import json
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from .subjects import SUBJECTS

NPM_PACKAGES = ("@iconify-json/noto@1.2.9", "@iconify-json/fluent-emoji-flat@1.2.6")
SETS = {"noto": "noto", "flat": "fluent-emoji-flat"}
TILES = {64: 60, 56: 52, 32: 30}  # tile side -> emoji side, both in pixels
PENCIL_DARKNESS, PENCIL_EDGES = 0.8, 1.4


def fetch(work: Path) -> None:
    """Install the pinned icon packages (pure data, no install scripts) below `work`."""
    work.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(work), *NPM_PACKAGES]
    subprocess.run(command, check=True)


def draw(svg_body: str, box: int, side: int) -> np.ndarray:
    """Rasterise one icon on white: uint8 `[side, side, 3]`, downsampled from four times the size."""
    import resvg_py

    size = f'viewBox="0 0 {box} {box}" width="{4 * side}" height="{4 * side}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{svg_body}</svg>'
    picture = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return np.asarray(white.convert("RGB").resize((side, side), Image.Resampling.LANCZOS))


def pencil(picture: np.ndarray) -> np.ndarray:
    """Return the picture as a soft pencil drawing: grey tones, with darker strokes where the colours change."""
    smooth = picture.astype(np.float32) / 255
    grey = smooth @ np.array([0.299, 0.587, 0.114], np.float32)
    padded = np.pad(smooth, ((1, 1), (1, 1), (0, 0)), mode="edge")
    across = np.abs(padded[1:-1, 2:] - padded[1:-1, :-2]).max(-1)
    down = np.abs(padded[2:, 1:-1] - padded[:-2, 1:-1]).max(-1)
    ink = PENCIL_DARKNESS * (1 - grey) ** 1.3 + PENCIL_EDGES * 0.3 * np.maximum(across, down)
    return np.repeat((255 * np.clip(1 - ink, 0, 1)).astype(np.uint8)[..., None], 3, axis=-1)


def raster(work: Path) -> None:
    """Draw every subject in every style at every tile size and save `tiles.npz`."""
    tiles: dict[str, list[np.ndarray]] = {}
    for style, name in SETS.items():
        icons = json.loads((work / "node_modules" / "@iconify-json" / name / "icons.json").read_text())
        box = icons.get("width", 16)
        for slug in SUBJECTS:
            for tile, side in TILES.items():
                canvas = np.full((tile, tile, 3), 255, np.uint8)
                edge = (tile - side) // 2
                canvas[edge : edge + side, edge : edge + side] = draw(icons["icons"][slug]["body"], box, side)
                tiles.setdefault(f"{style}-{tile}", []).append(canvas)
                if style == "noto":
                    tiles.setdefault(f"pencil-{tile}", []).append(pencil(canvas))
    np.savez_compressed(work / "tiles.npz", **{name: np.stack(pictures) for name, pictures in tiles.items()})
