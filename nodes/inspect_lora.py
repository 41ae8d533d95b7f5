"""InspectLoRA and CompareLoRA: what is in LoRA files, as tables and a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..graph_runtime.context import Context
from ..graph_runtime.node import node
from ..graph_runtime.values import FileRef, Images, LoRA, Picture, Table
from .lora_values import counting, title_of, warn
from .words import blaming

if TYPE_CHECKING:
    from ..diffusion.lora.compare import Comparison
    from ..diffusion.lora.report import Row


REPORT = (
    "module",
    "dim",
    "rank up to",
    "alpha",
    "scale",
    "norm",
    "largest",
    "stable rank",
    "effective rank",
    "95 % rank",
    "kind",
    "shape",
    "dtype",
)
"""Columns of InspectLoRA's table; "largest" is the largest singular value, "95 % rank" keeps as much of the energy.
"dim" is the rank of the factors of LoHa and LoKr, whose product has a higher one; where all are plain pairs the two are
one column, "rank"."""

ALIKE = {
    "cosine": "cosine",
    "outputs": "outputs",
    "outputs by chance": "chance_outputs",
    "inputs": "inputs",
    "inputs by chance": "chance_inputs",
    "norm a": "norm_a",
    "norm b": "norm_b",
    "b / a": "ratio",
    "rank a": "rank_a",
    "rank b": "rank_b",
}
"""Columns of CompareLoRA's table, and what `Comparison` calls them."""


class Inspected(NamedTuple):
    """A row for each module, and the same drawn: norms by block, ranks and spectra."""

    table: Table
    picture: Images


@node(category="LoRA", version=1, device=True)
def inspect_lora(lora: LoRA, *, ctx: Context) -> Inspected:
    """Return what each module of the LoRA is: kind, shape, rank, alpha, scale, norms and singular values."""
    from PIL import Image

    from ..diffusion.lora import reading, report

    path = ctx.folder / "report.png"
    with blaming("lora", lora.file.path):
        read = reading.load(lora.file.path, alpha=lora.alpha, partial=lora.partial)
        rows = report.table(read, counting(ctx, "modules"))
        report.picture(read, path, title_of(lora), rows)
    warn(ctx, read.warnings)
    with Image.open(path) as image:
        width, height = image.size
    picture = Picture(file=FileRef.of(path), width=width, height=height, caption=title_of(lora))
    return Inspected(_listed(title_of(lora), rows), Images(items=(picture,)))


def _listed(title: str, rows: list[Row]) -> Table:
    """Return the report as rows: sizes as "out x in", and the largest singular value under its other name."""
    told = (
        (
            row.module,
            row.dim,
            row.rank or None,
            row.alpha,
            row.scale,
            row.norm,
            row.spectral or None,
            row.stable_rank or None,
            row.effective_rank,
            row.energy_rank or None,
            " + ".join((row.kind, *row.extras)),
            " x ".join(map(str, row.shape)),
            row.dtype,
        )
        for row in rows
    )
    if any(row.kind in ("loha", "lokr") for row in rows):
        return Table(title=title, columns=REPORT, rows=tuple(told))
    module, _, _, *others = REPORT
    plain = tuple((name, rank, *rest) for name, _, rank, *rest in told)
    return Table(title=title, columns=(module, "rank", *others), rows=plain)


@node(category="LoRA", version=1, device=True)
def compare_lora(a: LoRA, b: LoRA, *, ctx: Context) -> Table:
    """Return how alike two LoRAs are, module by module: 1 where they change the same directions, 0 where none."""
    from ..diffusion.lora import compare, reading

    read = []
    for field, lora in (("a", a), ("b", b)):
        with blaming(field, lora.file.path):
            read.append(reading.load(lora.file.path, alpha=lora.alpha, partial=lora.partial))
    with blaming("b", b.file.path):
        found = compare.compare(read[0], read[1], counting(ctx, "modules"))
    return _alike(f"{title_of(a)} and {title_of(b)}", found)


def _alike(title: str, found: Comparison) -> Table:
    """Return the comparison as rows: both as a whole first, then each module that they share, then the others."""
    modules = {"all": found, **found.modules}
    rows = [tuple(getattr(alike, part, None) for part in ALIKE.values()) for alike in modules.values()]
    named = [(name, *row) for name, row in zip(modules, rows, strict=True)]
    alone = [(name, *(None for _ in ALIKE)) for name in (*found.only_a, *found.only_b)]
    whose = ["both"] * len(named) + ["a only"] * len(found.only_a) + ["b only"] * len(found.only_b)
    told = [(name, who, *row) for (name, *row), who in zip([*named, *alone], whose, strict=True)]
    return Table(title=title, columns=("module", "in", *ALIKE), rows=tuple(told))
