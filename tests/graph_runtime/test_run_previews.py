"""Copies of preview pictures: made once, few, and gone when they are of no more use."""

from __future__ import annotations

from pathlib import Path

from loragraph.graph_runtime.run_previews import Previews


def test_previews_are_copied_once_each_and_the_newest_stay(tmp_path: Path) -> None:
    previews = Previews(tmp_path / "previews")
    source = tmp_path / "p.png"
    copies = []
    for number in range(5):
        source.write_bytes(b"x" * number)
        copies += [previews.keep("n", source, 10 * number), previews.keep("n", source, 10 * number + 1)]
    assert copies[0::2] == copies[1::2] == [str(tmp_path / "previews" / f"n-{10 * n}.png") for n in range(5)]
    assert len(list((tmp_path / "previews").iterdir())) == 3
    previews.end("n")
    assert [path.name for path in (tmp_path / "previews").iterdir()] == ["n-40.png"]
    assert previews.keep("n", tmp_path / "gone.png", 60) is None
    assert Path(str(copies[-1])).read_bytes() == b"xxxx"


def test_what_an_earlier_attempt_left_goes_too(tmp_path: Path) -> None:
    source = tmp_path / "p.png"
    source.write_bytes(b"x")
    first = Previews(tmp_path / "previews")
    for seq in (9, 10):
        source.write_bytes(b"x" * seq)
        first.keep("a-node", source, seq)
    second = Previews(tmp_path / "previews")
    second.end("other")
    assert len(list((tmp_path / "previews").iterdir())) == 2
    second.end("a-node")
    assert [path.name for path in (tmp_path / "previews").iterdir()] == ["a-node-10.png"]


def test_nodes_with_long_names_keep_their_own_previews(tmp_path: Path) -> None:
    previews = Previews(tmp_path / "previews")
    source = tmp_path / "p.png"
    source.write_bytes(b"x")
    names = [letter * 99 + end for letter in "a\U00020000" for end in "12"]
    copies = {previews.keep(name, source, 1) for name in names}
    assert None not in copies
    assert len(copies) == 4
