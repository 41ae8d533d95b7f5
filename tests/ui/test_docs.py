"""What the guide to the page promises is there."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import loragraph
from loragraph.cli import app

GUIDE = Path(loragraph.__file__).parent / "docs" / "canvas.md"


@pytest.mark.skipif(not GUIDE.is_file(), reason="installed without its documentation")
def test_the_guide_names_every_option_and_its_programs_are_programs() -> None:
    text = GUIDE.read_text("utf-8")
    offered = set(re.findall(r"--[a-z-]+", CliRunner().invoke(app, ["ui", "--help"], env={"COLUMNS": "200"}).output))
    told = set(re.findall(r"`(--[a-z-]+)", text.split("## Building")[0]))
    assert told == offered - {"--help"}
    for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(program, "guide", "exec")
