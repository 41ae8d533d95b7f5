import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loragraph.graph_runtime import DocumentError, reading, sources
from loragraph.graph_runtime.document import Document, NodeSpec, Reference, load, set_setting
from loragraph.graph_runtime.schema import workflow_schema

from .kinds import chain, registry

REGISTRY = registry()


def text(nodes, **parts):
    return json.dumps({"format": "loragraph/1", "nodes": nodes, **parts})


def problems(source, **options):
    with pytest.raises(DocumentError) as caught:
        load(source, REGISTRY, **options)
    return [str(problem) for problem in caught.value.problems]


MAKE = {"type": "Make", "version": 3}
ids = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
strengths = st.floats(-4, 4)


@st.composite
def documents(draw):
    names = draw(st.lists(ids, min_size=1, max_size=8, unique=True))
    nodes = {names[0]: NodeSpec(names[0], "Make", 3, {"size": draw(st.integers(1, 100))})}
    for index, name in enumerate(names[1:], 1):
        above = [Reference(draw(st.sampled_from(names[:index])), "lora") for _ in range(draw(st.integers(1, 3)))]
        if draw(st.booleans()):
            nodes[name] = NodeSpec(name, "ApplyLoRA", 1, {"strength": draw(strengths)}, {"lora": above[0]})
        else:
            nodes[name] = NodeSpec(
                name, "Merge", 1, {"strengths": draw(st.lists(strengths, max_size=3))}, {"loras": above}
            )
    view = {name: {"at": [draw(st.integers(-9, 9)), 0]} for name in names}
    return Document(nodes, draw(st.text(max_size=20)), view)


@settings(max_examples=50, deadline=None)
@given(documents())
def test_a_document_comes_back_from_its_text(document):
    loaded = load(document.text(), REGISTRY)
    assert loaded == document
    assert loaded.text() == document.text()


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=10,
    ),
    st.sampled_from(["type", "version", "settings", "inputs", "title", "nodes", "view", "format", "extra"]),
)
def test_whatever_stands_in_a_part_nothing_but_a_document_error_comes_of_it(junk, part):
    for data in (
        {"format": "loragraph/1", "nodes": {"a": {**MAKE, part: junk}}},
        {"format": "loragraph/1", "nodes": {"a": MAKE, "b": junk}},
        {"format": "loragraph/1", "nodes": {"a": MAKE}, part: junk},
        {"format": "loragraph/1", "nodes": {"a": {"type": "Merge", "inputs": {"loras": junk}}}},
        {"format": "loragraph/1", "nodes": {"a": {"type": "Merge", "settings": {"strengths": junk}}}},
    ):
        with contextlib.suppress(DocumentError):
            load(json.dumps(data), REGISTRY)


def test_save_and_load_a_file(tmp_path):
    path = tmp_path / "flow.json"
    document = load(text({"a": MAKE}, title="T", view={"a": {"at": [1, 2]}}), REGISTRY)
    document.save(path)
    again = load(path, REGISTRY)
    assert again == document
    assert (again.path, again.folder) == (path, tmp_path)
    assert load(str(path), REGISTRY) == document
    assert [each.name for each in tmp_path.iterdir()] == ["flow.json"]


def test_values_have_the_defaults():
    document = load(text({"a": {"type": "Make"}}), REGISTRY)
    assert document.values["a"] == {"size": 1, "kind": "a"}
    assert document.nodes["a"].settings == {}


