"""Combining LoRAs, and baking them into a base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from safetensors.torch import load_file, save_file

from loragraph.diffusion import adapters, families
from loragraph.diffusion.adapters import Use, file_sha256
from loragraph.diffusion.errors import LoraMismatch, ModelError, SettingError
from loragraph.diffusion.lora import algebra, weights
from loragraph.diffusion.lora.bake import bake
from loragraph.diffusion.lora.weights import Lora, Pair
from loragraph.tests.diffusion.conftest import LoraFile
from loragraph.tests.diffusion.tiny import build_tiny_flux

FAMILY = families.get("flux")
WEIGHTS = Path("transformer") / "diffusion_pytorch_model.safetensors"


def random_lora(seed: int, rank: int, alpha: float, modules: str = "abc") -> Lora:
    numbers = torch.Generator().manual_seed(seed)
    return {
        name: Pair(torch.randn(rank, 24, generator=numbers), torch.randn(40, rank, generator=numbers), alpha)
        for name in modules
    }


def plain_sum(loras: list[tuple[Lora, float]]) -> dict[str, torch.Tensor]:
    total: dict[str, torch.Tensor] = {}
    for lora, strength in loras:
        for name, pair in lora.items():
            change = strength * pair.alpha / len(pair.down) * (pair.up.double() @ pair.down.double())
            total[name] = total.get(name, torch.zeros_like(change)) + change
    return total


THREE = [(random_lora(0, 4, 2.0), 0.7), (random_lora(1, 6, 6.0, "ab"), -1.3), (random_lora(2, 3, 1.0, "bcd"), 0.4)]


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


def test_concat_is_the_sum() -> None:
    result = algebra.concat(THREE)
    for name, wanted in plain_sum(THREE).items():
        assert relative(result[name].delta(), wanted) < 1e-6
    assert {name: pair.rank for name, pair in result.items()} == {"a": 10, "b": 13, "c": 7, "d": 3}


def test_svd_at_full_rank_is_the_sum() -> None:
    result = algebra.svd(THREE, rank=13)
    for name, wanted in plain_sum(THREE).items():
        assert relative(result.lora[name].delta(), wanted) < 1e-6
    assert result.energy == pytest.approx(1.0)


def test_svd_at_a_lower_rank_is_the_best_there_is_and_reports_what_it_keeps() -> None:
    result = algebra.svd(THREE, rank=5)
    kept = total = 0.0
    for name, wanted in plain_sum(THREE).items():
        values = torch.linalg.svdvals(wanted)
        best = float(values[5:].norm() / values.norm())
        assert relative(result.lora[name].delta(), wanted) == pytest.approx(best, abs=1e-6)
        assert result.lora[name].rank <= 5
        assert result.energies[name] == pytest.approx(1 - best**2, abs=1e-6)
        kept, total = kept + float(values[:5].square().sum()), total + float(values.square().sum())
    assert result.energy == pytest.approx(kept / total)
    assert 0.3 < result.energy < 0.95


def test_combinations_survive_the_file_and_stock_diffusers(base: Path, lora_file: LoraFile, tmp_path: Path) -> None:
    loras = [
        (weights.load(lora_file("a", rank=8, alpha=4.0, seed=1)), 0.8),
        (weights.load(lora_file("b", rank=3, alpha=6.0, seed=2, group="attention")), -0.5),
    ]
    path = weights.save(algebra.concat(loras), tmp_path / "merged.safetensors")
    stock = FluxPipeline.from_pretrained(base)
    stock.load_lora_weights(str(path))
    sums = plain_sum(loras)
    layers = {name: layer for name, layer in stock.transformer.named_modules() if hasattr(layer, "get_delta_weight")}
    assert layers.keys() == sums.keys()
    for name, wanted in sums.items():
        assert relative(layers[name].get_delta_weight("default_0").detach(), wanted) < 1e-6


def test_stock_diffusers_draws_the_same_with_what_was_merged_baked_or_stacked(
    base: Path, pipeline: Any, lora_file: LoraFile, tmp_path: Path
) -> None:
    one, two = lora_file("a", rank=8, alpha=4.0, seed=1), lora_file("b", rank=3, alpha=6.0, seed=2, group="attention")
    stack = [Use(str(path), file_sha256(str(path)), strength) for path, strength in ((one, 0.8), (two, -0.5))]
    loras = [(weights.load(use.path), use.strength) for use in (*stack, stack[0])]
    with adapters.applied(pipeline, [*stack, stack[0]]):
        wanted = velocity(pipeline.transformer)
    merged = {"concat": algebra.concat(loras), "svd": algebra.svd(loras, rank=32).lora}
    for name, lora in merged.items():
        stock = FluxPipeline.from_pretrained(base)
        stock.load_lora_weights(str(weights.save(lora, tmp_path / f"{name}.safetensors")))
        assert (velocity(stock.transformer) - wanted).abs().max() < 1e-5 * wanted.abs().max(), name
    once = bake(base, stack, tmp_path / "once")
    again = FluxPipeline.from_pretrained(bake(once, stack[:1], tmp_path / "again"))
    assert (velocity(again.transformer) - wanted).abs().max() < 1e-5 * wanted.abs().max()
    card = json.loads((tmp_path / "again" / "loragraph.json").read_text())
    assert [entry["strength"] for entry in card["baked"]] == [0.8, -0.5, 0.8]


def test_nonsense_is_refused() -> None:
    with pytest.raises(SettingError, match="at least one"):
        algebra.concat([])
    with pytest.raises(SettingError, match="rank = 0"):
        algebra.svd(THREE, rank=0)
    other = {"a": Pair(torch.ones(2, 24), torch.ones(8, 2), 2.0)}
    with pytest.raises(LoraMismatch, match="a is 24 -> 40 in one, 24 -> 8 in another"):
        algebra.concat([THREE[0], (other, 1.0)])


def test_a_lora_that_changes_nothing_keeps_all_its_energy() -> None:
    zero = {"a": Pair(torch.ones(2, 24), torch.zeros(40, 2), 2.0)}
    assert algebra.svd([(zero, 1.0)], rank=1).energy == 1.0


# baking


@pytest.fixture
def uses(lora_file: LoraFile) -> list[Use]:
    paths = [lora_file("a", seed=1), lora_file("b", seed=2, rank=3, alpha=1.0, group="attention")]
    return [Use(str(path), file_sha256(str(path)), strength) for path, strength in zip(paths, (0.8, -0.5), strict=True)]


def velocity(transformer: Any) -> torch.Tensor:
    numbers = torch.Generator().manual_seed(0)
    inputs = {
        "hidden_states": torch.randn(1, 64, 32, generator=numbers),
        "encoder_hidden_states": torch.randn(1, 16, 32, generator=numbers),
        "pooled_projections": torch.randn(1, 32, generator=numbers),
        "timestep": torch.tensor([0.5]),
        "txt_ids": torch.zeros(16, 3),
        "img_ids": families.flux.grid_ids(8, 8),
    }
    with torch.no_grad():
        return transformer(**inputs, return_dict=False)[0]


def test_baked_and_applied_agree_to_rounding_in_stock_diffusers(
    base: Path, pipeline: Any, uses: list[Use], tmp_path: Path
) -> None:
    baked = bake(base, uses, tmp_path / "baked")
    stock = FluxPipeline.from_pretrained(baked)
    bare = velocity(pipeline.transformer)
    with adapters.applied(pipeline, uses):
        applied = velocity(pipeline.transformer)
    merged = velocity(stock.transformer)
    assert (merged - applied).abs().max() < 5e-6 * applied.abs().max()
    assert (bare - applied).abs().max() > 0.02 * applied.abs().max()


def test_the_weights_are_rounded_once(base: Path, uses: list[Use], tmp_path: Path) -> None:
    baked = load_file(bake(base, uses, tmp_path / "baked", dtype="float16") / WEIGHTS)
    before = load_file(base / WEIGHTS)
    change = plain_sum([(weights.load(path), strength) for path, _, strength in uses])
    for name, old in before.items():
        exact = old.double() + change.get(name.removesuffix(".weight"), 0.0)
        assert baked[name].dtype == torch.float16
        assert (baked[name].double() - exact).abs().max() <= (
            exact.to(torch.float16).double() - exact
        ).abs().max() + 1e-6


def test_nothing_baked_is_the_base_byte_for_byte_and_the_rest_is_copied(
    base: Path, uses: list[Use], tmp_path: Path
) -> None:
    copy, baked = bake(base, [], tmp_path / "copy"), bake(base, uses, tmp_path / "baked")
    old, new = load_file(base / WEIGHTS), load_file(copy / WEIGHTS)
    assert old.keys() == new.keys()
    assert all(torch.equal(old[name], new[name]) for name in old)
    names = {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()}
    assert {str(path.relative_to(baked)) for path in baked.rglob("*") if path.is_file()} == names
    for name in names - {str(WEIGHTS), "loragraph.json"}:
        assert (baked / name).read_bytes() == (base / name).read_bytes()
    card = json.loads((baked / "loragraph.json").read_text())
    assert [(entry["sha256"], entry["strength"]) for entry in card["baked"]] == [use[1:] for use in uses]
    assert card["width"] == 64


def test_a_sharded_base_is_baked_shard_by_shard(base: Path, pipeline: Any, uses: list[Use], tmp_path: Path) -> None:
    import shutil

    sharded = Path(shutil.copytree(base, tmp_path / "sharded"))
    (sharded / WEIGHTS).unlink()
    FluxTransformer2DModel.from_pretrained(base / "transformer").save_pretrained(
        sharded / "transformer", max_shard_size="100KB"
    )
    assert len(list((sharded / "transformer").glob("*.safetensors"))) > 2
    one, many = bake(base, uses, tmp_path / "one"), bake(sharded, uses, tmp_path / "many")
    left = FluxTransformer2DModel.from_pretrained(one / "transformer").state_dict()
    right = FluxTransformer2DModel.from_pretrained(many / "transformer").state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_linked_folders_are_followed_and_loose_checkpoints_left_behind(
    base: Path, uses: list[Use], tmp_path: Path
) -> None:
    import shutil

    linked = Path(shutil.copytree(base, tmp_path / "linked"))
    shutil.move(linked / "text_encoder", tmp_path / "elsewhere")
    (linked / "text_encoder").symlink_to(tmp_path / "elsewhere")
    (linked / "vae" / "above").symlink_to(linked)
    (linked / "flux1-dev.safetensors").write_bytes(b"the same weights once more, without the LoRA")
    baked = bake(linked, uses, tmp_path / "baked")
    names = {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()}
    assert {str(path.relative_to(baked)) for path in baked.rglob("*") if path.is_file()} == names
    assert not (baked / "text_encoder").is_symlink()
    FAMILY.load_pipeline(baked)


def test_a_base_that_is_broken_beside_its_weights_is_refused_before_writing(
    base: Path, uses: list[Use], tmp_path: Path
) -> None:
    import shutil

    broken = Path(shutil.copytree(base, tmp_path / "broken"))
    (broken / "loragraph.json").write_text("[]")
    with pytest.raises(ModelError, match=r"loragraph\.json"):
        bake(broken, uses, tmp_path / "out" / "baked")
    (broken / "loragraph.json").unlink()
    index = broken / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "../../elsewhere.safetensors"}}))
    with pytest.raises(ModelError, match="outside its folder"):
        bake(broken, uses, tmp_path / "out" / "baked")
    assert not (tmp_path / "out").exists()


def test_small_blocks_give_the_same_weights(
    base: Path, uses: list[Use], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_file(bake(base, uses, tmp_path / "whole") / WEIGHTS)
    monkeypatch.setattr("loragraph.diffusion.lora.bake.BLOCK", 100)
    for name, value in load_file(bake(base, uses, tmp_path / "blocks") / WEIGHTS).items():
        torch.testing.assert_close(value, whole[name], rtol=1e-6, atol=1e-6)


def test_stopping_leaves_nothing_behind(base: Path, uses: list[Use], tmp_path: Path) -> None:
    target = tmp_path / "out" / "baked"

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bake(base, uses, target, on_progress=stop)
    assert list(target.parent.iterdir()) == []


def test_what_cannot_be_baked_is_refused_before_writing(base: Path, uses: list[Use], tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    with pytest.raises(SettingError, match="choose a new folder"):
        bake(base, uses, full)
    with pytest.raises(SettingError, match=r"float6.*Did you mean"):
        bake(base, uses, tmp_path / "x", dtype="float6")
    with pytest.raises(LoraMismatch):
        bake(build_tiny_flux(tmp_path / "wide", heads=4), uses, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_quantised_weights_are_refused(base: Path, uses: list[Use], tmp_path: Path) -> None:
    import shutil

    small = Path(shutil.copytree(base, tmp_path / "small"))
    tensors = load_file(small / WEIGHTS)
    save_file({name: value.to(torch.float8_e4m3fn) for name, value in tensors.items()}, small / WEIGHTS)
    with pytest.raises(ModelError, match="quantised"):
        bake(small, uses, tmp_path / "x")
    assert sorted(path.name for path in tmp_path.iterdir() if "x" in path.name) == []
