"""Merged files in stock diffusers, and the benchmark in a small form."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline

from loragraph.benchmarks import lora_merge
from loragraph.diffusion.lora import reading, writing
from loragraph.diffusion.lora.merge import merge
from loragraph.tests.diffusion.conftest import LoraFile


def test_stock_diffusers_loads_a_merge_as_the_sum(base: Path, lora_file: LoraFile, tmp_path: Path) -> None:
    loras = [
        (reading.load(lora_file("a", rank=8, alpha=4.0, seed=1)), 0.8),
        (reading.load(lora_file("b", rank=3, alpha=6.0, seed=2, group="attention")), -0.5),
    ]
    sums: dict[str, torch.Tensor] = {}
    for lora, strength in loras:
        for name, change in lora.changes.items():
            assert change.delta is not None
            sums[name] = sums.get(name, torch.zeros(())) + strength * change.delta.dense(torch.float64)
    for method in ("concat", "svd"):
        path = writing.save(merge(loras, method).lora, tmp_path / f"{method}.safetensors", "peft")
        stock = FluxPipeline.from_pretrained(base)
        stock.load_lora_weights(str(path))
        modules = stock.transformer.named_modules()
        layers = {f"transformer.{name}": layer for name, layer in modules if hasattr(layer, "get_delta_weight")}
        assert layers.keys() == sums.keys()
        for name, wanted in sums.items():
            found = layers[name].get_delta_weight("default_0").detach().double()
            assert (found - wanted).norm() < 1e-6 * wanted.norm()


def test_the_benchmark_finds_us_and_peft_at_the_same_error() -> None:
    svd, ties, apart = lora_merge.measure((48,), rank=4, rounds=2)
    assert svd.our_loss == pytest.approx(svd.least, abs=1e-6) and svd.peft_loss == pytest.approx(svd.least, abs=1e-6)
    assert svd.least < ties.our_loss < apart.peft_loss
    assert all(row.ours > 0 and row.peft > 0 for row in (svd, ties, apart))
    assert len(lora_merge.table([svd, ties, apart]).splitlines()) == 4
