"""Worker processes: how they die, what is said about it, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loragraph.graph_runtime.errors import Cancelled, WorkerDied
from loragraph.graph_runtime.executors import WorkerExecutor
from loragraph.graph_runtime.executors.worker_process import describe_exit
from loragraph.tests.graph_runtime import sample_nodes
from loragraph.tests.graph_runtime.sample_nodes import noted
from loragraph.tests.graph_runtime.test_executors import ignore, job


@pytest.fixture
def executor() -> Iterator[WorkerExecutor]:
    executor = WorkerExecutor(grace=0.3)
    yield executor
    executor.close()


def wait_for(what: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nodes_run_in_another_process_that_is_kept(executor: WorkerExecutor, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    for _ in range(2):
        executor.submit(job(tmp_path, sample_nodes.heavy_add, journal=str(journal)), ignore).result()
    pids = {int(line.split()[1]) for line in journal.read_text().splitlines()}
    assert len(pids) == 1 and os.getpid() not in pids


def test_a_killed_worker_names_the_node_and_the_cause(executor: WorkerExecutor, tmp_path: Path) -> None:
    with pytest.raises(WorkerDied) as caught:
        executor.submit(job(tmp_path, sample_nodes.train, id="teach", die_at=3), ignore).result()
    said = str(caught.value)
    for words in ("'teach'", "Train", "SIGKILL", "memory", "about to die"):
        assert words in said


def test_the_next_job_gets_a_new_worker_and_finds_the_scratch_folder(executor: WorkerExecutor, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    again = job(tmp_path, sample_nodes.train, die_at=3, journal=str(journal))
    with pytest.raises(WorkerDied):
        executor.submit(again, ignore).result()
    assert executor.submit(again, ignore).result()["text"]["file"]["size"] == len("counted to 10")
    assert noted(journal) == ["from=0", "from=3"]


def test_a_crash_in_native_code_is_told(executor: WorkerExecutor, tmp_path: Path) -> None:
    with pytest.raises(WorkerDied, match="SIGSEGV"):
        executor.submit(job(tmp_path, sample_nodes.train, die_at=1, how=int(signal.SIGSEGV)), ignore).result()


def test_a_worker_that_died_while_idle_is_not_blamed_on_the_next_node(executor: WorkerExecutor, tmp_path: Path) -> None:
    executor.submit(job(tmp_path, sample_nodes.heavy_add), ignore).result()
    os.kill(executor.pids()["cpu"], signal.SIGKILL)
    assert executor.submit(job(tmp_path, sample_nodes.heavy_add, plus=2), ignore).result()["number"]["value"] == 2


@pytest.mark.parametrize("hold", [False, True])
def test_cancel_ends_a_node_that_does_not_listen(executor: WorkerExecutor, tmp_path: Path, hold: bool) -> None:
    journal = tmp_path / "journal"
    future = executor.submit(job(tmp_path, sample_nodes.stubborn, journal=str(journal), hold=hold), ignore)
    wait_for(lambda: noted(journal))
    pid = executor.pids()["cpu"]
    begin = time.monotonic()
    executor.cancel("job")
    with pytest.raises(Cancelled):
        future.result()
    assert time.monotonic() - begin < 3
    assert not running(pid)
    assert executor.submit(job(tmp_path, sample_nodes.heavy_add), ignore).result()


def test_ctrl_c_does_not_reach_the_worker(executor: WorkerExecutor, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    future = executor.submit(job(tmp_path, sample_nodes.heavy_sleep, seconds=0.3, journal=str(journal)), ignore)
    wait_for(lambda: noted(journal))
    pid = executor.pids()["cpu"]
    assert os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGINT)
    assert future.result()


def test_close_ends_the_process(tmp_path: Path) -> None:
    executor = WorkerExecutor()
    executor.submit(job(tmp_path, sample_nodes.heavy_add), ignore).result()
    pid = executor.pids()["cpu"]
    executor.close()
    assert not running(pid)


def test_two_devices_work_at_the_same_time(tmp_path: Path) -> None:
    executor = WorkerExecutor(devices=("cpu", "cpu:1"))
    try:
        journal = tmp_path / "journal"
        jobs = [job(tmp_path, sample_nodes.heavy_sleep, id=f"{i}", seconds=1.5, journal=str(journal)) for i in (1, 2)]
        futures = [
            executor.submit(replace(one, device=name), ignore) for one, name in zip(jobs, executor.devices, strict=True)
        ]
        for future in futures:
            future.result()
        assert noted(journal) == ["begin", "begin", "end", "end"]
    finally:
        executor.close()


def test_a_device_that_is_not_there_is_named(executor: WorkerExecutor, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="cuda:7"):
        executor.submit(replace(job(tmp_path, sample_nodes.heavy_add), device="cuda:7"), ignore)


PARENT = """
import sys
from pathlib import Path
from loragraph.graph_runtime.executors import WorkerExecutor
from loragraph.tests.graph_runtime import sample_nodes
from loragraph.tests.graph_runtime.test_executors import ignore, job

executor = WorkerExecutor()
folder = Path(sys.argv[1])
executor.submit(job(folder, sample_nodes.heavy_add), ignore).result()
print(executor.pids()["cpu"], flush=True)
executor.submit(job(folder, sample_nodes.stubborn, hold=sys.argv[2] == "hold"), ignore).result()
"""


@pytest.mark.parametrize("hold", ["free", "hold"])
def test_the_worker_dies_with_its_parent(tmp_path: Path, hold: str) -> None:
    root = str(Path(sample_nodes.__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), root])}
    command: list[Any] = [sys.executable, "-c", PARENT, tmp_path, hold]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert running(worker)
        time.sleep(0.3)
        parent.kill()
        parent.wait()
    wait_for(lambda: not running(worker), 5)


def test_exit_codes_are_told_in_words() -> None:
    assert "exit code 3" in describe_exit(3)
    assert "SIGSEGV" in describe_exit(-signal.SIGSEGV)
    assert "signal 200" in describe_exit(-200)


def test_a_listener_that_raises_does_not_confuse_the_next_job(executor: WorkerExecutor, tmp_path: Path) -> None:
    def raises(message: dict[str, Any]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        executor.submit(job(tmp_path, sample_nodes.heavy_sleep, seconds=30.0), raises).result()
    outputs = executor.submit(job(tmp_path, sample_nodes.heavy_add, plus=5), ignore).result()
    assert outputs["number"]["value"] == 5
