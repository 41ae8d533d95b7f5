"""Alpha is taken from the right place, and what is guessed is told."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from loragraph.diffusion.errors import LoraFileError, SettingError
from loragraph.diffusion.lora import reading
from loragraph.tests.diffusion.lora.made import (
    COMFY,
    KOHYA,
    NORM,
    PEFT,
    PROJ,
    TO_Q,
    D,
    Sheet,
    assert_close,
    assert_reads_as,
    peft_header,
    plain,
    refused,
)


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
