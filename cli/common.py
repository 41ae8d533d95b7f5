"""What the commands share: exit codes, options, and how they complain."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

DONE, FAILED, WRONG, CANCELLED = 0, 1, 2, 130

Home = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Where results are kept (else LORAGRAPH_HOME, else the user's data)."),
]
Device = Annotated[
    list[str] | None,
    typer.Option("--device", help="Where models run: cpu, cuda:0, …; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def printable(text: object) -> str:
    """Return the text with what would steer a terminal spelt out: names and headers come from strangers' files."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else repr(letter)[1:-1] for letter in str(text))


def complain(text: object) -> None:
    """Say what is wrong, on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


@contextmanager
def wrong_input_exits() -> Iterator[None]:
    """Turn what is wrong with the user's file or settings into its message and exit code 2."""
    from ..graph_runtime.errors import BadInput, DocumentError

    try:
        yield
    except (DocumentError, BadInput) as error:
        complain(error)
        raise typer.Exit(WRONG) from error
