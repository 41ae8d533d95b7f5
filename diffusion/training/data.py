"""Pictures and captions, turned once into everything the training steps need.

latents [examples, tokens, channels] and the conditioning of each *different* caption (plus the empty one, for caption
dropout) are computed before the first step and kept; a step only gathers rows.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import PictureError, SettingError
from ..families import Conditioning, Family

logger = logging.getLogger(__name__)
CHUNK = 16  # pictures and captions encoded at once
CHUNK_PIXELS = 1024 * 1024  # and no more than these: a VAE needs gigabytes for a few large pictures


class Example(NamedTuple):
    """One picture file and what it shows."""

    path: str
    caption: str


@dataclass(frozen=True)
class Prepared:
    """latents [examples, tokens, channels] fp32; prompts: the different captions; caption [examples] -> row in them;
    empty: row of the empty caption; digest: sha256 over pictures and captions, in order."""

    latents: torch.Tensor
    prompts: Conditioning
    caption: torch.Tensor
    empty: int
    digest: str


def prepare(
    pipeline: Any,
    family: Family,
    examples: Sequence[Example | tuple[str, str]],
    *,
    width: int,
    height: int,
    max_length: int,
    check: Callable[[], None] | None = None,
) -> Prepared:
    """Encode everything; `check` is called between chunks and may raise to stop.

    Raises:
        SettingError: no examples. PictureError: a picture cannot be read.
    """
    if not examples:
        raise SettingError("items", [], "there is nothing to learn from; add pictures with captions.")
    digest = hashlib.sha256(f"{width}x{height}".encode())
    rows = {caption: index for index, caption in enumerate(dict.fromkeys(["", *(caption for _, caption in examples)]))}
    latents = []
    chunk = max(1, min(CHUNK, CHUNK_PIXELS // (width * height)))
    for first in range(0, len(examples), chunk):
        if check is not None:
            check()
        pixels = []
        for path, caption in examples[first : first + chunk]:
            content = read_bytes(path)
            digest.update(
                hashlib.sha256(content).digest() + hashlib.sha256(caption.encode("utf-8", "surrogatepass")).digest()
            )
            pixels.append(to_pixels(content, str(path), width, height))
        latents.append(family.encode_images(pipeline, torch.stack(pixels)).float())
    captions = list(rows)
    parts = []
    for first in range(0, len(captions), CHUNK):
        if check is not None:
            check()
        parts.append(family.encode_prompts(pipeline, captions[first : first + CHUNK], max_length))
    prompts = Conditioning(torch.cat([part.tokens for part in parts]), torch.cat([part.pooled for part in parts]))
    caption_rows = torch.tensor([rows[caption] for _, caption in examples])
    logger.info("%d pictures, %d different captions", len(examples), len(captions) - 1)
    return Prepared(torch.cat(latents), prompts, caption_rows, rows[""], digest.hexdigest())


def read_bytes(path: str | Path) -> bytes:
    """Return the content of a picture file; PictureError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PictureError(f"The picture {path} cannot be read: {error.strerror or error}.") from error


def to_pixels(content: bytes, name: str, width: int, height: int) -> torch.Tensor:
    """Decode a picture, lay it on white, crop it centrally to the aspect and resize: [3, height, width] in -1..1.

    Raises:
        PictureError: no picture, or a damaged one.
    """
    try:
        with Image.open(BytesIO(content)) as opened:
            picture = ImageOps.exif_transpose(opened)
            picture = _eight_bits(picture)
            if picture.mode in ("RGBA", "LA", "PA", "P") or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
                picture = Image.alpha_composite(white, picture)
            picture = picture.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(
            f"The picture {name} is damaged or of an unknown kind: {error}. Remove or replace it."
        ) from error
    if picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    values = torch.from_numpy(numpy.array(picture)).permute(2, 0, 1).float()
    return values / 127.5 - 1.0


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Scale 16-bit grey (0..65535) and float grey (0..1) to 0..255; Pillow itself would clip them to white or black."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = numpy.asarray(picture).astype(numpy.float64)
    if picture.mode == "F":
        values = values * 255 if values.max() <= 1 else values
    elif values.max() > 255 or picture.mode != "I":
        values = values / 257
    return Image.fromarray(numpy.nan_to_num(values).round().clip(0, 255).astype(numpy.uint8))
