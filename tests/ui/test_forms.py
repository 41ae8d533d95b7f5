"""The form that a node type's schema gives, and what goes back into the document."""

from typing import Any

import pytest

from loragraph.graph_runtime.document import Document, NodeSpec
from loragraph.tests.ui.kinds import everything
from loragraph.ui.forms import edited, fields, value_of, with_edits

FIELDS = {field.name: field for field in fields(everything)}


def spec(**settings: Any) -> NodeSpec:
    return NodeSpec("n", "Everything", 1, settings)


def held(node: NodeSpec, **changes: Any) -> list[Any]:
    """What the widgets hold for a node, with changes."""
    return [changes.get(name, value_of(field, node)) for name, field in FIELDS.items()]


def settings(node: NodeSpec, **changes: Any) -> dict[str, Any]:
    return edited(node, list(FIELDS.values()), held(node, **changes)).settings


def test_every_kind_of_setting_has_its_widget() -> None:
    assert {name: field.kind for name, field in FIELDS.items()} == {
        "needed": "text",
        "strength": "slider",
        "rank": "number",
        "seed": "seed",
        "method": "choice",
        "bits": "choice",
        "fast": "switch",
        "prompt": "multiline",
        "titles": "lines",
        "strengths": "json",
    }


def test_limits_choices_and_needs_come_from_the_schema() -> None:
    assert (FIELDS["strength"].minimum, FIELDS["strength"].maximum, FIELDS["strength"].step) == (-4, 4, 0.05)
    assert FIELDS["bits"].choices == (8, 16)
    assert FIELDS["rank"].info == "1 to 64"
    assert FIELDS["needed"].required and FIELDS["needed"].info == "needed"


def test_an_untouched_form_leaves_the_document_as_it_is() -> None:
    node = spec(needed="x", rank=4, titles=["", "a", "b"], strengths=[1.0, 0.5], seed=2**53 - 1)
    assert settings(node) == node.settings


def test_an_edit_writes_only_that_setting() -> None:
    assert settings(spec(needed="x"), rank=12.0, titles="a\nb\n") == {"needed": "x", "rank": 12, "titles": ["a", "b"]}


def test_an_emptied_field_goes_back_to_its_default() -> None:
    assert settings(spec(needed="x", rank=4), rank=None) == {"needed": "x"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rank": 3.9}, '"rank" = 3.9: it must be a whole number'),
        ({"rank": 65}, '"rank" = 65'),
        ({"seed": -1}, '"seed" = -1'),
        ({"strengths": "[1, "}, '"strengths" = "[1, "'),
        ({"needed": None}, '"needed"'),
    ],
)
def test_a_wrong_value_reaches_the_check_as_it_was_typed(change: dict[str, Any], said: str) -> None:
    _, problems = everything.check(settings(spec(needed="x"), **change), "n")
    assert len(problems) == 1
    assert said in str(problems[0])


def test_the_edits_of_several_nodes_stay_apart() -> None:
    document = Document({"a": spec(needed="1"), "b": spec(needed="2")})
    forms = [(node, [FIELDS["needed"], FIELDS["rank"]]) for node in document.nodes]
    changed = with_edits(document, forms, ["x", 8, "2", 9])
    assert {node: found.settings for node, found in changed.nodes.items()} == {
        "a": {"needed": "x"},
        "b": {"needed": "2", "rank": 9},
    }
