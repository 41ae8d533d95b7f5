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
from .markers import (
    Advanced,
    Choices,
    Colour,
    InputFile,
    InputFolder,
    InputLoRA,
    ModelSource,
    Multiline,
    Range,
    Reads,
    Seed,
    Slider,
    Suggestions,
)
from .node import NodeType, Socket, node
from .regions import RegionPainter, Regions
from .registry import Registry
from .values import (
    Adapter,
    Base,
    Clip,
    Dataset,
    Entities,
    Entity,
    FileRef,
    Images,
    Item,
    LoRA,
    Picture,
    Record,
    Schedule,
    Shape,
    Table,
    Value,
    Videos,
)

__all__ = [
    "Adapter",
    "Advanced",
    "BadInput",
    "Base",
    "Cancelled",
    "Choices",
    "Clip",
    "Colour",
    "Context",
    "Dataset",
    "DocumentError",
    "Entities",
    "Entity",
    "FakeContext",
    "FileRef",
    "Images",
    "InputFile",
    "InputFolder",
    "InputLoRA",
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
    "RegionPainter",
    "Regions",
    "Registry",
    "Schedule",
    "Seed",
    "Shape",
    "Slider",
    "Socket",
    "Suggestions",
    "Table",
    "Value",
    "Videos",
    "WorkerDied",
    "node",
]
