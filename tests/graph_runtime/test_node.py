import json
from typing import Annotated, Any, Literal, NamedTuple

import pytest

from loragraph.graph_runtime import (
    Base,
    Choices,
    Context,
    FakeContext,
    Images,
    InputFile,
    LoRA,
    Multiline,
    NodeDefinitionError,
    NodeType,
    Range,
    Seed,
    Slider,
    node,
)
from loragraph.graph_runtime.node import camel_case


class Pair(NamedTuple):
    first: LoRA
    second: Images


@node(category="LoRA", version=3, upgrades={1: lambda settings: settings}, cache=False, device=True)
def train_lora(
    base: Base,
    loras: tuple[LoRA, ...],
    extra: Images | None = None,
    *,
    rank: Annotated[int, Range(1, 64), Slider()] = 8,
    rate: Annotated[float, Range(0, 1, step=0.1)] = 0.5,
    flag: bool = False,
    method: Annotated[str, Choices("concat", "svd")] = "concat",
    mode: Literal["fast", "slow"] = "fast",
    weights: tuple[Annotated[float, Range(-4, 4)], ...] = (),
    prompt: Annotated[str, Multiline()] = "",
    seed: Annotated[int, Seed()] = 0,
    file: InputFile | None = None,
    ctx: Context,
) -> Pair:
    """Train."""
    return (base, rank, ctx)  # type: ignore[return-value]


def test_the_signature_is_the_declaration():
    assert isinstance(train_lora, NodeType)
    assert (train_lora.name, train_lora.version, train_lora.cache, train_lora.device) == ("TrainLoRA", 3, False, True)
    assert {n: (s.type, s.required, s.many) for n, s in train_lora.inputs.items()} == {
        "base": (Base, True, False),
        "loras": (LoRA, True, True),
        "extra": (Images, False, False),
    }
    assert dict(train_lora.outputs) == {"first": LoRA, "second": Images}
    assert train_lora.reads == {"file": "file"}
    assert train_lora.function == f"{__name__}:train_lora"
    assert train_lora.doc == train_lora.__doc__ == "Train."


def test_schema_is_json_and_carries_the_widgets():
    settings = json.loads(json.dumps(train_lora.schema()))["settings"]["properties"]
    assert settings["rank"] == {
        "default": 8,
        "maximum": 64,
        "minimum": 1,
        "title": "Rank",
        "type": "integer",
        "x-widget": "slider",
    }
    assert settings["method"]["enum"] == ["concat", "svd"]
    assert settings["rate"]["x-step"] == 0.1
    assert settings["seed"]["x-widget"] == "seed"


def test_a_node_is_called_like_its_function(tmp_path):
    base = Base(source="s", path="/m", fingerprint="f", family="flux", dtype="float32")
    ctx = FakeContext(tmp_path / "out")
    assert train_lora(base, (), rank=3, ctx=ctx) == (base, 3, ctx)
    assert train_lora.call({"base": base, "loras": (), "rank": 4}, ctx) == (base, 4, ctx)


def test_settings_are_completed_with_defaults_and_tuples():
    complete = train_lora.complete({"weights": [1, 2.5], "rate": 1})
    assert complete["weights"] == (1.0, 2.5)
    assert type(complete["rate"]) is float
    assert complete["rank"] == 8


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rank": "12"}, "must be a whole number (written without quotes and without a point). Write 12."),
        ({"rank": 3.9}, "Write 4."),
        ({"rank": 3.0}, "Write 3."),
        ({"rank": True}, "must be a whole number"),
        ({"rank": None}, "must be a whole number"),
        ({"rank": 0}, "must be at least 1. The nearest allowed value is 1."),
        ({"rank": 65}, "must be at most 64. The nearest allowed value is 64."),
        ({"rank": 10**400}, "must be at most 64"),
        ({"rate": "nan"}, "must be a number"),
        ({"rate": float("nan")}, "must be a finite number"),
        ({"rate": float("inf")}, "must be a finite number"),
        ({"rate": "0.5"}, "Write 0.5."),
        ({"rate": True}, "must be a number"),
        ({"flag": "false"}, "must be true or false (written without quotes). Write false."),
        ({"flag": 0}, "must be true or false"),
        ({"prompt": 3}, 'must be text (written in "quotes"). Write "3".'),
        ({"method": "svg"}, 'must be one of its choices. Did you mean "svd"?'),
        ({"mode": "fest"}, 'Did you mean "fast"?'),
        ({"weights": 1.0}, "must be a list, in [brackets]"),
        ({"weights": [1, 9]}, "its element 2 must be at most 4"),
        ({"seed": -1}, "must be at least 0"),
        ({"seed": 2**53}, "must be at most 9007199254740991"),
        ({"rnk": 3}, 'TrainLoRA has no such setting. Did you mean "rank"?'),
        ({"base": "x.base"}, "this is an input, not a setting"),
    ],
)
def test_nothing_is_coerced_and_the_remedy_is_named(settings, said):
    complete, problems = train_lora.check(settings, "n")
    assert len(problems) == 1
    assert problems[0].node == "n"
    assert problems[0].field in settings
    assert said in str(problems[0])
    assert complete == settings


def test_all_problems_come_at_once():
    _, problems = train_lora.check({"rank": "12", "rate": "nan", "flag": "false", "rnk": 1})
    assert {problem.field for problem in problems} == {"rank", "rate", "flag", "rnk"}


def _refused(function: Any, **options: Any) -> str:
    with pytest.raises(NodeDefinitionError) as caught:
        node(category="x", **options)(function)
    return str(caught.value)


class Strange:
    pass


def no_hint(a=1) -> None: ...
def no_return(a: int = 1): ...
def star(*args: int) -> None: ...
def stars(**kwargs: int) -> None: ...
def unknown(a: Strange) -> None: ...
def mutable(a: list[int] = []) -> None: ...  # noqa: B006
def wrong_default(a: Annotated[int, Range(1, 3)] = 9) -> None: ...
def wrong_kind(a: int = "x") -> None: ...  # type: ignore[assignment]
def returns_text(a: int = 1) -> str: ...
def taken(copy: bool = False) -> None: ...
def two_kinds(a: LoRA | Images | None = None) -> None: ...
def unresolved(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def fixed(a: tuple[LoRA, LoRA]) -> None: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (no_hint, 'parameter "a": it has no type hint'),
        (no_return, "no return hint"),
        (star, 'parameter "args"'),
        (stars, 'parameter "kwargs"'),
        (unknown, "'Strange' is neither a value nor"),
        (mutable, "mutable"),
        (wrong_default, "its default 9 must be at most 3"),
        (wrong_kind, "must be a whole number"),
        (returns_text, "returns"),
        (taken, "taken by pydantic"),
        (two_kinds, "one kind of value"),
        (unresolved, "Nowhere"),
        (fixed, "tuple[LoRA, ...]"),
        (Strange, "plain function"),
    ],
)
def test_what_cannot_be_a_node_is_refused_by_name(function, said):
    text = _refused(function)
    assert said in text
    assert function.__name__ in text


def test_upgrades_must_start_from_an_older_version():
    def good(a: int = 1) -> None: ...

    assert "upgrades" in _refused(good, version=2, upgrades={2: dict})
    assert "version" in _refused(good, version=0)


@pytest.mark.parametrize(
    ("name", "expected"), [("apply_lora", "ApplyLoRA"), ("load_images", "LoadImages"), ("grid", "Grid"), ("xy", "XY")]
)
def test_type_names_keep_the_usual_acronyms(name, expected):
    assert camel_case(name) == expected
