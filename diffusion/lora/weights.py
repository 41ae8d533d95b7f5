"""A LoRA in memory: {module: Pair(down A, up B, alpha)}, and its file.

The change of a module's weight is  strength * alpha / rank * B @ A  (Hu et al. 2106.09685).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from ..errors import LoraFileError, few
from . import header as headers
from .files import DOWN, METADATA_KEY, PREFIX, UP, inspect

# torch dtype -> its name in safetensors
NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.uint8: "U8",
}


class Pair(NamedTuple):
    """down: A [rank, in]; up: B [out, rank]; alpha: the scale is alpha / rank."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """The inner size of the product."""
        return int(self.down.shape[0])

    @property
    def scale(self) -> float:
        """alpha / rank."""
        return self.alpha / self.rank

    def delta(self) -> torch.Tensor:
        """The full change [out, in] at strength 1, in fp32."""
        return self.scale * (self.up.float() @ self.down.float())


Lora = dict[str, Pair]


def load(path: str | os.PathLike[str]) -> Lora:
    """Read a file.

    Raises:
        LoraFileError: see `files.inspect`; or a weight is not a number.
    """
    info = inspect(Path(path))
    tensors = load_file(path)
    if broken := [key for key, value in tensors.items() if not value.isfinite().all()]:
        raise LoraFileError(
            f"{path} holds values that are no numbers, in {few(broken)}: its training went wrong, and every "
            "picture would be black. Use an earlier state of it."
        )
    return {
        module: Pair(tensors[PREFIX + module + DOWN], tensors[PREFIX + module + UP], info.alphas[module])
        for module in info.shapes
    }


def state_dict(lora: Mapping[str, Pair], prefix: str = PREFIX) -> dict[str, torch.Tensor]:
    """Return the tensors under their names in the file."""
    tensors: dict[str, torch.Tensor] = {}
    for module in sorted(lora):
        tensors[prefix + module + DOWN] = lora[module].down.contiguous()
        tensors[prefix + module + UP] = lora[module].up.contiguous()
    return tensors


def peft_config(lora: Mapping[str, Pair]) -> dict[str, Any]:
    """Return the PEFT configuration that gives each module its rank and alpha: LoraConfig(**it) is valid."""
    ranks = {module: pair.rank for module, pair in lora.items()}
    alphas = {module: pair.alpha for module, pair in lora.items()}
    rank = Counter(ranks.values()).most_common(1)[0][0]
    alpha = Counter(alphas.values()).most_common(1)[0][0]
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": _plain(alpha),
        # anchored with ^: a bare name would also match modules that merely end in it
        "rank_pattern": {f"^{name}": value for name, value in sorted(ranks.items()) if value != rank},
        "alpha_pattern": {f"^{name}": _plain(value) for name, value in sorted(alphas.items()) if value != alpha},
        "target_modules": sorted(lora),
        "lora_dropout": 0.0,
        "bias": "none",
        "use_dora": False,
        "use_rslora": False,
    }


def _plain(alpha: float) -> float:
    """Whole numbers as int: some readers of the header expect that."""
    return int(alpha) if float(alpha).is_integer() else alpha


def save(lora: Mapping[str, Pair], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> Path:
    """Write the file atomically, with the PEFT configuration and `metadata` (texts) in its header; returns the path."""
    header = {"format": "pt", **(metadata or {})}
    config = {PREFIX + key: value for key, value in peft_config(lora).items()}
    header[METADATA_KEY] = json.dumps(config, indent=2, sort_keys=True)
    tensors = {name: tensor.detach().cpu() for name, tensor in state_dict(lora).items()}
    return save_atomically(tensors, path, header)


def raw_bytes(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a tensor, little-endian as on every machine that torch runs on."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    data: memoryview = flat.view(torch.uint8).numpy().data
    return data


def save_atomically(
    tensors: dict[str, torch.Tensor], path: str | os.PathLike[str], header: dict[str, str] | None = None
) -> Path:
    """Write a safetensors file under a temporary name, flush it to disk, rename it: there is never half a file."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(handle)
    try:
        start, places = headers.build(
            {key: (NAMES[value.dtype], tuple(value.shape)) for key, value in tensors.items()}, header or {}
        )
        with open(name, "wb") as file:
            file.write(start)
            for key in places.tensors:
                file.write(raw_bytes(tensors[key]))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's 0600 would hide the file from the other users of a shared folder
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target
