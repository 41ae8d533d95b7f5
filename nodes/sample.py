"""Sample: draw pictures with a base and the adapters on it."""

from pathlib import Path
from typing import Annotated, Any

from ..graph_runtime.context import Context
from ..graph_runtime.errors import BadInput
from ..graph_runtime.markers import Multiline, Range, Seed
from ..graph_runtime.node import node
from ..graph_runtime.values import Adapter, Base, FileRef, Images, Picture
from .models import adapters_of, check_schedules, pipeline_of
from .words import blaming


@node(category="Image", version=1, device=True)
def sample(
    base: Base,
    prompt: Annotated[str, Multiline()],
    negative_prompt: str = "",
    seed: Annotated[int, Seed()] = 0,
    steps: Annotated[int, Range(0, 1000)] = 0,
    guidance: Annotated[float, Range(0, 100, step=0.1)] = 0.0,
    width: Annotated[int, Range(0, 8192, step=8)] = 0,
    height: Annotated[int, Range(0, 8192, step=8)] = 0,
    count: Annotated[int, Range(1, 1000)] = 1,
    batch_size: Annotated[int, Range(1, 256)] = 8,
    *,
    ctx: Context,
) -> Images:
    """Return `count` pictures for each line of `prompt`.

    Picture number i is drawn from seed + i, whatever the batch size. For steps, guidance, width and height, 0 means the
    model's own; an empty negative prompt does too.
    """
    written = [line.strip() for line in prompt.splitlines() if line.strip()]
    if not written:
        raise BadInput("the prompt is empty; write one prompt on each line.", field="prompt", value=prompt)
    prompts = [line for line in written for _ in range(count)]
    lines = [number for number in range(1, len(written) + 1) for _ in range(count)]
    adapters = adapters_of(base, lines)
    if steps:
        check_schedules(base, steps)  # before the weights are loaded, where that can be
    family, pipeline = pipeline_of(base, ctx)
    steps_drawn = steps or family.card(pipeline).steps
    check_schedules(base, steps_drawn)
    from ..diffusion import sampling

    last: list[Path] = []

    def on_step(step: int, total: int, latents: Any) -> None:
        ctx.check_cancel()
        ctx.progress(step, total, preview=last[-1] if last else None)

    def on_preview(first: int, half_drawn: list[Any]) -> None:
        path = ctx.scratch / f"preview-{len(last):04d}.png"
        half_drawn[0].save(path)
        last.append(path)

    with blaming("base", base.source):
        drawn = sampling.sample(
            pipeline,
            family,
            prompts,
            seed=seed,
            steps=steps,
            guidance=guidance or None,
            width=width,
            height=height,
            negative=negative_prompt or None,
            batch=batch_size,
            adapters=adapters,
            on_step=on_step,
            preview=on_preview,
        )
    settings: dict[str, Any] = {
        "base": base.source,
        "dtype": base.dtype,
        "negative_prompt": negative_prompt,
        "steps": steps_drawn,
        "guidance": guidance,
    }
    pictures = [_keep(image, ctx.folder / f"{i:04d}.png") for i, image in enumerate(drawn)]
    return Images(
        items=tuple(
            Picture(
                file=FileRef.of(path),
                width=w,
                height=h,
                caption=prompts[i],
                settings={**settings, "seed": seed + i, "loras": _about(base, lines[i])},
            )
            for i, (path, w, h) in enumerate(pictures)
        )
    )


def _about(base: Base, line: int) -> list[Any]:
    """Return what a picture of a line says of the LoRAs that it was drawn with."""
    return [_told(adapter) for adapter in base.adapters if not adapter.lines or line in adapter.lines]


def _told(adapter: Adapter) -> dict[str, Any]:
    lora = adapter.lora
    about: dict[str, Any] = {"title": lora.title, "sha256": lora.file.sha256, "strength": adapter.strength}
    if adapter.blocks:
        about["blocks"] = adapter.blocks
    if adapter.schedule is not None:
        about["schedule"] = adapter.schedule.model_dump()
    return about


def _keep(image: Any, path: Path) -> tuple[Path, int, int]:
    image.save(path)
    return path, image.width, image.height
