"""The pickers show the workspace's folders and nothing else; what was sent stays as it was."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loragraph.tests.ui.asking import ask, refused
from loragraph.ui.studio import Studio
from loragraph.ui.workspace import Workspace


def labels(answer: dict[str, Any]) -> list[str]:
    return [entry["label"] for entry in answer["entries"]]


def test_a_folder_is_listed_with_its_folders_first(studio: Studio, pictures: Path) -> None:
    (pictures / "inner").mkdir()
    (pictures / ".secret").write_text("")
    found = ask(studio, "files", kind="file", folder=str(pictures))
    assert labels(found) == ["inner", "blue.png", "red.png"]
    assert found["parent"] == str(pictures.parent)
    assert found["entries"][1]["size"] == (pictures / "blue.png").stat().st_size
    assert labels(ask(studio, "files", kind="folder", folder=str(pictures))) == ["inner"]
    top = ask(studio, "files", kind="file")
    assert (labels(top), top["parent"]) == (["pictures"], None)


def test_a_few_letters_find_a_file_anywhere_in_the_folders(studio: Studio, pictures: Path) -> None:
    assert labels(ask(studio, "files", kind="file", query="RED pic")) == ["red.png"]
    assert labels(ask(studio, "files", kind="folder", query="pic")) == ["pictures"]


def test_models_and_loras_are_found_in_more_folders(tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "flux").mkdir(parents=True)
    (models / "flux" / "model_index.json").write_text("{}")
    (models / "flux" / "part.safetensors").write_bytes(b"x")
    (models / "style.safetensors").write_bytes(b"x")
    (models / "notes.txt").write_text("")
    space = Workspace.of(tmp_path / "home", out=tmp_path / "out", folder=tmp_path, models=(models,))
    from loragraph.ui.picking import files

    assert labels(files(space, "lora")) == ["style.safetensors"]
    assert labels(files(space, "model")) == ["flux", "style.safetensors"]
    (flux,) = (entry for entry in files(space, "model", folder=str(models))["entries"] if entry["label"] == "flux")
    assert flux["kind"] == "model"
    assert [entry["kind"] for entry in files(space, "lora", folder=str(models))["entries"]] == ["folder", "lora"]
    assert ("Models: models", models) in space.roots()


OUTSIDE = ["..", "../..", "/etc", "/", "~", "pictures/../..", "pictures/../../home", "\0", "nowhere"]


@pytest.mark.parametrize("folder", OUTSIDE)
def test_a_way_out_of_the_folders_is_refused(studio: Studio, folder: str) -> None:
    assert refused(studio, "files", kind="file", folder=folder)


def test_a_link_that_leads_out_is_not_shown(studio: Studio, pictures: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.png").write_text("")
    (pictures / "out").symlink_to(secret)
    (pictures / "key.png").symlink_to(secret / "key.png")
    (pictures / "same.png").symlink_to(pictures / "red.png")
    assert labels(ask(studio, "files", kind="file", folder=str(pictures))) == ["blue.png", "red.png", "same.png"]
    assert labels(ask(studio, "files", kind="file", query="key")) == []
    assert "does not lie" in refused(studio, "files", kind="file", folder=str(pictures / "out"))
    assert not studio.workspace.may_show((pictures / "key.png").resolve())


@given(st.lists(st.sampled_from(["..", ".", "a", "b", ".hidden", "", "/", "~"]), min_size=1, max_size=8))
def test_no_path_leads_out_of_the_folders(parts: list[str]) -> None:
    space = Workspace(Path("/w/folder"), Path("/w/out"), Path("/w/home"))
    text = "/".join([*parts, "x.png"])
    plain = os.path.normpath(os.path.join("/w/folder", os.path.expanduser(str(Path(text)))))
    places = ("/w/folder/", "/w/out/", "/w/home/store/", "/w/home/inputs/")
    assert space.may_show(space.real(text)) is (plain.startswith(places) and "/." not in plain)


def test_an_uploaded_file_stays_and_the_same_one_is_kept_once(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = tmp_path / "uploads"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(uploads))

    def send(content: bytes) -> str:
        (uploads / "x").mkdir(parents=True, exist_ok=True)
        (uploads / "x" / "cat.png").write_bytes(content)
        return str(uploads / "x" / "cat.png")

    first = ask(studio, "keep", path=send(b"1"), name="cat.png")["path"]
    assert Path(first) == studio.workspace.inputs / "cat.png" and Path(first).read_bytes() == b"1"
    assert ask(studio, "keep", path=send(b"1"), name="cat.png")["path"] == first
    other = ask(studio, "keep", path=send(b"2"), name="cat.png")["path"]
    assert Path(other).name == "cat-2.png" and Path(first).read_bytes() == b"1"
    assert Path(ask(studio, "keep", path=send(b"3"), name="../../.up\\evil.png")["path"]).parent == Path(first).parent
    assert "evil.png" in labels(ask(studio, "files", kind="file", folder=str(studio.workspace.inputs)))
    assert list((uploads / "x").iterdir()) == []


def test_files_of_one_name_that_come_at_once_are_all_kept(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    together = Barrier(8)

    def send(number: int) -> tuple[bytes, bytes]:
        path = tmp_path / "uploads" / str(number) / "cat.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(sent := bytes([number]) * 100_000)
        together.wait()
        return sent, Path(ask(studio, "keep", path=str(path), name="cat.png")["path"]).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        for sent, kept in pool.map(send, range(8)):
            assert sent == kept
    assert len(list(studio.workspace.inputs.iterdir())) == 8


@pytest.mark.parametrize("name", ["字" * 83 + ".png", "a" * 300 + ".png", "a" * 100 + "." * 199 + "png", "🦊" * 62])
def test_a_long_name_is_cut_to_one_that_can_be_kept_and_seen(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "x").write_bytes(b"1")
    kept = Path(ask(studio, "keep", path=str(tmp_path / "uploads" / "x"), name=name)["path"])
    assert kept.suffix == Path(name).suffix or kept.name == "png" or name.startswith("🦊")
    assert labels(ask(studio, "files", kind="file", folder=str(studio.workspace.inputs))) == [kept.name]


def test_only_what_was_sent_can_be_kept(studio: Studio, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(pictures.parent / "uploads"))
    for path in (str(pictures / "red.png"), "/etc/passwd", "../uploads/../pictures/red.png", ""):
        assert refused(studio, "keep", path=path, name="x.png")
    assert (pictures / "red.png").is_file() and not studio.workspace.inputs.exists()
