"""Pickles: refused where a LoRA is loaded, with the command that converts them; read for that under `weights_only`."""

from __future__ import annotations

import argparse
import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from loragraph.diffusion.errors import LoraFileError
from loragraph.diffusion.lora import pickles, reading
from loragraph.tests.diffusion.lora.made import PEFT, Sheet, assert_reads_as

D = 16
TO_Q = "transformer.transformer_blocks.0.attn.to_q"


class Trap:
    """What a malicious file does when it is opened by a plain unpickler."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.sign),)


def sat(layers: int, rank: int = 8) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """A checkpoint as CogVideo's SAT saves it, and the changes that it must be read as: the whole model is in it."""
    numbers = torch.Generator().manual_seed(0)
    state: dict[str, Any] = {
        "model.diffusion_model.time_embed.0.weight": torch.ones(4),
        "first_stage_model.x": torch.ones(4),
    }
    expected = {}
    for layer in range(layers):
        attention = f"model.diffusion_model.transformer.layers.{layer}.attention"
        state[f"{attention}.query_key_value.original.weight"] = torch.ones(3 * D, D)
        for name, part, target in (
            ("query_key_value", 0, "to_q"),
            ("query_key_value", 1, "to_k"),
            ("query_key_value", 2, "to_v"),
            ("dense", 0, "to_out.0"),
        ):
            down, up = torch.randn(rank, D, generator=numbers), torch.randn(D, rank, generator=numbers)
            state[f"{attention}.{name}.matrix_A.{part}"], state[f"{attention}.{name}.matrix_B.{part}"] = down, up
            expected[f"transformer.transformer_blocks.{layer}.attn1.{target}"] = up.double() @ down.double()
    checkpoint = {
        "module": state,
        "iteration": 1000,
        "random_rng_state": random.getstate(),
        "np_rng_state": np.random.get_state(),
        "torch_rng_state": torch.get_rng_state(),
        "args": argparse.Namespace(lr=1e-3),
    }
    return checkpoint, expected


@pytest.mark.parametrize("layers", [30, 42])
def test_sat_checkpoints_of_the_2b_and_the_5b_model(layers: int, tmp_path: Path) -> None:
    checkpoint, expected = sat(layers)
    torch.save(checkpoint, tmp_path / "mp_rank_00_model_states.pt")
    lora = pickles.load(tmp_path / "mp_rank_00_model_states.pt")
    assert (lora.dialect, lora.family, len(lora.changes)) == ("sat", "cogvideox", 4 * layers)
    assert_reads_as(lora, {name: change / 8 for name, change in expected.items()})
    assert any("were left out; the LoRA was kept" in words for words in lora.warnings)
    assert any("what CogVideo (SAT) trains with" in words for words in lora.warnings)


def test_the_alpha_of_a_sat_checkpoint_can_be_given(tmp_path: Path) -> None:
    checkpoint, expected = sat(1)
    torch.save(checkpoint, tmp_path / "one.pt")
    assert_reads_as(pickles.load(tmp_path / "one.pt", alpha=4.0), {key: value / 2 for key, value in expected.items()})


@pytest.mark.parametrize(
    "wrap", [lambda state: state, lambda state: {"state_dict": state}, lambda state: {"model": {"module": state}}]
)
@pytest.mark.parametrize("zipped", [True, False])
def test_any_other_lora_in_a_pickle(wrap: Any, zipped: bool, tmp_path: Path) -> None:
    sheet = Sheet(PEFT)
    sheet.pair(TO_Q, TO_Q, (D, D))
    torch.save(wrap(sheet.tensors), tmp_path / "one.bin", _use_new_zipfile_serialization=zipped)
    lora = pickles.load(tmp_path / "one.bin")
    assert_reads_as(lora, sheet.expected)
    assert lora.dialect == "peft"


@pytest.mark.parametrize("zipped", [True, False])
def test_loading_one_is_refused_with_the_command_that_converts_it(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "my lora.pt"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
    for read in (reading.inspect, reading.load):
        with pytest.raises(LoraFileError) as caught:
            read(path)
        assert f"loragraph lora convert '{path}' 'my lora.safetensors'" in str(caught.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    path, sign = tmp_path / "evil.pt", tmp_path / "sign"
    torch.save({"transformer.x.lora_A.weight": Trap(sign)}, path)
    with pytest.raises(LoraFileError, match=r"holds more than tensors .*, which could run code"):
        pickles.load(path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(sign)))
    with pytest.raises(LoraFileError):
        pickles.load(tmp_path / "plain.pt")
    assert not sign.exists()
    with path.open("rb"):  # the trap is a real one
        torch.load(path, weights_only=False)
    assert sign.exists()


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[: len(raw) // 2], lambda raw: raw[:4] + b"\0" * 40, lambda raw: b""]
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_pickle_is_an_error(damage: Any, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    torch.save({"a": torch.ones(200)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LoraFileError):
        pickles.load(path)


@pytest.mark.parametrize("content", [[torch.ones(2)], {"a": torch.ones(2)}, {}, {"a": 3}, 7])
def test_a_pickle_without_a_lora_is_an_error(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "one.pt")
    with pytest.raises(LoraFileError):
        pickles.load(tmp_path / "one.pt")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LoraFileError, match="no such file"):
        pickles.load(tmp_path / "none.pt")


def test_values_that_are_no_numbers_are_found(tmp_path: Path) -> None:
    sheet = Sheet(PEFT)
    sheet.pair(TO_Q, TO_Q, (D, D))
    sheet.tensors[f"{TO_Q}.lora_A.weight"][0, 0] = float("nan")
    torch.save(sheet.tensors, tmp_path / "one.pt")
    with pytest.raises(LoraFileError, match="no numbers"):
        pickles.load(tmp_path / "one.pt")


def packed(path: Path, size: int) -> None:
    """A zip as PyTorch saves it, but compressed, and its tensors longer."""
    torch.save({"transformer.x.lora_A.weight": torch.zeros(4, 8)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, bytes(size) if "/data/" in name else content)


def test_a_zip_that_would_grow_is_not_opened(tmp_path: Path) -> None:
    packed(tmp_path / "bomb.pt", 10_000_000)
    with pytest.raises(LoraFileError, match="is a packed archive"):
        pickles.load(tmp_path / "bomb.pt")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "odd",
    [
        lambda: torch.zeros(1).expand(100_000, 100_000),
        lambda: torch.zeros(4, 8).to_sparse(),
        lambda: torch.zeros(4, 8, device="meta"),
        lambda: torch.zeros(4, 8, dtype=torch.complex64),
        lambda: torch.nested.nested_tensor([torch.zeros(4, 8)]),
        lambda: torch.quantize_per_tensor(torch.zeros(4, 8), 0.1, 0, torch.qint8),
    ],
)
def test_tensors_that_are_not_what_is_in_the_file_are_refused(odd: Any, tmp_path: Path) -> None:
    torch.save({f"{TO_Q}.lora_A.weight": odd(), f"{TO_Q}.lora_B.weight": torch.zeros(8, 4)}, tmp_path / "one.pt")
    with pytest.raises(LoraFileError, match=r"one\.pt"):
        pickles.load(tmp_path / "one.pt")


def test_the_refusal_of_code_gives_no_advice_to_run_it(tmp_path: Path) -> None:
    torch.save({"a": Trap(tmp_path / "sign")}, tmp_path / "evil.pt")
    with pytest.raises(LoraFileError, match="mkdir") as caught:
        pickles.load(tmp_path / "evil.pt")
    assert "torch.load" not in str(caught.value)
