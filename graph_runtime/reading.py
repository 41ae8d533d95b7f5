"""From the text of a workflow document to a `Document`: the grammar, without the meaning.

What is found here: text that is not JSON, nesting that no workflow needs, names that stand twice, a newer format, keys
that are not part of a document, nodes and wires that are not written as such, and older nodes, which are upgraded.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from .document import FORMAT, FORMAT_VERSION, MODES, Document, Mode, NodeSpec, Reference
from .errors import DocumentError, Problem, did_you_mean, show
from .registry import Registry
from .upgrades import upgrade

DEEPEST = 64
LARGEST = 64 * 2**20
"""Bytes; a document of 100,000 nodes is about 30 MiB."""

_ID = re.compile(r"\w[\w-]{0,99}")
_DOCUMENT_KEYS = ("format", "title", "nodes", "view", "$schema")
_NODE_KEYS = ("type", "version", "mode", "settings", "inputs")


def read_text(path: Path) -> str:
    """Return the text of a file; raises DocumentError where it cannot be read as one."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            said = f"this file has {size} bytes; a workflow has at most {LARGEST}."
            raise _only(said, "Is it a workflow file?", path)
        with path.open("rb") as stream:  # No more than that, also from a pipe or a device, which tell no size.
            data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise _only(f"this is more than {LARGEST} bytes; no workflow is.", "Is it a workflow file?", path)
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        said = f"this is not UTF-8 text (byte {error.start} is {error.object[error.start]:#04x})."
        raise _only(said, "Is it a workflow file?", path) from error
    except (OSError, ValueError) as error:
        if isinstance(error, DocumentError):
            raise
        said = f"this workflow file cannot be read: {getattr(error, 'strerror', None) or error}."
        raise _only(said, _beside(path), path) from error


def read(text: str, registry: Registry, path: Path | None, allow_missing: bool) -> tuple[Document, list[Problem]]:
    """Return the document that `text` holds and what is wrong with it.

    Raises DocumentError where nothing can be told beyond that: no JSON, too deep, another format.
    """
    repeated: list[str] = []
    data = _parse(text, path, repeated)
    problems = [
        Problem(None, None, name, "this name stands twice in one place; only the last would count.", "Rename one.")
        for name in repeated
    ]
    _check_format(data, path)
    problems += _strange_keys(None, data, _DOCUMENT_KEYS, "A workflow")
    title, view = data.get("title", ""), data.get("view", {})
    if not isinstance(title, str):
        problems.append(Problem(None, "title", title, "the title is text."))
    if not isinstance(view, dict):
        problems.append(Problem(None, "view", view, 'the view is an object, such as {"train": {"at": [320, 40]}}.'))
    nodes: dict[str, NodeSpec] = {}
    missing: set[str] = set()
    upgraded: dict[str, int] = {}
    written = data.get("nodes")
    if not isinstance(written, dict):
        said = "a workflow has its nodes here, as an object of nodes by name."
        problems.append(Problem(None, "nodes", written, said, "{} is an empty one."))
        written = {}
    for node, body in written.items():
        if not _ID.fullmatch(node):
            said = "a node's name is 1 to 100 letters, digits, _ and -, and begins with a letter, a digit or _."
            problems.append(Problem(node, None, None, said, "Rename it."))
        spec, wrong = _node(node, body, registry)
        if spec is None:
            problems += wrong
            continue
        nodes[node] = spec
        if spec.type not in registry:
            missing.add(node)
            if allow_missing:
                wrong = [problem for problem in wrong if problem.field != "type"]
        elif isinstance(was := body.get("version"), int) and 0 < was < spec.version:
            upgraded[node] = int(was)
        problems += wrong
    problems += _infinities(data, missing)
    extra = {"$schema": data["$schema"]} if "$schema" in data else {}
    document = Document(
        nodes=nodes,
        title=title if isinstance(title, str) else "",
        view=view if isinstance(view, dict) else {},
        path=path,
        missing=frozenset(missing),
        upgraded=upgraded,
        extra=extra,
    )
    return document, problems


