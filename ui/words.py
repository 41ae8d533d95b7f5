"""A workflow said in other ways: as a command line, and as a Python program that runs it on this server.

command(workspace, registry, text, path, "cats")   # "loragraph run /flows/cats.json --set sample.seed=8 ..."
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

from ..graph_runtime import reading
from ..graph_runtime.document import Document
from ..graph_runtime.errors import DocumentError
from ..graph_runtime.registry import Registry
from ..graph_runtime.store import default_home
from .keeping import plain
from .workspace import Workspace

MOST_CHANGES = 12
"""More settings than that are not written into a command: the file has to be saved first."""


def command(workspace: Workspace, registry: Registry, text: str, path: Path | None, name: str) -> str:
    """Return the command that runs the document as it is now, from whatever folder: its paths are absolute.

    Where it has a file that differs in settings only, those are given with --set; else the command is that of the file
    as it will be, under its path or, where it has none, under its name.
    """
    document, _ = reading.read(text, registry, path, allow_missing=True)
    file = path or workspace.folder / f"{plain(name)}.json"
    words = ["loragraph", "run", str(file)]
    if path is not None:
        words += [word for change in _changes(_saved(path, registry), document) for word in ("--set", change)]
    words += ["--out", str(workspace.out / plain(name))]
    if workspace.home != default_home().resolve():
        words += ["--home", str(workspace.home)]
    return shlex.join(words)


def _saved(path: Path, registry: Registry) -> Document | None:
    try:
        return reading.read(reading.read_text(path), registry, path, allow_missing=True)[0]
    except DocumentError:
        return None


def _changes(saved: Document | None, now: Document) -> list[str]:
    """Return "node.setting=value" for each setting that differs; none where more differs than settings can say."""
    if saved is None or saved.nodes.keys() != now.nodes.keys():
        return []
    found = []
    for node, spec in now.nodes.items():
        was = saved.nodes[node]
        same = (was.type, was.inputs) == (spec.type, spec.inputs)
        if not same or was.settings.keys() - spec.settings.keys():
            return []
        for name, value in spec.settings.items():
            if name not in was.settings or was.settings[name] != value:
                found.append(f"{node}.{name}={json.dumps(value, ensure_ascii=False)}")
    return found if len(found) <= MOST_CHANGES else []


def snippet(registry: Registry, text: str, url: str, login: bool) -> str:
    """Return a Python program, complete in itself, that runs the document on this server and prints how it goes."""
    document, _ = reading.read(text, registry, None, allow_missing=True)
    # JSON can say a quotation mark in another way, so that none ends the raw string; where nodes lie is left out.
    workflow = replace(document, view={}).text().replace("'''", r"\u0027" * 3)
    auth = ', auth=("USER", "PASSWORD")' if login else ""
    return f"""\
from gradio_client import Client  # pip install gradio_client

workflow = r'''
{workflow}'''
changes = []  # such as "sample.seed=8": settings that are to be other than above

client = Client("{url}"{auth})
for now in client.submit(workflow, changes, api_name="/run"):
    print(now["status"], {{node: state["state"] for node, state in now["nodes"].items()}})
print(now["error"] or now["files"])
"""
