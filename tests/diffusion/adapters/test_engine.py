"""Adapters on a model: the numbers of stock diffusers, exact names, and nothing left behind."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from loragraph.diffusion.adapters import Active, Adapters, Schedule
from loragraph.diffusion.adapters.rows import Rows
from loragraph.diffusion.errors import LoraMismatch, ModelError, SettingError
from loragraph.diffusion.lora.delta import LowRank
from loragraph.diffusion.lora.model import Change, Lora
from loragraph.tests.diffusion.adapters.forms import flux_lora, random_change


@pytest.fixture(scope="module")
def bare() -> FluxTransformer2DModel:
    torch.manual_seed(0)
    return (
        FluxTransformer2DModel(
            patch_size=1,
            in_channels=8,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=(4, 6, 6),
        )
        .eval()
        .requires_grad_(False)
    )


@pytest.fixture
def model(bare: FluxTransformer2DModel) -> FluxTransformer2DModel:
    return copy.deepcopy(bare)


def flux_input(batch: int = 2) -> dict[str, Any]:
    torch.manual_seed(1)
    return {
        "hidden_states": torch.randn(batch, 9, 8),
        "encoder_hidden_states": torch.randn(batch, 5, 16),
        "pooled_projections": torch.randn(batch, 16),
        "timestep": torch.linspace(0.2, 0.9, batch),
        "img_ids": torch.rand(9, 3),
        "txt_ids": torch.zeros(5, 3),
        "return_dict": False,
    }


def answer(model: nn.Module, batch: int = 2) -> torch.Tensor:
    given = {
        key: value.to(model.dtype) if isinstance(value, torch.Tensor) else value
        for key, value in flux_input(batch).items()
    }
    with torch.no_grad():
        return model(**given)[0]


def load_into(model: Any, lora: Lora, name: str) -> None:
    """Load as stock diffusers does, each module with its own rank and alpha."""
    pairs = {key.partition(".")[2]: change.delta for key, change in lora.changes.items()}
    assert all(isinstance(pair, LowRank) for pair in pairs.values())
    tensors = {f"{key}.lora_A.weight": pair.down for key, pair in pairs.items()}
    tensors |= {f"{key}.lora_B.weight": pair.up for key, pair in pairs.items()}
    config = {
        "r": 1,
        "lora_alpha": 1,
        "rank_pattern": {f"^{key}": pair.rank for key, pair in pairs.items()},
        "alpha_pattern": {f"^{key}": pair.alpha for key, pair in pairs.items()},
        "target_modules": list(pairs),
    }
    model.load_lora_adapter(tensors, prefix=None, adapter_name=name, metadata=config)


def test_the_numbers_are_those_of_stock_diffusers(model: nn.Module) -> None:
    """To the last bit: one adapter, two together with strengths, another order."""
    ours, theirs = Adapters(model), copy.deepcopy(model)
    loras = {"a": flux_lora(model, 1, rank=3, alpha=2.0), "b": flux_lora(model, 2, rank=5, alpha=5.0, only="to_q")}
    for name, lora in loras.items():
        ours.attach(name, lora)
        load_into(theirs, lora, name)
    bare = answer(model)
    for strengths in ({"a": 1.0}, {"a": 0.7, "b": -0.3}, {"b": 0.123, "a": 1.9}, {"b": 0.5}):
        ours.set_strengths(strengths)
        theirs.set_adapters(list(strengths), list(strengths.values()))
        assert torch.equal(answer(model), answer(theirs)), strengths
        assert not torch.equal(answer(model), bare)
    ours.set_strengths({})
    assert torch.equal(answer(model), bare)


def test_in_half_precision_too(model: nn.Module) -> None:
    model = model.to(torch.bfloat16)
    ours, theirs = Adapters(model), copy.deepcopy(model)
    lora = flux_lora(model)
    ours.attach("a", lora)
    load_into(theirs, lora, "a")
    ours.set_strengths({"a": 0.7})
    theirs.set_adapters("a", 0.7)
    assert torch.equal(answer(model), answer(theirs))


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return (
        UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=12,
            attention_head_dim=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )
        .eval()
        .requires_grad_(False)
    )


def unet_answer(unet: nn.Module, batch: int = 2) -> torch.Tensor:
    torch.manual_seed(1)
    sample, text = torch.randn(batch, 4, 8, 8), torch.randn(batch, 3, 12)
    with torch.no_grad():
        return unet(sample, torch.tensor(500), text, return_dict=False)[0]


def test_convolutions_of_a_unet_as_stock_diffusers_has_them(unet: UNet2DConditionModel) -> None:
    unet = copy.deepcopy(unet)
    chosen = {
        name: module
        for name, module in unet.named_modules()
        if name.endswith((".conv1", "conv_in", ".downsamplers.0.conv", ".to_q", ".proj_in", ".conv_shortcut"))
    }
    changes = {
        f"unet.{name}": random_change("lora", module, seed) for seed, (name, module) in enumerate(chosen.items())
    }
    assert len({len(change.shape or ()) for change in changes.values()}) == 2
    lora = Lora(changes, "sd1")
    ours, theirs = Adapters(unet), copy.deepcopy(unet)
    ours.attach("a", lora)
    load_into(theirs, lora, "a")
    bare = unet_answer(unet)
    ours.set_strengths({"a": 0.6})
    theirs.set_adapters("a", 0.6)
    assert torch.equal(unet_answer(unet), unet_answer(theirs))
    assert (unet_answer(unet) - bare).abs().max() > 0.1


@pytest.mark.parametrize("kind", [CLIPTextModel, CLIPTextModelWithProjection])
def test_text_encoders_go_by_the_names_that_files_have(kind: Any) -> None:
    """transformers 5 has no `text_model` in a CLIPTextModel any more; every file has."""
    config = CLIPTextConfig(
        vocab_size=20, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, eos_token_id=2
    )
    encoder = kind(config).eval().requires_grad_(False)
    adapters = Adapters(encoder, "text_encoder_2")
    name = "text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj"
    assert adapters.shapes()[f"{name}.weight"] == (8, 8)
    ids = torch.tensor([[3, 4, 2]])
    before = encoder(ids).last_hidden_state
    adapters.attach("a", Lora({name: Change(LowRank(torch.ones(2, 8), torch.ones(8, 2), 2.0))}))
    adapters.set_strengths({"a": 1.0})
    assert not torch.equal(encoder(ids).last_hidden_state, before)


def test_a_hundred_switches_leave_not_a_trace(model: nn.Module) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    bare = answer(model)
    adapters = Adapters(model)
    for turn in range(100):
        adapters.attach(f"n{turn}", flux_lora(model, turn, rank=1))
        adapters.set_strengths({f"n{turn}": turn / 50 - 1})
        adapters.remove(f"n{turn}")
    assert torch.equal(answer(model), bare)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert [type(module) for module in model.modules()] == kinds
    assert not any(module._forward_hooks for module in model.modules())


def test_names_are_compared_exactly(model: nn.Module) -> None:
    """diffusers' hotswap of "style" zeroes "style2"."""
    adapters = Adapters(model)
    answers = {}
    for seed, name in enumerate(("style", "style2", "sty")):
        adapters.attach(name, flux_lora(model, seed))
        adapters.set_strengths({name: 1.0})
        answers[name] = answer(model)
    adapters.remove("style")
    adapters.attach("style", flux_lora(model, 7))
    for name in ("style2", "sty"):
        adapters.set_strengths({name: 1.0})
        assert torch.equal(answer(model), answers[name])
    assert adapters.names() == ("style", "style2", "sty")


