import json
import os
import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loragraph.graph_runtime import DocumentError
from loragraph.graph_runtime.document import load
from loragraph.graph_runtime.fingerprints import Fingerprints
from loragraph.graph_runtime.keys import node_key, work
from loragraph.graph_runtime.plan import plan

from .kinds import registry

REGISTRY = registry()
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
settings = st.dictionaries(st.text(max_size=6), jsons, max_size=4)


def works(nodes, tmp_path, **options):
    document = load(json.dumps({"format": "loragraph/1", "nodes": nodes}), REGISTRY, **options)
    return work(document, plan(document).order, REGISTRY, Fingerprints(tmp_path / "prints.sqlite"))


@given(settings)
def test_a_key_does_not_depend_on_the_order_of_settings(values):
    turned = dict(reversed(list(values.items())))
    key = node_key("T", 1, values, {}, {})
    assert key == node_key("T", 1, turned, {}, {})
    assert len(key) == 64
    assert int(key, 16) >= 0


@given(settings, settings)
def test_different_settings_have_different_keys(one, other):
    assume(json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True))
    assert node_key("T", 1, one, {}, {}) != node_key("T", 1, other, {}, {})


def test_everything_that_counts_changes_the_key():
    keys = {
        node_key("T", 1, {"a": 1}, {}, {}),
        node_key("U", 1, {"a": 1}, {}, {}),
        node_key("T", 2, {"a": 1}, {}, {}),
        node_key("T", 1, {"a": 2}, {}, {}),
        node_key("T", 1, {"a": 1, "b": "p"}, {"b": "x"}, {}),
        node_key("T", 1, {"a": 1, "b": "p"}, {"b": "y"}, {}),
        node_key("T", 1, {"a": 1}, {}, {"i": [("k", "o")]}),
        node_key("T", 1, {"a": 1}, {}, {"i": [("k", "p")]}),
        node_key("T", 1, {"a": 1}, {}, {"j": [("k", "o")]}),
        node_key("T", 1, {"a": 1}, {}, {"i": [("k", "o"), ("l", "o")]}),
        node_key("T", 1, {"a": 1}, {}, {"i": [("l", "o"), ("k", "o")]}),
    }
    assert len(keys) == 11
    with pytest.raises(ValueError, match="JSON"):
        node_key("T", 1, {"a": float("nan")}, {}, {})


def test_a_key_is_the_same_in_another_process():
    script = "from loragraph.graph_runtime.keys import node_key; print(node_key('T', 1, {'a': 1.5, 'b': 'é'}, {}, {}))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    other = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == node_key("T", 1, {"b": "é", "a": 1.5}, {}, {})


def test_names_titles_and_written_defaults_do_not_count(tmp_path):
    one = works({"m": {"type": "Make"}, "a": {"type": "ApplyLoRA", "inputs": {"lora": "m.lora"}}}, tmp_path)
    other = works(
        {
            "x": {"type": "ApplyLoRA", "settings": {"strength": 1}, "inputs": {"lora": "y.lora"}},
            "y": {"type": "Make", "settings": {"size": 1}},
        },
        tmp_path,
    )
    assert one["a"].key == other["x"].key
    assert one["m"].key == other["y"].key


def test_a_changed_file_under_the_same_name_changes_the_key(tmp_path):
    path = tmp_path / "cat.bin"
    path.write_bytes(b"one")
    nodes = {
        "r": {"type": "Read", "settings": {"file": str(path)}},
        "a": {"type": "ApplyLoRA", "inputs": {"lora": "r.lora"}},
    }
    before = works(nodes, tmp_path)
    assert before["r"].settings["file"] == str(path)
    assert works(nodes, tmp_path) == before
    path.write_bytes(b"two")
    after = works(nodes, tmp_path)
    assert after["r"].key != before["r"].key
    assert after["a"].key != before["a"].key


def test_where_a_file_lies_does_not_count_but_its_name_does(tmp_path):
    keys = []
    for place in ("one/cat.bin", "two/cat.bin", "two/dog.bin"):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"same")
        keys.append(works({"r": {"type": "Read", "settings": {"file": str(path)}}}, tmp_path)["r"].key)
    assert keys[0] == keys[1] != keys[2]


def test_what_lies_below_a_node_that_is_never_kept_is_never_looked_up(tmp_path):
    found = works(
        {
            "r": {"type": "RandomOne"},
            "a": {"type": "ApplyLoRA", "inputs": {"lora": "r.lora"}},
            "m": {"type": "Make"},
        },
        tmp_path,
    )
    assert {node: each.cache for node, each in found.items()} == {"r": False, "a": False, "m": True}


def test_a_file_that_went_away_is_a_problem_of_its_node(tmp_path):
    path = tmp_path / "cat.bin"
    path.write_bytes(b"one")
    nodes = {"r": {"type": "Read", "settings": {"file": str(path)}}}
    document = load(json.dumps({"format": "loragraph/1", "nodes": nodes}), REGISTRY)
    path.unlink()
    with pytest.raises(DocumentError, match='node "r", "file"'):
        work(document, ["r"], REGISTRY, Fingerprints())
