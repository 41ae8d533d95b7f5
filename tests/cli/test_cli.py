"""The command line: its commands, its exit codes, and what it says."""

import importlib.metadata
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from PIL import Image

from loragraph.cli import main
from loragraph.tests.nodes import material

LORAGRAPH = [sys.executable, "-m", "loragraph"]


def write(path: Path, nodes: dict[str, Any]) -> str:
    path.write_text(json.dumps({"format": "loragraph/1", "title": "Käse", "nodes": nodes}), encoding="utf-8")
    return str(path)


def show_and_save(savers: int = 1) -> dict[str, Any]:
    """A workflow of light nodes: pictures from a folder, a grid of them, and savers of it."""
    nodes: dict[str, Any] = {
        "data": {"type": "LoadImages", "settings": {"folder": str(material.pictures())}},
        "grid": {"type": "Grid", "inputs": {"rows": ["data.images"]}},
    }
    for number in range(savers):
        nodes[f"save{number}"] = {"type": "SaveImages", "settings": {"name": "g"}, "inputs": {"images": "grid.images"}}
    return nodes


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    """Run the command line in this process; return (exit code, standard output, standard error)."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_two_equal_savers_both_run_and_save_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "w.json", show_and_save(savers=2))
    code, out, err = call(capsys, "run", file, "--out", str(tmp_path / "out"))
    assert (code, out) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["g-0001.png"]
    assert str(tmp_path / "out") in err
    assert "4 run, 0 cached" in err


def test_a_second_run_finds_everything_but_the_savers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "w.json", show_and_save())
    call(capsys, "run", file, "--out", str(tmp_path / "out"))
    code, _, err = call(capsys, "run", file, "--out", str(tmp_path / "out"))
    assert code == 0
    assert "1 run, 2 cached" in err
    assert "already there" in err
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_changed_picture_under_the_same_name_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (16, 16), "red").save(tmp_path / "in" / "a.png")
    nodes = show_and_save() | {"data": {"type": "LoadImages", "settings": {"folder": "in"}}}
    file = write(tmp_path / "w.json", nodes)
    call(capsys, "run", file, "--out", str(tmp_path / "out"))
    Image.new("RGB", (16, 16), "blue").save(tmp_path / "in" / "a.png")
    assert "3 run, 0 cached" in call(capsys, "run", file, "--out", str(tmp_path / "out"))[2]


def test_events_are_json_lines_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "w.json", show_and_save())
    code, out, _ = call(capsys, "run", file, "--out", str(tmp_path / "out"), "--events", "jsonl")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["kind"] == "run_started"
    assert events[-1]["data"]["status"] == "done"


def test_set_changes_the_run_and_not_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "w.json", show_and_save())
    before = Path(file).read_bytes()
    options = ("--set", "save0.name=other", "--set", 'grid.titles=["first"]', "--out", str(tmp_path / "out"))
    assert call(capsys, "run", file, *options)[0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["other-0001.png"]
    assert Path(file).read_bytes() == before


def test_a_saved_picture_carries_its_workflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "w.json", show_and_save())
    assert call(capsys, "run", file, "--set", "save0.name=other", "--out", str(tmp_path / "out"))[0] == 0
    with Image.open(tmp_path / "out" / "other-0001.png") as image:
        carried = image.text["loragraph"]
    (tmp_path / "again.json").write_text(carried, encoding="utf-8")
    assert json.loads(carried)["title"] == "Käse"
    assert json.loads(carried)["nodes"]["save0"]["settings"]["name"] == "other"
    assert call(capsys, "validate", str(tmp_path / "again.json"))[0] == 0


def test_an_output_folder_that_cannot_be_made_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "w.json", show_and_save())
    code, _, err = call(capsys, "run", file, "--out", file)
    assert code == 2
    assert "--out" in err


def test_an_unknown_device_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "w.json", show_and_save())
    code, _, err = call(capsys, "run", file, "--device", "gpu", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "gpu" in err


def test_a_description_is_wrapped_for_the_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "2000")
    head, body, *_ = call(capsys, "nodes", "ApplyLoRA")[1].split("\n\n")
    assert (len(head.splitlines()), len(body.splitlines())) == (2, 1)


def test_nodes_lists_and_describes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "nodes")
    assert code == 0
    assert "TrainLoRA" in out
    code, out, _ = call(capsys, "nodes", "TrainLoRA")
    assert code == 0
    assert all(word in out for word in ("dataset: Dataset", "rank: integer from 1 to 1024", "default 8", "lora: LoRA"))
    code, out, _ = call(capsys, "nodes", "ApplyLoRA", "--json")
    assert json.loads(out)["type"] == "ApplyLoRA"
    code, _, err = call(capsys, "nodes", "ApplyLora2")
    assert code == 2
    assert "ApplyLoRA" in err


def test_the_schema_names_every_node(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "schema")
    schema = json.loads(out)
    assert code == 0
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert all(f'"{name}"' in out for name in ("LoadBase", "TrainLoRA", "SaveImages"))


def test_doctor_reports_packages_devices_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "some").write_bytes(b"x" * 2048)
    code, out, _ = call(capsys, "doctor", "--home", str(tmp_path))
    assert code == 0
    assert all(word in out for word in ("torch", "diffusers", "cpu", f"{tmp_path}: 2.0 KiB in 1 files, writable"))
    code, out, _ = call(capsys, "doctor", "--json", "--home", str(tmp_path))
    assert json.loads(out)["folder"].keys() == {"results store", "output"}


def test_doctor_says_where_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    code, out, _ = call(capsys, "doctor", "--home", str(tmp_path / "file" / "home"))
    assert code == 1
    assert "NOT WRITABLE" in out


def fifty_nodes() -> dict[str, Any]:
    nodes: dict[str, Any] = {
        "base": {"type": "LoadBase", "settings": {"source": str(material.tiny_flux())}},
        "lora": {"type": "LoadLoRA", "settings": {"file": str(material.lora_file())}},
    }
    for number in range(48):
        wire = f"n{number - 1}.base" if number else "base.base"
        nodes[f"n{number}"] = {"type": "ApplyLoRA", "inputs": {"base": wire, "lora": "lora.lora"}}
    return nodes


def test_validating_fifty_nodes_is_quick_and_imports_no_model_library(tmp_path: Path) -> None:
    file = write(tmp_path / "fifty.json", fifty_nodes())
    code = (
        "import sys, time\nfrom loragraph.cli import main\n"
        "try: main(['validate', sys.argv[1]])\n"
        "except SystemExit as end: print(end.code)\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'peft', 'safetensors', 'numpy', 'PIL', 'gradio'}\n"
        "print(sorted(heavy & set(sys.modules)))\nprint(time.process_time())"
    )
    best = 9.0
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
        said, exit_code, imported, seconds = done.stdout.splitlines()
        assert (exit_code, imported) == ("0", "[]")
        assert "50 nodes" in said
        best = min(best, float(seconds))
    assert best < 0.5


def test_python_m_loragraph_is_the_command_line() -> None:
    done = subprocess.run([*LORAGRAPH, "--help"], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in ("run", "validate", "nodes", "schema", "ui", "doctor"))


def test_the_page_is_served_until_the_process_is_told_to_stop(tmp_path: Path) -> None:
    command = [*LORAGRAPH, "ui", "--no-browser", "--home", str(tmp_path / "home"), "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr is not None
        said = iter(served.stderr.readline, "")
        address = next(line for line in said if "http://127.0.0.1:" in line).split()[3]
        with urlopen(address) as answer:
            assert b"LoRAGraph" in answer.read()
        port = address.rstrip("/").rpartition(":")[2]
        second = subprocess.run([*command, "--port", port], capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert "can't be served" in second.stderr and "--port" in second.stderr
        served.send_signal(signal.SIGINT)
        assert served.wait(timeout=20) == 0


def test_a_page_for_a_device_that_is_none_is_not_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ("--home", str(tmp_path / "home"), "--out", str(tmp_path / "out"))
    code, _, err = call(capsys, "ui", "--no-browser", "--device", "gpu", *places)
    assert code == 2
    assert "cuda:0" in err


def test_the_version_is_the_packages() -> None:
    done = subprocess.run([sys.executable, "-m", "loragraph", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"loragraph {importlib.metadata.version('loragraph')}"
