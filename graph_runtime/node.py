"""A node is a typed function; everything about it is read from its signature.

    @node(category="LoRA")
    def apply_lora(base: Base, lora: LoRA, strength: Annotated[float, Range(-4, 4), Slider()] = 1.0) -> Base:
        \"\"\"Return the base with the LoRA added.\"\"\"

becomes a `NodeType` named `ApplyLoRA` with two sockets (`base`, `lora`), one setting (`strength`) and one output
(`base`). How each parameter is read:

- its type is a `Value` class: a socket; `X | None = None` may be left empty; `tuple[X, ...]` takes any number of wires;
- its type is `Context`: filled in by the runtime;
- anything else (bool, int, float, str, Literal, a list, tuple or dict of those, with markers): a setting.

The return annotation gives the outputs: a `Value` class makes one output named after it in lower case, a NamedTuple of
values makes one per field, None makes none. Whatever cannot be read raises `NodeDefinitionError` where it is written.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, ValidationError, to_json

from . import complaints
from .context import Context
from .errors import DocumentError, NodeDefinitionError, Problem, did_you_mean
from .markers import Kind
from .signature import Socket, read
from .values import Value

__all__ = ["NodeType", "Settings", "Socket", "Upgrade", "camel_case", "node"]

Settings: TypeAlias = dict[str, Any]
Upgrade: TypeAlias = Callable[[Settings], Settings]

ACRONYMS = {
    word.lower(): word
    for word in ("LoRA", "LoRAs", "EliGen", "VAE", "CLIP", "SVD", "XY", "PNG", "JSON", "GPU", "ID", "RGB")
}


@dataclass(frozen=True, eq=False)
class NodeType:
    """What the runtime knows about a kind of node. Calling it calls the function it was made from."""

    name: str
    version: int
    category: str
    body: Callable[..., Any]
    """The function itself."""
    inputs: Mapping[str, Socket]
    settings_model: type[BaseModel]
    outputs: Mapping[str, type[Value]]
    reads: Mapping[str, Kind] = field(default_factory=dict)
    """The settings whose file or folder is part of the key, and what kind of thing each must be."""
    context: str | None = None
    """The name of the parameter that takes the Context, if there is one."""
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)
    cache: bool = True
    device: bool = False

    def __post_init__(self) -> None:
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            object.__setattr__(self, name, getattr(self.body, name))
        object.__setattr__(self, "__wrapped__", self.body)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the node's function, as if it had never been made a node."""
        return self.body(*args, **kwargs)

    def call(self, arguments: Mapping[str, Any], context: Context) -> Any:
        """Call the function with settings and input values by name, and with the context where it asks for one."""
        extra = {} if self.context is None else {self.context: context}
        return self.body(**arguments, **extra)

    def __repr__(self) -> str:
        return f"<NodeType {self.name} version {self.version} from {self.function}>"

    @property
    def function(self) -> str:
        """Where the function lives, as "module:qualname": how another process finds it."""
        return f"{self.body.__module__}:{self.body.__qualname__}"

    @property
    def doc(self) -> str:
        """The function's docstring."""
        return inspect.getdoc(self.body) or ""

    @functools.cached_property
    def settings(self) -> tuple[str, ...]:
        """The names of the settings, in the order of the signature."""
        return tuple(self.settings_model.model_fields)

    def check(self, settings: Mapping[str, object], node: str | None = None) -> tuple[Settings, list[Problem]]:
        """Return the complete settings (defaults filled in, lists for tuples made tuples) and all that is wrong.

        Nothing is coerced but a whole number where a number with a fraction is wanted. Where problems are returned,
        the settings are those as given.
        """
        try:
            # Checked as JSON, because that is what a document holds: an array is right for a tuple, "12" is no number.
            model = self.settings_model.__pydantic_validator__.validate_json(to_json(dict(settings)))
        except ValidationError as error:
            return dict(settings), self._problems(error, settings, node)
        except PydanticSerializationError:
            said = "it holds half a character, or something else that JSON does not have."
            wrong = [name for name, value in settings.items() if not _writable(name, value)]
            return dict(settings), [Problem(node, name, settings[name], said, "Write it anew.") for name in wrong]
        return dict(model), []

    def complete(self, settings: Mapping[str, object]) -> Settings:
        """Return the complete settings; raises DocumentError where any is wrong."""
        complete, problems = self.check(settings)
        if problems:
            raise DocumentError(problems, self.name)
        return complete

    def schema(self) -> dict[str, Any]:
        """Return the node's declaration as JSON-able data: what a form, a reference page, or a canvas needs."""
        return {
            "type": self.name,
            "version": self.version,
            "category": self.category,
            "doc": self.doc,
            "cache": self.cache,
            "device": self.device,
            "inputs": [
                {"name": name, "type": socket.type.__name__, "required": socket.required, "many": socket.many}
                for name, socket in self.inputs.items()
            ],
            "settings": self.settings_model.model_json_schema(),
            "outputs": [{"name": name, "type": kind.__name__} for name, kind in self.outputs.items()],
        }

    def _problems(self, error: ValidationError, settings: Mapping[str, object], node: str | None) -> list[Problem]:
        found: dict[str, Problem] = {}
        for detail in error.errors(include_url=False):
            name = str(detail["loc"][0]) if detail["loc"] else ""
            value = settings.get(name)
            if detail["type"] == "extra_forbidden":
                found[name] = self.unknown_setting(name, value, node)
            elif detail["type"] == "missing":
                found[name] = Problem(node, name, None, f"{self.name} needs this setting.", "Write a value for it.")
            elif name in found:  # The other members of a union.
                was = found[name]
                if complaints.wanted(detail) not in was.message:  # Said already, of another element of a list.
                    said = f"{was.message[:-1]}, or {complaints.wanted(detail)}."
                    found[name] = Problem(node, name, value, said, was.hint)
            else:
                found[name] = Problem(
                    node,
                    name,
                    value,
                    f"{complaints.where(detail)}must be {complaints.wanted(detail)}.",
                    complaints.hint(detail),
                )
        return list(found.values())

    def unknown_setting(self, name: str, value: object, node: str | None) -> Problem:
        """Return the problem of a setting that this node does not have."""
        if name in self.inputs:
            return Problem(node, name, value, "this is an input, not a setting.", 'Write the wire under "inputs".')
        message = f"{self.name} has no such setting."
        return Problem(node, name, value, message, did_you_mean(name, self.settings, none="It has no settings."))


