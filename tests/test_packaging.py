"""Hold the packaging: the wheel carries every module and data file, and both kinds of installation work.

Everything is built from a copy of the files that git knows or would add, which is what a clean clone holds.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

import loragraph

ROOT = Path(loragraph.__file__).parent
NOT_SHIPPED = ("tests", "benchmarks", "docs", "out")
DATA = (".json", ".md", ".model", ".png", ".safetensors", ".txt")


def repository_files() -> list[PurePosixPath]:
    """Return the files of the working tree below the root, but for ignored ones."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [PurePosixPath(name) for name in sorted(listed.split("\0")) if name and (ROOT / name).is_file()]


def shipped(files: list[PurePosixPath]) -> list[PurePosixPath]:
    return [path for path in files if path.parts[0] not in NOT_SHIPPED and not path.parts[0].startswith(".")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, in a folder whose name is no Python name."""
    folder = tmp_path_factory.mktemp("clone") / "lora-graph.copy"
    for path in repository_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path)
    return folder


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(folder), str(clone))
    (built,) = folder.glob("*.whl")
    return built


def run_in(folder: Path, site_packages: Path, code: str) -> str:
    """Return what `code` prints in an interpreter whose only installation of ours is the one in `site_packages`.

    With -S the tests' own site-packages are no site folder, so that an editable install there stays asleep; our
    dependencies are found in them all the same.
    """
    dependencies = sysconfig.get_path("purelib")
    sites = f"import site, sys; site.addsitedir({str(site_packages)!r}); sys.path.append({dependencies!r})\n"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-S", "-c", sites + code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_carries_every_module_and_data_file_and_nothing_else(wheel: Path) -> None:
    wanted = {
        f"loragraph/{path}"
        for path in shipped(repository_files())
        if (path.suffix == ".py" and str(path) != "setup.py")
        or path.name == "py.typed"
        or (path.suffix == ".json" and path.parts[0] == "workflows")
        or (path.suffix in DATA and path.parts[:2] == ("diffusion", "embedded"))
        or path.parts[:2] == ("ui", "static")
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not re.match(r"loragraph-[^/]*\.dist-info/", name)}
    assert names == wanted


def test_every_folder_with_python_files_is_a_package() -> None:
    files = shipped(repository_files())
    folders = {path.parent for path in files if path.suffix == ".py"}
    assert {folder for folder in folders if folder / "__init__.py" not in files} == set()


def test_the_embedded_model_folder_holds_only_kinds_of_files_that_are_shipped() -> None:
    files = [path for path in shipped(repository_files()) if path.parts[:2] == ("diffusion", "embedded")]
    assert {path.suffix for path in files} <= {".py", *DATA}


def test_the_wheel_carries_licence_notice_and_entry_points(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {
            PurePosixPath(name).name: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }
    assert texts["LICENSE"] == (ROOT / "LICENSE").read_text()
    assert texts["NOTICE"] == (ROOT / "NOTICE").read_text()
    assert "License-Expression: Apache-2.0" in texts["METADATA"]
    assert "[loragraph.nodes]\ncore = loragraph.nodes" in texts["entry_points.txt"]


WHERE = "import loragraph, loragraph.graph_runtime, loragraph.nodes; print(loragraph.__file__)\n"
NO_LEAK = """
import importlib.util
print([name for name in ('nodes', 'ui', 'diffusion', 'graph_runtime', 'workflows') if importlib.util.find_spec(name)])
"""


def test_an_installed_wheel_imports_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip("install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    assert run_in(elsewhere, site, WHERE + NO_LEAK).splitlines() == [str(site / "loragraph" / "__init__.py"), "[]"]


def test_an_editable_install_imports_the_clone_and_leaks_no_other_name(clone: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip("install", "--no-build-isolation", "--no-deps", "--no-index", "--target", str(site), "--editable", str(clone))
    assert run_in(elsewhere, site, WHERE + NO_LEAK).splitlines() == [str(clone / "__init__.py"), "[]"]


def test_an_editable_install_finds_a_package_added_later(clone: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip("install", "--no-build-isolation", "--no-deps", "--no-index", "--target", str(site), "--editable", str(clone))
    (clone / "added_later").mkdir()
    (clone / "added_later" / "__init__.py").write_text("answer = 'found'\n")
    assert run_in(tmp_path, site, "from loragraph.added_later import answer; print(answer)") == "found"


def test_every_dependency_is_pinned_exactly() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {plain(re.match(r"[\w.-]+", line)[0]) for line in required}
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {plain(line.split("==")[0]) for line in lines}
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert names <= pinned


def plain(name: str) -> str:
    """Return a distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
