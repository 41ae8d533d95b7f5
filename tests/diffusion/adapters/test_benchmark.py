"""The benchmark of use runs, on models small enough for a test."""

from __future__ import annotations

from typing import Any

import pytest

from loragraph.benchmarks import lora_use

SMALL: dict[str, dict[str, Any]] = {
    "flux": {
        "num_layers": 1,
        "num_single_layers": 1,
        "num_attention_heads": 1,
        "attention_head_dim": 16,
        "joint_attention_dim": 16,
        "pooled_projection_dim": 16,
        "in_channels": 16,
        "axes_dims_rope": (4, 6, 6),
    },
    "unet": {"block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 16, "layers_per_block": 1},
}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_both_sides_are_measured(name: str) -> None:
    found = lora_use.measure(name, rounds=2, **SMALL[name])
    assert {"load", "switch", "re-weight", "two at once", "run", "remove"} < found.keys()
    assert all(theirs > 0 and ours > 0 for theirs, ours in found.values())