def test_a_strength_is_what_was_asked_for_last(model: nn.Module) -> None:
    """diffusers leaves half the strength behind when a LoRA was fused at one half and unfused."""
    adapters = Adapters(model)
    adapters.attach("a", flux_lora(model))
    adapters.set_strengths({"a": 1.0})
    whole = answer(model)
    adapters.set_strengths({"a": 0.5})
    assert not torch.equal(answer(model), whole)
    adapters.set_strengths({"a": 1.0})
    assert torch.equal(answer(model), whole) and adapters.strengths() == {"a": 1.0}


def test_removing_one_leaves_the_other_on(model: nn.Module) -> None:
    adapters = Adapters(model)
    adapters.attach("a", flux_lora(model, 1))
    adapters.attach("b", flux_lora(model, 2, only="to_k"))
    adapters.set_strengths({"a": 0.4})
    alone = answer(model)
    adapters.set_strengths({"a": 0.4, "b": 2.0})
    adapters.remove("b")
    assert torch.equal(answer(model), alone)
    assert adapters.names() == ("a",)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda adapters: adapters.set_strengths({"stile": 1.0}), 'Did you mean "style"'),
        (lambda adapters: adapters.remove("b"), "no adapter of that name"),
        (lambda adapters: adapters.attach("style", Lora({})), "remove it first"),
        (lambda adapters: adapters.play([Active("style", 1.0, "to_z=0.5")]), "to_z"),
    ],
)
def test_a_wrong_name_changes_nothing(model: nn.Module, action: Any, words: str) -> None:
    adapters = Adapters(model)
    adapters.attach("style", flux_lora(model))
    adapters.set_strengths({"style": 0.5})
    before = answer(model)
    with pytest.raises(SettingError, match=words):
        action(adapters)
    assert torch.equal(answer(model), before) and adapters.strengths() == {"style": 0.5}


