"""Graphs of any shape: what comes out is what plain evaluation gives, and the cost can be measured."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from loragraph.graph_runtime.executors import InProcessExecutor
from loragraph.tests.graph_runtime.running import Runner, graph


@pytest.mark.parametrize("seed", range(5))
def test_any_graph_gives_what_plain_evaluation_gives(tmp_path: Path, seed: int) -> None:
    runner = Runner(tmp_path)
    chance = random.Random(seed)
    nodes: dict[str, Any] = {}
    expected: dict[str, int | None] = {}
    for index in range(40):
        parents = chance.sample(list(nodes), min(len(nodes), chance.randrange(4)))
        plus = chance.randrange(5)
        above = [expected[parent] for parent in parents]
        if chance.random() < 0.05:
            nodes[f"n{index}"] = ("Fail", {"number": f"{parents[0]}.number"} if parents else {})
            expected[f"n{index}"] = None
        else:
            kind = chance.choice(["Add", "HeavyAdd"])
            nodes[f"n{index}"] = (kind, {"numbers": [f"{parent}.number" for parent in parents], "plus": plus})
            expected[f"n{index}"] = None if None in above else sum(number or 0 for number in above) + plus
    items = list(nodes.items())
    chance.shuffle(items)
    executor = InProcessExecutor(devices=("cpu", "cpu:1"))
    try:
        for _ in range(2):  # cold, then from the store
            result = runner(graph(**dict(items)), executor=executor)
            for node, number in expected.items():
                state = result.nodes[node]
                if number is None:
                    assert state.status in ("failed", "skipped")
                elif state.outputs:
                    assert state.outputs["number"].value == number  # type: ignore[attr-defined]
                else:
                    assert state.status == "cached"
    finally:
        executor.close()


def test_the_benchmark_runs() -> None:
    from loragraph.benchmarks.scheduler import main

    assert main(["--sizes", "10", "20", "--repeats", "1"]) == 0
