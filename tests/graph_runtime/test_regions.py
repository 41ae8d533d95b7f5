"""The value of a region painter: what is right, what is refused and in which words."""

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loragraph.graph_runtime import RegionPainter, Regions, Shape, node, regions
from loragraph.graph_runtime.values import dump, load


@node(category="test")
def paint(layers: Annotated[Regions, RegionPainter()] = ()) -> None: ...


share = st.floats(0, 1)
points = st.lists(st.tuples(share, share).map(list), min_size=3, max_size=5)


@st.composite
def boxes(draw: st.DrawFn) -> dict[str, Any]:
    left, right = sorted(draw(st.lists(share, min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(draw(st.lists(share, min_size=2, max_size=2, unique=True)))
    return {"box": [left, top, right, bottom]}


shapes = st.one_of(
    boxes(),
    st.fixed_dictionaries({"polygon": points}),
    st.fixed_dictionaries({"stroke": points, "size": st.floats(0.001, 1)}, optional={"erase": st.booleans()}),
)
layers = st.fixed_dictionaries(
    {"prompt": st.text(max_size=9), "shapes": st.lists(shapes, max_size=3)},
    optional={"strength": st.floats(0, 10), "colour": st.just("#12abEF"), "hidden": st.booleans()},
)


@given(st.lists(layers, max_size=4))
def test_every_layer_that_is_shown_becomes_an_entity_in_its_order(value: list[dict[str, Any]]) -> None:
    complete, problems = paint.check({"layers": value})
    assert problems == []
    made = regions.entities(complete["layers"])
    assert [(each.prompt, len(each.shapes)) for each in made] == [
        (layer["prompt"], len(layer["shapes"])) for layer in value if not layer.get("hidden")
    ]


def test_shapes_keep_their_places() -> None:
    (made,) = regions.entities(
        [{"prompt": "a", "shapes": [{"box": [0.1, 0.2, 0.3, 0.4]}, {"stroke": [[0, 1]], "size": 0.1, "erase": True}]}]
    )
    assert made.shapes == (
        Shape(kind="box", points=((0.1, 0.2), (0.3, 0.4))),
        Shape(kind="stroke", points=((0, 1),), size=0.1, erase=True),
    )
    assert made.strength == 1


def layer(**changes: Any) -> dict[str, Any]:
    return {"prompt": "a fox", "shapes": [{"box": [0, 0, 1, 1]}], **changes}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "must be a list"),
        ([3], "must be"),
        ([{"shapes": []}], 'layer 1 has no prompt. Write "prompt"'),
        ([{"prompt": "a fox"}], 'layer 1 ("a fox") has no list of shapes'),
        ([layer(), layer(strength=11)], 'layer 2 ("a fox") has the strength 11. Write a number from 0 to 10.'),
        ([layer(strength=True)], "has the strength true"),
        ([layer(colour="red")], 'has the colour "red"'),
        ([layer(hidden=1)], "Write true or false."),
        ([layer(strenght=1)], 'has a "strenght" that no layer has. Did you mean "strength"?'),
        ([layer(shapes=[{}])], "shape 1 must be one thing. Write one of"),
        ([layer(shapes=[{"box": [0, 0, 1, 1], "stroke": []}])], "must be one thing"),
        ([layer(shapes=[{"box": [0, 0, 1, 1], "size": 1}])], 'has a "size" that no box has'),
        ([layer(shapes=[{"box": [0, 0, 1]}])], "has the box [0, 0, 1]. Write [left, top, right, bottom]"),
        ([layer(shapes=[{"box": [0.5, 0, 0.5, 1]}])], "has the empty box [0.5, 0, 0.5, 1]"),
        ([layer(shapes=[{"box": [0, 0, 1.5, 1]}])], "each from 0 to 1"),
        ([layer(shapes=[{"polygon": [[0, 0], [1, 1]]}])], "is a polygon with 2 points. It has 3 to 100,000 points."),
        ([layer(shapes=[{"polygon": [[0, 0], [1, 1], [1, "x"]]}])], 'has [1, "x"] for point 3'),
        ([layer(shapes=[{"stroke": [[0, 0]]}])], "is a stroke of size null"),
        ([layer(shapes=[{"stroke": [[0, 0]], "size": 0}])], "is a stroke of size 0. Write a share of the width"),
        ([layer(shapes=[{"stroke": [], "size": 0.1}])], "is a stroke with 0 points"),
        ([layer()] * 101, "101 layers are too many"),
    ],
)
def test_anything_else_is_refused_by_layer_and_shape(value: object, said: str) -> None:
    _, problems = paint.check({"layers": value}, "n")
    assert len(problems) == 1
    assert said in str(problems[0])


def test_the_schema_is_json_and_asks_for_the_painter() -> None:
    field = json.loads(json.dumps(paint.schema()))["settings"]["properties"]["layers"]
    assert (field["type"], field["x-widget"], field["maxItems"]) == ("array", "regions", 100)
    assert field["items"]["required"] == ["prompt", "shapes"]


def test_entities_travel_as_json() -> None:
    from loragraph.graph_runtime import Entities

    value = Entities(width=64, height=32, entities=regions.entities([layer(colour="#112233")]))
    assert load(json.loads(json.dumps(dump(value)))) == value
