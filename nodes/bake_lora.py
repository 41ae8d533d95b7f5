"""BakeLoRA: write the adapters of a base into its weights."""

from ..graph_runtime.context import Context
from ..graph_runtime.fingerprints import fingerprint
from ..graph_runtime.node import node
from ..graph_runtime.values import Base
from .models import adapters_of
from .words import blaming


@node(category="LoRA", version=1, device=True)
def bake_lora(base: Base, *, ctx: Context) -> Base:
    """Return a base of the same kind with the adapters' deltas added to its weights, as a diffusers pipeline folder.

    The sum is made in float32 and rounded once to the base's dtype.
    """
    if not base.adapters:
        return base
    from ..diffusion.lora.bake import bake

    def on_progress(written: int, total: int) -> None:
        ctx.check_cancel()
        ctx.progress(written >> 10, total >> 10, "KiB")

    folder = ctx.folder / "baked"
    with blaming("base", base.source):
        bake(base.path, adapters_of(base), folder, base.dtype, on_progress)
    names = " + ".join(f"{item.lora.title or 'LoRA'} x {item.strength:g}" for item in base.adapters)
    return Base(
        source=f"{base.source} + {names}",
        path=str(folder),
        fingerprint=fingerprint(folder),
        family=base.family,
        dtype=base.dtype,
    )
