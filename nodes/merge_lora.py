"""MergeLoRA: several LoRAs as one file, exactly, or by a method that keeps the strongest or the agreeing part."""

from typing import Annotated

from ..graph_runtime.context import Context
from ..graph_runtime.errors import BadInput
from ..graph_runtime.markers import Advanced, Choices, Range, Seed
from ..graph_runtime.node import Settings, node
from ..graph_runtime.values import LoRA
from .lora_values import counting, lora_of, warn
from .words import blaming

METHODS = ("concat", "svd", "magnitude", "ties", "dare", "dare_ties", "knots")


def _from_version_1(settings: Settings) -> Settings:
    """`rank` was 16 where it wasn't given, and `concat` took no notice of it."""
    if settings.get("method", "concat") == "concat":
        return {name: value for name, value in settings.items() if name != "rank"}
    return {"rank": 16, **settings}


@node(category="LoRA", version=2, upgrades={1: _from_version_1}, device=True)
def merge_lora(
    loras: tuple[LoRA, ...],
    strengths: tuple[float, ...] = (),
    method: Annotated[str, Choices(*METHODS)] = "concat",
    rank: Annotated[int, Range(0, 4096)] = 0,
    density: Annotated[float, Range(0, 1, step=0.05), Advanced()] = 0.5,
    seed: Annotated[int, Seed(), Advanced()] = 0,
    normalize: Annotated[bool, Advanced()] = False,
    blocks: Annotated[tuple[str, ...], Advanced()] = (),
    *,
    ctx: Context,
) -> LoRA:
    """Return one LoRA that adds what `loras`, each at its strength (1 where none is given), add together.

    `method`: concat is the exact sum; svd its strongest directions; magnitude, ties, dare, dare_ties and knots keep
    the largest, the agreeing, or randomly chosen parts. `rank` 0 keeps every direction that the method leaves; concat
    takes no other. `density` is the share of entries that magnitude, ties, dare, dare_ties and knots keep. `seed` is
    for dare and dare_ties. `normalize` makes a mean of the sum: it divides by the strengths of those LoRAs that take
    part. `blocks` holds a line of block strengths for each LoRA, for example "transformer_blocks.0-5=0.5".
    """
    if not loras:
        raise BadInput("there is no LoRA to merge; wire at least one to `loras`.", field="loras")
    if strengths and len(strengths) != len(loras):
        raise BadInput(
            f"{len(strengths)} strengths for {len(loras)} LoRAs; give one for each, or none.", "strengths", strengths
        )
    if len(blocks) > len(loras):
        raise BadInput(
            f"{len(blocks)} lines of blocks for {len(loras)} LoRAs; give at most one each.", "blocks", blocks
        )
    if method == "concat" and rank:
        raise BadInput("concat is exact, so its rank follows; use svd to choose one, or leave rank at 0.", "rank", rank)
    families = sorted({lora.family for lora in loras if lora.family})
    if len(families) > 1:
        raise BadInput(
            f"these LoRAs are for different models: {' and '.join(families)}; merge like with like.", "loras"
        )
    from ..diffusion.lora import jobs

    weights = strengths or (1.0,) * len(loras)
    title = " + ".join(f"{lora.title or 'LoRA'} x {weight:g}" for lora, weight in zip(loras, weights, strict=True))
    with blaming("loras", called={"dialect": "loras", "strength": "strengths"}):
        merged = jobs.merge_files(
            [
                jobs.Source(lora.file.path, weight, lora.alpha, lora.partial)
                for lora, weight in zip(loras, weights, strict=True)
            ],
            ctx.folder / "merged.safetensors",
            method,
            rank=rank or None,
            density=density,
            seed=seed,
            normalize=normalize,
            blocks=(*blocks, *("" for _ in loras[len(blocks) :])),
            on_progress=counting(ctx, "modules"),
        )
    warn(ctx, merged.warnings)
    if merged.energy < 1:
        ctx.log.info("rank %d keeps %.2f %% of the sum's energy", merged.info.rank, 100 * merged.energy)
    return lora_of(merged.path, merged.info, title)
