"""Where a dialect has several modules as one weight, ranks and energies are that weight's: what is in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from loragraph.diffusion.lora import header, jobs, lineage, reading, writing
from loragraph.diffusion.lora.convert import grouped, stacked
from loragraph.diffusion.lora.criterion import Criterion
from loragraph.diffusion.lora.delta import Full, Hadamard, LowRank
from loragraph.diffusion.lora.merge import merge
from loragraph.diffusion.lora.model import Change, Lora
from loragraph.tests.diffusion.lora.round_trip import distance, lora, numbers

QKV, LINEAR1 = "lora_unet_double_blocks_0_img_attn_qkv", "lora_unet_single_blocks_0_linear1"
WIDTH = 16
FUSED = {QKV: (3 * WIDTH, WIDTH), LINEAR1: (7 * WIDTH, WIDTH)}
HERE = "transformer.transformer_blocks.0.attn"
Kohya = Callable[..., Path]


@pytest.fixture
def kohya(tmp_path: Path) -> Kohya:
    """kohya("a", rank=4, alpha=2) -> a file of kohya's scripts: q, k and v of FLUX, and its fused single block."""

    def written(
        name: str, rank: int = 4, alpha: float = 2.0, seed: int = 0, dtype: torch.dtype = torch.float32, **more: Tensor
    ) -> Path:
        tensors = {}
        for place, (key, (out, inside)) in enumerate(FUSED.items()):
            tensors[f"{key}.lora_down.weight"] = numbers(seed + 2 * place, rank, inside).to(dtype)
            tensors[f"{key}.lora_up.weight"] = numbers(seed + 2 * place + 1, out, rank).to(dtype)
            tensors[f"{key}.alpha"] = torch.tensor(alpha)
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors | more, path)
        return path

    return written


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """A peft file whose q, k, v and MLP have A's of their own; rank 4."""
    return writing.save(lora("flux", rank=4, only="attn.to_"), tmp_path / "apart.safetensors")


def ranks(path: Path) -> dict[str, int]:
    return {
        key.removesuffix(".lora_down.weight"): len(tensor)
        for key, tensor in load_file(path).items()
        if key.endswith("lora_down.weight")
    }


def weight(path: Path, key: str) -> Tensor:
    """The change of a weight by the plain formula."""
    found = load_file(path)
    down, up = (found[f"{key}.lora_{name}.weight"].double() for name in ("down", "up"))
    return up @ down * (float(found[f"{key}.alpha"]) / len(down))


def nearest(change: Tensor, rank: int) -> Tensor:
    left, values, right = torch.linalg.svd(change, full_matrices=False)
    return (left[:, :rank] * values[:rank]) @ right[:rank]


def same(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> bool:
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max())


def test_modules_are_grouped_as_the_dialect_has_them() -> None:
    names = [f"{HERE}.to_v", f"{HERE}.to_out.0", f"{HERE}.to_q", "text_encoder.text_model.encoder.layers.0.mlp.fc1"]
    assert grouped(names, "flux", "kohya") == [(f"{HERE}.to_q", f"{HERE}.to_v"), (names[1],), (names[3],)]
    for family, dialect in (("flux", "peft"), ("", "kohya"), ("sdxl", "kohya")):
        assert grouped(names, family, dialect) == [(name,) for name in names]


def test_resizing_a_fused_weight_keeps_its_best_approximation(kohya: Kohya, tmp_path: Path) -> None:
    source = kohya("source", rank=6)
    done = jobs.resize_file(source, tmp_path / "small.safetensors", rank=3)
    assert (done.info.dialect, done.info.rank, set(ranks(done.path).values())) == ("kohya", 3, {3})
    kept = total = 0.0
    for key in FUSED:
        change, found = weight(source, key), weight(done.path, key)
        assert same(found, nearest(change, 3))
        kept, total = kept + float(found.square().sum()), total + float(change.square().sum())
    assert done.energy == pytest.approx(kept / total)
    share = float(weight(done.path, QKV).square().sum() / weight(source, QKV).square().sum())
    assert done.energies[f"{HERE}.to_q"] == done.energies[f"{HERE}.to_v"] == pytest.approx(share)


