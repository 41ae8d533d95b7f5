"""The queue as it is kept: order, records, events, and what it refuses; nothing is run here."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loragraph.graph_runtime.document import Document, NodeSpec
from loragraph.graph_runtime.errors import BadInput, DocumentError
from loragraph.graph_runtime.events import Event
from loragraph.graph_runtime.run_queue import RunQueue, RunRecord
from loragraph.tests.graph_runtime.queueing import take_all, until
from loragraph.tests.graph_runtime.running import graph

DOCUMENT = graph(a=("Constant", {}), b=("Save", {"number": "a.number"}))


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[RunQueue]:
    opened = RunQueue(tmp_path / "home")
    yield opened
    opened.close()


def submit(queue: RunQueue, document: Document = DOCUMENT, **options: object) -> str:
    return queue.submit(document, name="test", out=Path("out"), **options).id  # type: ignore[arg-type]


def ids(queue: RunQueue, *status: str) -> list[str]:
    return [record.id for record in queue.list(status=status or None)]  # type: ignore[arg-type]


def tell(queue: RunQueue, run: str, seq: int, kind: str, node: str | None = None, **data: object) -> None:
    queue.claims.tell(Event(seq, 1000.0 + seq, run, kind, node, data))  # type: ignore[arg-type]


def test_a_run_comes_back_as_it_was_submitted(queue: RunQueue, tmp_path: Path) -> None:
    document = Document(DOCUMENT.nodes, title="Käse", path=tmp_path / "w.json")
    record = queue.submit(document, name="w", out=tmp_path / "out", wanted=["a.number"])
    assert queue.get(record.id) == record
    assert queue.text(record.id) == document.text()
    assert (record.status, record.title, record.nodes, record.attempt) == ("waiting", "Käse", 2, 1)
    assert (record.path, record.out, record.wanted) == (str(tmp_path / "w.json"), str(tmp_path / "out"), ("a.number",))
    assert json.loads(json.dumps(record.to_dict()))["wanted"] == ["a.number"]


def test_a_queue_that_is_opened_again_is_the_same(queue: RunQueue) -> None:
    runs = [submit(queue) for _ in range(3)]
    again = RunQueue(queue.home)
    assert ids(again) == runs
    again.close()


def test_paths_need_not_be_text(queue: RunQueue, tmp_path: Path) -> None:
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    record = queue.submit(DOCUMENT, name="w", out=out)
    assert queue.get(record.id).out == str(out)
    json.dumps(record.to_dict(), ensure_ascii=False).encode()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["submit", "front", "move", "cancel", "take", "end", "rerun"]),
            st.integers(0, 8),
            st.integers(0, 9),
        ),
        max_size=25,
    )
)
def test_the_order_is_that_of_a_plain_list(steps: list[tuple[str, int, int]]) -> None:
    with TemporaryDirectory() as folder:
        queue = RunQueue(Path(folder))
        waiting: list[str] = []
        running: list[str] = []
        over: list[str] = []
        for step, which, place in steps:
            chosen = waiting[which % len(waiting)] if waiting else None
            if step == "submit":
                waiting.append(submit(queue))
            elif step == "front":
                waiting.insert(0, submit(queue, front=True))
            elif step == "rerun" and chosen:
                waiting.append(queue.rerun(chosen).id)
            elif step == "move" and chosen:
                waiting.remove(chosen)
                waiting.insert(place, chosen)
                queue.move(chosen, place)
            elif step == "cancel" and chosen:
                waiting.remove(chosen)
                over.insert(0, chosen)
                queue.cancel(chosen)
            elif step == "take":
                record = queue.claims.take("cpu")
                assert (record.id if record else None) == (waiting[0] if waiting else None)
                running += waiting[:1]
                del waiting[:1]
            elif step == "end" and running:
                over.insert(0, running.pop(0))
                queue.claims.end(over[0], "done", seconds=0.0)
            assert ids(queue, "waiting") == waiting
        assert ids(queue) == running + waiting + over
        queue.close()


def test_listing_goes_page_by_page(queue: RunQueue) -> None:
    runs = [submit(queue) for _ in range(5)]
    assert [record.id for record in queue.list(limit=2, offset=2)] == runs[2:4]


def test_an_unknown_run_is_named_with_the_nearest(queue: RunQueue) -> None:
    submit(queue, run_id="training-1")
    for ask in (queue.get, queue.text, queue.cancel, queue.rerun, queue.events, queue.results, queue.remove):
        with pytest.raises(BadInput, match='Did you mean "training-1"'):
            ask("traning-1")  # type: ignore[operator]


def test_a_run_is_found_by_a_beginning_or_its_last_part(queue: RunQueue) -> None:
    for run in ("20250101-120000-aa1111", "20250102-120000-bb2222"):
        submit(queue, run_id=run)
    assert queue.find("20250102").id == "20250102-120000-bb2222"
    assert queue.find("aa").id == "20250101-120000-aa1111"
    with pytest.raises(BadInput, match="2 runs"):
        queue.find("2025")
    with pytest.raises(BadInput, match="no run"):
        queue.find("")


@pytest.mark.parametrize("run", ["", "../up", "a/b", ".", "x" * 101, "ä"])
def test_an_id_that_could_be_a_path_is_refused(queue: RunQueue, run: str) -> None:
    with pytest.raises(BadInput, match="no id"):
        submit(queue, run_id=run)
    assert queue.list() == []


def test_an_id_that_is_taken_is_refused(queue: RunQueue) -> None:
    submit(queue, run_id="one")
    with pytest.raises(BadInput, match="already"):
        submit(queue, run_id="one")


def test_wanting_what_is_not_there_or_is_muted_is_refused(queue: RunQueue) -> None:
    muted = Document({"a": NodeSpec("a", "Constant", 1, mode="mute")})
    with pytest.raises(DocumentError, match='Did you mean "a"'):
        submit(queue, wanted=["aa"])
    with pytest.raises(DocumentError, match="muted"):
        submit(queue, muted, wanted=["a"])


def test_only_what_waits_is_moved_and_only_what_is_over_is_removed(queue: RunQueue) -> None:
    first, second = submit(queue), submit(queue)
    queue.claims.take("cpu")
    with pytest.raises(BadInput, match="running"):
        queue.move(first, 0)
    with pytest.raises(BadInput, match="running"):
        queue.remove(first)
    with pytest.raises(BadInput, match="waiting"):
        queue.remove(second)
    queue.cancel(second)
    assert queue.remove(second, second) == 1
    assert ids(queue) == [first]


def test_cancelling_what_waits_ends_it_with_its_event(queue: RunQueue) -> None:
    run = submit(queue)
    assert queue.cancel(run).status == "cancelled"
    (event,) = queue.events(run)
    assert (event.seq, event.kind, event.data["status"]) == (1, "run_done", "cancelled")
    assert queue.cancel(run) == queue.get(run)


def test_cancelling_what_runs_is_written_down(queue: RunQueue) -> None:
    run = submit(queue)
    queue.claims.take("cpu")
    assert queue.claims.stopping() == set()
    assert queue.cancel(run).stopping
    assert queue.claims.stopping() == {run}


def test_a_rerun_is_a_new_run_of_the_same(queue: RunQueue) -> None:
    first = submit(queue, wanted=["b"])
    queue.cancel(first)
    record = queue.rerun(first)
    assert (record.rerun_of, record.status, record.wanted, record.last_seq) == (first, "waiting", ("b",), 0)
    assert queue.text(record.id) == queue.text(first)


def test_events_come_back_in_order_and_count_in_the_record(queue: RunQueue) -> None:
    run = submit(queue)
    queue.claims.take("cpu")
    tell(queue, run, 1, "run_started", nodes=2)
    tell(queue, run, 2, "node_metric", "a", name="loss", value=float("nan"), step=1)
    tell(queue, run, 3, "node_log", "a", level="info", message="half a character: \ud800")
    tell(queue, run, 4, "node_done", "a", key="k", seconds=0.5)
    queue.claims.end(run, "failed", seconds=1.0, error="it broke", bad_input=True)
    told = queue.events(run)
    assert [event.seq for event in told] == [1, 2, 3, 4, 5]
    assert told[1].data["value"] is None
    assert told[2].data["message"].endswith(r"\ud800")
    assert told[4].data == {"status": "failed", "seconds": 1.0, "error": "it broke"}
    assert [event.seq for event in queue.events(run, after=1, limit=2)] == [2, 3]
    record = queue.get(run)
    assert (record.last_seq, record.nodes, record.finished) == (5, 2, 1)
    assert (record.status, record.error, record.bad_input) == ("failed", "it broke", True)


def test_results_are_the_last_end_of_each_node(queue: RunQueue) -> None:
    run = submit(queue)
    queue.claims.take("cpu")
    tell(queue, run, 1, "node_done", "a", key="ka", seconds=1.0)
    tell(queue, run, 2, "node_failed", "b", message="m")
    tell(queue, run, 3, "node_cached", "a", key="ka")
    queue.claims.flush()
    assert queue.results(run) == {"a": ("cached", "ka"), "b": ("failed", "")}


def test_curves_are_those_of_the_latest_run_that_really_ran_the_node(queue: RunQueue) -> None:
    for turn, end in enumerate(["node_done", "node_done", "node_cached"]):
        run = submit(queue)
        queue.claims.take("cpu")
        seq = 10 * turn
        tell(queue, run, seq + 1, "node_metric", "t", name="loss", value=turn + 0.5, step=1)
        tell(queue, run, seq + 2, "node_metric", "t", name="loss", value=9.0, step=2)
        tell(queue, run, seq + 3, "node_metric", "t", name="loss", value=turn + 0.25, step=2)  # after a resume
        tell(queue, run, seq + 4, "node_metric", "other", name="loss", value=7.0, step=1)
        tell(queue, run, seq + 5, end, "t", key="k", seconds=1.0)
        queue.claims.end(run, "done", seconds=1.0)
    assert queue.metrics_of("k") == {"loss": [(1, 1.5), (2, 1.25)]}
    assert queue.metrics_of("unknown") == {}


def test_cleaning_keeps_the_newest_and_what_is_not_over(queue: RunQueue) -> None:
    over = [submit(queue) for _ in range(4)]
    for run in over:
        queue.cancel(run)
    waiting = submit(queue)
    assert queue.clean(keep=3, older_than=3600) == 0
    assert queue.clean(keep=2) == 2
    assert ids(queue) == [waiting, over[3], over[2]]
    assert queue.clean(keep=0, older_than=0) == 2


def test_the_revision_tells_records_and_not_events(queue: RunQueue) -> None:
    other = RunQueue(queue.home)
    before = queue.revision()
    run = submit(other)
    submitted = queue.revision()
    assert submitted != before
    queue.claims.take("cpu")
    taken = other.revision()
    assert taken != submitted
    tell(queue, run, 1, "node_progress", "a", step=1, total=2)
    queue.claims.flush()
    assert other.revision() == taken
    tell(queue, run, 2, "node_done", "a", key="k")
    queue.claims.flush()
    assert other.revision() != taken
    other.close()


def test_a_listener_hears_of_every_change_and_may_fail(queue: RunQueue) -> None:
    heard: list[str] = []

    def fails(run: str) -> None:
        raise ZeroDivisionError

    queue.listen(fails)
    stop = queue.listen(heard.append)
    run = submit(queue)
    queue.claims.take("cpu")
    assert heard == [run, run]
    tell(queue, run, 1, "run_started", nodes=2)
    until(lambda: len(heard) == 3)
    queue.claims.end(run, "done", seconds=0.0)
    queue.remove(run)
    assert heard == [run] * 5
    stop()
    stop()
    submit(queue)
    assert heard == [run] * 5


def test_waiting_ends_with_an_event_of_this_process_of_another_and_with_the_end(queue: RunQueue) -> None:
    run = submit(queue)
    queue.claims.take("cpu")
    assert not queue.wait(run, 0, 0.0)
    other = RunQueue(queue.home)
    for seq, writer in enumerate((queue, other), start=1):
        timer = threading.Timer(0.05, tell, (writer, run, seq, "node_log", "a"))
        timer.start()
        assert queue.wait(run, seq - 1, 30.0)
        assert [event.seq for event in queue.events(run, seq - 1)] == [seq]
        timer.join()
    queue.claims.end(run, "done", seconds=0.0)
    assert queue.wait(run, 10**9, 0.0)
    other.close()


def test_a_run_that_ended_has_all_its_events(queue: RunQueue) -> None:
    run = submit(queue)
    queue.claims.take("cpu")
    for seq in range(1, 3001):
        tell(queue, run, seq, "node_progress", "a", step=seq, total=3000)
    queue.claims.end(run, "done", seconds=0.0)
    other = RunQueue(queue.home)
    assert other.get(run).status == "done"
    assert [event.seq for event in other.events(run)] == list(range(1, 3002))
    other.close()


def test_telling_does_not_wait_for_a_disk_that_is_held_up(queue: RunQueue) -> None:
    run = submit(queue)
    queue.claims.take("cpu")
    blocker = sqlite3.connect(queue.home / "runs.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for seq in range(1, 101):
        tell(queue, run, seq, "node_log", "a")  # would never return if it waited
    assert queue.events(run) == []
    blocker.execute("ROLLBACK")
    blocker.close()
    queue.claims.flush()
    assert len(queue.events(run)) == 100


def test_no_two_processes_take_the_same_run(queue: RunQueue) -> None:
    runs = [submit(queue) for _ in range(30)]
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[str] = context.Queue()
    takers = [context.Process(target=take_all, args=(str(queue.home), results)) for _ in range(3)]
    for taker in takers:
        taker.start()
    taken = [results.get(timeout=60) for _ in runs]
    for taker in takers:
        taker.join(60)
        assert taker.exitcode == 0
    assert sorted(taken) == sorted(runs)
    assert results.empty()


def test_a_file_that_is_no_queue_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs.sqlite").write_text("no database at all, but longer than a page header " * 20)
    with pytest.raises(BadInput, match=r"runs\.sqlite"):
        RunQueue(tmp_path)


def died(queue: RunQueue, run: str, *events: tuple[str, str, dict[str, object]]) -> RunRecord:
    """Take the run, tell `events` (kind, node, data) of it, and let its lane go over to somebody else."""
    attempt = queue.claims.take("cpu")
    assert attempt is not None and attempt.id == run
    told = [("run_started", None, {"nodes": 2, "attempt": attempt.attempt}), *events]
    for seq, (kind, node, data) in enumerate(told, attempt.last_seq + 1):
        tell(queue, run, seq, kind, node, **data)
    queue.claims.flush()
    queue.claims.adopt("cpu")
    return queue.get(run)


def test_a_run_that_gets_further_each_time_is_resumed_however_often_it_dies(queue: RunQueue) -> None:
    run = submit(queue)
    for step in range(1, 7):
        assert died(queue, run, ("node_progress", "a", {"step": step})).deaths == 0
    assert died(queue, run, ("node_done", "a", {"key": "k"})).deaths == 0
    assert died(queue, run, ("node_cached", "a", {"key": "k"}), ("node_progress", "b", {"step": 1})).deaths == 0
    assert queue.get(run).status == "waiting"


def test_a_run_that_dies_without_getting_further_fails_in_the_end(queue: RunQueue) -> None:
    run = submit(queue)
    same = (("node_started", "a", {}), ("node_progress", "a", {"step": 5}))
    assert [died(queue, run, *same).deaths for _ in range(3)] == [0, 1, 2]
    queue.claims.take("cpu")
    queue.claims.give_back(run)  # An orderly end in between is no death.
    assert [died(queue, run, *events).deaths for events in (same, ())] == [1, 2]
    failed = died(queue, run, *same)
    assert (failed.status, failed.attempt) == ("failed", 7)
    assert "last time at a." in failed.error


def test_a_queue_of_the_first_version_is_brought_up_to_date(queue: RunQueue) -> None:
    run = submit(queue)
    with sqlite3.connect(queue.home / "runs.sqlite") as connection:
        connection.execute("ALTER TABLE runs DROP COLUMN deaths")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    for _ in range(2):
        again = RunQueue(queue.home)
        assert again.get(run).deaths == 0
        again.close()


@pytest.mark.parametrize("message", ["no such file: \udcff.png", "ü" * 1_000_000])
def test_any_error_can_be_kept_and_the_record_has_no_more_of_it_than_can_be_listed(
    queue: RunQueue, message: str
) -> None:
    run = submit(queue)
    queue.claims.take("cpu")
    tell(queue, run, 1, "node_failed", "a", message=message)
    queue.claims.end(run, "failed", seconds=1.0, error=message)
    record = queue.get(run)
    assert (record.status, record.error[:10]) == ("failed", message[:10])
    assert len(record.error.encode("utf-8")) < 30_000
    told = queue.events(run)[0].data["message"]
    assert told == message.encode("utf-8", "backslashreplace").decode("utf-8")


def test_a_record_keeps_the_beginning_of_a_title_that_is_a_book(queue: RunQueue) -> None:
    record = queue.submit(Document(DOCUMENT.nodes, title="x" * 100_000), name="n" * 5000, out=Path("out"))
    assert len(queue.get(record.id).title) == len(queue.get(record.id).name) == 300
    assert "x" * 100_000 in queue.text(record.id)


@pytest.mark.parametrize("version", [99, -1])
def test_a_queue_of_a_newer_version_is_refused(queue: RunQueue, version: int) -> None:
    with sqlite3.connect(queue.home / "runs.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(BadInput, match="newer"):
        RunQueue(queue.home)


def test_removing_a_run_takes_its_previews(queue: RunQueue) -> None:
    run = submit(queue)
    queue.previews(run).mkdir(parents=True)
    (queue.previews(run) / "a-1.png").write_bytes(b"x")
    queue.cancel(run)
    queue.remove(run)
    assert not queue.previews(run).exists()


def test_closing_writes_what_was_told(tmp_path: Path) -> None:
    queue = RunQueue(tmp_path)
    run = submit(queue)
    queue.claims.take("cpu")
    begun = time.time()
    for seq in range(1, 501):
        tell(queue, run, seq, "node_log", "a")
    queue.close()
    again = RunQueue(tmp_path)
    assert len(again.events(run)) == 500
    assert again.get(run).started is not None and again.get(run).created <= begun + 1
    again.close()
