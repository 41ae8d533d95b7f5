"""Written files: what stock readers make of them, round trips, headers, and what is refused."""

from __future__ import annotations

import copy
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from diffusers.loaders import FluxLoraLoaderMixin
from lycoris.modules import get_module, make_module
from lycoris.modules.locon import LoConModule
from safetensors.torch import load_file

from loragraph.diffusion.errors import SettingError
from loragraph.diffusion.lora import atomic, header, names, reading, writing
from loragraph.diffusion.lora.delta import Delta, Full, Hadamard, Kronecker, LowRank
from loragraph.diffusion.lora.lineage import Lineage, Part, of, part
from loragraph.diffusion.lora.model import Change, Lora, Magnitude
from loragraph.tests.diffusion.lora.round_trip import distance, lora, numbers

OUT, IN = 12, 8
DIALECTS = tuple(writing.DIALECTS)


@pytest.fixture(scope="module")
def flux() -> FluxTransformer2DModel:
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    torch.manual_seed(0)
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=32,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6),
    )


def of_model(
    model: torch.nn.Module, component: str, only: str = "", *, alpha: float = 3.0, dtype: torch.dtype = torch.float32
) -> Lora:
    """Pairs of ranks 2 to 4 on every linear and convolutional layer whose name holds `only`."""
    changes = {}
    for place, (name, layer) in enumerate(model.named_modules()):
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) and only in name:
            out, inside, *kernel = layer.weight.shape
            rank = 2 + place % 3
            down = numbers(place, rank, inside, *kernel).to(dtype)
            changes[f"{component}.{name}"] = Change(
                LowRank(down, numbers(place + 9999, out, rank, *(1 for _ in kernel)).to(dtype), alpha)
            )
    return Lora(changes, "flux" if component == "transformer" else "sd1")


def changed_weights(model: Any, path: Path, prefix: str) -> dict[str, torch.Tensor]:
    """Load the LoRA with diffusers' own loader; return {canonical name: the weight as PEFT computes it}."""
    model = copy.deepcopy(model)
    model.load_lora_adapter(str(path), adapter_name="one", prefix=prefix)
    model.fuse_lora()
    return {
        f"{prefix}.{name}": module.base_layer.weight.detach()
        for name, module in model.named_modules()
        if hasattr(module, "lora_A") and "one" in module.lora_A
    }


def worst(found: dict[str, torch.Tensor], expected: Lora, model: Any, prefix: str) -> float:
    assert found.keys() == expected.changes.keys()
    base = {f"{prefix}.{name}": layer for name, layer in model.named_modules()}
    return max(
        float((found[name] - change.weight(base[name].weight.detach())).abs().max())
        for name, change in expected.changes.items()
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stock_diffusers_loads_a_peft_file_to_the_same_weights(
    flux: FluxTransformer2DModel, tmp_path: Path, dtype: torch.dtype
) -> None:
    made = of_model(flux, "transformer", alpha=2.7, dtype=dtype)
    path = writing.save(made, tmp_path / "a.safetensors")
    assert worst(changed_weights(flux, path, "transformer"), made, flux, "transformer") < 2e-5
    assert not any("alpha" in key for key in load_file(path))


def test_stock_diffusers_loads_convolutions_in_both_forms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32,),
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=8,
    )
    made = of_model(unet, "unet", "down_blocks")
    tucker = LowRank(numbers(0, 3, 4, 1, 1), numbers(1, 32, 3, 1, 1), 1.5, mid=numbers(2, 3, 3, 3, 3))
    made = Lora({**made.changes, "unet.conv_in": Change(tucker)}, "sd1")
    path = writing.save(made, tmp_path / "a.safetensors")
    assert worst(changed_weights(unet, path, "unet"), made, unet, "unet") < 2e-5


