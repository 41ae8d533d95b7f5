"""What a file seems to be that is no LoRA readable here: the words of the refusals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ..errors import LoraFileError, few
from . import names
from .parts import Group
from .roles import refused

# A key that matches names what the file is. First match wins.
OTHERS: tuple[tuple[str, str], ...] = (
    (r"^(emb_params|string_to_param|clip_[lg]|t5xxl)$|^<.*>$", "an embedding (textual inversion)"),
    (r"^lora_controlnet$|^control_model\.|^controlnet_", "a ControlNet"),
    (r"^(first_stage_model\.)?(encoder|decoder)\.(conv_in|down|up|mid)", "a VAE"),
    (r"ip_adapter|^image_proj\.", "an IP-Adapter"),
    (r"^hypernetwork|^(320|640|768|1024|1280)\.\d\.linear", "a hypernetwork"),
)
# A module that matches tells of whose model it is.
MODELS: tuple[tuple[str, str], ...] = (
    (r"(^|\.)model\.layers\.\d+\.(self_attn|mlp)\.", "a language model"),
    (r"double_stream_modulation|double_blocks[._]\d+[._].*modulation|to_qkv_mlp_proj", "FLUX.2"),
    (r"distilled_guidance_layer", "Chroma"),
    (r"(double|single)_stream_blocks", "HiDream"),
    (r"(img|txt)_mlp[._]fc[12]|(img|txt)_mod[._]linear|token_refiner|\.(img|txt)_attn_(qkv|proj)$", "HunyuanVideo"),
    (r"patchify_proj|adaln_single|caption_projection|scale_shift_table", "LTX-Video or PixArt"),
    (r"layers[._]\d+[._](attention[._](to_|qkv|out)|feed_forward[._])", "Lumina or Z-Image"),
    (r"joint_attn|context_refiner|noise_refiner", "Lumina or Z-Image"),
)
# What FLUX.2 has under FLUX.1's names: (end of the name, outputs per input, inputs per output; 0: whatever)
FLUX_2: tuple[tuple[str, int, int], ...] = (
    (".proj_mlp", 6, 0),
    (".ff.net.0.proj", 6, 0),
    (".ff_context.net.0.proj", 6, 0),
    (".ff.net.2", 0, 3),
    (".ff_context.net.2", 0, 3),
)
_BLOCK = re.compile(r"^\w+\.(\w+)\.(\d{1,9})\.")


def model(names: Iterable[str]) -> str:
    """Return the model, of those not known here, that some modules are of; "" if nothing tells."""
    listed = list(names)
    return next((title for pattern, title in MODELS if any(re.search(pattern, name) for name in listed)), "")


def of_another_size(path: str, family: str, shapes: Mapping[str, Sequence[int]]) -> LoraFileError | None:
    """Return the error for an adapter with a family's names but the depth or the widths of another model.

    Args:
        shapes: of the weights, by canonical name.
    """
    known = names.FAMILIES[family]
    for name, shape in shapes.items():
        block = _BLOCK.match(name)
        if block and int(block[2]) >= known.depths.get(block[1], int(block[2]) + 1):
            others = "FLUX.2 or HunyuanVideo" if family == "flux" else "another model"
            return LoraFileError(
                f"{path} has the names of {known.title}, which has {known.depths[block[1]]} {block[1]}, but changes "
                f"{name}. It seems made for {others}, which is not known here."
            )
        for end, outputs, inputs in FLUX_2 if family == "flux" and len(shape) == 2 else ():
            if name.endswith(end) and (shape[0] == outputs * shape[1] or shape[1] == inputs * shape[0]):
                return LoraFileError(
                    f"{path} has the names of {known.title}, but {name} is {shape[1]} -> {shape[0]}, as in FLUX.2. "
                    "FLUX.2 is not known here."
                )
    return None


def no_adapter(path: str, keys: Iterable[str]) -> LoraFileError:
    """Return the error for a file without any tensor of an adapter."""
    listed = list(keys)
    if not listed:
        return LoraFileError(f"{path} holds no tensors, so it is not a LoRA.")
    if (kind := other_adapter(listed)) is not None:
        return kind_refused(path, *kind)
    for pattern, title in OTHERS:
        if hits := [key for key in listed if re.search(pattern, key)]:
            return LoraFileError(f"{path} is not a LoRA but {title}: it holds {few(hits, 2)}.")
    return LoraFileError(f"{path} is not a LoRA: it holds tensors such as {few(listed, 2)}. Is it a base model?")


def other_adapter(keys: Iterable[str]) -> tuple[str, str] | None:
    """Return the first key of an adapter that is not read here, and what it is."""
    return next(((key, title) for key in keys if (title := refused(key))), None)


def kind_refused(path: str, key: str, title: str) -> LoraFileError:
    """Return the error for an adapter of a kind that is not read here."""
    return LoraFileError(
        f"{path} holds {title}, which is not read here ({key}). Readable are LoRA, LoCon, LoHa, LoKr, DoRA and full "
        "differences."
    )


def of_unknown_model(path: str, title: str, foreign: Sequence[str]) -> LoraFileError:
    """Return the error for an adapter some of whose modules are a known model's, and others another's."""
    return LoraFileError(
        f"{path} seems made for {title}, which is not known here, though some of its modules are called as in a model "
        f"that is ({few(foreign)} are not)."
    )


def of_no_known_model(path: str, found: Sequence[Group], keys: Iterable[str]) -> LoraFileError:
    """Return the error for an adapter none of whose modules is known."""
    stems = [group.stem for group in found]
    seems = model(stems)
    made_for = f" It seems made for {seems}." if seems else ""
    known = ", ".join(family.title for family in names.FAMILIES.values())
    return LoraFileError(
        f"{path} is a LoRA for a model that is not known here: none of its {len(stems):,} modules is one of a known "
        f"model ({few(stems)}).{made_for} Known are {known}."
    )


def with_strange_keys(path: str, unmatched: Sequence[str], title: str) -> LoraFileError:
    """Return the error for a file some of whose keys belong to nothing."""
    if (kind := other_adapter(unmatched)) is not None:
        return kind_refused(path, *kind)
    return LoraFileError(
        f"{path} ({title}) holds {len(unmatched):,} keys that belong to no known module: {few(unmatched)}. Nothing was "
        "loaded. Allow a partial load (allow_partial) to leave them out."
    )
