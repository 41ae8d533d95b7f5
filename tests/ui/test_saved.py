"""Which files a saver has left, and what a picture says of itself."""

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from loragraph.graph_runtime.events import Event
from loragraph.graph_runtime.values import FileRef, Picture
from loragraph.nodes.save_images import text_chunks
from loragraph.ui.pictures import about
from loragraph.ui.saved import saved


def told(node: str, begun: float, ended: float, *said: str) -> list[Event]:
    events = [Event(1, begun, "r", "node_started", node)]
    events += [Event(2, ended, "r", "node_log", node, {"level": "info", "message": each}) for each in said]
    return [*events, Event(3, ended, "r", "node_done", node)]


def files(out: Path, **times: float) -> None:
    for name, time in times.items():
        path = out / name.replace("_", "-").replace("DOT", ".")
        path.write_bytes(b"x")
        os.utime(path, (time, time))


def names(found: dict[str, list[Path]]) -> dict[str, list[str]]:
    return {node: [path.name for path in paths] for node, paths in found.items()}


def test_a_saver_has_the_files_that_its_log_names(tmp_path: Path) -> None:
    files(tmp_path, g_0001DOTpng=1, g_0002DOTpng=1, g_0003DOTpng=1, h_0001DOTpng=1, lora_0001DOTsafetensors=1)
    events = told("a", 0, 2, f"saved g-0001.png … g-0003.png, 3 pictures, in {tmp_path}")
    events += told("b", 0, 2, f"saved h-0001.png in {tmp_path}")
    events += told("c", 0, 2, f"already there: {tmp_path / 'lora-0001.safetensors'}")
    assert names(saved(events, tmp_path, ["a", "b", "c"])) == {
        "a": ["g-0001.png", "g-0002.png", "g-0003.png"],
        "b": ["h-0001.png"],
        "c": ["lora-0001.safetensors"],
    }


def test_a_silent_saver_has_what_appeared_while_it_ran(tmp_path: Path) -> None:
    files(tmp_path, oldDOTpng=50, mineDOTtxt=101, namedDOTpng=101, laterDOTpng=200)
    events = told("silent", 100, 102) + told("loud", 100, 102, "saved named.png")
    assert names(saved(events, tmp_path, ["silent", "loud"])) == {"silent": ["mine.txt"], "loud": ["named.png"]}


def test_no_folder_is_no_file(tmp_path: Path) -> None:
    assert saved(told("a", 0, 1, "saved x.png"), tmp_path / "gone", ["a"]) == {"a": []}


@pytest.mark.parametrize("settings", [{"seed": 7}, {"seed": 7, "words": "é" * 3000}])
def test_a_saved_picture_tells_its_size_and_what_made_it(tmp_path: Path, settings: dict[str, object]) -> None:
    from loragraph.nodes.save_images import _write

    source = tmp_path / "source.png"
    Image.new("RGB", (24, 16)).save(source)
    picture = Picture(file=FileRef.of(source), width=24, height=16, caption="a fox", settings=settings)
    _write(picture, text_chunks(picture, '{"format": "loragraph/1"}'), tmp_path / "kept.png")
    assert about(tmp_path / "kept.png") == {
        "path": str(tmp_path / "kept.png"),
        "width": 24,
        "height": 16,
        "caption": "a fox",
        "settings": json.loads(json.dumps(settings)),
    }


def test_of_a_pictures_texts_only_those_that_are_told_are_read(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    for number in range(200):
        info.add_itxt(f"other {number}", "x" * 500_000, zip=True)
    info.add_itxt("settings", "[" * 100_000)
    info.add_itxt("prompt", "a fox")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    tracemalloc.start()
    told = about(tmp_path / "a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (told["caption"], told["settings"]) == ("a fox", {})
    assert peak < 20 * 2**20


@given(st.binary(max_size=200))
def test_whatever_stands_in_a_file_is_no_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("p") / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert about(path)["path"] == str(path)
    path.write_bytes(content)
    assert (about(path)["width"], about(path)["caption"]) == (0, "")
