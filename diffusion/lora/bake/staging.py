"""Where a bake writes until all is right, and how that becomes the target: at once, whatever happens meanwhile.

    with staged(target, folder=True, need=24_000_000_000) as made:
        ...                            # write into the folder `made`, which lies beside the target

`.<target>.xxxxxxxx.tmp` holds what is being made. A file takes its name by rename(2). A folder that replaces another
changes names with it in one step (renameat2 with RENAME_EXCHANGE, Linux 3.15), so that even a killed process leaves the
old one or the new one; where the file system has no such step, the old one is moved away and, if need be, back. What a
killed bake left is locked by nobody, and goes when the next one for this target begins.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import ModelError, SettingError
from ..checkpoint import Checkpoint

MODEL_FILES = ("model_index.json", "config.json")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux, on every processor
OLD = "old"
LONGEST = 100  # bytes of a target's name in the temporary one, which may have 255


def check_target(base: Checkpoint, out: Path, overwrite: bool, kept: Iterable[Path] = ()) -> None:
    """Refuse a target that is of another kind than the base, is taken, or whose replacement would take more with it.

    Args:
        kept: files that are read, and so must not be replaced.

    Raises:
        SettingError: the message says which.
    """
    said = _unfit(base, out) or _taken(base, out, overwrite) or _in_the_way(base, out, kept)
    if said:
        raise SettingError("out", str(out), said)


def _unfit(base: Checkpoint, out: Path) -> str:
    if base.kind != "file":
        return "it is a file, but the base is a folder; choose a new folder." if out.is_file() else ""
    if out.is_dir():
        return "it is a folder, but the base is one file; give the name of a file."
    if out.suffix != ".safetensors":
        return "the base is one file, so the result is one too: end its name in .safetensors."
    return ""


def _taken(base: Checkpoint, out: Path, overwrite: bool) -> str:
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return ""
    if not overwrite:
        return "there is something already; choose a new name."
    if base.kind != "file" and out.is_dir() and not any((out / name).is_file() for name in MODEL_FILES):
        return f"it is a folder without a model in it ({MODEL_FILES[0]}), so it is not replaced; choose a new name."
    return ""


def _in_the_way(base: Checkpoint, out: Path, kept: Iterable[Path]) -> str:
    here, there = out.resolve(), base.path.resolve()
    new = "choose a new file." if base.kind == "file" else "choose a new folder."
    if here == there or (out.exists() and out.samefile(base.path)):
        return f"that is the base itself; {new}"
    if base.kind != "file" and here.is_relative_to(there):
        return f"it lies within the base; {new}"
    for path in (there, *(path.resolve() for path in kept)):
        if path.is_relative_to(here):
            return f"{path} would be replaced with it; {new}"
    return ""


def check_room(out: Path, need: int) -> None:
    """Refuse to begin where the disk has less than `need` bytes.

    Raises:
        SettingError: the message names both.
    """
    free = shutil.disk_usage(next(folder for folder in out.absolute().parents if folder.is_dir())).free
    if need > free:
        raise SettingError(
            "out",
            str(out),
            f"it needs {_size(need)}, and {_size(free)} are free there. Make room or choose another disk.",
        )


def _size(amount: int) -> str:
    return f"{amount / 1e9:.2f} GB" if amount >= 1e8 else f"{amount / 1e6:.2f} MB"


@contextmanager
def staged(out: Path, folder: bool, need: int) -> Iterator[Path]:
    """Give a temporary name beside `out`, of a folder or for a file; what was made there takes the name `out` if
    nothing went wrong, and goes if something did.

    Raises:
        SettingError: the place cannot be written to, or the disk is full. ModelError: the system failed otherwise.
    """
    made_parents = [parent for parent in out.parents if not parent.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=out.parent, prefix=_prefix(out), suffix=".tmp"))
    except OSError as error:
        _remove_empty(made_parents)
        raise SettingError(
            "out", str(out), f"it cannot be written there: {error.strerror or error}. Choose another place."
        ) from error
    made, lock = staging / out.name, os.open(staging, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: nothing is cleared there either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder:
            made.mkdir()
        yield made
        _take_name(made, out)
    except OSError as error:
        if error.errno in FULL:
            raise SettingError(
                "out",
                str(out),
                f"the disk became full while it was written ({_size(need)} are needed). "
                "Nothing was left behind; make room or choose another disk.",
            ) from error
        raise ModelError(f"Baking into {out} failed: {error}. Nothing was left behind.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)
        _remove_empty(made_parents)


def _prefix(out: Path) -> str:
    return f".{os.fsdecode(os.fsencode(out.name)[:LONGEST])}."


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:  # the innermost comes first
        with contextlib.suppress(OSError):
            folder.rmdir()


def clear_debris(out: Path) -> None:
    """Remove what killed bakes into `out` left behind; what a running one makes is locked, and stays."""
    prefix = _prefix(out)
    with contextlib.suppress(OSError):
        for name in os.listdir(out.parent):
            if name.startswith(prefix) and name.endswith(".tmp"):
                with contextlib.suppress(OSError):
                    _clear(out.parent / name, out)


def _clear(staging: Path, out: Path) -> None:
    lock = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # one that is empty is just being made, or costs nothing; one with another name in it is of another target
        if set(os.listdir(lock)) & {out.name, OLD}:
            if (staging / OLD).exists() and not os.path.lexists(out):
                (staging / OLD).replace(out)
            shutil.rmtree(staging)
    finally:
        os.close(lock)


def _take_name(made: Path, out: Path) -> None:
    if made.is_dir():
        _flush_names(made)
    if not (made.is_dir() and out.is_dir()):
        made.replace(out)
    elif not _exchange(made, out):
        old = made.with_name(OLD)
        try:
            out.replace(old)
            made.replace(out)
        except BaseException:
            if not os.path.lexists(out):
                old.replace(out)
            raise
    _flush(out.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step; False where that cannot be done."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done: int = rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    return done == 0


def _flush_names(folder: Path) -> None:
    """Make the disk know all names and small files below a folder; large files are there already."""
    for place, _, names in os.walk(folder):
        for name in names:
            _flush(Path(place, name))
        _flush(Path(place))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
