"""Fixtures of the scheduler's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from loragraph.tests.graph_runtime.running import Runner


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)
