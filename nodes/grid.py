"""Grid: pictures side by side, one row for each wire, titled at the left and captioned below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ..graph_runtime.context import Context
from ..graph_runtime.errors import BadInput
from ..graph_runtime.markers import Colour, Range
from ..graph_runtime.node import node
from ..graph_runtime.values import FileRef, Images, Picture
from .regions import ink_on

if TYPE_CHECKING:
    from PIL import Image, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SMALLEST_CELL = 128
"""Pixels: smaller pictures are enlarged by a whole factor, so that a 64-pixel model can be judged by eye."""
MARGIN = 8


@node(category="Image", version=1)
def grid(
    rows: tuple[Images, ...],
    titles: tuple[str, ...] = (),
    captions: bool = True,
    columns: Annotated[int, Range(0, 1000)] = 0,
    background: Annotated[str, Colour()] = "#ffffff",
    *,
    ctx: Context,
) -> Images:
    """Return one picture with a row of pictures for each wire.

    `titles` names the rows in order (missing ones stay blank); `captions` writes each picture's caption below it. With
    `columns`, longer rows are broken: so many pictures of every row, then the next so many of every row below them.
    The words are black or white, whichever is read better on the colour `background`.
    """
    if not rows or not any(row.items for row in rows):
        raise BadInput("there is no picture to put in the grid; wire at least one Images output to `rows`.", "rows")
    if len(titles) > len(rows):
        raise BadInput(f"{len(titles)} titles for {len(rows)} rows; give at most one title for each.", "titles", titles)
    longest = max(len(row.items) for row in rows)
    step = columns or longest
    parts = [row.items[at : at + step] for at in range(0, longest, step) for row in rows]
    sheet = _draw(parts, [_title(titles, part % len(rows)) for part in range(len(parts))], captions, background)
    path = ctx.folder / "grid.png"
    sheet.save(path)
    first = next(item for row in rows for item in row.items)
    settings: dict[str, Any] = {"rows": [{"title": _title(titles, i), **_about(row)} for i, row in enumerate(rows)]}
    caption = " | ".join(title for title in titles if title) or first.caption
    picture = Picture(file=FileRef.of(path), width=sheet.width, height=sheet.height, caption=caption, settings=settings)
    return Images(items=(picture,))


def _title(titles: tuple[str, ...], row: int) -> str:
    return titles[row] if row < len(titles) else ""


def _about(row: Images) -> dict[str, Any]:
    return {"pictures": [{"caption": item.caption, **item.settings} for item in row.items]}


def _draw(rows: Sequence[Sequence[Picture]], titles: Sequence[str], captions: bool, paper: str) -> Image.Image:
    """Lay the pictures out on one sheet; every cell has the size of the largest (enlarged) picture."""
    from PIL import Image, ImageDraw, ImageFont

    pictures = [[_enlarged(Path(item.file.path)) for item in row] for row in rows]
    width = max(picture.width for row in pictures for picture in row)
    height = max(picture.height for row in pictures for picture in row)
    columns = max(len(row) for row in pictures)
    font = ImageFont.load_default(size=max(11, width // 11))
    line = int(font.getbbox("Ag")[3]) + 2
    left = max((int(font.getlength(title)) + MARGIN for title in titles if title), default=0)
    texts = [[_wrapped(item.caption, font, width) if captions else [] for item in row] for row in rows]
    below = line * max((len(lines) for row in texts for lines in row), default=0)
    cell_width, cell_height = width + MARGIN, height + below + MARGIN
    sheet = Image.new("RGB", (left + columns * cell_width + MARGIN, len(rows) * cell_height + MARGIN), paper)
    draw, ink = ImageDraw.Draw(sheet), ink_on(paper)
    for r, row in enumerate(pictures):
        top = MARGIN + r * cell_height
        draw.text((MARGIN, top + (height - line) // 2), titles[r], fill=ink, font=font)
        for c, picture in enumerate(row):
            x = left + MARGIN + c * cell_width
            sheet.paste(picture, (x + (width - picture.width) // 2, top + (height - picture.height) // 2))
            for n, text in enumerate(texts[r][c]):
                draw.text((x + width // 2, top + height + n * line), text, fill=ink, font=font, anchor="ma")
    return sheet


def _enlarged(path: Path) -> Image.Image:
    from PIL import Image

    with Image.open(path) as file:
        picture = file.convert("RGB")
    factor = -(-SMALLEST_CELL // max(picture.size)) if max(picture.size) < SMALLEST_CELL else 1
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    """Break the caption into at most three lines that fit `width` pixels; what is cut off ends in an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > 3:
        lines = [*lines[:2], lines[2] + "…"]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: Font, width: int) -> str:
    while len(line) > 2 and font.getlength(line) > width:
        line = line.rstrip("…")[:-1] + "…"
    return line
