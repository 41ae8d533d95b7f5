"""Keep the libraries' progress bars and advice out of a node's log, where they read like our own words."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 200  # characters of a message about a prompt, which else repeats the whole of it
CUT = "The following part of your input was truncated"
UNTRUE = "Pipelines loaded with `dtype=torch.float16` cannot run with `cpu`"  # they can since torch 2.1


def _shorten(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    if message.startswith(CUT) and len(message) > LONGEST:
        record.msg, record.args = f"{message[:LONGEST]} …", ()
    return not message.startswith(UNTRUE)


def quiet_advice() -> None:
    """Shorten what diffusers says about long prompts, and drop what it wrongly says about float16 on a CPU."""
    for name in ("diffusers.pipelines.flux.pipeline_flux", "diffusers.pipelines.pipeline_utils"):
        logging.getLogger(name).addFilter(_shorten)  # a second time changes nothing


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Switch off the bars of diffusers and transformers while a pipeline is loaded, and on again if they were on."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    switches = (diffusers_logging, transformers_logging)
    were_on = [switch for switch in switches if switch.is_progress_bar_enabled()]
    for switch in were_on:
        switch.disable_progress_bar()
    try:
        yield
    finally:
        for switch in were_on:
            switch.enable_progress_bar()
