"""Each shipped workflow runs from beginning to end with small settings, on a tiny model and on the embedded one."""

import json
from pathlib import Path

import pytest
from PIL import Image

import loragraph
from loragraph.cli import main
from loragraph.diffusion.embedded import locate
from loragraph.tests.nodes import material

FOLDER = Path(loragraph.__file__).parent / "workflows"
SAVED = {
    "teach_a_style": {"grid": 1, "riso": 1},
    "stack_and_merge": {"stack-and-merge": 1, "merged": 1},
    "bake": {"bake": 1},
    "look_and_shrink": {"shrunk": 1, "riso-small": 1},
}
BASES = ["tiny", *(["embedded"] if (locate("emoji") / "model_index.json").is_file() else [])]


def nodes_of(name: str) -> dict[str, dict[str, object]]:
    """The nodes of a shipped workflow."""
    nodes: dict[str, dict[str, object]] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["nodes"]
    return nodes


def small(name: str, base: str) -> list[str]:
    """Return the `--set` options that make a workflow quick, on the tiny model's own files where `base` says so."""
    settings = {}
    for node, spec in nodes_of(name).items():
        if spec["type"] == "TrainLoRA":
            settings |= {f"{node}.steps": "2", f"{node}.batch_size": "2", f"{node}.preview_every": "0"}
        elif spec["type"] == "Sample":
            settings |= {f"{node}.steps": "2", f"{node}.prompt": "riso style red apple\nriso style fox"}
        elif base == "tiny" and spec["type"] == "LoadBase":
            settings[f"{node}.source"] = str(material.tiny_flux())
        elif base == "tiny" and spec["type"] == "LoadImages":
            settings[f"{node}.folder"] = str(material.pictures())
    return [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]


def must_run(changed: str) -> set[str]:
    """Return the node, all that follows it in teach_a_style, and what saves."""
    nodes = nodes_of("teach_a_style")
    found = {changed} | {node for node, spec in nodes.items() if str(spec["type"]).startswith("Save")}
    below = {changed}
    while below:
        # A wire is written "node.output", so the quote and the point tell it from a name that begins alike.
        below = {
            n for n, spec in nodes.items() for b in below if f'"{b}.' in json.dumps(spec.get("inputs", {}))
        } - found
        found |= below
    return found


def run(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["run", *arguments])
    return ended.value.code


def test_every_shipped_workflow_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == SAVED.keys()


@pytest.mark.parametrize("name", SAVED)
def test_every_node_has_a_place_on_the_canvas(name: str) -> None:
    written = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    places = {name: tuple(place["at"]) for name, place in written["view"].items() if not name.startswith("#")}
    assert places.keys() == written["nodes"].keys()
    assert len(set(places.values())) == len(places)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", SAVED)
def test_a_workflow_runs_to_its_end(name: str, base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*small(name, base), "--in-process", "--out", str(tmp_path / "out")]
    capsys.readouterr()
    assert run(str(FOLDER / f"{name}.json"), *options) == 0, capsys.readouterr().err
    saved = [path.name for path in (tmp_path / "out").iterdir()]
    assert {word: sum(each.startswith(f"{word}-") for each in saved) for word in SAVED[name]} == SAVED[name]
    for path in (tmp_path / "out").glob("*.png"):
        with Image.open(path) as image:
            image.load()
    capsys.readouterr()
    assert run(str(FOLDER / f"{name}.json"), *options) == 0
    savers = sum(str(spec["type"]).startswith("Save") for spec in nodes_of(name).values())
    assert f"{savers} run, {len(nodes_of(name)) - savers} cached" in capsys.readouterr().err


def test_a_new_prompt_runs_sampling_and_what_follows_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*small("teach_a_style", "tiny"), "--in-process", "--out", str(tmp_path / "out")]
    assert run(str(FOLDER / "teach_a_style.json"), *options) == 0
    capsys.readouterr()
    assert run(str(FOLDER / "teach_a_style.json"), *options, "--set", "with.prompt=riso style sun") == 0
    said = capsys.readouterr().err
    cached = {line.split()[0] for line in said.splitlines() if line.split()[1:] == ["cached"]}
    assert cached == {node for node in nodes_of("teach_a_style") if node not in must_run("with")}
