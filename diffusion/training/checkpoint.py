"""A checkpoint: one safetensors file that holds the adapter and AdamW's state after `step` steps.

tensors "parameter/<name>", "exp_avg/<name>", "exp_avg_sq/<name>"; metadata {"step", "run"}, where `run` is a digest of
all that the result depends on. Random state is not among them because there is none: every step's numbers follow from
the seed and the step (`schedule`). Written to a temporary name and renamed, so a kill leaves the previous checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from ..errors import DiffusionError
from ..lora import header
from ..lora.atomic import save_tensors

logger = logging.getLogger(__name__)
FILE_NAME = "checkpoint.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")


def save(
    folder: Path, parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer, step: int, run: str
) -> None:
    """Write the checkpoint after `step` steps, replacing the previous one."""
    tensors = {f"parameter/{name}": value.detach() for name, value in parameters.items()}
    for name, value in parameters.items():
        for moment in MOMENTS:
            tensors[f"{moment}/{name}"] = optimizer.state[value][moment]
    save_tensors(tensors, folder / FILE_NAME, {"step": str(step), "run": run})


def restore(
    folder: Path, parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer, run: str
) -> int:
    """Load the checkpoint in `folder`, if there is a sound one of the same run; returns the steps done, else 0."""
    path = folder / FILE_NAME
    for half_written in folder.glob(f".{FILE_NAME}.*.tmp"):  # of a run that was killed while it saved
        half_written.unlink(missing_ok=True)
    if not path.is_file():
        return 0
    try:
        found = header.read(path)
        if found.metadata.get("run") != run:
            logger.warning("%s belongs to another run; starting at the first step", path)
            return 0
        tensors = load_file(path)
        values = {name: [tensors[f"{kind}/{name}"] for kind in ("parameter", *MOMENTS)] for name in parameters}
        step = int(found.metadata["step"])
    except (DiffusionError, KeyError, ValueError, OSError) as error:
        logger.warning("the checkpoint cannot be used (%s); starting at the first step", error)
        return 0
    with torch.no_grad():
        for name, parameter in parameters.items():
            value, first, second = (tensor.to(parameter.device) for tensor in values[name])
            parameter.copy_(value)
            count = torch.tensor(float(step), device=parameter.device if optimizer.defaults.get("fused") else "cpu")
            optimizer.state[parameter] = {"step": count, "exp_avg": first, "exp_avg_sq": second}
    return step
