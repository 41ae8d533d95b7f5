"""What a LoRA file is, and whether it fits a base: from headers alone, without torch and without reading weights.

The format read and written here is diffusers-PEFT: `transformer.<module>.lora_A.weight` [rank, in] and
`....lora_B.weight` [out, rank], with the PEFT configuration (r, lora_alpha, patterns) as JSON under
`lora_adapter_metadata` in the header. The scale of a module is alpha / rank; without any alpha it is 1.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LoraFileError, LoraMismatch, ModelError, few
from . import header
from .header import Header

METADATA_KEY = "lora_adapter_metadata"
PREFIX = "transformer."
DOWN, UP, ALPHA = ".lora_A.weight", ".lora_B.weight", ".alpha"

# A key that matches names the format of the file. First match wins.
OTHER_FORMATS = (
    (r"^lora_unet_(double|single)_blocks_", "kohya's FLUX format"),
    (r"^lora_unet_|^lora_te\d?_", "kohya's Stable Diffusion format"),
    (r"^lora_transformer_", "OneTrainer's format"),
    (r"^diffusion_model\.", "the format of ComfyUI and of the original models"),
    (r"^base_model\.model\.", "raw PEFT format"),
    (r"^unet\.", "a LoRA for a Stable Diffusion model"),
    (r"^text_encoder(_\d)?\.", "a LoRA for a text encoder"),
    (r"^(double|single)_blocks\..*processor", "XLabs' FLUX format"),
    (r"\.(hada_w\d|lokr_w\d|oft_blocks|dora_scale|lora_magnitude_vector)", "a LyCORIS or DoRA adapter"),
    (r"\.lora_down\.weight$|\.lora\.down\.weight$", "a format with lora_down and lora_up keys"),
    (r"^transformer\..*\.lora_[AB]\.", "PEFT keys with a bias or an adapter's name in them"),
    (r"\.lora_[AB]\.", "a LoRA whose keys lack the `transformer.` prefix"),
)
# A module name that matches tells the architecture.
ARCHITECTURES = (
    (r"^single_transformer_blocks\.|\.attn\.add_q_proj$|\.ff_context\.|\.norm1_context\.", "flux"),
    (r"^transformer_blocks\.\d+\.attn1\.", "cogvideox"),
    (r"^transformer_blocks\.\d+\.img_mlp\.", "qwen-image"),
    (r"^blocks\.\d+\.", "wan"),
)


@dataclass(frozen=True)
class LoraInfo:
    """A LoRA file in short. `rank` and `alpha` are the largest over its modules; `family` is "" when the names do not
    tell. `shapes`: module -> (in, out, rank); `alphas`: module -> alpha (the rank where the file says none)."""

    family: str
    rank: int
    modules: int
    alpha: float
    keys: tuple[str, ...]
    shapes: dict[str, tuple[int, int, int]] = field(repr=False)
    alphas: dict[str, float] = field(repr=False)
    metadata: dict[str, str] = field(repr=False)


def inspect(path: str | Path) -> LoraInfo:
    """Return what the file holds.

    Raises:
        LoraFileError: missing, truncated, corrupt, not safetensors, not a LoRA, or a LoRA in another format.
    """
    found = header.read(path, LoraFileError)
    if not found.tensors:
        raise LoraFileError(f"{path} holds no tensors, so it is not a LoRA.")
    refuse_other_formats(path, found)
    shapes = _module_shapes(path, found)
    alphas = read_alphas(path, found.metadata, {module: shape[2] for module, shape in shapes.items()})
    alphas |= _alpha_tensors(path, found)  # where a file has both, the tensor is what its writer trained with
    if odd := [module for module, alpha in alphas.items() if not math.isfinite(alpha)]:
        raise LoraFileError(f"{path} is damaged: the alpha of {few(odd)} is not a number. Save it again.")
    return LoraInfo(
        family=architecture(shapes),
        rank=max(rank for _, _, rank in shapes.values()),
        modules=len(shapes),
        alpha=max(alphas.values()),
        keys=tuple(found.tensors),
        shapes=shapes,
        alphas=alphas,
        metadata=found.metadata,
    )


def architecture(modules: Mapping[str, object]) -> str:
    """Return the family that the module names betray, or ""."""
    for pattern, name in ARCHITECTURES:
        if any(re.search(pattern, module) for module in modules):
            return name
    return ""


def refuse_other_formats(path: str | Path, found: Header) -> None:
    """Raise LoraFileError unless every key is one of the format in the module's docstring."""
    strange = [key for key in found.tensors if not (key.startswith(PREFIX) and key.endswith((DOWN, UP, ALPHA)))]
    if not strange:
        return
    for pattern, name in OTHER_FORMATS:
        hits = [key for key in strange if re.search(pattern, key)]
        if hits:
            raise LoraFileError(
                f"{path} holds keys such as {few(hits, 2)}: {name}, which is not read here. "
                "Use a file in the diffusers format (keys `transformer.….lora_A.weight`) without others."
            )
    if len(strange) < len(found.tensors):
        raise LoraFileError(f"{path} holds keys that belong to no LoRA module: {few(strange)}. Nothing was loaded.")
    raise LoraFileError(f"{path} is not a LoRA: it holds tensors such as {few(strange, 2)}. Is it a base model?")