@pytest.mark.parametrize("dialect", ["kohya", "comfyui", "peft"])
def test_the_rank_asked_for_is_the_rank_in_the_file(apart: Path, tmp_path: Path, dialect: str) -> None:
    done = jobs.resize_file(apart, tmp_path / "small.safetensors", rank=3, dialect=dialect)
    assert (done.info.dialect, done.info.rank) == (dialect, 3)
    merged = jobs.merge_files([(apart, 0.5), (apart, 0.5)], tmp_path / "m.safetensors", "ties", rank=3, dialect=dialect)
    assert (merged.info.dialect, merged.info.rank) == (dialect, 3)


@pytest.mark.parametrize(
    "rule", [{"sv_ratio": 2.0}, {"sv_fro": 0.8}, {"sv_cumulative": 0.7}, {"sv_fro": 0.9, "rank": 3}]
)
def test_a_rule_is_for_the_singular_values_of_the_fused_weight(
    apart: Path, tmp_path: Path, rule: dict[str, float]
) -> None:
    whole = jobs.convert_file(apart, tmp_path / "whole.safetensors", "kohya").path
    done = jobs.resize_file(apart, tmp_path / "small.safetensors", dialect="kohya", **rule)  # type: ignore[arg-type]
    for key, rank in ranks(done.path).items():
        assert rank == Criterion(**rule).count(torch.linalg.svdvals(weight(whole, key)))  # type: ignore[arg-type]


def test_a_fused_weight_of_a_low_enough_rank_is_left_as_it_is(kohya: Kohya, tmp_path: Path) -> None:
    source = kohya("source", rank=4, alpha=4.0, dtype=torch.float16)
    done = jobs.resize_file(source, tmp_path / "same.safetensors", rank=4)
    before, after = load_file(source), load_file(done.path)
    assert all(torch.equal(after[key], tensor) and after[key].dtype == tensor.dtype for key, tensor in before.items())
    assert done.energy == 1.0


def test_half_precision_stays_half_where_a_fused_weight_is_resized(kohya: Kohya, tmp_path: Path) -> None:
    source = kohya("source", rank=6, alpha=1.0, dtype=torch.bfloat16)
    done = jobs.resize_file(source, tmp_path / "small.safetensors", rank=2)
    assert {tensor.dtype for key, tensor in load_file(done.path).items() if "weight" in key} == {torch.bfloat16}
    assert set(ranks(done.path).values()) == {2}


@pytest.mark.parametrize("rank", [4, None])
def test_a_lora_merged_with_itself_is_itself_at_its_own_rank(kohya: Kohya, tmp_path: Path, rank: int | None) -> None:
    source = kohya("source", rank=4)
    done = jobs.merge_files([(source, 0.5), (source, 0.5)], tmp_path / "both.safetensors", "svd", rank=rank)
    assert done.energy == pytest.approx(1.0, abs=1e-12) and done.info.rank == 4
    assert set(ranks(done.path).values()) == {4}
    for key in FUSED:
        assert same(weight(done.path, key), weight(source, key), 1e-6)


def test_an_svd_merge_is_the_best_of_its_rank_for_the_fused_weight(kohya: Kohya, tmp_path: Path) -> None:
    one, two = kohya("one", rank=3), kohya("two", rank=5, alpha=7.0, seed=50)
    done = jobs.merge_files([(one, 0.7), (two, -0.4)], tmp_path / "both.safetensors", "svd", rank=4)
    kept = total = 0.0
    for key in FUSED:
        change = 0.7 * weight(one, key) - 0.4 * weight(two, key)
        found = weight(done.path, key)
        assert same(found, nearest(change, 4)) and ranks(done.path)[key] == 4
        kept, total = kept + float(found.square().sum()), total + float(change.square().sum())
    assert done.energy == pytest.approx(kept / total)


@pytest.mark.parametrize("normalize", [False, True])
def test_parts_of_other_strengths_merge_to_the_same_sum(kohya: Kohya, tmp_path: Path, normalize: bool) -> None:
    sources = [(kohya("one", rank=3), 1.0), (kohya("two", rank=2, seed=50), 0.5)]
    of = {"blocks": ("*.to_q=0", "*.to_k=2"), "normalize": normalize}
    exact = jobs.merge_files(sources, tmp_path / "exact.safetensors", "concat", **of)  # type: ignore[arg-type]
    best = jobs.merge_files(sources, tmp_path / "best.safetensors", "svd", **of)  # type: ignore[arg-type]
    assert distance(reading.load(best.path), reading.load(exact.path)) < 1e-5
    assert exact.info.rank == best.info.rank == 5  # 3 + 2, though q has but the rows of the second


