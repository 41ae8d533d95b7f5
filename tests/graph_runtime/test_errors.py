import pickle

import pytest

from loragraph.graph_runtime.errors import (
    BadInput,
    Cancelled,
    DocumentError,
    LoRAGraphError,
    NodeDefinitionError,
    Problem,
    WorkerDied,
    did_you_mean,
    show,
)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (NodeDefinitionError("x"), TypeError),
        (DocumentError([]), ValueError),
        (BadInput("x"), ValueError),
        (WorkerDied("x"), RuntimeError),
        (Cancelled(), Exception),
    ],
)
def test_every_error_is_ours_and_also_the_builtin_a_caller_expects(error, builtin):
    assert isinstance(error, LoRAGraphError)
    assert isinstance(error, builtin)


def test_errors_travel_between_processes():
    bad = pickle.loads(pickle.dumps(BadInput("broken", field="file", value="a.png")))
    assert (str(bad), bad.field, bad.value) == ("broken", "file", "a.png")
    error = DocumentError([Problem("a", "b", 3, "is wrong.", "Write 4.")], "w.json")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == 'w.json:\nnode "a", "b" = 3: is wrong. Write 4.'


def test_did_you_mean_names_the_nearest_whatever_its_case():
    assert did_you_mean("applylora", ["ApplyLoRA", "Sample"]) == 'Did you mean "ApplyLoRA"?'
    assert "one of" in did_you_mean("zzzz", ["ApplyLoRA", "Sample"])


def test_show_never_fails_and_is_short():
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    for value in (deep, "x" * 1000, "\ud800", object(), 10**300):
        assert len(show(value)) <= 80
        show(value).encode("utf-8")


def test_a_thousand_problems_show_as_fifty():
    text = str(DocumentError([Problem(str(i), None, None, "bad.") for i in range(1000)]))
    assert text.endswith("... and 950 more problems.")
