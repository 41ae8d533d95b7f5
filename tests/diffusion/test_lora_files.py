"""LoRA files: what they are, which are refused, whether they fit."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from loragraph.diffusion.errors import LoraFileError, LoraMismatch
from loragraph.diffusion.lora import files, header, weights
from loragraph.tests.diffusion.conftest import LoraFile

KEY = "transformer.transformer_blocks.0.attn.to_q"
PAIR = {f"{KEY}.lora_A.weight": torch.ones(4, 32), f"{KEY}.lora_B.weight": torch.ones(32, 4)}


def written(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    save_file(tensors, path, metadata)
    return path


def configured(path: Path, **config: Any) -> Path:
    keys = {f"transformer.{name}": value for name, value in config.items()}
    return written(path, PAIR, {files.METADATA_KEY: json.dumps(keys)})


def test_a_file_says_what_it_is(lora_file: LoraFile) -> None:
    info = files.inspect(lora_file(rank=8, alpha=4.0))
    assert (info.family, info.rank, info.alpha, info.modules) == ("flux", 8, 4.0, 17)


def test_what_is_written_is_read_back_and_the_same_content_gives_the_same_bytes(lora_file: LoraFile) -> None:
    one, two = lora_file("one", seed=3), lora_file("two", seed=3)
    assert one.read_bytes() == two.read_bytes()
    lora = weights.load(one)
    stored = load_file(one)
    assert len(stored) == 2 * len(lora)
    for module, pair in lora.items():
        assert torch.equal(pair.down, stored[f"transformer.{module}.lora_A.weight"])
        assert pair.alpha == 4.0


def test_the_file_is_what_diffusers_itself_would_write(lora_file: LoraFile, tmp_path: Path) -> None:
    path = lora_file()
    lora = weights.load(path)
    FluxPipeline.save_lora_weights(
        tmp_path / "stock",
        transformer_lora_layers=weights.state_dict(lora, prefix=""),
        transformer_lora_adapter_metadata=weights.peft_config(lora),
    )
    with (
        safe_open(tmp_path / "stock" / "pytorch_lora_weights.safetensors", "pt") as stock,
        safe_open(path, "pt") as own,
    ):
        assert set(stock.keys()) == set(own.keys())
        assert all(torch.equal(stock.get_tensor(key), own.get_tensor(key)) for key in own.keys())  # noqa: SIM118
        assert json.loads(stock.metadata()[files.METADATA_KEY]) == json.loads(own.metadata()[files.METADATA_KEY])


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = written(tmp_path / "lora.safetensors", PAIR)
    before = path.read_bytes()
    with pytest.raises(KeyError):
        weights.save_atomically({"x": torch.zeros(2, dtype=torch.complex64)}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("config", "alpha"),
    [
        ({}, 4.0),
        ({"r": 4, "lora_alpha": 2}, 2.0),
        ({"r": 4, "lora_alpha": 2, "alpha_pattern": {"attn.to_q": 3}}, 3.0),
        ({"r": 4, "lora_alpha": 2, "alpha_pattern": {"^transformer_blocks.0.attn.to_q": 3}}, 3.0),
        ({"r": 4, "lora_alpha": 2, "alpha_pattern": {"tn.to_q": 3, "to_k": 5}}, 2.0),
        ({"r": 4, "lora_alpha": 2, "use_rslora": True}, 4.0),  # 2 / sqrt(4) = 4 / 4
    ],
)
def test_alpha_comes_from_the_header(tmp_path: Path, config: dict[str, Any], alpha: float) -> None:
    path = configured(tmp_path / "lora.safetensors", **config)
    assert files.inspect(path).alpha == alpha
    assert weights.load(path)["transformer_blocks.0.attn.to_q"].alpha == alpha


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_an_alpha_tensor_wins_over_everything(tmp_path: Path, dtype: torch.dtype) -> None:
    path = written(tmp_path / "lora.safetensors", {**PAIR, f"{KEY}.alpha": torch.tensor(1.0, dtype=dtype)})
    assert files.inspect(path).alpha == 1.0
    assert weights.load(path)["transformer_blocks.0.attn.to_q"].scale == 0.25


@pytest.mark.parametrize("config", [{"use_dora": True}, {"lora_bias": True}, {"lora_alpha": "much"}])
def test_another_kind_of_adapter_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(LoraFileError, match=r"lora\.safetensors"):
        files.inspect(configured(tmp_path / "lora.safetensors", r=4, **config))


def test_a_truncated_file_is_refused_wherever_it_ends(lora_file: LoraFile, tmp_path: Path) -> None:
    content = lora_file().read_bytes()
    broken = tmp_path / "broken.safetensors"
    for length in [0, 3, 8, 9, 200, len(content) // 2, len(content) - 1]:
        broken.write_bytes(content[:length])
        with pytest.raises(LoraFileError, match=r"broken\.safetensors is (truncated|not a safetensors file)"):
            files.inspect(broken)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\n\n  <html>" + b" " * 100, "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "git lfs pull"),
        (b"PK\x03\x04" + b"\0" * 100, "pickle"),
        (b"\x80\x02}q\x00." + b"\0" * 100, "pickle"),
        (struct.pack("<Q", 10) + b"{nonsense}" + b"\0" * 8, "corrupt header"),
        (struct.pack("<Q", 2) + b"[]" + b"\0" * 8, "not a safetensors file"),
        (struct.pack("<Q", 22) + b'{"a":{"dtype":"F32"}} ' + b"\0" * 8, "corrupt header"),
        (struct.pack("<Q", 1 << 60) + b"{" + b"\0" * 8, "not a safetensors file"),
        (struct.pack("<Q", 2) + b"{}", "no tensors"),
    ],
)
def test_what_is_no_safetensors_file_is_named_for_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(LoraFileError, match=words):
        files.inspect(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LoraFileError, match="folder"):
        files.inspect(tmp_path)
    with pytest.raises(LoraFileError, match="cannot be read"):
        files.inspect(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", "kohya's FLUX"),
        ("lora_unet_down_blocks_0_attn.lora_down.weight", "Stable Diffusion"),
        ("diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight", "ComfyUI"),
        ("unet.down_blocks.0.attn.to_q.lora_A.weight", "Stable Diffusion"),
        ("base_model.model.transformer_blocks.0.attn.to_q.lora_A.weight", "raw PEFT"),
        ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight", "a text encoder"),
        ("transformer.transformer_blocks.0.attn.to_q.lora_A.default.weight", "an adapter's name in them"),
        ("transformer_blocks.0.attn.to_q.lora_A.weight", "lack the `transformer.` prefix"),
        ("transformer.transformer_blocks.0.attn.to_q.lora_magnitude_vector", "DoRA"),
        ("transformer_blocks.0.attn.to_q.weight", "Is it a base model"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, key: str, words: str) -> None:
    with pytest.raises(LoraFileError, match=words):
        files.inspect(written(tmp_path / "lora.safetensors", {key: torch.zeros(4, 4)}))


@pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
def test_an_alpha_that_is_no_number_is_refused(tmp_path: Path, alpha: float) -> None:
    with pytest.raises(LoraFileError, match=r"alpha of .*attn\.to_q is not a number"):
        files.inspect(configured(tmp_path / "config.safetensors", r=4, lora_alpha=alpha))
    with pytest.raises(LoraFileError, match=r"alpha of .*attn\.to_q is not a number"):
        files.inspect(written(tmp_path / "tensor.safetensors", {**PAIR, f"{KEY}.alpha": torch.tensor(alpha)}))


def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    spoiled = {**PAIR, f"{KEY}.lora_B.weight": torch.full((32, 4), float("nan"))}
    with pytest.raises(LoraFileError, match=r"no numbers, in .*to_q\.lora_B"):
        weights.load(written(tmp_path / "lora.safetensors", spoiled))


def test_one_stray_key_is_not_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "lora.safetensors", {**PAIR, "transformer.x_embedder.bias": torch.zeros(4)})
    with pytest.raises(LoraFileError, match=r"belong to no LoRA module: transformer\.x_embedder\.bias"):
        files.inspect(path)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({f"{KEY}.lora_A.weight": torch.ones(4, 32)}, "incomplete"),
        ({**PAIR, f"{KEY}.lora_B.weight": torch.ones(32, 5)}, "do not fit"),
        ({name: value.int() for name, value in PAIR.items()}, "I32"),
    ],
)
def test_damaged_pairs_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor], words: str) -> None:
    with pytest.raises(LoraFileError, match=words):
        files.inspect(written(tmp_path / "lora.safetensors", tensors))


def test_a_lora_fits_its_base_and_no_other_architecture(base: Path, lora_file: LoraFile, tmp_path: Path) -> None:
    assert files.check_fits(lora_file(), base).modules == 17
    video = {
        "transformer.transformer_blocks.0.attn1.to_q.lora_A.weight": torch.ones(4, 32),
        "transformer.transformer_blocks.0.attn1.to_q.lora_B.weight": torch.ones(32, 4),
    }
    with pytest.raises(LoraMismatch, match=r"1 of its 1 modules are not in the base .*made for cogvideox"):
        files.check_fits(written(tmp_path / "video.safetensors", video), base)


def test_the_header_that_is_built_is_the_header_that_is_read(tmp_path: Path) -> None:
    start, planned = header.build({"b": ("F16", (3,)), "a": ("F32", (2, 2)), "c": ("F32", ())}, {"z": "ü", "a": "1"})
    path = tmp_path / "file.safetensors"
    path.write_bytes(start + bytes(16 + 4 + 6))
    assert header.read(path) == planned
    assert set(load_file(path)) == {"a", "b", "c"}
