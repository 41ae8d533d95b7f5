"""Colours, suggestions, LoRA paths: what they check, and what a form learns of them."""

from typing import Annotated

import pytest

from loragraph.graph_runtime import Advanced, Colour, InputLoRA, ModelSource, Range, Suggestions, node


@node(category="test")
def paint(
    lora: InputLoRA,
    paper: Annotated[str, Colour()] = "#ffffff",
    source: Annotated[ModelSource, Suggestions("embedded:emoji", "other")] = "embedded:emoji",
    share: Annotated[float | None, Range(0, 1), Advanced()] = None,
) -> None: ...


def test_a_colour_is_written_in_one_way() -> None:
    assert paint.complete({"lora": "a", "paper": "#FF8000"})["paper"] == "#ff8000"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("#f80", 'Write "#ff8800".'),
        ("ff8800", 'Write "#ff8800".'),
        ("red", "#ff8000"),
        ("#ff88000", ""),
        ("#ff880\n", ""),
    ],
)
def test_another_colour_is_refused_with_the_way_to_write_it(said: str, hint: str) -> None:
    _, problems = paint.check({"lora": "a", "paper": said}, "n")
    assert len(problems) == 1
    assert "it must be a colour, written #rrggbb" in str(problems[0])
    assert hint in str(problems[0])


def test_a_lora_is_a_file_whose_content_counts() -> None:
    assert paint.reads == {"lora": "lora", "source": "model"}


def test_the_schema_tells_the_form() -> None:
    fields = paint.schema()["settings"]["properties"]
    assert (fields["lora"]["x-widget"], fields["lora"]["x-reads"]) == ("lora", "lora")
    assert (fields["paper"]["x-widget"], fields["paper"]["pattern"]) == ("colour", "^#[0-9a-fA-F]{6}$")
    assert (fields["source"]["examples"], fields["source"]["x-reads"]) == (["embedded:emoji", "other"], "model")


def test_an_advanced_setting_is_told_as_one_and_checked_as_any() -> None:
    fields = paint.schema()["settings"]["properties"]
    assert [name for name, field in fields.items() if field.get("x-advanced")] == ["share"]
    assert paint.complete({"lora": "a", "share": 0.5})["share"] == 0.5
    assert paint.complete({"lora": "a", "share": None})["share"] is None
    _, problems = paint.check({"lora": "a", "share": 2.0}, "n")
    assert [problem.field for problem in problems] == ["share"]
