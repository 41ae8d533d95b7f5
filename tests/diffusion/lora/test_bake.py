"""Baking LoRAs into folders and single files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from loragraph.diffusion.errors import LoraMismatch, ModelError, SettingError
from loragraph.diffusion.lora.bake import bake
from loragraph.diffusion.lora.checkpoint import Checkpoint
from loragraph.tests.diffusion.tiny import build_tiny_flux

WEIGHTS = Path("transformer") / "diffusion_pytorch_model.safetensors"
Use = tuple[str, str, float]
Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]


def pairs_for(base: Path, rank: int, seed: int, wanted: Callable[[str], bool]) -> Pairs:
    numbers = torch.Generator().manual_seed(seed)
    return {
        name.removesuffix(".weight"): (
            torch.randn(rank, shape[1], generator=numbers) * 0.3,
            torch.randn(shape[0], rank, generator=numbers) * 0.3,
        )
        for name, shape in Checkpoint.open(base).shapes().items()
        if name.endswith(".weight") and len(shape) == 2 and wanted(name)
    }


def write_peft(path: Path, pairs: Pairs) -> Path:
    tensors = {}
    for name, (down, up) in pairs.items():
        tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    save_file(tensors, path)
    return path


ONE, TWO = (
    {"rank": 4, "seed": 1, "wanted": lambda name: name.startswith("transformer.")},
    {"rank": 3, "seed": 2, "wanted": lambda name: ".attn.to_" in name},
)


@pytest.fixture
def uses(base: Path, tmp_path: Path) -> list[Use]:
    one = write_peft(tmp_path / "one.safetensors", pairs_for(base, **ONE))
    two = write_peft(tmp_path / "two.safetensors", pairs_for(base, **TWO))
    return [(str(one), "1" * 64, 0.8), (str(two), "2" * 64, -0.5)]


def wanted_weights(base: Path) -> dict[str, torch.Tensor]:
    found = load_file(base / WEIGHTS)
    for made, strength in ((ONE, 0.8), (TWO, -0.5)):
        for module, (down, up) in pairs_for(base, **made).items():
            found[module.removeprefix("transformer.") + ".weight"] += (up @ down) * strength
    return found


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(value, right[name]) for name, value in left.items())


def entries(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_weights_are_those_that_diffusers_fuses_bit_for_bit(base: Path, uses: list[Use], tmp_path: Path) -> None:
    model = FluxTransformer2DModel.from_pretrained(base / "transformer")
    for name, (path, _, _) in zip("ab", uses, strict=True):
        model.load_lora_adapter(path, adapter_name=name)
    model.set_adapters(["a", "b"], [0.8, -0.5])
    model.fuse_lora()
    model.unload_lora()
    baked = FluxTransformer2DModel.from_pretrained(bake(base, uses, tmp_path / "baked") / "transformer")
    assert same(baked.state_dict(), model.state_dict())
    assert same(baked.state_dict(), wanted_weights(base))


def test_convolutions_too_are_those_that_diffusers_fuses(tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=768,
        attention_head_dim=8,
    )
    model.save_pretrained(tmp_path / "unet")
    numbers = torch.Generator().manual_seed(0)
    tensors = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Conv2d) and "conv" in name:
            kernel = layer.kernel_size
            tensors[f"unet.{name}.lora_A.weight"] = torch.randn(4, layer.in_channels, *kernel, generator=numbers)
            tensors[f"unet.{name}.lora_B.weight"] = torch.randn(layer.out_channels, 4, 1, 1, generator=numbers)
    save_file(tensors, tmp_path / "conv.safetensors")
    model.load_lora_adapter(str(tmp_path / "conv.safetensors"), prefix="unet", adapter_name="a")
    model.set_adapters(["a"], [0.6])
    model.fuse_lora()
    model.unload_lora()
    baked = bake(tmp_path / "unet", [(str(tmp_path / "conv.safetensors"), "", 0.6)], tmp_path / "baked")
    found = UNet2DConditionModel.from_pretrained(baked).state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6)


def test_the_weights_are_rounded_once(base: Path, uses: list[Use], tmp_path: Path) -> None:
    wanted = wanted_weights(base)
    for dtype in (torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        baked = load_file(bake(base, uses, tmp_path / name, dtype=name) / WEIGHTS)
        assert same(baked, {key: value.to(dtype) for key, value in wanted.items()})
        half = bake(tmp_path / name, uses, tmp_path / f"{name} again")
        for key, value in load_file(half / WEIGHTS).items():
            again = baked[key].float() + (wanted[key] - load_file(base / WEIGHTS)[key])
            assert value.dtype == dtype
            assert (value.float() - again).abs().max() <= torch.finfo(dtype).eps * again.abs().max()


def test_nothing_baked_is_the_base_byte_for_byte_and_the_rest_is_copied(
    base: Path, uses: list[Use], tmp_path: Path
) -> None:
    copy, baked = bake(base, [], tmp_path / "copy"), bake(base, uses, tmp_path / "baked")
    assert entries(copy) == entries(baked) == entries(base)
    assert all((copy / name).read_bytes() == (base / name).read_bytes() for name in entries(base))
    for name in entries(base) - {str(WEIGHTS), "loragraph.json"}:
        assert (baked / name).read_bytes() == (base / name).read_bytes()
    FluxPipeline.from_pretrained(baked)


def test_card_and_header_say_what_was_baked(base: Path, uses: list[Use], tmp_path: Path) -> None:
    baked = bake(bake(base, uses, tmp_path / "once"), uses[:1], tmp_path / "twice")
    card = json.loads((baked / "loragraph.json").read_text())
    assert card["width"] == 64
    assert [(entry["file"], entry["strength"]) for entry in card["baked"]] == [
        ("one.safetensors", 0.8), ("two.safetensors", -0.5), ("one.safetensors", 0.8),
    ]  # fmt: skip
    with safe_open(baked / WEIGHTS, "pt") as file:
        assert json.loads(file.metadata()["loragraph.baked"]) == card["baked"]
        assert file.metadata()["format"] == "pt"


def test_equal_loras_add_up(base: Path, uses: list[Use], tmp_path: Path) -> None:
    path, sha256, _ = uses[0]
    gone = bake(base, [(path, sha256, 0.7), (path, sha256, -0.7)], tmp_path / "gone")
    assert (gone / WEIGHTS).read_bytes() == (base / WEIGHTS).read_bytes()
    once, twice = (bake(base, [(path, sha256, 0.5)] * count, tmp_path / str(count)) for count in (1, 2))
    whole = bake(base, [(path, sha256, 1.0)], tmp_path / "whole")
    assert same(load_file(twice / WEIGHTS), load_file(whole / WEIGHTS))
    assert not same(load_file(once / WEIGHTS), load_file(whole / WEIGHTS))


def test_loras_whose_sha256_is_not_told_are_told_apart_by_their_files(
    base: Path, uses: list[Use], tmp_path: Path
) -> None:
    baked = bake(base, [(path, "", strength) for path, _, strength in uses], tmp_path / "baked")
    assert same(load_file(baked / WEIGHTS), wanted_weights(base))


def test_a_strength_that_is_no_number_is_refused(base: Path, uses: list[Use], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="strength = inf"):
        bake(base, [(*uses[0][:2], float("inf"))], tmp_path / "baked")


def test_what_was_left_out_of_a_lora_is_told(base: Path, tmp_path: Path) -> None:
    from loragraph.diffusion.adapters import Use as Full

    lora = write_peft(
        tmp_path / "more.safetensors",
        pairs_for(base, **ONE)
        | {"transformer.transformer_blocks.77.attn.to_q": (torch.ones(1, 64), torch.ones(64, 1))},
    )
    said: list[str] = []
    bake(base, [Full(str(lora), "", 1.0, partial=True)], tmp_path / "baked", on_warning=said.append)
    assert any("more.safetensors: 1 of its" in text and "left out" in text for text in said)


def test_a_link_to_nowhere_does_not_go_along(base: Path, uses: list[Use], tmp_path: Path) -> None:
    linked = shutil.copytree(base, tmp_path / "linked")
    (linked / "vae" / "gone.safetensors").symlink_to(tmp_path / "nowhere")
    assert entries(bake(linked, uses, tmp_path / "baked")) == entries(base)


def test_a_dtype_that_is_not_known_is_only_copied(base: Path, uses: list[Use], tmp_path: Path) -> None:
    import struct

    tensors = load_file(base / WEIGHTS)
    file = tmp_path / "odd.safetensors"
    save_file({f"transformer.{name}": value for name, value in tensors.items()}, file)
    raw = file.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    header["odd"] = {"dtype": "F4", "shape": [6], "data_offsets": [len(raw) - 8 - length, len(raw) - 5 - length]}
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :] + b"abc")
    with pytest.raises(ModelError, match=r"holds odd as F4.*Leave out the dtype"):
        bake(file, uses, tmp_path / "x.safetensors", dtype="float16")
    assert bake(file, uses, tmp_path / "x.safetensors").read_bytes()[-3:] == b"abc"


def test_a_sharded_base_stays_sharded(base: Path, uses: list[Use], tmp_path: Path) -> None:
    sharded = tmp_path / "sharded"
    shutil.copytree(base, sharded)
    (sharded / WEIGHTS).unlink()
    model = FluxTransformer2DModel.from_pretrained(base / "transformer")
    model.save_pretrained(sharded / "transformer", max_shard_size="100KB")
    baked = bake(sharded, uses, tmp_path / "many", dtype="float16")
    assert entries(baked) == entries(sharded)
    found = FluxTransformer2DModel.from_pretrained(baked / "transformer", torch_dtype=torch.float16).state_dict()
    assert same(found, {name: value.half() for name, value in wanted_weights(base).items()})
    index = json.loads((baked / "transformer" / "diffusion_pytorch_model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(2 * value.numel() for value in found.values())


def test_shards_that_no_lora_changes_go_along_as_they_are(base: Path, tmp_path: Path) -> None:
    sharded = tmp_path / "sharded"
    FluxTransformer2DModel.from_pretrained(base / "transformer").save_pretrained(sharded, max_shard_size="100KB")
    lora = write_peft(tmp_path / "one.safetensors", pairs_for(base, 2, 0, lambda name: "transformer.proj_out" in name))
    baked = bake(sharded, [(str(lora), "", 1.0)], tmp_path / "baked")
    assert entries(baked) == entries(sharded)
    different = [name for name in entries(baked) if (baked / name).read_bytes() != (sharded / name).read_bytes()]
    assert len(different) == 1 and different[0].endswith(".safetensors")
    FluxTransformer2DModel.from_pretrained(baked)


def test_a_single_file_stays_one_with_its_own_names_and_fused_rows(base: Path, uses: list[Use], tmp_path: Path) -> None:
    wanted = wanted_weights(base)
    before, after = load_file(base / WEIGHTS), {}
    block = "transformer_blocks.0.attn"
    original = {}
    for which, tensors in (("before", before), ("after", wanted)):
        fused = {
            "double_blocks.0.img_attn.qkv.weight": [f"{block}.to_{part}.weight" for part in "qkv"],
            "double_blocks.0.txt_attn.qkv.weight": [f"{block}.add_{part}_proj.weight" for part in "qkv"],
            "double_blocks.0.img_mlp.2.weight": ["transformer_blocks.0.ff.net.2.weight"],
        }
        made = {
            f"model.{'diffusion_model'}.{key}": torch.cat([tensors[name] for name in names])
            for key, names in fused.items()
        }
        shift, scale = tensors["norm_out.linear.weight"].chunk(2)
        made["model.diffusion_model.final_layer.adaLN_modulation.1.weight"] = torch.cat([scale, shift])
        made["vae.decoder.conv_in.weight"] = torch.ones(3, 3, 1, 1)
        if which == "before":
            original = made
        else:
            after = made
    save_file(original, tmp_path / "all.safetensors", {"format": "pt", "modelspec.hash_sha256": "0x00"})
    kept = {name.removesuffix(".weight") for name in Checkpoint.open(tmp_path / "all.safetensors").shapes()}
    fitting = []
    for number, (made, (_, sha256, strength)) in enumerate(zip((ONE, TWO), uses, strict=True)):
        path = tmp_path / f"fits{number}.safetensors"
        write_peft(path, {name: pair for name, pair in pairs_for(base, **made).items() if name in kept})
        fitting.append((str(path), sha256, strength))
    baked = bake(tmp_path / "all.safetensors", fitting, tmp_path / "out" / "baked.safetensors")
    assert same(load_file(baked), after)
    with safe_open(baked, "pt") as file:
        assert "modelspec.hash_sha256" not in file.metadata()
        assert len(json.loads(file.metadata()["loragraph.baked"])) == 2
    small = load_file(bake(tmp_path / "all.safetensors", fitting, tmp_path / "small.safetensors", dtype="bfloat16"))
    assert {name for name, value in small.items() if value.dtype == torch.float32} == {"vae.decoder.conv_in.weight"}


def test_text_encoders_are_baked(base: Path, tmp_path: Path) -> None:
    pairs = pairs_for(base, 2, 5, lambda name: name.startswith("text_encoder") and "q_proj" in name)
    assert len(pairs) == 1
    lora = write_peft(tmp_path / "text.safetensors", pairs)
    baked = bake(base, [(str(lora), "", 0.5)], tmp_path / "baked", dtype="float16")
    encoder = Path("text_encoder") / "model.safetensors"
    before, after = load_file(base / encoder), load_file(baked / encoder)
    (down, up), name = next(iter(pairs.values())), "encoder.layers.0.self_attn.q_proj.weight"
    assert torch.equal(after[name], (before[name] + (up @ down) * 0.5).half())
    assert load_file(baked / WEIGHTS)["proj_out.weight"].dtype == torch.float16
    other = Path("text_encoder_2") / "model.safetensors"
    assert (baked / other).read_bytes() == (base / other).read_bytes()


def test_blocks_have_strengths_of_their_own(base: Path, uses: list[Use], tmp_path: Path) -> None:
    from loragraph.diffusion.adapters import Use as Full

    path, sha256, _ = uses[0]
    baked = bake(base, [Full(path, sha256, 1.0, blocks="single=0, *.attn.to_q=0.5")], tmp_path / "baked")
    before, after = load_file(base / WEIGHTS), load_file(baked / WEIGHTS)
    pairs = pairs_for(base, **ONE)
    for name, value in after.items():
        single = name.startswith("single_transformer_blocks")
        strength = 0.5 if name.endswith("attn.to_q.weight") else 0.0 if single else 1.0
        pair = pairs.get("transformer." + name.removesuffix(".weight"))
        assert torch.equal(value, before[name] if pair is None else before[name] + (pair[1] @ pair[0]) * strength)


def test_linked_folders_are_followed_and_other_variants_left_behind(
    base: Path, uses: list[Use], tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    shutil.copytree(base, linked)
    shutil.move(linked / "text_encoder", tmp_path / "elsewhere")
    (linked / "text_encoder").symlink_to(tmp_path / "elsewhere")
    (linked / "vae" / "above").symlink_to(linked)
    (linked / "flux1-dev.safetensors").write_bytes(b"the same weights once more, without the LoRA")
    shutil.copy(linked / WEIGHTS, linked / "transformer" / "diffusion_pytorch_model.fp16.safetensors")
    (linked / "transformer" / "x.safetensors.index.fp16.json").write_text('{"weight_map": {"a": "b.safetensors"}}')
    baked = bake(linked, uses, tmp_path / "baked")
    assert entries(baked) == entries(base)
    assert not (baked / "text_encoder").is_symlink()
    assert same(load_file(baked / WEIGHTS), wanted_weights(base))


def test_what_cannot_be_baked_is_refused_before_writing(base: Path, uses: list[Use], tmp_path: Path) -> None:
    from loragraph.diffusion.adapters import Schedule
    from loragraph.diffusion.adapters import Use as Full

    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    with pytest.raises(SettingError, match="choose a new name"):
        bake(base, uses, full)
    with pytest.raises(SettingError, match=r"float6.*Did you mean"):
        bake(base, uses, tmp_path / "x", dtype="float6")
    with pytest.raises(SettingError, match="schedule"):
        bake(base, [Full(*uses[0], schedule=Schedule(start=0.5))], tmp_path / "x")
    with pytest.raises(LoraMismatch):
        bake(build_tiny_flux(tmp_path / "wide", heads=4), uses, tmp_path / "x")
    save_file(
        {f"transformer.{name}": value for name, value in load_file(base / WEIGHTS).items()}, tmp_path / "f.safetensors"
    )
    with pytest.raises(SettingError, match=r"end its name in \.safetensors"):
        bake(tmp_path / "f.safetensors", uses, tmp_path / "x")
    with pytest.raises(SettingError, match="it is a file"):
        bake(base, uses, tmp_path / "f.safetensors")
    broken = tmp_path / "broken"
    shutil.copytree(base, broken)
    (broken / "loragraph.json").write_text("[]")
    with pytest.raises(ModelError, match=r"loragraph\.json"):
        bake(broken, uses, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_fp8_is_refused_or_widened_exactly(base: Path, uses: list[Use], tmp_path: Path) -> None:
    small = tmp_path / "small"
    shutil.copytree(base, small)
    narrow = {name: value.to(torch.float8_e4m3fn) for name, value in load_file(base / WEIGHTS).items()}
    save_file(narrow, small / WEIGHTS)
    with pytest.raises(ModelError, match=r"stored in fp8.*Give a dtype"):
        bake(small, uses, tmp_path / "x")
    baked = load_file(bake(small, uses, tmp_path / "wide", dtype="float32") / WEIGHTS)
    change = wanted_weights(base)
    for name, value in load_file(base / WEIGHTS).items():
        wanted = narrow[name].float() + (change[name] - value)
        torch.testing.assert_close(baked[name], wanted, rtol=1e-5, atol=1e-6)
    save_file(narrow | {"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)}, small / WEIGHTS)
    with pytest.raises(ModelError, match="quantised: scaled fp8"):
        bake(small, uses, tmp_path / "x", dtype="float16")
    assert not (tmp_path / "x").exists()


def test_a_bias_that_the_base_has_not_is_refused(base: Path, tmp_path: Path) -> None:
    shapes: dict[str, Any] = Checkpoint.open(base).shapes()
    bare = next(name for name in shapes if name.endswith("Attention.q.weight"))
    module = bare.removesuffix(".weight")
    out, inside = shapes[bare]
    tensors = {
        f"{module}.lora_A.weight": torch.ones(1, inside),
        f"{module}.lora_B.weight": torch.ones(out, 1),
        f"{module}.lora_B.bias": torch.ones(out),
    }
    save_file(tensors, tmp_path / "biased.safetensors")
    with pytest.raises(LoraMismatch, match="no bias in the base"):
        bake(base, [(str(tmp_path / "biased.safetensors"), "", 1.0)], tmp_path / "x")
