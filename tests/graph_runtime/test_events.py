import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loragraph.graph_runtime.events import KINDS, Event

whole = st.integers(-(2**63), 2**63 - 1)
plain = st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.sampled_from(KINDS), st.dictionaries(st.text(), plain, max_size=4))
def test_an_event_comes_back_from_its_line(kind, data):
    event = Event(3, 1.5, "r", kind, "n", data)
    line = event.to_json()
    assert "\n" not in line
    assert Event.from_json(line) == event


def test_what_json_cannot_write_becomes_null():
    event = Event(1, 0.0, "r", "node_metric", "n", {"value": float("nan"), "more": [float("inf"), (1, 2.5)]})
    assert json.loads(event.to_json())["data"] == {"value": None, "more": [None, [1, 2.5]]}


def test_what_some_writers_of_json_refuse_becomes_the_nearest_thing():
    told = {"huge": 10**30, "hugest": 10**400, "a\udcff": "cat\udcff.png", "fine": "Füchsin"}
    found = Event(1, 0.0, "r", "node_log", "n", told).to_dict()["data"]
    assert found == {"huge": 1e30, "hugest": None, "a\\udcff": "cat\\udcff.png", "fine": "Füchsin"}


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"kind": "nothing"}', '{"kind": "run_done"}'])
def test_what_is_no_event_is_refused(line):
    with pytest.raises(ValueError):  # noqa: PT011  (json's own error is one of them)
        Event.from_json(line)
