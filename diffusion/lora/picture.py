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
# Parts of a block of a UNet, as they are called below its bar
LAYERS = {"attentions": "attn", "resnets": "res", "downsamplers": "down", "upsamplers": "up"}
LAYERS_SAID = "res: resnets,  attn: attentions,  down and up: samplers"
GROUPS = {"down_blocks": "down", "mid_block": "mid", "up_blocks": "up"}
LINE = 37.5  # height of a line with its bar
NOTHING = "No weight is changed."
DECADES = 4  # how far down singular values are shown: to S_1 / 10^4
FLATTEST = 0.9  # the axis of singular values goes down to here at least, in units of S_1
TICK = 10.5  # size of the labels of bars


Curves = tuple[list[float], list[float], list[float]]


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
        _rank_tile(ranked),
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
        sheet.text(left + 16, 125, name, size=13, colour=SOFT, within=width - 24)
        sheet.text(left + 16, 151, value, size=22, bold=True, within=width - 24)


def _rank_tile(rows: Sequence[Row]) -> tuple[str, str]:
    """The ranks; of forms whose factors are multiplied otherwise, the rank of the factors and what it comes to."""
    if not any(row.dim != row.rank for row in rows):
        return "rank", _span(row.rank for row in rows)
    factors = [row.dim for row in rows if row.dim]
    if not factors:
        return "rank up to", _span(row.rank for row in rows)
    return f"dim (rank up to {max(row.rank for row in rows)})", _span(factors)


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
    most = max((block.norm for block in found), default=0.0)
    if not most > 0:
        _empty(sheet, box, NOTHING)
        return
    left, top, right, bottom = box[0] + 58, box[1] + 48, box[2] - 18, box[3] - 30
    parts = [part_of(block.block) for block in found]
    changes = sum(one != other for one, other in itertools.pairwise(parts))
    step = min((right - left) / (len(found) + 0.6 * changes), 64.0)
    labels = [_label(block.block) for block in found]
    grouped = any(label.group for label in labels)
    upright = grouped and max(sheet.measure(label.tick, TICK) for label in labels if label.group) + 5 > step
    if grouped:
        sheet.text(box[0] + 16, box[1] + 42, LAYERS_SAID, size=12, colour=FAINT)
        top, bottom = top + 16, bottom - (38 if upright else 14)
    scale = ticks(most)
    for value in scale:
        y = bottom - (bottom - top) * value / scale[-1]
        sheet.line([(left, y), (right, y)], GRID)
        sheet.text(left - 8, y, short(value), size=11, colour=SOFT, anchor="right")
    x, places = (left + right - step * (len(found) + 0.6 * changes)) / 2, []
    for place, (block, part) in enumerate(zip(found, parts, strict=True)):
        if place and part != parts[place - 1]:
            x += 0.6 * step
        height = (bottom - top) * block.norm / scale[-1]
        air = min(step * 0.12, 4.0)
        sheet.bar(x + air, bottom - max(height, 1), x + step - air, bottom, colours[part], round_by=2.5)
        places.append(x + step / 2)
        x += step
    sheet.line([(left, bottom), (right, bottom)], FAINT)
    for _, members in itertools.groupby(range(len(found)), key=parts.__getitem__):
        _ticks(sheet, bottom, step, [(places[place], labels[place]) for place in members], upright)
    _legend(sheet, box, Counter(parts), colours)


class Label(NamedTuple):
    """What is written below a bar, and below all bars of its group: "attn 0" of "down 1". "" where nothing is."""

    tick: str
    group: str = ""


def _label(block: str) -> Label:
    """A block's place in its list: "7"; of a UNet, the layer and the block that it is in.

    >>> _label("transformer.blocks.7"), _label("unet.down_blocks.1.attentions.0"), _label("unet")
    (Label(tick='7', group=''), Label(tick='attn 0', group='down 1'), Label(tick='', group=''))
    """
    component, *pieces = block.split(".")
    if component != "unet" or not pieces:
        return Label(pieces[-1] if len(pieces) > 1 else "")
    *group, layer, number = pieces
    tick = LAYERS.get(layer, layer)
    # there is one sampler at most
    tick = tick if layer.endswith("samplers") else f"{tick} {number}"
    return Label(tick, " ".join((GROUPS.get(group[0], group[0]), *group[1:])) if group else "")


def _ticks(sheet: Sheet, bottom: float, step: float, bars: Sequence[tuple[float, Label]], upright: bool) -> None:
    """Write below the bars of one part of the network what they are, as far as there is room."""
    upright = upright and any(label.group for _, label in bars)
    wide = TICK + 1 if upright else max(sheet.measure(label.tick, TICK) for _, label in bars) + 5
    every = next((every for every in (1, 2, 5, 10, 20) if step * every >= wide), 50)
    for x, label in bars[::every]:
        if upright:
            sheet.upright(x, bottom + 5, label.tick, size=TICK, colour=SOFT)
        else:
            sheet.text(x, bottom + 12, label.tick, size=TICK, colour=SOFT, anchor="middle")
    for group, members in itertools.groupby(bars, key=lambda bar: bar[1].group):
        across = [x for x, _ in members]
        first, last = across[0] - step / 2 + 2, across[-1] + step / 2 - 2
        named = next((name for name in (group, group[-1:]) if sheet.measure(name, TICK) <= last - first + 4), "")
        if group and named:
            y = bottom + (44 if upright else 22)
            sheet.line([(first, y), (last, y)], FAINT)
            sheet.text((first + last) / 2, y + 9, named, size=TICK, colour=INK, anchor="middle")


