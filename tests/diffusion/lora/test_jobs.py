"""File in, file out: what the nodes and the commands share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from loragraph.diffusion.errors import LoraFileError, LoraMismatch, SettingError
from loragraph.diffusion.lora import header, jobs, lineage, merge, reading, writing
from loragraph.diffusion.lora.delta import Full, LowRank
from loragraph.diffusion.lora.model import Change, Lora
from loragraph.tests.diffusion.lora.round_trip import distance, lora, numbers

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make("a", "kohya", rank=4) -> a LoRA file of the attention of FLUX."""

    def written(name: str, dialect: str = "peft", **of: object) -> Path:
        made = lora("flux", only="attn.to_", **of)  # type: ignore[arg-type]
        return writing.save(made, tmp_path / f"{name}.safetensors", dialect)

    return written


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def told(path: Path) -> lineage.Lineage:
    found = lineage.of(header.read(path).metadata)
    assert found is not None
    return found


def test_a_file_goes_through_every_dialect_and_stays_the_same_change(make: Make, tmp_path: Path) -> None:
    source = make("source")
    at = source
    for to in ("kohya", "comfyui", "peft"):
        done = jobs.convert_file(at, tmp_path / f"{to}.safetensors", to)
        assert (done.info.dialect, done.info.family, done.warnings) == (to, "flux", ())
        assert distance(reading.load(done.path), reading.load(source)) < 1e-6
        at = done.path
    shapes = [{key: tensor.shape for key, tensor in load_file(path).items()} for path in (source, at)]
    assert shapes[0] == shapes[1]  # the ranks are what they were, too
    generations = told(at)
    assert (generations.method, generations.settings) == ("convert", {"to": "peft"})
    names = []
    while generations.parts:
        (part,) = generations.parts
        names.append(part.file)
        if part.lineage is None:
            break
        generations = part.lineage
    assert names == ["comfyui.safetensors", "kohya.safetensors", "source.safetensors"]
    assert generations.parts[0].sha256 == sha256(source)


def test_a_given_alpha_is_folded_into_the_converted_file(tmp_path: Path) -> None:
    bare = {
        "transformer.transformer_blocks.0.attn.to_q.lora_A.weight": numbers(0, 4, 8),
        "transformer.transformer_blocks.0.attn.to_q.lora_B.weight": numbers(1, 8, 4),
        "transformer.transformer_blocks.0.attn.add_q_proj.lora_A.weight": numbers(2, 4, 8),
        "transformer.transformer_blocks.0.attn.add_q_proj.lora_B.weight": numbers(3, 8, 4),
    }
    save_file(bare, tmp_path / "bare.safetensors")
    guessed = jobs.convert_file(tmp_path / "bare.safetensors", tmp_path / "guessed.safetensors")
    assert any("alpha" in warning for warning in guessed.warnings)
    given = jobs.convert_file(tmp_path / "bare.safetensors", tmp_path / "given.safetensors", alpha=1.0)
    key = "transformer.transformer_blocks.0.attn.to_q.lora_B.weight"
    assert torch.equal(load_file(given.path)[key], load_file(guessed.path)[key] / 4)
    assert (given.info.scale, given.warnings) == (1.0, ())


def test_an_alpha_that_is_given_is_told_in_what_was_made_with_it(make: Make, tmp_path: Path) -> None:
    one, two, out = make("one"), make("two"), tmp_path / "out.safetensors"
    jobs.resize_file(one, out, rank=1, alpha=6.0)
    assert told(out).settings == {"rank": 1, "alpha": 6.0}
    jobs.merge_files([jobs.Source(one, 1.0, 6.0), jobs.Source(two, 0.5)], out)
    assert told(out).settings == {"alphas": [6.0, None]}
    jobs.merge_files([(one, 1.0), (two, 0.5)], out)
    assert told(out).settings == {}


def test_a_pickle_is_converted_without_running_it_and_refused_elsewhere(make: Make, tmp_path: Path) -> None:
    source = make("source", "kohya")
    pickle = tmp_path / "old.pt"
    torch.save(load_file(source), pickle)
    done = jobs.convert_file(pickle, tmp_path / "new.safetensors", "peft")
    assert distance(reading.load(source), reading.load(done.path)) < 1e-6
    with pytest.raises(LoraFileError, match="loragraph lora convert"):
        jobs.resize_file(pickle, tmp_path / "no.safetensors", rank=2)
    assert not (tmp_path / "no.safetensors").exists()


