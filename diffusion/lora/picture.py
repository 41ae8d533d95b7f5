"""The picture of a LoRA: what it is, how strong it is where, its ranks, and how its changes fade.

┌ title, family, dialect ──────────────────────────────────┐
│ modules   rank   alpha   scale   norm   parameters       │
│ norm of each block, coloured by the part of the network  │
│ ranks and alphas │ share of each layer │ singular values │
└──────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from PIL import Image

from . import names
from .drawing import FAINT, GRID, INK, SOFT, Point, Sheet, short, ticks
from .model import Lora
from .report import ENERGY, Block, Row, blocks, parameters

WIDTH, HEIGHT, EDGE = 1200, 800, 36
PALETTE = ("#5b86f2", "#36a873", "#d0679f", "#e39a3b", "#8f6bd6", "#2ba5bd", "#dd6b4d", "#8aa63c")
WARNING = "#b25e09"
TILE = "#f5f7fa"
KINDS = {"lora": "LoRA", "loha": "LoHa", "lokr": "LoKr", "full": "full difference", "set": "replaced", "bias": "bias"}
SHORTER = {"attentions": "a", "resnets": "r", "downsamplers": "down", "upsamplers": "up"}
LINE = 37.5  # height of a line with its bar
NOTHING = "No weight is changed."
DECADES = 4  # how far down singular values are shown: to S_1 / 10^4


class Share(NamedTuple):
    """A line of a list: its name, how long its bar is (0 to 1), and what is written at its end."""

    name: str
    length: float
    value: str


def draw(lora: Lora, rows: Sequence[Row], title: str = "") -> Image.Image:
    """Return the picture, 1200 x 800."""
    sheet = Sheet(WIDTH, HEIGHT)
    inner = WIDTH - 2 * EDGE
    sheet.text(EDGE, 42, title or "LoRA", size=28, bold=True, within=inner)
    _subtitle(sheet, lora, rows, inner)
    _tiles(sheet, rows, parameters(lora))
    colours = _colours(rows)
    _blocks(sheet, (EDGE, 190, WIDTH - EDGE, 480), blocks(rows), colours)
    width = (inner - 2 * 16) / 3
    left = [EDGE + number * (width + 16) for number in range(3)]
    _ranks(sheet, (left[0], 496, left[0] + width, 772), rows)
    _layers(sheet, (left[1], 496, left[1] + width, 772), rows)
    _spectrum(sheet, (left[2], 496, left[2] + width, 772), rows, colours)
    return sheet.image()


def part_of(block: str) -> str:
    """Return the part of the network that a block belongs to: a list of blocks, a text encoder, or "other"."""
    component, _, path = block.partition(".")
    return component if component.startswith("text_encoder") else path.split(".")[0] or "other"


def _subtitle(sheet: Sheet, lora: Lora, rows: Sequence[Row], within: float) -> None:
    family = names.FAMILIES[lora.family].title if lora.family in names.FAMILIES else lora.family
    parts = dict.fromkeys(row.module.split(".")[0] for row in rows)
    dtypes = dict.fromkeys(dtype for row in rows for dtype in row.dtype.split())
    facts = [family or "unknown family", lora.dialect, " + ".join(parts), ", ".join(dtypes)]
    text = "  ·  ".join(fact for fact in facts if fact)
    warnings = len(lora.warnings) + bool(lora.unmatched)
    note = f"{warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
    taken = sheet.text(WIDTH - EDGE, 78, note, size=15, colour=WARNING, anchor="right")
    sheet.text(EDGE, 78, text, size=15, colour=SOFT, within=within - taken - 20)


def _tiles(sheet: Sheet, rows: Sequence[Row], held: int) -> None:
    ranked = [row for row in rows if row.alpha is not None]
    extras = Counter(extra for row in rows for extra in row.extras)
    tiles = [
        ("modules", short(len(rows)) if len(rows) < 10_000 else str(len(rows))),
        ("rank", _span(row.rank for row in ranked)),
        ("alpha", _span(row.alpha or 0.0 for row in ranked)),
        ("scale", _span(row.scale for row in ranked)),
        ("norm |D|", short(math.hypot(*(row.norm for row in rows)))),
        ("parameters", short(held)),
        *((f"with {extra}", str(count)) for extra, count in extras.most_common(1)),
    ]
    gap = 12
    width = (WIDTH - 2 * EDGE - gap * (len(tiles) - 1)) / len(tiles)
    for number, (name, value) in enumerate(tiles):
        left = EDGE + number * (width + gap)
        sheet.bar(left, 104, left + width, 174, TILE, round_by=10)
        sheet.text(left + 16, 125, name, size=13, colour=SOFT)
        sheet.text(left + 16, 151, value, size=22, bold=True, within=width - 24)


def _span(numbers: Iterable[float]) -> str:
    found = sorted(set(numbers))
    if not found:
        return "none"
    first, last = short(found[0]), short(found[-1])
    return first if first == last else f"{first} to {last}"


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    parts = dict.fromkeys(part_of(block.block) for block in blocks(rows))
    found = {part: PALETTE[number % len(PALETTE)] for number, part in enumerate(parts)}
    return found | ({"other": FAINT} if "other" in found else {})


Box = tuple[float, float, float, float]


def _panel(sheet: Sheet, box: Box, title: str, note: str = "") -> None:
    sheet.frame(*box)
    left, top = box[:2]
    width = sheet.text(left + 16, top + 22, title, size=16)
    sheet.text(left + 26 + width, top + 23, note, size=12, colour=FAINT)


def _empty(sheet: Sheet, box: Box, text: str) -> None:
    sheet.text((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, text, size=13, colour=FAINT, anchor="middle")


def _blocks(sheet: Sheet, box: Box, found: Sequence[Block], colours: dict[str, str]) -> None:
    _panel(sheet, box, "Norm of the change, by block", "|D| at strength 1")
    left, top, right, bottom = box[0] + 58, box[1] + 48, box[2] - 18, box[3] - 30
    most = max((block.norm for block in found), default=0.0)
    if not most > 0:
        _empty(sheet, box, NOTHING)
        return
    scale = ticks(most)
    for value in scale:
        y = bottom - (bottom - top) * value / scale[-1]
        sheet.line([(left, y), (right, y)], GRID)
        sheet.text(left - 8, y, short(value), size=11, colour=SOFT, anchor="right")
    parts = [part_of(block.block) for block in found]
    changes = sum(one != other for one, other in itertools.pairwise(parts))
    step = min((right - left) / (len(found) + 0.6 * changes), 64.0)
    every = _every([_tick(block.block) for block in found], step, sheet)
    x, number = (left + right - step * (len(found) + 0.6 * changes)) / 2, 0
    for place, (block, part) in enumerate(zip(found, parts, strict=True)):
        if place and part != parts[place - 1]:
            x, number = x + 0.6 * step, 0
        height = (bottom - top) * block.norm / scale[-1]
        air = min(step * 0.12, 4.0)
        sheet.bar(x + air, bottom - max(height, 1), x + step - air, bottom, colours[part], round_by=2.5)
        if number % every == 0:
            sheet.text(x + step / 2, bottom + 12, _tick(block.block), size=10.5, colour=SOFT, anchor="middle")
        x, number = x + step, number + 1
    sheet.line([(left, bottom), (right, bottom)], FAINT)
    _legend(sheet, box, Counter(parts), colours)


def _legend(sheet: Sheet, box: Box, parts: Counter[str], colours: dict[str, str]) -> None:
    x = box[2] - 16.0
    for part, count in reversed(parts.items()):
        text = part if part == "other" else f"{part} ({count})"
        x -= sheet.text(x, box[1] + 22.5, text, size=12, colour=SOFT, anchor="right") + 16
        sheet.bar(x, box[1] + 17, x + 11, box[1] + 28, colours[part])
        x -= 16


def _tick(block: str) -> str:
    """A block's place in its list: "7", "1.a0" (attentions 0 of down block 1), "" for what is in no list."""
    pieces = block.split(".")[2:]
    text = "".join(SHORTER.get(piece, "." + piece if piece.isdigit() else "") for piece in pieces if piece)
    return text.replace("a.", ".a").replace("r.", ".r").strip(".") if "unet" in block else pieces[-1] if pieces else ""