def test_a_lora_for_another_model_is_refused_and_nothing_of_it_stays(model: nn.Module, unet: nn.Module) -> None:
    adapters = Adapters(model)
    good = flux_lora(model)
    bad = next(iter(good.changes))
    strange = {**good.changes, bad: Change(LowRank(torch.ones(1, 9), torch.ones(32, 1), 1.0))}
    with pytest.raises(LoraMismatch, match=r"\[32, 9\] in the LoRA, \[32, 32\] in the base"):
        adapters.attach("a", Lora(strange, "flux"))
    with pytest.raises(LoraMismatch, match=r"not in the base \(UNet2DConditionModel\).*made for flux"):
        Adapters(unet, "transformer").attach("a", good)
    assert adapters.names() == ()
    adapters.attach("a", good)
    adapters.set_strengths({"a": 1.0})


def test_blocks_weight_what_they_name(model: nn.Module) -> None:
    adapters = Adapters(model)
    whole, part = flux_lora(model), flux_lora(model, only="single")
    adapters.attach("whole", whole)
    adapters.attach("part", part)
    adapters.play([Active("whole", 1.0, "transformer_blocks=0, single_transformer_blocks=0.5")])
    found = answer(model)
    half = {
        name: Change(LowRank(c.delta.down, c.delta.up, 1.0)) for name, c in whole.changes.items() if "single" in name
    }
    adapters.attach("half", Lora(half))
    adapters.set_strengths({"half": 1.0})
    assert torch.equal(answer(model), found)
    adapters.play([Active("whole", 1.0)])
    assert not torch.equal(answer(model), found)


def test_each_picture_of_a_batch_has_its_own_loras(model: nn.Module) -> None:
    adapters = Adapters(model)
    for seed, name in enumerate(("a", "b", "c")):
        adapters.attach(name, flux_lora(model, seed))
    bare = answer(model, 4)
    alone = {}
    for name in ("a", "b"):
        adapters.set_strengths({name: 0.8, "c": 0.3})
        alone[name] = answer(model, 4)
    adapters.set_strengths({"c": 0.3})
    alone["c"] = answer(model, 4)
    adapters.play([Active("a", 0.8, lines=(0,)), Active("b", 0.8, lines=(2,)), Active("c", 0.3, lines=(0, 1, 2))])
    adapters.batch(range(4))
    found = answer(model, 4)
    for row, wanted in enumerate((alone["a"], alone["c"], alone["b"], bare)):
        assert torch.allclose(found[row], wanted[row], atol=1e-5), row
        assert not torch.allclose(found[row], alone["b" if row != 2 else "a"][row], atol=1e-2)
    adapters.batch([3, 2])
    swapped = answer(model, 4)[:2]
    assert torch.allclose(swapped[0], bare[0], atol=1e-5) and torch.allclose(swapped[1], alone["b"][1], atol=1e-5)
    adapters.rest()
    assert not any(part._forward_pre_hooks for part in model.modules())


