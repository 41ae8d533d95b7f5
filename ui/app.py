"""The page: nothing but the canvas, as large as the window, and the endpoints that it brings.

page = build(studio)
page.launch(**launch_options(studio))      # `server.serve` does this, behind a guard
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from .canvas import GraphCanvas
from .studio import Studio

TITLE = "LoRAGraph"

LARGEST_UPLOAD = 8 * 2**30
"""Bytes: a base model in one file. It goes to the disk as it comes, not into memory."""

CSS = """
html, body { height: 100%; margin: 0; overflow: hidden; }
.gradio-container, .gradio-container > .main, .gradio-container .wrap, .gradio-container .contain {
  max-width: none !important; width: 100% !important; min-height: 0 !important;
  padding: 0 !important; margin: 0 !important;
}
.gradio-container .column, .gradio-container .html-container { gap: 0; padding: 0 !important; }
"""
"""Gradio leaves gutters around a page; the canvas wants the whole window."""


def build(studio: Studio) -> gr.Blocks:
    """Return the page; raises BadInput where the front end has not been built."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, fill_height=True) as page:
        GraphCanvas(studio=studio, height="100dvh", elem_id="loragraph")
    return page


def theme() -> gr.themes.Base:
    """Return the page's look: the system's own fonts, so that none is fetched."""
    return gr.themes.Default(
        primary_hue="blue",
        font=("system-ui", "-apple-system", "Segoe UI", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "monospace"),
    )


def launch_options(studio: Studio) -> dict[str, Any]:
    """Return what both `launch` and `mount_gradio_app` need."""
    for place in studio.allowed_paths:
        if Path(place).is_relative_to(studio.workspace.home):
            Path(place).mkdir(parents=True, exist_ok=True)
    return {
        "ssr_mode": False,
        "run_history": False,
        "footer_links": [],
        "allowed_paths": studio.allowed_paths,
        "max_file_size": LARGEST_UPLOAD,
        "theme": theme(),
        "css": CSS,
    }