def test_stock_diffusers_loads_dora_and_biases(flux: FluxTransformer2DModel, tmp_path: Path) -> None:
    plain = of_model(flux, "transformer", "attn.to_q")
    changes = {
        name: replace(change, magnitude=Magnitude(numbers(5, change.shape[0]).abs() + 0.5))
        for name, change in plain.changes.items()
        if change.shape
    }
    path = writing.save(replace(plain, changes=changes), tmp_path / "dora.safetensors")
    found = changed_weights(flux, path, "transformer")
    assert worst(found, replace(plain, changes=changes), flux, "transformer") < 2e-5

    first = next(iter(plain.changes))
    delta = plain.changes[first].delta
    biased = {**plain.changes, first: replace(plain.changes[first], bias=numbers(6, 32))}
    path = writing.save(replace(plain, changes=biased), tmp_path / "bias.safetensors")
    loaded, x = copy.deepcopy(flux), torch.ones(1, 32)
    loaded.load_lora_adapter(str(path), adapter_name="one", prefix="transformer")
    module = first.removeprefix("transformer.")
    before, after = (model.get_submodule(module)(x).detach() for model in (flux, loaded))
    assert delta is not None
    assert torch.allclose(after, before + x @ delta.dense().T + numbers(6, 32), atol=1e-4)


@pytest.mark.parametrize("dialect", ["kohya", "comfyui"])
def test_stock_diffusers_converts_kohya_and_comfyui_files_to_the_same_change(tmp_path: Path, dialect: str) -> None:
    width = 3072  # the converter knows FLUX.1's own size alone
    inner = ("attn.to_q", "attn.to_v", "attn.add_k_proj", "attn.to_out.0", "ff.net.2", "norm1.linear")
    changes = {}
    for place, name in enumerate(
        [f"transformer_blocks.0.{name}" for name in inner]
        + [f"single_transformer_blocks.3.{name}" for name in ("attn.to_q", "attn.to_k", "proj_out")]
    ):
        out, inside = {"ff.net.2": (width, 4 * width), "norm1.linear": (6 * width, width)}.get(
            name.split(".", 2)[2], (width, 5 * width if name.endswith("proj_out") else width)
        )
        pair = LowRank(numbers(place, 2, inside), numbers(place + 99, out, 2), 1.3)
        changes[f"transformer.{name}"] = Change(pair)
    path = writing.save(Lora(changes, "flux"), tmp_path / "a.safetensors", dialect)
    found, alphas = FluxLoraLoaderMixin.lora_state_dict(str(path), return_alphas=True)
    assert not alphas
    for key in [key for key in found if key.endswith("lora_A.weight")]:
        name = key.removesuffix(".lora_A.weight")
        x = numbers(1, found[key].shape[1])
        moved = found[f"{name}.lora_B.weight"] @ (found[key] @ x)
        delta = changes[name].delta if name in changes else None  # zero rows of a fused weight
        assert isinstance(delta, LowRank | None)
        expected = torch.zeros(len(moved)) if delta is None else delta.up @ (delta.down @ x) * delta.scale
        assert torch.allclose(moved, expected, atol=1e-3, rtol=1e-5)
    assert {f"{name}.lora_A.weight" for name in changes} <= found.keys()


