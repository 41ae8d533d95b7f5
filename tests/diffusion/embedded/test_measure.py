"""The measurements must know right pictures from wrong ones, since the model's gate rests on them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from loragraph.diffusion.embedded import locate
from loragraph.diffusion.embedded.build.subjects import STYLES, SUBJECTS, caption, subject_name
from loragraph.diffusion.embedded.measure import gallery, report, retrieve, retrieve_anywhere, riso, style_distance

SOME = SUBJECTS[::9]


def artwork(style: str) -> list[Image.Image]:
    shelf = gallery(style)
    pictures = [Image.fromarray((255 * shelf[SUBJECTS.index(slug)]).round().astype(np.uint8)) for slug in SOME]
    return [picture.resize((64, 64), Image.Resampling.LANCZOS) for picture in pictures]


@pytest.mark.parametrize("style", [*STYLES, "riso"])
def test_the_true_artwork_is_found_in_every_style(style: str) -> None:
    assert retrieve(artwork(style), SOME, style).top1 == 1.0


def test_artwork_under_another_name_is_not_found() -> None:
    found = retrieve(artwork("noto"), [*SOME[1:], SOME[0]], "noto")
    assert found.top1 == 0.0
    assert min(found.ranks) > 0


def test_a_small_emoji_is_found_wherever_it_lies() -> None:
    rng = np.random.default_rng(0)
    canvases = []
    for picture in artwork("noto"):
        canvas = Image.new("RGB", (64, 64), "white")
        canvas.paste(picture.resize((32, 32), Image.Resampling.BOX), tuple(4 * rng.integers(0, 9, 2)))
        canvases.append(canvas)
    assert retrieve_anywhere(canvases, SOME).top1 >= 0.95
    assert retrieve(canvases, SOME).top1 < 0.3


def test_style_distance_runs_from_the_style_to_the_plain_artwork() -> None:
    assert style_distance(artwork("riso")) < 0.05
    assert style_distance(artwork("noto")) == pytest.approx(1.0, abs=0.25)


def test_style_distance_names_the_style_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="'line'"):
        style_distance(artwork("noto"), "line")


def test_the_style_data_leaves_the_held_out_subjects_out() -> None:
    shown = {path.stem for path in locate("riso").glob("*.png")}
    held_out = set((locate("riso") / "HELD_OUT.txt").read_text().split("\n")) - {""}
    assert shown | held_out == {subject_name(slug) for slug in SUBJECTS}
    assert not shown & held_out
    assert len(held_out) >= 50


def test_the_style_data_is_in_the_style() -> None:
    pictures = [Image.open(path) for path in sorted(locate("riso").glob("*.png"))[:20]]
    assert style_distance(pictures) < 0.05


def test_locate_names_the_choices_for_an_unknown_asset() -> None:
    with pytest.raises(LookupError, match="emoji, riso, gallery"):
        locate("emojis")


def test_captions_say_what_differs_from_the_default() -> None:
    assert caption("red-apple") == "red apple"
    assert caption("red-apple", "flat", "small", "top left") == "small flat style red apple, top left"
    assert caption("t-rex") == "t-rex"


def save(picture: Image.Image, path: Path, prompt: str) -> None:
    info = PngInfo()
    info.add_itxt("prompt", prompt)
    picture.save(path, pnginfo=info)


def test_report_compares_the_rows_and_separates_held_out_subjects(tmp_path: Path) -> None:
    for row, style in (("without", "noto"), ("with", "riso")):
        for number, (slug, picture) in enumerate(zip(SOME, artwork(style), strict=True)):
            save(picture, tmp_path / f"{row}-{number:04d}.png", subject_name(slug))
    table = report(tmp_path).splitlines()
    assert len(table) == 5
    assert [line.split()[0] for line in table[1:]] == ["without,", "without,", "with,", "with,"]
    assert all("100%" in line for line in table[1:])


def test_report_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"without-\*\.png"):
        report(tmp_path)


def test_riso_is_a_function_of_brightness_alone() -> None:
    grey = np.full((1, 1, 3), 0.5, np.float32)
    colour = np.array([[[0.0, 0.5 / 0.587, 0.0]]], np.float32)
    assert np.allclose(riso(grey), riso(colour), atol=1e-5)
