"""Drawing pictures.

    pictures = sample(pipeline, family, ["a red apple"], seed=0, adapters=[(path, sha256, 0.8)])

Picture i is drawn from its own generator, seeded with seed + i, so it starts from the same noise in whatever batch it
is drawn. The stock pipeline does the drawing: its user gets the same pixels with the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL.Image import Image

from .adapters import AnyUse, applied, engine_of
from .errors import SettingError
from .families import Family

OnStep = Callable[[int, int, torch.Tensor], None]
OnPreview = Callable[[int, list[Image]], None]


def sample(
    pipeline: Any,
    family: Family,
    prompts: Sequence[str],
    *,
    seed: int = 0,
    steps: int = 0,
    guidance: float | None = None,
    width: int = 0,
    height: int = 0,
    negative: str | None = None,
    batch: int = 8,
    adapters: Sequence[AnyUse] = (),
    on_step: OnStep | None = None,
    preview: OnPreview | None = None,
    preview_every: int = 4,
) -> list[Image]:
    """Return one picture per prompt, in order.

    Args:
        seed: picture i uses seed + i. steps, width, height: 0 means the model's own (its card). Sizes in pixels.
        guidance, negative: None means the model's own. batch: pictures drawn at once.
        adapters: `adapters.Use`, or (path, sha256, strength); the pipeline is back to the bare base afterwards. Each
            may have a schedule over the steps, and may be for some of the prompts only.
        on_step: called with (steps done, steps in all over all batches, packed latents); may raise to stop.
        preview: called every `preview_every` steps with (index of the batch's first picture, half-drawn pictures).

    Raises:
        SettingError: a size that the model cannot draw, or a number out of range.
        LoraFileError, LoraMismatch: see `adapters`.
    """
    with applied(pipeline, adapters, len(prompts)):
        return draw(
            pipeline,
            family,
            prompts,
            seed=seed,
            steps=steps,
            guidance=guidance,
            width=width,
            height=height,
            negative=negative,
            batch=batch,
            on_step=on_step,
            preview=preview,
            preview_every=preview_every,
        )


def draw(
    pipeline: Any,
    family: Family,
    prompts: Sequence[str],
    *,
    seed: int = 0,
    steps: int = 0,
    guidance: float | None = None,
    width: int = 0,
    height: int = 0,
    negative: str | None = None,
    batch: int = 8,
    on_step: OnStep | None = None,
    preview: OnPreview | None = None,
    preview_every: int = 4,
) -> list[Image]:
    """`sample` with the adapters left as they are; the caller holds the pipeline's lock."""
    card = family.card(pipeline)
    steps, width, height = steps or card.steps, width or card.width, height or card.height
    check_size(family, pipeline, width, height)
    if not 0 <= seed <= 2**63 - 1 - len(prompts):
        raise SettingError("seed", seed, f"use a whole number from 0 to {2**63 - 1 - len(prompts)}.")
    if steps < 1:
        raise SettingError("steps", steps, "use at least 1.")
    batch = max(1, batch)
    firsts = range(0, len(prompts), batch)
    total = steps * len(firsts)
    pictures: list[Image] = []
    engine = engine_of(pipeline)
    for part, first in enumerate(firsts):
        chosen = list(prompts[first : first + batch])

        def report(step: int, latents: torch.Tensor, part: int = part, first: int = first) -> None:
            if step < steps:
                engine.step(step, steps)
            if on_step is not None:
                on_step(part * steps + step, total, latents)
            if preview is not None and step % preview_every == 0 and step < steps:
                preview(first, family.decode_latents(pipeline, latents, width, height))

        engine.batch(range(first, first + len(chosen)))
        engine.step(0, steps)
        try:
            pictures += family.draw(
                pipeline,
                chosen,
                seeds=[seed + first + index for index in range(len(chosen))],
                steps=steps,
                guidance=guidance,
                width=width,
                height=height,
                negative=negative,
                on_step=report,
            )
        finally:
            engine.rest()
    return pictures


def check_size(family: Family, pipeline: Any, width: int, height: int) -> None:
    """Raise SettingError unless both sizes are multiples of what the model can draw."""
    multiple = family.size_multiple(pipeline)
    for name, value in (("width", width), ("height", height)):
        if value < multiple or value % multiple:
            near = max(multiple, round(value / multiple) * multiple)
            raise SettingError(name, value, f"this model draws multiples of {multiple} pixels; {near} is the nearest.")
