"""PaintRegions and ShowRegions: what is to be where in a picture, drawn by hand, and a look at it.

`mask_of` turns an entity's region into pixels; nodes that draw with entities use the same one, so that what is shown is
what counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ..graph_runtime import regions as layers
from ..graph_runtime.context import Context
from ..graph_runtime.errors import BadInput
from ..graph_runtime.markers import InputFile, Range
from ..graph_runtime.node import node
from ..graph_runtime.regions import RegionPainter, Regions
from ..graph_runtime.values import Entities, Entity, FileRef, Images, Picture, Shape

if TYPE_CHECKING:
    from PIL import Image

BLANK = 512
"""Width and height, in pixels, where nothing says any."""
LARGEST = 8192
FINE = 4
"""Regions are drawn so many times as large and then made smaller, which smooths their edges."""
FINEST = 4096
"""The longest side, in pixels, that they are drawn at: larger pictures are drawn less fine."""
COLOURS = ("#e4572e", "#2f6fde", "#2a9d5c", "#f2b134", "#8e44ad", "#17a2b8", "#d6437e", "#7a5c3e")
"""For entities without a colour of their own."""
PAPER, OPACITY = "#ffffff", 0.6


@node(category="Regions", version=1)
def paint_regions(
    regions: Annotated[Regions, RegionPainter()] = (),
    width: Annotated[int, Range(0, LARGEST, step=8)] = 0,
    height: Annotated[int, Range(0, LARGEST, step=8)] = 0,
    background: InputFile | None = None,
) -> Entities:
    """Return what is to be where in a picture: a prompt and a region for each painted layer, the first at the bottom.

    For `width` and `height`, 0 means the size of the picture that is painted over, or 512 without one. The picture
    `background` is only for painting over, and is no part of what is returned.
    """
    own = _size(background) if background is not None else (BLANK, BLANK)
    entities = layers.entities(regions)
    numbers = [number for number, layer in enumerate(regions, 1) if not layer.get("hidden", False)]
    for number, entity in zip(numbers, entities, strict=True):
        if not entity.prompt.strip():
            raise BadInput(f"layer {number} has no prompt; say what is there, or hide the layer.", "regions")
        if not any(not shape.erase for shape in entity.shapes):
            said = f'layer {number} ("{entity.prompt}") has no region; draw one, or delete or hide the layer.'
            raise BadInput(said, "regions")
    return Entities(width=width or own[0], height=height or own[1], entities=entities)


@node(category="Regions", version=1)
def show_regions(entities: Entities, images: Images | None = None, *, ctx: Context) -> Images:
    """Return a picture of the regions, each in its colour and with its prompt, in their order.

    With `images`, the regions are drawn over each of them.
    """
    from PIL import Image

    if images is None:
        papers = [Image.new("RGB", (entities.width, entities.height), PAPER)]
    else:
        papers = [_open(Path(item.file.path)) for item in images.items]
    pictures = []
    for number, paper in enumerate(papers):
        ctx.check_cancel()
        shown = _draw(paper, entities)
        path = ctx.folder / f"{number:04d}.png"
        shown.save(path)
        caption = ", ".join(entity.prompt for entity in entities.entities)
        pictures.append(Picture(file=FileRef.of(path), width=shown.width, height=shown.height, caption=caption))
    return Images(items=tuple(pictures))


def mask_of(entity: Entity, width: int, height: int) -> Image.Image:
    """Return the entity's region as a picture of shades of grey, 255 where the entity is and 0 where it is not.

    Raises BadInput where the entity's mask file cannot be read.
    """
    from PIL import Image

    if entity.mask is not None:
        return _open(Path(entity.mask.path)).convert("L").resize((width, height), Image.Resampling.BILINEAR)
    fine = max(1, min(FINE, FINEST // max(width, height)))
    mask = Image.new("L", (width * fine, height * fine))
    for shape in entity.shapes:
        _fill(mask, shape)
    return mask if fine == 1 else mask.resize((width, height), Image.Resampling.BOX)


def _fill(mask: Image.Image, shape: Shape) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(mask)
    light = 0 if shape.erase else 255
    points = [(x * mask.width, y * mask.height) for x, y in shape.points]
    if shape.kind == "box":
        (left, top), (right, bottom) = points
        # Pillow fills the pixel at the far edge too.
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), fill=light)
    elif shape.kind == "polygon":
        draw.polygon(points, fill=light)
    else:
        radius = shape.size * mask.width / 2
        draw.line(points, fill=light, width=max(1, round(2 * radius)))
        for x, y in points:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=light)


def _draw(paper: Image.Image, entities: Entities) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFont

    shown = paper.copy()
    labels = []
    for number, entity in enumerate(entities.entities):
        colour = entity.colour or COLOURS[number % len(COLOURS)]
        mask = mask_of(entity, shown.width, shown.height)
        shown.paste(Image.new("RGB", shown.size, colour), mask=mask.point(lambda light: round(light * OPACITY)))
        labels.append((mask.getbbox(), entity.prompt, colour))
    draw = ImageDraw.Draw(shown)
    font = ImageFont.load_default(size=max(10, min(32, shown.width // 28)))
    for box, prompt, colour in labels:
        if box is None or not prompt:
            continue
        _, _, right, bottom = draw.textbbox((0, 0), prompt, font=font)
        left = max(0, min(box[0], shown.width - int(right) - 6))
        top = min(box[1], shown.height - int(bottom) - 4)
        draw.rectangle((left, top, left + right + 6, top + bottom + 4), fill=colour)
        draw.text((left + 3, top + 1), prompt, fill=ink_on(colour), font=font)
    return shown


def ink_on(colour: str) -> str:
    """Return near-black or white, whichever is read better on the colour "#rrggbb" (WCAG 2.2, relative luminance)."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#1b1b1f" if light > 0.179 else "#ffffff"


def _size(path: str) -> tuple[int, int]:
    picture = _open(Path(path), "background")
    return min(picture.width, LARGEST), min(picture.height, LARGEST)


def _open(path: Path, field: str | None = None) -> Image.Image:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        said = f"{path.name} can't be read as a picture ({error}); choose another file."
        raise BadInput(said, field, str(path)) from error
