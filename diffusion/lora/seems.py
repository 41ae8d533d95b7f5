"""What a file seems to be that is no LoRA readable here: the words of the refusals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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
    (r"double_stream_modulation|double_blocks[._]\d+[._].*modulation", "FLUX.2 or another model with its names"),
    (r"img_attn_qkv|img_attn_proj|individual_token_refiner", "HunyuanVideo"),
    (r"patchify_proj|adaln_single|caption_projection|scale_shift_table", "LTX-Video or PixArt"),
    (r"layers[._]\d+[._](attention|feed_forward)[._]", "Lumina or Z-Image"),
    (r"joint_attn|context_refiner|noise_refiner", "Lumina or Z-Image"),
)


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


def of_no_known_model(path: str, found: Sequence[Group], keys: Iterable[str]) -> LoraFileError:
    """Return the error for an adapter none of whose modules is known."""
    stems = [group.stem for group in found]
    model = next((title for pattern, title in MODELS if any(re.search(pattern, stem) for stem in stems)), "")
    made_for = f" It seems made for {model}." if model else ""
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
