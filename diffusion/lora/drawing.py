"""A sheet of paper to draw charts on: text, bars, lines and bands, smooth at the edges, with Pillow alone.

    sheet = Sheet(1200, 800)
    sheet.text(40, 30, "Ranks", size=18, bold=True)
    sheet.bar(40, 60, 200, 80, "#4f7df0")
    sheet.image().save("chart.png")

All measures are in pixels of the finished picture, from the upper left corner; it is drawn twice as large and shrunk
in the end. The font is the one that comes with Pillow; what it lacks is written without accents, else as "?".
"""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Sequence
from typing import Literal

from PIL import Image, ImageColor, ImageDraw, ImageFont

FINER = 2
PAPER, INK, SOFT, FAINT, GRID = "#ffffff", "#1f2933", "#5b6875", "#8b97a3", "#e6eaee"

Point = tuple[float, float]
Anchor = Literal["left", "middle", "right"]


@functools.lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


@functools.lru_cache(maxsize=4096)
def _known(letter: str) -> bool:
    if letter < "\x7f":
        return letter >= " "
    font = _font(20)
    return bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


def legible(text: str) -> str:
    """Return the text with letters that the font has: accents go, others become "?"."""
    plain = (unicodedata.normalize("NFKD", letter)[0] if not _known(letter) else letter for letter in text)
    return "".join(letter if _known(letter) else "?" for letter in plain)


def short(number: float) -> str:
    """Return a number for people: three digits.

    >>> short(0.25), short(16), short(1234.6), short(0.00012), short(22_400_000)
    ('0.25', '16', '1235', '1.2e-4', '22.4 M')
    """
    size = abs(number)
    if size >= 1e12 or 0 < size < 0.001:
        return f"{number:.1e}".replace("e-0", "e-").replace("e+", "e")
    limit, unit = next((row for row in ((1e9, " G"), (1e6, " M"), (1e3, " k")) if size >= row[0]), (1.0, ""))
    if size < 10_000:
        limit, unit = 1.0, ""
    share = number / limit
    return f"{share:.0f}{unit}" if abs(share) >= 999.5 else f"{share:.3g}{unit}"


def ticks(most: float, about: int = 4) -> list[float]:
    """Return round numbers from 0 to at least `most`.

    >>> ticks(0.93), ticks(37)
    ([0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 10.0, 20.0, 30.0, 40.0])
    """
    if not (math.isfinite(most) and most > 0):
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(most / about))
    step = next((power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice * about >= most * 0.999), power * 10)
    return [step * number for number in range(math.ceil(most / step * 0.999) + 1)]


class Sheet:
    """White paper of a size in pixels."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width * FINER, height * FINER), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def image(self) -> Image.Image:
        """Return the picture in its final size."""
        return self._image.resize((self.width, self.height), Image.Resampling.LANCZOS)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 13,
        colour: str = INK,
        anchor: Anchor = "left",
        bold: bool = False,
        within: float | None = None,
    ) -> float:
        """Write one line whose middle is at height y, cut with "…" to the width `within`; returns its width."""
        font = _font(size * FINER)
        text = legible(text)
        if within is not None and self.measure(text, size) > within:
            while text and self.measure(text + "…", size) > within:
                text = text[:-1]
            text = text.rstrip() + "…"
        where = {"left": "lm", "middle": "mm", "right": "rm"}[anchor]
        stroke = 1 if bold else 0  # there is one font only; more ink would close small letters
        self._draw.text(
            (x * FINER, y * FINER), text, fill=colour, font=font, anchor=where, stroke_width=stroke, stroke_fill=colour
        )
        return self.measure(text, size)

    def upright(self, x: float, y: float, text: str, size: float = 13, colour: str = INK) -> None:
        """Write one line that is read from below and ends at height y, its middle at x."""
        font = _font(size * FINER)
        text = legible(text)
        right = font.getbbox(text, anchor="lm")[2]
        # as high as any letters are, so that lines beside each other stand alike
        high = math.ceil(size * FINER / 2) + 2
        mask = Image.new("L", (math.ceil(right) + 2, 2 * high), 0)
        ImageDraw.Draw(mask).text((0, high), text, fill=255, font=font, anchor="lm")
        mask = mask.transpose(Image.Transpose.ROTATE_90)
        place = (round(x * FINER - high), round(y * FINER))
        self._image.paste(Image.new("RGB", mask.size, ImageColor.getrgb(colour)[:3]), place, mask)

    def measure(self, text: str, size: float) -> float:
        """Return the width of a line."""
        return _font(size * FINER).getlength(legible(text)) / FINER

    def bar(self, left: float, top: float, right: float, bottom: float, colour: str, round_by: float = 2) -> None:
        """Fill a rectangle; one thinner than its round corners is drawn with sharp ones."""
        box = [left * FINER, top * FINER, right * FINER - 1, bottom * FINER - 1]
        if box[2] < box[0] or box[3] < box[1]:
            return
        radius = min(round_by * FINER, (box[2] - box[0]) / 2, (box[3] - box[1]) / 2)
        self._draw.rounded_rectangle(box, radius, fill=colour)

    def frame(self, left: float, top: float, right: float, bottom: float, fill: str = PAPER) -> None:
        """Draw a panel: rounded corners and a thin edge."""
        box = (left * FINER, top * FINER, right * FINER, bottom * FINER)
        self._draw.rounded_rectangle(box, 10 * FINER, fill=fill, outline=GRID, width=FINER)

    def line(self, points: Sequence[Point], colour: str = GRID, width: float = 1) -> None:
        """Draw a line through the points."""
        scaled = [(x * FINER, y * FINER) for x, y in points]
        self._draw.line(scaled, fill=colour, width=max(1, round(width * FINER)), joint="curve")

    def dot(self, x: float, y: float, colour: str, radius: float = 3) -> None:
        """Draw a disc."""
        box = [(x - radius) * FINER, (y - radius) * FINER, (x + radius) * FINER, (y + radius) * FINER]
        self._draw.ellipse(box, fill=colour)

    def band(self, upper: Sequence[Point], lower: Sequence[Point], colour: str, opacity: float = 0.16) -> None:
        """Fill what lies between two lines, see-through."""
        outline = [(x * FINER, y * FINER) for x, y in (*upper, *reversed(lower))]
        mask = Image.new("L", self._image.size, 0)
        ImageDraw.Draw(mask).polygon(outline, fill=round(255 * opacity))
        self._image.paste(Image.new("RGB", self._image.size, ImageColor.getrgb(colour)[:3]), (0, 0), mask)
