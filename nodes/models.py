"""Weights for the nodes that need them: one pipeline for each base, shared through the context's model cache."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..graph_runtime.context import Context
from ..graph_runtime.errors import BadInput
from ..graph_runtime.values import Adapter, Base
from .words import blaming

if TYPE_CHECKING:
    from ..diffusion.adapters import Schedule, Use


def pipeline_of(base: Base, ctx: Context) -> tuple[Any, Any]:
    """Return (family, pipeline) of the base on the context's device; the pipeline carries no adapter of ours yet.

    Bases that differ in their adapters alone share one pipeline.
    """
    from ..diffusion import families

    family = families.get(base.family)
    key = ("pipeline", base.fingerprint, base.dtype, ctx.device)
    with blaming("base", base.source):
        return family, ctx.models.get(key, lambda: family.load_pipeline(base.path, base.dtype, ctx.device))


def adapters_of(base: Base, lines: Sequence[int] = ()) -> "list[Use]":
    """Return what `diffusion` takes as adapters, in the order they were applied.

    `lines` says for each prompt that will be drawn which line it is, counted from 1; BadInput where an adapter is for
    a line that isn't among them.
    """
    from ..diffusion.adapters import Use

    return [
        Use(
            adapter.lora.file.path,
            adapter.lora.file.sha256,
            adapter.strength,
            blocks=adapter.blocks,
            schedule=_schedule(adapter),
            lines=_prompts(adapter, lines),
            alpha=adapter.lora.alpha,
            partial=adapter.lora.partial,
        )
        for adapter in base.adapters
    ]


def check_schedules(base: Base, steps: int) -> None:
    """Raise BadInput for an adapter whose schedule falls between two of the sampling steps, so that it is never on."""
    for adapter in base.adapters:
        schedule = _schedule(adapter)
        if schedule is not None and (missed := schedule.missed(steps)):
            remedy = "Change `start` or `end` where it is applied, or draw in more steps."
            raise BadInput(f'the LoRA "{name_of(adapter)}" {missed} {remedy}', "base")


def steady(base: Base, task: str) -> Base:
    """Return the base if its adapters are always on; BadInput names one that is on for some steps or prompts only.

    `task` ends the sentence "it can't be …".
    """
    for adapter in base.adapters:
        parts = (
            "some of the sampling steps" if adapter.schedule else "some lines of the prompt" if adapter.lines else ""
        )
        if parts:
            remedy = "Apply it without start, end, end_strength and lines."
            raise BadInput(f'the LoRA "{name_of(adapter)}" is for {parts}, so it can\'t be {task}. {remedy}', "base")
    return base


def name_of(adapter: Adapter) -> str:
    """Return what an adapter is called: the title of its LoRA."""
    return adapter.lora.title or "LoRA"


def _schedule(adapter: Adapter) -> "Schedule | None":
    if adapter.schedule is None:
        return None
    from ..diffusion.adapters import Schedule

    return Schedule(**adapter.schedule.model_dump())


def _prompts(adapter: Adapter, lines: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers, from 0, of the prompts that the adapter is for; none means all of them."""
    for line in adapter.lines:
        if line not in lines:
            count = max(lines, default=0)
            there = f"the prompt has {count} line{'s' * (count != 1)}"
            raise BadInput(
                f'the LoRA "{name_of(adapter)}" is for line {line}, but {there}; change `lines` where it is applied.',
                "base",
            )
    return tuple(number for number, line in enumerate(lines) if line in adapter.lines)
