"""Measure pictures of the embedded model without any other model: which known emoji is it, and is it in the style?

Retrieval compares a picture with every subject's true artwork ("gallery") at 32 pixels by mean squared error; the
answer is the nearest. A small emoji is looked for at every place on the canvas. Pictures are float arrays `[height,
width, 3]` in 0..1.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from . import locate
from .build.subjects import SUBJECTS, subject_name

SLUGS = {subject_name(slug): slug for slug in SUBJECTS}

GALLERY_SIDE = 32
RISO_INKS = np.array([[0.17, 0.12, 0.52], [1.0, 0.42, 0.47], [1.0, 0.955, 0.83]], np.float32)
"""The riso style's gradient: shadows in indigo ink, mid-tones in coral, light on cream paper (RGB, 0..1)."""


def riso(pictures: np.ndarray) -> np.ndarray:
    """Return pictures `[..., 3]` in 0..1 printed in the riso style: a gradient map of their luminance."""
    grey = np.clip(pictures @ np.array([0.299, 0.587, 0.114], np.float32), 0, 1)[..., None]
    low, high = np.clip(1 - 2 * grey, 0, 1), np.clip(2 * grey - 1, 0, 1)
    return low * RISO_INKS[0] + (1 - low - high) * RISO_INKS[1] + high * RISO_INKS[2]


def gallery(style: str) -> np.ndarray:
    """Return the true artwork `[subjects, 32, 32, 3]` in 0..1, in the order of SUBJECTS; `riso` is computed from
    noto."""
    source = "noto" if style == "riso" else style
    sheet = np.asarray(Image.open(locate("gallery") / f"{source}.png").convert("RGB"), np.float32) / 255
    rows, columns = sheet.shape[0] // GALLERY_SIDE, sheet.shape[1] // GALLERY_SIDE
    tiles = (
        sheet.reshape(rows, GALLERY_SIDE, columns, GALLERY_SIDE, 3)
        .swapaxes(1, 2)
        .reshape(-1, GALLERY_SIDE, GALLERY_SIDE, 3)
    )
    tiles = tiles[: len(SUBJECTS)]
    return riso(tiles) if style == "riso" else tiles


def shrink(picture: Image.Image | np.ndarray, side: int = GALLERY_SIDE) -> np.ndarray:
    """Return a picture as `[side, side, 3]` in 0..1."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray((255 * np.clip(picture, 0, 1)).round().astype(np.uint8))
    return np.asarray(picture.convert("RGB").resize((side, side), Image.Resampling.BOX), np.float32) / 255


@dataclass(frozen=True)
class Retrieval:
    """Shares in 0..1: how often the right subject came first, and among the first five; `ranks` per picture (0 is
    first)."""

    top1: float
    top5: float
    ranks: tuple[int, ...]


def summarise(distances: np.ndarray, truth: list[int]) -> Retrieval:
    """Return the retrieval of `distances[picture, subject]` against the true subject of each picture."""
    ranks = [int((row < row[right]).sum()) for row, right in zip(distances, truth, strict=True)]
    return Retrieval(float(np.mean([r == 0 for r in ranks])), float(np.mean([r < 5 for r in ranks])), tuple(ranks))


def retrieve(pictures: Sequence[Image.Image], slugs: Sequence[str], style: str = "noto") -> Retrieval:
    """Return how often a whole-canvas picture is nearest to its own subject among all of them."""
    shelf = gallery(style).reshape(len(SUBJECTS), -1)
    seen = np.stack([shrink(picture) for picture in pictures]).reshape(len(pictures), -1)
    return summarise(squared_distances(seen, shelf), [SUBJECTS.index(slug) for slug in slugs])


def retrieve_anywhere(pictures: Sequence[Image.Image], slugs: Sequence[str], style: str = "noto") -> Retrieval:
    """Like `retrieve` for small emoji (30 of 64 pixels): each subject is tried at every place, on white."""
    half = 32  # The canvas is searched at half its resolution: 32 pixels, the emoji's tile 16.
    tiles = np.stack([shrink(tile, 16) for tile in gallery(style)])
    canvases = []
    for y in range(half - 15):
        for x in range(half - 15):
            canvas = np.ones((len(SUBJECTS), half, half, 3), np.float32)
            canvas[:, y : y + 16, x : x + 16] = tiles
            canvases.append(canvas.reshape(len(SUBJECTS), -1))
    seen = np.stack([shrink(picture, half) for picture in pictures]).reshape(len(pictures), -1)
    best = np.min([squared_distances(seen, canvas) for canvas in canvases], axis=0)
    return summarise(best, [SUBJECTS.index(slug) for slug in slugs])


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)[None]


def style_distance(pictures: Sequence[Image.Image], style: str = "riso") -> float:
    """Return how far the pictures' colours lie from the style's: 0 is in style, 1 as far as the plain noto artwork is.

    It is the distance of each pixel to the nearest colour of the style's gradient, averaged, over that of the noto
    gallery.
    """
    ramp = riso(np.repeat(np.linspace(0, 1, 33, dtype=np.float32)[:, None], 3, axis=1))

    def off_ramp(batch: np.ndarray) -> float:
        pixels = batch.reshape(-1, 3)
        return float(np.mean(np.sqrt(np.maximum(squared_distances(pixels, ramp).min(1), 0))))

    if style != "riso":
        raise ValueError(f"style_distance knows the style 'riso' only, not {style!r}")
    return off_ramp(np.stack([shrink(picture) for picture in pictures])) / off_ramp(gallery("noto"))


def report(folder: Path) -> str:
    """Return a table of what the demo's pictures in `folder` (`without-*.png`, `with-*.png`) show, in figures.

    Pictures without the LoRA are sought in the plain artwork, pictures with it in the same artwork printed in the
    style.
    """
    held_out = set((locate("riso") / "HELD_OUT.txt").read_text().split("\n"))
    lines = [f"{'':28}{'pictures':>9}{'style distance':>16}{'subject first':>15}{'in first five':>15}"]
    for row, style in (("without", "noto"), ("with", "riso")):
        for group, kept_out in (("subjects it was shown", False), ("held-out subjects", True)):
            chosen = [(path, name) for path, name in drawn(folder, row) if (name in held_out) == kept_out]
            if not chosen:
                continue
            pictures = [Image.open(path) for path, _ in chosen]
            found = retrieve(pictures, [SLUGS[name] for _, name in chosen], style)
            label = f"{row}, {group}"
            figures = f"{style_distance(pictures):16.2f}{found.top1:15.0%}{found.top5:15.0%}"
            lines.append(f"{label:30}{len(chosen):>7}{figures}")
    if len(lines) == 1:
        raise FileNotFoundError(f"{folder} holds no without-*.png or with-*.png; run the demo workflow into it first.")
    return "\n".join(lines)


def drawn(folder: Path, row: str) -> list[tuple[Path, str]]:
    """Return (file, subject) for the pictures of one row whose prompt, kept in the PNG, is a known subject."""
    found = []
    for path in sorted(folder.glob(f"{row}-[0-9]*.png")):
        with Image.open(path) as picture:
            prompt = str(getattr(picture, "text", {}).get("prompt", ""))
        if prompt in SLUGS:
            found.append((path, prompt))
    return found


if __name__ == "__main__":
    print(
        "Style distance: 0 is in the riso style, 1 as far from it as the plain emoji. Subject: nearest of all",
        len(SUBJECTS),
    )
    print(report(Path(sys.argv[1])))
