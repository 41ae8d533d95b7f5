"""Patterns of module names mean what PEFT takes them for, and none takes for ever."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loragraph.diffusion.lora.patterns import Patterns

pieces = st.sampled_from(
    ["a", "b", "0", r"\.", ".", "[ab]", "[^.]", r"\d", "(a|b)", "(?:ab)", "a*", "[ab]+", "(a|.0)?", "b{1,2}"]
)
texts = st.lists(pieces, min_size=1, max_size=6).map("".join)
names = st.text("ab0.", max_size=8)


@given(st.booleans(), texts, texts, names)
def test_they_match_what_peft_s_rule_matches(anchored: bool, first: str, second: str, name: str) -> None:
    pattern = f"{'^' if anchored else ''}{first}|{second}"
    if re.fullmatch(r"[\w.^-]+", pattern):
        return
    expected = re.match(rf"(.*\.)?({pattern})$", name) is not None
    assert (Patterns({pattern: 1}).find(name) is not None) == expected


def test_the_first_that_matches_counts_whether_a_plain_name_or_not() -> None:
    patterns = Patterns({"x.to_q": 1, r".*\.to_(q|k)": 2, "to_k": 3, "^a.to_v": 4, "to_v": 5})
    found = {name: patterns.find(name) for name in ("a.x.to_q", "a.y.to_q", "a.to_k", "a.to_v", "b.a.to_v", "a.to_vv")}
    assert found == {"a.x.to_q": 1, "a.y.to_q": 2, "a.to_k": 2, "a.to_v": 4, "b.a.to_v": 5, "a.to_vv": None}


@pytest.mark.parametrize(
    "text", ["(", ")", "[", "a)", "(?=a)", r"(a)\1", "\\", "*a", "a{2,1}", "a{99999}", "(?P<x>a)", "[b-a]"]
)
def test_what_is_not_understood_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not understood"):
        Patterns({text: 1})


def test_what_takes_too_long_is_an_error() -> None:
    patterns = Patterns({"((.{1,900}){900}){900}X": 1})
    with pytest.raises(ValueError, match="take too long"):
        [patterns.find("a" * 300) for _ in range(200)]
