"""Hold the documents to the code: the workflows they show can be loaded, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

import loragraph
from loragraph.diffusion.lora.dialects import DIALECTS
from loragraph.graph_runtime import Registry
from loragraph.graph_runtime.document import load
from loragraph.nodes.merge_lora import METHODS

ROOT = Path(loragraph.__file__).parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


def test_the_workflow_page_shows_a_workflow_that_loads(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "workflow_file.md").read_text(), re.DOTALL)
    file = tmp_path / "shown.json"
    file.write_text(shown)
    assert "train" in load(file, Registry.installed()).nodes


def test_the_lora_page_names_every_node_every_dialect_and_every_way_to_merge() -> None:
    page = (ROOT / "docs" / "lora.md").read_text()
    tables = re.findall(r"^\|.*?\n\n", page, re.DOTALL | re.MULTILINE)
    firsts = [re.findall(r"^\| (.*?) \|", table, re.MULTILINE)[1:] for table in tables]
    named = {name for cell in firsts[0] for name in cell.split(", ")}
    assert named == {node.name for node in Registry.installed().all() if node.category == "LoRA"}
    words = [[cell.strip("`") for cell in first] for first in firsts]
    assert sorted(words[1]) == sorted({dialect.name for dialect in DIALECTS})
    assert list(METHODS) in words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    missing = [t for t in targets if t and not t.startswith("https://") and not (page.parent / t).exists()]
    assert not missing
