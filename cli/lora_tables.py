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
    from ..diffusion.lora.jobs import Inspection
    from ..diffusion.lora.lineage import Lineage
    from ..diffusion.lora.model import Lora

LONGEST = 100
"""So many characters of a text in a header are shown; the JSON has them all."""
SHOWN = 10
"""So many keys without a meaning are listed."""
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
    """As wide as the terminal; in a file or a pipe nothing is wrapped."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 300)


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
        ("changes", f"{info.modules} modules of {', '.join(info.components)}"),
        ("kinds", ", ".join(info.kinds)),
        ("rank", _span(item.rank for item in info.items.values())),
        ("alpha", _span(item.alpha for item in info.items.values() if item.alpha_from)),
        ("scale", _span(info.scales)),
        ("alpha from", ", ".join(ALPHA_FROM.get(source, source) for source in sources)),
    ):
        facts.add_row(name, Text(printable(value or "-")))
    console.print(facts)
    if found.lineage is not None:
        console.print(Text("\nmade by", style="bold"))
        for line in _lineage(found.lineage):
            console.print(Text(f"  {printable(line)}"))
    _show_metadata(console, info.metadata)
    _list(console, "notes", info.warnings)
    _list(console, f"{len(info.unmatched)} keys without a meaning", info.unmatched, "yellow")
    if modules:
        rows = [
            (name, item.kind, "x".join(map(str, item.shape)), item.rank, f"{item.alpha:g}", f"{item.scale:g}")
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
    titles = ("module", "norm", "largest value", "stable rank", "effective rank", "95 % in rank")
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
    facts.add_column()
    for name, value in (
        ("A", first),
        ("B", second),
        ("shared modules", f"{len(found.modules)}; only in A {len(found.only_a)}, only in B {len(found.only_b)}"),
        ("cosine", f"{found.cosine:+.3f}  (1: the same direction, 0: unrelated, -1: opposite)"),
        ("outputs shared", f"{found.outputs:.3f}  (by chance {found.chance_outputs:.3f})"),
        ("inputs shared", f"{found.inputs:.3f}  (by chance {found.chance_inputs:.3f})"),
        ("norms", f"{found.norm_a:.4g} and {found.norm_b:.4g}, ratio {found.ratio:.3g}"),
    ):
        facts.add_row(name, Text(value))
    console.print(facts)
    if modules:
        rows = [
            (name, one.rank_a, one.rank_b, f"{one.cosine:+.3f}", f"{one.outputs:.3f}", f"{one.inputs:.3f}",
             f"{one.ratio:.3g}")
            for name, one in found.modules.items()
        ]  # fmt: skip
        _print_table(console, ("module", "rank A", "rank B", "cosine", "outputs", "inputs", "ratio"), rows)


def _print_table(console: Console, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, title in enumerate(titles):
        table.add_column(title, justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(f"{cell:.4g}" if isinstance(cell, float) else printable(cell)) for cell in row))
    console.print()
    console.print(table)


def _list(console: Console, title: str, lines: Sequence[str], style: str = "") -> None:
    if not lines:
        return
    console.print(Text(f"\n{title}", style="bold"))
    for line in lines[:SHOWN]:
        console.print(Text(f"  {printable(line)}", style=style))
    if len(lines) > SHOWN:
        console.print(Text(f"  … and {len(lines) - SHOWN} more"))


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
