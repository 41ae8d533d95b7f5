"""The page: it opens workflows, runs them in this process and through a server, and says what is wrong."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from loragraph.cli import main
from loragraph.graph_runtime import BadInput, DocumentError, Registry
from loragraph.graph_runtime import document as documents
from loragraph.graph_runtime.executors.in_process import InProcessExecutor
from loragraph.tests.ui.kinds import endless, everything
from loragraph.ui import drawing
from loragraph.ui.app import RIGHT, build, open_file, ready_made, reopened, run_form, run_text
from loragraph.ui.forms import fields, value_of
from loragraph.ui.running import Desk, View
from loragraph.ui.server import LOOPBACK_NAMES, WORKFLOWS, Guard, is_loopback, serve


def workflow(nodes: dict[str, Any]) -> str:
    return json.dumps({"format": "loragraph/1", "title": "A <b>title</b>", "nodes": nodes})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for colour in ("red", "blue"):
        Image.new("RGB", (16, 16), colour).save(folder / f"{colour}.png")
    return folder


def show_and_save(pictures: Path) -> dict[str, Any]:
    return {
        "data": {"type": "LoadImages", "settings": {"folder": str(pictures)}},
        "grid": {"type": "Grid", "inputs": {"rows": ["data.images"]}},
        "save": {"type": "SaveImages", "settings": {"name": "g"}, "inputs": {"images": "grid.images"}},
    }


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    registry = Registry.installed()
    registry.register(endless)
    registry.register(everything)
    made = Desk(registry, tmp_path / "home", tmp_path / "out", InProcessExecutor())
    yield made
    made.close()


def start(desk: Desk, nodes: dict[str, Any], name: str = "w") -> None:
    desk.start(documents.load(workflow(nodes), desk.registry, check_files=False), name)


def test_the_page_can_be_built_and_names_no_other_host(desk: Desk) -> None:
    page = build(desk, WORKFLOWS)
    labels = {block.label for block in page.blocks.values() if getattr(block, "label", None)}
    assert {"Workflow", "Pictures", "Files"} <= labels
    assert not re.findall(r"https?://", drawing.CSS)


def test_every_ready_made_workflow_opens_as_it_is(desk: Desk) -> None:
    ready = ready_made(WORKFLOWS)
    assert next(iter(ready)) == "teach_a_style"
    for name, path in ready.items():
        opened = open_file(path, desk.registry)
        assert opened["name"] == name
        assert reopened(opened, desk.registry) == documents.load(path, desk.registry, check_files=False)


def test_a_light_workflow_runs_to_pictures_and_files(desk: Desk, pictures: Path) -> None:
    start(desk, show_and_save(pictures))
    *_, last = desk.watch()
    assert last.status == "done"
    assert {node: row.state for node, row in last.rows.items()} == dict.fromkeys(("data", "grid", "save"), "done")
    assert last.files == [str(desk.out / "w" / "g-0001.png")]
    assert last.pictures == [(last.files[0], "g-0001.png")]
    start(desk, show_and_save(pictures))
    *_, again = desk.watch()
    assert [row.state for row in again.rows.values()] == ["cached", "cached", "done"]
    assert [Path(path).name for path in again.files] == ["g-0002.png"]


def run_page(desk: Desk, nodes: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """Press Run with the widgets of the nodes as they are at first, but for changes; return the updates by name."""
    document = documents.load(workflow(nodes), desk.registry, check_files=False)
    forms = [(node, fields(desk.registry.get(spec.type))) for node, spec in document.nodes.items()]
    held = [
        changes.get(f"{node}_{field.name}", value_of(field, document.nodes[node]))
        for node, form in forms
        for field in form
    ]
    return [dict(zip(RIGHT, update, strict=True)) for update in run_form(desk, "w", document, forms, held)]


def test_pressing_run_runs_what_the_form_holds_and_ends_with_the_results(desk: Desk, pictures: Path) -> None:
    first, *_, last = run_page(desk, show_and_save(pictures), save_name="mine", data_prefix="a ")
    assert first["run"]["interactive"] is False and first["cancel"]["interactive"] is True
    assert last["run"]["interactive"] is True and last["cancel"]["interactive"] is False
    assert "Done in" in last["status"]["value"]
    assert [Path(path).name for path in last["files"]["value"]] == ["mine-0001.png"]
    assert last["gallery"]["visible"] is True


def test_pressing_run_with_a_wrong_setting_says_so_and_leaves_the_rest(desk: Desk, pictures: Path) -> None:
    (only,) = run_page(desk, show_and_save(pictures), grid_columns=-1)
    assert "node &quot;grid&quot;, &quot;columns&quot; = -1" in only["wrong"]["value"]
    assert only["status"] == gr.skip()
    assert desk.view() is None


def test_a_workflow_that_saves_nothing_shows_its_last_pictures(desk: Desk, pictures: Path) -> None:
    nodes = show_and_save(pictures)
    del nodes["save"]
    start(desk, nodes)
    *_, last = desk.watch()
    assert (last.files, len(last.pictures)) == ([], 1)


def test_a_run_is_seen_by_whoever_looks_and_stops_when_cancelled(desk: Desk) -> None:
    start(desk, {"n": {"type": "Endless"}})
    views = desk.watch()
    while not (view := next(views)).rows["n"].step:
        pass
    assert view.rows["n"].state == "running"
    with pytest.raises(BadInput, match="is running; cancel it"):
        start(desk, {"n": {"type": "Endless"}})
    desk.cancel()
    began = time.monotonic()
    *_, last = views
    assert last.status == "cancelled"
    assert time.monotonic() - began < 5
    assert "<svg" in drawing.curve(last)
    start(desk, {"e": {"type": "Everything", "settings": {"needed": "x"}}})
    assert list(desk.watch())[-1].status == "done"


def test_a_failing_node_is_told_with_its_message(desk: Desk, pictures: Path) -> None:
    (pictures / "red.png").write_bytes(b"no picture")
    start(desk, show_and_save(pictures))
    *_, last = desk.watch()
    assert last.status == "failed"
    assert [row.state for row in last.rows.values()] == ["failed", "skipped", "skipped"]
    message, trace = last.failures["data"]
    assert "red.png can't be read as a picture" in message and trace == ""
    assert "red.png" in drawing.run(last)


def test_a_wrong_setting_is_told_in_the_command_lines_words(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = {"data": {"type": "LoadImages", "settings": {"folder": "/nowhere", "prefix": 3}}}
    file = tmp_path / "w.json"
    file.write_text(workflow(nodes))
    with pytest.raises(SystemExit):
        main(["validate", str(file)])
    told = capsys.readouterr().err.strip()
    with pytest.raises(DocumentError) as wrong:
        open_file(file, desk.registry)
    assert str(wrong.value) in told
    del nodes["data"]["settings"]["prefix"]
    file.write_text(workflow(nodes))
    with pytest.raises(SystemExit):
        main(["validate", str(file)])
    with pytest.raises(DocumentError) as missing:
        desk.start(reopened(open_file(file, desk.registry), desk.registry), "w")
    assert str(missing.value) == capsys.readouterr().err.strip()
    assert desk.view() is None


def test_a_sent_file_is_named_as_the_user_knows_it(desk: Desk, tmp_path: Path) -> None:
    kept = tmp_path / "0123.json"
    kept.write_text(workflow({"data": {"type": "LoadImage"}}))
    with pytest.raises(DocumentError) as wrong:
        open_file(kept, desk.registry, sent_as="mine.json")
    assert str(wrong.value).startswith("mine.json:") and 'Did you mean "LoadImages"?' in str(wrong.value)
    kept.write_text(workflow({}))
    assert open_file(kept, desk.registry, sent_as="../..\\a b.json") == {
        "name": "___a b",
        "path": "",
        "text": documents.load(kept, desk.registry).text(),
    }


def test_a_text_that_names_a_file_is_not_read_as_one(desk: Desk, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("words")
    with pytest.raises(DocumentError, match="no workflow") as wrong:
        list(run_text(desk, str(secret), []))
    assert "words" not in str(wrong.value)


def test_what_others_wrote_is_escaped(desk: Desk) -> None:
    view = View("<i>", {}, failures={"n": ("<script>", "<pre>")}, error="<b>")
    assert not re.search(r"<(i|script|b)>", drawing.run(view))
    document = documents.load(workflow({}), desk.registry)
    assert "&lt;b&gt;title" in drawing.workflow(document, "w", 60)


def test_a_program_runs_a_workflow_through_the_server(desk: Desk, pictures: Path) -> None:
    from gradio_client import Client

    server = serve(desk)
    try:
        client = Client(server.url, verbose=False, analytics_enabled=False)
        nodes = show_and_save(pictures)
        job = client.submit(workflow(nodes), ["save.name=other"], api_name="/run")
        last = job.result(timeout=30)
        assert last["status"] == "done"
        assert {node: found["state"] for node, found in last["nodes"].items()} == dict.fromkeys(nodes, "done")
        assert [Path(path).name for path in last["files"]] == ["other-0001.png"]
        with pytest.raises(Exception, match=r'Did you mean \\?"name'):
            client.predict(workflow(nodes), ["save.nane=x"], api_name="/run")
        client.close()
    finally:
        server.close()
    assert not Path(server.folder).exists()


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("127.0.0.1:7860", None, True),
        ("localhost:7860", "http://localhost:7860", True),
        ("[::1]:7860", None, True),
        ("evil.example:7860", None, False),
        ("127.0.0.1:7860", "http://evil.example", False),
        ("127.0.0.1:7860", "http://127.0.0.1:8000", False),
        ("127.0.0.1:7860", "null", False),
        ("", None, False),
    ],
)
def test_only_requests_for_this_machine_from_its_own_page_come_in(host: str, origin: str | None, allowed: bool) -> None:
    assert Guard(None, LOOPBACK_NAMES).allows(host, origin) is allowed


def test_only_addresses_of_this_machine_need_no_password() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "192.168.0.2", "::")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_the_analytics_of_the_page_are_off(desk: Desk) -> None:
    assert not build(desk, WORKFLOWS).analytics_enabled
    assert not gr.analytics.analytics_enabled()
