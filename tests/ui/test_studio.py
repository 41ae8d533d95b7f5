"""What a page asks of the server, and that whatever it sends, it gets an answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loragraph.cli import main
from loragraph.graph_runtime import Registry, Value, node
from loragraph.tests.ui.asking import ask, followed, refused, run_to_its_end, show_and_save, workflow
from loragraph.ui.catalog import catalog, look
from loragraph.ui.studio import Studio

TRUE = '{"format": "loragraph/1", "nodes": {}}'


class SomethingOfOthers(Value):
    """A kind of value that no table knows."""


@node(category="Test")
def make_something() -> SomethingOfOthers:
    """Make one."""
    return SomethingOfOthers()


def test_the_catalog_has_every_node_type_with_its_fields_and_every_kind_of_value(studio: Studio) -> None:
    answer = ask(studio, "catalog")
    nodes, values = answer["catalog"]["nodes"], answer["catalog"]["values"]
    assert nodes.keys() == set(studio.registry.names())
    grid = nodes["Grid"]
    assert grid["inputs"] == [{"name": "rows", "type": "Images", "required": True, "many": True}]
    assert {field["name"] for field in nodes["Everything"]["fields"]} >= {"needed", "strength", "seed"}
    assert grid["package"] == "loragraph"
    named = {part["type"] for each in nodes.values() for part in (*each["inputs"], *each["outputs"])}
    assert named <= values.keys()
    assert answer["workspace"]["folder"] == str(studio.workspace.folder)
    assert answer["workspace"]["user"] is None


def test_kinds_of_values_are_told_apart_and_know_what_they_stand_in_for() -> None:
    values = catalog(Registry.installed())["values"]
    own = [values[name] for name in ("Base", "LoRA", "Dataset", "Images", "Table")]
    assert len({each["colour"] for each in own}) == len({each["shape"] for each in own}) == 5
    mine = look(SomethingOfOthers)
    assert mine == look(SomethingOfOthers) and mine["bases"] == ["Value"]
    assert catalog(Registry(make_something))["values"]["SomethingOfOthers"] == mine


def test_a_check_tells_problems_keys_and_what_is_ready(studio: Studio, pictures: Path) -> None:
    nodes = show_and_save(pictures)
    before = ask(studio, "check", text=workflow(nodes))
    assert (before["problems"], before["ready"]) == ([], [])
    assert before["keys"].keys() == {"data", "grid", "save"}
    run_to_its_end(studio, nodes)
    assert set(ask(studio, "check", text=workflow(nodes))["ready"]) >= {"data", "grid"}
    changed = ask(studio, "check", text=workflow(show_and_save(pictures, columns=1)))
    assert changed["keys"]["data"] == before["keys"]["data"]
    assert changed["keys"]["grid"] != before["keys"]["grid"] and changed["keys"]["save"] != before["keys"]["save"]
    wrong = ask(studio, "check", text=workflow(show_and_save(pictures, columns=-1)))
    assert [(problem["node"], problem["field"]) for problem in wrong["problems"]] == [("grid", "columns")]
    assert "data" in wrong["keys"] and "grid" not in wrong["keys"]
    assert "JSON" in ask(studio, "check", text="{")["problems"][0]["message"]


def test_relative_paths_start_in_the_folder_where_a_document_has_no_file(studio: Studio, pictures: Path) -> None:
    nodes = show_and_save(Path("pictures"))
    assert ask(studio, "check", text=workflow(nodes))["problems"] == []
    run = run_to_its_end(studio, nodes)
    assert (run["status"], run["path"]) == ("done", None)


def test_a_run_leaves_pictures_files_and_a_place_in_the_gallery(studio: Studio, pictures: Path) -> None:
    nodes = show_and_save(pictures)
    run = run_to_its_end(studio, nodes, name="My work")
    out = studio.workspace.out / "My work"
    found = ask(studio, "results", run=run["id"])["results"]
    (data,), (grid,), (save,) = found["data"], found["grid"], found["save"]
    assert (data["kind"], data["count"]) == ("pictures", 2)
    assert grid["items"][0]["width"] > 0 and studio.workspace.may_show(Path(grid["items"][0]["path"]))
    assert [item["path"] for item in save["items"]] == [str(out / "g-0001.png")]
    assert save["items"][0]["width"] == grid["items"][0]["width"]
    assert ask(studio, "results", run=run["id"], nodes=["grid"])["results"].keys() == {"grid"}
    gallery = ask(studio, "gallery", offset=0)
    assert [(item["node"], item["run"]) for item in gallery["items"]] == [("grid", run["id"])]
    assert not gallery["more"]
    again = run_to_its_end(studio, nodes, name="My work")
    assert ask(studio, "results", run=again["id"])["results"].keys() == found.keys()
    assert [item["run"] for item in ask(studio, "gallery", offset=0)["items"]] == [again["id"]]
    assert gallery["covers"] == {run["id"]: gallery["items"][0]["path"]}
    beyond = ask(studio, "gallery", offset=1)
    assert (beyond["items"], beyond["more"]) == ([], False)
    assert beyond["covers"] == dict.fromkeys((run["id"], again["id"]), gallery["items"][0]["path"])
    told = ask(studio, "run", run=run["id"])
    assert "My work" in told["run"]["out"] and '"g"' in told["text"]


def test_pictures_from_elsewhere_that_a_result_names_may_be_seen(studio: Studio, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    from PIL import Image

    Image.new("RGB", (8, 8), "red").save(elsewhere / "a.png")
    (elsewhere / "notes.md").write_text("mine")
    run = run_to_its_end(studio, {"data": {"type": "LoadImages", "settings": {"folder": str(elsewhere)}}})
    assert not studio.workspace.may_show(elsewhere / "a.png")
    ask(studio, "results", run=run["id"])
    assert studio.workspace.may_show(elsewhere / "a.png")
    assert not studio.workspace.may_show(elsewhere / "notes.md")


def test_a_wrong_workflow_is_not_run_and_every_problem_is_told(studio: Studio, pictures: Path) -> None:
    nodes = show_and_save(pictures, columns=-1)
    nodes["save"]["inputs"]["images"] = "grid.nothing"
    answer = studio.answer("submit", {"text": workflow(nodes), "name": "w"})
    assert not answer["ok"]
    assert {problem["node"] for problem in answer["problems"]} == {"grid", "save"}
    assert '"columns" = -1' in answer["message"] and "/w.json" not in answer["message"]
    assert ask(studio, "queue")["queue"] == []


def test_a_part_is_run_though_the_rest_is_unfinished(studio: Studio, pictures: Path) -> None:
    nodes = show_and_save(pictures)
    nodes["unfinished"] = {"type": "Grid"}
    assert "unfinished" in refused(studio, "submit", text=workflow(nodes), name="w")
    run = run_to_its_end(studio, nodes, wanted=["grid"])
    assert (run["status"], run["wanted"]) == ("done", ["grid"])
    assert ask(studio, "results", run=run["id"])["results"].keys() == {"data", "grid"}
    assert "nowhere" in refused(studio, "submit", text=workflow(nodes), name="w", wanted=["nowhere"])


def test_a_failed_node_is_told_with_its_message(studio: Studio, pictures: Path) -> None:
    (pictures / "red.png").write_bytes(b"no picture")
    run = run_to_its_end(studio, show_and_save(pictures))
    assert (run["status"], run["bad_input"]) == ("failed", True)
    assert "red.png can't be read as a picture" in run["error"]
    assert ask(studio, "results", run=run["id"])["results"] == {}


def test_closing_puts_back_what_runs(tmp_path: Path) -> None:
    from loragraph.graph_runtime.executors.in_process import InProcessExecutor
    from loragraph.graph_runtime.run_queue import RunQueue
    from loragraph.tests.ui.kinds import endless

    (tmp_path / "work").mkdir()
    with Studio.open(
        tmp_path / "home",
        out=tmp_path / "out",
        folder=tmp_path / "work",
        registry=Registry(endless),
        executor=lambda device: InProcessExecutor(devices=(device,)),
    ) as studio:
        run = ask(studio, "submit", text=workflow({"n": {"type": "Endless"}}), name="w")["run"]["id"]
        assert studio.queue.wait(run, 5, timeout=30)
    queue = RunQueue(tmp_path / "home")
    assert queue.get(run).status == "waiting"
    queue.close()


def test_a_command_says_what_is_on_the_canvas(studio: Studio, pictures: Path) -> None:
    nodes = show_and_save(pictures)
    line = ask(studio, "command", text=workflow(nodes), name="my work")["line"]
    assert line.startswith(f"loragraph run '{studio.workspace.folder}/my work.json'")
    kept = ask(studio, "save", text=workflow(nodes), name="w", revision=None)
    changed = workflow(show_and_save(pictures, columns=1, titles=["a b"]))
    line = ask(studio, "command", text=changed, path=kept["path"], name="w")["line"]
    assert f"loragraph run {kept['path']} --set grid.columns=1 --set 'grid.titles=[\"a b\"]'" in line


def test_the_command_runs_the_same_from_another_folder(
    studio: Studio,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import shlex

    kept = ask(studio, "save", text=workflow(show_and_save(pictures)), name="w", revision=None)
    changed = workflow(show_and_save(pictures, columns=1))
    words = shlex.split(ask(studio, "command", text=changed, path=kept["path"], name="w")["line"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(SystemExit) as ended:
        main([*words[1:], "--in-process"])
    assert ended.value.code == 0, capsys.readouterr().err
    assert (studio.workspace.out / "w" / "g-0001.png").is_file() and not list(elsewhere.iterdir())


@given(words=st.text(st.sampled_from("'\\\"\nré {}")))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_snippet_is_a_program_with_the_workflow_in_it(studio: Studio, words: str) -> None:
    nodes = {"data": {"type": "LoadImages", "settings": {"folder": "x", "prefix": words}}}
    python = ask(studio, "snippet", text=workflow(nodes, view={"data": {"at": [1, 2]}}))["python"]
    assert 'Client("http://127.0.0.1:7860/")' in python
    told: dict[str, Any] = {}
    exec(python.split("client = ")[0].replace("from gradio_client", "# from gradio_client"), told)
    document = json.loads(told["workflow"])
    assert document["nodes"]["data"]["settings"]["prefix"] == words and "view" not in document


def test_the_snippet_of_what_is_no_workflow_is_refused(studio: Studio) -> None:
    assert "JSON" in refused(studio, "snippet", text="{")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["/etc", "../..", TRUE]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
PARTS = ("text", "path", "name", "template", "run", "runs", "nodes", "place", "kind", "query", "folder", "offset")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_sent_is_answered(studio: Studio, data: st.DataObject) -> None:
    import json

    methods = sorted(set(studio._methods) - {"submit"})
    method: Any = data.draw(st.sampled_from(methods) | JSON)
    sent: Any = data.draw(st.dictionaries(st.sampled_from(PARTS), JSON) | JSON)
    answer = studio.answer(method, sent)
    assert answer["ok"] or (answer["message"] and isinstance(answer["problems"], list))
    json.dumps(answer, allow_nan=False)
    inside = {str(path) for path in studio.workspace.folder.parent.iterdir()}
    assert inside <= {str(studio.workspace.folder.parent / name) for name in ("work", "home", "out")}


def test_what_nobody_foresaw_is_told_and_logged(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(studio.queue, "list", broken)
    assert "the disk is on fire" in refused(studio, "queue")
    assert "the disk is on fire" in caplog.text


def test_a_run_of_a_named_part_ends_and_can_be_followed_by_its_number(studio: Studio, pictures: Path) -> None:
    run = run_to_its_end(studio, show_and_save(pictures), wanted=["data"])
    assert {event["node"] for part in followed(studio, run["id"]) for event in part["events"]} == {None, "data"}
