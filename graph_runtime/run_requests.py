"""What a request to the run queue must satisfy before anything is written."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable

from .document import Document
from .errors import BadInput, DocumentError, Problem, did_you_mean
from .modes import standing_aside

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def new_id() -> str:
    """Return an id for a run: the date, the time, and something that no other run has."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def checked_id(run: str) -> str:
    """Return the id if it can be one (it names a folder); raises BadInput."""
    if not _ID.fullmatch(run):
        said = f"{run!r} is no id of a run; those are 1 to 100 letters a to z, digits, _ and -."
        raise BadInput(said, "run", run)
    return run


def checked_text(document: Document) -> str:
    """Return the document's text; raises BadInput for what cannot be written as text."""
    try:
        text = document.text()
        text.encode("utf-8")
    except ValueError as error:
        raise BadInput(f"this workflow can't be written as JSON text: {error}.") from error
    return text


def checked_wanted(document: Document, wanted: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the wanted nodes; raises DocumentError for one that the document doesn't have or that is muted."""
    if wanted is None:
        return None
    names = tuple(dict.fromkeys(wanted))
    problems = []
    for name in names:
        node = name.partition(".")[0]
        spec = document.nodes.get(node)
        if spec is None:
            hint = did_you_mean(node, document.nodes)
            problems.append(Problem(None, None, name, "this is wanted, but there is no such node.", hint))
        elif spec.mode:
            problems.append(standing_aside(name, spec.mode))
    if problems:
        raise DocumentError(problems, str(document.path or ""))
    return names


def missing(run: str, ids: Iterable[str]) -> BadInput:
    """Return the error for a run that is not there, which names the nearest."""
    hint = did_you_mean(run, ids, none="The queue is empty.")
    return BadInput(f'there is no run "{run}". {hint}', "run", run)
