"""Hold the house's import rules: which room may import which, and that the light rooms stay free of torch.

A room is a folder of the package; `docs/design.md` gives the reasons. Imports are read from the source, so a forbidden
one is found also where it runs rarely; only what stands inside a function (or under TYPE_CHECKING) counts as lazy.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import loragraph

ROOT = Path(loragraph.__file__).parent
ROOMS = ("graph_runtime", "diffusion", "nodes", "ui")
FACE = "cli"  # cli and the modules beside it in the root: they may reach everything, but lazily
MODELS = frozenset({"torch", "diffusers", "transformers", "peft", "accelerate", "safetensors"})


@dataclass(frozen=True)
class Rule:
    """What a room may import beside the standard library and itself: always, and inside functions only."""

    always: frozenset[str]
    lazily: frozenset[str] = frozenset()


RULES = {
    # annotated_types, pydantic_core and typing_extensions are parts of pydantic.
    "graph_runtime": Rule(
        frozenset({"networkx", "pydantic", "annotated_types", "pydantic_core", "typing_extensions", "platformdirs"})
    ),
    # numpy, PIL and the tokenizers are what the model libraries speak; resvg_py draws the embedded model's pictures.
    "diffusion": Rule(
        MODELS | {"numpy", "PIL", "tokenizers", "sentencepiece", "huggingface_hub"}, frozenset({"resvg_py"})
    ),
    "nodes": Rule(frozenset({"loragraph.graph_runtime"}), frozenset({"loragraph.diffusion", "PIL", "numpy"})),
    "ui": Rule(frozenset({"loragraph.graph_runtime", "gradio"})),
    FACE: Rule(
        frozenset({"loragraph.graph_runtime", "typer", "click", "rich"}),
        MODELS | {"loragraph.diffusion", "loragraph.ui", "gradio", "psutil", "platformdirs"},
    ),
}


def imports(source: str, module: str) -> Iterator[tuple[str, bool, int]]:
    """Yield (imported module, lazy, line) for each import in `source`; `module` is the full name of the file's package.

    `from .. import nodes` yields `loragraph.nodes`: names taken from the root package are rooms or plain attributes.
    """

    def visit(node: ast.AST, lazy: bool) -> Iterator[tuple[str, bool, int]]:
        if isinstance(node, ast.If):
            lazy = lazy or "TYPE_CHECKING" in ast.unparse(node.test)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lazy = True
        elif isinstance(node, ast.Import):
            yield from ((name.name, lazy, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            target = ".".join(part for part in (base, node.module) if part)
            names = [f"{target}.{name.name}" for name in node.names] if target == "loragraph" else [target]
            yield from ((name, lazy, node.lineno) for name in names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy)

    yield from visit(ast.parse(source), False)


def room_of(name: str) -> str | None:
    """Return the room of a full module name, the face for the root's own modules, None for other people's modules."""
    parts = name.split(".")
    if parts[0] != "loragraph":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else FACE


def broken_rules(source: str, package: str, room: str) -> list[str]:
    """Return a sentence for each import in `source`, a file of `package`, that its room's rule forbids."""
    rule, broken = RULES[room], []
    for name, lazy, line in imports(source, package):
        top = name.split(".")[0]
        target = room_of(name)
        if top in sys.stdlib_module_names or target == room or name == "loragraph":
            continue
        if target == FACE and len(name.split(".")) == 2 and not is_module(name):
            continue  # an attribute of the root package, like its version
        wanted = f"loragraph.{target}" if target else top
        if wanted in rule.always or (lazy and wanted in rule.lazily):
            continue
        where = "only inside a function" if wanted in rule.lazily else "not at all"
        broken.append(f"line {line}: {room} may import {wanted} {where}")
    return broken


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


def sources() -> list[Path]:
    own = [path for path in ROOT.glob("*.py") if path.name != "setup.py"]
    folders = [ROOT / room for room in (*ROOMS, FACE)]
    return sorted(
        own + [path for folder in folders for path in folder.rglob("*.py") if "node_modules" not in path.parts]
    )


def test_every_room_imports_only_what_it_may() -> None:
    broken = []
    for path in sources():
        parts = path.relative_to(ROOT).with_suffix("").parts
        room = parts[0] if parts[0] in ROOMS else FACE
        package = ".".join(("loragraph", *parts[:-1]))
        broken += [
            f"{path.relative_to(ROOT)}, {sentence}" for sentence in broken_rules(path.read_text(), package, room)
        ]
    assert not broken, "\n".join(broken)


def test_every_room_that_exists_has_a_rule_and_is_read() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages <= {*ROOMS, FACE}
    assert {"graph_runtime", "diffusion", "nodes"} <= {path.relative_to(ROOT).parts[0] for path in sources()}


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("graph_runtime", "import torch"),
        ("graph_runtime", "def run():\n    import torch.nn"),
        ("graph_runtime", "from ..nodes import load_base"),
        ("graph_runtime", "from .. import diffusion"),
        ("graph_runtime", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from loragraph.ui import app"),
        ("diffusion", "from ..graph_runtime.errors import BadInput"),
        ("diffusion", "import gradio"),
        ("nodes", "from ..diffusion import sampling"),
        ("nodes", "import torch"),
        ("ui", "def show():\n    from ..diffusion import sampling"),
        ("ui", "from .. import nodes"),
        ("cli", "import torch"),
        ("cli", "def run():\n    from .. import nodes"),
        ("cli", "from ..diffusion import embedded"),
    ],
)
def test_a_forbidden_import_is_found(room: str, source: str) -> None:
    assert broken_rules(source, f"loragraph.{room}", room)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("graph_runtime", "import json, networkx\nfrom pydantic import BaseModel\nfrom .errors import Problem"),
        ("graph_runtime", "from .. import __version__"),
        ("diffusion", "import torch\nfrom diffusers import FluxPipeline\nfrom .errors import DiffusionError"),
        ("nodes", "from ..graph_runtime import node\ndef sample():\n    from ..diffusion import sampling"),
        ("ui", "import gradio\nfrom ..graph_runtime import document"),
        ("cli", "import typer\ndef doctor():\n    import torch"),
    ],
)
def test_an_allowed_import_passes(room: str, source: str) -> None:
    assert not broken_rules(source, f"loragraph.{room}", room)


def test_listing_nodes_imports_no_model_library() -> None:
    code = (
        "import sys, importlib.metadata as metadata, loragraph.graph_runtime\n"
        "for entry in metadata.entry_points(group='loragraph.nodes'): entry.load()\n"
        "assert 'loragraph.nodes' in sys.modules\n"
        "heavy = ('torch', 'diffusers', 'transformers', 'peft', 'gradio')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
