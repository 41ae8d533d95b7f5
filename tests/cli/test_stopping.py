"""Failures, Ctrl-C and killed workers, each in a process of its own, on the tiny model."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loragraph.tests.nodes import material


def training(tmp_path: Path, steps: int) -> list[str]:
    """Return a command that trains for `steps` steps beside an independent branch, telling its events."""
    nodes = {
        "base": {"type": "LoadBase", "settings": {"source": str(material.tiny_flux())}},
        "data": {"type": "LoadImages", "settings": {"folder": str(material.pictures())}},
        "train": {
            "type": "TrainLoRA",
            "settings": {"rank": 2, "steps": steps, "batch_size": 1, "checkpoint_every": 5},
            "inputs": {"base": "base.base", "dataset": "data.dataset"},
        },
        "save": {"type": "SaveLoRA", "inputs": {"lora": "train.lora"}},
        "look": {"type": "SaveImages", "settings": {"name": "data"}, "inputs": {"images": "data.images"}},
    }
    file = tmp_path / "train.json"
    file.write_text(json.dumps({"format": "loragraph/1", "nodes": nodes}))
    options = ["--events", "jsonl", "--home", str(tmp_path / "home"), "--out", str(tmp_path / "out")]
    return [sys.executable, "-m", "loragraph", "run", str(file), *options]


@pytest.fixture
def started(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A long training that has done some steps."""
    process = subprocess.Popen(training(tmp_path, 100_000), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_step(process, 12)
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def events(process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def wait_for_step(process: "subprocess.Popen[str]", step: int) -> None:
    for event in events(process):
        if event["kind"] == "node_progress" and event["node"] == "train" and event["data"]["step"] >= step:
            return
    raise AssertionError(f"the run ended before step {step}")


def workers_of(pid: int) -> list[int]:
    """Return the processes whose parent is `pid`."""
    children = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    children.append(int(entry.name))
            except OSError:
                continue
    return children


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_cancels_and_leaves_no_half_written_file(started: "subprocess.Popen[str]", tmp_path: Path) -> None:
    workers = workers_of(started.pid)
    started.send_signal(signal.SIGINT)
    begun = time.monotonic()
    ends = {event["node"]: event["kind"] for event in events(started)}
    assert started.wait(20) == 130
    assert time.monotonic() - begun < 5
    assert ends["train"] == "node_cancelled"
    assert gone(workers)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"data-000{n}.png" for n in range(1, 5)}


def test_a_second_ctrl_c_ends_everything_at_once(started: "subprocess.Popen[str]") -> None:
    workers = workers_of(started.pid)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)  # a node that hears nothing
    started.send_signal(signal.SIGINT)
    time.sleep(0.3)
    started.send_signal(signal.SIGINT)
    assert started.wait(3) == 130
    assert gone(workers)


def test_a_killed_worker_is_told_in_words_and_other_branches_finish(
    started: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    (worker,) = workers_of(started.pid)
    os.kill(worker, signal.SIGKILL)
    told = list(events(started))
    assert started.wait(20) == 1
    assert started.stderr is not None
    said = started.stderr.read()
    assert "train" in said
    assert "SIGKILL" in said
    ends = {event["node"]: event["kind"] for event in told if event["kind"] not in ("node_progress", "node_metric")}
    assert (ends["train"], ends["save"]) == ("node_failed", "node_skipped")
    assert len(list((tmp_path / "out").glob("data-*.png"))) == 4


def test_the_run_after_a_killed_worker_goes_on_from_the_last_checkpoint(tmp_path: Path) -> None:
    command = training(tmp_path, 200)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as first:
        wait_for_step(first, 12)
        for worker in workers_of(first.pid):
            os.kill(worker, signal.SIGKILL)
        list(events(first))
        assert first.wait() == 1
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    told = [json.loads(line) for line in second.stdout.splitlines()]
    steps = [event["data"]["step"] for event in told if event["kind"] == "node_progress" and event["node"] == "train"]
    assert steps == list(range(steps[0], 201))
    assert steps[0] > 10
    assert (tmp_path / "out" / "lora-0001.safetensors").is_file()
