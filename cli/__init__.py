"""The command line: `loragraph run | runs | lora | validate | nodes | schema | ui | doctor`: a thin face on the rest.

Exit codes: 0 done, 1 a node failed, 2 the file or a setting is wrong, 130 cancelled. While a run goes on, what a person
reads goes to standard error; results and `--events jsonl` go to standard output. Everything heavy is imported by the
command that needs it, so that `validate` answers at once.
"""

import sys
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import lora, runs
from .common import CANCELLED, DONE, FAILED, WRONG, AsJson, Device, Home, complain, wrong_input_exits

if TYPE_CHECKING:
    from ..graph_runtime.document import Document
    from ..graph_runtime.registry import Registry

__all__ = ["CANCELLED", "DONE", "FAILED", "WRONG", "app", "complain", "main"]

app = typer.Typer(
    name="loragraph",
    help="Train, combine, bake and sample LoRAs from one workflow file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(runs.app, name="runs")
app.add_typer(lora.app, name="lora")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A workflow file (JSON).", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NODE.SETTING=VALUE", help="Change a setting for this run; may be repeated."),
]


class EventFormat(StrEnum):
    """How `run` writes its events to standard output."""

    jsonl = "jsonl"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; `arguments` are those of the process where none are given."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    app(args=arguments, prog_name="loragraph")


def open_workflow(file: Path, changes: list[str] | None) -> tuple["Document", "Registry"]:
    """Return the workflow with `changes` ("node.setting=value") made, checked as far as is possible without a run."""
    from ..graph_runtime import document
    from ..graph_runtime.registry import Registry

    registry = Registry.installed()
    return document.load(file, registry, overrides=changes or ()), registry


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"loragraph {version('loragraph')}")
        raise typer.Exit(DONE)


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train, combine, bake and sample LoRAs from one workflow file."""


@app.command()
def run(
    file: File,
    set_: Set = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where saved files go (else ./out/<name of FILE>)."),
    ] = None,
    home: Home = None,
    events: Annotated[EventFormat | None, typer.Option("--events", help="Write events to standard output.")] = None,
    device: Device = None,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Run every node in this process; for debugging.")
    ] = False,
    queue: Annotated[
        bool, typer.Option("--queue", help="Let it wait its turn among other runs; it outlives this process.")
    ] = False,
    front: Annotated[bool, typer.Option("--front", help="Like --queue, before all that wait.")] = False,
) -> None:
    """Run a workflow and save its results."""
    with wrong_input_exits():
        opened, registry = open_workflow(file, set_)
        # Only now: a wrong file is refused before anything else is loaded.
        from .queueing import run_queued
        from .running import run_workflow

        go: Callable[..., int] = run_workflow
        if queue or front:
            go = partial(run_queued, name=file.stem, front=front)
        status = go(
            opened,
            registry,
            out=out or Path("out") / file.stem,
            home=home,
            jsonl=events is not None,
            devices=tuple(device or ()),
            in_process=in_process,
        )
    raise typer.Exit(status)


@app.command()
def validate(file: File, set_: Set = None) -> None:
    """Check a workflow without running it: every problem at once."""
    with wrong_input_exits():
        opened, _ = open_workflow(file, set_)
    print(f"{file}: fine, {len(opened.nodes)} nodes")


@app.command()
def nodes(
    name: Annotated[str | None, typer.Argument(help="A node type, to see it in full.", show_default=False)] = None,
    json_: AsJson = False,
) -> None:
    """List the node types, or describe one."""
    from ..graph_runtime.registry import Registry

    registry = Registry.installed()
    for package, reason in registry.failures.items():
        complain(f"the nodes of {package} could not be loaded: {reason}")
    with wrong_input_exits():
        kinds = [registry.get(name)] if name else sorted(registry.all(), key=lambda kind: kind.name)
    if json_:
        import json

        described = [kind.schema() for kind in kinds]
        print(json.dumps(described[0] if name else described, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from .describe import describe, list_nodes

    console = Console(highlight=False)
    if name:
        describe(kinds[0], console)
    else:
        list_nodes(registry, console)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a workflow file, for editors that complete and check it."""
    import json

    from ..graph_runtime.registry import Registry
    from ..graph_runtime.schema import workflow_schema

    print(json.dumps(workflow_schema(Registry.installed()), indent=2, ensure_ascii=False))


@app.command()
def ui(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The workflow to begin with.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="Where workflows are opened and saved (else where you are)."),
    ] = None,
    models: Annotated[
        list[Path] | None,
        typer.Option("--models", metavar="DIR", help="A folder of models and LoRAs to choose from; may be repeated."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Where to serve; beyond this machine it asks for a password.")] = (
        "127.0.0.1"
    ),
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="[default: the first free one from 7860]")
    ] = None,
    home: Home = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Saved files go to a folder here, by the workflow's name.")
    ] = Path("out"),
    device: Device = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Open the canvas in the browser: wire workflows, run them, see the results."""
    from .serving import serve_page

    with wrong_input_exits():
        serve_page(
            host=host,
            port=port,
            home=home,
            out=out,
            devices=tuple(device or ()),
            browser=not no_browser,
            folder=folder,
            models=tuple(models or ()),
            first=file,
        )


@app.command()
def doctor(home: Home = None, json_: AsJson = False) -> None:
    """Report what is installed, the devices, and the folders with their sizes."""
    from ..graph_runtime.store import default_home
    from .doctor import report

    rows, fine = report(home or default_home(), Path("out").absolute())
    if json_:
        import json

        sections: dict[str, dict[str, str]] = {}
        for section, name, finding in rows:
            sections.setdefault(section, {})[name] = finding
        print(json.dumps(sections, indent=2, ensure_ascii=False))
    else:
        width = max(len(name) for _, name, _ in rows)
        for section, name, finding in rows:
            print(f"{section:<8}  {name:<{width}}  {finding}")
        print("all fine" if fine else "something is missing; see the lines in capitals")
    raise typer.Exit(DONE if fine else FAILED)
