"""A run told as it goes: from any number on, to any number of followers, to its end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from loragraph.graph_runtime import BadInput
from loragraph.tests.ui.asking import ask, followed, refused, run_to_its_end, show_and_save, workflow
from loragraph.ui.following import follow
from loragraph.ui.studio import Studio

ENDLESS = {"n": {"type": "Endless"}}


def numbers(parts: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for part in parts for event in part["events"]]


def test_a_run_is_told_in_full_and_again_from_any_number(studio: Studio, pictures: Path) -> None:
    run = run_to_its_end(studio, show_and_save(pictures))
    assert run["status"] == "done"
    whole = followed(studio, run["id"])
    last = run["last_seq"]
    assert numbers(whole) == list(range(1, last + 1))
    assert whole[-1]["run"] == run
    for after in (0, 1, last // 2, last - 1, last, last + 5):
        assert numbers(followed(studio, run["id"], after)) == list(range(after + 1, last + 1))


def test_followers_hear_of_a_run_that_goes_on_and_of_its_cancel(studio: Studio) -> None:
    run = ask(studio, "submit", text=workflow(ENDLESS), name="w")["run"]["id"]
    cancelled = False

    async def one(cancel: bool) -> list[dict[str, Any]]:
        nonlocal cancelled
        parts = []
        async for part in follow(studio.queue, run):
            parts.append(part)
            if cancel and not cancelled and numbers(parts)[-1:] > [20]:
                cancelled = True
                await asyncio.to_thread(ask, studio, "cancel", run=run)
        return parts

    async def both() -> list[list[dict[str, Any]]]:
        return await asyncio.wait_for(asyncio.gather(one(True), one(False)), 60)

    first, second = asyncio.run(both())
    assert numbers(first) == numbers(second) == list(range(1, first[-1]["run"]["last_seq"] + 1))
    assert first[-1]["run"]["status"] == second[-1]["run"]["status"] == "cancelled"


def test_a_follower_who_leaves_is_forgotten(studio: Studio) -> None:
    run = ask(studio, "submit", text=workflow(ENDLESS), name="w")["run"]["id"]

    async def look_and_leave() -> None:
        parts = follow(studio.queue, run)
        await anext(parts)
        await parts.aclose()  # type: ignore[attr-defined]

    listening = len(studio.queue._listeners)
    asyncio.run(look_and_leave())
    assert len(studio.queue._listeners) == listening
    ask(studio, "cancel", run=run)
    assert followed(studio, run)[-1]["run"]["status"] == "cancelled"


def test_what_another_process_writes_is_told_too(studio: Studio) -> None:
    from loragraph.graph_runtime import document as documents
    from loragraph.graph_runtime.run_queue import RunQueue

    elsewhere = RunQueue(studio.workspace.home / "other")
    quiet = RunQueue(studio.workspace.home / "other")
    document = documents.load(workflow(ENDLESS), studio.registry)
    run = quiet.submit(document, name="w", out=studio.workspace.out).id

    async def one() -> list[str]:
        said = []
        async for part in follow(quiet, run):
            said.append(part["run"]["status"])
            if len(said) == 1:
                await asyncio.to_thread(elsewhere.cancel, run)
        return said

    try:
        assert asyncio.run(asyncio.wait_for(one(), 60)) == ["waiting", "cancelled"]
    finally:
        elsewhere.close()
        quiet.close()


def test_following_what_is_not_there_says_so(studio: Studio) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        followed(studio, "nowhere")


def test_the_queue_is_told_only_when_it_has_changed(studio: Studio) -> None:
    run = ask(studio, "submit", text=workflow(ENDLESS), name="w")["run"]["id"]
    assert studio.queue.wait(run, 2, timeout=60)  # It is what runs: the others wait.
    waiting = ask(studio, "submit", text=workflow(ENDLESS), name="next")["run"]["id"]
    moved = ask(studio, "submit", text=workflow(ENDLESS), name="last")["run"]["id"]
    queue = ask(studio, "move", run=moved, place=0)["queue"]
    order = [each["id"] for each in queue if each["status"] == "waiting"]
    assert order == [moved, waiting]
    for each in (moved, waiting, run):
        ask(studio, "cancel", run=each)
    followed(studio, run)
    known = ask(studio, "queue")["revision"]
    assert ask(studio, "queue", known=known)["queue"] is None
    again = ask(studio, "again", run=waiting)
    assert again["run"]["rerun_of"] == waiting
    assert ask(studio, "queue", known=known)["queue"] is not None
    assert "cancel it" in refused(studio, "remove", runs=[again["run"]["id"]])
    ask(studio, "cancel", run=again["run"]["id"])
    followed(studio, again["run"]["id"])
    assert [each["id"] for each in ask(studio, "remove", runs=[again["run"]["id"]])["queue"]].count(waiting) == 1
    assert len(ask(studio, "clean")["queue"]) == 3
    assert ask(studio, "clean", keep=0)["queue"] == []
