"""What the canvas asks while somebody edits: what is wrong, and which nodes would give another result than before.

    check(workspace, registry, text)   # {"problems": [...], "keys": {node: key}, "ready": [node]}

Nothing is run and nothing is written. `runnable` is the stricter door: the document that a run is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..graph_runtime import document as documents
from ..graph_runtime.document import Document
from ..graph_runtime.errors import DocumentError, Problem
from ..graph_runtime.fingerprints import Fingerprints
from ..graph_runtime.registry import Registry
from ..graph_runtime.standing import standing
from ..graph_runtime.store import Store
from .keeping import problem_dict, read


def check(text: str, registry: Registry, path: Path, fingerprints: Fingerprints, store: Store) -> dict[str, Any]:
    """Return what is wrong with a text, the key of every node that has one, and the nodes whose results are there."""
    try:
        document, problems = read(text, registry, path)
    except DocumentError as error:
        return {"problems": [problem_dict(problem) for problem in error.problems], "keys": {}, "ready": []}
    stands = standing(document, registry, fingerprints, store)
    return {
        "problems": [problem_dict(problem) for problem in problems],
        "keys": dict(stands.keys),
        "ready": sorted(stands.ready),
    }


def runnable(
    text: str, registry: Registry, path: Path, wanted: Sequence[str] | None = None, changes: Sequence[str] = ()
) -> Document:
    """Return the checked document to run; raises DocumentError with everything that is wrong with it.

    With `wanted`, what those nodes don't need may be wrong or unfinished: it is left out then.
    """
    as_text(text)
    try:
        return documents.load(text, registry, overrides=changes, path=path)
    except DocumentError:
        if not wanted:
            raise
        document, _ = read(text, registry, path)
        needed = above(document, wanted)
        if needed >= document.nodes.keys():
            raise
        nodes = {node: spec for node, spec in document.nodes.items() if node in needed}
        part = replace(document, nodes=nodes, missing=document.missing & needed)
        return documents.load(part.text(), registry, overrides=changes, path=path)


def as_text(text: str) -> str:
    """Return a workflow's text; raises DocumentError for what `documents.load` would take for the name of a file."""
    if "{" not in text:
        raise DocumentError([Problem(None, None, text, "this is no workflow.", "Send the text of its file.")])
    return text


def above(document: Document, wanted: Sequence[str]) -> set[str]:
    """Return the wanted nodes that are there, and all that they take from."""
    kept: set[str] = set()
    waiting = [node.partition(".")[0] for node in wanted]
    while waiting:
        node = waiting.pop()
        if node in document.nodes and node not in kept:
            kept.add(node)
            waiting += [wire.node for wire in document.nodes[node].wires()]
    return kept
