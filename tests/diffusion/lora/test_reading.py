"""What reading a LoRA promises: every key accounted for, and refusals that name what a file is and the remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from loragraph.diffusion.lora import reading
from loragraph.diffusion.lora.delta import LowRank
from loragraph.tests.diffusion.lora.made import (
    KOHYA,
    PEFT,
    PROJ,
    TO_Q,
    D,
    Sheet,
    assert_reads_as,
    plain,
    refused,
)


def test_a_file_in_short(tmp_path: Path) -> None:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair("lora_unet_double_blocks_0_img_attn_proj", f"{TO_Q.removesuffix('to_q')}to_out.0", (D, D))
    sheet.pair("lora_unet_single_blocks_0_linear2", PROJ, (D, D), rank=8)
    sheet.pair(
        "lora_te1_text_model_encoder_layers_0_mlp_fc1", "text_encoder.text_model.encoder.layers.0.mlp.fc1", (D, D)
    )
    sheet.metadata = {"ss_network_dim": "4", "ss_output_name": "mine"}
    info = reading.inspect(sheet.write(tmp_path / "one.safetensors"))
    assert (info.dialect, info.title, info.family) == ("kohya", "kohya (sd-scripts)", "flux")
    assert (info.modules, info.rank, info.alpha, info.scale, info.scales) == (3, 8, 2.0, 0.5, (0.25, 0.5))
    assert info.components == ("text_encoder", "transformer")
    assert (info.unmatched, info.warnings, info.kinds) == ((), (), ("lora",))
    assert info.metadata["ss_output_name"] == "mine"
    item = info.items[PROJ]
    assert (item.kind, item.shape, item.rank, item.alpha, item.scale) == ("lora", (D, D), 8, 2.0, 0.25)
    assert (item.alpha_from, item.dora, item.bias, item.widens) == ("tensor", None, False, False)


def test_the_header_needs_no_torch(tmp_path: Path) -> None:
    path = plain().write(tmp_path / "one.safetensors")
    code = (
        "import sys; from loragraph.diffusion.lora import reading, fits; "
        f"info = reading.inspect({str(path)!r}); "
        "print(info.family, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["flux", "False", "False"]


def test_tensors_are_views_of_one_buffer_in_the_dtype_of_the_file(tmp_path: Path) -> None:
    sheet = plain()
    sheet.tensors = {key: value.half() for key, value in sheet.tensors.items()}
    changes = reading.load(sheet.write(tmp_path / "one.safetensors")).changes
    one, two = changes[TO_Q].delta, changes[PROJ].delta
    assert isinstance(one, LowRank)
    assert isinstance(two, LowRank)
    assert one.down.dtype == torch.float16
    assert one.down.untyped_storage().data_ptr() == two.up.untyped_storage().data_ptr()


def test_the_file_may_go_once_it_is_read(tmp_path: Path) -> None:
    sheet = plain()
    path = sheet.write(tmp_path / "one.safetensors")
    lora = reading.load(path)
    path.write_bytes(b"")
    path.unlink()
    assert_reads_as(lora, sheet.expected)


def test_a_key_that_belongs_to_nothing_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    sheet = plain()
    sheet.tensors["transformer.something"] = torch.ones(2)
    words = refused(sheet, tmp_path)
    assert "transformer.something" in words
    assert "allow_partial" in words


def test_it_is_left_out_and_listed_where_that_is_allowed(tmp_path: Path) -> None:
    sheet = plain()
    sheet.tensors["transformer.something"] = torch.ones(2)
    path = sheet.write(tmp_path / "one.safetensors")
    lora = reading.load(path, partial=True)
    assert_reads_as(lora, sheet.expected)
    assert lora.unmatched == ("transformer.something",)
    assert any("1 keys were left out: transformer.something" in warning for warning in lora.warnings)
    assert reading.inspect(path, partial=True).unmatched == lora.unmatched


def test_a_module_that_is_in_no_table_is_left_out_with_all_its_keys(tmp_path: Path) -> None:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair("lora_unet_double_blocks_0_img_attn_proj", f"{TO_Q.removesuffix('to_q')}to_out.0", (D, D))
    sheet.pair("lora_unet_double_blocks_0_img_attn_wings", "unused", (D, D))
    assert "lora_unet_double_blocks_0_img_attn_wings" in refused(sheet, tmp_path)
    lora = reading.load(sheet.write(tmp_path / "one.safetensors"), partial=True)
    assert len(lora.unmatched) == 3
    del sheet.expected["unused"]
    assert_reads_as(lora, sheet.expected)


def test_a_file_none_of_whose_modules_is_known_is_an_error_even_then(tmp_path: Path) -> None:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair("lora_unet_wings_0_left", "unused", (D, D))
    assert "for a model that is not known here" in refused(sheet, tmp_path, partial=True)


def test_a_language_model_s_lora_is_named(tmp_path: Path) -> None:
    sheet = Sheet(PEFT)
    sheet.pair("base_model.model.model.layers.0.self_attn.q_proj", "unused", (D, D))
    assert "It seems made for a language model" in refused(sheet, tmp_path)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([], "holds no tensors"),
        (["transformer_blocks.0.attn.to_q.weight", "transformer_blocks.0.attn.norm_q.weight"], "Is it a base model?"),
        (["emb_params"], "an embedding (textual inversion)"),
        (["clip_l", "clip_g"], "an embedding (textual inversion)"),
        (["first_stage_model.encoder.conv_in.weight"], "a VAE"),
        (["control_model.input_blocks.0.0.weight"], "a ControlNet"),
        (["transformer.transformer_blocks.0.attn.to_q.alpha"], "is not a LoRA"),
    ],
)
def test_what_is_no_lora_is_named(keys: list[str], words: str, tmp_path: Path) -> None:
    sheet = Sheet(PEFT)
    sheet.tensors = {key: torch.ones(4) for key in keys}
    assert words in refused(sheet, tmp_path)


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        ("oft_blocks", "OFT"),
        ("oft_diag", "OFT"),
        ("a1.weight", "GLoRA"),
        ("boft_R", "BOFT"),
        ("ia3_l", "IA3"),
        ("on_input", "IA3"),
        ("vera_lambda_b", "VeRA"),
        ("lora_embedding_A", "embedding"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_adapters_of_other_kinds_are_refused_by_name(suffix: str, words: str, alone: bool, tmp_path: Path) -> None:
    sheet = Sheet(PEFT) if alone else plain()
    sheet.tensors[f"transformer.transformer_blocks.3.attn.to_q.{suffix}"] = torch.ones(4, 4)
    found = refused(sheet, tmp_path)
    assert words in found
    assert "Readable are LoRA, LoCon, LoHa, LoKr, DoRA" in found


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32])
def test_quantised_weights_are_refused_by_name(dtype: torch.dtype, tmp_path: Path) -> None:
    sheet = plain()
    sheet.tensors[f"{TO_Q}.lora_A.weight"] = torch.ones(4, D, dtype=dtype)
    assert "Quantised LoRAs are not read" in refused(sheet, tmp_path)


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ({"diffusion_model.double_stream_modulation_img.lin": (6 * D, D)}, "FLUX.2"),
        ({"diffusion_model.single_blocks.47.linear2": (D, 5 * D)}, "FLUX.2 or HunyuanVideo"),
        ({"diffusion_model.single_blocks.3.linear1": (9 * D, D)}, "FLUX.2"),
        ({"diffusion_model.double_blocks.0.img_mlp.2": (D, 3 * D)}, "FLUX.2"),
        ({"lora_unet_double_blocks_0_img_mlp_fc1": (4 * D, D)}, "HunyuanVideo"),
        ({"diffusion_model.double_blocks.0.img_attn_qkv": (3 * D, D)}, "HunyuanVideo"),
        ({"lora_unet_double_blocks_19_img_attn_proj": (D, D)}, "FLUX.2 or HunyuanVideo"),
        ({"diffusion_model.distilled_guidance_layer.in_proj": (D, D)}, "Chroma"),
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_a_model_with_flux_s_names_is_not_taken_for_it(
    modules: dict[str, tuple[int, int]], words: str, partial: bool, tmp_path: Path
) -> None:
    sheet = Sheet(KOHYA, alpha=2.0)
    flat = next(iter(modules)).startswith("lora_unet_")
    known = "lora_unet_double_blocks_0_img_mod_lin" if flat else "diffusion_model.double_blocks.0.img_mod.lin"
    sheet.pair(known, "", (6 * D, D))
    for name, shape in modules.items():
        sheet.pair(name, "", shape)
    said = refused(sheet, tmp_path, partial)
    assert words in said
    assert "not known here" in said


def test_diffusers_names_of_another_model_are_read_but_its_family_is_not_guessed(tmp_path: Path) -> None:
    sheet = plain()
    refiner = "transformer.context_embedder.token_refiner.refiner_blocks.0.attn.to_q"
    sheet.pair(refiner, refiner, (D, D))
    info = reading.inspect(sheet.write(tmp_path / "one.safetensors"))
    assert info.family == ""
    assert any("made for HunyuanVideo" in warning for warning in info.warnings)
