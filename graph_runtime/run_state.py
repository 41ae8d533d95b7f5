"""What a run is made of and what it leaves: the scheduler's data, apart from its doing.

A run of `base -> train -> styled -> grid`, in which only `train` was found in the store, starts like this:

    wanted     ("grid",)
    cached     {"train"}                looked up and found
    unneeded   {"base"}                 everything that follows it was found, so nobody asks for it
    waiting    {"grid": {"styled"}}     not ready: the parents that have not finished
    ready      ["styled"]               can start
    running    {}                       node -> the future of its job
    finished   {"base": NodeState("cached"), "train": NodeState("cached")}

and goes on until `waiting`, `ready` and `running` are empty. A node is in exactly one of these four at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .document import Document, NodeSpec
from .errors import DocumentError, Problem, WorkerDied
from .executors.base import Job, NodeFailed
from .keys import Work
from .node import NodeType
from .plan import Plan
from .registry import Registry
from .store import Store
from .values import Value, dump

Status: TypeAlias = Literal["done", "failed", "cancelled"]
NodeStatus: TypeAlias = Literal["done", "cached", "failed", "skipped", "cancelled"]
Outputs: TypeAlias = Mapping[str, Value]


@dataclass(slots=True)
class NodeState:
    """How a node came out of a run.

    `seconds` is how long it ran (0 when it did not), `outputs` its values by name (empty for a node that nobody had
    to ask, because all that follows it was found in the store), `key` its content key. `error` is one paragraph on why
    it failed or was skipped, and `bad_input` says that a file or setting of the user is to blame.
    """

    status: NodeStatus
    seconds: float = 0.0
    outputs: Outputs = field(default_factory=dict)
    key: str = ""
    error: str = ""
    bad_input: bool = False


@dataclass(slots=True)
class RunResult:
    """How a run ended: "cancelled" if it was cut short, "failed" if a node failed, else "done"; it took `seconds`."""

    status: Status
    nodes: dict[str, NodeState]
    seconds: float
    out: Path
    run: str

    @property
    def bad_input(self) -> bool:
        """Whether every failure is one that the user has to mend (exit code 2 on the command line, not 1)."""
        failed = [state for state in self.nodes.values() if state.status == "failed"]
        return bool(failed) and all(state.bad_input for state in failed)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A node that runs: where its result will be kept, the folder it fills, and the folders that go when it has ended.

    `device` is None for a light node; `begun` is on the monotonic clock, in seconds.
    """

    address: str
    folder: Path
    passing: tuple[Path, ...]
    device: str | None
    begun: float


def look_up(
    plan: Plan,
    work: Mapping[str, Work],
    node_types: Mapping[str, NodeType],
    store: Store,
    run: str = "",
    finished: Mapping[str, str] = {},
) -> tuple[dict[str, Outputs], set[str]]:
    """Return ({node: outputs found in the store}, nodes that must run), asking from the back.

    A node whose result is there hides everything above it: those nodes need neither run nor be in the store. A result
    with other outputs than the node has now (its author changed them and kept the version) is none.

    What is never looked up by its key counts as found where an earlier attempt at this very `run` finished it, as
    {node: key} in `finished` says.
    """
    found: dict[str, Outputs] = {}
    must_run: set[str] = set()
    asked = set(plan.wanted)
    for node in reversed(plan.order):
        if node not in asked:
            continue
        outputs: Outputs | None = None
        if work[node].cache:
            outputs = store.lookup(work[node].key)
        elif finished and finished.get(node) == work[node].key:
            outputs = store.lookup(address(work[node], run, node)) if node_types[node].outputs else {}
        if outputs is not None and _fits(outputs, node_types[node]):
            found[node] = outputs
        else:
            must_run.add(node)
            asked.update(plan.parents[node])
    return found, must_run


def _fits(outputs: Outputs, node_type: NodeType) -> bool:
    declared = node_type.outputs
    return outputs.keys() == declared.keys() and all(isinstance(outputs[name], kind) for name, kind in declared.items())


def address(work: Work, run: str, node: str) -> str:
    """Return the name under which the store keeps a result: the key, or a name of its own for what is never looked up.

    Two equal savers, or the same one in two runs, must not share a folder: their key does not tell what they did.
    """
    return work.key if work.cache else hashlib.sha256(f"{work.key} {run} {node}".encode()).hexdigest()


def make_job(
    spec: NodeSpec, node_type: NodeType, work: Work, outputs: Mapping[str, Outputs], id: str, places: Mapping[str, str]
) -> Job:
    """Return the job of a node whose parents have all finished; `outputs` are theirs, by node."""
    inputs: dict[str, Any] = {}
    for name, socket in node_type.inputs.items():
        wires = spec.wires(name)
        dumped = [dump(outputs[parent][output]) for parent, output in wires]
        if socket.many:
            # Left out when empty: the parameter's own default is then the value.
            if dumped or socket.required:
                inputs[name] = dumped
        elif dumped:
            inputs[name] = dumped[0]
        elif not socket.required:
            inputs[name] = None
    return Job(id, spec.id, spec.type, node_type.function, work.settings, inputs, **places)


def describe_failure(node: str, type_name: str, error: BaseException) -> dict[str, Any]:
    """Return the data of a `node_failed` event, with a message that names the node and can stand alone."""
    where = f"Node {node!r} ({type_name})"
    if isinstance(error, NodeFailed):
        if error.bad_input:
            message = str(Problem(node, error.field, error.value, error.message))
        else:
            message = f"{where} failed with {error.error}: {error.message}"
        return {"error": error.error, "message": message, "trace": error.trace, "bad_input": error.bad_input}
    message = str(error) if isinstance(error, WorkerDied) else f"{where} failed: {type(error).__name__}: {error}"
    return {"error": type(error).__name__, "message": message, "trace": "", "bad_input": False}


def check_types(document: Document, plan: Plan, registry: Registry) -> dict[str, NodeType]:
    """Return the node type of every node of the plan; raises DocumentError with all that are not installed."""
    by_name: dict[str, NodeType] = {}
    missing: list[Problem] = []
    types: dict[str, NodeType] = {}
    for node in plan.order:
        name = document.nodes[node].type
        node_type = by_name.get(name) or registry.find(name)
        if node_type is None:
            missing.append(registry.unknown(name, node))
        else:
            types[node] = by_name[name] = node_type
    if missing:
        raise DocumentError(missing, str(document.path or ""))
    return types
