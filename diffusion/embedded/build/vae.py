"""Train the autoencoder: 64x64x3 pixels to 16x16x8 latents, on 32-pixel crops of freely recoloured emoji scenes.

Small crops give many updates for the CPU time, and updates were measured to be the bottleneck. Half of the crops get
another background or a whole new colouring, because a LoRA may move the pictures into any palette.
Loss: L1 + MSE + 0.5 * L1 of the image gradients + 1e-4 * KL, on pixels in -1..1.
"""

import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional as F

from .speed import autocast, log

CROP, BATCH, PEAK_RATE = 32, 16, 2e-3
CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (16, 32, 64),
    "layers_per_block": 1,
    "latent_channels": 8,
    "norm_num_groups": 8,
    "sample_size": 64,
    "mid_block_add_attention": False,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}


def recolour(pictures: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Return `[batch, 3, h, w]` pictures in 0..1 with random palettes: gradient maps, channel mixes, tinted paper."""
    out = pictures.clone()
    kind = torch.rand(len(pictures), generator=rng)
    for i, k in enumerate(kind.tolist()):
        if k < 0.5:
            continue
        if k < 0.65:  # a gradient map from two random inks to a random paper
            grey = out[i].mean(0)
            inks = torch.rand(3, 3, generator=rng)
            inks[2] = inks[2] * 0.4 + 0.6 if k < 0.6 else inks[2]
            low, high = (1 - 2 * grey).clamp(0, 1), (2 * grey - 1).clamp(0, 1)
            out[i] = torch.einsum("khw,kc->chw", torch.stack([low, 1 - low - high, high]), inks)
        elif k < 0.8:  # paper of another colour, multiplied in
            out[i] = out[i] * torch.rand(3, 1, 1, generator=rng)
        elif k < 0.92:
            out[i] = out[i][torch.randperm(3, generator=rng)]
        else:
            out[i] = 1 - out[i]
    return out


def crops(tiles: dict[str, np.ndarray], rng: torch.Generator) -> torch.Tensor:
    """Return a batch of random crops `[batch, 3, 32, 32]` in -1..1, cut from tiles of every style and size."""
    names = sorted(tiles)
    pictures = []
    for _ in range(BATCH):
        sheet = tiles[names[int(torch.randint(len(names), (), generator=rng))]]
        tile = sheet[int(torch.randint(len(sheet), (), generator=rng))]
        side = tile.shape[0]
        pad = np.pad(tile, ((8, 8), (8, 8), (0, 0)), constant_values=255)
        y, x = torch.randint(side + 16 - CROP, (2,), generator=rng).tolist()
        crop = pad[y : y + CROP, x : x + CROP]
        pictures.append(crop[:, ::-1].copy() if torch.rand((), generator=rng) < 0.5 else crop)
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return recolour(batch, rng) * 2 - 1


def gradients(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return pictures[..., 1:] - pictures[..., :-1], pictures[..., 1:, :] - pictures[..., :-1, :]


def train_vae(work: Path, steps: int) -> None:
    """Train for `steps` steps in all, resuming from `vae.pt`; writes `vae/` in diffusers' layout at the end."""
    torch.manual_seed(0)
    tiles = dict(np.load(work / "tiles.npz"))
    vae = AutoencoderKL(**CONFIG)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    first = 0
    if (work / "vae.pt").exists():
        state = torch.load(work / "vae.pt", weights_only=True)
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    rng = torch.Generator().manual_seed(first)
    started = time.process_time()
    for step in range(first, steps):
        rate = PEAK_RATE * min(1, (step + 1) / 200) * (0.03 + 0.97 * (1 - step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = crops(tiles, rng)
        with autocast():
            posterior = vae.encode(batch).latent_dist
            decoded = vae.decode(posterior.sample()).sample
        decoded = decoded.float()
        loss = F.l1_loss(decoded, batch) + F.mse_loss(decoded, batch) + 1e-4 * posterior.kl().mean() / (CROP * CROP)
        loss = loss + 0.5 * sum(F.l1_loss(a, b) for a, b in zip(gradients(decoded), gradients(batch), strict=True))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 250 == 0 or step + 1 == steps:
            quality = psnr(vae, tiles)
            log(
                work,
                "vae",
                step=step + 1,
                loss=round(loss.item(), 4),
                psnr=round(quality, 2),
                cpu=round(time.process_time() - started),
            )
            torch.save(
                {"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}, work / "vae.pt"
            )
    vae.save_pretrained(work / "vae")


@torch.no_grad()
def psnr(vae: AutoencoderKL, tiles: dict[str, np.ndarray], count: int = 24) -> float:
    """Return the reconstruction quality in dB over the first whole-canvas tiles (pixels in 0..1)."""
    pictures = np.concatenate([tiles["noto-64"][:count], tiles["flat-64"][:count]])
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    decoded = vae.decode(vae.encode(batch).latent_dist.mean).sample.clamp(-1, 1)
    return float(-10 * torch.log10(F.mse_loss(decoded, batch) / 4))
