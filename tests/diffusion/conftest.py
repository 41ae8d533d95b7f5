"""One tiny base model and one pipeline of it for all tests here; `lora_file` writes random LoRAs for it."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loragraph.tests.diffusion.tiny import build_tiny_flux, write_pictures

LoraFile = Callable[..., Path]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    return build_tiny_flux(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def pipeline(base: Path) -> Any:
    from loragraph.diffusion import families

    return families.get("flux").load_pipeline(base)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    return [(str(path), caption) for path, caption in write_pictures(tmp_path_factory.mktemp("pictures"), 5)]


@pytest.fixture
def lora_file(base: Path, tmp_path: Path) -> LoraFile:
    """lora_file("name", rank=8, alpha=4.0, seed=0, group="default", size=0.3) -> path of a random LoRA."""
    import torch

    from loragraph.diffusion import families
    from loragraph.diffusion.lora import writing
    from loragraph.diffusion.lora.checkpoint import Checkpoint
    from loragraph.diffusion.lora.model import plain

    found = {key.removesuffix(".weight"): shape for key, shape in Checkpoint.open(base).shapes().items()}
    shapes = {
        key.removeprefix("transformer."): shape
        for key, shape in found.items()
        if key.startswith("transformer.") and len(shape) == 2
    }

    def write(
        name: str = "one", rank: int = 8, alpha: float = 4.0, seed: int = 0, group: str = "default", size: float = 0.3
    ) -> Path:
        numbers = torch.Generator().manual_seed(seed)
        lora = {}
        for pattern in families.get("flux").groups[group]:
            for module in fnmatch.filter(shapes, pattern):
                outside, inside = shapes[module]
                down = torch.randn(rank, inside, generator=numbers) * size
                up = torch.randn(outside, rank, generator=numbers) * size
                lora[f"transformer.{module}"] = (down, up, alpha)
        return writing.save(plain(lora, "flux"), tmp_path / f"{name}.safetensors")

    return write