def _every(labels: Sequence[str], step: float, sheet: Sheet) -> int:
    """So many blocks have one label between them, for the labels not to touch."""
    widest = max((sheet.measure(label, 10.5) for label in labels), default=0.0) + 5
    return next((every for every in (1, 2, 5, 10, 20) if step * every >= widest), 50)


def _ranks(sheet: Sheet, box: Box, rows: Sequence[Row]) -> None:
    """How many modules have which rank and alpha; below, how many could do with which rank."""
    _panel(sheet, box, "Ranks and alphas", "modules")
    counted: Counter[str] = Counter()
    for row in rows:
        kind = " ".join([KINDS[row.kind], *(extra for extra in row.extras if extra.startswith("DoRA"))])
        counted[kind if row.alpha is None else f"{kind}, rank {row.rank}, alpha {short(row.alpha)}"] += 1
    if not rows:
        _empty(sheet, box, NOTHING)
        return
    shares = [Share(name, count / len(rows), str(count)) for name, count in counted.most_common()]
    needed = [row.energy_rank for row in rows if row.energy_rank]
    y = _shares(sheet, box, shares, PALETTE[4], room=3 if needed else 6)
    if needed:
        _histogram(sheet, (box[0] + 16, y + 6, box[2] - 16, box[3] - 24), needed)


