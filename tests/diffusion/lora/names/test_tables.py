"""Rows of names: both sides, flat or dotted, and how the rows of a fused weight are shared out."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loragraph.diffusion.lora import names
from loragraph.diffusion.lora.names import text_encoders
from loragraph.diffusion.lora.names.table import SPLITS, Match, Row, Table, ranges

TABLES = {
    **{f"{family.name} {which}": table for family in names.FAMILIES.values() for which, table in family.tables.items()},
    **{f"{family.name} diffusers": family.diffusers for family in names.FAMILIES.values()},
    **text_encoders.TABLES,
    "OpenCLIP": text_encoders.OPEN_CLIP,
}
numbers = st.integers(0, 120)


def test_a_name_must_have_the_numbers_that_a_row_fixes() -> None:
    table = Table((Row("mlp.{i}.fc1", ("ff.{i}.net.0",)), Row("mlp.{i}.fc2", ("ff.{i}.net.2",))))
    match = table.match("mlp_12_fc2", flat=True)
    assert match == Match("mlp.12.fc2", ("ff.12.net.2",), "whole")
    assert table.match("mlp.12.fc3") is None
    assert table.match("mlp.fc1") is None
    assert table.match("mlp.1.fc1.more") is None
    assert table.find("ff.3.net.1") is None


@pytest.mark.parametrize("which", TABLES)
def test_no_two_rows_have_the_same_name_whole_or_flattened(which: str) -> None:
    rows = TABLES[which].rows
    assert len({re.sub(r"\{\w+\}", "#", row.name) for row in rows}) == len(rows)
    assert len({re.sub(r"\{\w+\}", "#", row.name).replace(".", "_") for row in rows}) == len(rows)
    targets = [re.sub(r"\{\w+\}", "#", target) for row in rows for target in row.targets]
    assert len(set(targets)) == len(targets)


@pytest.mark.parametrize("which", TABLES)
@settings(max_examples=15, deadline=None)
@given(i=numbers, j=numbers, k=numbers)
def test_names_with_any_numbers_lead_there_and_back(which: str, i: int, j: int, k: int) -> None:
    table = TABLES[which]
    for row in table.rows:
        name = row.name.format(i=i, j=j, k=k)
        dotted, flat = table.match(name), table.match(name.replace(".", "_"), flat=True)
        assert dotted == flat == Match(name, tuple(target.format(i=i, j=j, k=k) for target in row.targets), row.split)
        for part, target in enumerate(dotted.targets):
            assert table.find(target) == dotted._replace(part=part)


@given(
    part=st.integers(1, 64), inside=st.integers(1, 64), rest=st.integers(1, 64), split=st.sampled_from(sorted(SPLITS))
)
def test_the_parts_of_a_fused_weight_are_all_of_it_and_once(part: int, inside: int, rest: int, split: str) -> None:
    targets, out = {
        "whole": (1, part),
        "equal": (3, 3 * part),
        "square_then_rest": (4, 3 * inside + rest),
        "swapped": (1, 2 * part),
        "swapped_if_pair": (1, 2 * part),
    }[split]
    pieces = ranges(Match("x", ("y",) * targets, split), out, inside)
    assert len(pieces) == targets
    assert sorted(row for piece in pieces for first, last in piece for row in range(first, last)) == list(range(out))


def test_shift_and_scale_change_places_only_where_they_are_a_pair() -> None:
    last, other = (ranges(Match("x", ("y",), "swapped_if_pair"), rows, 8) for rows in (16, 48))
    assert (last, other) == ((((8, 16), (0, 8)),), (((0, 48),),))


@pytest.mark.parametrize(
    ("split", "targets", "out"), [("equal", 3, 10), ("square_then_rest", 4, 24), ("swapped", 1, 7)]
)
def test_a_weight_that_cannot_be_shared_out_is_refused(split: str, targets: int, out: int) -> None:
    with pytest.raises(ValueError, match="rows"):
        ranges(Match("x", ("y",) * targets, split), out, 8)


def test_sat_names_the_attention_of_cogvideo() -> None:
    table = names.get("cogvideox").table("sat")
    match = table.match("layers.41.attention.query_key_value")
    assert match is not None
    assert match.targets == tuple(f"transformer_blocks.41.attn1.{name}" for name in ("to_q", "to_k", "to_v"))
    dense = table.match("layers.0.attention.dense")
    assert dense is not None and dense.targets == ("transformer_blocks.0.attn1.to_out.0",)


def test_diffsynth_names_of_flux_cover_what_eligen_trains() -> None:
    table = names.get("flux").table("diffsynth")
    trained = [f"blocks.0.attn.{side}_to_{part}" for side in "ab" for part in ("qkv", "out")]
    trained += [f"blocks.0.ff_{side}.{part}" for side in "ab" for part in (0, 2)]
    trained += ["blocks.0.norm1_a.linear", "blocks.0.norm1_b.linear"]
    trained += [f"single_blocks.0.{name}" for name in ("to_qkv_mlp", "proj_out", "norm.linear")]
    assert [name for name in trained if table.match(name) is None] == []


def test_the_names_are_read_without_torch() -> None:
    code = "import sys, loragraph.diffusion.lora.names; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_comfyui_has_names_of_its_own_for_cogvideo() -> None:
    family = names.get("cogvideox")
    match = family.table(family.comfyui).match("blocks.3.attn_out")
    assert match is not None and match.targets == ("transformer_blocks.3.attn1.to_out.0",)
