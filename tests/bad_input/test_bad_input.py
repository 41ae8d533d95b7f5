"""Broken workflows and files: each ends with exit code 2 and a paragraph that says where, what, and what to do."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loragraph.cli import main
from loragraph.tests.nodes import material

Nodes = dict[str, dict[str, Any]]


def chain(**changes: Any) -> Nodes:
    """A sound workflow of four nodes, with nodes replaced by `changes`."""
    nodes: Nodes = {
        "base": {"type": "LoadBase", "settings": {"source": str(material.tiny_flux())}},
        "lora": {"type": "LoadLoRA", "settings": {"file": str(material.lora_file())}},
        "styled": {"type": "ApplyLoRA", "inputs": {"base": "base.base", "lora": "lora.lora"}},
        "draw": {"type": "Sample", "settings": {"prompt": "a cat", "steps": 1}, "inputs": {"base": "styled.base"}},
    }
    return nodes | changes


def train(**settings: Any) -> Nodes:
    """A workflow with a training node of these settings."""
    inputs = {"base": "base.base", "dataset": "data.dataset"}
    return {
        "base": {"type": "LoadBase", "settings": {"source": str(material.tiny_flux())}},
        "data": {"type": "LoadImages", "settings": {"folder": str(material.pictures())}},
        "train": {"type": "TrainLoRA", "settings": {"rank": 2, "steps": 1, **settings}, "inputs": inputs},
    }


def draw(**changes: Any) -> Nodes:
    return chain(draw={"type": "Sample", "settings": {"prompt": "a cat"}, "inputs": {"base": "styled.base"}} | changes)


def document(nodes: Nodes, **changes: Any) -> str:
    return json.dumps({"format": "loragraph/1", "nodes": nodes} | changes)


BROKEN: dict[str, tuple[Callable[[], str], list[str]]] = {
    # name: (the file's text, what the message must name)
    "not JSON": (lambda: '{"format": "loragraph/1", "nodes": {', ["JSON"]),
    "empty": (lambda: "", ["JSON"]),
    "not UTF-8": (lambda: "\udcff\udcfe{}", ["UTF-8"]),
    "no object": (lambda: "[1, 2]", ["object"]),
    "deeply nested": (lambda: "[" * 100_000 + "]" * 100_000, ["deep"]),
    "deeply nested in a setting": (lambda: document(chain()).replace('"a cat"', "[" * 500 + "]" * 500), ["deep"]),
    "no nodes": (lambda: json.dumps({"format": "loragraph/1"}), ["nodes"]),
    "no format": (lambda: json.dumps({"nodes": {}}), ["format"]),
    "newer format": (lambda: document(chain(), format="loragraph/99"), ["loragraph/99"]),
    "newer node": (lambda: document(draw(version=99)), ["draw", "99"]),
    "unknown node type": (lambda: document(draw(type="Sampel")), ["draw", "Sampel", "Sample"]),
    "node without a type": (lambda: document(chain(draw={})), ["draw", "type"]),
    "misspelt setting": (lambda: document(train(learning_rat=0.1)), ["train", "learning_rat", "learning_rate"]),
    "value out of range": (lambda: document(train(rank=0)), ["train", "rank", "0", "1"]),
    "number in quotes": (lambda: document(train(rank="12")), ["train", "rank", '"12"', "whole number"]),
    "fraction for a whole number": (lambda: document(train(steps=3.9)), ["train", "steps", "3.9", "whole number"]),
    "nan in quotes": (lambda: document(train(learning_rate="nan")), ["train", "learning_rate", '"nan"', "number"]),
    "nan": (lambda: document(train(learning_rate=float("nan"))), ["NaN"]),
    "infinity": (lambda: document(train(learning_rate=float("inf"))), ["Infinity"]),
    "truth in quotes": (
        lambda: document(train(gradient_checkpointing="false")),
        ["train", "gradient_checkpointing", '"false"', "true or false"],
    ),
    "one for true": (lambda: document(train(gradient_checkpointing=1)), ["train", "gradient_checkpointing", "1"]),
    "true for a number": (lambda: document(train(rank=True)), ["train", "rank", "true"]),
    "null for a number": (lambda: document(train(rank=None)), ["train", "rank"]),
    "unknown choice": (
        lambda: document(train(timestep_sampling="uniforn")),
        ["train", "timestep_sampling", "uniforn", "uniform"],
    ),
    "missing setting": (lambda: document(draw(settings={})), ["draw", "prompt"]),
    "missing input": (lambda: document(draw(inputs={})), ["draw", "base"]),
    "misspelt input": (lambda: document(draw(inputs={"bas": "styled.base"})), ["draw", "bas", "base"]),
    "wrong kind of wire": (lambda: document(draw(inputs={"base": "lora.lora"})), ["draw", "base", "LoRA", "Base"]),
    "wire from nowhere": (lambda: document(draw(inputs={"base": "stiled.base"})), ["draw", "base", "stiled", "styled"]),
    "wire from no output": (lambda: document(draw(inputs={"base": "styled.bas"})), ["draw", "base", "bas", "base"]),
    "wire without an output": (lambda: document(draw(inputs={"base": 7})), ["draw", "base", "7"]),
    "cycle": (
        lambda: document(
            chain(
                one={"type": "ApplyLoRA", "inputs": {"base": "two.base", "lora": "lora.lora"}},
                two={"type": "ApplyLoRA", "inputs": {"base": "one.base", "lora": "lora.lora"}},
            )
        ),
        ["one", "two", "circle"],
    ),
    "missing file": (
        lambda: document(chain(lora={"type": "LoadLoRA", "settings": {"file": "not/there.safetensors"}})),
        ["lora", "file", "not/there.safetensors"],
    ),
    "unknown embedded model": (
        lambda: document(chain(base={"type": "LoadBase", "settings": {"source": "embedded:emojy"}})),
        ["base", "source", "emojy", "emoji"],
    ),
    "a folder for a file": (
        lambda: document(chain(lora={"type": "LoadLoRA", "settings": {"file": str(material.pictures())}})),
        ["lora", "file", "not a file"],
    ),
}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command line; return its message. It must end with 2, and speak without a traceback."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    assert ended.value.code == 2, said.err
    assert "Traceback" not in said.err
    return said.err


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_workflow_is_refused_in_words(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write, wanted = BROKEN[name]
    path = tmp_path / "broken.json"
    path.write_text(write(), encoding="utf-8", errors="surrogateescape")
    said = refused(capsys, "validate", str(path))
    assert all(part in said for part in wanted), said
    assert refused(capsys, "run", str(path), "--out", str(tmp_path / "out")) == said
    assert len(said) < 1500


def test_every_problem_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.json"
    path.write_text(document(train(rank=0, steps="3", sed=1) | {"extra": {"type": "Gird"}}))
    said = refused(capsys, "validate", str(path))
    assert all(part in said for part in ('"rank"', '"steps"', '"sed"', "Gird"))


def test_a_missing_workflow_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "gone.json" in refused(capsys, "validate", str(tmp_path / "gone.json"))
    assert str(tmp_path) in refused(capsys, "validate", str(tmp_path))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("draw.stepz=4", ["draw", "stepz", "steps"]),
        ("drw.steps=4", ["drw", "draw"]),
        ("draw.steps=-1", ["draw", "steps", "-1"]),
        ("draw.steps=many", ["draw", "steps", "many"]),
        ("draw.steps", ["draw.steps", "="]),
    ],
)
def test_a_wrong_set_is_refused(
    change: str, wanted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fine.json"
    path.write_text(document(chain()))
    said = refused(capsys, "validate", str(path), "--set", change)
    assert all(part in said for part in wanted), said


def lora_for_another_model(tmp_path: Path) -> tuple[Nodes, list[str]]:
    other = {"type": "LoadLoRA", "settings": {"file": str(material.lora_file(heads=4))}}
    return chain(lora=other), ['"styled"', "does not fit"]


def truncated_lora(tmp_path: Path) -> tuple[Nodes, list[str]]:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(material.lora_file().read_bytes()[:-64])
    return chain(lora={"type": "LoadLoRA", "settings": {"file": str(path)}}), ['"lora"', "cut.safetensors"]


def no_lora_at_all(tmp_path: Path) -> tuple[Nodes, list[str]]:
    path = tmp_path / "note.safetensors"
    path.write_text("hello")
    return chain(lora={"type": "LoadLoRA", "settings": {"file": str(path)}}), ['"lora"', "note.safetensors"]


def base_for_a_lora(tmp_path: Path) -> tuple[Nodes, list[str]]:
    path = next((material.tiny_flux() / "transformer").glob("*.safetensors"))
    return chain(lora={"type": "LoadLoRA", "settings": {"file": str(path)}}), ['"lora"', "not a LoRA"]


def folder_for_a_model(tmp_path: Path) -> tuple[Nodes, list[str]]:
    source = {"type": "LoadBase", "settings": {"source": str(material.pictures())}}
    return chain(base=source), ['"base"', "model_index.json"]


def empty_folder(tmp_path: Path) -> tuple[Nodes, list[str]]:
    (tmp_path / "none").mkdir()
    data = {"type": "LoadImages", "settings": {"folder": str(tmp_path / "none")}}
    return train() | {"data": data}, ['"data"', "holds no picture"]


def corrupt_picture(tmp_path: Path) -> tuple[Nodes, list[str]]:
    (tmp_path / "some").mkdir()
    path = tmp_path / "some" / "cat.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:300])
    data = {"type": "LoadImages", "settings": {"folder": str(tmp_path / "some")}}
    return train() | {"data": data}, ['"data"', "cat.png"]


def name_with_a_folder(tmp_path: Path) -> tuple[Nodes, list[str]]:
    data = {"type": "LoadImages", "settings": {"folder": str(material.pictures())}}
    save = {"type": "SaveImages", "settings": {"name": "../../up"}, "inputs": {"images": "data.images"}}
    return {"data": data, "save": save}, ['"save"', "../../up"]


@pytest.mark.parametrize(
    "make",
    [
        lora_for_another_model,
        truncated_lora,
        no_lora_at_all,
        base_for_a_lora,
        folder_for_a_model,
        empty_folder,
        corrupt_picture,
        name_with_a_folder,
    ],
)
def test_a_broken_file_is_refused_when_it_is_met(
    make: Callable[[Path], tuple[Nodes, list[str]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes, wanted = make(tmp_path)
    path = tmp_path / "workflow.json"
    path.write_text(document(nodes))
    said = refused(capsys, "run", str(path), "--in-process", "--out", str(tmp_path / "out"))
    assert all(part in said for part in wanted), said
    assert not any((tmp_path / "out").iterdir())


def test_a_size_that_the_model_cannot_draw_ends_with_two_from_a_worker_too(tmp_path: Path) -> None:
    path = tmp_path / "workflow.json"
    path.write_text(document(chain()))
    command = [
        sys.executable,
        "-m",
        "loragraph",
        "run",
        str(path),
        "--set",
        "draw.width=36",
        "--out",
        str(tmp_path / "o"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert '"draw"' in done.stderr
    assert "width" in done.stderr
    assert "Traceback" not in done.stderr
