"""The runtime of a workflow: what a node is, what travels between nodes, and how a document is run.

Everything that the author of a node needs is importable from here:

    from loragraph.graph_runtime import BadInput, Base, Context, LoRA, Range, node

The rest (documents, plans, keys, the store, the scheduler) is imported from its own module. Nothing here, and nothing
in this package, imports torch.
"""

from __future__ import annotations

from .context import Context, FakeContext, ModelCache
from .errors import (
    BadInput,
    Cancelled,
    DocumentError,
    LoRAGraphError,
    NodeDefinitionError,
    Problem,
    WorkerDied,
)
from .markers import Choices, InputFile, InputFolder, ModelSource, Multiline, Range, Reads, Seed, Slider
from .node import NodeType, Socket, node
from .registry import Registry
from .values import Adapter, Base, Dataset, FileRef, Images, Item, LoRA, Picture, Record, Value

__all__ = [
    "Adapter",
    "BadInput",
    "Base",
    "Cancelled",
    "Choices",
    "Context",
    "Dataset",
    "DocumentError",
    "FakeContext",
    "FileRef",
    "Images",
    "InputFile",
    "InputFolder",
    "Item",
    "LoRA",
    "LoRAGraphError",
    "ModelCache",
    "ModelSource",
    "Multiline",
    "NodeDefinitionError",
    "NodeType",
    "Picture",
    "Problem",
    "Range",
    "Reads",
    "Record",
    "Registry",
    "Seed",
    "Slider",
    "Socket",
    "Value",
    "WorkerDied",
    "node",
]
