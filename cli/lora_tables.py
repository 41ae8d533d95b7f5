"""What `loragraph lora inspect` and `compare` print: tables for people, plain JSON for programs."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .common import printable

if TYPE_CHECKING:
    from ..diffusion.lora.compare import Comparison
    from ..diffusion.lora.info import Item, LoraInfo
    from ..diffusion.lora.jobs import Inspection
    from ..diffusion.lora.lineage import Lineage
    from ..diffusion.lora.model import Lora

LONGEST = 100
"""So many characters of a text in a header are shown; the JSON has them all."""
SHOWN = 10
"""So many keys without a meaning are listed."""
WIDE = 300
"""Columns of what is no terminal."""
GAP = 2
"""Blanks between the columns of a table."""
SHORTEST = 12
"""So much of a module's name is shown at least."""
ALPHA_FROM = {
    "tensor": "its .alpha tensors",
    "lora_adapter_metadata": "lora_adapter_metadata in its header",
    "lora_config": "lora_config in its header",
    "ss_network_alpha": "ss_network_alpha in its header",
    "adapter_config": "adapter_config.json beside it",
    "given": "--alpha",
    "rank": "nowhere; taken to be the rank",
    "format": "nowhere; the default of its trainer",
}


def _console() -> Console:
    """As wide as the terminal; in a file or a pipe nothing is wrapped or shortened."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)


def print_json(data: Any) -> None:
    """Print the data as JSON."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def inspection(found: "Inspection", weights: "Lora | None" = None) -> dict[str, Any]:
    """Return all that is known of a file, as JSON values; norms and singular values where its weights were read."""
    from ..diffusion.lora.lineage import KEY

    info = asdict(found.info)
    told = info["metadata"].get(KEY)
    data = {**info, "sha256": found.sha256, "lineage": json.loads(told) if found.lineage and told else None}
    if weights is not None:
        from ..diffusion.lora.report import as_json

        data["report"] = as_json(weights)
    return data


def show(found: "Inspection", weights: "Lora | None" = None, modules: bool = False) -> None:
    """Print what a file is."""
    from ..diffusion.lora.names import FAMILIES

    console, info = _console(), found.info
    facts = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    sources = Counter(item.alpha_from for item in info.items.values() if item.alpha_from)
    for name, value in (
        ("file", info.path),
        ("sha256", found.sha256),
        ("dialect", info.title),
        ("family", f"{FAMILIES[info.family].title} ({info.family})" if info.family in FAMILIES else "unknown"),
        ("changes", f"{info.modules} module{'s'[: info.modules > 1]} of {', '.join(info.components)}"),
        ("kinds", ", ".join(info.kinds)),
        ("rank", _ranks(info.items.values())),
        ("alpha", _span(item.alpha for item in info.items.values() if item.alpha_from)),
        ("scale", _span(info.scales)),
        ("alpha from", ", ".join(ALPHA_FROM.get(source, source) for source in sources)),
        (
            "weights",
            "not read, only the header; --norms looks for damage, too" if weights is None else "all read, sound",
        ),
    ):
        facts.add_row(name, Text(printable(value or "-")))
    console.print(facts)
    if found.lineage is not None:
        console.print(Text("\nmade by", style="bold"))
        for line in _lineage(found.lineage):
            console.print(Text(f"  {printable(line)}"))
    _show_metadata(console, info.metadata)
    _list(console, "notes", [said for said in info.warnings if said not in _about_unmatched(info)])
    _list(console, f"{len(info.unmatched)} keys without a meaning", info.unmatched, "yellow")
    if modules:
        rows = [
            (name, item.kind, "x".join(map(str, item.shape)), _ranks([item]), f"{item.alpha:g}", f"{item.scale:g}")
            for name, item in info.items.items()
        ]
        _print_table(console, ("module", "kind", "shape", "rank", "alpha", "scale"), rows)
    if weights is not None:
        _show_report(console, weights)


def _show_metadata(console: Console, metadata: Mapping[str, str]) -> None:
    from ..diffusion.lora.lineage import KEY as LINEAGE

    # spaces of all kinds become one, so not all of a long text has to be looked at
    told = {printable(key): value[: 10 * LONGEST] for key, value in metadata.items() if key != LINEAGE}
    if not told:
        return
    console.print(Text("\nmetadata", style="bold"))
    width = max(map(len, told))
    for key, value in sorted(told.items()):
        text = printable(" ".join(value.split()))
        console.print(Text(f"  {key:<{width}}  {text if len(text) <= LONGEST else text[:LONGEST] + ' …'}"))


def _show_report(console: Console, weights: "Lora") -> None:
    from ..diffusion.lora.report import blocks, table

    rows = table(weights)
    titles = ("module", "norm", "largest\nvalue", "stable\nrank", "effective\nrank", "95 %\nin rank")
    values = [
        (row.module, row.norm, row.spectral, row.stable_rank, row.effective_rank or "-", row.energy_rank)
        for row in rows
    ]
    _print_table(console, titles, values)
    _print_table(console, ("block", "modules", "norm"), list(blocks(rows)))


