"""The name of a result, known before it is made.

A node's key is the sha256 of canonical JSON of what decides its result: the type and its version, the settings with the
defaults filled in, the content of the files that it reads, and where each wire comes from (the key of the node above,
and the output). Ids, positions on the canvas, titles, and paths of files are no part of it; a file's own name is, since
nodes make titles and captions of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import DocumentError, Problem
from .fingerprints import Fingerprints
from .markers import Kind
from .node import NodeType, Settings
from .sources import SourceError, resolve

if TYPE_CHECKING:
    from .document import Document
    from .registry import Registry

BESIDE_A_LORA = "adapter_config.json"
"""Where PEFT saves what its weights are to be multiplied by; the folder's name stands for such a LoRA's own."""

_SCHEME = "loragraph-key/1"
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Work:
    """What a node is to do: its `key`, its complete `settings` with absolute paths, and whether to look it up.

    `cache` is false for a node that says so, and for every node below one: its key does not tell what it will get.
    """

    key: str
    settings: Settings
    cache: bool


def node_key(
    type_name: str,
    version: int,
    settings: Mapping[str, Any],
    files: Mapping[str, Any],
    inputs: Mapping[str, Sequence[tuple[str, str]]],
) -> str:
    """Return the key, 64 hex digits.

    `settings` are complete; those named in `files` (as {setting: fingerprint}) count by content only. `inputs` gives
    the wires of each input, in order, as (key of the node above, its output). Raises ValueError for what JSON cannot
    write.
    """
    kept = {name: value for name, value in settings.items() if name not in files} if files else settings
    wires = {name: list(wires) for name, wires in inputs.items() if wires}
    text = _canonical([_SCHEME, type_name, version, kept, files, wires])
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def map_paths(value: Any, change: Callable[[str], Any]) -> Any:
    """Return the value of a path setting (a path, or a list or dict of them) with every path in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(map_paths(part, change) for part in value)
    if isinstance(value, dict):
        return {name: map_paths(part, change) for name, part in value.items()}
    return value


def resolve_files(
    node: str, node_type: NodeType, settings: Settings, folder: Path | None
) -> tuple[Settings, list[Problem]]:
    """Return the complete settings with absolute paths where the node reads files, and what is not there."""
    if not node_type.reads:
        return settings, []
    resolved = dict(settings)
    problems: list[Problem] = []
    for name, kind in node_type.reads.items():
        try:
            resolved[name] = map_paths(settings.get(name), partial(_absolute, kind, folder))
        except SourceError as error:
            problems.append(Problem(node, name, settings.get(name), error.message, error.hint))
    return resolved, problems


def _absolute(kind: Kind, folder: Path | None, text: str) -> str:
    return str(resolve(text, kind, folder))


def work(document: Document, order: Iterable[str], registry: Registry, fingerprints: Fingerprints) -> dict[str, Work]:
    """Return the work of every node in `order` (parents first) of a document that is complete.

    Raises DocumentError with everything that is not there or cannot be read.
    """
    done: dict[str, Work] = {}
    problems: list[Problem] = []
    known: dict[str, str] = {}
    folder = document.folder
    for node in order:
        spec = document.nodes[node]
        node_type = registry.get(spec.type)
        settings = document.values[node]
        files: dict[str, Any] = {}
        if node_type.reads:
            settings, files, wrong = read_files(node, node_type, settings, folder, fingerprints, known)
            problems += wrong
        inputs: dict[str, list[tuple[str, str]]] = {}
        cache = node_type.cache
        for name in spec.inputs:
            wires = inputs[name] = []
            for parent, output in spec.wires(name):
                above = done[parent]
                wires.append((above.key, output))
                cache = cache and above.cache
        done[node] = Work(node_key(spec.type, node_type.version, settings, files, inputs), settings, cache)
    if problems:
        raise DocumentError(problems, str(document.path or ""))
    return done


def read_files(
    node: str,
    node_type: NodeType,
    settings: Settings,
    folder: Path | None,
    fingerprints: Fingerprints,
    known: dict[str, str],
) -> tuple[Settings, dict[str, Any], list[Problem]]:
    """Return (complete settings with absolute paths, what the key says of the files that they name, what is wrong).

    `known` holds what was found for each path, and is added to.
    """
    resolved, problems = resolve_files(node, node_type, settings, folder)
    files: dict[str, Any] = {}
    for name in node_type.reads if not problems else ():
        try:
            kind = node_type.reads[name]
            files[name] = map_paths(resolved[name], partial(_content, kind, fingerprints, known))
        except OSError as error:
            said = f"it cannot be read: {error.strerror or error} ({error.filename or resolved[name]})."
            problems.append(Problem(node, name, settings.get(name), said))
    return resolved, files, problems


def _content(kind: Kind, fingerprints: Fingerprints, known: dict[str, str], path: str) -> str:
    found = known.get(path)
    if found is None:
        found = known[path] = f"{fingerprints.of(path)} {Path(path).name}"
    beside = Path(path).with_name(BESIDE_A_LORA)
    if kind != "lora" or not beside.is_file():
        return found
    return f"{found} in {beside.parent.name} with {_content('file', fingerprints, known, str(beside))}"
