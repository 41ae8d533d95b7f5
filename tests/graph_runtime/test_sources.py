from pathlib import Path

import pytest

from loragraph.graph_runtime import sources
from loragraph.graph_runtime.sources import SourceError, resolve


@pytest.fixture
def scheme(monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "_RESOLVERS", {})

    def locate(name: str) -> Path:
        if name != "emoji":
            raise ValueError(f'there is no "{name}". Did you mean "emoji"?')
        return tmp_path

    sources.register("testing", locate)
    return tmp_path


def test_a_scheme_finds_its_own(scheme):
    assert resolve("testing:emoji", "model") == scheme
    with pytest.raises(SourceError, match='"testing:emojy" is not there: there is no "emojy"'):
        resolve("testing:emojy", "model")
    with pytest.raises(SourceError, match='Did you mean "testing:"'):
        resolve("tasting:emoji", "model")
    with pytest.raises(ValueError, match="a scheme is"):
        sources.register("C", Path)


def test_a_file_with_a_colon_in_its_name_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ab:c.png").write_bytes(b"1")
    assert resolve("ab:c.png") == tmp_path / "ab:c.png"


def test_each_kind_is_checked(tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    assert resolve(str(tmp_path / "file"), "model") == tmp_path / "file"
    assert resolve(str(tmp_path), "model") == tmp_path
    with pytest.raises(SourceError, match="is not a file"):
        resolve(str(tmp_path), "file")
    with pytest.raises(SourceError, match="is not a folder"):
        resolve(str(tmp_path / "file"), "folder")
    with pytest.raises(SourceError, match='Did you mean "file"'):
        resolve(str(tmp_path / "fiel"), "file")
    with pytest.raises(SourceError, match="not there either"):
        resolve(str(tmp_path / "no" / "file"), "file")


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "x" * 5000, "~nobody-here/x", "/dev/null", "file:///etc/passwd"])
def test_strange_text_is_refused_in_words(text):
    with pytest.raises(SourceError) as caught:
        resolve(text, "file")
    assert str(caught.value).endswith((".", "?"))


def test_a_relative_path_that_is_nowhere_names_both_places(tmp_path, monkeypatch):
    (tmp_path / "here" / "my_pictures").mkdir(parents=True)
    (tmp_path / "flows").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(SourceError) as caught:
        resolve("my_picture", "folder", tmp_path / "flows")
    assert "flows/my_picture, nor " in str(caught.value)
    assert 'Did you mean "my_pictures"' in caught.value.hint


def test_a_name_on_a_hub_is_not_taken_for_a_folder(tmp_path):
    with pytest.raises(SourceError) as caught:
        resolve("some-team/Some-Model.1", "model", tmp_path)
    assert "not downloaded" in caught.value.hint