@pytest.mark.parametrize("method", ["magnitude", "ties", "dare", "dare_ties", "knots"])
def test_other_methods_do_the_same_in_every_dialect_before_the_rank_is_lowered(method: str) -> None:
    loras = [(lora("flux", rank=2, only="attn.to_"), 1.0), (lora("flux", rank=3, alpha=1.0, only="attn.to_"), 0.5)]
    modules = merge(loras, method, density=0.7)
    weights = merge(loras, method, density=0.7, dialect="kohya")
    assert distance(weights.lora, modules.lora) < 1e-6
    assert weights.energy == pytest.approx(modules.energy)
    small = merge(loras, method, density=0.7, rank=2, dialect="kohya").lora
    qkv = [f"{HERE}.to_{name}" for name in "qkv"]
    exact = torch.cat([delta(modules.lora, name).dense(torch.float64) for name in qkv])
    found = torch.cat([delta(small, name).dense(torch.float64) for name in qkv])
    assert same(found, nearest(exact, 2))


def delta(of: Lora, name: str) -> LowRank:
    found = of.changes[name].delta
    assert isinstance(found, LowRank)
    return found


def test_a_whole_that_is_no_pair_is_stacked_too() -> None:
    factors = {"w1_a": (8, 3), "w1_b": (3, 6), "w2_a": (8, 3), "w2_b": (3, 6)}
    loha = Hadamard(**{name: numbers(place, *shape) for place, (name, shape) in enumerate(factors.items())}, alpha=2.0)
    pair = LowRank(numbers(5, 2, 6), numbers(6, 8, 2), 1.0)
    for parts in ([loha, pair], [Full(numbers(7, 4, 6)), pair], [pair, pair]):
        expected = torch.cat([part.dense() for part in parts])
        assert torch.allclose(stacked(parts).dense(), expected, atol=1e-5)


def checkpoint(path: Path, changes: dict[str, Tensor]) -> Path:
    """A FLUX transformer's attention in the original names."""
    weights = {
        "double_blocks.0.img_attn.qkv.weight": numbers(0, 3 * WIDTH, WIDTH),
        "double_blocks.0.img_attn.proj.weight": numbers(1, WIDTH, WIDTH),
        "double_blocks.0.img_attn.norm.query_norm.scale": numbers(2, 8),
        "double_blocks.0.txt_attn.qkv.weight": numbers(3, 3 * WIDTH, WIDTH),
        "single_blocks.0.linear1.weight": numbers(4, 7 * WIDTH, WIDTH),
        "single_blocks.0.linear2.weight": numbers(5, WIDTH, 5 * WIDTH),
    }
    save_file({name: tensor + changes.get(name, 0.0) for name, tensor in weights.items()}, path)
    return path