def forms() -> dict[str, tuple[Delta, tuple[int, ...]]]:
    loha = {"w1_a": (OUT, 2), "w1_b": (2, IN), "w2_a": (OUT, 2), "w2_b": (2, IN)}
    tucker = {
        "w1_a": (2, OUT),
        "w1_b": (2, IN),
        "w2_a": (2, OUT),
        "w2_b": (2, IN),
        "t1": (2, 2, 3, 3),
        "t2": (2, 2, 3, 3),
    }
    linear, conv = (OUT, IN), (OUT, IN, 3, 3)

    def made(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
        return {name: numbers(place, *shape) for place, (name, shape) in enumerate(shapes.items())}

    return {
        "pair": (LowRank(numbers(0, 3, IN), numbers(1, OUT, 3), 1.3), linear),
        "rank-stabilised": (LowRank(numbers(0, 3, IN), numbers(1, OUT, 3), 1.3, rank_stabilized=True), linear),
        "convolution": (LowRank(numbers(0, 3, IN, 3, 3), numbers(1, OUT, 3, 1, 1), 1.3), conv),
        "tucker": (LowRank(numbers(0, 3, IN, 1, 1), numbers(1, OUT, 3, 1, 1), 1.3, mid=numbers(2, 3, 3, 3, 3)), conv),
        "loha": (Hadamard(**made(loha), alpha=1.3), linear),
        "loha tucker": (Hadamard(**made(tucker), alpha=1.3, kernel=(3, 3)), conv),
        "lokr": (Kronecker(1.3, **made({"w1": (3, 2), "w2_a": (4, 1), "w2_b": (1, 4)})), linear),
        "lokr both": (Kronecker(1.3, **made({"w1_a": (3, 1), "w1_b": (1, 2), "w2_a": (4, 1), "w2_b": (1, 4)})), linear),
        "lokr whole": (Kronecker(1.3, **made({"w1": (3, 2), "w2": (4, 4)})), linear),
        "lokr convolution": (Kronecker(1.3, **made({"w1": (3, 2), "w2": (4, 4, 3, 3)})), conv),
        "full": (Full(numbers(0, OUT, IN)), linear),
    }


@pytest.mark.parametrize("form", forms())
@pytest.mark.parametrize("dialect", ["kohya", "comfyui"])
def test_lycoris_reads_every_form_to_the_same_weight(form: str, dialect: str) -> None:
    delta, shape = forms()[form]
    torch.manual_seed(0)
    layer: torch.nn.Module = torch.nn.Linear(IN, OUT) if len(shape) == 2 else torch.nn.Conv2d(IN, OUT, 3)
    name = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2" if len(shape) == 2 else "conv_in"
    tensors, _ = writing.state_dict(Lora({f"unet.{name}": Change(delta)}, "sd1"), dialect)
    flat = name.replace(".", "_")
    original = names.get("sd1").table("original").find(name)
    assert original is not None
    stem = f"lora_unet_{flat}" if dialect == "kohya" else f"diffusion_model.{original.name}"
    module = make_module(*get_module(tensors, stem), flat, layer)
    if isinstance(delta, Hadamard | Kronecker):
        found = module.get_weight(shape)  # what its forward pass adds; its get_merged_weight scales twice
    else:
        found = module.get_diff_weight(1.0, shape)[0]
    assert float((found.detach().reshape(shape) - delta.dense()).abs().max()) < 1e-5


@pytest.mark.parametrize("axis", [0, 1])
def test_lycoris_reads_dora_over_either_axis(axis: int) -> None:
    delta = LowRank(numbers(0, 3, IN), numbers(1, OUT, 3), 1.3)
    change = Change(delta, Magnitude(numbers(2, OUT if axis == 0 else IN).abs() + 0.5, 0 if axis == 0 else 1))
    name = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2"
    tensors, _ = writing.state_dict(Lora({f"unet.{name}": change}, "sd1"), "kohya")
    layer = torch.nn.Linear(IN, OUT)
    module = LoConModule("one", layer, 1.0, 3, 3.0, weight_decompose=True, wd_on_out=axis == 0)
    stem = "lora_unet_" + name.replace(".", "_")
    own = {key.removeprefix(f"{stem}."): value for key, value in tensors.items()}
    assert {key: value.shape for key, value in own.items()} == {
        key: value.shape for key, value in module.custom_state_dict().items()
    }
    module.load_state_dict(own)
    merged, _ = module.get_merged_weight(1.0)
    assert float((merged.detach() - change.weight(layer.weight.detach())).abs().max()) < 1e-5


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("family", list(names.FAMILIES))
def test_every_family_comes_back_from_every_dialect(family: str, dialect: str, tmp_path: Path) -> None:
    made = lora(family)
    path = writing.save(made, tmp_path / "a.safetensors", dialect)
    info, back = reading.inspect(path), reading.load(path)
    assert (info.family, info.unmatched, info.warnings, info.scale) == (family, (), (), 1.0)
    assert back.changes.keys() == made.changes.keys()
    assert distance(back, made) < 1e-6
    again = writing.save(back, tmp_path / "b.safetensors", dialect)
    assert header.read(again).tensors == header.read(path).tensors
    assert all(torch.equal(value, load_file(again)[key]) for key, value in load_file(path).items())


@pytest.mark.parametrize("form", forms())
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_form_comes_back_from_every_dialect(form: str, dialect: str, tmp_path: Path) -> None:
    delta, shape = forms()[form]
    name = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2" if len(shape) == 2 else "conv_in"
    made = Lora({f"unet.{name}": Change(delta, bias=numbers(7, OUT))}, "sd1")
    back = reading.load(writing.save(made, tmp_path / "a.safetensors", dialect, rank=128))
    assert distance(back, made) < 1e-6
    bias = back.changes[f"unet.{name}"].bias
    assert bias is not None and torch.allclose(bias, numbers(7, OUT), atol=1e-6)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("family", ["sd1", "sdxl", "flux", "sd3"])
def test_text_encoders_come_back(family: str, dialect: str, tmp_path: Path) -> None:
    known = names.get(family)
    layers = {"clip": "text_model.encoder.layers.0.self_attn.q_proj", "t5": "encoder.block.0.layer.0.SelfAttention.q"}
    network = lora(family, only="to_q")
    changes = {
        f"{component}.{layers[kind]}": Change(LowRank(numbers(place, 2, IN), numbers(place + 9, OUT, 2), 0.6))
        for place, (component, (kind, _)) in enumerate(known.text_encoders.items())
    }
    made = Lora({**network.changes, **changes}, family)
    back = reading.load(writing.save(made, tmp_path / "a.safetensors", dialect))
    assert changes.keys() <= back.changes.keys()
    assert distance(back, made) < 1e-6


def test_a_control_lora_comes_back_with_its_wider_input_and_new_norms(tmp_path: Path) -> None:
    wide = LowRank(numbers(0, 2, 2 * IN), numbers(1, OUT, 2), 2.0)
    made = lora("flux", only="attn.to_q")
    norm = "transformer.transformer_blocks.0.attn.norm_q"
    changes = {**made.changes, norm: Change(set_weight=numbers(3, 8))}
    changes["transformer.x_embedder"] = Change(wide, widens=True)
    back = reading.load(writing.save(replace(made, changes=changes), tmp_path / "a.safetensors", "comfyui"))
    found = back.changes["transformer.x_embedder"]
    assert found.widens and found.delta is not None and torch.equal(found.delta.dense(), wide.dense())
    weight = back.changes[norm].set_weight
    assert weight is not None and torch.equal(weight, numbers(3, 8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_half_where_that_is_exact(dtype: torch.dtype, tmp_path: Path) -> None:
    made = lora("flux", rank=2, alpha=1.0, only="attn.to_q", dtype=dtype)
    path = writing.save(made, tmp_path / "a.safetensors")
    kept, grown = (
        {str(value.dtype) for key, value in load_file(path).items() if value.shape[0 if "_A" in key else 1] == rank}
        for rank in (2, 3)
    )
    assert kept == {str(dtype)}  # 1/2 is exact
    assert grown == {"torch.float32"}  # 1/3 is not
    assert distance(reading.load(path), made) < 1e-6


def test_the_header_says_what_it_is_and_where_it_comes_from(tmp_path: Path) -> None:
    source = writing.save(lora("flux"), tmp_path / "source.safetensors", "kohya")
    made = replace(
        lora("flux"),
        metadata={
            "ss_learning_rate": "1e-4", "ss_network_dim": "99", "ss_network_alpha": "1", "lora_adapter_metadata": "{}",
            "modelspec.title": "Line art", "modelspec.hash_sha256": "0xold", "modelspec.trigger_phrase": "riso",
        },
    )  # fmt: skip
    told = Lineage("svd", (part(source, 0.7), Part("b.safetensors", "00", -0.3)), settings={"rank": 8})
    path = writing.save(made, tmp_path / "out.safetensors", metadata={"loragraph.steps": "3"}, lineage=told)
    found = header.read(path).metadata
    assert found["modelspec.sai_model_spec"] == "1.0.1"
    assert found["modelspec.architecture"] == "flux-1-dev/lora"
    assert found["modelspec.implementation"] == "diffusers"
    assert found["modelspec.title"] == "Line art"
    assert found["modelspec.trigger_phrase"] == "riso"
    assert found["modelspec.merged_from"] == "source.safetensors, b.safetensors"
    assert (found["ss_learning_rate"], found["loragraph.steps"]) == ("1e-4", "3")
    assert "ss_network_dim" not in found and "modelspec.date" not in found
    data = path.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    import hashlib

    assert found["modelspec.hash_sha256"] == "0x" + hashlib.sha256(data[length:]).hexdigest()
    config = json.loads(found["lora_adapter_metadata"])
    assert config["transformer.r"] == config["transformer.lora_alpha"]
    assert config["transformer.rank_pattern"] == config["transformer.alpha_pattern"]
    assert of(found) == told


def test_a_kohya_header_has_the_ranks_of_the_weights_in_the_file(tmp_path: Path) -> None:
    path = writing.save(lora("flux", rank=4), tmp_path / "a.safetensors", "kohya", date="2026-01-02T03:04:05")
    found = header.read(path).metadata
    assert (found["ss_network_dim"], found["ss_network_alpha"]) == ("18", "18")  # four ranks of 4 and 5 in one weight
    assert found["ss_network_module"] == "networks.lora_flux"
    assert found["modelspec.date"] == "2026-01-02T03:04:05"


def test_equal_loras_are_equal_bytes(tmp_path: Path) -> None:
    made = lora("flux")
    turned = replace(made, changes=dict(reversed(made.changes.items())))
    for dialect in DIALECTS:
        first = writing.save(made, tmp_path / "1" / "a.safetensors", dialect)
        assert writing.save(made, tmp_path / "2" / "a.safetensors", dialect).read_bytes() == first.read_bytes()
    first = writing.save(made, tmp_path / "1" / "a.safetensors")
    assert writing.save(turned, tmp_path / "2" / "a.safetensors").read_bytes() == first.read_bytes()


def test_a_failure_leaves_the_old_file_and_no_debris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = writing.save(lora("flux"), tmp_path / "a.safetensors")
    before = path.read_bytes()
    calls = iter(range(100))

    def full(tensor: torch.Tensor) -> memoryview:
        if next(calls) > 80:
            raise OSError(28, "No space left on device")
        return memoryview(tensor.contiguous().view(torch.uint8).numpy().reshape(-1).data)

    monkeypatch.setattr(atomic, "raw_bytes", full)
    with pytest.raises(OSError, match="No space"):
        writing.save(lora("flux", rank=3), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("change", "dialect", "said"),
    [
        (Change(Full(numbers(0, OUT))), "peft", "change a norm.*comfyui or kohya"),
        (Change(bias=numbers(0, OUT)), "peft", "change a bias alone"),
        (Change(set_weight=numbers(0, OUT, IN)), "peft", "replace a weight.*comfyui"),
        (Change(set_weight=numbers(0, OUT, IN)), "kohya", "replace a weight.*comfyui"),
        (Change(Full(numbers(0, OUT, IN))), "peft", r"rank 8\. Resize the LoRA first, use kohya or comfyui"),
        (
            Change(LowRank(numbers(0, 2, IN), numbers(1, OUT, 2), 1.0), Magnitude(torch.ones(IN), 1)),
            "peft",
            "over the inputs",
        ),
    ],
)
def test_what_a_dialect_cannot_hold_is_refused_with_the_remedy(change: Change, dialect: str, said: str) -> None:
    name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2"
    with pytest.raises(SettingError, match=said):
        writing.state_dict(Lora({name: change}, "sd1"), dialect)


def test_dora_on_some_modules_only_is_no_peft_file() -> None:
    made = lora("flux", only="attn.to_")
    first = next(iter(made.changes))
    changes = {**made.changes, first: replace(made.changes[first], magnitude=Magnitude(torch.ones(16)))}
    with pytest.raises(SettingError, match=r"1 modules of the transformer are DoRA.*PEFT has all or none"):
        writing.state_dict(replace(made, changes=changes))


def test_wrong_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match=r'use one of peft, kohya, comfyui\. Did you mean "kohya"'):
        writing.state_dict(lora("flux"), "koyha")
    with pytest.raises(SettingError, match="depend on the family of models, which is '' here"):
        writing.state_dict(replace(lora("flux"), family=""), "kohya")
    with pytest.raises(SettingError, match="changes nothing"):
        writing.state_dict(Lora({}), "peft")
    strange = Lora({**lora("flux").changes, "transformer.adapter.proj": Change(Full(numbers(0, 4, 4)))}, "flux")
    with pytest.raises(SettingError, match=r"dialect = 'kohya': 1 modules have no name there: adapter\.proj"):
        writing.state_dict(strange, "kohya")
    with pytest.raises(SettingError, match="no name for the text_encoder_9"):
        writing.state_dict(Lora({"text_encoder_9.x": Change(Full(numbers(0, 4, 4)))}, "flux"), "kohya")


def test_a_broken_lineage_in_a_header_is_no_lineage() -> None:
    for text in ("", "[]", "{}", "3", '{"method": "x", "parts": [{}]}', "[" * 10_000):
        assert of({"loragraph.lineage": text}) is None
    deep = Lineage("concat")
    for _ in range(30):
        deep = Lineage("concat", (Part("a", "b", 1.0, deep),))
    assert len(deep.text()) < 1000  # old generations are left out
