"""Encode every tile once, and compose training canvases by pasting tiles' latents onto white, on the latent grid.

Pasting in latent space costs nothing, so there are endless scenes; the emoji sit on white with a margin, where
pasting and encoding agree. Latents are normalised to mean 0 and variance 1 with the two numbers that `vae.config`
records.
"""

import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from .subjects import STYLES, SUBJECTS
from .text import place_name, single_caption

CANVAS, STRIDE = 64, 4
CELLS = CANVAS // STRIDE
TOKEN = 2
"""Latent cells per token: places are whole tokens, so that a moved emoji is the same tokens, moved."""
STYLE_SHARES = (0.43, 0.33, 0.24)
# What a training canvas shows: one emoji filling it, a slightly smaller one moved about, a small one anywhere, two
# small ones.
KINDS = {"full": 0.36, "large": 0.1, "small": 0.42, "two": 0.12}


@torch.no_grad()
def encode_tiles(work: Path) -> None:
    """Write `latents.pt`: {"noto-64": [subjects, 8, 16, 16], ..., "white": [8, 16, 16], "shift", "scale"}."""
    vae = AutoencoderKL.from_pretrained(work / "vae").eval()
    tiles = dict(np.load(work / "tiles.npz"))
    latents: dict[str, torch.Tensor] = {}
    for name, sheet in tiles.items():
        side = sheet.shape[1]
        margin = 0 if side == CANVAS else 16
        padded = np.pad(sheet, ((0, 0), (margin, margin), (margin, margin), (0, 0)), constant_values=255)
        batch = torch.from_numpy(padded).permute(0, 3, 1, 2).float() / 127.5 - 1
        encoded = torch.cat([vae.encode(part).latent_dist.mean for part in batch.split(64)])
        cut = margin // STRIDE
        latents[name] = encoded[:, :, cut : cut + side // STRIDE, cut : cut + side // STRIDE].clone()
    latents["white"] = vae.encode(torch.ones(1, 3, CANVAS, CANVAS)).latent_dist.mean[0]
    everything = torch.cat([latents[f"{style}-64"].flatten() for style in STYLES])
    shift, scale = float(everything.mean()), 1 / float(everything.std())
    state: dict[str, object] = {name: (value - shift) * scale for name, value in latents.items()}
    torch.save({**state, "shift": shift, "scale": scale}, work / "latents.pt")


def compose(latents: dict[str, torch.Tensor], rng: random.Random) -> tuple[torch.Tensor, str, str]:
    """Return one training example: canvas latents `[8, 16, 16]`, its caption, and its kind (a key of KINDS)."""
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    style = rng.choices(STYLES, STYLE_SHARES)[0]
    subject = rng.randrange(len(SUBJECTS))
    if kind == "full":
        return latents[f"{style}-64"][subject], single_caption(rng, SUBJECTS[subject], style), kind
    canvas = latents["white"].clone()
    if kind == "two":
        other = rng.randrange(len(SUBJECTS))
        boxes = rng.choice([((0, 0), (0, 8)), ((0, 0), (8, 0))])
        captions = []
        for (top, left), which in zip(boxes, (subject, other), strict=True):
            # Each half of the canvas (16x8 or 8x16 cells) holds one; it slides along the half's long side.
            along = rng.randrange(0, 9, TOKEN)
            y, x = (along, left) if boxes[1][1] else (top, along)
            canvas[:, y : y + 8, x : x + 8] = latents[f"{style}-32"][which]
            captions.append(single_caption(rng, SUBJECTS[which], "noto"))
        join = " left of " if boxes[1][1] else " above "
        text = (captions[0] + join + captions[1]) if rng.random() < 0.5 else " and ".join(rng.sample(captions, 2))
        return canvas, ("" if style == "noto" else f"{style} style ") + text, kind
    side = 56 if kind == "large" else 32
    cells = side // STRIDE
    room = CELLS - cells
    y, x = (rng.randrange(0, room + 1, TOKEN) for _ in range(2))
    canvas[:, y : y + cells, x : x + cells] = latents[f"{style}-{side}"][subject]
    place = place_name(y, x, room) if rng.random() < 0.6 else ""
    return canvas, single_caption(rng, SUBJECTS[subject], style, kind, place), kind
