"""Putting LoRAs onto a loaded pipeline and taking them off again.

    with applied(pipeline, [Use(path, sha256, 0.8)]):
        ...                       # exactly these LoRAs at exactly these strengths
                                  # afterwards the pipeline answers as the bare base, bit for bit

`uses` says what a use of a LoRA is, `engine` attaches and switches them, `layer` and `products` are what happens in one
layer, `rows` tells the pictures of a batch apart, `pipelines` reads files for a pipeline, `fuse` adds them into its
weights for a time.
"""

from .engine import Active, Adapters
from .fuse import fused
from .pipelines import MAX_LOADED, activate, applied, deactivate, engine_of, lock, model_of
from .uses import CURVES, AnyUse, Schedule, Use, file_sha256, identity, normal, steady, total_strengths

__all__ = [
    "CURVES",
    "MAX_LOADED",
    "Active",
    "Adapters",
    "AnyUse",
    "Schedule",
    "Use",
    "activate",
    "applied",
    "deactivate",
    "engine_of",
    "file_sha256",
    "fused",
    "identity",
    "lock",
    "model_of",
    "normal",
    "steady",
    "total_strengths",
]
