"""Time of a TrainLoRA step against a plain PEFT loop on the same model, in the same process.

    python benchmarks/train_step.py [--base FOLDER] [--steps 30] [--batch 8] [--rounds 5]

The plain loop is what one would write by hand: latents and texts precomputed as well, fp32 LoRA on the same layers,
AdamW as torch makes it by default (ours is the fused one), gradient clipping; no checkpoints, events, cancel or seeded
order. Rounds alternate, the median of each side counts, and the ratio is what to read: times alone depend on the
machine and its load. CPU seconds (process time) are given too, because they do not suffer from other jobs. Without
--base, a model of a few million parameters is made up.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from peft import LoraConfig
from PIL import Image

from loragraph.diffusion import families
from loragraph.diffusion.training import data
from loragraph.diffusion.training.config import TrainConfig
from loragraph.diffusion.training.loop import resolve_targets, train

Times = tuple[float, float]


def main() -> None:
    """Parse the command line and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="pipeline folder; a small random one is made without it")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(asked.base) if asked.base else made_up(Path(scratch) / "base")
        pipeline = families.get(families.detect(folder)).load_pipeline(folder)
        items = pictures(Path(scratch), 16)
        config = TrainConfig(steps=asked.steps, batch_size=asked.batch, rank=16, alpha=16.0, checkpoint_every=0)
        found: dict[str, list[Times]] = {"plain": [], "ours": []}
        ours(pipeline, items, config, Path(scratch))  # warm up
        for _ in range(asked.rounds):
            found["plain"].append(plain(pipeline, items, config))
            found["ours"].append(ours(pipeline, items, config, Path(scratch)))
    print(f"{'':8}{'wall ms/step':>14}{'CPU ms/step':>14}")
    medians = {}
    for name, times in found.items():
        medians[name] = [statistics.median(column) * 1000 for column in zip(*times, strict=True)]
        print(f"{name:8}{medians[name][0]:14.2f}{medians[name][1]:14.2f}")
    wall, cpu = (mine / theirs for mine, theirs in zip(medians["ours"], medians["plain"], strict=True))
    print(f"{'ratio':8}{wall:14.3f}{cpu:14.3f}")


def made_up(folder: Path) -> Path:
    """A random model of about 2 M parameters, in the shape of the embedded one."""
    from diffusers import FluxTransformer2DModel

    from loragraph.tests.diffusion.tiny import build_tiny_flux

    build_tiny_flux(folder)
    torch.manual_seed(0)
    FluxTransformer2DModel(
        patch_size=1,
        in_channels=32,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=32,
        num_attention_heads=4,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        guidance_embeds=False,
        axes_dims_rope=(8, 12, 12),
    ).save_pretrained(folder / "transformer")
    return folder


def pictures(folder: Path, count: int) -> list[tuple[str, str]]:
    """Write plain coloured tiles; returns (path, caption)."""
    made = []
    for index in range(count):
        path = folder / f"{index}.png"
        Image.new("RGB", (64, 64), (255 * index // count, 120, 90)).save(path)
        made.append((str(path), f"a cat {index}"))
    return made


def ours(pipeline: Any, items: list[tuple[str, str]], config: TrainConfig, scratch: Path) -> Times:
    """Seconds per step of `train`, from the end of its first step to the end of its last."""
    marks: list[Times] = []
    train(
        pipeline,
        items,
        config,
        checkpoint_dir=scratch / "ours",
        on_step=lambda *_: marks.append((time.perf_counter(), time.process_time())),
        should_stop=lambda: False,
    )
    return per_step(marks)


def plain(pipeline: Any, items: list[tuple[str, str]], config: TrainConfig) -> Times:
    """Seconds per step of the loop one would write by hand."""
    family = families.of(pipeline)
    model = pipeline.transformer
    card = family.card(pipeline)
    length, stride = card.max_sequence_length, family.size_multiple(pipeline)
    prepared = data.prepare(pipeline, family, items, width=card.width, height=card.height, max_length=length)
    targets = resolve_targets(family, model, config.targets)
    model.add_adapter(LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=targets), "plain")
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    image_ids, text_ids = _ids(card.height // stride, card.width // stride), torch.zeros(length, 3)
    marks: list[Times] = []
    for _ in range(config.steps):
        chosen = torch.randint(len(items), (config.batch_size,))
        clean = prepared.latents[chosen]
        noise = torch.randn_like(clean)
        times = torch.sigmoid(torch.randn(config.batch_size))
        mix = times.view(-1, 1, 1)
        rows = prepared.caption[chosen]
        predicted = model(
            hidden_states=(1 - mix) * clean + mix * noise,
            timestep=times,
            pooled_projections=prepared.prompts.pooled[rows],
            encoder_hidden_states=prepared.prompts.tokens[rows],
            txt_ids=text_ids,
            img_ids=image_ids,
            return_dict=False,
        )[0]
        loss = torch.nn.functional.mse_loss(predicted, noise - clean)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, config.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        marks.append((time.perf_counter(), time.process_time()))
    model.unload_lora()
    model.requires_grad_(False)
    return per_step(marks)


def _ids(height: int, width: int) -> torch.Tensor:
    """Positions of the image tokens: (0, row, column)."""
    rows, columns = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return torch.stack([torch.zeros(height * width), rows.flatten(), columns.flatten()], dim=1)


def per_step(marks: list[Times]) -> Times:
    """(wall, CPU) seconds per step between the first mark and the last."""
    (wall, cpu), (wall_end, cpu_end) = marks[0], marks[-1]
    return (wall_end - wall) / (len(marks) - 1), (cpu_end - cpu) / (len(marks) - 1)


if __name__ == "__main__":
    main()
