import os
from pathlib import Path

import pytest

from loragraph.graph_runtime import fingerprints
from loragraph.graph_runtime.fingerprints import Fingerprints, fingerprint

OLD = 1_600_000_000


def aged(path: Path, data: bytes, when: int = OLD) -> Path:
    path.write_bytes(data)
    os.utime(path, (when, when))
    return path


@pytest.fixture
def reads(monkeypatch):
    """Count the files that are read, and let new files count as settled."""
    seen: list[str] = []
    real = fingerprints._read
    monkeypatch.setattr(fingerprints, "_read", lambda file, size, full: (seen.append(file), real(file, size, full))[1])
    monkeypatch.setattr(fingerprints, "RECENT_NS", -1)
    return seen


def test_an_unchanged_file_is_read_once_even_by_a_later_process(tmp_path, reads):
    path = aged(tmp_path / "a", b"one")
    memory = tmp_path / "home" / "prints.sqlite"
    first = Fingerprints(memory)
    assert first.of(path) == first.of(path) == fingerprint(path)
    first.close()
    assert Fingerprints(memory).of(path) == fingerprint(path)
    assert reads.count(str(path)) == 3  # once to remember it, twice by fingerprint(), which has no memory


def test_a_changed_file_is_noticed_though_size_and_time_are_the_same(tmp_path, reads):
    path = aged(tmp_path / "a", b"one")
    prints = Fingerprints(tmp_path / "prints.sqlite")
    before = prints.of(path)
    aged(path, b"two")
    assert prints.of(path) != before
    aged(tmp_path / "b", b"six")
    os.replace(tmp_path / "b", path)
    assert prints.of(path) == fingerprint(path)


def test_a_file_just_written_is_not_remembered(tmp_path):
    path = tmp_path / "a"
    prints = Fingerprints(tmp_path / "prints.sqlite")
    for data in (b"one", b"two", b"six"):
        path.write_bytes(data)
        assert prints.of(path) == fingerprint(path)
    assert prints._database is not None
    assert prints._database.execute("SELECT count(*) FROM files").fetchone() == (0,)


def test_a_large_file_is_sampled_and_read_in_full_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "WHOLE", 2**20)
    monkeypatch.setattr(fingerprints, "HEADER", 2**12)
    monkeypatch.setattr(fingerprints, "TAIL", 2**12)
    monkeypatch.setattr(fingerprints, "BLOCK", 2**10)
    data = bytearray(2**21)
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    before, whole = fingerprint(path), fingerprint(path, full=True)
    assert before.startswith("sampled:")
    assert whole.startswith("sha256:")
    for place in (0, 2**12 - 1, 2**12, 2**21 - 1):  # header, first block, tail
        changed = data.copy()
        changed[place] = 1
        path.write_bytes(changed)
        assert fingerprint(path) != before
        assert fingerprint(path, full=True) != whole
    path.write_bytes(data + b"\0")
    assert fingerprint(path) != before


def test_a_folder_counts_names_and_content_and_nothing_else(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "a.png").write_bytes(b"a")
        (tmp_path / name / "deep" / "b.txt").write_bytes(b"b")
    (tmp_path / "two" / ".DS_Store").write_bytes(b"litter")
    before = fingerprint(tmp_path / "one")
    assert before == fingerprint(tmp_path / "two")
    (tmp_path / "two" / "deep" / "b.txt").rename(tmp_path / "two" / "deep" / "c.txt")
    assert fingerprint(tmp_path / "two") != before
    (tmp_path / "one" / "deep" / "b.txt").write_bytes(b"c")
    assert fingerprint(tmp_path / "one") != before


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"1")
    (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    assert fingerprint(tmp_path).startswith("folder:")
    assert fingerprint(tmp_path / "a").startswith("folder:")


def test_a_pipe_is_refused_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="neither a file nor a folder"):
        fingerprint(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        fingerprint(tmp_path / "nothing")


def test_a_broken_memory_costs_time_and_nothing_else(tmp_path):
    memory = tmp_path / "prints.sqlite"
    memory.write_bytes(b"this is no database, and long enough to be seen as none" * 20)
    path = aged(tmp_path / "a", b"one")
    assert Fingerprints(memory).of(path) == fingerprint(path)


def test_a_folder_that_takes_too_long_is_read_bit_by_bit(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in "abcde":
        (folder / name).write_text(name)
        os.utime(folder / name, (1, 1))
    clock = iter(range(1000))
    monkeypatch.setattr("loragraph.graph_runtime.fingerprints.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("loragraph.graph_runtime.fingerprints.RECENT_NS", -1)
    hasty = Fingerprints(tmp_path / "memory.sqlite", patience=2.5)
    tries = 1
    while True:
        try:
            found = hasty.of(folder)
            break
        except TimeoutError:
            tries += 1
    hasty.close()
    assert (found, tries) == (fingerprint(folder), 3)
