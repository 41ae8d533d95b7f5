"""Files of random LoRAs for the tiny pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MakeUse = Callable[..., Any]


@pytest.fixture
def make(pipeline: Any, tmp_path: Path) -> MakeUse:
    """make("name", strength, seed=0, rank=4, alpha=4.0, only="", **of_use) -> Use of a random LoRA's file."""
    from loragraph.diffusion.adapters import Use, file_sha256
    from loragraph.diffusion.lora import writing
    from loragraph.tests.diffusion.adapters.forms import flux_lora

    def write(
        name: str = "one",
        strength: float = 1.0,
        seed: int = 0,
        rank: int = 4,
        alpha: float = 4.0,
        only: str = "",
        **of_use: Any,
    ) -> Use:
        lora = flux_lora(pipeline.transformer, seed, rank, alpha, only)
        path = writing.save(lora, tmp_path / f"{name}.safetensors", "peft")
        return Use(str(path), file_sha256(str(path)), strength, **of_use)

    return write
