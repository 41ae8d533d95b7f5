"""Documents on the server: what opens, what is listed, and that nobody's work is overwritten unasked."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from loragraph.graph_runtime import document as documents
from loragraph.tests.ui.asking import ask, refused, show_and_save, workflow
from loragraph.ui.keeping import template_files
from loragraph.ui.studio import Studio


@pytest.fixture
def folder(tmp_path: Path, studio: Studio) -> Path:
    return studio.workspace.folder


def test_a_document_is_saved_opened_and_listed(studio: Studio, folder: Path, pictures: Path) -> None:
    text = workflow(show_and_save(pictures))
    kept = ask(studio, "save", text=text, name="my work", revision=None)
    assert kept["path"] == str(folder / "my work.json")
    assert (folder / "my work.json").read_text("utf-8") == text
    again = ask(studio, "open", path=kept["path"])
    assert (again["name"], again["revision"], again["problems"]) == ("my work", kept["revision"], [])
    assert again["document"]["nodes"].keys() == {"data", "grid", "save"}
    (listed,) = ask(studio, "documents")["documents"]
    assert (listed["name"], listed["title"], listed["nodes"]) == ("my work", "A <b>title</b>", 3)


def test_what_somebody_else_saved_is_kept_until_it_is_overwritten_on_purpose(studio: Studio, folder: Path) -> None:
    mine, theirs = workflow({}), workflow({}, title="theirs")
    kept = ask(studio, "save", text=mine, name="w", revision=None)
    assert ask(studio, "changed", path=kept["path"])["revision"] == kept["revision"]
    (folder / "w.json").write_text(theirs, "utf-8")
    now = ask(studio, "changed", path=kept["path"])["revision"]
    assert now != kept["revision"]
    answer = studio.answer("save", {"text": mine, "path": kept["path"], "revision": kept["revision"]})
    assert (answer["ok"], answer["conflict"], answer["theirs"]) == (False, True, {"text": theirs, "revision": now})
    assert (folder / "w.json").read_text("utf-8") == theirs
    ask(studio, "save", text=mine, path=kept["path"], revision=kept["revision"], overwrite=True)
    assert (folder / "w.json").read_text("utf-8") == mine


def test_a_new_name_that_is_taken_is_a_conflict_too(studio: Studio) -> None:
    ask(studio, "save", text=workflow({}), name="w", revision=None)
    assert studio.answer("save", {"text": workflow({}), "name": "w", "revision": None})["conflict"]


def test_a_file_that_was_only_touched_is_no_conflict(studio: Studio, folder: Path) -> None:
    kept = ask(studio, "save", text=workflow({}), name="w", revision=None)
    (folder / "w.json").touch()
    ask(studio, "save", text=workflow({}, title="b"), path=kept["path"], revision=kept["revision"])


@pytest.mark.parametrize("name", ["../w", "a/b", "", ".hidden", "a\\b", "\0"])
def test_a_name_that_leads_elsewhere_is_refused(studio: Studio, folder: Path, name: str) -> None:
    before = set(folder.parent.rglob("*.json"))
    assert "can't be a file name" in refused(studio, "save", text=workflow({}), name=name, revision=None)
    assert set(folder.parent.rglob("*.json")) == before


def test_what_cannot_be_read_is_not_overwritten(studio: Studio, folder: Path) -> None:
    (folder / "w.json").mkdir()
    assert "Choose another name" in refused(studio, "save", text=workflow({}), name="w", revision=None)


def test_documents_are_saved_in_the_folder_alone(studio: Studio, tmp_path: Path) -> None:
    studio.workspace.out.mkdir()
    for path in (tmp_path / "home" / "w.json", tmp_path / "w.json", studio.workspace.out / "w.json", "w.txt"):
        refused(studio, "save", text=workflow({}), path=str(path), revision=None)
        assert not Path(studio.workspace.folder / path).exists()


def test_what_is_no_plain_file_is_passed_by(studio: Studio, folder: Path) -> None:
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()
    (folder / "other.json").write_text("[1]")
    assert ask(studio, "documents")["documents"] == []
    assert ask(studio, "changed", path=str(folder / "pipe.json"))["revision"] is None


def test_a_link_that_leads_elsewhere_is_not_listed(studio: Studio, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.json").write_text(workflow({}, title="secret"), "utf-8")
    (folder / "mine.json").write_text(workflow({}, title="mine"), "utf-8")
    (folder / "theirs.json").symlink_to(tmp_path / "theirs.json")
    (folder / "same.json").symlink_to(folder / "mine.json")
    assert {each["title"] for each in ask(studio, "documents")["documents"]} == {"mine"}


def test_a_file_whose_name_is_no_text_hides_no_other(studio: Studio, folder: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff.json")).write_text(workflow({}), "utf-8")
    except OSError:
        pytest.skip("this file system has no such names")
    (folder / "mine.json").write_text(workflow({}), "utf-8")
    for answer in (
        ask(studio, "documents"),
        ask(studio, "files", kind="file"),
        ask(studio, "files", kind="file", query="json"),
    ):
        assert b"mine" in json.dumps(answer, ensure_ascii=False).encode("utf-8")


def test_numbers_that_some_writers_of_json_refuse_do_not_keep_a_workflow_shut(studio: Studio) -> None:
    nodes = {"n": {"type": "FromElsewhere", "settings": {"seed": 10**30}}}
    assert ask(studio, "open", text=workflow(nodes))["document"]["nodes"]["n"]["settings"] == {"seed": 1e30}


def test_what_could_not_be_opened_again_is_not_saved(
    studio: Studio, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loragraph.graph_runtime.reading.LARGEST", 200)
    assert "can't be opened" in refused(studio, "save", text=workflow({}, title="字" * 60), name="w", revision=None)
    assert not (folder / "w.json").exists()


def test_what_is_no_workflow_is_not_saved(studio: Studio, folder: Path) -> None:
    assert "not JSON" in refused(studio, "save", text="{", name="w", revision=None)
    assert not (folder / "w.json").exists()


def test_whatever_can_be_read_opens_with_its_problems(studio: Studio) -> None:
    nodes: dict[str, Any] = {
        "grid": {"type": "Grid", "settings": {"columns": -1}, "inputs": {"no_such": "data.images"}},
        "other": {"type": "FromElsewhere", "version": 3, "settings": {"x": 1}},
    }
    opened = ask(studio, "open", text=workflow(nodes), name="mine")
    assert opened["document"]["nodes"]["other"] == {**nodes["other"]}
    assert opened["document"]["nodes"]["grid"]["inputs"] == {"no_such": "data.images"}
    assert '"FromElsewhere" is not installed' in opened["missing"]["other"]
    assert {(problem["node"], problem["field"]) for problem in opened["problems"]} >= {
        ("grid", "columns"),
        ("grid", "no_such"),
    }
    assert (opened["name"], opened["path"], opened["revision"]) == ("mine", None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"format": "loragraph/99", "nodes": {}}', "newer LoRAGraph"),
        ('{"nodes": {}}', "no format"),
        ("[" * 100_000, "deep"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(studio: Studio, text: str, said: str) -> None:
    assert said in refused(studio, "open", text=text)


def test_every_template_opens_as_it_is_with_its_picture(studio: Studio) -> None:
    found = ask(studio, "templates")["templates"]
    assert [each["name"] for each in found] == list(template_files())
    assert found[0]["name"] == "teach_a_style"
    for each in found:
        opened = ask(studio, "open", template=each["name"])
        assert opened["problems"] == [] and opened["missing"] == {} and opened["path"] is None
        assert len(opened["document"]["nodes"]) == each["nodes"]
        text = Path(each["thumbnail"]).read_text("utf-8")
        assert text.startswith("<svg") and text.count("<rect") == each["nodes"] + 1
        documents.load(json.dumps(opened["document"]), studio.registry, check_files=False)
    assert "Did you mean" in refused(studio, "open", template="teach_a_stile")


def test_a_templates_picture_escapes_what_others_wrote(studio: Studio) -> None:
    from loragraph.graph_runtime.document import Document, NodeSpec
    from loragraph.ui.templates import draw

    drawn = draw(Document({"n": NodeSpec("<script>", "<b>", 1)}), studio.registry)
    assert "<b>" not in drawn and "&lt;b&gt;" in drawn


def test_the_file_of_the_command_line_is_what_a_page_begins_with(studio: Studio, tmp_path: Path) -> None:
    import dataclasses

    assert ask(studio, "catalog")["first"] is None
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(workflow({}), "utf-8")
    assert "does not lie" in refused(studio, "open", path=str(elsewhere))
    studio.workspace = dataclasses.replace(studio.workspace, first=elsewhere)
    first = ask(studio, "catalog")["first"]
    assert (first["name"], first["path"], first["text"]) == ("elsewhere", str(elsewhere), workflow({}))
    ask(studio, "save", text=workflow({}, title="b"), path=first["path"], revision=first["revision"])
    assert '"b"' in elsewhere.read_text("utf-8")
