import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loragraph.graph_runtime import values
from loragraph.graph_runtime.values import (
    Adapter,
    Base,
    Clip,
    Dataset,
    Entities,
    Entity,
    FileRef,
    Images,
    Item,
    LoRA,
    Picture,
    Schedule,
    Shape,
    Table,
    Value,
    Videos,
)

texts = st.text(max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
files = st.builds(FileRef, path=texts, sha256=texts, size=st.integers(0, 2**60))
loras = st.builds(
    LoRA,
    file=files,
    family=texts,
    rank=st.integers(1, 64),
    modules=st.integers(0, 64),
    title=texts,
    dialect=texts,
    alpha=st.none() | numbers,
    partial=st.booleans(),
)
schedules = st.builds(Schedule, start=numbers, end=numbers, end_strength=st.none() | numbers, curve=texts)
adapters = st.builds(
    Adapter,
    lora=loras,
    strength=numbers,
    blocks=texts,
    schedule=st.none() | schedules,
    lines=st.lists(st.integers(1, 9), max_size=3),
)
bases = st.builds(
    Base,
    source=texts,
    path=texts,
    fingerprint=texts,
    family=texts,
    dtype=texts,
    adapters=st.lists(adapters, max_size=2),
)
tables = st.integers(0, 4).flatmap(
    lambda width: st.builds(
        Table,
        title=texts,
        columns=st.lists(texts, min_size=width, max_size=width),
        rows=st.lists(
            st.lists(st.none() | texts | numbers | st.integers(), min_size=width, max_size=width), max_size=3
        ),
    )
)
jsons = st.recursive(
    st.none() | st.booleans() | numbers | texts, lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
pictures = st.builds(
    Picture,
    file=files,
    width=st.integers(0, 99),
    height=st.integers(0, 99),
    caption=texts,
    settings=st.dictionaries(texts, jsons, max_size=3),
)
clips = st.builds(
    Clip, file=files, width=st.integers(0, 99), height=st.integers(0, 99), frames=st.integers(0, 99), fps=numbers
)
shapes = st.builds(
    Shape, kind=st.sampled_from(["box", "polygon", "stroke"]), points=st.lists(st.tuples(numbers, numbers), max_size=3)
)
entities = st.builds(
    Entity, prompt=texts, strength=numbers, shapes=st.lists(shapes, max_size=2), mask=st.none() | files
)
pictured = st.one_of(
    st.builds(Images, items=st.lists(pictures, max_size=3)),
    st.builds(Videos, items=st.lists(clips, max_size=3)),
    st.builds(Entities, width=st.integers(0, 99), height=st.integers(0, 99), entities=st.lists(entities, max_size=3)),
)
datasets = st.builds(Dataset, items=st.lists(st.builds(Item, file=files, caption=texts), max_size=3), root=texts)


@given(st.one_of(loras, bases, datasets, pictured, tables))
def test_every_value_comes_back_from_json(value):
    assert values.load(values.dump(value)) == value


def test_with_adapter_stacks_and_leaves_the_original_alone():
    lora = LoRA(file=FileRef(path="/a", sha256="0", size=1), family="flux", rank=4, modules=2)
    base = Base(source="s", path="/m", fingerprint="f", family="flux", dtype="float32")
    stacked = base.with_adapter(lora, 0.5).with_adapter(lora, -1.0)
    assert [adapter.strength for adapter in stacked.adapters] == [0.5, -1.0]
    assert base.adapters == ()
    with pytest.raises(ValidationError):
        base.dtype = "float16"  # type: ignore[misc]


def test_an_adapter_can_be_narrowed_down_to_blocks_steps_and_lines():
    lora = LoRA(file=FileRef(path="/a", sha256="0", size=1), family="flux", rank=4, modules=2)
    base = Base(source="s", path="/m", fingerprint="f", family="flux", dtype="float32")
    when = Schedule(start=0.2, end_strength=0.1, curve="linear")
    (adapter,) = base.with_adapter(lora, 0.5, blocks="mid=0", schedule=when, lines=(2,)).adapters
    assert (adapter.strength, adapter.blocks, adapter.schedule, adapter.lines) == (0.5, "mid=0", when, (2,))
    assert base.with_adapter(lora, 0.5).with_adapters(()) == base


def test_what_was_kept_before_a_value_had_more_fields_is_still_read():
    file = {"path": "/a", "sha256": "0", "size": 1}
    old = {"$type": "LoRA", "file": file, "family": "flux", "rank": 4, "modules": 2, "title": "t"}
    assert values.load(old) == LoRA(file=FileRef(**file), family="flux", rank=4, modules=2, title="t")


def test_a_table_has_a_cell_for_each_column_and_keeps_whole_numbers_whole():
    table = Table(title="t", columns=("a", "b"), rows=(("x", 1), (None, 1.0)))
    assert [type(cell) for row in values.load(values.dump(table)).rows for cell in row] == [str, int, type(None), float]
    with pytest.raises(ValidationError, match="row 2 has 1 cells for 2 columns"):
        Table(title="t", columns=("a", "b"), rows=(("x", 1), ("y",)))
    with pytest.raises(ValidationError, match="finite"):
        Table(title="t", columns=("a",), rows=((float("nan"),),))


def test_references_names_every_file_and_place():
    lora = LoRA(file=FileRef(path="/a", sha256="0", size=7), family="flux", rank=4, modules=2)
    base = Base(source="s", path="/m", fingerprint="f", family="flux", dtype="float32").with_adapter(lora, 1)
    assert set(values.references(base)) == {("/m", None), ("/a", 7)}


def test_references_names_masks_and_clips():
    file = FileRef(path="/m.png", sha256="0", size=3)
    entities = Entities(width=8, height=8, entities=(Entity(prompt="x", mask=file), Entity(prompt="y")))
    videos = Videos(items=(Clip(file=file, width=8, height=8, frames=2, fps=8),))
    assert set(values.references(entities)) == set(values.references(videos)) == {("/m.png", 3)}


def test_file_ref_of_a_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"hello")
    assert FileRef.of(path) == FileRef(path=str(path), sha256=hashlib.sha256(b"hello").hexdigest(), size=5)


@pytest.mark.parametrize("data", [None, 3, {}, {"$type": "Nothing"}, {"$type": "Images"}, {"$type": "LoRA", "x": 1}])
def test_load_refuses_what_is_not_a_value(data):
    with pytest.raises(ValueError, match=r"value|not a"):
        values.load(data)


def test_two_kinds_cannot_share_a_name():
    with pytest.raises(TypeError, match="already defined"):

        class LoRA(Value):
            pass
