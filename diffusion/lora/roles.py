"""What the tensors of an adapter are for, told by the end of their keys, whatever the dialect.

A key is a *stem* (which module) and a suffix (which part of the change, the *role*):

    transformer.transformer_blocks.0.attn.to_q .lora_A.weight      role "down"
    lora_unet_mid_block_resnets_0_conv1        .hada_w1_a          role "w1_a"

Roles: down, up, mid (LoRA and LoCon) · alpha · dora (LyCORIS: per output or per input), magnitude (PEFT: per output)
· up_bias (times the scale), diff_b (as it is) · diff · set (replaces the weight) · reshape (the weight gets more
inputs) · loha_* and lokr_* (LyCORIS). CogVideo's SAT numbers the parts of a fused weight: ….matrix_A.0, .1, .2.

Sources: PEFT 0.21 (`tuners/lora`), LyCORIS 4.1 (`modules/`), kohya sd-scripts (`networks/lora.py`), ComfyUI
(`comfy/lora.py`, `comfy/weight_adapter/`), diffusers 0.42 (`loaders/lora_conversion_utils.py`).

    >>> split("lora_unet_single_blocks_3_linear1.lora_up.weight")
    Split(stem='lora_unet_single_blocks_3_linear1', role='up', mark='lora_up', part=None)
    >>> split("blocks.0.self_attn.q.lora_A.default.weight").stem
    'blocks.0.self_attn.q'
    >>> print(split("model.embed.weight"))
    None
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Split(NamedTuple):
    """A key taken apart. mark: what in the suffix is typical of who wrote it. part: of a fused weight."""

    stem: str
    role: str
    mark: str
    part: int | None = None


# suffix -> (role, mark)
SUFFIXES: dict[str, tuple[str, str]] = {
    ".lora_A.weight": ("down", "lora_A"),
    ".lora_B.weight": ("up", "lora_A"),
    ".lora_B.bias": ("up_bias", "lora_A"),
    ".lora_magnitude_vector": ("magnitude", "lora_A"),
    ".lora_magnitude_vector.weight": ("magnitude", "lora_A"),
    ".lora_down.weight": ("down", "lora_up"),
    ".lora_mid.weight": ("mid", "lora_up"),
    ".lora_up.weight": ("up", "lora_up"),
    ".lora_up.bias": ("up_bias", "lora_up"),
    ".lora.down.weight": ("down", "lora.up"),
    ".lora.up.weight": ("up", "lora.up"),
    ".lora_linear_layer.down.weight": ("down", "lora.up"),
    ".lora_linear_layer.up.weight": ("up", "lora.up"),
    ".down.weight": ("down", "lora.up"),
    ".up.weight": ("up", "lora.up"),
    ".alpha": ("alpha", "alpha"),
    ".dora_scale": ("dora", "dora"),
    ".diff": ("diff", "diff"),
    ".diff_b": ("diff_b", "diff"),
    ".w_norm": ("diff", "norm"),
    ".b_norm": ("diff_b", "norm"),
    ".set_weight": ("set", "set"),
    ".reshape_weight": ("reshape", "set"),
    ".hada_w1_a": ("loha_w1_a", "loha"),
    ".hada_w1_b": ("loha_w1_b", "loha"),
    ".hada_w2_a": ("loha_w2_a", "loha"),
    ".hada_w2_b": ("loha_w2_b", "loha"),
    ".hada_t1": ("loha_t1", "loha"),
    ".hada_t2": ("loha_t2", "loha"),
    ".lokr_w1": ("lokr_w1", "lokr"),
    ".lokr_w1_a": ("lokr_w1_a", "lokr"),
    ".lokr_w1_b": ("lokr_w1_b", "lokr"),
    ".lokr_w2": ("lokr_w2", "lokr"),
    ".lokr_w2_a": ("lokr_w2_a", "lokr"),
    ".lokr_w2_b": ("lokr_w2_b", "lokr"),
    ".lokr_t2": ("lokr_t2", "lokr"),
}
# suffixes that hold a number or the name of an adapter
_NAMED = re.compile(r"\.(lora_[AB])\.(?!weight$|bias$)(\w+)\.(weight|bias)$")
_NAMED_MAGNITUDE = re.compile(r"\.lora_magnitude_vector\.(?!weight$)(\w+)\.weight$")
_SAT = re.compile(r"\.matrix_([AB])\.([0-9]{1,3})$")
# the weight of a norm, which control LoRAs bring along whole
_NORM = re.compile(r"(\.\w*norm\w*)\.(weight|scale)$")
_BY_LAST: dict[str, list[str]] = {}
for _suffix in sorted(SUFFIXES, key=len, reverse=True):
    _BY_LAST.setdefault(_suffix.rsplit(".", 1)[1], []).append(_suffix)

# What other adapters' keys hold -> what they are. Looked for in keys that `split` does not know.
REFUSED: tuple[tuple[str, str], ...] = (
    (r"\.(oft_blocks|oft_diag|oft_R|rescale)(\.|$)", "OFT, which turns weights and is not additive"),
    (r"\.(boft_R|boft_s)(\.|$)", "BOFT, which turns weights and is not additive"),
    (r"\.[ab][12]\.weight$", "GLoRA"),
    (r"\.(on_input|ia3_l)(\.|$)", "IA3, which multiplies weights and is not additive"),
    (r"\.vera_lambda_[bd](\.|$)", "VeRA, whose shared matrices are not in the file"),
    (r"\.lora_embedding_[AB](\.|$)", "a LoRA of an embedding"),
    (r"\.(quant_state|quant_map|absmax|nested_absmax|scale_weight|weight_scale|scale_input)(\.|$)", "a quantised LoRA"),
)
_REFUSED = tuple((re.compile(pattern), title) for pattern, title in REFUSED)

ALONE = frozenset({"alpha", "set", "reshape"})
"""Roles that make no LoRA of a file in which there are no others."""


def split(key: str) -> Split | None:
    """Return the parts of a key, or None where its end means nothing here."""
    for suffix in _BY_LAST.get(key[key.rfind(".") + 1 :], ()):
        if key.endswith(suffix):
            role, mark = SUFFIXES[suffix]
            return Split(key[: -len(suffix)], role, mark)
    if found := _NAMED.search(key):
        role = "up_bias" if found[3] == "bias" else "down" if found[1] == "lora_A" else "up"
        if role != "up_bias" or found[1] == "lora_B":
            return Split(key[: found.start()], role, "default")
    if found := _NAMED_MAGNITUDE.search(key):
        return Split(key[: found.start()], "magnitude", "default")
    if found := _SAT.search(key):
        return Split(key[: found.start()], "down" if found[1] == "A" else "up", "matrix", int(found[2]))
    if found := _NORM.search(key):
        return Split(key[: found.end(1)], "set", found[2])
    return None


def refused(key: str) -> str:
    """Return what kind of adapter the key belongs to that is not read here, or ""."""
    for pattern, title in _REFUSED:
        if pattern.search(key):
            return title
    return ""
