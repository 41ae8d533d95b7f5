"""Run one job's node function in this process: the step that every executor shares, in whatever process it is.

    call(job, send, cancelled, models) -> {"lora": {"$type": "LoRA", ...}}

finds the node by its name "module:qualname", loads the values on its wires, calls it with a `RunnerContext`, checks
what it returned against its declared outputs, and dumps that again.
"""

from __future__ import annotations

import importlib
import traceback
from threading import Event
from typing import Any

from .. import values
from ..context import ModelCache
from ..errors import BadInput, show
from ..node import NodeType
from ..runner_context import RunnerContext, Send
from .base import Job, Outputs


def resolve(function: str) -> NodeType:
    """Return the node type that "module:qualname" names.

    Raises LookupError when the module has no such node, ImportError when the module can't be imported.
    """
    module_name, _, qualname = function.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, NodeType):
        raise LookupError(
            f"{function!r} is not a node that can be found by its name, as a worker process has to: "
            f"define the function at the top level of its module, under @node"
        )
    return found


def call(job: Job, send: Send, cancelled: Event, models: ModelCache, node_type: NodeType | None = None) -> Outputs:
    """Run the job's node here and return its dumped outputs; whatever the node raises goes through."""
    node_type = node_type or resolve(job.function)
    context = RunnerContext(job, send, cancelled, models)
    context.check_cancel()
    # Checked again on this side, because JSON made lists of tuples on the way.
    arguments: dict[str, Any] = node_type.complete(job.settings)
    for name, dumped in job.inputs.items():
        if dumped is None:
            arguments[name] = None
        else:
            arguments[name] = tuple(map(values.load, dumped)) if isinstance(dumped, list) else values.load(dumped)
    return dump_outputs(node_type, node_type.call(arguments, context))


def dump_outputs(node_type: NodeType, returned: object) -> Outputs:
    """Return what a node returned as {output name: dumped value}, checked against what it declares.

    Raises TypeError, naming the node type and the output, when it returned something else.
    """
    declared = node_type.outputs
    if not declared and returned is not None:
        raise TypeError(f"{node_type.name} declares no output but returned a {type(returned).__name__}")
    results = returned if isinstance(returned, tuple) else (returned,) * bool(declared)
    if len(results) != len(declared):
        raise TypeError(f"{node_type.name} must return {', '.join(declared)}, but returned {len(results)} values")
    for (name, kind), value in zip(declared.items(), results, strict=True):
        if not isinstance(value, kind):
            raise TypeError(
                f"{node_type.name} must return a {kind.__name__} as its output {name!r}, "
                f"but returned a {type(value).__name__}"
            )
    return {name: values.dump(value) for name, value in zip(declared, results, strict=True)}


def failure(error: BaseException) -> dict[str, Any]:
    """Return an exception as JSON-able data, the arguments of `NodeFailed`."""
    data: dict[str, Any] = {
        "error": type(error).__name__,
        "message": str(error) or type(error).__name__,
        "trace": "".join(traceback.format_exception(error)),
    }
    if isinstance(error, BadInput):
        plain = isinstance(error.value, str | int | float | None)
        data |= {"bad_input": True, "field": error.field, "value": error.value if plain else show(error.value)}
    return data