def test_both_halves_of_guidance_in_one_input(unet: UNet2DConditionModel) -> None:
    """Stable Diffusion's pipelines put the unguided batch before the guided one."""
    unet = copy.deepcopy(unet)
    adapters = Adapters(unet)
    names = [name for name, module in unet.named_modules() if name.endswith((".to_q", ".conv1", ".time_emb_proj"))]
    lora = Lora({f"unet.{name}": random_change("lora", unet.get_submodule(name), 3) for name in names})
    adapters.attach("a", lora)
    bare = unet_answer(unet, 4)
    adapters.set_strengths({"a": 1.0})
    whole = unet_answer(unet, 4)
    adapters.play([Active("a", 1.0, lines=(1,))])
    adapters.batch([0, 1])
    found = unet_answer(unet, 4)
    with pytest.raises(ModelError, match=r"unet works on 3 rows for 2 pictures"):
        unet_answer(unet, 3)
    adapters.rest()
    for row, wanted in enumerate((bare, whole, bare, whole)):
        assert torch.allclose(found[row], wanted[row], atol=1e-5), row


def test_rows_that_a_layer_sees_several_times() -> None:
    model = nn.Identity()
    rows = Rows(3, [[0, 2], [1]], [(True,), (False,)], {"unet": model})
    model(torch.zeros(6, 1))
    first, second = rows.of("unet")(12)
    assert second.tolist() == [2, 3, 8, 9] and sorted([*first.tolist(), *second.tolist()]) == list(range(12))
    rows.close()
    assert not model._forward_pre_hooks


def test_steps_follow_the_schedule(model: nn.Module) -> None:
    adapters = Adapters(model)
    adapters.attach("a", flux_lora(model, 1))
    adapters.attach("b", flux_lora(model, 2))
    by_hand = {}
    for strength in (1.0, 0.5, 0.0):
        adapters.set_strengths({"a": strength, "b": 0.2})
        by_hand[strength] = answer(model)
    adapters.play([Active("a", 1.0, schedule=Schedule(0.0, 0.75, 0.0, "linear")), Active("b", 0.2)])
    for step, strength in enumerate((1.0, 0.5, 0.0, 0.0)):
        adapters.step(step, 4)
        assert torch.equal(answer(model), by_hand[strength]), step
    adapters.rest()
    assert torch.equal(answer(model), by_hand[1.0])


def test_the_model_can_be_forgotten(bare: nn.Module) -> None:
    model = copy.deepcopy(bare)
    adapters = Adapters(model)
    adapters.attach("a", flux_lora(model))
    adapters.set_strengths({"a": 1.0})
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    with pytest.raises(RuntimeError, match="deleted"):
        adapters.attach("b", Lora({}))


@pytest.mark.parametrize("whole", [True, False])
def test_a_compiled_model_is_refused(model: Any, whole: bool) -> None:
    """Compiled code takes no notice of hooks that come later: the picture would be the bare base's, in silence."""
    (model if whole else model.transformer_blocks[0]).compile(backend="eager")
    adapters = Adapters(model)
    with pytest.raises(LoraMismatch, match="transformer has been compiled"):
        adapters.attach("a", flux_lora(model))
    assert adapters.names() == ()


def test_the_size_counts_what_is_shared_once(model: nn.Module) -> None:
    adapters = Adapters(model)
    down, ups = torch.ones(2, 32), torch.ones(3, 32, 2)
    names = [f"transformer.transformer_blocks.0.attn.{name}" for name in ("to_q", "to_k", "to_v")]
    adapters.attach(
        "a", Lora({name: Change(LowRank(down, up, 2.0)) for name, up in zip(names, ups.clone(), strict=True)})
    )
    assert adapters.size("a") == 4 * (down.numel() + ups.numel())


def test_adapters_follow_the_model_to_another_device(model: nn.Module) -> None:
    adapters = Adapters(model)
    adapters.attach("a", flux_lora(model))
    adapters.set_strengths({"a": 0.5})
    model.to("meta")
    shape = model(
        **{key: value.to("meta") if isinstance(value, torch.Tensor) else value for key, value in flux_input().items()}
    )
    assert shape[0].device.type == "meta"
