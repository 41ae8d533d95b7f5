"""The workflow document: the one JSON file that is edited, run, shared, and compared.

    {"format": "loragraph/1", "title": "...",
     "nodes": {"base":   {"type": "LoadBase", "version": 1, "settings": {"source": "embedded:emoji"}},
               "styled": {"type": "ApplyLoRA", "version": 1, "settings": {"strength": 0.8},
                          "inputs": {"base": "base.base", "lora": "train.lora"}}},
     "view": {"base": {"at": [0, 0]}}}

In memory it is a `Document` of `NodeSpec`s. `settings` are those that were written; `Document.values` has them complete
(defaults filled in, checked), once the document has been checked against a registry. An input that takes several wires
is written as a list of references.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from .errors import DocumentError, Problem, did_you_mean
from .files import write_atomically
from .node import NodeType, Settings
from .registry import Registry

FORMAT = "loragraph"
FORMAT_VERSION = 1

Mode: TypeAlias = Literal["", "mute", "bypass"]
MODES: tuple[str, ...] = get_args(Mode)
"""What a node can be beside normal (""): muted or bypassed; see `modes`."""


class Reference(NamedTuple):
    """Where a wire comes from; written "node.output"."""

    node: str
    output: str

    def __str__(self) -> str:
        return f"{self.node}.{self.output}"


@dataclass(frozen=True)
class NodeSpec:
    """A node as the document has it. An input holds a reference, or a list of them where it takes several."""

    id: str
    type: str
    version: int
    settings: Settings = field(default_factory=dict)
    inputs: dict[str, Reference | list[Reference]] = field(default_factory=dict)
    mode: Mode = ""

    def wires(self, name: str | None = None) -> list[Reference]:
        """Return the wires of an input, in order; without a name, of all of them."""
        if name is None:
            return [wire for each in self.inputs for wire in self.wires(each)]
        found = self.inputs.get(name)
        if found is None:
            return []
        return found if isinstance(found, list) else [found]

    def to_json(self) -> dict[str, Any]:
        """Return the node as the document writes it."""
        written: dict[str, Any] = {"type": self.type, "version": self.version}
        if self.mode:
            written["mode"] = self.mode
        if self.settings:
            written["settings"] = self.settings
        if self.inputs:
            written["inputs"] = {
                name: [str(wire) for wire in wires] if isinstance(wires, list) else str(wires)
                for name, wires in self.inputs.items()
            }
        return written


@dataclass(frozen=True)
class Document:
    """A workflow. `path` is the file it came from: relative paths in settings start in its folder."""

    nodes: dict[str, NodeSpec]
    title: str = ""
    view: dict[str, Any] = field(default_factory=dict)
    path: Path | None = field(default=None, compare=False)
    values: dict[str, Settings] = field(default_factory=dict, compare=False, repr=False)
    """The complete settings of every node of an installed type; empty until the document has been checked."""
    missing: frozenset[str] = field(default=frozenset(), compare=False)
    """The nodes whose types are not installed: they keep their place, and cannot be run."""
    upgraded: dict[str, int] = field(default_factory=dict, compare=False)
    """The nodes that an older version of their type saved, with that version."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What stands in the file for other programs, such as "$schema"."""

    @property
    def folder(self) -> Path | None:
        """The folder of the document's file."""
        return None if self.path is None else self.path.absolute().parent

    def complete(self, registry: Registry) -> Document:
        """Return the document checked, with `values` filled in; itself where it has been. Raises DocumentError."""
        if self.values.keys() | self.missing >= self.nodes.keys():
            return self
        from .checking import check

        values, problems = check(self, registry)
        if problems:
            raise DocumentError(problems, str(self.path or ""))
        return replace(self, values=values)

    def to_json(self) -> dict[str, Any]:
        """Return the document as JSON-able data."""
        written: dict[str, Any] = {**self.extra, "format": f"{FORMAT}/{FORMAT_VERSION}"}
        if self.title:
            written["title"] = self.title
        written["nodes"] = {node: spec.to_json() for node, spec in self.nodes.items()}
        if self.view:
            written["view"] = self.view
        return written

    def text(self) -> str:
        """Return the document as text, one setting a line, so that differences read well."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: Path | None = None) -> Path:
        """Write the document to `path` (where it came from, by default) and return that; raises OSError, ValueError."""
        target = path or self.path
        if target is None:
            raise ValueError("this document has no file yet; name one")
        write_atomically(target, self.text().encode("utf-8"))
        return target


def load(
    source: Path | str,
    registry: Registry,
    *,
    overrides: Sequence[str] = (),
    allow_missing: bool = False,
    check_files: bool = True,
    path: Path | None = None,
) -> Document:
    """Return the document in a file (a Path, or a str that names one) or in a text (a str that holds a "{").

    `overrides` are "node.setting=value" and take effect before anything is checked. `allow_missing` keeps nodes of
    types that are not installed; `check_files` looks whether every file that a setting names is there. `path` says for
    a text where it came from. Raises DocumentError with everything that is wrong.
    """
    from . import checking, reading

    if isinstance(source, str) and "{" in source:
        text = source
    else:
        path = Path(source)
        text = reading.read_text(path)
    document, problems = reading.read(text, registry, path, allow_missing)
    document, more = _overridden(document, overrides, registry)
    problems += more
    reported = {(problem.node, problem.field) for problem in problems}
    values, more = checking.check(document, registry, check_files=check_files, reported=reported)
    problems += more
    if problems:
        raise DocumentError(problems, str(path or ""))
    return replace(document, values=values)


def set_setting(document: Document, assignment: str, registry: Registry) -> Document:
    """Return the document with "node.setting=value" done; the value is JSON, or text where JSON does not fit.

    Raises DocumentError for a node or setting that is not there, and for a value that the setting refuses.
    """
    changed, problems = _overridden(document, [assignment], registry)
    if not problems:
        changed = replace(changed, values={})
        return changed.complete(registry)
    raise DocumentError(problems, str(document.path or ""))


def _overridden(document: Document, assignments: Iterable[str], registry: Registry) -> tuple[Document, list[Problem]]:
    problems: list[Problem] = []
    nodes = dict(document.nodes)
    for assignment in assignments:
        target, equals, text = assignment.partition("=")
        node, dot, name = target.strip().partition(".")
        spec = nodes.get(node)
        if not equals or not dot or not name:
            problems.append(Problem(None, None, assignment, "this is no assignment.", "Write node.setting=value."))
        elif spec is None:
            problems.append(Problem(node, None, assignment, "there is no such node.", did_you_mean(node, nodes)))
        else:
            node_type = registry.find(spec.type)
            if node_type is not None and name not in node_type.settings:
                problems.append(node_type.unknown_setting(name, text, node))
                continue
            nodes[node] = replace(spec, settings={**spec.settings, name: _parsed(text, name, node_type)})
    return replace(document, nodes=nodes), problems


def _parsed(text: str, name: str, node_type: NodeType | None) -> object:
    """Return what was typed after the "=": JSON if it is that and the setting takes it, else the text if it does."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if node_type is None or _takes(node_type, {name: value}) or not _takes(node_type, {name: text}):
        return value
    return text


def _takes(node_type: NodeType, settings: Mapping[str, object]) -> bool:
    _, problems = node_type.check(settings)
    return not any(problem.field in settings for problem in problems)
