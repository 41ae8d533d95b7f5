"""diffusers' own converters put every row where the tables put it.

A published model gets tensors whose rows are all different (one column stands for a weight's inputs). The tables make
the authors' checkpoint of them; the converter of `from_single_file` must give back the same model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.loaders import lora_conversion_utils, single_file_utils
from torch import Tensor

from loragraph.diffusion.lora import names
from loragraph.diffusion.lora.names import text_encoders
from loragraph.diffusion.lora.names.table import Table
from loragraph.tests.diffusion.lora.names.published import MODELS, build

# published model -> what makes it less deep; the widths stay, as one converter counts on them
SHALLOW: dict[str, dict[str, Any]] = {
    "SD 1.5": {},
    "SD 2.1": {},
    "SDXL": {"transformer_layers_per_block": (1, 2, 3)},
    "SD3": {"num_layers": 3},
    "SD3.5 medium": {"num_layers": 3, "dual_attention_layers": (0, 1)},
    "SD3.5 large": {"num_layers": 2},
    "FLUX.1 dev": {"num_layers": 2, "num_single_layers": 2},
    "FLUX.1 schnell": {"num_layers": 1, "num_single_layers": 1},
    "Wan 2.1 1.3B": {"num_layers": 2},
    "Wan 2.1 14B I2V": {"num_layers": 2},
    "Wan 2.1 14B VACE": {"num_layers": 2, "vace_layers": [0, 1]},
}
# parameters that are not `weight` or `bias` of a module, and how the authors call them
BARE = {
    "pos_embed.pos_embed": "pos_embed",
    "scale_shift_table": "head.modulation",
    **{
        f"{blocks}.{i}.scale_shift_table": f"{blocks}.{i}.modulation"
        for blocks in ("blocks", "vace_blocks")
        for i in (0, 1)
    },
}


def numbered(model: torch.nn.Module) -> dict[str, Tensor]:
    """Return a state of the model in which no two rows are equal."""
    state, first = {}, 0
    for name, value in model.state_dict().items():
        rows = torch.arange(first, first + len(value), dtype=torch.int32)
        state[name] = rows if value.ndim == 1 else rows.reshape(-1, *(1 for _ in value.shape[1:]))
        first += len(value)
    return state


def inputs(model: torch.nn.Module) -> dict[str, int]:
    """Return {parameter: how many inputs it really has}."""
    return {text_encoders.canonical(name): value.shape[-1] for name, value in model.named_parameters()}


def as_authors_name_it(
    state: dict[str, Tensor], inputs: dict[str, int], table: Table, scales: bool = False
) -> dict[str, Tensor]:
    """Return the checkpoint that the table says holds this state; `scales`: RMS norms have `scale` for `weight`."""
    out: dict[str, Tensor] = {}
    fused: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, value in state.items():
        if name in BARE:
            out[BARE[name]] = value
            continue
        module, _, leaf = name.rpartition(".")
        found = table.find(module)
        assert found is not None, name
        leaf = "scale" if scales and found.name.endswith(("query_norm", "key_norm")) else leaf
        fused[f"{found.name}.{leaf}"][module] = value
    for key, parts in fused.items():
        match = table.match(key.rpartition(".")[0])
        assert match is not None and set(match.targets) == set(parts)
        rows = sum(len(part) for part in parts.values())
        first, part = next(iter(parts.items()))
        # a bias is shared out as its weight is, whose inputs decide where the parts begin
        inside = inputs[f"{first}.weight"]
        whole = torch.full((rows, *part.shape[1:]), -1, dtype=part.dtype)
        for target, pieces in zip(match.targets, names.ranges(match, rows, inside), strict=True):
            taken = 0
            for start, end in pieces:
                whole[start:end] = parts[target][taken : taken + end - start]
                taken += end - start
        assert (whole >= 0).all()
        out[key] = whole
    return out


def converter(model: str, config: dict[str, Any]) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    family = MODELS[model][0]
    if family in ("sd1", "sd2", "sdxl"):
        return lambda checkpoint: single_file_utils.convert_ldm_unet_checkpoint(checkpoint, config)
    return {
        "flux": single_file_utils.convert_flux_transformer_checkpoint_to_diffusers,
        "sd3": single_file_utils.convert_sd3_transformer_checkpoint_to_diffusers,
        "wan": single_file_utils.convert_wan_transformer_to_diffusers,
    }[family]


@pytest.mark.parametrize("model", SHALLOW)
def test_a_checkpoint_of_the_authors_is_read_as_diffusers_reads_it(model: str) -> None:
    built = build(model, **SHALLOW[model])
    family = names.get(MODELS[model][0])
    state = numbered(built)
    if family.name == "sd3":
        # a buffer that is computed
        state["pos_embed.pos_embed"] = torch.zeros(1, 4, 12)
    checkpoint = as_authors_name_it(state, inputs(built), family.table("original"), scales=family.name == "flux")
    prefixed = {f"model.diffusion_model.{name}": value for name, value in checkpoint.items()}
    converted = converter(model, dict(built.config))(prefixed)
    assert converted.keys() == state.keys()
    assert [name for name in state if not torch.equal(converted[name], state[name])] == []


@pytest.mark.parametrize("model", ["FLUX.1 dev", "SD3.5 medium", "SDXL"])
def test_the_comparison_notices_two_parts_in_the_wrong_order(model: str) -> None:
    built = build(model, **SHALLOW[model])
    family = names.get(MODELS[model][0])
    state = numbered(built)
    if family.name == "sd3":
        state["pos_embed.pos_embed"] = torch.zeros(1, 4, 12)
    swapped = tuple(_swap(row) for row in family.table("original").rows)
    checkpoint = as_authors_name_it(state, inputs(built), Table(swapped), scales=family.name == "flux")
    converted = converter(model, dict(built.config))(
        {f"model.diffusion_model.{name}": value for name, value in checkpoint.items()}
    )
    assert [name for name in state if not torch.equal(converted[name], state[name])]


def _swap(row: names.Row) -> names.Row:
    if row.split == "equal":
        return row._replace(targets=row.targets[::-1])
    other = {"attn1.to_q": "attn1.to_k", "attn1.to_k": "attn1.to_q"}
    ending = next((ending for ending in other if row.name.endswith(ending)), "")
    return row._replace(name=row.name.removesuffix(ending) + other[ending]) if ending else row


def clip(projected: bool) -> torch.nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=7, projection_dim=8, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


@pytest.mark.parametrize("projected", [True, False])
def test_a_clip_within_a_checkpoint_is_read_as_diffusers_reads_it(projected: bool) -> None:
    model = clip(projected)
    state = {text_encoders.canonical(name): value for name, value in numbered(model).items()}
    positions = state.pop("text_model.embeddings.position_embedding.weight")
    projection = state.pop("text_projection.weight", None)
    state.pop("text_model.embeddings.position_ids", None)
    checkpoint = {
        key.replace("in_proj.", "in_proj_"): value
        for key, value in as_authors_name_it(state, inputs(model), text_encoders.OPEN_CLIP).items()
    } | {"positional_embedding": positions}
    if projection is not None:
        # the one that is stored the other way round, and so is no row of the table
        checkpoint["text_projection"] = projection.expand(-1, len(projection)).T
    prefix = "conditioner.embedders.1.model."
    converted = single_file_utils.convert_open_clip_checkpoint(
        model, {prefix + name: value for name, value in checkpoint.items()}, prefix=prefix
    )
    assert state.keys() <= converted.keys()
    assert [name for name in state if not torch.equal(converted[name], state[name])] == []


def test_every_module_of_a_text_encoder_is_known() -> None:
    from transformers import T5Config, T5EncoderModel

    sizes = {"vocab_size": 20, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 2, "num_heads": 2}
    t5s = [T5EncoderModel(T5Config(**sizes, feed_forward_proj=kind)) for kind in ("relu", "gated-gelu")]
    for architecture, model in [("clip", clip(True)), ("clip", clip(False)), *(("t5", t5) for t5 in t5s)]:
        table = text_encoders.TABLES[architecture]
        modules = {name.rpartition(".")[0] for name in model.state_dict() if name.endswith(".weight")}
        for name in map(text_encoders.canonical, modules):
            for match in (table.match(name), table.match(name.replace(".", "_"), flat=True)):
                assert match is not None and match.targets == (name,), name


def pair(key: str, out: int, inside: int, rank: int = 2, names_: tuple[str, str] = ("down", "up")) -> dict[str, Tensor]:
    """Return a LoRA of one module whose rows of B are all different."""
    return {
        f"{key}.{names_[0]}.weight": torch.randn(rank, inside),
        f"{key}.{names_[1]}.weight": torch.arange(out * rank, dtype=torch.float32).reshape(out, rank),
    }


def rows_of(family: str, which: str, key: str, up: Tensor, inside: int, flat: bool = False) -> dict[str, Tensor]:
    """Return the rows of B for each diffusers module, as the table says."""
    match = names.get(family).table(which).match(key, flat)
    assert match is not None
    found = names.ranges(match, len(up), inside)
    return {
        f"transformer.{target}.lora_B.weight": torch.cat([up[first:last] for first, last in pieces])
        for target, pieces in zip(match.targets, found, strict=True)
    }


def test_xlabs_loras_are_read_as_diffusers_reads_them() -> None:
    shapes = {
        "double_blocks.1.processor.qkv_lora1": (36, 12),
        "double_blocks.1.processor.qkv_lora2": (36, 12),
        "double_blocks.1.processor.proj_lora1": (12, 12),
        "double_blocks.1.processor.proj_lora2": (12, 12),
        "single_blocks.7.processor.qkv_lora": (36, 12),
        "single_blocks.7.processor.proj_lora": (12, 60),
    }
    tensors: dict[str, Tensor] = {}
    wanted: dict[str, Tensor] = {}
    for key, (out, inside) in shapes.items():
        tensors |= pair(key, out, inside)
        wanted |= rows_of("flux", "xlabs", key, tensors[f"{key}.up.weight"], inside)
    converted = lora_conversion_utils._convert_xlabs_flux_lora_to_diffusers(dict(tensors))
    assert wanted.keys() == {name for name in converted if "lora_B" in name}
    assert all(torch.equal(converted[name], wanted[name]) for name in wanted)


def test_kohya_loras_for_flux_are_read_as_diffusers_reads_them() -> None:
    table = names.get("flux").table("original")
    width = 3072  # fixed in the converter
    shapes = {
        "double_blocks.3.img_attn.qkv": (3 * width, width),
        "double_blocks.3.txt_attn.qkv": (3 * width, width),
        "double_blocks.3.img_attn.proj": (width, width),
        "double_blocks.3.txt_mlp.2": (width, 4 * width),
        "double_blocks.3.img_mod.lin": (6 * width, width),
        "single_blocks.5.linear1": (7 * width, width),
        "single_blocks.5.linear2": (width, 5 * width),
        "single_blocks.5.modulation.lin": (3 * width, width),
    }
    tensors: dict[str, Tensor] = {}
    wanted: dict[str, Tensor] = {}
    for key, (out, inside) in shapes.items():
        assert table.match(key) is not None
        flat = key.replace(".", "_")
        tensors |= pair(f"lora_unet_{flat}", out, inside, 1, ("lora_down", "lora_up"))
        wanted |= rows_of("flux", "original", flat, tensors[f"lora_unet_{flat}.lora_up.weight"], inside, flat=True)
    converted = lora_conversion_utils._convert_kohya_flux_lora_to_diffusers(dict(tensors))
    assert wanted.keys() == {name for name in converted if "lora_B" in name}
    assert all(torch.equal(converted[name], wanted[name]) for name in wanted)
