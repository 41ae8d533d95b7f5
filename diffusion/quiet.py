"""Keep the libraries' progress bars and advice out of a node's log, where they read like our own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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