def test_keys_without_a_meaning_stop_a_conversion_unless_allowed(make: Make, tmp_path: Path) -> None:
    source = make("source")
    strange = load_file(source) | {"transformer.mystery.weight": torch.ones(3)}
    save_file(strange, source, header.read(source).metadata)
    with pytest.raises(LoraFileError, match=r"mystery"):
        jobs.convert_file(source, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
    done = jobs.convert_file(source, tmp_path / "out.safetensors", partial=True)
    assert done.info.unmatched == () and any("mystery" in warning for warning in done.warnings)
    assert jobs.inspect_file(source).info.unmatched == ("transformer.mystery.weight",)


def test_a_merge_adds_what_its_parts_add(make: Make, tmp_path: Path) -> None:
    one, two = make("one", rank=2, alpha=1.0), make("two", "kohya", rank=3, alpha=5.0)
    out = tmp_path / "both.safetensors"
    done = jobs.merge_files([(one, 0.7), (two, -0.3)], out)
    assert (done.energy, done.info.dialect) == (1.0, "peft")
    first, second = reading.load(one).changes, reading.load(two).changes
    for name, change in reading.load(out).changes.items():
        a, b = first[name].delta, second[name].delta
        assert change.delta is not None and a is not None and b is not None
        expected = 0.7 * a.dense() - 0.3 * b.dense()
        assert torch.allclose(change.delta.dense(), expected, atol=2e-6 * float(expected.abs().max()))
    expected_parts = (lineage.part(one, 0.7), lineage.part(two, -0.3))
    assert told(out) == lineage.Lineage("concat", expected_parts)
    assert header.read(out).metadata["modelspec.merged_from"] == "one.safetensors, two.safetensors"


@pytest.mark.parametrize("method", sorted(merge.METHODS))
def test_every_method_writes_a_file_that_says_how(make: Make, tmp_path: Path, method: str) -> None:
    sources = [jobs.Source(make("one", "kohya", rank=2)), jobs.Source(make("two", "kohya", rank=3), 0.5)]
    rank = None if method == "concat" else 2
    out = tmp_path / "both.safetensors"
    done = jobs.merge_files(sources, out, method, rank=rank, density=0.6, seed=3)
    assert 0 < done.energy <= 1 and done.energies.keys() <= done.info.items.keys()
    assert done.info.dialect == "kohya"  # that of both
    found = told(out)
    assert found.method == method and [part.strength for part in found.parts] == [1.0, 0.5]
    random = {"seed": 3} if "dare" in method else {}
    pruned = {} if method in ("concat", "svd") else {"density": 0.6}
    assert found.settings == {**({} if rank is None else {"rank": 2}), **pruned, **random}
    before = out.read_bytes()
    assert jobs.merge_files(sources, out, method, rank=rank, density=0.6, seed=3).path.read_bytes() == before


def test_blocks_are_one_text_for_all_or_one_for_each(make: Make, tmp_path: Path) -> None:
    one, two, out = make("one"), make("two", rank=3), tmp_path / "both.safetensors"
    jobs.merge_files([(one, 1.0), (two, 1.0)], out, blocks=("*.to_q=0", ""))
    alone = jobs.merge_files([(two, 1.0)], tmp_path / "two_again.safetensors").path
    name = "transformer.transformer_blocks.0.attn.to_q"
    found, expected = reading.load(out).changes[name].delta, reading.load(alone).changes[name].delta
    assert found is not None and expected is not None and torch.allclose(found.dense(), expected.dense(), atol=1e-5)
    assert told(out).settings == {"blocks": ["*.to_q=0", ""]}
    jobs.merge_files([(one, 1.0), (two, 1.0)], out, blocks="*.to_q=0")
    assert name not in reading.load(out).changes
    with pytest.raises(SettingError, match="one for each of the 2 LoRAs"):
        jobs.merge_files([(one, 1.0), (two, 1.0)], out, blocks=["*.to_q=0"])


def test_a_resized_file_has_the_rank_and_says_what_is_kept(make: Make, tmp_path: Path) -> None:
    source = make("source", "kohya", rank=6)
    done = jobs.resize_file(source, tmp_path / "small.safetensors", rank=2, dialect="peft")
    assert done.info.rank == 2 and 0 < done.energy < 1
    assert told(done.path) == lineage.Lineage("resize", (lineage.part(source),), settings={"rank": 2})
    with pytest.raises(SettingError):
        jobs.resize_file(source, tmp_path / "none.safetensors")


def checkpoint(path: Path, seed: int, bias: float = 0.0) -> Path:
    """A few weights of FLUX as one file, in diffusers' names."""
    names = ("attn.to_q", "attn.to_k", "attn.to_v", "attn.add_q_proj", "attn.to_out.0")
    tensors = {f"transformer_blocks.0.{name}.weight": numbers(place, 16, 16) for place, name in enumerate(names)}
    tensors |= {f"single_transformer_blocks.0.{name}.weight": numbers(9, 16, 16) for name in names[:3]}
    tensors["transformer_blocks.0.attn.to_q.bias"] = torch.full((16,), bias)
    if seed:
        move = numbers(seed, 16, 2) @ numbers(seed + 1, 2, 16)
        tensors["transformer_blocks.0.attn.to_q.weight"] = tensors["transformer_blocks.0.attn.to_q.weight"] + move
    save_file(tensors, path)
    return path


def test_what_a_training_changed_is_extracted_and_compared(tmp_path: Path) -> None:
    before, after = checkpoint(tmp_path / "before.safetensors", 0), checkpoint(tmp_path / "after.safetensors", 5, 0.25)
    done = jobs.extract_file(before, after, tmp_path / "lora.safetensors", rank=2)
    assert done.info.modules == 1 and done.energy > 0.999
    change = reading.load(done.path).changes["transformer.transformer_blocks.0.attn.to_q"]
    move = numbers(5, 16, 2) @ numbers(6, 2, 16)
    assert change.delta is not None and torch.allclose(change.delta.dense(), move, atol=1e-4)
    assert change.bias is not None and torch.allclose(change.bias, torch.full((16,), 0.25))
    found = told(done.path)
    assert (found.method, found.base, found.settings["tuned"]) == ("extract", "before.safetensors", "after.safetensors")
    alike = jobs.compare_files(done.path, done.path)
    assert alike.cosine == pytest.approx(1.0) and not alike.only_a


def test_a_norm_that_changed_makes_an_extracted_file_a_comfyui_one(tmp_path: Path) -> None:
    before, after = checkpoint(tmp_path / "before.safetensors", 0), checkpoint(tmp_path / "after.safetensors", 5)
    for path, value in ((before, 1.0), (after, 1.5)):
        save_file(load_file(path) | {"transformer_blocks.0.attn.norm_q.weight": torch.full((8,), value)}, path)
    done = jobs.extract_file(before, after, tmp_path / "lora.safetensors", rank=2)
    assert done.info.dialect == "comfyui"
    delta = reading.load(done.path).changes["transformer.transformer_blocks.0.attn.norm_q"].delta
    assert isinstance(delta, Full) and torch.equal(delta.diff, torch.full((8,), 0.5))


def test_baking_adds_each_file_at_its_strength(make: Make, tmp_path: Path) -> None:
    base = checkpoint(tmp_path / "base.safetensors", 0)
    name = "transformer_blocks.0.attn.to_q"
    pair = LowRank(numbers(3, 2, 16), numbers(4, 16, 2), 2.0)
    changes = {f"transformer.{name}": Change(pair), "transformer.transformer_blocks.0.attn.add_q_proj": Change(pair)}
    file = writing.save(Lora(changes, "flux"), tmp_path / "lora.safetensors")
    out = jobs.bake_file(base, tmp_path / "baked.safetensors", [(file, 0.5)], blocks="*.add_q_proj=0")
    expected = load_file(base)[f"{name}.weight"] + 0.5 * pair.dense()
    assert torch.allclose(load_file(out)[f"{name}.weight"], expected, atol=1e-5)
    kept = "transformer_blocks.0.attn.add_q_proj.weight"
    assert torch.equal(load_file(out)[kept], load_file(base)[kept])
    with pytest.raises(SettingError):
        jobs.bake_file(base, out, [(file, 0.5)])
    jobs.bake_file(base, out, [(file, 0.0)], overwrite=True)
    assert torch.equal(load_file(out)[f"{name}.weight"], load_file(base)[f"{name}.weight"])


def test_loras_for_different_models_are_not_merged_and_nothing_is_left(make: Make, tmp_path: Path) -> None:
    other = writing.save(lora("qwen-image"), tmp_path / "qwen.safetensors")
    with pytest.raises((LoraMismatch, SettingError), match=r"qwen\.safetensors"):
        jobs.merge_files([(make("one"), 1.0), (other, 1.0)], tmp_path / "both.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.safetensors", "qwen.safetensors"]


def test_inspecting_tells_the_hash_and_the_lineage(make: Make, tmp_path: Path) -> None:
    source = make("source", "kohya", rank=4)
    found = jobs.inspect_file(jobs.convert_file(source, tmp_path / "out.safetensors").path)
    assert found.sha256 == sha256(tmp_path / "out.safetensors")
    assert found.lineage == lineage.Lineage("convert", (lineage.part(source),), settings={"to": "peft"})


def test_what_peft_cannot_hold_is_merged_into_a_comfyui_file_unless_asked_otherwise(make: Make, tmp_path: Path) -> None:
    norm = Lora({"transformer.transformer_blocks.0.attn.norm_q": Change(Full(numbers(0, 8)))}, "flux")
    mixed = Lora({**lora("flux", only="to_q").changes, **norm.changes}, "flux")
    other = writing.save(mixed, tmp_path / "normed.safetensors", "kohya")
    done = jobs.merge_files([(make("one"), 1.0), (other, 1.0)], tmp_path / "both.safetensors")
    assert done.info.dialect == "comfyui"
    with pytest.raises(SettingError, match="no way to change a norm"):
        jobs.merge_files([(make("one"), 1.0), (other, 1.0)], tmp_path / "both.safetensors", dialect="peft")