def _parse(text: str, path: Path | None, repeated: list[str]) -> dict[str, Any]:
    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(found)
        if len(result) != len(found):
            counts = Counter(name for name, _ in found)
            repeated.extend(name for name, count in counts.items() if count > 1)
        return result

    deep = f"this nests deeper than {DEEPEST} levels; no workflow needs that."
    try:
        data = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        line = error.doc.split("\n")[error.lineno - 1].strip()  # Lines as json counts them.
        said = f"this is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise _only(f"{said}: {show(line)}." if line else f"{said}.", "Is it a workflow file?", path) from error
    except RecursionError:
        raise _only(deep, "Is it a workflow file?", path) from None
    except ValueError as error:  # int() refuses a number of thousands of digits.
        said = "this holds a whole number of thousands of digits, which cannot be read."
        raise _only(said, "Is it a workflow file?", path) from error
    level: list[Any] = [data]
    for _ in range(DEEPEST):
        level = [part for each in level if isinstance(each, dict | list) for part in _parts(each)]
        if not level:
            break
    else:
        raise _only(deep, "Is it a workflow file?", path)
    if not text.isascii() or "\\u" in text:
        try:
            json.dumps(data, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            broken = error.object[error.start : error.end]
            said = f"this holds half a character ({show(broken)}), which no text can have."
            raise _only(said, "Write the character itself.", path) from error
    if not isinstance(data, dict):
        raise _only(f"a workflow is a JSON object, not {show(data)}.", "Is it a workflow file?", path)
    return data


def _parts(data: dict[str, Any] | list[Any]) -> list[Any]:
    return list(data.values()) if isinstance(data, dict) else data


def _check_format(data: dict[str, Any], path: Path | None) -> None:
    said = data.get("format")
    ours = f'"{FORMAT}/{FORMAT_VERSION}"'
    match = re.fullmatch(rf"{FORMAT}/([0-9]{{1,9}})", said) if isinstance(said, str) else None
    if match is None:
        what = "there is no format" if said is None else "this is no format that LoRAGraph knows"
        problem = Problem(None, "format", said, f"{what}.", f'A workflow begins with "format": {ours}.')
    elif int(match[1]) > FORMAT_VERSION:
        problem = Problem(
            None, "format", said, f"this file was written by a newer LoRAGraph; this one reads {ours}.", "Update it."
        )
    elif int(match[1]) < 1:
        problem = Problem(None, "format", said, "there never was such a format.", f"Write {ours}.")
    else:
        return
    raise DocumentError([problem], str(path or ""))


def _infinities(data: dict[str, Any], missing: Iterable[str]) -> list[Problem]:
    """Return a problem for every nan and infinity (1e999) outside the settings that a node type will check.

    Python's reader takes them and JSON does not have them: such a document could never be saved.
    """
    problems = []
    parts: list[tuple[str | None, str, Any]] = [(None, name, data.get(name)) for name in ("view", "$schema")]
    parts += [(node, "settings", data["nodes"][node].get("settings")) for node in missing]
    for node, name, part in parts:
        try:
            json.dumps(part, allow_nan=False)
        except ValueError:
            said = "this holds a number that is not finite (nan, or too large), which JSON does not have."
            problems.append(Problem(node, name, part, said, "Write another number."))
    return problems


def _strange_keys(node: str | None, body: dict[str, Any], known: tuple[str, ...], what: str) -> list[Problem]:
    return [
        Problem(node, name, body[name], f"{what} has no such part.", did_you_mean(name, known))
        for name in body
        if name not in known
    ]


def _node(node: str, body: object, registry: Registry) -> tuple[NodeSpec | None, list[Problem]]:
    if not isinstance(body, dict):
        return None, [Problem(node, None, body, "a node is an object.", 'Write {"type": ...}.')]
    problems = _strange_keys(node, body, _NODE_KEYS, "A node")
    name = body.get("type")
    if not isinstance(name, str):
        said = "a node names its type." if name is None else "the type of a node is text."
        return None, [*problems, Problem(node, "type", name, said, did_you_mean(name or "", registry.names()))]
    node_type = registry.find(name)
    if node_type is None:
        problems.append(registry.unknown(name, node))
    version = body.get("version", node_type.version if node_type else 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        problems.append(Problem(node, "version", version, "a version is a whole number from 1."))
        version = node_type.version if node_type else 1
    mode = body.get("mode", "")
    if mode not in MODES:
        said = "a node is muted, bypassed, or has no mode."
        problems.append(Problem(node, "mode", mode, said, did_you_mean(mode, MODES[1:])))
        mode = ""
    settings, inputs = body.get("settings", {}), body.get("inputs", {})
    if not isinstance(settings, dict):
        problems.append(Problem(node, "settings", settings, "the settings are an object, by name."))
        settings = {}
    if not isinstance(inputs, dict):
        problems.append(Problem(node, "inputs", inputs, "the inputs are an object, by name."))
        inputs = {}
    if node_type is not None:
        settings, wrong = upgrade(node, node_type, version, settings)
        problems += wrong
        version = max(version, node_type.version)
    wires: dict[str, Reference | list[Reference]] = {}
    for name_, written in inputs.items():
        many = isinstance(written, list)
        found = [_reference(each) for each in (written if many else [written])]
        good = [each for each in found if each is not None]
        if len(good) < len(found):
            hint = _reference_hint(written)
            problems.append(Problem(node, name_, written, 'a wire is written "node.output".', hint))
        elif many or good:
            wires[name_] = good if many else good[0]
    return NodeSpec(node, name, version, settings, wires, cast(Mode, mode)), problems


def _reference(written: object) -> Reference | None:
    if not isinstance(written, str):
        return None
    node, _, output = written.partition(".")
    return Reference(node, output) if node and output and "." not in output else None


def _reference_hint(written: object) -> str:
    if isinstance(written, str) and written and "." not in written:
        return f'Write "{written}.", then the name of that node\'s output.'
    return ""


def _only(message: str, hint: str, path: Path | None) -> DocumentError:
    return DocumentError([Problem(None, None, None, message, hint)], str(path or ""))


def _beside(path: Path) -> str:
    try:
        names = [each.name for each in path.parent.iterdir() if each.suffix == ".json"]
    except OSError:
        return ""
    return did_you_mean(path.name, names, none="")
