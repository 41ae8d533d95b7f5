"""Real files, changed at random: a clear error or a right result, never a traceback and never a wrong load.

What is right is told by the safetensors library: it must be able to read what is read here, and every tensor that is
used must be the one that it finds under that key; every key is used or listed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from loragraph.diffusion.errors import DiffusionError
from loragraph.diffusion.lora import reading
from loragraph.diffusion.lora.delta import LowRank
from loragraph.tests.diffusion.lora.made import COMFY, KOHYA, PEFT, Sheet, peft_header, thirds
from loragraph.tests.diffusion.lora.test_dialects import CASES

D = 8
BLOCK = "transformer.transformer_blocks.0"
RELAXED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def peft() -> Sheet:
    sheet = Sheet(PEFT)
    for name in ("attn.to_q", "attn.to_out.0", "ff.net.2"):
        sheet.pair(f"{BLOCK}.{name}", f"{BLOCK}.{name}", (D, D))
    sheet.tensors[f"{BLOCK}.attn.to_q.lora_magnitude_vector"] = torch.ones(D)
    sheet.metadata = peft_header(r=4, lora_alpha=2, alpha_pattern={"ff.net.2": 8})
    return sheet


def kohya() -> Sheet:
    sheet = Sheet(KOHYA, alpha=2.0)
    sheet.pair("lora_unet_double_blocks_0_img_attn_qkv", thirds(f"{BLOCK}.attn.{{}}", D, "a", "b", "c"), (3 * D, D))
    sheet.pair("lora_unet_single_blocks_0_linear1", "unused", (7 * D, D))
    sheet.tensors["lora_unet_single_blocks_0_linear1.dora_scale"] = torch.ones(7 * D, 1)
    sheet.pair("lora_te1_text_model_encoder_layers_0_mlp_fc1", "unused", (D, D))
    sheet.metadata = {"ss_network_dim": "4", "ss_network_alpha": "2"}
    return sheet


def lycoris() -> Sheet:
    sheet = Sheet(KOHYA, alpha=1.0)
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    for key, shape in (
        ("hada_w1_a", (D, 2)),
        ("hada_w1_b", (2, D * 9)),
        ("hada_w2_a", (D, 2)),
        ("hada_w2_b", (2, D * 9)),
    ):
        sheet.tensors[f"{name}.{key}"] = sheet.random(*shape)
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    for key, shape in (("lokr_w1", (2, 2)), ("lokr_w2_a", (4, 2)), ("lokr_w2_b", (2, 4)), ("dora_scale", (1, D))):
        sheet.tensors[f"{name}.{key}"] = sheet.random(*shape)
    sheet.pair("lora_unet_down_blocks_0_resnets_0_conv2", "unused", (D, D, 3, 3))
    return sheet


def comfyui() -> Sheet:
    sheet = Sheet(COMFY, alpha=2.0)
    sheet.pair("diffusion_model.final_layer.adaLN_modulation.1", "unused", (2 * D, D))
    sheet.tensors["diffusion_model.double_blocks.0.img_attn.proj.diff"] = sheet.random(D, D)
    sheet.tensors["diffusion_model.double_blocks.0.img_attn.proj.diff_b"] = sheet.random(D)
    sheet.tensors["diffusion_model.double_blocks.0.img_attn.norm.query_norm.set_weight"] = sheet.random(D)
    return sheet


MAKERS: dict[str, Callable[[], Sheet]] = {"peft": peft, "kohya": kohya, "lycoris": lycoris, "comfyui": comfyui}
MAKERS |= {
    which: CASES[which][0]
    for which in ("raw-peft", "onetrainer", "musubi-wan", "xlabs", "diffsynth-flux", "sat", "bare-original")
}


@cache
def real(which: str) -> bytes:
    sheet = MAKERS[which]()
    return save(sheet.tensors, sheet.metadata or None)


def attempt(read: Callable[..., Any], path: Path, partial: bool) -> Any:
    """The result, or the error if it is one for people."""
    try:
        return read(path, partial=partial)
    except DiffusionError as error:
        return error


def check(path: Path, raw: bytes, partial: bool) -> None:
    path.write_bytes(raw)
    info, lora = attempt(reading.inspect, path, partial), attempt(reading.load, path, partial)
    if isinstance(info, DiffusionError):
        assert str(lora) == str(info)
        assert len(str(info)) > len(str(path)) + 20
        return
    if isinstance(lora, DiffusionError):  # only the values can be wrong
        assert "no numbers" in str(lora)
        return
    stored = load(raw)  # what is read here, the library reads too
    plan = reading.read_plan(path, partial=partial)[1]
    used = [key for source in plan.sources for key in source.keys.values()]
    assert sorted(used + list(lora.unmatched)) == sorted(stored)
    assert set(info.items) == set(lora.changes)
    for source in plan.sources:
        for name in source.targets:
            change, item = lora.changes[name], info.items[name]
            assert (change.shape or item.shape) == item.shape
            if isinstance(change.delta, LowRank):
                assert torch.equal(change.delta.down, stored[source.keys["down"]])
                up = stored[source.keys["up"]]
                rows = torch.cat([up[first:last] for first, last in source.targets[name]])
                assert torch.equal(change.delta.up, rows)
                assert change.delta.scale == item.scale
            if change.delta is not None:
                assert tuple(change.delta.dense().shape) == item.shape


def parts(raw: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def joined(described: object, data: bytes) -> bytes:
    text = json.dumps(described).encode()
    return struct.pack("<Q", len(text)) + text + data


@RELAXED
@given(which=st.sampled_from(sorted(MAKERS)), partial=st.booleans(), data=st.data())
def test_changed_bytes(which: str, partial: bool, data: st.DataObject, tmp_path: Path) -> None:
    raw = bytearray(real(which))
    how = data.draw(st.sampled_from(["flip", "cut", "grow", "drop"]))
    place = data.draw(st.one_of(st.integers(0, 3000), st.integers(0, len(raw) - 1))) % len(raw)
    if how == "flip":
        for at in (place, data.draw(st.integers(0, len(raw) - 1))):
            raw[at] = data.draw(st.integers(0, 255))
    elif how == "cut":
        del raw[place:]
    elif how == "grow":
        raw[place:place] = data.draw(st.binary(min_size=1, max_size=20))
    else:
        del raw[place : place + data.draw(st.integers(1, 20))]
    check(tmp_path / "one.safetensors", bytes(raw), partial)


SUFFIXES = ["lora_A", "lora_B", "lora_down", "lora_up", "lora_mid", "weight", "bias", "alpha", "dora_scale", "diff"]
RARE = ["diff_b", "set_weight", "reshape_weight", "lokr_w1", "hada_w1_a", "matrix_A", "default", "oft_blocks", "norm_q"]
NAMES = ["transformer", "transformer_blocks", "unet", "text_encoder", "attn", "img_attn", "to_q", "to_k", "qkv"]
WORDS = st.sampled_from([*SUFFIXES, *RARE, *NAMES, "0", "1", "99", "x", "é", ""])


@RELAXED
@given(which=st.sampled_from(sorted(MAKERS)), partial=st.booleans(), data=st.data())
def test_changed_keys(which: str, partial: bool, data: st.DataObject, tmp_path: Path) -> None:
    described, body = parts(real(which))
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from(sorted(set(described) - {"__metadata__"})))
        words = key.split(".")
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(WORDS)
        described[".".join(words)] = described.pop(key)
    check(tmp_path / "one.safetensors", joined(described, body), partial)


SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 4, 8, 9, 16, 24, 56, 10**11, -1, 2.5, None]), max_size=6)
VALUES = st.one_of(
    SHAPES,
    st.sampled_from(["F32", "F16", "BF16", "F64", "F8_E4M3", "I64", "U8", "BOOL", "F4", 7, None, {}, "x"]),
    st.integers(-(2**70), 2**70),
)


@RELAXED
@given(which=st.sampled_from(sorted(MAKERS)), partial=st.booleans(), data=st.data())
def test_changed_entries_of_the_header(which: str, partial: bool, data: st.DataObject, tmp_path: Path) -> None:
    described, body = parts(real(which))
    for _ in range(data.draw(st.integers(1, 2))):
        key = data.draw(st.sampled_from(sorted(described)))
        if not isinstance(described[key], dict):
            continue
        field = data.draw(st.sampled_from([*described[key], "shape", "dtype", "data_offsets"]))
        described[key][field] = data.draw(VALUES)
        if data.draw(st.integers(0, 5)) == 0:
            described[key] = data.draw(VALUES)
    check(tmp_path / "one.safetensors", joined(described, body), partial)


@RELAXED
@given(which=st.sampled_from(sorted(MAKERS)), partial=st.booleans(), data=st.data())
def test_changed_shapes_in_a_sound_file(which: str, partial: bool, data: st.DataObject, tmp_path: Path) -> None:
    sheet = MAKERS[which]()
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from(sorted(sheet.tensors)))
        how = data.draw(st.sampled_from(["drop", "turn", "flat", "more", "half", "other", "value"]))
        tensor = sheet.tensors[key]
        if how == "drop":
            if len(sheet.tensors) > 1:
                del sheet.tensors[key]
        elif how == "turn":
            sheet.tensors[key] = tensor.T.contiguous() if tensor.ndim == 2 else tensor.flatten()
        elif how == "flat":
            sheet.tensors[key] = tensor.flatten()
        elif how == "more":
            sheet.tensors[key] = tensor[..., None]
        elif how == "half":
            sheet.tensors[key] = tensor.half()
        elif how == "value":
            value = data.draw(st.sampled_from([0.0, 1e38, -1.0, float("nan"), float("inf")]))
            sheet.tensors[key] = torch.full(tensor.shape, value)
        else:
            shape = data.draw(st.lists(st.integers(0, 9), max_size=4))
            sheet.tensors[key] = torch.ones(shape)
    check(tmp_path / "one.safetensors", save(sheet.tensors, sheet.metadata or None), partial)


PLAIN = ("r", "lora_alpha", "alpha_pattern", "use_rslora")
SETTINGS = st.sampled_from([*PLAIN, *(f"transformer.{name}" for name in PLAIN), "attn.to_q", "("])
JSON = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.dictionaries(SETTINGS, inner),
).map(json.dumps)


@RELAXED
@given(
    value=st.one_of(st.text(max_size=30), JSON),
    key=st.sampled_from(["lora_adapter_metadata", "lora_config", "ss_network_alpha", "ss_network_args"]),
)
def test_changed_metadata(value: str, key: str, tmp_path: Path) -> None:
    sheet = peft()
    sheet.metadata = {key: value}
    check(tmp_path / "one.safetensors", save(sheet.tensors, sheet.metadata), False)
