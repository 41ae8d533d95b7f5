"""`loragraph run --queue` and `loragraph runs`: the queue from the command line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loragraph.cli import main
from loragraph.cli.queueing import from_anywhere
from loragraph.graph_runtime.document import load
from loragraph.graph_runtime.locks import FolderLock
from loragraph.graph_runtime.registry import Registry
from loragraph.graph_runtime.run_queue import RunQueue, RunRecord
from loragraph.tests.graph_runtime.queueing import until
from loragraph.tests.nodes import material

LORAGRAPH = [sys.executable, "-m", "loragraph"]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    """Run the command line in this process; return (exit code, standard output, standard error)."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


@pytest.fixture
def home() -> Path:
    """The home that the environment names in a test."""
    return Path(os.environ["LORAGRAPH_HOME"])


@pytest.fixture
def queue(home: Path) -> Iterator[RunQueue]:
    opened = RunQueue(home)
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A workflow that saves one picture, in an empty current folder."""
    (tmp_path / "in").mkdir()
    Image.new("RGB", (16, 16), "red").save(tmp_path / "in" / "a.png")
    nodes = {
        "data": {"type": "LoadImages", "settings": {"folder": "in"}},
        "save": {"type": "SaveImages", "inputs": {"images": "data.images"}},
        "off": {"type": "SaveImages", "mode": "mute"},
    }
    return write(tmp_path / "pictures.json", nodes)


def write(path: Path, nodes: dict[str, Any]) -> str:
    path.write_text(json.dumps({"format": "loragraph/1", "title": "Käse", "nodes": nodes}), encoding="utf-8")
    return str(path)


def training(tmp_path: Path) -> str:
    nodes = {
        "base": {"type": "LoadBase", "settings": {"source": str(material.tiny_flux())}},
        "data": {"type": "LoadImages", "settings": {"folder": str(material.pictures())}},
        "train": {
            "type": "TrainLoRA",
            "settings": {"rank": 2, "steps": 100_000, "batch_size": 1, "checkpoint_every": 5},
            "inputs": {"base": "base.base", "dataset": "data.dataset"},
        },
    }
    return write(tmp_path / "train.json", nodes)


def waiting(queue: RunQueue, file: str, tmp_path: Path, count: int = 1) -> list[RunRecord]:
    document = load(Path(file), Registry.installed())
    return [queue.submit(document, name=f"w{number}", out=tmp_path / "out") for number in range(count)]


def test_a_queued_run_is_worked_here_where_nobody_else_does(
    file: str, tmp_path: Path, queue: RunQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    (before,) = waiting(queue, file, tmp_path)
    code, out, err = call(capsys, "run", file, "--queue", "--out", str(tmp_path / "mine"))
    assert (code, out) == (0, "")
    assert "off" not in err and "image-0001.png" in err
    assert "1 run, 1 cached" in err  # what ran before it had loaded the picture
    assert [record.status for record in queue.list()] == ["done", "done"]
    assert queue.get(before.id).finished == 2
    assert (tmp_path / "mine" / "image-0001.png").is_file()
    again = call(capsys, "run", file, "--front", "--out", str(tmp_path / "mine"))
    assert again[0] == 0 and "already there" in again[2]


def test_events_of_a_queued_run_are_json_lines(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "run", file, "--queue", "--events", "jsonl", "--out", str(tmp_path / "out"))
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["kind"], events[-1]["kind"]) == ("run_started", "run_done")


def test_a_queued_run_that_fails_says_why_and_ends_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = {"base": {"type": "LoadBase", "settings": {"source": str(tmp_path)}}}
    file = write(tmp_path / "bad.json", nodes)
    code, _, err = call(capsys, "run", file, "--queue", "--out", str(tmp_path / "out"))
    assert code == 2
    assert err.count("model_index.json") == 1


def test_where_another_process_holds_the_lane_the_run_is_followed(
    file: str, tmp_path: Path, home: Path, queue: RunQueue
) -> None:
    held = FolderLock.take(str(home / "lanes" / "cpu"))
    assert held is not None
    command = [*LORAGRAPH, "run", file, "--queue", "--device", "cpu", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "waits in the queue" in process.stderr.readline()
        (record,) = queue.list()
        assert record.status == "waiting"
        held.release()  # whoever held it has gone, so the one who follows takes over
        assert "done in" in process.stderr.read()
        assert process.wait() == 0
    assert queue.get(record.id).status == "done"


def test_ctrl_c_cancels_a_queued_run(tmp_path: Path, queue: RunQueue) -> None:
    command = [*LORAGRAPH, "run", training(tmp_path), "--queue", "--device", "cpu", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: queue.list())
        (record,) = queue.list()
        until(lambda: any(event.kind == "node_metric" for event in queue.events(record.id)), 60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
    assert "cancelled in" in said
    assert queue.get(record.id).status == "cancelled"


def test_runs_are_listed_in_their_order(
    file: str, tmp_path: Path, queue: RunQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no runs yet" in call(capsys, "runs")[2]
    records = waiting(queue, file, tmp_path, 25)
    code, out, _ = call(capsys, "runs")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == [record.id for record in records[:20]]
    assert len(call(capsys, "runs", "--all")[1].splitlines()) == 26
    listed = json.loads(call(capsys, "runs", "--json", "--all")[1])
    assert [each["id"] for each in listed] == [record.id for record in records]
    assert listed[0] | {"status": "waiting", "name": "w0", "title": "Käse"} == listed[0]


@pytest.mark.parametrize("columns", [80, 200])
def test_the_list_of_runs_fits_the_terminal(
    columns: int,
    file: str,
    tmp_path: Path,
    queue: RunQueue,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (record,) = waiting(queue, file, tmp_path, 1)
    monkeypatch.setenv("COLUMNS", str(columns))
    head, line = call(capsys, "runs")[1].splitlines()
    assert head.split() == ["id", "name", "state", "nodes", "made", "took"]
    assert len(line) <= columns and line.split()[:4] == [record.id, record.name, "waiting", "0/3"]


def test_one_run_is_shown_with_its_nodes(
    file: str, tmp_path: Path, queue: RunQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, "run", file, "--queue", "--out", str(tmp_path / "out"))
    (record,) = queue.list()
    code, out, _ = call(capsys, "runs", "show", record.id[:-2])
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert all(row in rows for row in (["data", "done", "LoadImages"], ["off", "mute", "SaveImages"]))
    shown = json.loads(call(capsys, "runs", "show", record.id, "--json")[1])
    assert shown["results"]["save"]["ended"] == "done"


def test_what_went_wrong_is_shown(tmp_path: Path, queue: RunQueue, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "bad.json", {"base": {"type": "LoadBase", "settings": {"source": str(tmp_path)}}})
    call(capsys, "run", file, "--queue", "--out", str(tmp_path / "out"))
    (record,) = queue.list()
    out = call(capsys, "runs", "show", record.id)[1]
    assert ["base", "failed", "LoadBase"] in [line.split() for line in out.splitlines()]
    assert "model_index.json" in out


def test_runs_are_moved_cancelled_repeated_and_removed(
    file: str, tmp_path: Path, queue: RunQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, three = (record.id for record in waiting(queue, file, tmp_path, 3))
    assert call(capsys, "runs", "move", three, "0")[0] == 0
    assert [record.id for record in queue.list()] == [three, one, two]
    assert call(capsys, "runs", "cancel", one, two)[0] == 0
    assert queue.get(one).status == queue.get(two).status == "cancelled"
    assert call(capsys, "runs", "again", one, "--front")[0] == 0
    assert queue.list()[0].rerun_of == one
    code, _, err = call(capsys, "runs", "remove", one, three)
    assert code == 2 and "waiting" in err
    assert call(capsys, "runs", "remove", one)[1] == "1 removed\n"
    assert call(capsys, "runs", "clean", "--keep", "0")[1] == "1 removed\n"
    assert {record.status for record in queue.list()} == {"waiting"}


def test_another_home_is_named_before_or_after_the_command(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = RunQueue(tmp_path / "elsewhere")
    (record,) = waiting(elsewhere, file, tmp_path)
    option = ("--home", str(tmp_path / "elsewhere"))
    assert record.id in call(capsys, "runs", *option)[1]
    assert record.id in call(capsys, "runs", *option, "show", record.id)[1]
    assert record.id in call(capsys, "runs", "show", record.id, *option)[1]
    elsewhere.close()


def test_a_run_that_is_not_there_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "runs", "show", "nothing")
    assert code == 2 and '"nothing"' in err


def test_listing_runs_imports_no_model_library() -> None:
    code = (
        "import sys\nfrom loragraph.cli import main\n"
        "try: main(['runs'])\n"
        "except SystemExit as end: print(end.code)\n"
        "print(sorted({'torch', 'diffusers', 'numpy', 'PIL', 'gradio', 'networkx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "[]"]


def test_paths_found_from_here_only_are_made_absolute(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = Path(file).rename(tmp_path / "elsewhere" / "w.json")
    monkeypatch.chdir(tmp_path)
    registry = Registry.installed()
    document = from_anywhere(load(moved, registry), registry)
    assert document.nodes["data"].settings == {"folder": str(tmp_path / "in")}
    (tmp_path / "elsewhere" / "in").mkdir()
    document = from_anywhere(load(moved, registry), registry)
    assert document.nodes["data"].settings == {"folder": "in"}
