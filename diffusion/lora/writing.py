"""LoRA files in the three dialects that the world reads.

    peft      transformer.….lora_A.weight, .lora_B.weight     diffusers, PEFT; the configuration in the header
    kohya     lora_unet_…_qkv.lora_down.weight, .lora_up…     kohya's scripts, ComfyUI, WebUIs
    comfyui   diffusion_model.….lora_down.weight, .lora_up…   ComfyUI; the model's original names

The scale is folded into B, alpha is the rank: whether a reader looks at the `.alpha` tensor, at the header or at
neither, it computes the same change. Equal LoRAs give equal bytes, whatever their files are called.

    save(lora, "style.safetensors", "kohya", lineage=Lineage("convert", (part("style-old.safetensors"),)))
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import SettingError, few, nearest
from . import names as families
from .atomic import data_sha256, save_tensors
from .convert import names_in, renamed
from .delta import Delta, Full, Hadamard, Kronecker, LowRank
from .lineage import Lineage
from .model import Change, Lora
from .modelspec import network, texts
from .names.family import Names
from .pairs import as_pair, folded

DIALECTS = {"peft": "diffusers and PEFT", "kohya": "kohya's scripts", "comfyui": "ComfyUI"}
ADAPTER_METADATA = "lora_adapter_metadata"
NETWORK = {"kohya": "lora_unet_", "comfyui": "diffusion_model."}

Tensors = dict[str, Tensor]


def save(
    lora: Lora,
    path: str | os.PathLike[str],
    dialect: str = "peft",
    *,
    metadata: Mapping[str, str] | None = None,
    family: str | None = None,
    lineage: Lineage | None = None,
    rank: int | None = None,
    date: str | None = None,
) -> Path:
    """Write a file atomically and return its path.

    Args:
        metadata: texts for the header, beside those that the LoRA brings, such as a "modelspec.title". Without one, the
            title is that of the family of models, and never the file's name.
        family: where the LoRA does not know its own; names of modules elsewhere follow from it.
        rank: the largest rank of a pair that stands for a LoHa, LoKr or full difference in the peft dialect; None: any
            that makes the pair no larger than the difference itself.
        date: ISO 8601; left out where None, so that equal results are equal files.

    Raises:
        SettingError: the dialect cannot hold this LoRA; the message says what could.
    """
    target = Path(path)
    of_family = lora.family if family is None else family
    tensors, own = state_dict(lora, dialect, family=of_family, rank=rank)
    sha256 = data_sha256(tensors)
    if dialect == "kohya":
        ranks = [len(tensor) for name, tensor in tensors.items() if name.endswith(("lora_down.weight", "w1_b", "w2_b"))]
        plain = all(isinstance(change.delta, LowRank) for change in lora.changes.values())
        own = network(of_family, max(ranks, default=0), plain, sha256)
    header = texts(
        {**lora.metadata, **(metadata or {})},
        dialect=dialect,
        family=of_family,
        title=f"{families.get(of_family).title} LoRA" if of_family in families.FAMILIES else "LoRA",
        sha256=sha256,
        lineage=lineage,
        date=date,
    )
    return save_tensors(tensors, target, {**header, **own})


def state_dict(
    lora: Lora, dialect: str = "peft", *, family: str | None = None, rank: int | None = None
) -> tuple[Tensors, dict[str, str]]:
    """Return the tensors by their names in the file, and what the header must say of them.

    Raises:
        SettingError: see `save`.
    """
    if dialect not in DIALECTS:
        raise SettingError("dialect", dialect, f"use one of {', '.join(DIALECTS)}.{nearest(dialect, DIALECTS)}")
    changes = {name: change for name, change in lora.changes.items() if _something(change)}
    if not changes:
        raise SettingError("lora", "", "it changes nothing, so there is nothing to write.")
    if dialect == "peft":
        return _peft(changes, rank)
    of_family = lora.family if family is None else family
    if of_family not in families.FAMILIES:
        raise SettingError(
            "dialect",
            dialect,
            f"the names of modules in it depend on the family of models, which is {of_family!r} here. Use peft, or say "
            f"which of {', '.join(families.FAMILIES)} it is.",
        )
    return _by_suffix(changes, families.get(of_family), dialect, rank), {}


def _something(change: Change) -> bool:
    return change.delta is not None or change.bias is not None or change.set_weight is not None


# --- the dialects with `.alpha` -------------------------------------------------------------------------------------


def _by_suffix(changes: Mapping[str, Change], names: Names, dialect: str, rank: int | None) -> Tensors:
    if not (names.kohya if dialect == "kohya" else names.comfyui):
        raise SettingError(
            "dialect", dialect, f"no LoRA files of {names.title} are made in it, and nothing would read one. Use peft."
        )
    apart: dict[str, dict[str, Change]] = {}
    for name, change in changes.items():
        component, _, module = name.partition(".")
        apart.setdefault(component, {})[module] = change
    tensors: Tensors = {}
    for component, of_component in apart.items():
        prefix = _prefix(component, names, dialect)
        for name, change in renamed(of_component, names_in(dialect, names, component), rank, dialect).items():
            key = prefix + (name.replace(".", "_") if dialect == "kohya" else name)
            tensors |= {f"{key}.{suffix}": tensor for suffix, tensor in _suffixed(name, change, dialect, rank).items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _prefix(component: str, names: Names, dialect: str) -> str:
    if component == names.component:
        return NETWORK[dialect]
    if dialect == "kohya" and component in names.kohya_text:
        return f"{names.kohya_text[component]}_"
    if dialect == "comfyui" and component in names.text_encoders:
        return f"text_encoders.{names.text_encoders[component][1]}.transformer."
    raise SettingError("dialect", dialect, f"it has no name for the {component} of {names.title}. Use peft.")


def _suffixed(name: str, change: Change, dialect: str, rank: int | None) -> Tensors:
    """The tensors of one module by the ends of their names, as LyCORIS and ComfyUI read them."""
    delta, tensors = change.delta, Tensors()
    norm = delta is not None and len(delta.shape) == 1
    if isinstance(delta, LowRank):
        pair = folded(delta)
        tensors = {"lora_down.weight": pair.down, "lora_up.weight": _with_kernel(pair), "alpha": _number(pair.alpha)}
        if pair.mid is not None:
            tensors["lora_mid.weight"] = pair.mid
    elif isinstance(delta, Hadamard):
        tensors = {f"hada_{role}": getattr(delta, role) for role in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")}
        tensors["alpha"] = _number(delta.scale * delta.inner)
    elif isinstance(delta, Kronecker):
        if delta.selected is not None:
            return _suffixed(name, replace(change, delta=_alone(name, delta, rank, dialect)), dialect, rank)
        roles = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")
        tensors = {f"lokr_{role}": getattr(delta, role) for role in roles}
        # without a decomposed factor there is no rank, and alpha is read by nobody
        tensors["alpha"] = _number(delta.scale * delta.inner if delta.inner else delta.alpha)
    elif isinstance(delta, Full):
        tensors = {"w_norm" if norm and dialect == "kohya" else "diff": delta.diff}
    if change.bias is not None:
        tensors["b_norm" if norm and dialect == "kohya" else "diff_b"] = change.bias
    if change.magnitude is not None and delta is not None:
        tensors["dora_scale"] = _dora_scale(change.magnitude.vector, change.magnitude.axis, delta.shape)
    if change.set_weight is not None:
        if dialect == "kohya":
            raise SettingError("dialect", dialect, f"it has no way to replace a weight, as {name} is. Use comfyui.")
        tensors["set_weight"] = change.set_weight
    if change.widens and delta is not None:
        if dialect == "kohya":
            raise SettingError(
                "dialect", dialect, f"it has no way to widen a weight, as {name} is. Use comfyui or peft."
            )
        tensors["reshape_weight"] = torch.tensor(delta.shape, dtype=torch.int64)
    return {suffix: tensor for suffix, tensor in tensors.items() if tensor is not None}


def _number(value: float) -> Tensor:
    return torch.tensor(float(value), dtype=torch.float32)


def _with_kernel(pair: LowRank) -> Tensor:
    """B [out, rank, 1, 1] beside the A of a convolution."""
    if pair.up.ndim == pair.down.ndim:
        return pair.up
    return pair.up.reshape(*pair.up.shape[:2], *(1 for _ in pair.down.shape[2:]))


def _dora_scale(vector: Tensor, axis: int, shape: tuple[int, ...]) -> Tensor:
    """[out, 1, …] or [1, in, …]: readers tell the axis by the shape."""
    if axis == 0:
        return vector.reshape(-1, *(1 for _ in shape[1:]))
    if vector.numel() == shape[1]:
        return vector.reshape(1, -1, *(1 for _ in shape[2:]))
    return vector.reshape(1, *shape[1:])


# --- diffusers-PEFT -------------------------------------------------------------------------------------------------


def _peft(changes: Mapping[str, Change], rank: int | None) -> tuple[Tensors, dict[str, str]]:
    products = {name: _product(name, change) for name, change in changes.items()}
    most = max((delta.rank for delta in products.values() if not isinstance(delta, LowRank)), default=0)
    pairs = {name: _alone(name, delta, rank, "peft", most) for name, delta in products.items()}
    tensors: Tensors = {}
    settings: dict[str, Any] = {}
    for component in dict.fromkeys(name.partition(".")[0] for name in pairs):
        own = {name: pair for name, pair in pairs.items() if name.startswith(f"{component}.")}
        biased = any(changes[name].bias is not None for name in own)
        _one_kind(component, {name: changes[name] for name in own})
        for name, pair in own.items():
            change, up = changes[name], _with_kernel(pair)
            tensors[f"{name}.lora_A.weight"] = pair.down
            tensors[f"{name}.lora_B.weight"] = up
            if biased:  # PEFT has them on all modules or on none
                bias = change.bias
                tensors[f"{name}.lora_B.bias"] = torch.zeros(len(up), dtype=up.dtype) if bias is None else bias
            if change.magnitude is not None:
                shape = (1, -1, *(1 for _ in pair.down.shape[2:])) if pair.down.ndim > 2 else (-1,)
                tensors[f"{name}.lora_magnitude_vector"] = change.magnitude.vector.reshape(shape)
        dora = any(changes[name].magnitude is not None for name in own)
        modules = {name.partition(".")[2]: pair for name, pair in own.items()}
        config = peft_config(modules, biased=biased, dora=dora)
        settings |= {f"{component}.{key}": value for key, value in config.items()}
    header = {ADAPTER_METADATA: json.dumps(settings, indent=2, sort_keys=True)}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, header


def _product(name: str, change: Change) -> Delta:
    """The part of a change that PEFT has a form for; what it has none for is refused."""
    if change.set_weight is not None:
        raise SettingError("dialect", "peft", f"it has no way to replace a weight, as {name} is. Use comfyui.")
    if change.delta is None:
        raise SettingError(
            "dialect", "peft", f"it has no way to change a bias alone, as of {name}. Use comfyui or kohya."
        )
    if len(change.delta.shape) < 2:
        raise SettingError("dialect", "peft", f"it has no way to change a norm, as {name} is. Use comfyui or kohya.")
    return change.delta


def _one_kind(component: str, changes: Mapping[str, Change]) -> None:
    """Refuse what one PEFT configuration cannot say of its modules."""
    dora = [name for name, change in changes.items() if change.magnitude is not None]
    if dora and len(dora) < len(changes):
        others = [name for name in changes if name not in set(dora)]
        raise SettingError(
            "dialect",
            "peft",
            f"{len(dora)} modules of the {component} are DoRA ({few(dora, 1)}) and {len(others)} are not "
            f"({few(others, 1)}); PEFT has all or none. Use comfyui or kohya.",
        )
    inputs = [name for name in dora if (magnitude := changes[name].magnitude) is not None and magnitude.axis == 1]
    if inputs:
        raise SettingError(
            "dialect",
            "peft",
            f"the DoRA of {few(inputs, 1)} is over the inputs; PEFT has it over the outputs only. "
            "Use comfyui or kohya.",
        )


def _alone(name: str, delta: Delta, limit: int | None, dialect: str, most: int = 0) -> LowRank:
    """Any change as a pair of its own; `most`: the rank that all modules would need."""
    try:
        return as_pair(delta, limit)
    except ValueError as problem:
        needed = max(most, delta.rank)
        unsaid = "; without it, none is made that is larger than the change itself" if limit is None else ""
        kept = "use kohya or comfyui, which keep it as it is, " if dialect == "peft" else "use peft, "
        raise SettingError(
            "dialect" if limit is None else "rank",
            dialect if limit is None else limit,
            f"as a pair, the {delta.kind} of {name} has {problem}. Resize the LoRA first, {kept}or allow pairs of rank "
            f"{needed} (--rank {needed}){unsaid}.",
        ) from problem


def peft_config(pairs: Mapping[str, LowRank], *, biased: bool = False, dora: bool = False) -> dict[str, Any]:
    """Return the PEFT configuration that gives each module its rank and scale 1: LoraConfig(**it) is valid."""
    ranks = {module: pair.rank for module, pair in pairs.items()}
    counted = Counter(ranks.values())
    rank = max(counted, key=lambda each: (counted[each], each))
    # anchored with ^: a bare name would also match modules that merely end in it
    others = {f"^{name}": value for name, value in sorted(ranks.items()) if value != rank}
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": sorted(pairs),
        "lora_dropout": 0.0,
        "lora_bias": biased,
        "bias": "none",
        "use_dora": dora,
        "use_rslora": False,
    }
