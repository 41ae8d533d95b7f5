"""MergeLoRA: several LoRAs as one file, exactly or at a chosen rank."""

from pathlib import Path
from typing import Annotated

from ..graph_runtime.context import Context
from ..graph_runtime.errors import BadInput
from ..graph_runtime.markers import Choices, Range
from ..graph_runtime.node import node
from ..graph_runtime.values import FileRef, LoRA
from .words import blaming


@node(category="LoRA", version=1, device=True)
def merge_lora(
    loras: tuple[LoRA, ...],
    strengths: tuple[float, ...] = (),
    method: Annotated[str, Choices("concat", "svd")] = "concat",
    rank: Annotated[int, Range(1, 4096)] = 16,
    *,
    ctx: Context,
) -> LoRA:
    """Return one LoRA that adds what `loras`, each at its strength (1 where none is given), add together.

    `concat` is exact, and its rank is the sum of the ranks; `svd` keeps the `rank` strongest directions of each module.
    """
    if not loras:
        raise BadInput("there is no LoRA to merge; wire at least one to `loras`.", field="loras")
    if strengths and len(strengths) != len(loras):
        raise BadInput(
            f"{len(strengths)} strengths for {len(loras)} LoRAs; give one for each, or none.", "strengths", strengths
        )
    families = sorted({lora.family for lora in loras})
    if len(families) > 1:
        raise BadInput(
            f"these LoRAs are for different models: {' and '.join(families)}; merge like with like.", "loras"
        )
    from ..diffusion.lora.files import inspect

    weights = strengths or (1.0,) * len(loras)
    title = " + ".join(f"{lora.title or 'LoRA'} x {weight:g}" for lora, weight in zip(loras, weights, strict=True))
    path = ctx.folder / "merged.safetensors"
    with blaming("loras"):
        kept = _merge([lora.file.path for lora in loras], weights, method, rank, path)
        info = inspect(path)
    if method == "svd":
        ctx.log.info("rank %d keeps %.2f %% of the sum's energy", info.rank, 100 * kept)
    return LoRA(file=FileRef.of(path), family=info.family, rank=info.rank, modules=info.modules, title=title)


def _merge(files: list[str], strengths: tuple[float, ...], method: str, rank: int, path: Path) -> float:
    """Write the merged file; return the share of the sum's energy (squared singular values) that it keeps."""
    from ..diffusion.lora import algebra, weights

    loras = [(weights.load(file), strength) for file, strength in zip(files, strengths, strict=True)]
    if method == "concat":
        weights.save(algebra.concat(loras), path)
        return 1.0
    reduced = algebra.svd(loras, rank)
    weights.save(reduced.lora, path)
    return float(reduced[1])
