"""Run small graphs of the sample nodes: what the scheduler's tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loragraph.graph_runtime.document import Document, NodeSpec, Reference
from loragraph.graph_runtime.events import Event
from loragraph.graph_runtime.registry import Registry
from loragraph.graph_runtime.scheduler import RunResult, run
from loragraph.tests.graph_runtime import sample_nodes
from loragraph.tests.graph_runtime.sample_nodes import noted

REGISTRY = Registry()
REGISTRY.collect(sample_nodes)


def graph(**nodes: tuple[str, dict[str, Any]]) -> Document:
    """A document from {id: (type, arguments)}; an argument named as an input is a wire "node.output", or a list."""
    specs = {}
    for node, (type_name, arguments) in nodes.items():
        kind = REGISTRY.get(type_name)
        inputs: dict[str, Any] = {}
        for name in kind.inputs:
            if (given := arguments.get(name)) is not None:
                wires = [Reference(*text.split(".")) for text in ([given] if isinstance(given, str) else given)]
                inputs[name] = wires if isinstance(given, list) else wires[0]
        settings = {name: value for name, value in arguments.items() if name not in kind.inputs}
        specs[node] = NodeSpec(node, type_name, kind.version, settings, inputs)
    return Document(specs)


class Runner:
    """Runs documents in one home, and keeps what the last run told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.events: list[Event] = []

    def __call__(self, document: Document, **options: Any) -> RunResult:
        self.events = []
        options.setdefault("executor", None)
        on_event = options.pop("on_event", None)

        def hear(event: Event) -> None:
            self.events.append(event)
            if on_event:
                on_event(event)

        home, out = self.folder / "home", self.folder / "out"
        return run(document, REGISTRY, home=home, out=out, on_event=hear, **options)

    def noted(self) -> list[str]:
        return noted(self.journal)

    def leftovers(self) -> list[Path]:
        """Files in staging folders: there must never be any after a run."""
        return [
            path
            for path in (self.folder / "home" / "staging").rglob("*")
            if path.is_file() and path.parent.parent.name != "staging"
        ]


def statuses(result: RunResult) -> dict[str, str]:
    return {node: state.status for node, state in result.nodes.items()}
