import errno
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from loragraph.graph_runtime import Base, FileRef, Images, LoRA, Picture
from loragraph.graph_runtime.store import RESULT, Store, default_home
from loragraph.tests.graph_runtime.keeping import KEY, lora, make, race


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "home")
    yield opened
    opened.close()


def test_a_result_is_found_with_absolute_paths(store):
    assert store.lookup(KEY) is None
    made = make(store)
    assert Path(made.file.path) == store.folder(KEY) / "deep" / "a.bin"
    assert Path(made.file.path).read_bytes() == b"weights"
    assert store.lookup(KEY) == {"lora": made}
    assert store.holds(KEY)
    assert "home" not in (store.folder(KEY) / RESULT).read_text()
    assert not list((Path(store.home) / "staging").glob("*/*"))


def test_a_store_that_was_moved_still_answers(store, tmp_path):
    make(store)
    shutil.copytree(store.home, tmp_path / "moved")
    found = Store(tmp_path / "moved").lookup(KEY)
    assert found is not None
    assert Path(found["lora"].file.path).is_relative_to(tmp_path / "moved")  # type: ignore[attr-defined]


def test_a_path_of_the_folder_itself_comes_back(store):
    staging = store.stage(KEY)
    (staging / "model.bin").write_bytes(b"1")
    base = Base(source="baked", path=str(staging), fingerprint="f", family="flux", dtype="float32")
    assert store.commit(KEY, staging, {"base": base})["base"].path == str(store.folder(KEY))  # type: ignore[attr-defined]


def test_text_that_looks_like_a_path_elsewhere_is_left_alone(store):
    staging = store.stage(KEY)
    (staging / "a.bin").write_bytes(b"1")
    settings = {
        "$store": "a.bin",
        "near": f"{staging}-not",
        "list": [{"$store": 3}, {"$store": "x"}, {"$store": {"$store": []}}],
    }
    picture = Picture(file=FileRef.of(staging / "a.bin"), width=1, height=1, caption="x", settings=settings)
    (picture,) = store.commit(KEY, staging, {"images": Images(items=(picture,))})["images"].items  # type: ignore[attr-defined]
    assert picture.settings == settings


@pytest.mark.parametrize("harm", ["remove", "truncate", "folder"])
def test_a_damaged_result_is_a_miss_and_is_replaced(store, harm):
    path = Path(make(store).file.path)
    path.unlink() if harm != "truncate" else path.write_bytes(b"we")
    if harm == "folder":
        path.mkdir()
    assert store.lookup(KEY) is None
    assert not store.holds(KEY)
    again = make(store, data=b"weights2")
    assert Path(again.file.path).read_bytes() == b"weights2"
    assert store.lookup(KEY) == {"lora": again}


@pytest.mark.parametrize("text", ["", "{}", "loragraph-result/1 00\n{}\n"])
def test_a_result_file_that_is_not_whole_is_a_miss(store, text):
    make(store)
    (store.folder(KEY) / RESULT).write_text(text)
    assert store.lookup(KEY) is None


def test_a_half_written_result_file_is_a_miss_at_every_length(store):
    make(store)
    path = store.folder(KEY) / RESULT
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        assert store.lookup(KEY) is None


def test_a_value_of_a_kind_not_installed_is_a_miss(store):
    import hashlib

    make(store)
    path = store.folder(KEY) / RESULT
    body = path.read_text().split("\n")[1].replace('"LoRA"', '"Alien"')
    path.write_text(f"loragraph-result/1 {hashlib.sha256(body.encode()).hexdigest()}\n{body}\n")
    assert store.lookup(KEY) is None


@pytest.mark.parametrize("harm", ["remove", "grow", "touch"])
def test_a_file_elsewhere_stays_where_it_is_and_is_watched(store, tmp_path, harm):
    path = tmp_path / "input.png"
    path.write_bytes(b"image")
    staging = store.stage(KEY)
    kept = store.commit(KEY, staging, {"lora": lora(path)})
    assert kept["lora"].file.path == str(path)  # type: ignore[attr-defined]
    assert store.lookup(KEY) == kept
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(b"image!" if harm == "grow" else b"imagf")
        os.utime(path, (1, 1) if harm == "touch" else None)
    assert store.lookup(KEY) is None


def test_a_model_folder_elsewhere_is_watched_file_by_file(store, tmp_path):
    (tmp_path / "model" / "unet").mkdir(parents=True)
    weights = tmp_path / "model" / "unet" / "w.bin"
    weights.write_bytes(b"1")
    base = Base(source="m", path=str(tmp_path / "model"), fingerprint="f", family="flux", dtype="float32")
    store.commit(KEY, store.stage(KEY), {"base": base})
    assert store.lookup(KEY) == {"base": base}
    weights.write_bytes(b"22")
    assert store.lookup(KEY) is None


def test_a_value_that_names_a_file_nobody_wrote_is_refused(store):
    staging = store.stage(KEY)
    ghost = FileRef(path=str(staging / "ghost.bin"), sha256="0", size=1)
    with pytest.raises(FileNotFoundError, match=r"ghost\.bin, which the node has not written"):
        store.commit(KEY, staging, {"lora": LoRA(file=ghost, family="f", rank=1, modules=1)})
    assert store.lookup(KEY) is None


