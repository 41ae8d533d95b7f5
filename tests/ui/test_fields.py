"""The fields that a node type's schema gives."""

import json
from typing import Annotated, Literal

import pytest

from loragraph.graph_runtime import (
    Advanced,
    Choices,
    Colour,
    InputFile,
    InputFolder,
    InputLoRA,
    ModelSource,
    Multiline,
    Range,
    RegionPainter,
    Regions,
    Seed,
    Slider,
    Suggestions,
    node,
)
from loragraph.ui.fields import Field, fields


@node(category="Test")
def everything(
    needed: str,
    strength: Annotated[float, Range(-4, 4, step=0.05), Slider()] = 1.0,
    rank: Annotated[int, Range(1, 64)] = 8,
    free: float = 0.5,
    seed: Annotated[int, Seed()] = 0,
    method: Annotated[str, Choices("concat", "svd")] = "concat",
    bits: Annotated[int, Choices(8, 16)] = 16,
    only: Literal["this"] = "this",
    mode: Literal["fast", "slow"] = "fast",
    fast: bool = False,
    prompt: Annotated[str, Multiline()] = "",
    paper: Annotated[str, Colour()] = "#ffffff",
    picture: InputFile | None = None,
    folder: InputFolder = ".",
    source: Annotated[ModelSource, Suggestions("embedded:emoji")] = "embedded:emoji",
    adapter: InputLoRA = "a.safetensors",
    limit: Annotated[int, Range(1, 9)] | None = None,
    share: Annotated[float | None, Range(0, 1), Advanced()] = None,
    lines: Annotated[tuple[Annotated[int, Range(1, 9)], ...], Advanced()] = (),
    titles: tuple[str, ...] = (),
    strengths: tuple[float, ...] = (),
    regions: Annotated[Regions, RegionPainter()] = (),
) -> None:
    """Do nothing with a setting of every kind.

    `rank` is the number of directions; with `limit`, fewer
    are kept. An empty `prompt` means any.
    """


FIELDS = {field.name: field for field in fields(everything)}


def test_every_kind_of_setting_has_its_widget() -> None:
    assert {name: field.kind for name, field in FIELDS.items()} == {
        "needed": "text",
        "strength": "slider",
        "rank": "number",
        "free": "number",
        "seed": "seed",
        "method": "choice",
        "bits": "choice",
        "only": "choice",
        "mode": "choice",
        "fast": "switch",
        "prompt": "multiline",
        "paper": "colour",
        "picture": "file",
        "folder": "folder",
        "source": "model",
        "adapter": "lora",
        "limit": "number",
        "share": "number",
        "lines": "json",
        "titles": "lines",
        "strengths": "json",
        "regions": "regions",
    }


def test_limits_choices_and_needs_come_from_the_schema() -> None:
    strength, limit = FIELDS["strength"], FIELDS["limit"]
    assert (strength.minimum, strength.maximum, strength.step, strength.whole) == (-4, 4, 0.05, False)
    assert (limit.minimum, limit.maximum, limit.whole, limit.default, limit.required) == (1, 9, True, None, False)
    assert FIELDS["bits"].choices == (8, 16)
    assert FIELDS["only"].choices == ("this",)
    assert FIELDS["source"].suggestions == ("embedded:emoji",)
    assert FIELDS["needed"].required and FIELDS["needed"].default is None


def test_what_most_leave_as_it_is_is_shown_on_demand() -> None:
    assert {name for name, field in FIELDS.items() if field.advanced} == {"share", "lines"}
    assert (FIELDS["share"].minimum, FIELDS["share"].maximum) == (0, 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rank", "1 to 64. `rank` is the number of directions"),
        ("limit", "1 to 9. With `limit`, fewer are kept"),
        ("prompt", "An empty `prompt` means any"),
        ("titles", "one a line"),
        ("seed", ""),
        ("fast", ""),
    ],
)
def test_a_field_says_its_limits_and_what_the_docstring_says_of_it(name: str, said: str) -> None:
    assert FIELDS[name].info == said


def test_a_field_is_json_with_the_names_that_the_canvas_reads() -> None:
    written = json.loads(json.dumps([field.to_dict() for field in FIELDS.values()]))
    assert all(set(each) == set(Field.__dataclass_fields__) for each in written)
    assert next(each for each in written if each["name"] == "method") == {
        "name": "method",
        "kind": "choice",
        "default": "concat",
        "required": False,
        "whole": False,
        "minimum": None,
        "maximum": None,
        "step": None,
        "choices": ["concat", "svd"],
        "suggestions": [],
        "info": "",
        "advanced": False,
    }
