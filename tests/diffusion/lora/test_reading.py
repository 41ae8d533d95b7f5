"""What reading a LoRA promises: every key accounted for, alpha from the right place, refusals that name the remedy."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from loragraph.diffusion.errors import LoraFileError, SettingError
from loragraph.diffusion.lora import reading
from loragraph.diffusion.lora.delta import LowRank
from loragraph.tests.diffusion.lora.made import COMFY, KOHYA, PEFT, Sheet, assert_close, assert_reads_as, peft_header

D = 16
TO_Q = "transformer.transformer_blocks.0.attn.to_q"
PROJ = "transformer.single_transformer_blocks.0.proj_out"
NORM = f"{TO_Q.removesuffix('.to_q')}.norm_q"


def plain(**metadata: str) -> Sheet:
    sheet = Sheet(PEFT)
    sheet.pair(TO_Q, TO_Q, (D, D))
    sheet.pair(PROJ, PROJ, (D, D))
    sheet.metadata = dict(metadata)
    return sheet


def refused(sheet: Sheet, folder: Path, partial: bool = False) -> str:
    """The words of the refusal, which must be the same for the header alone and for the weights."""
    path = sheet.write(folder / "one.safetensors")
    with pytest.raises(LoraFileError) as first:
        reading.inspect(path, partial=partial)
    with pytest.raises(LoraFileError) as second:
        reading.load(path, partial=partial)
    assert str(first.value) == str(second.value)
    return str(first.value).removeprefix(str(path))


# In short


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


# Alpha


def test_without_any_alpha_the_scale_is_1_and_that_is_said(tmp_path: Path) -> None:
    info = reading.inspect(plain().write(tmp_path / "one.safetensors"))
    assert (info.alpha, info.scale, info.items[TO_Q].alpha_from) == (4.0, 1.0, "rank")
    assert [warning for warning in info.warnings if "no alpha" in warning]


def test_cogvideo_s_own_trainer_is_pointed_out_where_no_alpha_is_said(tmp_path: Path) -> None:
    sheet = Sheet(PEFT)
    sheet.pair(f"{TO_Q.replace('attn', 'attn1')}", "unused", (1920, 1920))
    info = reading.inspect(sheet.write(tmp_path / "one.safetensors"))
    assert info.family == "cogvideox"
    assert any("64 at rank 128" in warning for warning in info.warnings)


@pytest.mark.parametrize(
    ("metadata", "scale", "source"),
    [
        (peft_header(r=4, lora_alpha=2), 0.5, "lora_adapter_metadata"),
        (peft_header(r=4, lora_alpha=2, use_rslora=True), 1.0, "lora_adapter_metadata"),
        (peft_header(r=4, lora_alpha=8, alpha_pattern={"attn.to_q": 2}), 0.5, "lora_adapter_metadata"),
        (peft_header(r=4, lora_alpha=8, alpha_pattern={r"^.*\.\d+\.attn\.to_q": 2}), 0.5, "lora_adapter_metadata"),
        (peft_header(r=4, lora_alpha=2, alpha_pattern={"tn.to_q": 8, "to_k": 8}), 0.5, "lora_adapter_metadata"),
        ({"lora_adapter_metadata": json.dumps({"r": 4, "lora_alpha": 2})}, 0.5, "lora_adapter_metadata"),
        ({"lora_config": json.dumps({"r": 4, "lora_alpha": 2})}, 0.5, "lora_config"),
        ({"lora_config": json.dumps({"rank": 4, "alpha": 2})}, 0.5, "lora_config"),
        ({"ss_network_dim": "4", "ss_network_alpha": "2.0"}, 0.5, "ss_network_alpha"),
        (peft_header(r=4, lora_alpha=2) | {"lora_config": '{"lora_alpha": 8}'}, 0.5, "lora_adapter_metadata"),
        ({"lora_config": '{"lora_alpha": 2}', "ss_network_alpha": "8"}, 0.5, "lora_config"),
        ({"ss_network_alpha": "None"}, 1.0, "rank"),
    ],
)  # fmt: skip
def test_alpha_is_looked_up_in_the_header_in_this_order(
    metadata: dict[str, str], scale: float, source: str, tmp_path: Path
) -> None:
    sheet = plain(**metadata)
    path = sheet.write(tmp_path / "one.safetensors")
    item = reading.inspect(path).items[TO_Q]
    assert (item.scale, item.alpha_from) == (scale, source)
    delta = reading.load(path).changes[TO_Q].delta
    assert delta is not None
    torch.testing.assert_close(delta.dense(), (sheet.expected[TO_Q] * scale).float())


def test_a_header_s_alpha_is_its_own_component_s(tmp_path: Path) -> None:
    sheet = plain()
    encoder = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
    sheet.pair(encoder, encoder, (D, D))
    both = {"transformer.r": 4, "transformer.lora_alpha": 2, "text_encoder.r": 4, "text_encoder.lora_alpha": 8}
    sheet.metadata = {"lora_adapter_metadata": json.dumps(both)}
    items = reading.inspect(sheet.write(tmp_path / "one.safetensors")).items
    assert (items[TO_Q].scale, items[encoder].scale) == (0.5, 2.0)


def test_kohya_s_convolutions_have_an_alpha_of_their_own(tmp_path: Path) -> None:
    sheet = Sheet(KOHYA)
    sheet.pair("lora_unet_down_blocks_0_resnets_0_conv1", "unet.down_blocks.0.resnets.0.conv1", (D, D, 3, 3))
    sheet.pair("lora_unet_mid_block_attentions_0_proj_in", "unet.mid_block.attentions.0.proj_in", (D, D, 1, 1))
    sheet.metadata = {"ss_network_alpha": "2", "ss_network_args": json.dumps({"conv_dim": "4", "conv_alpha": "1"})}
    items = reading.inspect(sheet.write(tmp_path / "one.safetensors")).items
    assert {item.shape: item.scale for item in items.values()} == {(D, D, 3, 3): 0.25, (D, D, 1, 1): 0.5}


def test_alpha_tensors_win_over_every_header(tmp_path: Path) -> None:
    sheet = Sheet(COMFY, alpha=1.0)
    sheet.pair(TO_Q, TO_Q, (D, D))
    sheet.metadata = peft_header(r=4, lora_alpha=4) | {"lora_config": '{"lora_alpha": 4}', "ss_network_alpha": "4"}
    item = reading.inspect(sheet.write(tmp_path / "one.safetensors")).items[TO_Q]
    assert (item.scale, item.alpha_from) == (0.25, "tensor")


def test_where_there_are_alpha_tensors_an_unreadable_header_is_no_error_but_is_told(tmp_path: Path) -> None:
    sheet = Sheet(COMFY, alpha=1.0)
    sheet.pair(TO_Q, TO_Q, (D, D))
    for broken in ("{", '{"transformer.lora_alpha": []}'):
        sheet.metadata = {"lora_config": "{", "lora_adapter_metadata": broken}
        info = reading.inspect(sheet.write(tmp_path / "one.safetensors"))
        assert info.scale == 0.25
        assert any("nothing readable" in warning for warning in info.warnings)


def test_a_dora_without_its_magnitudes_is_told(tmp_path: Path) -> None:
    sheet = plain(**peft_header(r=4, lora_alpha=4, use_dora=True))
    assert "is a DoRA by its header, but its magnitudes" in refused(sheet, tmp_path)
    lora = reading.load(tmp_path / "one.safetensors", partial=True)
    assert any("read as a plain LoRA" in warning for warning in lora.warnings)
    sheet.tensors[f"{TO_Q}.lora_magnitude_vector"] = torch.ones(D)
    assert reading.inspect(sheet.write(tmp_path / "two.safetensors")).items[TO_Q].dora == "output"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_alpha_tensors_of_any_precision_and_shape(dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path) -> None:
    sheet = plain()
    sheet.tensors[f"{TO_Q}.alpha"] = torch.full(shape, 1.5, dtype=dtype)
    items = reading.inspect(sheet.write(tmp_path / "one.safetensors")).items
    assert (items[TO_Q].alpha, items[PROJ].alpha_from) == (1.5, "rank")


def test_the_user_s_alpha_wins_and_is_said(tmp_path: Path) -> None:
    sheet = Sheet(COMFY, alpha=1.0)
    sheet.pair(TO_Q, TO_Q, (D, D))
    path = sheet.write(tmp_path / "one.safetensors")
    item = reading.inspect(path, alpha=8.0).items[TO_Q]
    assert (item.scale, item.alpha_from) == (2.0, "given")
    assert_reads_as(reading.load(path, alpha=8.0), {TO_Q: sheet.expected[TO_Q] * 8})


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_an_alpha_may_be_a_whole_number(dtype: torch.dtype, tmp_path: Path) -> None:
    sheet = plain()
    sheet.tensors[f"{TO_Q}.alpha"] = torch.tensor(2, dtype=dtype)
    path = sheet.write(tmp_path / "one.safetensors")
    assert reading.inspect(path).items[TO_Q].alpha == 2.0
    assert_close(reading.load(path).changes[TO_Q].delta.dense(), sheet.expected[TO_Q] / 2)  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("alpha", [0.015625, 0.75, 8.0, -448.0])
def test_an_alpha_in_quarter_precision(dtype: torch.dtype, alpha: float, tmp_path: Path) -> None:
    sheet = plain()
    stored = torch.tensor(alpha).to(dtype)
    sheet.tensors[f"{TO_Q}.alpha"] = stored
    assert reading.inspect(sheet.write(tmp_path / "one.safetensors")).items[TO_Q].alpha == stored.float().item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_alpha_beyond_all_scales_is_damage_and_none_at_all_is_told(dtype: torch.dtype, tmp_path: Path) -> None:
    sheet = plain()
    sheet.tensors[f"{TO_Q}.alpha"] = torch.tensor(1e30, dtype=dtype)
    assert "which is no scale" in refused(sheet, tmp_path)
    sheet.tensors[f"{TO_Q}.alpha"] = torch.tensor(0.0, dtype=dtype)
    assert any("Alpha is 0" in warning for warning in reading.load(sheet.write(tmp_path / "two.safetensors")).warnings)


@pytest.mark.parametrize(
    "pattern", ["(.*)*X", "(a|a)*$", ".*.*.*.*.*.*.*.*.*.*.*.*X", "((((.*)*)*)*)*X", "(.{1,9}){900}X"]
)
def test_a_pattern_that_would_run_for_ever_does_not(pattern: str, tmp_path: Path) -> None:
    sheet = plain(
        lora_adapter_metadata=json.dumps(
            {"transformer.lora_alpha": 2, "transformer.alpha_pattern": {pattern: 8, r"attn\.to_q": 1}}
        )
    )
    items = reading.inspect(sheet.write(tmp_path / "one.safetensors")).items
    assert (items[TO_Q].alpha, items[PROJ].alpha) == (1.0, 2.0)


def test_patterns_may_speak_of_the_names_in_the_file(tmp_path: Path) -> None:
    sheet, out = Sheet(PEFT), TO_Q.replace("to_q", "to_out.0")
    sheet.pair("base_model.model.double_blocks.0.img_attn.proj", out, (D, D))
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"r": 4, "lora_alpha": 4, "alpha_pattern": {"double_blocks.0.img_attn.proj": 1}})
    )
    assert reading.inspect(sheet.write(tmp_path / "one.safetensors")).items[out].scale == 0.25


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan, math.inf])
def test_an_alpha_that_is_none_is_refused_by_name(alpha: float, tmp_path: Path) -> None:
    path = plain().write(tmp_path / "one.safetensors")
    with pytest.raises(SettingError, match="alpha = "):
        reading.inspect(path, alpha=alpha)


@pytest.mark.parametrize(
    "metadata",
    [
        {"lora_adapter_metadata": "{"},
        {"lora_adapter_metadata": "[]"},
        {"lora_adapter_metadata": '{"transformer.lora_alpha": "much"}'},
        {"lora_adapter_metadata": '{"transformer.lora_alpha": 1, "transformer.alpha_pattern": {"(": 1}}'},
        {"lora_adapter_metadata": '{"transformer.alpha_pattern": 7, "transformer.lora_alpha": 1}'},
        {"lora_config": "nothing"},
        {"ss_network_alpha": "much"},
        {"lora_adapter_metadata": "[" * 100_000},
    ],
)
def test_an_unreadable_header_is_an_error_with_the_remedy(metadata: dict[str, str], tmp_path: Path) -> None:
    words = refused(plain(**metadata), tmp_path)
    assert "unreadable" in words
    assert "Give alpha yourself" in words
    assert reading.inspect(tmp_path / "one.safetensors", alpha=2.0).scale == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_alpha_that_is_no_number_is_damage(value: float, tmp_path: Path) -> None:
    sheet = plain()
    sheet.tensors[f"{TO_Q}.alpha"] = torch.tensor(value)
    assert "is damaged: the alpha of" in refused(sheet, tmp_path)


@pytest.mark.parametrize("tensor", [torch.ones(2), torch.tensor(3, dtype=torch.uint8)])
def test_an_alpha_that_is_several_numbers_is_damage(tensor: Tensor, tmp_path: Path) -> None:
    sheet = plain()
    sheet.tensors[f"{TO_Q}.alpha"] = tensor
    refused(sheet, tmp_path)


# Every key is accounted for


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


# What is no LoRA


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


# Damage


def _drop(sheet: Sheet) -> None:
    del sheet.tensors[f"{TO_Q}.lora_B.weight"]


def _cut(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_B.weight"] = torch.ones(D, 3)


def _flatten(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_B.weight"] = torch.ones(D * 4)


def _empty(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_A.weight"] = torch.ones(0, D)
    sheet.tensors[f"{TO_Q}.lora_B.weight"] = torch.ones(D, 0)


def _magnitude(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_magnitude_vector"] = torch.ones(D - 1)


def _bias(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_B.bias"] = torch.ones(D + 1)


def _lonely_magnitude(sheet: Sheet) -> None:
    sheet.tensors["transformer.transformer_blocks.1.attn.to_q.dora_scale"] = torch.ones(D, 1)


def _lonely_alpha(sheet: Sheet) -> None:
    sheet.tensors["transformer.transformer_blocks.1.attn.to_q.alpha"] = torch.tensor(1.0)


def _two_kinds(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.diff"] = torch.ones(D, D)


def _two_adapters(sheet: Sheet) -> None:
    sheet.tensors[f"{TO_Q}.lora_A.second.weight"] = torch.ones(4, D)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_drop, "is incomplete: lora_B"),
        (_cut, "do not fit together"),
        (_flatten, "do not fit together"),
        (_empty, "is damaged"),
        (_magnitude, "do not fit together"),
        (_bias, "do not fit together"),
        (_lonely_magnitude, "is incomplete"),
        (_lonely_alpha, "is incomplete"),
        (_two_kinds, "in several ways at once"),
        (_two_adapters, "says the same twice"),
    ],
)
def test_damage_is_told_with_the_module(damage: object, words: str, tmp_path: Path) -> None:
    sheet = plain()
    assert callable(damage)
    damage(sheet)
    found = refused(sheet, tmp_path)
    assert words in found
    assert "attn.to_q" in found


def test_two_names_for_one_module_are_an_error(tmp_path: Path) -> None:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair("diffusion_model.double_blocks.0.img_attn.proj", "one", (D, D))
    sheet.pair("diffusion_model.transformer_blocks.0.attn.to_out.0", "two", (D, D))
    words = refused(sheet, tmp_path)
    assert "twice" in words
    assert "transformer.transformer_blocks.0.attn.to_out.0" in words


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_found_in_every_precision(
    value: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    sheet = plain()
    sheet.tensors = {key: tensor.to(dtype) for key, tensor in sheet.tensors.items()}
    sheet.tensors[f"{PROJ}.lora_A.weight"][3, 7] = value
    path = sheet.write(tmp_path / "one.safetensors")
    with pytest.raises(LoraFileError, match=rf"no numbers, in {PROJ}\.lora_A\.weight"):
        reading.load(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_largest_numbers_are_numbers(dtype: torch.dtype, tmp_path: Path) -> None:
    sheet = plain()
    for sign, side in ((1, "A"), (-1, "B")):
        key = f"{TO_Q}.lora_{side}.weight"
        sheet.tensors[key] = torch.full_like(sheet.tensors[key], sign * torch.finfo(dtype).max, dtype=dtype)
    delta = reading.load(sheet.write(tmp_path / "one.safetensors")).changes[TO_Q].delta
    assert isinstance(delta, LowRank)
    assert delta.up.min().item() == -torch.finfo(dtype).max


# Beside the file


def test_adapter_config_counts_for_peft_s_own_files_alone(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 2}))
    sheet = Sheet(PEFT)
    sheet.pair(TO_Q.replace("transformer", "base_model.model", 1), TO_Q, (D, D))
    sheet.write(tmp_path / "adapter_model.safetensors")
    item = reading.inspect(tmp_path / "adapter_model.safetensors").items[TO_Q]
    assert (item.scale, item.alpha_from) == (0.5, "adapter_config")
    plain().write(tmp_path / "other.safetensors")
    assert reading.inspect(tmp_path / "other.safetensors").items[TO_Q].alpha_from == "rank"


def test_a_broken_adapter_config_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{")
    sheet = Sheet(PEFT)
    sheet.pair(TO_Q.replace("transformer", "base_model.model", 1), TO_Q, (D, D))
    path = sheet.write(tmp_path / "adapter_model.safetensors")
    assert "adapter_config.json cannot be read" in str(_error(path))
    assert reading.inspect(path, alpha=2.0).scale == 0.5
    plain().write(tmp_path / "other.safetensors")
    reading.inspect(tmp_path / "other.safetensors")


def _error(path: Path) -> LoraFileError:
    with pytest.raises(LoraFileError) as caught:
        reading.inspect(path)
    return caught.value


def test_whole_norms_of_a_control_lora_in_diffusers_names(tmp_path: Path) -> None:
    sheet = plain()
    sheet.tensors[f"{NORM}.weight"] = torch.full((8,), 2.0)
    lora = reading.load(sheet.write(tmp_path / "one.safetensors"))
    replaced = lora.changes[NORM].set_weight
    assert replaced is not None
    assert torch.equal(replaced, torch.full((8,), 2.0))
    assert not lora.additive


def test_a_file_at_an_odd_offset_is_read_all_the_same(tmp_path: Path) -> None:
    """Nothing asks a writer to align the data."""
    sheet = plain()
    save_file(sheet.tensors, tmp_path / "even.safetensors")
    raw = (tmp_path / "even.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    (tmp_path / "odd.safetensors").write_bytes(
        (length + 1).to_bytes(8, "little") + raw[8 : 8 + length] + b" " + raw[8 + length :]
    )
    assert_reads_as(reading.load(tmp_path / "odd.safetensors"), sheet.expected)


def test_a_file_that_is_replaced_while_it_is_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = plain().write(tmp_path / "one.safetensors"), plain().write(tmp_path / "two.safetensors")
    make = reading.make_plan

    def replaced(*arguments: Any) -> Any:
        os.replace(other, path)  # of the same length, so that nothing else would tell
        return make(*arguments)

    monkeypatch.setattr(reading, "make_plan", replaced)
    with pytest.raises(LoraFileError, match="was changed while it was read"):
        reading.load(path)


# Models that are not known


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
