"""Families: what a folder is, latents and prompts, the card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline

from loragraph.diffusion import families
from loragraph.diffusion.errors import ModelError, SettingError
from loragraph.diffusion.families import flux

FAMILY = families.get("flux")


def test_listing_and_checking_files_imports_no_torch(base: Path) -> None:
    code = (
        "import sys, loragraph.diffusion\n"
        "from loragraph.diffusion import families, errors\n"
        "from loragraph.diffusion.lora import checkpoint, fits, reading\n"
        "from loragraph.diffusion.training import config\n"
        "config.TrainConfig().check()\n"
        f"assert families.detect({str(base)!r}) == 'flux'\n"
        f"assert checkpoint.Checkpoint.open({str(base)!r}).shapes()\n"
        "assert not {'torch', 'diffusers', 'numpy'} & set(sys.modules), 'heavy import'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_another_pipeline_class_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipelin"}))
    with pytest.raises(ModelError, match=r'FluxPipelin.*Did you mean "FluxPipeline"'):
        families.detect(tmp_path)


@pytest.mark.parametrize(("name", "text"), [("empty", None), ("broken", "{"), ("list", "[]")])
def test_a_folder_that_is_no_pipeline_is_refused(tmp_path: Path, name: str, text: str | None) -> None:
    folder = tmp_path / name
    folder.mkdir()
    if text is not None:
        (folder / "model_index.json").write_text(text)
    with pytest.raises(ModelError, match=name):
        families.detect(folder)


def test_a_truncated_weight_file_of_the_base_is_named(base: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(base, tmp_path / "copy"))
    weights = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="copy"):
        FAMILY.load_pipeline(copy)


def test_a_base_without_vocabulary_weights_or_sound_settings_is_refused(base: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    for name in ("tokenizer", "tokenizer_2"):
        copy = Path(shutil.copytree(base, tmp_path / name))
        (copy / name / "tokenizer.json").unlink()
        with pytest.raises(ModelError, match=f"{name} has no vocabulary"):
            FAMILY.load_pipeline(copy)
    copy = Path(shutil.copytree(base, tmp_path / "lacking"))
    file = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["x_embedder.weight"]
    save_file(tensors, file)
    with pytest.raises(ModelError, match=r"incomplete: transformer lacks x_embedder\.weight"):
        FAMILY.load_pipeline(copy)
    copy = Path(shutil.copytree(base, tmp_path / "settings"))
    (copy / "text_encoder" / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="settings"):
        FAMILY.load_pipeline(copy)


def test_the_card_gives_the_defaults_and_a_missing_one_those_of_the_family(pipeline: Any, tmp_path: Path) -> None:
    card = FAMILY.card(pipeline)
    assert (card.width, card.max_sequence_length, card.true_cfg_scale, card.negative_prompt) == (64, 16, 3.0, "")
    assert families.card.load(tmp_path, FAMILY.default_card).max_sequence_length == 512


@pytest.mark.parametrize("text", ['{"width": "64"}', '{"steps": true}', "{", "[1]", '{"true_cfg_scale": NaN}'])
def test_a_broken_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "loragraph.json").write_text(text)
    with pytest.raises(ModelError, match=r"loragraph\.json"):
        families.card.load(tmp_path, FAMILY.default_card)


def test_packing_and_positions_are_those_of_the_stock_pipeline() -> None:
    latents = torch.randn(2, 8, 12, 16)
    packed = flux.pack(latents)
    assert torch.equal(packed, FluxPipeline._pack_latents(latents, 2, 8, 12, 16))
    assert torch.equal(flux.unpack(packed, 6, 8), latents)
    stock = FluxPipeline._prepare_latent_image_ids(2, 6, 8, torch.device("cpu"), torch.float32)
    assert torch.equal(flux.grid_ids(6, 8), stock)


def test_encoded_pictures_are_normalised_and_decode_has_the_size(pipeline: Any) -> None:
    pixels = torch.rand(2, 3, 64, 32) * 2 - 1
    latents = FAMILY.encode_images(pipeline, pixels)
    assert latents.shape == (2, 8 * 4, 32)
    mean = pipeline.vae.encode(pixels).latent_dist.mean
    torch.testing.assert_close(latents, flux.pack((mean + 0.3) * 0.5))
    assert [picture.size for picture in FAMILY.decode_latents(pipeline, latents, 32, 64)] == [(32, 64)] * 2


def test_noise_levels_lie_between_picture_and_noise(pipeline: Any) -> None:
    normal = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    for how, middle in (("uniform", 0.5), ("logit_normal", 0.5), ("shifted", 0.5)):
        times = FAMILY.sample_times(pipeline, normal, how, tokens=64)
        assert times.min() > 0 and times.max() <= 1
        assert abs(float(times.mean()) - middle) < 0.02, how
    with pytest.raises(SettingError, match="uniform"):
        FAMILY.sample_times(pipeline, normal, "unifrom", tokens=64)