def show_comparison(found: "Comparison", first: str, second: str, modules: bool = False) -> None:
    """Print how alike two LoRAs are."""
    console = _console()
    facts = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    apart = "; what only one has counts as well" if found.only_a or found.only_b else ""
    for name, value in (
        ("A", first),
        ("B", second),
        ("shared modules", f"{len(found.modules)}; only in A {len(found.only_a)}, only in B {len(found.only_b)}"),
        ("cosine", f"{found.cosine:+.3f}  (1: the same direction, 0: unrelated, -1: opposite{apart})"),
        ("outputs shared", f"{found.outputs:.3f}  (by chance {found.chance_outputs:.3f})"),
        ("inputs shared", f"{found.inputs:.3f}  (by chance {found.chance_inputs:.3f})"),
        ("norms", f"{found.norm_a:.4g} and {found.norm_b:.4g}, ratio {found.ratio:.3g}"),
    ):
        facts.add_row(name, Text(printable(value)))
    console.print(facts)
    _list(console, "notes", found.notes)
    if modules:
        titles = ("module", "rank\nA", "rank\nB", "cosine", "outputs", "by\nchance", "inputs", "by\nchance", "ratio")
        rows = [
            (
                name, one.rank_a, one.rank_b, f"{one.cosine:+.3f}", f"{one.outputs:.3f}", f"{one.chance_outputs:.3f}",
                f"{one.inputs:.3f}", f"{one.chance_inputs:.3f}", f"{one.ratio:.3g}",
            )
            for name, one in found.modules.items()
        ]  # fmt: skip
        _print_table(console, titles, rows)


def _print_table(console: Console, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows below titles. Where the terminal is too narrow, titles break at their "\\n", and then the names in the
    first column lose their beginnings, which most of them share."""
    cells = [[f"{cell:.4g}" if isinstance(cell, float) else printable(cell) for cell in row] for row in rows]
    heads = [title.replace("\n", " ") for title in titles]
    if _width(heads, cells) > console.width:
        heads = list(titles)
    room = max(SHORTEST, console.width - _width(["", *heads[1:]], [["", *row[1:]] for row in cells]))
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for place, title in enumerate(heads):
        table.add_column(title, justify="left" if place == 0 else "right", overflow="fold", vertical="bottom")
    for name, *others in cells:
        table.add_row(Text(name if len(name) <= room else f"…{name[1 - room :]}"), *map(Text, others))
    console.print()
    console.print(table)


def _width(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """How many columns of the terminal a table takes."""
    total = 0
    for place, head in enumerate(heads):
        lengths = [len(line) for line in head.split("\n")] + [len(row[place]) for row in cells]
        total += max(lengths) + (GAP if place else 0)
    return total


def _about_unmatched(info: "LoraInfo") -> set[str]:
    """The notes on the keys without a meaning, which are listed by themselves."""
    return {said for said in info.warnings if info.unmatched and f"{len(info.unmatched):,} keys were left out" in said}


def _list(console: Console, title: str, lines: Sequence[str], style: str = "") -> None:
    if not lines:
        return
    console.print(Text(f"\n{title}", style="bold"))
    for line in lines[:SHOWN]:
        console.print(Text(f"  {printable(line)}", style=style))
    if len(lines) > SHOWN:
        console.print(Text(f"  … and {len(lines) - SHOWN} more"))


def _ranks(items: "Iterable[Item]") -> str:
    """The ranks as a range; where LoHa or LoKr multiply theirs up, the dim of the factors that alpha is divided by."""
    listed = list(items)
    ranks = _span(item.rank for item in listed)
    multiplied = any(item.dim and item.dim != item.rank for item in listed)
    return f"dim {_span(item.dim for item in listed if item.dim)} (rank up to {ranks})" if multiplied else ranks


def _span(values: Iterable[float]) -> str:
    """ "16", or "4 to 32" where there are several."""
    distinct = sorted(set(values))
    if not distinct:
        return ""
    return f"{distinct[0]:g}" if len(distinct) == 1 else f"{distinct[0]:g} to {distinct[-1]:g}"


def _lineage(lineage: "Lineage", indent: str = "") -> list[str]:
    settings = ", ".join(f"{name} {value}" for name, value in lineage.settings.items())
    base = f" from {lineage.base}" if lineage.base else ""
    lines = [f"{indent}{lineage.method}{base}{f' ({settings})' if settings else ''}"]
    for part in lineage.parts:
        lines.append(f"{indent}  {part.file} x {part.strength:g}  sha256 {part.sha256[:12]}…")
        if part.lineage is not None:
            lines += _lineage(part.lineage, indent + "    ")
    return lines
