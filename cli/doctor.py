"""What LoRAGraph finds on this machine: packages, devices, folders."""

import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "loragraph",
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "accelerate",
    "safetensors",
    "pydantic",
    "networkx",
    "pillow",
    "typer",
    "gradio",
    "rich",
)
COUNT_FOR = 5.0
"""Seconds to spend on adding up a folder's size; a store of millions of files is reported as "more than"."""


def report(home: Path, out: Path) -> tuple[list[tuple[str, str, str]], bool]:
    """Return (section, name, finding) rows, and whether everything that a run needs is there."""
    rows: list[tuple[str, str, str]] = [
        ("system", "python", f"{platform.python_version()} ({sys.executable})"),
        ("system", "platform", f"{platform.platform()}, {os.cpu_count()} processors"),
    ]
    fine = True
    for name in PACKAGES:
        try:
            rows.append(("package", name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            fine = False
            rows.append(("package", name, f"MISSING: pip install {name}"))
    rows += [("device", name, about) for name, about in _devices()]
    for name, folder in (("results store", home), ("output", out)):
        good, about = _folder(folder)
        fine = fine and good
        rows.append(("folder", name, about))
    return rows, fine


def _devices() -> Iterator[tuple[str, str]]:
    """Yield every device that nodes can run on; torch is imported here."""
    if importlib.util.find_spec("torch") is None:
        yield "none", "MISSING: torch isn't installed"
        return
    import torch

    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {_size(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE'))} memory"
    yield "cpu", f"{torch.get_num_threads()} torch threads{memory}"
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}", f"{about.name}, {_size(about.total_memory)} memory"
    if torch.backends.mps.is_available():
        yield "mps", "Apple GPU"


def _folder(folder: Path) -> tuple[bool, str]:
    """Return whether files can be written to the folder (or where it would be made), and a description."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    good = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    free = _size(shutil.disk_usage(place).free)
    state = "writable" if good else f"NOT WRITABLE: choose another folder or change the rights of {place}"
    size = _content(folder) if folder.is_dir() else "not made yet"
    return good, f"{folder}: {size}, {state}, {free} free"


def _content(folder: Path) -> str:
    total = files = 0
    until = time.monotonic() + COUNT_FOR
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                continue
            files += 1
        if time.monotonic() > until:
            return f"more than {_size(total)} in {files} files"
    return f"{_size(total)} in {files} files"


def _size(count: float) -> str:
    """Return a number of bytes as a person reads it: 1536 -> "1.5 KiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
