"""TrainLoRA: learn a LoRA from captioned pictures."""

from pathlib import Path
from typing import Annotated, Any

from ..graph_runtime.context import Context
from ..graph_runtime.errors import BadInput, Cancelled
from ..graph_runtime.markers import Choices, Multiline, Range, Seed
from ..graph_runtime.node import node
from ..graph_runtime.values import Base, Dataset, FileRef, LoRA
from .lora_values import lora_of
from .models import adapters_of, pipeline_of, steady
from .words import blaming


@node(category="Training", version=1, device=True)
def train_lora(
    base: Base,
    dataset: Dataset,
    rank: Annotated[int, Range(1, 1024)] = 8,
    alpha: Annotated[float, Range(0, 4096)] = 0.0,
    targets: tuple[str, ...] = ("default",),
    steps: Annotated[int, Range(1, 1_000_000)] = 300,
    batch_size: Annotated[int, Range(1, 1024)] = 8,
    learning_rate: Annotated[float, Range(0, 1)] = 1e-3,
    warmup: Annotated[int, Range(0, 1_000_000)] = 10,
    seed: Annotated[int, Seed()] = 0,
    gradient_clip: Annotated[float, Range(0, 1000)] = 1.0,
    caption_dropout: Annotated[float, Range(0, 1, step=0.01)] = 0.05,
    weight_decay: Annotated[float, Range(0, 1)] = 0.0,
    timestep_sampling: Annotated[str, Choices("logit_normal", "uniform", "shifted")] = "logit_normal",
    width: Annotated[int, Range(0, 8192, step=8)] = 0,
    height: Annotated[int, Range(0, 8192, step=8)] = 0,
    mixed_precision: Annotated[str, Choices("no", "bf16")] = "no",
    gradient_checkpointing: bool = False,
    checkpoint_every: Annotated[int, Range(0, 1_000_000)] = 50,
    preview_every: Annotated[int, Range(0, 1_000_000)] = 0,
    preview_prompt: Annotated[str, Multiline()] = "",
    *,
    ctx: Context,
) -> LoRA:
    """Train a LoRA of the base on the data set; the same seed gives the same weights, interrupted or not.

    The base, with the adapters already on it, stays frozen. `alpha` 0 means the rank (a scale of 1); `targets` are
    groups of modules (default, attention, feed_forward, all) or patterns; width and height 0 mean the model's own size.
    After `warmup` steps the learning rate falls along a cosine. A preview draws each line of `preview_prompt`.
    """
    from ..diffusion.errors import TrainingStopped
    from ..diffusion.lora import reading
    from ..diffusion.training.config import TrainConfig

    if not dataset.items:
        raise BadInput("the data set holds no picture; load a folder with some.", field="dataset")
    prompts = tuple(line.strip() for line in preview_prompt.splitlines() if line.strip())
    if preview_every and not prompts:
        raise BadInput(
            "previews need something to draw; write a prompt, or set preview_every to 0.",
            "preview_prompt",
            preview_prompt,
        )
    steady(base, "trained on")
    config = TrainConfig(
        rank=rank,
        alpha=alpha or float(rank),
        targets=targets,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup=warmup,
        seed=seed,
        gradient_clip=gradient_clip,
        caption_dropout=caption_dropout,
        weight_decay=weight_decay,
        timestep_sampling=timestep_sampling,
        width=width,
        height=height,
        mixed_precision=mixed_precision,
        gradient_checkpointing=gradient_checkpointing,
        checkpoint_every=checkpoint_every,
        preview_every=preview_every,
        preview_prompts=prompts,
    )
    with blaming("steps", steps):
        config.check()
    for item in dataset.items:
        _unchanged(item.file)
    _, pipeline = pipeline_of(base, ctx)
    from ..diffusion.training.loop import train

    reports = _Reports(ctx)
    if any(ctx.scratch.iterdir()):
        ctx.log.info("an earlier attempt left a checkpoint; going on from there")
    path = ctx.folder / "lora.safetensors"
    try:
        with blaming("dataset", dataset.root):
            train(
                pipeline,
                [(item.file.path, item.caption) for item in dataset.items],
                config,
                checkpoint_dir=ctx.scratch,
                out=path,
                adapters=adapters_of(base),
                on_step=reports.step,
                on_preview=reports.preview,
                should_stop=reports.should_stop,
            )
    except TrainingStopped as stopped:
        raise Cancelled(str(stopped)) from stopped
    return lora_of(path, reading.inspect(path), f"rank {rank}, {steps} steps")


def _unchanged(file: FileRef) -> None:
    """Refuse a picture that was edited after it was listed: the result would be kept under the old one's key."""
    try:
        same = FileRef.of(file.path).sha256 == file.sha256
    except OSError as error:
        raise BadInput(f"{file.path} can't be read any more ({error.strerror}).", "dataset", file.path) from error
    if not same:
        raise BadInput(f"{file.path} was changed while the workflow ran; run it again.", "dataset", file.path)


class _Reports:
    """Carries what the training loop says to the context."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.shown: Path | None = None

    def step(self, step: int, total: int, loss: float, rate: float) -> None:
        self.ctx.metric("loss", loss, step)
        self.ctx.metric("learning_rate", rate, step)
        self.ctx.progress(step, total, preview=self.shown)

    def preview(self, step: int, pictures: list[Any]) -> None:
        from PIL import Image

        width, height = pictures[0].size
        row = Image.new("RGB", (width * len(pictures), height))
        for index, picture in enumerate(pictures):
            row.paste(picture, (index * width, 0))
        self.shown = self.ctx.folder / f"preview-{step:06d}.png"
        row.save(self.shown)

    def should_stop(self) -> bool:
        """Stop at a step's beginning, so that the loop can write its checkpoint first."""
        try:
            self.ctx.check_cancel()
        except Cancelled:
            return True
        return False
