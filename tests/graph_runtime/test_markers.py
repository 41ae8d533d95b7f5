"""Colours, suggestions, LoRA paths: what they check, and what a form learns of them."""

from typing import Annotated

import pytest

from loragraph.graph_runtime import Colour, InputLoRA, ModelSource, Suggestions, node


@node(category="test")
def paint(
    lora: InputLoRA,
    paper: Annotated[str, Colour()] = "#ffffff",
    source: Annotated[ModelSource, Suggestions("embedded:emoji", "other")] = "embedded:emoji",
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
    assert paint.reads == {"lora": "file", "source": "model"}


def test_the_schema_tells_the_form() -> None:
    fields = paint.schema()["settings"]["properties"]
    assert (fields["lora"]["x-widget"], fields["lora"]["x-reads"]) == ("lora", "file")
    assert (fields["paper"]["x-widget"], fields["paper"]["pattern"]) == ("colour", "^#[0-9a-fA-F]{6}$")
    assert (fields["source"]["examples"], fields["source"]["x-reads"]) == (["embedded:emoji", "other"], "model")
