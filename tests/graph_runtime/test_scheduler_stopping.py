"""Stopping a run: by request, by a dying worker, by a listener that fails."""

from __future__ import annotations

import os
import signal
import time
from threading import Event as Flag
from threading import Timer

import pytest

from loragraph.graph_runtime.events import Event
from loragraph.graph_runtime.executors import WorkerExecutor
from loragraph.tests.graph_runtime.running import Runner, graph, statuses


@pytest.mark.parametrize("kind", ["Sleep", "HeavySleep"])
def test_cancel_stops_within_one_step_and_leaves_no_half_written_file(runner: Runner, kind: str) -> None:
    cancel = Flag()
    told: dict[str, float] = {}

    def stop(event: Event) -> None:
        if event.kind == "node_progress" and event.data["step"] == 3:
            told["at"] = time.monotonic()
            cancel.set()

    document = graph(
        a=("Constant", {}),
        slow=(kind, {"number": "a.number", "seconds": 30.0}),
        after=("Add", {"numbers": ["slow.number"]}),
    )
    result = runner(document, cancel=cancel, on_event=stop)
    assert time.monotonic() - told["at"] < 2
    assert result.status == "cancelled"
    assert statuses(result) == {"a": "done", "slow": "cancelled", "after": "cancelled"}
    assert runner.leftovers() == []
    assert {event.node for event in runner.events if event.kind == "node_cancelled"} == {"slow", "after"}
    assert runner.events[-1].kind == "run_done" and runner.events[-1].data["status"] == "cancelled"


def test_a_run_cancelled_before_it_begins_runs_nothing(runner: Runner) -> None:
    cancel = Flag()
    cancel.set()
    result = runner(graph(a=("Constant", {"journal": str(runner.journal)})), cancel=cancel)
    assert statuses(result) == {"a": "cancelled"} and runner.noted() == []


def test_a_worker_killed_in_mid_training_is_told_and_the_rest_goes_on(runner: Runner) -> None:
    train = {"steps": 6, "die_at": 4, "journal": str(runner.journal)}
    document = graph(
        teach=("Train", train),
        again=("HeavyAdd", {"plus": 3}),
        light=("Constant", {}),
        after=("Save", {"text": "teach.text"}),
    )
    result = runner(document)
    assert statuses(result) == {"teach": "failed", "again": "done", "light": "done", "after": "skipped"}
    said = result.nodes["teach"].error
    for words in ("'teach'", "Train", "killed by signal 9 (SIGKILL)", "memory"):
        assert words in said
    assert runner.leftovers() == []
    # The checkpoint survived, so running again goes on from there.
    assert runner(document).status == "done"
    assert runner.noted() == ["from=0", "from=4"]
    assert not list((runner.folder / "home" / "scratch").glob("*/count.txt"))


def test_a_worker_killed_from_outside_is_told(runner: Runner) -> None:
    executor = WorkerExecutor()
    try:

        def kill(event: Event) -> None:
            if event.kind == "node_progress" and event.data["step"] == 5:
                os.kill(executor.pids()["cpu"], signal.SIGKILL)

        result = runner(graph(slow=("HeavySleep", {"seconds": 5.0})), executor=executor, on_event=kill)
        assert statuses(result) == {"slow": "failed"}
        assert "SIGKILL" in result.nodes["slow"].error
        assert runner(graph(next=("HeavyAdd", {})), executor=executor).status == "done"
    finally:
        executor.close()


def test_a_checkpoint_survives_a_cancel(runner: Runner) -> None:
    cancel = Flag()
    document = graph(teach=("Train", {"steps": 10**6, "journal": str(runner.journal)}))

    def stop(event: Event) -> None:
        if event.kind == "node_metric" and event.data["step"] == 3:
            cancel.set()

    assert runner(document, cancel=cancel, on_event=stop).status == "cancelled"
    again = Flag()
    Timer(1.0, again.set).start()
    runner(document, cancel=again)
    resumed = [int(line.removeprefix("from=")) for line in runner.noted()]
    assert resumed[0] == 0 and resumed[1] >= 3


def test_a_listener_that_raises_leaves_nothing_running(runner: Runner) -> None:
    def raises(event: Event) -> None:
        if event.kind == "node_progress":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        runner(graph(slow=("Sleep", {"seconds": 30.0})), on_event=raises)
    assert runner.leftovers() == []


def test_a_node_that_tells_more_than_is_heard_can_be_cancelled(runner: Runner) -> None:
    cancel = Flag()

    def slow(event: Event) -> None:
        if event.kind == "node_progress":
            cancel.set()
            time.sleep(0.001)

    result = runner(graph(a=("Chatter", {"seconds": 3.0})), cancel=cancel, on_event=slow)
    assert result.status == "cancelled" and result.seconds < 2.5
