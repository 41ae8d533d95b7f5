"""Reading a function's signature: which parameters are sockets, which are settings, what comes out.

    def apply_lora(base: Base, lora: LoRA, strength: Annotated[float, Range(-4, 4)] = 1.0) -> Base: ...

gives inputs `base` and `lora`, a pydantic model with the setting `strength`, and the output `base`.
Whatever cannot be read raises `NodeDefinitionError` that names the function and the parameter.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, JsonValue, PydanticSchemaGenerationError, PydanticUserError, create_model
from pydantic_core import SchemaError, ValidationError, to_json

from .complaints import wanted
from .context import Context
from .errors import NodeDefinitionError, show
from .markers import Kind, Reads
from .values import Value

_SCALARS = (bool, int, float, str)
_CONFIG = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


@dataclass(frozen=True)
class Socket:
    """An input: the kind of value it takes, whether a wire must be there, and whether it takes several."""

    type: type[Value]
    required: bool = True
    many: bool = False


@dataclass(frozen=True)
class Signature:
    """What a function's parameters and return annotation say about it as a node."""

    inputs: dict[str, Socket]
    settings_model: type[BaseModel]
    outputs: dict[str, type[Value]]
    reads: dict[str, Kind]
    context: str | None


def read(function: Callable[..., Any], where: str, type_name: str) -> Signature:
    """Read the signature of `function`; `where` begins the text of every NodeDefinitionError that this raises."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise NodeDefinitionError(f"{where}: its type hints cannot be read: {error}") from error
    inputs: dict[str, Socket] = {}
    fields: dict[str, Any] = {}
    reads: dict[str, Kind] = {}
    context: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        at = f'{where}, parameter "{parameter.name}"'
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise NodeDefinitionError(f"{at}: a node's parameters have names; *args, **kwargs and / are refused")
        if parameter.name not in hints:
            raise NodeDefinitionError(f"{at}: it has no type hint; write one, such as {parameter.name}: float")
        hint = hints[parameter.name]
        if isinstance(hint, type) and issubclass(hint, Context):
            if context is not None:
                raise NodeDefinitionError(f'{at}: "{context}" takes the context already')
            context = parameter.name
        elif (socket := _socket(hint, parameter, at)) is not None:
            inputs[parameter.name] = socket
        else:
            fields[parameter.name] = _setting(hint, parameter, at)
            kind = _reads(hint)
            if kind is not None:
                reads[parameter.name] = kind
    if "return" not in hints:
        raise NodeDefinitionError(f"{where}: it has no return hint; write -> LoRA, -> Images, ... or -> None")
    model = _settings_model(type_name, fields, where)
    return Signature(inputs, model, _outputs(hints["return"], where), reads, context)


def _is_value(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, Value)


def _socket(hint: Any, parameter: inspect.Parameter, at: str) -> Socket | None:
    """Return the socket that a hint declares, or None where it declares a setting."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    arguments = get_args(bare)
    optional = get_origin(bare) in (Union, types.UnionType) and type(None) in arguments
    if optional:
        rest = [argument for argument in arguments if argument is not type(None)]
        if not any(map(_is_value, rest)):
            return None
        if len(rest) > 1:
            raise NodeDefinitionError(f"{at}: a socket takes one kind of value; use a common base class")
        _default(parameter, None, at)
        return Socket(rest[0], required=False)
    if _is_value(bare):
        if parameter.default is not parameter.empty:
            raise NodeDefinitionError(f"{at}: a socket has no default; write {bare.__name__} | None = None")
        return Socket(bare)
    if get_origin(bare) in (tuple, list) and any(map(_is_value, arguments)):
        if get_origin(bare) is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
            raise NodeDefinitionError(f"{at}: several wires are written tuple[{arguments[0].__name__}, ...]")
        _default(parameter, (), at)
        return Socket(arguments[0], required=parameter.default is parameter.empty, many=True)
    return None


def _default(parameter: inspect.Parameter, allowed: object, at: str) -> None:
    if parameter.default is not parameter.empty and parameter.default != allowed:
        raise NodeDefinitionError(f"{at}: the only default that this socket can have is {allowed!r}")


def _setting(hint: Any, parameter: inspect.Parameter, at: str) -> tuple[Any, Any]:
    """Return (type, default) of a setting for pydantic; refuses types that JSON cannot carry."""
    _allowed(hint, at)
    if parameter.name.startswith("_") or hasattr(BaseModel, parameter.name):
        raise NodeDefinitionError(f"{at}: this name is taken by pydantic; choose another")
    if isinstance(parameter.default, list | dict | set):
        raise NodeDefinitionError(f"{at}: its default {parameter.default!r} is mutable; use a tuple or None")
    return hint, ... if parameter.default is parameter.empty else parameter.default


def _allowed(hint: Any, at: str) -> None:
    waiting = [hint]
    while waiting:
        part = waiting.pop()
        origin, arguments = get_origin(part), get_args(part)
        if origin is Annotated:
            waiting.append(arguments[0])
        elif origin in (Union, types.UnionType, list, tuple):
            waiting.extend(argument for argument in arguments if argument not in (type(None), Ellipsis))
        elif origin is dict and arguments[0] is str:
            waiting.append(arguments[1])
        elif part not in _SCALARS and part is not JsonValue and origin is not Literal:
            raise NodeDefinitionError(
                f"{at}: {getattr(part, '__name__', part)!r} is neither a value nor a type that a setting can have; "
                "those are bool, int, float, str, Literal, JsonValue, and lists, tuples and dicts (by str) of them"
            )


def _reads(hint: Any) -> Kind | None:
    """Return what the hint's Reads marker says, looking into optional and repeated paths."""
    waiting = [hint]
    while waiting:
        part = waiting.pop()
        if get_origin(part) is Annotated:
            for marker in part.__metadata__:
                if isinstance(marker, Reads):
                    return marker.kind
        waiting.extend(argument for argument in get_args(part) if get_origin(part) is not Literal)
    return None


def _settings_model(name: str, fields: dict[str, Any], where: str) -> type[BaseModel]:
    try:
        model = create_model(f"{name}Settings", __config__=_CONFIG, **fields)
    except (PydanticUserError, PydanticSchemaGenerationError, SchemaError, TypeError, NameError) as error:
        raise NodeDefinitionError(f"{where}: its settings cannot be read: {error}") from error
    given = {key: default for key, (_, default) in fields.items() if default is not ...}
    for key, default in given.items():
        alone = {other: None for other in fields if other not in given} | {key: default}
        try:
            model.__pydantic_validator__.validate_json(to_json(alone))
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                if detail["loc"][:1] == (key,):
                    raise NodeDefinitionError(
                        f'{where}, parameter "{key}": its default {show(default)} must be {wanted(detail)}'
                    ) from error
    return model


def _outputs(hint: Any, where: str) -> dict[str, type[Value]]:
    if hint is None or hint is type(None):
        return {}
    if _is_value(hint):
        return {hint.__name__.lower(): hint}
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        outputs = get_type_hints(hint)
        wrong = [name for name, kind in outputs.items() if not _is_value(kind)]
        if not wrong and outputs:
            return outputs
        raise NodeDefinitionError(f'{where}: its output "{"".join(wrong[:1])}" is not a value class')
    raise NodeDefinitionError(
        f"{where}: it returns {hint!r}; a node returns a value class, a NamedTuple of them, or None"
    )
