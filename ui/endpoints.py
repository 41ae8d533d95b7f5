"""The endpoints for programs, and the stream that pages follow runs by.

client = gradio_client.Client("http://127.0.0.1:7860/")
run = client.predict(text, ["sample.seed=8"], api_name="/submit")
for part in client.submit(run, 0, api_name="/follow"): print(part["events"])

/submit(workflow, changes) -> the run's id        /run(workflow, changes) yields how it goes until it has ended
/follow(run, after) yields {"events", "run"}      /cancel(run) -> the run        /runs() -> the queue
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from gradio.context import Context
from gradio.events import api

from ..graph_runtime import reading
from ..graph_runtime.errors import BadInput, DocumentError
from .following import Progress, follow, news
from .results import saved_files
from .runs import as_dict, said
from .studio import Studio

_MARK = "_loragraph_endpoints"


def add_endpoints(studio: Studio) -> None:
    """Add the endpoints to the page that is being built, once; a second canvas in a page shares the first one's."""
    page = Context.root_block
    if page is None or getattr(page, _MARK, False):
        return
    setattr(page, _MARK, True)

    async def follow_run(run: str, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """Yield {"events": [...], "run": {...}}: the run's events after a number, until it has ended."""
        try:
            async for part in follow(studio.queue, run, after):
                yield part
        except BadInput as error:
            raise gr.Error(said(error), print_exception=False) from error

    def submit(workflow: str, changes: list[str]) -> str:
        """Put a workflow's text, with changes ("node.setting=value") made, into the queue; return the run's id."""
        try:
            return studio.runs.submit(workflow, "api", changes=changes).id
        except (DocumentError, BadInput) as error:
            raise gr.Error(said(error), print_exception=False) from error

    async def run(workflow: str, changes: list[str]) -> AsyncIterator[dict[str, Any]]:
        """Run a workflow's text with changes ("node.setting=value") made, and yield how it goes until it has ended."""
        run_id = await asyncio.to_thread(submit, workflow, changes)
        document, _ = reading.read(workflow, studio.registry, None, allow_missing=True)
        progress = Progress({node: spec.type for node, spec in document.nodes.items()})
        try:
            async for events, record in news(studio.queue, run_id):
                progress.take(events)
                ended = record.ended_for_good
                files = await asyncio.to_thread(saved_files, studio.queue, record) if ended else []
                yield progress.told(record, files)
        except BadInput as error:  # It has been removed.
            raise gr.Error(said(error), print_exception=False) from error

    def cancel(run: str) -> dict[str, Any]:
        """Ask a run to stop; return it."""
        try:
            return as_dict(studio.queue.cancel(run))
        except BadInput as error:
            raise gr.Error(said(error), print_exception=False) from error

    def runs() -> list[dict[str, Any]]:
        """Return what runs, what waits in its order, and what has ended, newest first."""
        return studio.runs.listed()

    api(follow_run, api_name="follow", concurrency_limit=None)
    api(submit, api_name="submit", concurrency_limit=None)
    api(run, api_name="run", concurrency_limit=None)
    api(cancel, api_name="cancel", concurrency_limit=None)
    api(runs, api_name="runs", concurrency_limit=None)