def test_of_two_at_once_the_first_wins_and_both_use_it(store):
    first, second = store.stage(KEY), store.stage(KEY)
    for staging, data in ((first, b"first"), (second, b"second")):
        (staging / "a.bin").write_bytes(data)
    one = store.commit(KEY, first, {"lora": lora(first / "a.bin")})
    other = store.commit(KEY, second, {"lora": lora(second / "a.bin")})
    assert one == other
    assert Path(other["lora"].file.path).read_bytes() == b"first"  # type: ignore[attr-defined]
    assert not second.exists()


def test_many_threads_agree_on_one_result(store):
    found: list[LoRA] = []
    barrier = threading.Barrier(8)

    def one(number: int) -> None:
        barrier.wait()
        found.append(make(store, data=f"weights {number}".encode()))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_scratch_survives_failure_and_ends_with_success(store, tmp_path):
    scratch = store.scratch(KEY)
    (scratch / "checkpoint").write_bytes(b"step 5")
    store.discard(store.stage(KEY))
    store.close()
    later = Store(store.home)
    assert later.scratch(KEY) == scratch
    assert (scratch / "checkpoint").read_bytes() == b"step 5"
    make(later)
    assert not scratch.exists()
    later.close()


def test_scratch_belongs_to_one_holder_at_a_time(store):
    other = Store(store.home)
    mine, private = store.scratch(KEY), other.scratch(KEY)
    assert mine != private
    assert store.scratch(KEY) == mine
    other.close()
    assert not private.exists()
    assert mine.exists()


def test_what_a_killed_process_left_is_cleaned_and_what_lives_is_not(store):
    script = """
import os, signal, sys
from loragraph.graph_runtime.store import Store
store = Store(sys.argv[1])
(store.stage("ab" * 32) / "half.bin").write_bytes(b"1")
(store.scratch("ab" * 32) / "checkpoint").write_bytes(b"1")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script, store.home], check=False)
    mine = store.stage(KEY)
    assert len(list((Path(store.home) / "staging").glob("*/*"))) == 2
    assert store.clean_stale() == 1
    assert [mine] == list((Path(store.home) / "staging").glob("*/*"))
    assert (store.scratch(KEY) / "checkpoint").exists()
    assert store.clean_stale() == 0


def test_old_scratch_is_cleaned(store):
    path = store.scratch(KEY)
    (path / "checkpoint").touch()
    os.utime(path, (1, 1))
    assert store.clean_stale() == 0  # held
    store.close()
    assert Store(store.home).clean_stale() == 1
    assert not path.exists()


def test_home_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LORAGRAPH_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("LORAGRAPH_HOME")
    assert default_home().name == "loragraph"


def test_processes_agree_on_one_result(store):
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=race, args=(store.home, number, results)) for number in (1, 2)]
    for process in processes:
        process.start()
    assert results.get(timeout=60) == results.get(timeout=60)
    for process in processes:
        process.join()


def test_an_attempt_that_ended_holds_nothing_and_leaves_only_what_it_wrote(store):
    keys = [f"{number:064x}" for number in range(300)]
    (store.scratch(KEY) / "checkpoint").write_text("7")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for key in keys:
        store.scratch(key)
        store.end_attempt(key)
    store.end_attempt(KEY)
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before
    other = Store(store.home)
    assert [path.name for path in (Path(store.home) / "scratch").iterdir() if path.is_dir()] == [KEY]
    assert (other.scratch(KEY) / "checkpoint").read_text() == "7"
    other.close()


def test_scratch_whose_result_is_there_is_stale(store):
    (store.scratch(KEY) / "checkpoint").touch()
    store.end_attempt(KEY)
    (Path(store.home) / "scratch" / "no key").mkdir()
    assert store.clean_stale() == 0
    make(store)
    assert store.clean_stale() == 1
    assert not (Path(store.home) / "scratch" / KEY).exists()


def test_a_result_of_another_kind_is_replaced(store):
    make(store)
    staging = store.stage(KEY)
    (staging / "a.png").write_bytes(b"1")
    picture = Picture(file=FileRef.of(staging / "a.png"), width=1, height=1)
    assert isinstance(store.commit(KEY, staging, {"images": Images(items=(picture,))})["images"], Images)
    found = store.lookup(KEY)
    assert found is not None and list(found) == ["images"]


def test_a_file_system_without_locks_is_an_error_and_no_endless_try(store, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(OSError, match="No locks"):
        store.stage(KEY)


def test_a_home_that_can_only_be_read_still_answers(store, monkeypatch):
    made = make(store)
    (Path(store.home) / "staging" / "left").mkdir()

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("loragraph.graph_runtime.locks._lock", read_only)
    reader = Store(store.home)
    assert reader.clean_stale() == 0
    assert reader.lookup(KEY) == {"lora": made}
    reader.close()