@pytest.mark.parametrize("dialect", ["kohya", None])
def test_extracting_finds_the_rank_that_the_fused_weight_changed_by(tmp_path: Path, dialect: str | None) -> None:
    change = numbers(8, 3 * WIDTH, 3) @ numbers(9, 3, WIDTH)
    changes = {"double_blocks.0.img_attn.qkv.weight": change}
    if dialect is None:
        changes["double_blocks.0.img_attn.norm.query_norm.scale"] = torch.full((8,), 0.5)
    before = checkpoint(tmp_path / "before.safetensors", {})
    after = checkpoint(tmp_path / "after.safetensors", changes)
    done = jobs.extract_file(before, after, tmp_path / "lora.safetensors", rank=3, dialect=dialect)
    assert done.info.dialect == (dialect or "comfyui")  # peft has no form for a norm
    assert done.energy == pytest.approx(1.0, abs=1e-6)
    pairs = [tensor for key, tensor in load_file(done.path).items() if key.endswith("lora_down.weight")]
    assert [len(down) for down in pairs] == [3]
    read = reading.load(done.path).changes
    found = torch.cat([read[f"{HERE}.to_{name}"].delta.dense() for name in "qkv"])  # type: ignore[union-attr]
    assert same(found, change, 1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("way", [("kohya",), ("peft", "kohya"), ("comfyui", "peft", "kohya")])
def test_a_fused_weight_keeps_its_rank_whatever_way_it_goes(
    kohya: Kohya, tmp_path: Path, dtype: torch.dtype, way: tuple[str, ...]
) -> None:
    # small numbers of which 1/2 is none in fp16, in some parts only; and k has no use for one of the directions
    source = kohya("source", rank=4, alpha=2.0, dtype=dtype)
    tensors = load_file(source)
    up = tensors[f"{QKV}.lora_up.weight"]
    up[:WIDTH] *= 1e-4
    up[WIDTH : 2 * WIDTH, 2] = 0
    save_file(tensors, source)
    at = source
    for to in way:
        at = jobs.convert_file(at, tmp_path / f"{to}.safetensors", to).path
    found = load_file(at)
    assert set(ranks(at).values()) == {4}
    for key in FUSED:
        down, up = (found[f"{key}.lora_{name}.weight"] for name in ("down", "up"))
        assert down.dtype == up.dtype
        assert torch.equal(down.double(), tensors[f"{key}.lora_down.weight"].double())
        assert torch.equal(weight(at, key), weight(source, key))


def test_pairs_go_to_a_fused_weight_and_back_to_the_bit(apart: Path, tmp_path: Path) -> None:
    for to in ("kohya", "comfyui"):
        there = jobs.convert_file(apart, tmp_path / f"{to}.safetensors", to)
        back = jobs.convert_file(there.path, tmp_path / "back.safetensors", "peft")
        before, after = load_file(apart), load_file(back.path)
        assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


def test_the_same_input_is_the_same_bytes_under_another_name(kohya: Kohya, tmp_path: Path) -> None:
    source = kohya("source")
    for to in ("peft", "kohya", "comfyui"):
        first = jobs.convert_file(source, tmp_path / "first.safetensors", to).path
        assert jobs.convert_file(source, tmp_path / "second.safetensors", to).path.read_bytes() == first.read_bytes()
        assert header.read(first).metadata["modelspec.title"] == "FLUX.1 LoRA"
    titled = writing.save(reading.load(source), tmp_path / "t.safetensors", metadata={"modelspec.title": "Line art"})
    assert header.read(titled).metadata["modelspec.title"] == "Line art"
    assert (
        header.read(jobs.convert_file(titled, tmp_path / "u.safetensors").path).metadata["modelspec.title"]
        == "Line art"
    )


def test_a_rank_that_plays_no_part_in_a_conversion_is_said(tmp_path: Path) -> None:
    pairs = writing.save(lora("flux", only="to_out"), tmp_path / "pairs.safetensors")
    factors = {"w1_a": (8, 3), "w1_b": (3, 8), "w2_a": (8, 3), "w2_b": (3, 8)}
    loha = Hadamard(**{name: numbers(place, *shape) for place, (name, shape) in enumerate(factors.items())}, alpha=2.0)
    other = writing.save(Lora({f"{HERE}.to_out.0": Change(loha)}, "flux"), tmp_path / "loha.safetensors", "kohya")
    out = tmp_path / "out.safetensors"
    for source, to in ((pairs, "peft"), (pairs, "kohya"), (other, "kohya")):
        assert "rank 9 played no part" in jobs.convert_file(source, out, to, rank=9).warnings[-1]
        assert jobs.convert_file(source, out, to).warnings == ()
    assert jobs.convert_file(other, out, "peft", rank=9).warnings == ()
    assert lineage.of(header.read(out).metadata) is not None
    with pytest.raises(writing.SettingError, match=r"rank 8\. .*allow pairs of rank 8 \(--rank 8\)"):
        jobs.convert_file(other, out, "peft")


def test_modules_without_alpha_are_counted_as_the_modules_that_they_are(kohya: Kohya) -> None:
    source = kohya("source")
    tensors = load_file(source)
    for missing, said in (([QKV], "3 of its modules"), ([QKV, LINEAR1], "its modules")):
        save_file(
            {key: tensor for key, tensor in tensors.items() if key not in [f"{at}.alpha" for at in missing]}, source
        )
        info = reading.inspect(source)
        assert info.modules == 7
        assert f"no alpha for {said}, so" in info.warnings[0]
