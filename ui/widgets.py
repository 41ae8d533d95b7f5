"""The Gradio widget of a field. The limits are said, not enforced here: the document's check has the better words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from .forms import Field

NARROW = ("choice", "switch", "number", "seed")
RANDOM_SEED = "() => Math.floor(Math.random() * 4294967296)"


def draw(fields: Sequence[Field], values: Sequence[Any]) -> list[Any]:
    """Draw the widgets of fields, the narrow ones side by side in pairs, and return them in order."""
    drawn: list[Any] = []
    while len(drawn) < len(fields):
        now = slice(len(drawn), len(drawn) + 2)
        if all(field.kind in NARROW for field in fields[now]):
            with gr.Row(equal_height=True):
                drawn += [widget(field, value) for field, value in zip(fields[now], values[now], strict=True)]
        else:
            drawn.append(widget(fields[len(drawn)], values[len(drawn)]))
    return drawn


def widget(field: Field, value: Any) -> Any:
    """Draw the widget of a field, holding `value`, and return it."""
    label, info = field.name, field.info or None
    if field.kind == "choice":
        return gr.Dropdown(
            [(str(choice), choice) for choice in field.choices], value=value, label=label, info=info, interactive=True
        )
    if field.kind == "switch":
        return gr.Checkbox(bool(value), label=label, info=info, interactive=True)
    if field.kind == "slider":
        return gr.Slider(
            field.minimum or 0,
            field.maximum or 0,
            value=value,
            step=_step(field),
            label=label,
            info=info,
            interactive=True,
        )
    if field.kind == "seed":
        another = gr.Button("new", size="sm")
        seed = gr.Number(value, label=label, info=info, interactive=True, buttons=[another])
        another.click(None, None, seed, js=RANDOM_SEED)
        return seed
    if field.kind == "number":
        return gr.Number(value, label=label, info=info, interactive=True, step=_step(field) or 1)
    lines = {"multiline": 4, "lines": 2}.get(field.kind, 1)
    return gr.Textbox(
        value, label=label, info=info, interactive=True, lines=lines, max_lines=max(lines, 12) if lines > 1 else 1
    )


def _step(field: Field) -> float | None:
    return field.step or (1 if field.whole else None)
