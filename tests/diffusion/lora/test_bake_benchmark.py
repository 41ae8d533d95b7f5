"""The benchmark of baking, at a size that takes a second."""

from __future__ import annotations

from pathlib import Path

from loragraph.benchmarks import lora_bake


def test_it_measures_each_way_and_leaves_nothing_behind(tmp_path: Path) -> None:
    found = lora_bake.measure("flux", str(tmp_path), rounds=1, share=0.01, diffusers=False)
    assert set(found) == {"copy", "cp", "synced", "bake", "bytes", "differ"}
    assert found["bytes"] > 10_000_000
    assert found["bake"]["rss"] > found["copy"]["rss"] > 1
    assert found["bake"]["cpu"] > found["bake"]["work"] > 0
    assert "x copy" in lora_bake.table("flux", found)
    assert list(tmp_path.iterdir()) == []
