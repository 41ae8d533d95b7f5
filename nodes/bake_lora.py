"""BakeLoRA: write the adapters of a base into its weights."""

from pathlib import Path
from typing import Annotated

from ..graph_runtime.context import Context
from ..graph_runtime.fingerprints import fingerprint
from ..graph_runtime.markers import Choices
from ..graph_runtime.node import Settings, node
from ..graph_runtime.values import Base
from .models import adapters_of, name_of, steady
from .words import blaming

AS_STORED, AS_LOADED = "as stored", "as loaded"


def _from_version_1(settings: Settings) -> Settings:
    """Weights were written in the dtype that the base is loaded in."""
    return {"dtype": AS_LOADED, **settings}


@node(category="LoRA", version=2, upgrades={1: _from_version_1}, device=True)
def bake_lora(
    base: Base,
    dtype: Annotated[str, Choices(AS_STORED, AS_LOADED, "float32", "float16", "bfloat16")] = AS_STORED,
    *,
    ctx: Context,
) -> Base:
    """Return a base of the same kind with the adapters' changes added to its weights; nothing of them is loaded whole.

    Sums are made in float32 and rounded once. `dtype`: each weight as it is stored, all as the base is loaded, or one
    of the three.
    """
    if not base.adapters:
        return base
    steady(base, "baked into the weights")
    from ..diffusion.lora.bake import bake

    def on_progress(written: int, total: int) -> None:
        ctx.check_cancel()
        ctx.progress(written >> 10, total >> 10, "KiB")

    chosen = {AS_STORED: None, AS_LOADED: base.dtype}.get(dtype, dtype)
    source = Path(base.path)
    baked = ctx.folder / ("baked" if source.is_dir() else "baked.safetensors")
    with blaming("base", base.source, {"out": "base"}):  # a full disk, say
        bake(base.path, adapters_of(base), baked, chosen, on_progress)
    names = " + ".join(f"{name_of(item)} x {item.strength:g}" for item in base.adapters)
    return Base(
        source=f"{base.source} + {names}",
        path=str(baked),
        fingerprint=fingerprint(baked),
        family=base.family,
        dtype=base.dtype,
    )
