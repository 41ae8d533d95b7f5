"""The Gradio page: choose a workflow, edit the settings of its nodes, run it, watch it, take the results.

    page = build(Desk(registry, home, out, executor), workflows=Path("workflows"))

What the page has open is a small dict {"name", "path", "text"} in the browser session's state; the forms are made anew
whenever it changes. The run itself is the `Desk`'s, and every page that is loaded shows it. Programs use the same door
through the endpoint `/run` (see `run_text`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

import gradio as gr
from gradio.events import api

from ..graph_runtime import document as documents
from ..graph_runtime.document import Document, NodeSpec
from ..graph_runtime.errors import BadInput, DocumentError, Problem
from ..graph_runtime.registry import Registry
from . import drawing
from .forms import Field, fields, value_of, with_edits
from .running import Desk, View
from .widgets import draw

FIRST = "teach_a_style"
MOST_FORMS = 60
"""Nodes that get a form; those beyond keep what the file says. A page of more would take seconds to build."""

RIGHT = ("wrong", "status", "curve", "preview", "gallery", "files", "run", "cancel")
"""The components of the page's right half, in the order of their updates."""


class Opened(TypedDict):
    """What a page has open. `path` is "" for a file that was sent by the browser."""

    name: str
    path: str
    text: str


def ready_made(folder: Path) -> dict[str, Path]:
    """Return the workflow files of a folder by name, the one to begin with first."""
    return {path.stem: path for path in sorted(folder.glob("*.json"), key=lambda path: (path.stem != FIRST, path.stem))}


def open_file(path: Path, registry: Registry, sent_as: str = "") -> Opened:
    """Return what a page holds for a workflow file; raises DocumentError with all that is wrong with it.

    `sent_as` is the file's name where the browser sent it. Files that settings name are looked for only when it is run,
    so that a form can mend them.
    """
    try:
        document = documents.load(path, registry, check_files=False)
    except DocumentError as error:
        raise DocumentError(error.problems, sent_as or error.source) from error
    name = re.sub(r"[^\w -]", "_", Path(sent_as or path.name).stem).strip()[:80] or "workflow"
    return {"name": name, "path": "" if sent_as else str(path), "text": document.text()}


def reopened(opened: Opened, registry: Registry) -> Document:
    """Return the document that a page has open."""
    path = Path(opened["path"]) if opened["path"] else None
    return documents.load(opened["text"], registry, path=path, check_files=False)


def run_text(desk: Desk, workflow: str, changes: list[str]) -> Iterator[dict[str, Any]]:
    """Run the text of a workflow with `changes` ("node.setting=value") made, and yield how it goes until it ends."""
    if "{" not in workflow:  # `load` would take it for the name of a file.
        raise DocumentError([Problem(None, None, workflow, "this is no workflow.", "Send the text of its file.")])
    desk.start(documents.load(workflow, desk.registry, overrides=changes, check_files=False), "api")
    for view in desk.watch():
        yield {
            "status": view.status,
            "seconds": view.seconds,
            "nodes": {
                node: {"type": row.type, "state": row.state, "step": row.step, "total": row.total, "note": row.note}
                for node, row in view.rows.items()
            },
            "failures": {node: message for node, (message, _) in view.failures.items()},
            "error": view.error,
            "files": view.files,
        }


def build(desk: Desk, workflows: Path) -> gr.Blocks:
    """Return the page; `workflows` is the folder of the ready-made ones."""
    ready = ready_made(workflows)
    registry = desk.registry
    with gr.Blocks(title="LoRAGraph", analytics_enabled=False, fill_width=True) as page:
        opened = gr.State(None)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=380):
                gr.HTML("<h1>LoRAGraph</h1>")
                with gr.Row(equal_height=True):
                    picker = gr.Dropdown(list(ready), value=next(iter(ready), None), label="Workflow", scale=3)
                    sent = gr.UploadButton("Open a file…", file_types=[".json"], scale=1, min_width=130)
                wrong_file = gr.HTML(visible=False)
                form = gr.Column()
            with gr.Column(scale=3, min_width=420, elem_classes="lg-run-side"):
                with gr.Row():
                    run = gr.Button("Run", variant="primary")
                    cancel = gr.Button("Cancel", interactive=False)
                wrong = gr.HTML(visible=False)
                status = gr.HTML('<div class="lg-quiet">Nothing has been run yet.</div>')
                curve = gr.HTML(visible=False, label="Loss")
                preview = gr.HTML(visible=False)
                gallery = gr.Gallery(
                    visible=False,
                    label="Pictures",
                    preview=True,
                    height=440,
                    object_fit="contain",
                    buttons=["download", "fullscreen"],
                )
                files = gr.File(visible=False, label="Files", file_count="multiple", interactive=False, height=220)
        shown = [wrong, status, curve, preview, gallery, files, run, cancel]

        def open_ready(name: str | None) -> tuple[Any, Any]:
            return _opening(lambda: open_file(ready[name], registry) if name in ready else None)

        def open_sent(path: str | None) -> tuple[Any, Any, Any]:
            if path is None:
                return gr.skip(), gr.skip(), gr.skip()
            file = Path(path)
            found, said = _opening(lambda: open_file(file, registry, sent_as=file.name))
            return found, said, None if isinstance(found, dict) and "text" in found else gr.skip()

        def watch() -> Iterator[list[Any]]:
            yield [gr.skip()] * len(RIGHT)  # Where there is no run: Gradio takes "nothing" for "empty".
            yield from _updates(desk.watch())

        picker.input(open_ready, picker, [opened, wrong_file], api_visibility="private")
        sent.upload(open_sent, sent, [opened, wrong_file, picker], api_visibility="private")
        page.load(open_ready, picker, [opened, wrong_file], api_visibility="private")
        page.load(watch, None, shown, show_progress="hidden", concurrency_limit=None, api_visibility="private")
        cancel.click(desk.cancel, queue=False, api_visibility="private")
        with form:
            _make_forms(desk, opened, run, shown)

        def run_endpoint(workflow: str, changes: list[str]) -> Iterator[dict[str, Any]]:
            """Run a workflow's text with changes ("node.setting=value") and yield how it goes."""
            try:
                yield from run_text(desk, workflow, changes)
            except (DocumentError, BadInput) as error:
                raise gr.Error(str(error)) from error

        api(run_endpoint, api_name="run", concurrency_limit=None)
    return page


