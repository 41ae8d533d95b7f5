"""Measure the model on everything it should draw: retrieval per style, large and small, and a picture to look at."""

from pathlib import Path

import numpy as np
import torch
from diffusers import FluxPipeline
from PIL import Image

from ..measure import retrieve, retrieve_anywhere
from .assemble import CARD
from .speed import log
from .subjects import STYLES, SUBJECTS, caption
from .text import PLACES


@torch.no_grad()
def draw(pipeline: FluxPipeline, prompts: list[str], seed: int = 0, batch: int = 64) -> list[Image.Image]:
    """Return one 64x64 picture for each prompt, in the card's settings; picture i starts from seed + i."""
    pictures: list[Image.Image] = []
    pipeline.set_progress_bar_config(disable=True)
    for start in range(0, len(prompts), batch):
        part = prompts[start : start + batch]
        pictures += pipeline(
            part,
            negative_prompt=[CARD["negative_prompt"]] * len(part),
            true_cfg_scale=CARD["true_cfg_scale"],
            num_inference_steps=CARD["steps"],
            width=CARD["width"],
            height=CARD["height"],
            max_sequence_length=CARD["max_sequence_length"],
            generator=[torch.Generator().manual_seed(seed + start + i) for i in range(len(part))],
        ).images
    return pictures


def sheet(pictures: list[Image.Image], columns: int = 26) -> Image.Image:
    """Return all pictures side by side."""
    tiles = [np.asarray(picture.convert("RGB")) for picture in pictures]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    return Image.fromarray(np.concatenate(rows))


def gate(pipeline: FluxPipeline, work: Path, styles: tuple[str, ...] = STYLES, seed: int = 0) -> dict[str, float]:
    """Measure, log, leave `gate-*.png` in the work folder, and return the shares."""
    figures: dict[str, float] = {}
    slugs = list(SUBJECTS)
    for style in styles:
        pictures = draw(pipeline, [caption(slug, style) for slug in slugs], seed)
        sheet(pictures).save(work / f"gate-{style}.png")
        found = retrieve(pictures, slugs, style)
        figures |= {f"{style}_top1": found.top1, f"{style}_top5": found.top5}
        if style == "noto":
            print("missed:", ", ".join(slug for slug, rank in zip(slugs, found.ranks, strict=True) if rank))
    places = [place for row in PLACES for place in row]
    small = {
        "small": [caption(slug, size="small") for slug in slugs],
        "placed": [caption(slug, size="small", place=places[i % len(places)]) for i, slug in enumerate(slugs)],
    }
    for name, prompts in small.items():
        pictures = draw(pipeline, prompts, seed)
        sheet(pictures).save(work / f"gate-{name}.png")
        found = retrieve_anywhere(pictures, slugs)
        figures |= {f"{name}_top1": found.top1, f"{name}_top5": found.top5}
    log(work, "gate", **{name: round(value, 4) for name, value in figures.items()})
    return figures
