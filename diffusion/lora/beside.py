"""A file that PEFT has saved, made to speak for itself.

PEFT writes `adapter_model.safetensors` with the weights and `adapter_config.json` beside it with alpha, so the one
without the other has no scale. `embedded` copies the weights byte for byte into a file whose header says what the
configuration says, under `lora_config` (one of the places where alpha is looked for, see `alphas`). No tensor is read.

    embedded("style/adapter_model.safetensors", "style.safetensors")
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

from ..errors import LoraFileError
from . import header as headers

CONFIG = "adapter_config.json"
KEY = "lora_config"


def embedded(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write the file with the configuration beside it in its header, and return where it is.

    Raises:
        LoraFileError: one of the two cannot be read, or the header has such an entry already.
    """
    path, out = Path(path), Path(out)
    metadata = headers.read(path, LoraFileError).metadata
    if KEY in metadata:
        raise LoraFileError(f"{path} has its own {KEY}, so the {CONFIG} beside it says nothing.")
    with path.open("rb") as source, out.open("wb") as target:
        (length,) = struct.unpack("<Q", source.read(8))
        described = json.loads(source.read(length))
        try:
            config = json.loads(path.with_name(CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise LoraFileError(f"{path.with_name(CONFIG)} can't be read: {error}. Save the LoRA again.") from error
        # Offsets count from the end of the header, so what follows stays as it is.
        described["__metadata__"] = {**metadata, KEY: json.dumps(config, sort_keys=True)}
        text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        target.write(struct.pack("<Q", len(text)) + text)
        shutil.copyfileobj(source, target, 1 << 20)
    return out
