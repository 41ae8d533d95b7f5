"""Every error that the runtime raises on purpose.

    LoRAGraphError
     ├ NodeDefinitionError (TypeError)    a function cannot be a node; raised where it is defined
     ├ DocumentError       (ValueError)   a workflow file is wrong; carries every problem found, not just the first
     ├ BadInput            (ValueError)   a node met a file or a setting that the user has to change
     ├ Cancelled           (Exception)    the run was cancelled; raised by ``ctx.check_cancel()``
     └ WorkerDied          (RuntimeError) the process that ran a node ended without an answer

All of them travel between processes (they pickle), and `str()` of each is text for a person: what is wrong, where, and
what to do about it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass

_LONGEST_VALUE = 80
_MOST_SHOWN = 50


class LoRAGraphError(Exception):
    """The root of every deliberate error."""


class NodeDefinitionError(LoRAGraphError, TypeError):
    """A function cannot be a node: a missing hint, an unknown type, a mutable default, and the like."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a workflow.

    `node` and `field` say where (None: the file as a whole), `value` is what stands there (None: nothing to show),
    `message` is one or two sentences, and `hint` says what to write instead.
    """

    node: str | None
    field: str | None
    value: object
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """The problem as one paragraph: where, what, remedy."""
        where = [f"node {show(self.node)}"] if self.node is not None else []
        if self.field is not None:
            shown = "" if self.value is None else f" = {show(self.value)}"
            where.append(f"{show(self.field)}{shown}")
        elif self.value is not None:
            where.append(show(self.value))
        text = f"{', '.join(where)}: {self.message}" if where else self.message
        return f"{text} {self.hint}".rstrip()


class DocumentError(LoRAGraphError, ValueError):
    """A workflow cannot be used; `problems` lists everything that is wrong with it."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__(self.problems, source)

    def __str__(self) -> str:
        """One paragraph per problem (of the first 50), under the file's name where there is one."""
        head = [f"{self.source}:"] if self.source else []
        rest = len(self.problems) - _MOST_SHOWN
        tail = [f"... and {rest} more problems."] if rest > 0 else []
        return "\n".join([*head, *map(str, self.problems[:_MOST_SHOWN]), *tail])


class BadInput(LoRAGraphError, ValueError):
    """A node's file or setting is wrong in a way that only the user can mend (exit code 2 on the command line)."""

    def __init__(self, message: str, field: str | None = None, value: object = None) -> None:
        super().__init__(message)
        self.field = field
        self.value = value


class Cancelled(LoRAGraphError):
    """The run was cancelled: raised inside a node by `ctx.check_cancel()`, and never caught by a node."""

    def __init__(self, message: str = "cancelled") -> None:
        super().__init__(message)


class WorkerDied(LoRAGraphError, RuntimeError):
    """The process that ran a node ended without an answer (killed, out of memory, crashed)."""


def show(value: object) -> str:
    """Return `value` as a person wrote it in JSON, shortened to one line of at most 80 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(type(value).__name__)
    # Nothing that a terminal obeys (control characters, direction marks) comes through from a stranger's file.
    if not text.isprintable():
        text = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def did_you_mean(word: object, choices: Iterable[object], *, none: str = "There is nothing to choose from.") -> str:
    """Return a sentence that names the nearest of `choices`, or lists them where none is near.

    >>> did_you_mean("rnk", ["rank", "alpha"])
    'Did you mean "rank"?'
    >>> did_you_mean("zzz", ["rank", "alpha"])
    'Choose one of: "alpha", "rank".'
    """
    names = sorted({str(choice) for choice in choices})
    if not names:
        return none
    lowered = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(str(word).lower()[:200], lowered, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {show(lowered[near[0]])}?"
    shown = ", ".join(show(name) for name in names[:12])
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"Choose one of: {shown}{more}." if len(names) > 1 else f"The only choice is {shown}."
