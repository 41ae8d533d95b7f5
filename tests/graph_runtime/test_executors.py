"""What both executors promise: the same job gives the same outputs, messages and errors in a thread and a process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loragraph.graph_runtime import values
from loragraph.graph_runtime.errors import Cancelled
from loragraph.graph_runtime.executors import Executor, InProcessExecutor, Job, NodeFailed, WorkerExecutor
from loragraph.graph_runtime.node import NodeType
from loragraph.tests.graph_runtime import sample_nodes
from loragraph.tests.graph_runtime.sample_nodes import Number, noted


@pytest.fixture(params=["in_process", "workers"], scope="module")
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    executor: Executor = InProcessExecutor() if request.param == "in_process" else WorkerExecutor()
    executor.start()
    yield executor
    executor.close()


def job(folder: Path, node: NodeType, id: str = "job", **arguments: Any) -> Job:
    for path in (folder / id, folder / "scratch" / id):
        path.mkdir(parents=True, exist_ok=True)
    inputs = {name: arguments.pop(name) for name in list(arguments) if name in node.inputs}
    places = {"folder": str(folder / id), "scratch": str(folder / "scratch" / id), "out": str(folder / "out")}
    return Job(id, id, node.name, node.function, arguments, inputs, **places)


def ignore(message: dict[str, Any]) -> None:
    pass


def test_outputs_come_back_as_dumped_values(executor: Executor, tmp_path: Path) -> None:
    numbers = [values.dump(Number(value=1)), values.dump(Number(value=2))]
    outputs = executor.submit(job(tmp_path, sample_nodes.add, numbers=numbers, plus=4), ignore).result()
    assert values.load(outputs["number"]) == Number(value=7)


def test_several_outputs_come_back_by_name(executor: Executor, tmp_path: Path) -> None:
    outputs = executor.submit(job(tmp_path, sample_nodes.split, number=values.dump(Number(value=6))), ignore).result()
    assert {name: value["value"] for name, value in outputs.items()} == {"small": 3, "large": 12}


def test_messages_arrive_in_order_before_the_result(executor: Executor, tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    executor.submit(job(tmp_path, sample_nodes.talk, said="hi"), heard.append).result()
    heard = [message for message in heard if message.get("level") != "print"]
    assert [message["kind"] for message in heard] == ["progress", "metric", "log"]
    assert heard[0] == {"kind": "progress", "step": 1, "total": 2, "message": "hi", "preview": heard[0]["preview"]}
    assert [message["message"] for message in heard if message.get("level") == "warning"] == ["hi from the log"]


def test_an_exception_comes_back_as_data(executor: Executor, tmp_path: Path) -> None:
    with pytest.raises(NodeFailed) as caught:
        executor.submit(job(tmp_path, sample_nodes.heavy_fail, message="no disk"), ignore).result()
    error = caught.value
    assert (error.error, error.message, error.bad_input) == ("OSError", "no disk", False)
    assert "sample_nodes.py" in error.trace


def test_bad_input_is_told_apart(executor: Executor, tmp_path: Path) -> None:
    with pytest.raises(NodeFailed) as caught:
        executor.submit(job(tmp_path, sample_nodes.heavy_fail, bad_input=True), ignore).result()
    assert caught.value.bad_input


@pytest.mark.parametrize("node", [sample_nodes.lie, sample_nodes.leave])
def test_a_node_that_misbehaves_fails_like_any_other(executor: Executor, tmp_path: Path, node: NodeType) -> None:
    with pytest.raises(NodeFailed):
        executor.submit(job(tmp_path, node), ignore).result()
    assert executor.submit(job(tmp_path, sample_nodes.constant), ignore).result()


def test_cancel_stops_a_running_node_within_a_step(executor: Executor, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    future = executor.submit(job(tmp_path, sample_nodes.heavy_sleep, seconds=30.0, journal=str(journal)), ignore)
    while not noted(journal):
        time.sleep(0.005)
    begin = time.monotonic()
    executor.cancel("job")
    with pytest.raises(Cancelled):
        future.result()
    assert time.monotonic() - begin < 1
    assert noted(journal) == ["begin"]


def test_cancel_of_a_queued_job_never_starts_it(executor: Executor, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    first = executor.submit(job(tmp_path, sample_nodes.heavy_sleep, id="first", seconds=0.3), ignore)
    second = executor.submit(job(tmp_path, sample_nodes.heavy_add, id="second", journal=str(journal)), ignore)
    executor.cancel("second")
    first.result()
    with pytest.raises(Cancelled):
        second.result()
    assert noted(journal) == []


def test_cancel_of_an_unknown_job_is_ignored(executor: Executor, tmp_path: Path) -> None:
    executor.cancel("nobody")
    assert executor.submit(job(tmp_path, sample_nodes.constant), ignore).result()


@pytest.mark.parametrize("make", [InProcessExecutor, WorkerExecutor])
def test_close_ends_running_and_queued_jobs(make: type, tmp_path: Path) -> None:
    executor = make()
    futures = [
        executor.submit(job(tmp_path, sample_nodes.heavy_sleep, id=f"{i}", seconds=30.0), ignore) for i in (1, 2)
    ]
    begin = time.monotonic()
    executor.close()
    for future in futures:
        with pytest.raises(Cancelled):
            future.result()
    assert time.monotonic() - begin < 5
