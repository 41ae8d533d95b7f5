"""What every test runs under: one thread, no network for model hubs, no progress bars, and a data folder of its own.

The environment is set when this file is imported, before torch can be, and every process a test starts inherits it.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HOME = Path(tempfile.mkdtemp(prefix="loragraph-tests-"))
"""For what runs outside a test function, like module fixtures; each test function gets a folder of its own."""

os.environ.update(
    # Threads that wait by spinning starve the worker processes on a small machine.
    OMP_WAIT_POLICY="PASSIVE",
    OMP_NUM_THREADS="1",
    HF_HUB_OFFLINE="1",
    # The model libraries draw progress bars, which would mix with the output that tests read.
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    TQDM_DISABLE="1",
    LORAGRAPH_HOME=str(HOME),
)


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a test's results from another test's store, and from the user's."""
    monkeypatch.setenv("LORAGRAPH_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Hold torch to one thread in tests that use it, without importing it for those that don't."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