def _module_shapes(path: str | Path, found: Header) -> dict[str, tuple[int, int, int]]:
    downs = {key[len(PREFIX) : -len(DOWN)]: key for key in found.tensors if key.endswith(DOWN)}
    ups = {key[len(PREFIX) : -len(UP)]: key for key in found.tensors if key.endswith(UP)}
    scales = {key[len(PREFIX) : -len(ALPHA)] for key in found.tensors if key.endswith(ALPHA)}
    lonely = sorted((downs.keys() ^ ups.keys()) | (scales - downs.keys()))
    if lonely:
        raise LoraFileError(f"{path} is incomplete: lora_A or lora_B is missing for {few(lonely)}. Save it again.")
    shapes = {}
    for module, key in downs.items():
        down, up = found.tensors[key], found.tensors[ups[module]]
        if len(down.shape) != 2 or len(up.shape) != 2 or down.shape[0] != up.shape[1] or down.shape[0] == 0:
            raise LoraFileError(
                f"{path} is damaged: the two halves of {module} do not fit ({list(down.shape)} and {list(up.shape)})."
            )
        for entry in (down, up):
            if entry.dtype not in ("F64", "F32", "F16", "BF16"):
                raise LoraFileError(f"{path}: {module} is stored as {entry.dtype}; a LoRA must be F32, F16 or BF16.")
        shapes[module] = (down.shape[1], up.shape[0], down.shape[0])
    return shapes


def _alpha_tensors(path: str | Path, found: Header) -> dict[str, float]:
    """Read the few bytes of `<module>.alpha` scalars, which some trainers store beside the pairs."""
    alphas = {}
    for key in [key for key in found.tensors if key.endswith(ALPHA)]:
        entry = found.tensors[key]
        if entry.dtype not in ("F64", "F32", "F16", "BF16") or entry.end - entry.begin != header.SIZES[entry.dtype]:
            raise LoraFileError(f"{path} is damaged: {key} is not one number.")
        with open(path, "rb") as file:
            file.seek(entry.begin)
            raw = file.read(entry.end - entry.begin)
        if entry.dtype == "BF16":
            raw = b"\0\0" + raw  # a bfloat16 is the upper half of a float32
        code = {"F64": "<d", "F16": "<e"}.get(entry.dtype, "<f")
        alphas[key[len(PREFIX) : -len(ALPHA)]] = float(struct.unpack(code, raw)[0])
    return alphas


