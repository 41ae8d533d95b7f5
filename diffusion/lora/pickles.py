"""LoRAs in PyTorch's pickles (.pt, .bin, .ckpt), which can run code when they are opened.

They are read for conversion alone, and only by PyTorch's restricted unpickler (`weights_only=True`), which knows
tensors and plain containers. CogVideo's SAT checkpoints are among them: the whole model, its LoRA as `matrix_A` and
`matrix_B`, without an alpha; SAT's own default, 1, is taken unless another is given.
"""

from __future__ import annotations

import os
import pickle
import re
import shlex
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LoraFileError
from .header import Entry

if TYPE_CHECKING:
    from torch import Tensor

    from .model import Lora

MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
WRAPPERS = ("state_dict", "module", "model", "params_ema")
DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
}


def is_pickle(path: str | Path) -> bool:
    """Whether the file begins as a pickle or as PyTorch's zip of one; False where there is no such file."""
    try:
        if not Path(path).is_file():  # opening a pipe would wait
            return False
        with open(path, "rb") as file:
            start = file.read(9)
    except (OSError, ValueError):
        return False
    # the length of a safetensors header may begin with any bytes, but "{" follows it
    return start.startswith(MAGIC) and start[8:9] != b"{"


def refusal(path: str | Path) -> LoraFileError:
    """Return the error for a pickle where a safetensors file is wanted, with the command that converts it."""
    source = Path(path)
    target = source.with_suffix(".safetensors").name
    return LoraFileError(
        f"{path} is a PyTorch pickle. Opening one can run code, so it is not loaded. Convert it safely first: "
        f"loragraph lora convert {shlex.quote(str(source))} {shlex.quote(target)} --to peft"
    )


def load(path: str | os.PathLike[str], *, alpha: float | None = None, partial: bool = False) -> Lora:
    """Read a pickle under `weights_only`. Arguments: see `reading.inspect`.

    Raises:
        LoraFileError: it cannot be read, holds anything but tensors and plain containers, or is no LoRA that is known.
    """
    from . import tensors
    from .plan import plan

    found, said = _tensors(Path(path))
    for key, value in found.items():
        _plain(str(path), key, value)
    entries = {
        key: Entry(DTYPES.get(str(value.dtype).removeprefix("torch."), str(value.dtype)), tuple(value.shape), 0, 0)
        for key, value in found.items()
    }

    def number(key: str) -> float:
        if found[key].numel() != 1:
            raise LoraFileError(f"{path} is damaged: {key} is not one number.")
        return float(found[key].item())

    read = plan(str(path), entries, {}, number, alpha, partial, warnings=said)
    kept = {key for source in read.sources for key in source.keys.values()}
    weights = {key: tensors.computable(found[key].clone()) for key in kept}
    tensors.check_numbers(weights, str(path))
    return tensors.build(read, weights)


def _plain(path: str, key: str, value: Tensor) -> None:
    """Refuse a tensor that is not simply numbers in memory: one that claims more than the file holds, say."""
    import torch

    odd = value.is_nested or value.is_quantized or value.is_complex()
    if odd or value.layout != torch.strided or value.device.type != "cpu":
        raise LoraFileError(f"{path}: {key} is not a plain tensor of real numbers. Ask for a safetensors file.")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise LoraFileError(f"{path} is damaged: {key} has more numbers than the file holds. Download it again.")


def _tensors(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of the pickle by key, without those that a SAT checkpoint holds beside its LoRA."""
    import torch

    state = _unwrap(_open(path))
    found = {str(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    said: tuple[str, ...] = ()
    pairs = {key: value for key, value in found.items() if ".matrix_A." in key or ".matrix_B." in key}
    if pairs and len(pairs) < len(found):
        said = (f"{len(found) - len(pairs):,} tensors of the whole model were left out; the LoRA was kept.",)
        found = pairs
    return found, said


def _open(path: Path) -> Any:
    import torch

    if not path.is_file():
        raise LoraFileError(f"{path} cannot be read: there is no such file. Check the path.")
    _not_packed(path)
    try:
        with torch.serialization.safe_globals(_harmless()):
            try:
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # the format before PyTorch 1.6 cannot be mapped
                return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # not PyTorch's own words, which advise to open it all the same
        what = found[0] if (found := re.search(r"GLOBAL \S+", str(error))) else "something else"
        raise LoraFileError(
            f"{path} holds more than tensors ({what}), which could run code, so it was not opened. "
            "Ask its author for a safetensors file."
        ) from error
    except Exception as error:  # whatever a broken pickle makes the unpickler stumble over
        raise LoraFileError(
            f"{path} is damaged or no PyTorch file: {_first_line(error)}. Download it again."
        ) from error


def _not_packed(path: Path) -> None:
    """Refuse a zip that grows when it is opened; PyTorch never packs what it saves.

    Raises:
        LoraFileError: it does, or the zip is damaged.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            whole = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise LoraFileError(f"{path} is damaged: {_first_line(error)}. Download it again.") from error
    if whole > path.stat().st_size:
        raise LoraFileError(
            f"{path} is a packed archive, which PyTorch does not write: {whole:,} bytes in {path.stat().st_size:,}. "
            "It was not opened; unpack it if you trust it."
        )


def _harmless() -> list[Any]:
    """Plain data that training checkpoints hold beside tensors: arguments, and the state of numpy's generator."""
    import argparse

    import numpy as np

    kinds = {type(np.dtype(code)) for code in ("u4", "u8", "i4", "i8", "f4", "f8")}
    reconstruct = np.empty(0).__reduce__()[0]
    return [argparse.Namespace, np.ndarray, np.dtype, reconstruct, *kinds]


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".") or type(error).__name__


def _unwrap(state: Any) -> Mapping[Any, Any]:
    for _ in range(len(WRAPPERS)):
        inner = next(
            (state[key] for key in WRAPPERS if isinstance(state, dict) and isinstance(state.get(key), dict)), None
        )
        if inner is None:
            break
        state = inner
    if not isinstance(state, dict):
        raise LoraFileError(f"The file holds {type(state).__name__}, not a table of tensors, so it is not a LoRA.")
    return state
