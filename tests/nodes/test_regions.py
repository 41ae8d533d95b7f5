"""Regions painted by hand become entities, and pictures that show them."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loragraph.graph_runtime import BadInput, Entities, Entity, FakeContext, FileRef
from loragraph.nodes import paint_regions, show_regions
from loragraph.nodes.regions import ink_on, mask_of
from loragraph.tests.nodes import material

LEFT = {"prompt": "a fox", "colour": "#ff0000", "shapes": [{"box": [0.0, 0.0, 0.5, 1.0]}]}


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path / "node")


def painted(*shapes: dict[str, Any]) -> Entity:
    (entity,) = paint_regions(({"prompt": "x", "shapes": list(shapes)},)).entities
    return entity


def share(entity: Entity, width: int = 100, height: int = 100) -> float:
    """The share of the picture that the entity covers."""
    mask = mask_of(entity, width, height)
    return sum(value * count for value, count in enumerate(mask.histogram())) / 255 / (width * height)


def test_painted_layers_become_entities_without_the_hidden_ones() -> None:
    made = paint_regions((LEFT, {**LEFT, "prompt": "an owl", "hidden": True}, {**LEFT, "prompt": "a cat"}), 64, 32)
    assert (made.width, made.height) == (64, 32)
    assert [(entity.prompt, entity.colour) for entity in made.entities] == [("a fox", "#ff0000"), ("a cat", "#ff0000")]


def test_the_size_is_the_pictures_own_where_none_is_written(tmp_path: Path) -> None:
    (picture,) = material.images(tmp_path, ("one",), (80, 48)).items
    made = paint_regions((), background=picture.file.path)
    assert (made.width, made.height) == (80, 48)
    made = paint_regions((), width=16, background=picture.file.path)
    assert (made.width, made.height) == (16, 48)
    assert paint_regions(()) == Entities(width=512, height=512, entities=())


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"prompt": " ", "shapes": [{"box": [0, 0, 1, 1]}]}, "layer 2 has no prompt"),
        ({"prompt": "a fox", "shapes": []}, 'layer 2 ("a fox") has no region'),
        ({"prompt": "a fox", "shapes": [{"box": [0, 0, 1, 1], "erase": True}]}, "has no region"),
    ],
)
def test_a_layer_that_says_too_little_is_refused(layer: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        paint_regions(({**LEFT, "hidden": True}, layer))
    assert said in str(caught.value)
    assert caught.value.field == "regions"


def test_a_background_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_text("no picture")
    with pytest.raises(BadInput, match=r"x\.png can't be read") as caught:
        paint_regions((), background=str(path))
    assert caught.value.field == "background"


@pytest.mark.parametrize(
    ("shapes", "covered"),
    [
        ([{"box": [0.25, 0.25, 0.75, 0.5]}], 0.125),
        ([{"polygon": [[0, 0], [1, 0], [0, 1]]}], 0.5),
        ([{"stroke": [[0, 0.5], [1, 0.5]], "size": 0.2}], 0.2),
        ([{"stroke": [[0.5, 0.5]], "size": 0.4}], 3.14159 * 0.04),
        ([{"box": [0, 0, 0.5, 1]}, {"box": [0.25, 0, 1, 1]}], 1.0),
        ([{"box": [0, 0, 1, 1]}, {"box": [0, 0, 0.5, 1], "erase": True}, {"box": [0, 0, 0.25, 1]}], 0.75),
    ],
)
def test_a_mask_covers_what_the_shapes_cover(shapes: list[dict[str, Any]], covered: float) -> None:
    assert share(painted(*shapes)) == pytest.approx(covered, abs=0.012)


def test_a_mask_has_the_same_shape_at_every_size() -> None:
    entity = painted({"polygon": [[0.1, 0.1], [0.9, 0.2], [0.5, 0.9]]}, {"box": [0.4, 0.3, 0.6, 0.5], "erase": True})
    assert share(entity, 64, 64) == pytest.approx(share(entity, 640, 320), abs=0.01)


def test_a_mask_file_is_a_region_too(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.new("L", (8, 8), 255).save(path)
    assert share(Entity(prompt="x", mask=FileRef.of(path)), 20, 10) == 1


def test_regions_are_shown_in_their_colours_and_order(ctx: FakeContext) -> None:
    over = {"prompt": "an owl", "colour": "#0000ff", "shapes": [{"box": [0.25, 0.25, 1.0, 1.0]}]}
    (shown,) = show_regions(paint_regions((LEFT, over), 200, 100), ctx=ctx).items
    assert (shown.width, shown.height, shown.caption) == (200, 100, "a fox, an owl")
    with Image.open(shown.file.path) as picture:
        fox, owl, both, paper = (picture.getpixel(at) for at in ((20, 80), (150, 80), (80, 80), (150, 10)))
    assert paper == (255, 255, 255)
    assert fox[0] > fox[2] and owl[2] > owl[0] and both[2] > both[0]
    assert both[0] < owl[0] + 10 and both != owl


def test_regions_are_drawn_over_each_picture(ctx: FakeContext, tmp_path: Path) -> None:
    pictures = material.images(tmp_path, ("one", "two"), (64, 48))
    shown = show_regions(paint_regions((LEFT,), 512, 512), pictures, ctx=ctx)
    assert [(item.width, item.height) for item in shown.items] == [(64, 48), (64, 48)]


def test_words_are_read_on_every_colour() -> None:
    assert (ink_on("#ffffff"), ink_on("#f2b134"), ink_on("#2457d6"), ink_on("#000000")) == (
        "#1b1b1f",
        "#1b1b1f",
        "#ffffff",
        "#ffffff",
    )
