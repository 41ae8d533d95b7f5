"""A studio in a folder of its own, that runs everything in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from loragraph.graph_runtime import Registry
from loragraph.graph_runtime.executors.in_process import InProcessExecutor
from loragraph.tests.ui.kinds import endless, everything
from loragraph.ui.studio import Studio


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "pictures"
    folder.mkdir(parents=True)
    for colour in ("red", "blue"):
        Image.new("RGB", (16, 16), colour).save(folder / f"{colour}.png")
    return folder


@pytest.fixture
def studio(tmp_path: Path, pictures: Path) -> Iterator[Studio]:
    registry = Registry.installed()
    registry.register(endless)
    registry.register(everything)
    with Studio.open(
        tmp_path / "home",
        out=tmp_path / "out",
        folder=tmp_path / "work",
        registry=registry,
        executor=lambda device: InProcessExecutor(devices=(device,)),
    ) as made:
        yield made