def read_alphas(path: str | Path, metadata: Mapping[str, str], ranks: Mapping[str, int]) -> dict[str, float]:
    """Return the alpha of each module, such that its scale is alpha / rank, from the header's PEFT configuration.

    Raises:
        LoraFileError: the configuration is unreadable, or asks for a variant whose maths is another (DoRA).
    """
    if METADATA_KEY not in metadata:
        return {module: float(rank) for module, rank in ranks.items()}
    try:
        raw = json.loads(metadata[METADATA_KEY])
        config: dict[str, Any] = {key.removeprefix(PREFIX): value for key, value in raw.items()}
        if config.get("use_dora") or config.get("lora_bias"):
            kind = "DoRA" if config.get("use_dora") else "LoRA with a bias"
            raise LoraFileError(f"{path} is a {kind}; only plain LoRA is read here.")
        patterns = config.get("alpha_pattern") or {}
        alphas = {}
        for module, rank in ranks.items():
            # PEFT's rule (peft.utils.get_pattern_key): a pattern matches the whole name or what follows a dot
            hit = next((key for key in patterns if re.match(rf"(.*\.)?({key})$", module)), None)
            alpha = float(patterns[hit] if hit is not None else config.get("lora_alpha", rank))
            # rank-stabilised LoRA scales by alpha / sqrt(r) (2312.03732)
            alphas[module] = alpha * rank**0.5 if config.get("use_rslora") else alpha
    except LoraFileError:
        raise
    except (ValueError, TypeError, AttributeError, re.error) as error:
        raise LoraFileError(f"{path} has an unreadable {METADATA_KEY} in its header: {error}.") from error
    return alphas


def base_shapes(folder: str | Path, component: str = "transformer") -> dict[str, tuple[int, ...]]:
    """Return {tensor name: shape} of a component of a pipeline folder, from the headers of its safetensors files.

    Raises:
        ModelError: no weights there, or a broken file.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in weight_files(folder, component):
        shapes |= {name: entry.shape for name, entry in header.read(file, ModelError).tensors.items()}
    return shapes


def weight_files(folder: str | Path, component: str = "transformer") -> list[Path]:
    """Return the safetensors files that a loader would take for the component (all shards of one variant).

    Raises:
        ModelError: there is none.
    """
    root = Path(folder) / component
    index = root / "diffusion_pytorch_model.safetensors.index.json"
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            if outside := sorted(name for name in names if Path(name).name != name):
                raise ValueError(f"it points outside its folder ({few(outside)})")
            return sorted(root / name for name in names)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelError(f"{index} cannot be read: {error}. Download the model again.") from error
    single = root / "diffusion_pytorch_model.safetensors"
    if not single.is_file():
        raise ModelError(f"The base model in {folder} has no {component} weights ({single.name}). Download it again.")
    return [single]


def check_fits(path: str | Path, base_folder: str | Path) -> LoraInfo:
    """Return the LoRA's info if every module of it exists in the base with the same shape.

    Raises:
        LoraFileError, ModelError: one of the two cannot be read.
        LoraMismatch: modules without a home, or of another shape; the message names a few.
    """
    info = inspect(path)
    check_shapes(str(path), info, base_shapes(base_folder), str(base_folder))
    return info


def check_shapes(path: str, info: LoraInfo, base: Mapping[str, tuple[int, ...]], base_name: str) -> None:
    """Raise LoraMismatch unless each module of the LoRA meets a weight [out, in] of the base."""
    missing = [module for module in info.shapes if f"{module}.weight" not in base]
    wrong = [
        f"{module} is {inside} -> {outside} in the LoRA, {base[f'{module}.weight'][-1]} -> "
        f"{base[f'{module}.weight'][0]} in the base"
        for module, (inside, outside, _) in info.shapes.items()
        if f"{module}.weight" in base and tuple(base[f"{module}.weight"]) != (outside, inside)
    ]
    if not missing and not wrong:
        return
    made_for = f" It seems made for {info.family}." if info.family and missing else ""
    reasons = []
    if missing:
        reasons.append(f"{len(missing)} of its {info.modules} modules are not in the base ({few(missing)})")
    if wrong:
        reasons.append(f"{len(wrong)} have another size ({few(wrong, 2)})")
    raise LoraMismatch(
        f"The LoRA {path} does not fit the base {base_name}: {' and '.join(reasons)}.{made_for} "
        "Use a LoRA made for this base."
    )
