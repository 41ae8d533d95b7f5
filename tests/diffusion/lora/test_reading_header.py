"""Headers of safetensors files: what is not one, is cut off, or lies, is refused before anybody waits for gigabytes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from loragraph.diffusion.errors import LoraFileError
from loragraph.diffusion.lora import header, reading

KEY = "transformer.transformer_blocks.0.attn.to_q"


def written(path: Path, described: object, data: bytes = b"") -> Path:
    text = described if isinstance(described, bytes) else json.dumps(described).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def refused(path: Path) -> str:
    for read in (reading.inspect, reading.load):
        with pytest.raises(LoraFileError) as caught:
            read(path)
        assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_is_written_is_read_by_the_library_itself(tmp_path: Path) -> None:
    start, places = header.build({"b": ("F32", (2, 2)), "a": ("BF16", (3,))}, {"title": "ü"})
    path = tmp_path / "one.safetensors"
    path.write_bytes(start + b"\0" * (4 * 4 + 2 * 3))
    assert header.read(path) == places
    with safe_open(path, "pt") as opened:
        assert opened.metadata() == {"title": "ü"}
        assert {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()} == {"a": (3,), "b": (2, 2)}  # noqa: SIM118


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"  \n<html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"GGUF\x03\0\0\0", "GGUF"),
        (b"\x80\x02}q\x00.", "is a PyTorch pickle"),
        (b"PK\x03\x04" + b"\0" * 30, "is a PyTorch pickle"),
        (b"", "has 0 bytes"),
        (b"\0" * 64, "does not begin with a header"),
        (b"\xff" * 64, "does not begin with a header"),
        (struct.pack("<Q", 2) + b"{}" + b"abc", "do not fill the file"),
        (struct.pack("<Q", 100) + b"{", "truncated within its header"),
    ],
)
def test_what_is_no_safetensors_file_is_named(start: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    path.write_bytes(start)
    assert words in refused(path)


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path)
    assert "cannot be read" in refused(tmp_path / "none.safetensors")


def test_a_file_cut_off_within_its_data_says_how_much_is_there(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    save_file({f"{KEY}.lora_A.weight": torch.ones(4, 8), f"{KEY}.lora_B.weight": torch.ones(8, 4)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert f"is truncated: {len(whole) - 10:,} of {len(whole):,} bytes are there" in refused(path)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    save_file({f"{KEY}.lora_A.weight": torch.ones(2, 2), f"{KEY}.lora_B.weight": torch.ones(2, 2)}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(LoraFileError):
            reading.inspect(path)


def test_a_shape_of_100_gigabytes_is_no_allocation(tmp_path: Path) -> None:
    big = {"dtype": "F32", "shape": [25_000, 1_000_000], "data_offsets": [0, 100_000_000_000]}
    assert "is truncated" in refused(written(tmp_path / "one.safetensors", {f"{KEY}.lora_A.weight": big}))
    lying = {"dtype": "F32", "shape": [25_000, 1_000_000], "data_offsets": [0, 8]}
    assert "another size than its shape" in refused(written(tmp_path / "two.safetensors", {"a": lying}, b"\0" * 8))


ENTRY: dict[str, Any] = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "described",
    [
        [],
        7,
        b"{",
        b"\xff{",
        b'{"a": ' + b"[" * 100_000,
        {"a": 7},
        {"a": {}},
        {"a": {**ENTRY, "shape": [-2]}},
        {"a": {**ENTRY, "shape": [2.0]}},
        {"a": {**ENTRY, "shape": [True, 2]}},
        {"a": {**ENTRY, "shape": 2}},
        {"a": {**ENTRY, "data_offsets": [8, 0]}},
        {"a": {**ENTRY, "data_offsets": [0]}},
        {"a": {**ENTRY, "data_offsets": [-8, 0]}},
        {"a": ENTRY, "b": ENTRY},
        {"a": {**ENTRY, "data_offsets": [4, 12]}},
        {"a": {**ENTRY, "shape": [math.inf]}},
        b'{"a": {"dtype": "F32", "shape": [1' + b"0" * 5000 + b'], "data_offsets": [0, 8]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": '
        b'{"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',
        {"__metadata__": 7, "a": ENTRY},
    ],
)
def test_a_lying_header_is_corrupt(described: object, tmp_path: Path) -> None:
    assert "corrupt" in refused(written(tmp_path / "one.safetensors", described, b"\0" * 8))


def test_one_number_is_read_from_its_few_bytes(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        save_file({"a": torch.tensor(-1.5, dtype=dtype), "b": torch.ones(3)}, path)
        tensors = header.read(path).tensors
        with path.open("rb") as file:
            assert header.scalar(file, "a", tensors["a"]) == -1.5
            with pytest.raises(ValueError, match="b is not one number"):
                header.scalar(file, "b", tensors["b"])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "a pipe or a device" in refused(tmp_path / "pipe.safetensors")


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "a" * 5000])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(LoraFileError, match="cannot be read"):
        reading.inspect(name)


def test_a_name_that_is_twice_among_many_is_found_at_once(tmp_path: Path) -> None:
    entry = b':{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = b"{" + b",".join(b'"t%d"' % (number % 49_999) + entry for number in range(50_000)) + b"}"
    (tmp_path / "one.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert "t0 is there twice" in refused(tmp_path / "one.safetensors")


@pytest.mark.parametrize("digits", ["9" * 5000, "²"])
@pytest.mark.parametrize("name", ["transformer.transformer_blocks.{}.attn.to_q.lora_A.weight", "layers.{}.matrix_A.{}"])
def test_numbers_that_are_none_are_no_traceback(name: str, digits: str, tmp_path: Path) -> None:
    key = name.replace("{}", digits)
    path = tmp_path / "one.safetensors"
    save_file({key: torch.ones(1, 1), key.replace("_A", "_B"): torch.ones(1, 1)}, path)
    with contextlib.suppress(LoraFileError):
        assert reading.inspect(path).rank == 1


@pytest.mark.parametrize("where", ["name", "text"])
def test_half_a_character_is_damage_and_a_whole_one_is_not(where: str, tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [1, 1]}
    for text, sound in (("\ud83d", False), ("\U0001f600", True)):
        described = {
            "__metadata__": {"title": text if where == "text" else ""},
            f"{KEY}.lora_A.weight": {**entry, "data_offsets": [0, 4]},
            f"{KEY}.lora_B.weight": {**entry, "data_offsets": [4, 8]},
            f"{text if where == 'name' else 'x'}.unknown": {"dtype": "F32", "shape": [], "data_offsets": [8, 12]},
        }
        raw = json.dumps(described).encode()
        path = tmp_path / "one.safetensors"
        path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(12))
        if sound:
            assert len(reading.inspect(path, partial=True).unmatched) == 1
        else:
            assert "corrupt header" in refused(path)
