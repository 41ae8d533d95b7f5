"""Training data: pictures of every kind, captions of every kind, and stopping while they are encoded."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from loragraph.diffusion import families
from loragraph.diffusion.errors import TrainingStopped
from loragraph.diffusion.training import data
from loragraph.diffusion.training.config import TrainConfig
from loragraph.diffusion.training.loop import train

FAMILY = families.get("flux")
RAMP = numpy.linspace(0, 65535, 256).reshape(16, 16)


def pixels(picture: Image.Image, format: str = "PNG", **options: Any) -> torch.Tensor:
    content = BytesIO()
    picture.save(content, format, **options)
    return data.to_pixels(content.getvalue(), "picture", 16, 16)


@pytest.mark.parametrize(
    ("values", "format"),
    [
        (RAMP.astype(numpy.uint16), "PNG"),
        (RAMP.astype(numpy.uint16), "TIFF"),
        (RAMP.astype(numpy.int32), "TIFF"),
        ((RAMP / 65535).astype(numpy.float32), "TIFF"),
        ((RAMP / 257).astype(numpy.uint8), "PNG"),
    ],
)
def test_deep_grey_keeps_its_shades(values: numpy.ndarray, format: str) -> None:
    wanted = torch.from_numpy(RAMP / 32767.5 - 1).float().expand(3, -1, -1)
    assert (pixels(Image.fromarray(values), format) - wanted).abs().max() < 0.01


def test_a_transparent_colour_is_laid_on_white_too() -> None:
    assert torch.all(pixels(Image.new("RGB", (16, 16)), transparency=(0, 0, 0)) == 1)
    assert torch.all(pixels(Image.new("L", (16, 16)), transparency=0) == 1)


def test_other_kinds_of_pictures_are_read() -> None:
    red = pixels(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG")
    assert red[0].min() > 0.95 and red[1:].max() < -0.95
    turned = Image.new("RGB", (16, 32))
    turned.paste((255, 255, 255), (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise: the white top becomes the right side
    content = BytesIO()
    turned.save(content, "JPEG", exif=exif)
    upright = data.to_pixels(content.getvalue(), "turned", 32, 16)
    assert upright[..., -12:].mean() > 0.9 and upright[..., :12].mean() < -0.9
    first = Image.new("P", (16, 16), 1)
    assert pixels(first, "GIF", save_all=True, append_images=[Image.new("P", (16, 16), 5)]).shape == (3, 16, 16)
    assert pixels(Image.new("RGB", (1, 1), (255, 255, 255))).min() == 1
    assert pixels(Image.new("RGB", (5000, 1))).shape == (3, 16, 16)


def test_captions_may_be_empty_long_or_odd(
    pipeline: Any, pictures: list[tuple[str, str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    captions = ["", "word " * 3000, "\0\n日本 🎉 </s><pad>", "caf\udce9"]  # the last from a file name in Latin-1
    items = [(path, caption) for (path, _), caption in zip(pictures, captions, strict=False)]
    train(pipeline, items, TrainConfig(steps=1, batch_size=4), checkpoint_dir=tmp_path)
    said = capfd.readouterr()
    assert len(said.out + said.err) < 2000
    drawn = FAMILY.draw(
        pipeline, captions, seeds=range(4), steps=1, guidance=None, width=64, height=64, negative="\udce9"
    )
    assert len(drawn) == 4


def test_large_pictures_are_encoded_a_few_at_a_time_and_it_can_stop_between(
    pipeline: Any, pictures: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes: list[int] = []
    original = type(FAMILY).encode_images

    def count(self: Any, pipe: Any, batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        return original(self, pipe, batch)

    monkeypatch.setattr(type(FAMILY), "encode_images", count)
    monkeypatch.setattr(data, "CHUNK_PIXELS", 2 * 64 * 64 + 5)
    data.prepare(pipeline, FAMILY, pictures, width=64, height=64, max_length=16)
    assert sizes == [2, 2, 1]
    sizes.clear()
    with pytest.raises(TrainingStopped):
        train(pipeline, pictures, TrainConfig(), checkpoint_dir=tmp_path, should_stop=lambda: len(sizes) == 1)
    assert sizes == [2]
    with pytest.raises(TrainingStopped):
        train(pipeline, pictures, TrainConfig(), checkpoint_dir=tmp_path, should_stop=lambda: True)
    assert sizes == [2]