def test_an_older_node_is_upgraded():
    document = load(text({"a": {"type": "Make", "version": 1, "settings": {"n": 7}}}), REGISTRY)
    assert document.nodes["a"] == NodeSpec("a", "Make", 3, {"size": 7})
    assert document.upgraded == {"a": 1}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{", "this is not JSON"),
        ('{"format": "loragraph/1", "nodes": {}} x', "this is not JSON"),
        ("[" * 100 + "{}" + "]" * 100, "nests deeper than 64"),
        ('{"a":' * 200_000 + "1" + "}" * 200_000, "nests deeper than 64"),
        ('[{"format": 1}]', "a workflow is a JSON object"),
        ('{"n": ' + "9" * 5000 + "}", "cannot be read"),
        ('{"title": "\\ud800"}', "half a character"),
        ('{"nodes": {}}', "there is no format"),
        ('{"format": "loragraph/2", "nodes": {}}', "newer LoRAGraph"),
        ('{"format": "comfy/1", "nodes": {}}', "no format that LoRAGraph knows"),
        ('{"format": "loragraph/1"}', '"nodes"'),
        ('{"format": "loragraph/1", "nodes": {}, "titel": "x"}', 'Did you mean "title"?'),
        ('{"format": "loragraph/1", "nodes": {"a": {"type": "Make"}, "a": {"type": "Make"}}}', "stands twice"),
        (text({"a": 3}), "a node is an object"),
        (text({"a": {}}), "a node names its type"),
        (text({"a.b": MAKE}), "a node's name"),
        (
            text({"a": {"type": "Maek"}}),
            'node "a", "type" = "Maek": there is no node of this type. Did you mean "Make"?',
        ),
        (text({"a": {**MAKE, "setings": {}}}), 'Did you mean "settings"?'),
        (text({"a": {**MAKE, "version": 4}}), "was saved by version 4"),
        (text({"a": {**MAKE, "version": "1"}}), "whole number from 1"),
        (text({"a": {**MAKE, "settings": {"sise": 3}}}), 'Did you mean "size"?'),
        (text({"a": {**MAKE, "settings": {"size": 101}}}), 'node "a", "size" = 101: it must be at most 100.'),
        (text({"a": {"type": "ApplyLoRA"}}), "ApplyLoRA needs a wire with LoRA here. Add a node that makes one"),
        (text({"a": MAKE, "b": {"type": "ApplyLoRA", "inputs": {"lroa": "a.lora", "lora": "a.lora"}}}), 'mean "lora"?'),
        (text({"a": MAKE, "b": {"type": "ApplyLoRA", "inputs": {"lora": "c.lora"}}}), 'there is no node "c"'),
        (text({"a": MAKE, "b": {"type": "ApplyLoRA", "inputs": {"lora": "a.loar"}}}), 'Did you mean "a.lora"?'),
        (text({"a": MAKE, "b": {"type": "ApplyLoRA", "inputs": {"lora": "a"}}}), 'Write "a.", then the name'),
        (text({"a": MAKE, "b": {"type": "ApplyLoRA", "inputs": {"lora": ["a.lora"]}}}), "takes one wire"),
        (text({"a": MAKE, "b": {"type": "ApplyLoRA", "inputs": {"lora": 3}}}), "a wire is written"),
        (text({"a": {"type": "Merge", "inputs": {"loras": []}}}), "Merge needs a wire with LoRA"),
        (
            text({"a": {"type": "Both"}, "b": {"type": "ApplyLoRA", "inputs": {"lora": "a.images"}}}),
            'carries Images; the input takes LoRA. These would fit: "a.lora".',
        ),
        (text({"a": {"type": "ApplyLoRA", "inputs": {"lora": "a.lora"}}}), "in a circle: a -> a."),
        (text({"a": {"type": "Read", "settings": {"file": "no-such-file"}}}), "there is no such file"),
        (text({"a": {"type": "Read", "settings": {"file": ""}}}), "no file is given"),
        (text({"a": {"type": "Read"}}), "Read needs this setting"),
        (text({"a": {"type": "Read", "settings": {"file": "x" * 5000}}}), "cannot be read"),
        (text({"a": {"type": "LoadBase", "settings": {"source": "embeded:emoji"}}}), "nothing is known under"),
    ],
)
def test_each_mistake_is_named_once_with_its_remedy(source, said):
    found = problems(source)
    assert len(found) == 1
    assert said in found[0]


def test_all_problems_come_at_once():
    found = problems(
        text(
            {
                "a": {"type": "Make", "settings": {"size": "12", "kind": "c"}},
                "b": {"type": "ApplyLoRA", "settings": {"strength": 9}, "inputs": {"lora": "x.lora"}},
                "c": {"type": "Maek"},
                "d": {"type": "ApplyLoRA", "inputs": {"lora": "e.lora"}},
                "e": {"type": "ApplyLoRA", "inputs": {"lora": "d.lora"}},
            }
        )
    )
    assert len(found) == 6


