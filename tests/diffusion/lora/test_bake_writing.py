"""The file that a bake writes: whole and right, or not there at all."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from loragraph.diffusion.errors import ModelError, SettingError
from loragraph.diffusion.lora import bake as baking
from loragraph.diffusion.lora.bake import bake, output, staging
from loragraph.diffusion.lora.bake.arithmetic import _Weight
from loragraph.diffusion.lora.bake.output import BUFFER, LARGEST, PAGE, Output, Source
from loragraph.diffusion.lora.header import Header

ROWS, WIDTH = 3072, 512
UNCHANGED = "double_blocks.1.img_mlp.0.weight"


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Path]:
    """A single file of 20 MB: more than the buffers hold."""
    numbers = torch.Generator().manual_seed(0)
    tensors = {
        f"double_blocks.{number}.{name}.weight": torch.randn(rows, WIDTH, generator=numbers)
        for number in range(2)
        for name, rows in (("img_attn.qkv", ROWS), ("img_mlp.0", ROWS // 2), ("txt_attn.proj", WIDTH - 3))
    }
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    yield tmp_path / "model.safetensors"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


@pytest.fixture
def use(tmp_path: Path) -> tuple[str, str, float]:
    numbers = torch.Generator().manual_seed(1)
    name = "transformer.transformer_blocks.{}.attn.to_k"
    tensors = {}
    for number in range(2):
        tensors[f"{name.format(number)}.lora_A.weight"] = torch.randn(4, WIDTH, generator=numbers)
        tensors[f"{name.format(number)}.lora_B.weight"] = torch.randn(ROWS // 3, 4, generator=numbers)
    save_file(tensors, tmp_path / "lora.safetensors")
    return str(tmp_path / "lora.safetensors"), "0" * 64, 0.8


def check(model: Path, use: tuple[str, str, float], baked: Path) -> None:
    before, after, pairs = load_file(model), load_file(baked), load_file(use[0])
    for name, value in before.items():
        if "qkv" in name:
            module = f"transformer.transformer_blocks.{name[14]}.attn.to_k"
            delta = pairs[f"{module}.lora_B.weight"] @ pairs[f"{module}.lora_A.weight"]
            value[ROWS // 3 : ROWS // 3 * 2] += delta * 0.8
        assert torch.equal(value, after[name]), name


def test_only_the_rows_that_change_change(model: Path, use: tuple[str, str, float], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    baked = bake(model, [use], tmp_path / "baked.safetensors", on_progress=lambda *now: seen.append(now))
    check(model, use, baked)
    done, total = zip(*seen, strict=True)
    assert list(done) == sorted(done) and done[-1] == total[-1] == baked.stat().st_size
    assert max(later - sooner for sooner, later in zip((0, *done), done, strict=False)) <= 64 << 20


def test_without_o_direct_the_file_is_the_same(
    model: Path, use: tuple[str, str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "DIRECT", 0)
    check(model, use, bake(model, [use], tmp_path / "baked.safetensors"))


def test_a_file_system_that_refuses_direct_writes_late_gets_ordinary_ones(
    model: Path, use: tuple[str, str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    real = os.pwrite

    def picky(file: int, data: Any, at: int) -> int:
        if fcntl.fcntl(file, fcntl.F_GETFL) & output.DIRECT:
            raise OSError(errno.EINVAL, "no direct writes here")
        return real(file, data, at)

    monkeypatch.setattr(output.os, "pwrite", picky)
    check(model, use, bake(model, [use], tmp_path / "baked.safetensors"))


def test_short_writes_are_continued(
    model: Path, use: tuple[str, str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(output.os, "pwrite", lambda file, data, at: real(file, data[:300_001], at))
    check(model, use, bake(model, [use], tmp_path / "baked.safetensors"))


def test_a_full_disk_leaves_the_old_file_and_no_debris(
    model: Path, use: tuple[str, str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "baked.safetensors"
    old.write_bytes(b"the old one")
    before, real, room = set(tmp_path.iterdir()), os.pwrite, [10_000_000]

    def filling(file: int, data: Any, at: int) -> int:
        if at + len(data) > room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data, at)

    monkeypatch.setattr(output.os, "pwrite", filling)
    with pytest.raises(SettingError, match=r"disk became full.*Nothing was left behind"):
        bake(model, [use], old, overwrite=True)
    assert set(tmp_path.iterdir()) == before and old.read_bytes() == b"the old one"
    room[0] = 1 << 40
    check(model, use, bake(model, [use], old, overwrite=True))


def test_too_little_room_is_said_before_anything_is_written(
    model: Path, use: tuple[str, str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    monkeypatch.setattr(output.os, "pwrite", lambda *arguments: pytest.fail("something was written"))
    with pytest.raises(SettingError, match=r"it needs \d+\.\d\d MB, and 1\.00 MB are free"):
        bake(model, [use], tmp_path / "baked.safetensors")


def test_stopping_leaves_nothing_behind(model: Path, use: tuple[str, str, float], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > total / 3:
            raise KeyboardInterrupt

    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        bake(model, [use], tmp_path / "baked.safetensors", on_progress=stop)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("where", ["changed", "unchanged", "header"])
def test_a_disk_that_keeps_something_else_is_noticed(
    model: Path, use: tuple[str, str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    real = baking.write_file

    def spoiled(source: Path, header: Any, target: Path, start: bytes, places: Header, *rest: Any) -> list[int]:
        seams = real(source, header, target, start, places, *rest)
        entry = places.tensors["double_blocks.0.img_attn.qkv.weight" if where == "changed" else UNCHANGED]
        # rows 1024 to 2048 of the first have changed
        at = 9 if where == "header" else entry.begin + (ROWS // 3 * WIDTH * 4 if where == "changed" else 0)
        with target.open("r+b") as file:
            file.seek(at)
            file.write(b"\x3f" * 64)
        return seams

    monkeypatch.setattr(baking, "write_file", spoiled)
    with pytest.raises(ModelError, match="header" if where == "header" else "not what was written"):
        bake(model, [use], tmp_path / "baked.safetensors")
    assert not (tmp_path / "baked.safetensors").exists()


@pytest.mark.parametrize(
    ("wrong", "dtype"),
    [
        *itertools.product(("left out", "weaker", "elsewhere", "rest lost"), (None, "bfloat16")),
        ("copied from elsewhere", None),  # nothing is copied where the dtype changes
    ],
)
def test_a_writer_that_errs_is_noticed(
    model: Path,
    use: tuple[str, str, float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    dtype: str | None,
) -> None:
    """Each is a fault that one could make in the writer; checking is done by the right code."""
    # a change that is small beside the weights: one part in a hundred
    tensors = load_file(use[0])
    save_file({name: value * (0.05 if "lora_A" in name else 1) for name, value in tensors.items()}, use[0])
    apply, copy, hand_over, real = _Weight.apply, Output.copy, Output._hand_over, baking.write_file

    def moved(self: Output, source: Source, begin: int, end: int) -> None:
        shift = 8 if end - begin > PAGE and begin > PAGE else 0
        copy(self, source, begin - shift, end - shift)

    def forgetful(self: Output) -> None:
        before = self.used
        hand_over(self)
        if 0 < self.used < before:
            self.buffers[0][: self.used] = bytes(self.used)

    faults: dict[str, tuple[Any, str, Any]] = {
        "left out": (_Weight, "apply", lambda self, block, first: None),
        "weaker": (_Weight, "apply", lambda self, block, first: apply(self, block.mul_(0.999), first)),
        "elsewhere": (_Weight, "apply", lambda self, block, first: apply(self, block, max(0, first - 1))),
        "copied from elsewhere": (Output, "copy", moved),
        "rest lost": (Output, "_hand_over", forgetful),
    }

    def faulty(*arguments: Any) -> list[int]:
        with monkeypatch.context() as patch:
            patch.setattr(*faults[wrong])
            return real(*arguments)

    monkeypatch.setattr(baking, "write_file", faulty)
    if wrong == "rest lost":
        monkeypatch.setattr(output, "DIRECT", 0)
    with pytest.raises(ModelError, match="is not what was written"):
        bake(model, [use], tmp_path / "baked.safetensors", dtype)
    assert not (tmp_path / "baked.safetensors").exists()


def test_a_source_that_shrinks_meanwhile_is_noticed(model: Path, use: tuple[str, str, float], tmp_path: Path) -> None:
    def cut(done: int, total: int) -> None:
        os.truncate(model, total // 2)

    with pytest.raises(ModelError, match=r"Bake again|Nothing was left"):
        bake(model, [use], tmp_path / "baked.safetensors", on_progress=cut)
    assert not (tmp_path / "baked.safetensors").exists()


def test_an_existing_folder_is_replaced_at_once_and_only_when_asked(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    with pytest.raises(SettingError, match="something already"):
        bake(base, [], out)
    with pytest.raises(SettingError, match="without a model in it"):
        bake(base, [], out, overwrite=True)
    assert (out / "old").exists()
    (out / "model_index.json").touch()
    bake(base, [], out, overwrite=True)
    assert not (out / "old").exists() and (out / "model_index.json").is_file()
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(SettingError, match="the base itself"):
        bake(out, [], out, overwrite=True)


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced_or_stays_whatever_fails(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    out = bake(base, [], tmp_path / "out")
    (out / "mark").touch()
    if not exchange:
        monkeypatch.setattr(staging, "_exchange", lambda one, other: False)
    real = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if self.name == out.name and Path(target) == out and self != out:
            raise OSError(errno.EIO, "the disk failed")
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing)
        if exchange:
            bake(base, [], out, overwrite=True)
            assert not (out / "mark").exists()
        else:
            with pytest.raises(ModelError, match="the disk failed"):
                bake(base, [], out, overwrite=True)
            assert (out / "mark").exists() and (out / "model_index.json").is_file()
    bake(base, [], out, overwrite=True)
    assert not (out / "mark").exists() and list(tmp_path.iterdir()) == [out]


KILLED = """
import os, signal, sys
from loragraph.diffusion.lora import bake as baking
def die(*anything, **more): os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "writing":
    baking.bake(sys.argv[1], [], sys.argv[2], on_progress=die, overwrite=True)
