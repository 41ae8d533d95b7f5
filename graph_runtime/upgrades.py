"""Bringing a node that was saved by an older version of its type up to the present one.

A node type of version 3 with `upgrades={1: f, 2: g}` reads settings of version 1 through f, then g. A version without
a function changed what the node computes and not its settings.
"""

from __future__ import annotations

from .errors import Problem
from .node import NodeType, Settings


def upgrade(node: str, node_type: NodeType, version: int, settings: Settings) -> tuple[Settings, list[Problem]]:
    """Return the settings as the present version has them, and what went wrong on the way there."""
    if version > node_type.version:
        message = f"this {node_type.name} was saved by version {version}; the installed one is {node_type.version}."
        return settings, [Problem(node, "version", version, message, "Update the package that it comes from.")]
    for old in range(min(node_type.upgrades, default=version), node_type.version):
        step = node_type.upgrades.get(old)
        if old < version or step is None:
            continue
        try:
            upgraded = step(dict(settings))
        except Exception as error:  # Somebody else's function, fed with somebody else's file.
            message = f"its settings cannot be upgraded from version {old}: {type(error).__name__}: {error}."
            return settings, [Problem(node, "version", version, message, "Make the node anew.")]
        if not isinstance(upgraded, dict):
            message = f"the upgrade of {node_type.name} from version {old} returned no settings."
            return settings, [Problem(node, "version", version, message, "Report it to the author of the node.")]
        settings = upgraded
    return settings, []
