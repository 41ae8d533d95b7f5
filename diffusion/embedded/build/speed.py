"""What makes training quick on this processor, and the one log file all stages write to."""

import json
import time
from contextlib import AbstractContextManager
from pathlib import Path

import torch


def fast_bf16() -> bool:
    """Whether the processor multiplies bf16 matrices in hardware (AMX); elsewhere bf16 is far slower than fp32."""
    return bool(torch.cpu._is_amx_tile_supported())


def autocast() -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16, enabled=fast_bf16())


def log(work: Path, stage: str, **figures: object) -> None:
    """Print one line of figures and append it to `log.jsonl`."""
    line = json.dumps({"stage": stage, "at": round(time.time()), **figures})
    print(line, flush=True)
    with open(work / "log.jsonl", "a") as file:
        file.write(line + "\n")