baking.staging.shutil.rmtree = die
if sys.argv[3] == "between two names":
    baking.staging._exchange = lambda one, other: False
    real, count = type(baking.staging.Path()).replace, []
    def replace(self, target):
        count.append(target)
        if len(count) == 2: die()
        return real(self, target)
    type(baking.staging.Path()).replace = replace
baking.bake(sys.argv[1], [], sys.argv[2], overwrite=True)
"""


@pytest.mark.parametrize("when", ["writing", "between two names", "cleaning up"])
def test_what_a_killed_bake_leaves_goes_with_the_next_one(base: Path, tmp_path: Path, when: str) -> None:
    out = bake(base, [], tmp_path / "out")
    (out / "mark").touch()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(base), str(out), when], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".out.*.tmp"))) == 1
    if when == "between two names":  # the one moment in which there is none, where names cannot be exchanged
        assert not out.exists()
        staging.clear_debris(out)
    assert (out / "model_index.json").is_file() and (out / "mark").exists() == (when != "cleaning up")
    staging.clear_debris(out)
    assert list(tmp_path.iterdir()) == [out] and (out / "model_index.json").is_file()


def test_what_another_bake_is_making_stays(tmp_path: Path) -> None:
    with staging.staged(tmp_path / "out", folder=True, need=1) as made:
        (made / "file").touch()
        staging.clear_debris(tmp_path / "out")
        assert (made / "file").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]


def test_nothing_that_is_read_is_replaced(base: Path, model: Path, use: tuple[str, str, float], tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(base, models / "flux")
    (models / "config.json").touch()
    for source, out, said in (
        (models / "flux", models / "flux" / "new", "within the base"),
        (models / "flux", models, "would be replaced with it"),
        (model, model, "the base itself"),
        (model, Path(use[0]), "would be replaced with it"),
    ):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        with pytest.raises(SettingError, match=said):
            bake(source, [use] if source == model else [], out, overwrite=True)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_folders_that_were_made_for_it_go_when_it_fails(
    model: Path, use: tuple[str, str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bake(model, [use], tmp_path / "new" / "er" / "baked.safetensors", on_progress=stop)
    assert not (tmp_path / "new").exists()
    with pytest.raises(SettingError, match=r"cannot be written there: .*\. Choose another place"):
        bake(model, [use], model / "baked.safetensors")


def test_a_base_that_is_written_to_meanwhile_is_noticed(
    model: Path, use: tuple[str, str, float], tmp_path: Path
) -> None:
    def write(done: int, total: int) -> None:
        with model.open("r+b") as file:
            file.seek(-8, os.SEEK_END)
            file.write(b"\x00" * 8)
        os.utime(model, ns=(1, done))

    with pytest.raises(ModelError, match=r"was changed while it was read\. Bake again"):
        bake(model, [use], tmp_path / "baked.safetensors", on_progress=write)
    assert not (tmp_path / "baked.safetensors").exists()


def test_values_that_are_no_numbers_are_refused(model: Path, use: tuple[str, str, float], tmp_path: Path) -> None:
    tensors = load_file(model)
    tensors["double_blocks.1.img_attn.qkv.weight"][1500, 3] = torch.nan
    save_file(tensors, tmp_path / "nan.safetensors")
    with pytest.raises(ModelError, match=r"transformer_blocks\.1\.attn\.to_k\.weight would hold .* no numbers"):
        bake(tmp_path / "nan.safetensors", [use], tmp_path / "baked.safetensors")


def test_the_number_of_threads_is_given_back(model: Path, use: tuple[str, str, float], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        bake(model, [use], tmp_path / "baked.safetensors")
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


SIZES = st.one_of(
    st.integers(1, 3 * PAGE), st.sampled_from([PAGE, BUFFER - 1, BUFFER, BUFFER + 1, LARGEST, 3 * PAGE + 8])
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["write", "copy", "copy in step", "take"]), SIZES), min_size=1, max_size=5))
def test_parts_of_any_size_follow_one_another(tmp_path: Path, parts: list[tuple[str, int]]) -> None:
    (tmp_path / "out").unlink(missing_ok=True)
    content = bytes(range(251)) * (2 * (BUFFER + PAGE) // 251 + 1)
    (tmp_path / "in").write_bytes(content)
    wanted, amounts = bytearray(), []
    with Source(tmp_path / "in") as source, Output(tmp_path / "out", amounts.append) as out:
        for how, size in parts:
            begin = len(wanted) % PAGE if how == "copy in step" else 17
            data = content[begin : begin + size]
            wanted += data
            if how == "write":
                out.write(data)
            elif how == "take" and size <= LARGEST:
                out.take(size)[:] = data
                out.filled(size)
            else:
                out.copy(source, begin, begin + size)
    assert (tmp_path / "out").read_bytes() == wanted
    assert sum(amounts) == len(wanted)