def _legend(sheet: Sheet, box: Box, parts: Counter[str], colours: dict[str, str]) -> None:
    x = box[2] - 16.0
    for part, count in reversed(parts.items()):
        text = part if part == "other" else f"{part} ({count})"
        x -= sheet.text(x, box[1] + 22.5, text, size=12, colour=SOFT, anchor="right") + 16
        sheet.bar(x, box[1] + 17, x + 11, box[1] + 28, colours[part])
        x -= 16


def _ranks(sheet: Sheet, box: Box, rows: Sequence[Row]) -> None:
    """How many modules have which rank and alpha; below, how many could do with which rank."""
    _panel(sheet, box, "Ranks and alphas", "modules")
    counted: Counter[str] = Counter()
    for row in rows:
        kind = " ".join([KINDS[row.kind], *(extra for extra in row.extras if extra.startswith("DoRA"))])
        counted[kind if row.alpha is None else f"{kind}, {_ranked(row)}"] += 1
    if not rows:
        _empty(sheet, box, NOTHING)
        return
    shares = [Share(name, count / len(rows), str(count)) for name, count in counted.most_common()]
    needed = [row.energy_rank for row in rows if row.energy_rank]
    y = _shares(sheet, box, shares, PALETTE[4], room=3 if needed else 6)
    if needed:
        _histogram(sheet, (box[0] + 16, y + 6, box[2] - 16, box[3] - 24), needed)


def _ranked(row: Row) -> str:
    """ "rank 16, alpha 8"; "dim 4 (rank up to 16), alpha 2"; without an alpha where it means nothing."""
    if row.dim == row.rank:
        return f"rank {row.rank}, alpha {short(row.alpha or 0.0)}"
    if row.dim is None:
        return f"rank up to {row.rank}"
    return f"dim {row.dim} (rank up to {row.rank}), alpha {short(row.alpha or 0.0)}"


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
    """Draw lines with a bar each; what finds no room is summed up in a last line without one, as it may well be more
    than any of them. Returns the height at which they end."""
    left, top, right = box[0] + 16, box[1] + 46, box[2] - 16
    shown = list(lines) if len(lines) <= room else list(lines[: room - 1])
    longest = max(line.length for line in shown)
    for number, line in enumerate(shown):
        y = top + number * LINE
        taken = sheet.text(right, y + 8, line.value, size=12.5, colour=INK, anchor="right")
        sheet.text(left, y + 8, line.name, size=12.5, colour=SOFT, within=right - left - taken - 10)
        sheet.bar(left, y + 19, right, y + 26, TILE, round_by=3.5)
        sheet.bar(left, y + 19, left + max((right - left) * line.length / longest, 4), y + 26, colour, round_by=3.5)
    bottom = top + LINE * len(shown)
    rest = lines[len(shown) :]
    if not rest:
        return bottom
    length = sum(line.length for line in rest)
    value = f"{100 * length:.1f} %" if "%" in rest[0].value else str(sum(int(line.value) for line in rest))
    sheet.text(right, bottom + 8, value, size=12.5, colour=FAINT, anchor="right")
    sheet.text(left, bottom + 8, f"{len(rest)} more, together", size=12.5, colour=FAINT)
    return bottom + 0.5 * LINE


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
    lowest = _lowest(curves.values())
    depth = -math.log(lowest)

    def at(index: int, value: float) -> Point:
        down = min(-math.log(value) / depth, 1.0) if value > 0 else 1.0
        return left + (right - left) * index / (longest - 1), top + (bottom - top) * down

    for value in _levels(lowest):
        y = at(0, value)[1]
        sheet.line([(left, y), (right, y)], GRID)
        sheet.text(left - 8, y, short(value), size=11, colour=SOFT, anchor="right")
    sheet.line([(left, bottom), (right, bottom)], FAINT)
    between = [round(tick) for tick in ticks(longest) if 0.12 * longest < tick < 0.88 * longest]
    for number in sorted({1, *(tick for tick in between if tick > 1), longest}):
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


def _lowest(curves: Iterable[Curves]) -> float:
    """Where the axis ends: a little below the lowest median, and as far down towards the lowest band as is useful."""
    found = list(curves)
    middle = min(value for _, line, _ in found for value in line)
    band = min((value for line, _, _ in found for value in line if value > 0), default=middle)
    return max(min(max(band, middle / 3), middle, FLATTEST) ** 1.05, 10.0**-DECADES)


def _levels(lowest: float) -> list[float]:
    """The values from 1 down to the lowest that have a line: powers of ten, with 2 and 5 between, or evenly spaced.

    >>> _levels(0.003), _levels(0.03), _levels(0.65)
    ([1.0, 0.1, 0.01], [1.0, 0.5, 0.2, 0.1, 0.05], [1.0, 0.9, 0.8, 0.7])
    """
    if lowest >= 0.4:
        found = [1 - tick for tick in ticks(1 - lowest)]
    else:
        between = (10, 7, 5, 3, 2) if lowest > 0.1 else (10, 5, 2) if lowest > 0.005 else (10,)
        found = [number * 10.0**-power for power in range(1, DECADES + 2) for number in between]
    return [round(value, 6) for value in found if value >= lowest]


def _curves(rows: Sequence[Row]) -> Curves:
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
