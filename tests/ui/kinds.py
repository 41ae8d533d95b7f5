"""Nodes for the page's tests: one with a setting of every kind, and one that runs until it is cancelled."""

import time
from typing import Annotated

from loragraph.graph_runtime import Choices, Context, Multiline, Range, Seed, Slider, node


@node(category="Test", cache=False)
def everything(
    needed: str,
    strength: Annotated[float, Range(-4, 4, step=0.05), Slider()] = 1.0,
    rank: Annotated[int, Range(1, 64)] = 8,
    seed: Annotated[int, Seed()] = 0,
    method: Annotated[str, Choices("concat", "svd")] = "concat",
    bits: Annotated[int, Choices(8, 16)] = 16,
    fast: bool = False,
    prompt: Annotated[str, Multiline()] = "",
    titles: tuple[str, ...] = (),
    strengths: tuple[float, ...] = (),
) -> None:
    """Do nothing with a setting of every kind."""


@node(category="Test", cache=False)
def endless(*, ctx: Context) -> None:
    """Report a falling loss until cancelled."""
    for step in range(1, 10_000):
        ctx.check_cancel()
        ctx.metric("loss", 1 / step, step)
        ctx.progress(step, 10_000, "going on")
        time.sleep(0.01)
