"""The node types that are installed.

They are found through the entry point group `loragraph.nodes`: an installed package names modules there, and every
`NodeType` that such a module holds is entered. LoRAGraph's own nodes come through the same door.

    registry = Registry.installed()
    registry.get("ApplyLoRA").inputs
"""

from __future__ import annotations

from importlib.metadata import entry_points
from types import ModuleType
from typing import Self

from .errors import DocumentError, NodeDefinitionError, Problem, did_you_mean
from .node import NodeType

GROUP = "loragraph.nodes"


class Registry:
    """Node types by name. Registering validates at once; two types cannot share a name."""

    def __init__(self, *node_types: NodeType) -> None:
        self._types: dict[str, NodeType] = {}
        self.failures: dict[str, str] = {}
        """Packages whose nodes could not be imported, with the reason in words."""
        for node_type in node_types:
            self.register(node_type)

    @classmethod
    def installed(cls) -> Self:
        """Return a registry of everything that is installed."""
        registry = cls()
        registry.discover()
        return registry

    def register(self, node_type: NodeType) -> NodeType:
        """Enter a node type and return it; raises NodeDefinitionError where another one has its name."""
        if not isinstance(node_type, NodeType):
            raise NodeDefinitionError(f"{node_type!r} is not a node; put @node(category=...) above its function")
        known = self._types.get(node_type.name)
        if known is not None and known is not node_type:
            raise NodeDefinitionError(
                f"two nodes are named {node_type.name}: {known.function} and {node_type.function}; "
                "give one another name with @node(name=...)"
            )
        self._types[node_type.name] = node_type
        return node_type

    def collect(self, module: ModuleType) -> None:
        """Enter every node type that is a public attribute of `module`."""
        for name, found in vars(module).items():
            if isinstance(found, NodeType) and not name.startswith("_"):
                self.register(found)

    def discover(self) -> None:
        """Enter the nodes of every installed package; one that fails is noted in `failures` and costs no other."""
        for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name != "core", point.name)):
            try:
                self.collect(point.load())
            except Exception as error:  # Somebody else's package may raise anything on import.
                self.failures[f"{point.name} ({point.value})"] = f"{type(error).__name__}: {error}"

    def get(self, name: str) -> NodeType:
        """Return the node type of that name; raises DocumentError with the nearest name where there is none."""
        found = self._types.get(name)
        if found is None:
            raise DocumentError([self.unknown(name)])
        return found

    def find(self, name: object) -> NodeType | None:
        """Return the node type of that name, or None."""
        return self._types.get(name) if isinstance(name, str) else None

    def unknown(self, name: object, node: str | None = None) -> Problem:
        """Return the problem of a type that is not installed."""
        hint = did_you_mean(name, self._types, none="No nodes are installed.")
        if self.failures:
            failed = "; ".join(f"{package}: {reason}" for package, reason in self.failures.items())
            hint = f"{hint} Some nodes could not be loaded: {failed}"
        return Problem(node, "type", name, "there is no node of this type.", hint)

    def all(self) -> list[NodeType]:
        """Return every node type, ordered by name."""
        return [self._types[name] for name in sorted(self._types)]

    def names(self) -> list[str]:
        """Return every type name, in order."""
        return sorted(self._types)

    def __contains__(self, name: object) -> bool:
        """Whether a node type of that name is installed."""
        return name in self._types

    def __len__(self) -> int:
        """How many node types are installed."""
        return len(self._types)
