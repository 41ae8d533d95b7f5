"""Opening base models, whatever their files look like."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from loragraph.diffusion.errors import ModelError
from loragraph.diffusion.lora.checkpoint import Checkpoint

WEIGHTS = Path("transformer") / "diffusion_pytorch_model.safetensors"
FLUX = "model.diffusion_model."


def numbered(*shape: int) -> torch.Tensor:
    """Row i holds i everywhere."""
    return torch.arange(shape[0], dtype=torch.float32).reshape(-1, *(1 for _ in shape[1:])).expand(shape).contiguous()


@pytest.fixture
def flux_file(tmp_path: Path) -> Path:
    tensors = {
        f"{FLUX}double_blocks.0.img_attn.qkv.weight": numbered(12, 4),
        f"{FLUX}double_blocks.0.img_attn.qkv.bias": numbered(12),
        f"{FLUX}double_blocks.0.img_attn.norm.query_norm.scale": numbered(2),
        f"{FLUX}double_blocks.0.txt_attn.qkv.weight": numbered(12, 4),
        f"{FLUX}single_blocks.1.linear1.weight": numbered(28, 4),
        f"{FLUX}single_blocks.1.linear1.bias": numbered(28),
        f"{FLUX}final_layer.adaLN_modulation.1.weight": numbered(8, 4),
        "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight": numbered(6, 3),
        "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.weight": numbered(3, 3),
        "vae.decoder.conv_in.weight": numbered(2, 2, 3, 3),
    }
    save_file(tensors, tmp_path / "flux.safetensors")
    return tmp_path / "flux.safetensors"


def test_a_pipeline_folder_is_named_as_diffusers_names_it(base: Path) -> None:
    opened = Checkpoint.open(base)
    stored = load_file(base / WEIGHTS)
    assert (opened.kind, opened.family) == ("pipeline", "flux")
    assert set(opened.components) == {"transformer", "text_encoder", "text_encoder_2"}
    for name, value in stored.items():
        assert opened.shapes()[f"transformer.{name}"] == tuple(value.shape)
        assert torch.equal(opened.read(f"transformer.{name}"), value)


def test_clip_keeps_the_name_that_adapters_use(base: Path) -> None:
    assert "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.weight" in Checkpoint.open(base).shapes()


def test_a_component_folder_is_known_by_its_class(base: Path, tmp_path: Path) -> None:
    opened = Checkpoint.open(shutil.copytree(base / "transformer", tmp_path / "my-model"))
    assert (opened.kind, opened.family, list(opened.components)) == ("component", "flux", ["transformer"])
    assert list(Checkpoint.open(base / "text_encoder_2").components) == ["text_encoder_2"]


def test_shards_and_variants_are_found(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base / "transformer", tmp_path / "transformer")
    tensors = load_file(base / WEIGHTS)
    (folder / WEIGHTS.name).unlink()
    save_file(tensors, folder / "diffusion_pytorch_model.fp16.safetensors")
    save_file(tensors, folder / "diffusion_pytorch_model.non_ema.safetensors")
    opened = Checkpoint.open(folder)
    assert [file.name for file in opened.files] == ["diffusion_pytorch_model.fp16.safetensors"]
    names = sorted(tensors)
    index = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(names)}
    for file in set(index.values()):
        save_file({name: tensors[name] for name in names if index[name] == file}, folder / file)
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    sharded = Checkpoint.open(folder)
    assert len(sharded.files) == 2 and sharded.shapes() == opened.shapes()
    (folder / "part-1.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks part-1\.safetensors"):
        Checkpoint.open(folder)


def test_fused_rows_of_a_single_file_are_parts(flux_file: Path) -> None:
    opened = Checkpoint.open(flux_file)
    assert (opened.kind, opened.family) == ("file", "flux")
    block = "transformer.transformer_blocks.0.attn"
    assert opened.shapes()[f"{block}.to_k.weight"] == (4, 4)
    assert opened.read(f"{block}.to_k.weight")[:, 0].tolist() == [4, 5, 6, 7]
    assert opened.read(f"{block}.add_v_proj.weight")[:, 0].tolist() == [8, 9, 10, 11]
    assert opened.read(f"{block}.to_v.bias").tolist() == [8, 9, 10, 11]
    single = "transformer.single_transformer_blocks.1"
    assert opened.read(f"{single}.proj_mlp.weight")[:, 0].tolist() == list(range(12, 28))
    assert opened.read(f"{single}.proj_mlp.bias").tolist() == list(range(12, 28))
    assert opened.read(f"{block}.norm_q.weight").tolist() == [0, 1]
    assert opened.read("transformer.norm_out.linear.weight")[:, 0].tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    assert opened.unnamed == ("vae.decoder.conv_in.weight",)


def test_text_encoders_stand_in_a_single_file(flux_file: Path) -> None:
    shapes = Checkpoint.open(flux_file).shapes()
    assert shapes["text_encoder.text_model.encoder.layers.0.mlp.fc1.weight"] == (6, 3)
    assert shapes["text_encoder_2.encoder.block.0.layer.0.SelfAttention.q.weight"] == (3, 3)


def test_the_second_encoder_of_sdxl_has_the_names_of_openclip(tmp_path: Path) -> None:
    block = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2"
    resblock = "conditioner.embedders.1.model.transformer.resblocks.0"
    tensors = {
        f"{block}.to_q.weight": numbered(4, 4),
        f"{block}.to_k.weight": torch.zeros(4, 2048),
        f"{resblock}.attn.in_proj_weight": numbered(6, 2),
        f"{resblock}.attn.in_proj_bias": numbered(6),
        f"{resblock}.mlp.c_fc.weight": numbered(8, 2),
        "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight": numbered(3, 2),
    }
    save_file(tensors, tmp_path / "xl.safetensors")
    opened = Checkpoint.open(tmp_path / "xl.safetensors")
    assert opened.family == "sdxl"
    layer = "text_encoder_2.text_model.encoder.layers.0"
    assert opened.read(f"{layer}.self_attn.k_proj.weight")[:, 0].tolist() == [2, 3]
    assert opened.read(f"{layer}.self_attn.v_proj.bias").tolist() == [4, 5]
    assert opened.shapes()[f"{layer}.mlp.fc1.weight"] == (8, 2)
    assert opened.shapes()["text_encoder.text_model.encoder.layers.0.mlp.fc1.weight"] == (3, 2)
    assert opened.shapes()["unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_q.weight"] == (4, 4)


def test_a_single_file_may_have_the_names_of_diffusers(base: Path, tmp_path: Path) -> None:
    for prefix in ("", "transformer."):
        file = tmp_path / f"model{len(prefix)}.safetensors"
        save_file({prefix + name: value for name, value in load_file(base / WEIGHTS).items()}, file)
        opened, folder = Checkpoint.open(file), Checkpoint.open(base / "transformer")
        assert (opened.family, opened.shapes()) == ("flux", folder.shapes())


def test_cogvideox_may_have_the_names_of_comfyui(tmp_path: Path) -> None:
    tensors = {
        f"diffusion_model.blocks.{number}.{name}.weight": numbered(4, 4)
        for number in range(2)
        for name in ("q", "k", "v", "attn_out", "ff_proj", "ff_out", "norm1.linear")
    }
    save_file(tensors, tmp_path / "video.safetensors")
    opened = Checkpoint.open(tmp_path / "video.safetensors")
    assert (opened.family, opened.unnamed) == ("cogvideox", ())
    (place,) = opened.places("transformer.transformer_blocks.1.attn1.to_k.weight")
    assert place.key == "diffusion_model.blocks.1.k.weight"


def test_an_unknown_parameter_is_an_error_with_the_nearest(base: Path) -> None:
    with pytest.raises(ModelError, match=r'Did you mean "transformer\.proj_out\.weight"'):
        Checkpoint.open(base).places("transformer.proj_uot.weight")


def test_quantised_weights_are_not_read_as_their_numbers(tmp_path: Path) -> None:
    name = "double_blocks.0.img_mlp.0"
    tensors = {
        f"{name}.weight": torch.ones(2, 2).to(torch.float8_e4m3fn),
        f"{name}.scale_weight": torch.ones(()),
        "double_blocks.0.img_mlp.2.weight": torch.full((2, 2), 0.5).to(torch.float8_e4m3fn),
    }
    save_file(tensors, tmp_path / "x.safetensors")
    opened = Checkpoint.open(tmp_path / "x.safetensors")
    assert opened.read("transformer.transformer_blocks.0.ff.net.2.weight")[0, 0] == 0.5
    with pytest.raises(ModelError, match="quantised: scaled fp8"):
        opened.read("transformer.transformer_blocks.0.ff.net.0.proj.weight")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({}, "neither model_index"),
        ({"config.json": "{}"}, "no adapter changes"),
        ({"config.json": "[]"}, "no JSON object"),
        ({"config.json": '{"_class_name": "UNet2DConditionModel"}'}, "has no weights"),
        ({"config.json": '{"_class_name": "UNet2DConditionModel"}', "diffusion_pytorch_model.bin": ""}, "pickle"),
        ({"model_index.json": '{"vae": ["diffusers", "AutoencoderKL"]}'}, "names no network"),
        (
            {
                "config.json": '{"_class_name": "FluxTransformer2DModel"}',
                "diffusion_pytorch_model.safetensors.index.json": '{"weight_map": {"x": "../y.safetensors"}}',
            },
            "outside its folder",
        ),
    ],
)
def test_what_is_no_base_is_refused_by_name(tmp_path: Path, made: dict[str, str], said: str) -> None:
    folder = tmp_path / "it"
    folder.mkdir()
    for name, text in made.items():
        (folder / name).write_text(text)
    with pytest.raises(ModelError, match=said):
        Checkpoint.open(folder)


def test_files_that_are_no_base_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no base model at"):
        Checkpoint.open(tmp_path / "nowhere")
    (tmp_path / "old.ckpt").write_bytes(b"\x80\x02")
    with pytest.raises(ModelError, match="pickle"):
        Checkpoint.open(tmp_path / "old.ckpt")
    save_file({"something": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="no base model that is known here"):
        Checkpoint.open(tmp_path / "other.safetensors")


def test_opening_needs_no_torch() -> None:
    import subprocess

    code = "import sys, loragraph.diffusion.lora.checkpoint; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