def _writable(name: str, value: object) -> bool:
    """Whether a setting can be written as JSON. Bytes of a command line that are no UTF-8 text cannot."""
    try:
        to_json({name: value})
    except PydanticSerializationError:
        return False
    return True


def node(
    category: str,
    version: int = 1,
    upgrades: Mapping[int, Upgrade] | None = None,
    cache: bool = True,
    device: bool = False,
    name: str | None = None,
) -> Callable[[Callable[..., Any]], NodeType]:
    """Make a node of a function.

    `version` goes up whenever the same settings would give another result; `upgrades={1: f}` turns the settings of
    version 1 into those of version 2. `cache=False` is for writers and for what differs at every run. `device=True`
    means that the node computes on a device, and runs in that device's worker process. `name` overrides the name made
    from the function's. Raises NodeDefinitionError for what cannot be a node.
    """

    def define(function: Callable[..., Any]) -> NodeType:
        where = f"node {getattr(function, '__qualname__', function)}"
        if not inspect.isfunction(function):
            raise NodeDefinitionError(f"{where}: a node is made from a plain function")
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise NodeDefinitionError(f"{where}: a node returns its result; it is no generator or coroutine")
        if not isinstance(version, int) or version < 1:
            raise NodeDefinitionError(f"{where}: version is {version!r}; versions are 1, 2, 3, ...")
        stray = [old for old in upgrades or {} if old not in range(1, version)]
        if stray:
            raise NodeDefinitionError(f"{where}: upgrades start from version {stray[0]!r}, but this is {version}")
        type_name = name or camel_case(function.__name__)
        signature = read(function, where, type_name)
        return NodeType(
            name=type_name,
            version=version,
            category=category,
            body=function,
            inputs=MappingProxyType(signature.inputs),
            settings_model=signature.settings_model,
            outputs=MappingProxyType(signature.outputs),
            reads=MappingProxyType(signature.reads),
            context=signature.context,
            upgrades=MappingProxyType(dict(upgrades or {})),
            cache=cache,
            device=device,
        )

    return define


def camel_case(name: str) -> str:
    """Return the type name for a function's name.

    >>> camel_case("apply_lora")
    'ApplyLoRA'
    """
    return "".join(ACRONYMS.get(word, word[:1].upper() + word[1:]) for word in name.split("_"))
