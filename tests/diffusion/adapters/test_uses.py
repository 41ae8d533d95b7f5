"""What a use of a LoRA says: schedules, sums, refusals."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from loragraph.diffusion.adapters import CURVES, Schedule, Use, identity, normal, steady
from loragraph.diffusion.errors import SettingError

A = Use("a.safetensors", "aa", 0.5)
shares = some.floats(0, 1)


def test_a_schedule_starts_and_ends_at_exactly_its_strengths() -> None:
    for curve in ("linear", "cosine", "quadratic"):
        course = [Schedule(0.25, 0.75, 0.1, curve).strength(0.7, step, 8) for step in range(8)]
        assert course[:2] == course[6:] == [0, 0]
        assert (course[2], course[5]) == (0.7, 0.1)
        assert all(one > two for one, two in itertools.pairwise(course[2:6]))
    assert Schedule(0.6).strength(0.7, 0, 1) == 0
    assert Schedule(0.0, 1.0, 0.1, "linear").strength(0.7, 0, 1) == 0.7


@given(middle=some.floats(0.01, 0.99), steps=some.integers(1, 60))
def test_two_schedules_that_meet_share_out_the_steps(middle: float, steps: int) -> None:
    first, second = Schedule(0.0, middle), Schedule(middle, 1.0)
    assert all(first.strength(1.0, step, steps) + second.strength(1.0, step, steps) == 1 for step in range(steps))


@given(start=some.floats(0, 0.99), wide=some.floats(0, 0.2), steps=some.integers(1, 1000))
def test_a_schedule_between_two_steps_is_widened_to_the_nearest(start: float, wide: float, steps: int) -> None:
    schedule = Schedule(start, min(start + wide, 1.0))
    near = schedule.widened(steps)
    assert len(near.on(steps)) >= 1 and 0 <= near.start <= start and schedule.end <= near.end <= 1
    if schedule.on(steps):
        assert near == schedule and not schedule.missed(steps)
    else:
        assert f"the nearest range that has one is {near.start:g} to {near.end:g}." in schedule.missed(steps)
        # by no more than half the way between two steps, and what rounding adds
        assert (start - near.start) + (near.end - schedule.end) <= 0.5 / steps + 2 / (10 * steps)


@given(
    strength=some.floats(-2, 2),
    end=some.floats(-2, 2),
    curve=some.sampled_from(sorted(CURVES)),
    steps=some.integers(1, 40),
)
def test_a_strength_never_leaves_its_limits(strength: float, end: float, curve: str, steps: int) -> None:
    low, high = sorted((strength, end))
    for step in range(steps):
        assert low - 1e-9 <= Schedule(0, 1, end, curve).strength(strength, step, steps) <= high + 1e-9


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"curve": "liner"}, 'curve.*Did you mean "linear"'),
        ({"start": -0.1}, "start = -0.1.*0 to 1"),
        ({"end": float("nan")}, "end = nan"),
        ({"start": 0.5, "end": 0.5}, r"never be on; use less than end \(0\.5\)"),
        ({"end_strength": 0.0}, "never gets to end_strength"),
        ({"end_strength": float("inf"), "curve": "linear"}, "end_strength = inf"),
    ],
)
def test_a_schedule_that_cannot_be_followed_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        normal([A._replace(schedule=Schedule(**settings))])


def test_equal_uses_add_up_and_what_cancels_out_is_left_out() -> None:
    assert normal([("a.safetensors", "aa", 0.25), A]) == [A._replace(strength=0.75)]
    assert normal([A, A._replace(strength=-0.5)]) == []
    other = A._replace(blocks="double=0.5")
    assert normal([A, other, A]) == [A._replace(strength=1.0), other]
    assert len({use.name for use in normal([A, A._replace(alpha=4.0), A._replace(partial=True)])}) == 3
    assert A._replace(alpha=16.00001).name != A._replace(alpha=16.00002).name
    moving = Use("a.safetensors", "aa", 0.0, schedule=Schedule(0, 1, 1.0, "linear"))
    assert normal([moving, moving._replace(strength=1.0)]) == [moving, moving._replace(strength=1.0)]


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (A._replace(strength=float("nan")), r"strength = nan: a\.safetensors"),
        (A._replace(lines=(0, 3)), "There are 3 prompts, 0 to 2"),
        (A._replace(lines=(-1,)), "not there"),
    ],
)
def test_a_use_that_means_nothing_is_refused(use: Use, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        normal([use], 3)


@pytest.mark.parametrize("use", [A._replace(lines=(1,)), A._replace(schedule=Schedule(0.5))])
def test_work_without_steps_refuses_what_changes(use: Use) -> None:
    assert steady([A], "training") == [A]
    with pytest.raises(SettingError, match=r"a\.safetensors acts only on some .* which training can't follow"):
        steady([use], "training")


def test_an_identity_tells_uses_apart_but_not_their_paths() -> None:
    uses = [A, *(A._replace(**change) for change in ({"blocks": "single=0"}, {"alpha": 2.0}, {"lines": (1,)}))]
    assert len({json.dumps(identity(use)) for use in uses}) == 4
    assert identity(A._replace(path="b")) == identity(A) == ["aa", 0.5]