def test_a_cycle_names_its_nodes_in_the_order_of_the_wires():
    nodes = {
        "in": MAKE,
        "a": {"type": "Merge", "inputs": {"loras": ["in.lora", "c.lora"]}},
        "b": {"type": "ApplyLoRA", "inputs": {"lora": "a.lora"}},
        "c": {"type": "ApplyLoRA", "inputs": {"lora": "b.lora"}},
        "after": {"type": "ApplyLoRA", "inputs": {"lora": "c.lora"}},
    }
    (found,) = problems(text(nodes))
    assert "a -> b -> c -> a" in found


def test_a_missing_file_and_a_binary_file(tmp_path):
    (tmp_path / "flow.json").write_text("{}")
    assert 'Did you mean "flow.json"?' in problems(tmp_path / "flwo.json")[0]
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n{")
    assert "not UTF-8 text" in problems(tmp_path / "cat.png")[0]
    assert "cannot be read" in problems(tmp_path)[0]


def test_a_relative_path_starts_at_the_document_then_here(tmp_path, monkeypatch):
    flows, here = tmp_path / "flows", tmp_path / "here"
    flows.mkdir()
    here.mkdir()
    (flows / "flow.json").write_text(text({"a": {"type": "Read", "settings": {"file": "cat.bin"}}}))
    monkeypatch.chdir(here)
    (here / "cats.bin").write_bytes(b"1")
    (flows / "cat.bim").write_bytes(b"1")
    assert 'Did you mean "cat.bim"?' in problems(flows / "flow.json")[0]
    (here / "cat.bin").write_bytes(b"1")
    assert load(flows / "flow.json", REGISTRY)
    assert sources.resolve("cat.bin", "file", flows) == here / "cat.bin"
    (flows / "cat.bin").write_bytes(b"1")
    assert sources.resolve("cat.bin", "file", flows) == flows / "cat.bin"


def test_nodes_that_are_not_installed_keep_their_place():
    source = text(
        {
            "x": {"type": "Alien", "version": 9, "settings": {"q": [1]}, "inputs": {"i": "a.lora"}},
            "a": MAKE,
            "b": {"type": "ApplyLoRA", "version": 1, "inputs": {"lora": "x.anything"}},
        }
    )
    document = load(source, REGISTRY, allow_missing=True)
    assert document.missing == {"x"}
    assert json.loads(document.text()) == json.loads(source)
    assert len(problems(source)) == 1


def test_overrides_take_effect_before_the_check(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"1")
    source = text({"r": {"type": "Read", "settings": {"file": "gone"}}, "m": MAKE})
    document = load(source, REGISTRY, overrides=[f"r.file={path}", "m.size=5", "r.note=true"])
    assert document.values["r"] == {"file": str(path), "note": "true"}
    assert document.values["m"]["size"] == 5


def test_set_setting_and_its_refusals():
    document = load(text({"m": MAKE}), REGISTRY)
    assert set_setting(document, "m.size=7", REGISTRY).values["m"]["size"] == 7
    assert set_setting(document, 'm.kind="b"', REGISTRY).values["m"]["kind"] == "b"
    assert document.values["m"]["size"] == 1
    for assignment, said in {
        "m.sise=7": 'Did you mean "size"?',
        "n.size=7": 'there is no such node. The only choice is "m".',
        "size=7": "Write node.setting=value.",
        "m.size": "Write node.setting=value.",
        "m.size=nan": "must be a whole number",
        "m.size=3.9": "must be a whole number",
        'm.size="12"': "must be a whole number",
        "m.size=500": "at most 100",
    }.items():
        with pytest.raises(DocumentError) as caught:
            set_setting(document, assignment, REGISTRY)
        assert said in str(caught.value), assignment


def test_a_document_made_in_python_is_completed():
    document = Document({"m": NodeSpec("m", "Make", 3), "a": NodeSpec("a", "ApplyLoRA", 1)})
    with pytest.raises(DocumentError, match="needs a wire with LoRA"):
        document.complete(REGISTRY)
    good = Document({"m": NodeSpec("m", "Make", 3)}).complete(REGISTRY)
    assert good.values["m"]["size"] == 1
    assert good.complete(REGISTRY) is good


def test_the_workflow_schema_is_json_and_knows_every_type():
    schema = json.loads(json.dumps(workflow_schema(REGISTRY)))
    assert schema["$schema"].endswith("2020-12/schema")
    node = schema["properties"]["nodes"]["additionalProperties"]
    assert node["properties"]["type"]["enum"] == REGISTRY.names()
    assert len(node["allOf"]) == len(REGISTRY)


def test_ten_thousand_broken_wires_are_reported_in_time():
    nodes = {f"n{i}": {"type": "ApplyLoRA", "inputs": {"lora": f"m{i}.lora"}} for i in range(10_000)}
    begun = time.process_time()
    with pytest.raises(DocumentError) as caught:
        load(text(nodes), REGISTRY)
    assert len(caught.value.problems) == 10_000
    assert time.process_time() - begun < 20


def test_a_file_of_fifty_nodes_is_checked_in_half_a_second_without_torch(tmp_path):
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(chain(50)))
    script = """
import sys, time
from loragraph.graph_runtime.document import load
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from kinds import registry
load(Path(sys.argv[1]), registry())
assert not {"torch", "diffusers", "networkx", "gradio"} & set(sys.modules), "heavy import"
print(time.process_time())
"""
    arguments = [sys.executable, "-c", script, str(path), str(Path(__file__).parent)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.5


@pytest.mark.parametrize("cut", ['{"format": "loragraph/1",\n', '{"a": 1\n', "{\r\n\r\n", '{"a":\u2028\n x'])
def test_a_file_that_was_cut_short_is_not_json(cut):
    assert "not JSON" in problems(cut)[0]


@pytest.mark.parametrize("part", ['"view": {"a": {"at": [NaN, 0]}}', '"view": {"a": 1e999}', '"$schema": -Infinity'])
def test_a_number_that_json_does_not_have_is_refused_anywhere(part):
    (said,) = problems('{"format": "loragraph/1", "nodes": {}, ' + part + "}")
    assert "not finite" in said and part.partition(":")[0] in said


def test_a_number_that_json_does_not_have_is_refused_in_a_placeholder_too():
    source = '{"format": "loragraph/1", "nodes": {"x": {"type": "Other", "settings": {"a": NaN}}}}'
    assert 'node "x", "settings"' in problems(source, allow_missing=True)[0]


def test_a_number_of_thousands_of_digits_is_refused_in_words():
    (said,) = problems('{"format": "loragraph/1", "nodes": {}, "view": {"a": ' + "9" * 5000 + "}}")
    assert "digits" in said and "sys." not in said


def test_a_name_with_control_characters_is_shown_and_not_obeyed():
    wild = "\x1b[2J\nnode \x9b\u202e" + "x" * 10000
    for said in problems(text({wild: {"type": "Make", "settings": {wild: 1}}})):
        assert said.isprintable() and len(said) < 500


def test_a_long_circle_is_told_in_a_short_paragraph():
    size = 10_000
    circle = {f"n{i}": {"type": "ApplyLoRA", "inputs": {"lora": f"n{(i - 1) % size}.lora"}} for i in range(size)}
    (said,) = problems(text(circle))
    assert "n0 -> n1 -> " in said and f"-> n{size - 1} -> n0" in said and len(said) < 500


def test_bytes_of_the_command_line_that_are_no_text_name_their_setting(tmp_path):
    file = tmp_path / "a"
    file.touch()
    source = text({"r": {"type": "Read", "settings": {"file": str(file)}}})
    (said,) = problems(source, overrides=["r.note=\udcff"])
    assert said.startswith('node "r", "note"') and "half a character" in said


def test_two_wrong_elements_of_a_list_are_not_told_as_a_choice():
    merge = {"type": "Merge", "settings": {"strengths": [1, "2", None]}, "inputs": {"loras": ["m.lora"]}}
    (said,) = problems(text({"m": MAKE, "merge": merge}))
    assert said.count("must be a number") == 1 and ", or " not in said


def test_a_file_that_tells_no_size_is_read_no_further_than_a_workflow_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST", 1000)
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b" " * 1001,))
    writer.start()
    assert "more than 1000 bytes" in problems(pipe)[0]
    writer.join()