def _histogram(sheet: Sheet, box: Box, needed: Sequence[int]) -> None:
    left, top, right, bottom = box
    sheet.text(left, top + 6, f"Rank that keeps {100 * ENERGY:.0f} % of the squared norm", size=12.5, colour=SOFT)
    most = max(needed)
    wide = next(wide for wide in (1, 2, 4, 8, 16, 32, 64, 128) if most <= 16 * wide)
    bins = Counter((rank - 1) // wide for rank in needed)
    count = max(bins) + 1
    step = min((right - left) / count, 40.0)
    top += 26
    for place in range(count):
        height = (bottom - top) * bins[place] / max(bins.values())
        x = left + step * place
        if bins[place]:
            sheet.bar(x + 1, bottom - max(height, 2), x + step - 1, bottom, PALETTE[4], round_by=2)
        if place % (1 if step >= 25 else 2) == 0:
            # the bin of the ranks 5, 6, 7, 8 is called 8
            sheet.text(x + step / 2, bottom + 11, str(wide * (place + 1)), size=10.5, colour=SOFT, anchor="middle")
    sheet.line([(left, bottom), (right, bottom)], FAINT)


def _layers(sheet: Sheet, box: Box, rows: Sequence[Row]) -> None:
    _panel(sheet, box, "Where the change is", "share of the squared norm")
    total = math.fsum(row.norm**2 for row in rows)
    shares: dict[str, float] = {}
    for row in rows:
        shares[row.layer] = shares.get(row.layer, 0.0) + (row.norm**2 / total if total > 0 else 0.0)
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    lines = [Share(name, share, f"{100 * share:.1f} %") for name, share in ordered if share > 0]
    if lines:
        _shares(sheet, box, lines, PALETTE[5], room=6)
    else:
        _empty(sheet, box, NOTHING)


def _shares(sheet: Sheet, box: Box, lines: Sequence[Share], colour: str, room: int) -> float:
    """Draw lines with a bar each, the last one for all that find no room; returns the height at which they end."""
    left, top, right = box[0] + 16, box[1] + 46, box[2] - 16
    shown = list(lines) if len(lines) <= room else list(lines[: room - 1])
    if rest := lines[len(shown) :]:
        length = sum(line.length for line in rest)
        value = f"{100 * length:.1f} %" if "%" in rest[0].value else str(sum(int(line.value) for line in rest))
        shown.append(Share(f"{len(rest)} more", length, value))
    longest = max(line.length for line in shown)
    for number, line in enumerate(shown):
        y = top + number * LINE
        taken = sheet.text(right, y + 8, line.value, size=12.5, colour=INK, anchor="right")
        sheet.text(left, y + 8, line.name, size=12.5, colour=SOFT, within=right - left - taken - 10)
        sheet.bar(left, y + 19, right, y + 26, TILE, round_by=3.5)
        sheet.bar(left, y + 19, left + max((right - left) * line.length / longest, 4), y + 26, colour, round_by=3.5)
    return top + LINE * len(shown)


def _spectrum(sheet: Sheet, box: Box, rows: Sequence[Row], colours: dict[str, str]) -> None:
    _panel(sheet, box, "Singular values", "S / S1, median and 80 % of modules")
    left, top, right, bottom = box[0] + 54, box[1] + 52, box[2] - 18, box[3] - 30
    parts: dict[str, list[Row]] = {}
    for row in rows:
        if row.spectral > 0:
            parts.setdefault(part_of(row.block), []).append(row)
    curves = {part: _curves(parts[part]) for part in colours if part in parts}
    longest = max((len(high) for *_, high in curves.values()), default=0)
    if longest < 2:
        _empty(sheet, box, "One each: rank 1." if longest else NOTHING)
        return
    lowest = min(value for _, middle, _ in curves.values() for value in middle)
    decades = min(max(1, math.ceil(-math.log10(lowest) - 0.05)), DECADES)

    def at(index: int, value: float) -> Point:
        down = min(-math.log10(value) / decades, 1.0) if value > 0 else 1.0
        return left + (right - left) * index / (longest - 1), top + (bottom - top) * down

    for decade in range(decades + 1):
        y = at(0, 10.0**-decade)[1]
        sheet.line([(left, y), (right, y)], GRID)
        sheet.text(left - 8, y, short(10.0**-decade), size=11, colour=SOFT, anchor="right")
    between = [round(tick) for tick in ticks(longest) if 0.12 * longest < tick < 0.88 * longest]
    for number in (1, *between, longest):
        sheet.text(at(number - 1, 1)[0], bottom + 14, str(number), size=11, colour=SOFT, anchor="middle")
    for part, (low, _, high) in curves.items():
        if len(high) > 1:
            upper, lower = ([at(index, value) for index, value in enumerate(line)] for line in (high, low))
            sheet.band(upper, lower, colours[part], 0.14)
    for part, (_, middle, _) in curves.items():
        points = [at(index, value) for index, value in enumerate(middle)]
        if len(points) > 1:
            sheet.line(points, colours[part], 2)
        sheet.dot(*points[-1], colours[part], 2.5)


def _curves(rows: Sequence[Row]) -> tuple[list[float], list[float], list[float]]:
    """The 10th, 50th and 90th percentile of the modules' first, second, ... values S / S_1.

    A module that has no more values counts as having zeros; a line ends where it would be zero, the lowest with the
    highest.
    """
    longest = max(len(row.values) for row in rows)
    fading = torch.zeros(len(rows), longest)
    for place, row in enumerate(rows):
        fading[place, : len(row.values)] = torch.tensor(row.values) / row.values[0]
    fading[fading < 10.0**-DECADES] = 0.0
    low, middle, high = fading.quantile(torch.tensor([0.1, 0.5, 0.9]), dim=0, interpolation="higher").tolist()
    ends = [sum(value > 0 for value in line) for line in (middle, high)]
    return low[: ends[1]], middle[: ends[0]], high[: ends[1]]