def _opening(open_: Callable[[], Opened | None]) -> tuple[Any, Any]:
    """Return what to put into the page's state, and the message: a wrong file leaves the open one as it is."""
    try:
        found = open_()
    except DocumentError as error:
        return gr.skip(), gr.HTML(drawing.problem(error), visible=True)
    return found, gr.HTML("", visible=False)


def _make_forms(desk: Desk, opened: gr.State, run: gr.Button, shown: list[Any]) -> None:
    """Let the forms, and what the Run button sends, follow the workflow that is open."""

    @gr.render(inputs=[opened], triggers=[opened.change], show_progress="hidden")
    def forms(now: Opened | None) -> None:
        if now is None:
            return
        document = reopened(now, desk.registry)
        made: list[tuple[str, list[Field]]] = []
        widgets: list[Any] = []
        gr.HTML(drawing.workflow(document, now["name"], MOST_FORMS))
        for node, spec in list(document.nodes.items())[:MOST_FORMS]:
            made.append((node, (wanted := _sorted_fields(spec, desk.registry))))
            widgets += _form(spec, wanted, desk.registry)

        def go(*held: Any) -> Iterator[list[Any]]:
            yield from run_form(desk, now["name"], document, made, held)

        run.click(go, widgets, shown, show_progress="hidden", concurrency_limit=None, api_visibility="private")


def run_form(
    desk: Desk, name: str, document: Document, forms: list[tuple[str, list[Field]]], held: Sequence[Any]
) -> Iterator[list[Any]]:
    """Run the document with what the widgets of `forms` hold, and yield updates of the page's right half (`RIGHT`)."""
    try:
        desk.start(with_edits(document, forms, held), name)
    except (DocumentError, BadInput) as error:
        yield [gr.update(value=drawing.problem(error), visible=True), *[gr.skip()] * (len(RIGHT) - 1)]
        return
    yield from _updates(desk.watch())


def _sorted_fields(spec: NodeSpec, registry: Registry) -> list[Field]:
    """Return a node's fields: first those that the workflow writes or needs, then the rest."""
    found = fields(registry.get(spec.type))
    return sorted(found, key=lambda field: not _foremost(field, spec))


def _foremost(field: Field, spec: NodeSpec) -> bool:
    return field.required or field.name in spec.settings


def _form(spec: NodeSpec, found: list[Field], registry: Registry) -> list[Any]:
    """Draw one node, and return the widgets of its fields in order."""
    node_type = registry.get(spec.type)
    first = [field for field in found if _foremost(field, spec)]
    rest = found[len(first) :]
    with gr.Accordion(f"{spec.id}  ·  {spec.type}", open=bool(first) and node_type.cache):
        gr.HTML(drawing.about(spec, node_type))
        widgets = draw(first, [value_of(field, spec) for field in first])
        if rest:
            with gr.Accordion(f"{'More settings' if first else 'Settings'} ({len(rest)})", open=False):
                widgets += draw(rest, [value_of(field, spec) for field in rest])
    return widgets


def _updates(views: Iterator[View]) -> Iterator[list[Any]]:
    """Yield the updates of the right half of the page; what has not changed is left alone."""
    last: dict[str, dict[str, Any]] = {}

    def changed(name: str, **properties: Any) -> Any:
        if last.get(name) == properties:
            return gr.skip()
        last[name] = properties
        return gr.update(**properties)

    def html(name: str, text: str) -> Any:
        return changed(name, value=text, visible=bool(text))

    for view in views:
        running = view.status == "running"
        yield [
            html("wrong", ""),
            html("status", drawing.run(view)),
            html("curve", drawing.curve(view)),
            html("preview", drawing.preview(view.preview) if running else ""),
            changed("gallery", value=view.pictures, visible=bool(view.pictures)),
            changed("files", value=view.files or None, visible=bool(view.files)),
            changed("run", interactive=not running),
            changed("cancel", interactive=running and not view.stopping),
        ]
