"""A LoRA out of two checkpoints: folders and single files, linear layers and convolutions, biases and norms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from loragraph.diffusion.errors import LoraMismatch, SettingError
from loragraph.diffusion.lora import extract as extracting
from loragraph.diffusion.lora.checkpoint import Checkpoint
from loragraph.diffusion.lora.delta import Full
from loragraph.diffusion.lora.extract import extract
from loragraph.diffusion.lora.names import flux

WEIGHTS = "diffusion_pytorch_model.safetensors"
QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
CONV = "mid_block.resnets.0.conv1"


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def low_rank(seed: int, shape: tuple[int, ...], rank: int, size: float = 0.1) -> Tensor:
    flat = torch.Size([shape[0], torch.Size(shape[1:]).numel()])
    return (numbers(seed, flat[0], rank) @ numbers(seed + 1, rank, flat[1])).reshape(shape) * size


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    folder = tmp_path_factory.mktemp("original") / "unet"
    model.save_pretrained(folder)
    return folder


def tuned(original: Path, out: Path, changes: dict[str, Tensor], **options: Any) -> Path:
    """A copy of a component's folder with its parameters changed by so much."""
    out.mkdir(parents=True)
    (out / "config.json").write_bytes((original / "config.json").read_bytes())
    weights = load_file(original / WEIGHTS)
    for name, change in changes.items():
        weights[name] = weights[name] + change
    dtype = options.get("dtype", torch.float32)
    save_file({name: weight.to(dtype) for name, weight in weights.items()}, out / WEIGHTS)
    return out


def far(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def test_what_was_changed_at_a_low_rank_is_found_again(unet: Path, tmp_path: Path) -> None:
    shapes = Checkpoint.open(unet).shapes()
    changes = {
        f"{QUERY}.weight": low_rank(1, shapes[f"unet.{QUERY}.weight"], 3),
        f"{CONV}.weight": low_rank(3, shapes[f"unet.{CONV}.weight"], 4),
        f"{CONV}.bias": numbers(5, 64),
        "conv_norm_out.weight": numbers(6, 32),
        "conv_norm_out.bias": numbers(7, 32),
        "conv_in.bias": numbers(8, 32),
    }
    found = extract(unet, tuned(unet, tmp_path / "tuned", changes), rank=4)
    lora = found.lora
    assert lora.family == Checkpoint.open(unet).family
    assert set(lora.changes) == {f"unet.{name}" for name in (QUERY, CONV, "conv_norm_out", "conv_in")}
    for module in (QUERY, CONV):
        delta = lora.changes[f"unet.{module}"].delta
        assert delta is not None and delta.shape == shapes[f"unet.{module}.weight"] and delta.rank == 4
        assert delta.scale == 1.0
        assert far(delta.dense(), changes[f"{module}.weight"]) < 1e-5
    norm = lora.changes["unet.conv_norm_out"]
    assert isinstance(norm.delta, Full) and norm.bias is not None
    assert torch.allclose(norm.delta.diff, changes["conv_norm_out.weight"], atol=1e-6)
    assert torch.allclose(norm.bias, changes["conv_norm_out.bias"], atol=1e-6)
    for module in (CONV, "conv_in"):
        bias = lora.changes[f"unet.{module}"].bias
        assert bias is not None and torch.allclose(bias, changes[f"{module}.bias"], atol=1e-6)
    assert found.energy == pytest.approx(1, abs=1e-6) and set(found.ranks) == {f"unet.{QUERY}", f"unet.{CONV}"}
    assert lora.warnings == ()


def test_small_parameters_may_be_left_out_and_are_named(unet: Path, tmp_path: Path) -> None:
    shape = Checkpoint.open(unet).shapes()[f"unet.{QUERY}.weight"]
    changes = {f"{QUERY}.weight": low_rank(1, shape, 2), "conv_norm_out.weight": numbers(6, 32)}
    changed = tuned(unet, tmp_path / "tuned", changes)
    lora = extract(unet, changed, rank=2, full_small=False).lora
    assert set(lora.changes) == {f"unet.{QUERY}"}
    assert "unet.conv_norm_out.weight" in lora.warnings[0]


def test_a_change_of_full_rank_is_cut_almost_as_well_as_can_be(tmp_path: Path) -> None:
    fade = torch.arange(1, 257, dtype=torch.float32) ** -0.7
    left, right = torch.linalg.qr(numbers(1, 256, 256))[0], torch.linalg.qr(numbers(2, 320, 256))[0].T
    change = (left * fade) @ right
    best = float(fade[16:].norm() / fade.norm())
    first, second = flux_files(tmp_path, change)
    found = extract(first, second, rank=16)
    delta = found.lora.changes["transformer.transformer_blocks.0.attn.to_out.0"].delta
    assert delta is not None and delta.rank == 16
    assert best - 1e-5 <= far(delta.dense(), change) < best * 1.005
    assert found.energy == pytest.approx(1 - far(delta.dense(), change) ** 2, abs=1e-4)
    rule = extract(first, second, sv_fro=0.6)
    squares = torch.cumsum(fade.square(), 0) / fade.square().sum()
    assert abs(rule.lora.rank - (int((squares < 0.36).sum()) + 1)) <= 1
    # the same numbers give the same LoRA; others give another
    again, other = extract(first, second, rank=16), extract(first, second, rank=16, seed=1)
    name = next(iter(found.lora.changes))
    ups = [run.lora.changes[name].delta.up for run in (found, again, other)]  # type: ignore[union-attr]
    assert torch.equal(ups[0], ups[1]) and not torch.equal(ups[0], ups[2])


def flux_files(folder: Path, change: Tensor) -> tuple[Path, Path]:
    """Two single files with diffusers' names, of an output projection alone and of what tells the family."""
    weights = {
        "transformer_blocks.0.attn.to_out.0.weight": numbers(3, *change.shape),
        "transformer_blocks.0.attn.add_q_proj.weight": numbers(4, 8, 8),
        "single_transformer_blocks.0.attn.to_q.weight": numbers(5, 8, 8),
        "x_embedder.weight": numbers(6, 8, 4),
    }
    save_file(weights, folder / "first.safetensors")
    weights["transformer_blocks.0.attn.to_out.0.weight"] = weights["transformer_blocks.0.attn.to_out.0.weight"] + change
    save_file(weights, folder / "second.safetensors")
    return folder / "first.safetensors", folder / "second.safetensors"


def original_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a FLUX transformer as Black Forest Labs stores them, those that are in one piece."""
    found = {}
    for name in weights:
        module, _, role = name.rpartition(".")
        match = flux.ORIGINAL.find(module)
        if match is None:
            continue
        parts = [weights[f"{target}.{role}"] for target in match.targets]
        whole = torch.cat(parts) if match.split != "swapped" else torch.cat(parts[0].chunk(2)[::-1])
        key = f"{match.name}.{'scale' if 'norm.' in match.name else role}"
        found[key] = whole.contiguous()
    return found


def test_a_folder_and_a_single_file_with_other_names_are_compared(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"num_attention_heads": 2, "attention_head_dim": 8, "axes_dims_rope": (2, 2, 4), "in_channels": 8}
    model = FluxTransformer2DModel(
        num_layers=1,
        num_single_layers=1,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        guidance_embeds=True,
        **sizes,
    )
    model.save_pretrained(tmp_path / "transformer")
    weights = load_file(tmp_path / "transformer" / WEIGHTS)
    key, value = "transformer_blocks.0.attn.to_k", "single_transformer_blocks.0.proj_mlp"
    changes = {module: low_rank(1, weights[f"{module}.weight"].shape, 2) for module in (key, value)}
    for module, change in changes.items():
        weights[f"{module}.weight"] = weights[f"{module}.weight"] + change
    save_file(original_names(weights), tmp_path / "tuned.safetensors")
    lora = extract(tmp_path / "transformer", tmp_path / "tuned.safetensors", rank=2).lora
    assert set(lora.changes) == {f"transformer.{module}" for module in changes}
    for module, change in changes.items():
        delta = lora.changes[f"transformer.{module}"].delta
        assert delta is not None and far(delta.dense(), change) < 1e-5


def test_clamping_is_kohyas_and_the_energy_says_what_it_costs(unet: Path, tmp_path: Path) -> None:
    shape = Checkpoint.open(unet).shapes()[f"unet.{QUERY}.weight"]
    change = low_rank(1, shape, 3)
    found = extract(unet, tuned(unet, tmp_path / "tuned", {f"{QUERY}.weight": change}), rank=3, clamp=0.9)
    left, values, right = torch.linalg.svd(change, full_matrices=False)
    up, down = left[:, :3] * values[:3], right[:3]
    limit = float(torch.quantile(torch.cat([up.flatten(), down.flatten()]), 0.9))
    wanted = up.clamp(-limit, limit) @ down.clamp(-limit, limit)
    delta = found.lora.changes[f"unet.{QUERY}"].delta
    assert delta is not None and far(delta.dense(), wanted) < 0.02
    assert found.energy == pytest.approx(1 - far(wanted, change) ** 2, abs=0.02) and found.energy < 0.99


def test_text_encoders_are_taken_or_left(base: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "tuned"
    shutil.copytree(base, folder)
    names = {"transformer": WEIGHTS, "text_encoder": "model.safetensors"}
    modules = {"transformer": "transformer_blocks.0.attn.to_q", "text_encoder": ""}
    for component, file in names.items():
        path = folder / component / file
        weights = load_file(path)
        keys = [key for key in weights if key.endswith("q_proj.weight") or key == f"{modules[component]}.weight"]
        modules[component] = keys[0].removesuffix(".weight")
        weights[keys[0]] = weights[keys[0]] + low_rank(1, tuple(weights[keys[0]].shape), 2)
        if component == "text_encoder":
            table = next(key for key in weights if key.endswith("token_embedding.weight"))
            weights[table] = weights[table] + 0.5
        save_file(weights, path, metadata={"format": "pt"})
    found = extract(base, folder, rank=2)
    assert {name.split(".")[0] for name in found.lora.changes} == {"transformer", "text_encoder"}
    assert found.energy == pytest.approx(1, abs=1e-6)
    # a table that is looked up takes no pair of any reader
    assert "token_embedding" in found.lora.warnings[0]
    alone = extract(base, folder, rank=2, include_text_encoders=False).lora
    assert [name.split(".")[0] for name in alone.changes] == ["transformer"] and alone.warnings == ()


def test_changes_below_the_least_difference_are_left_out(unet: Path, tmp_path: Path) -> None:
    shapes = Checkpoint.open(unet).shapes()
    strong, weak = (low_rank(seed, shapes[f"unet.{QUERY}.weight"], 2, size) for seed, size in ((1, 1.0), (3, 1e-4)))
    other = QUERY.replace("to_q", "to_v")
    changed = tuned(unet, tmp_path / "tuned", {f"{QUERY}.weight": strong, f"{other}.weight": weak})
    assert set(extract(unet, changed, rank=2).lora.changes) == {f"unet.{QUERY}", f"unet.{other}"}
    assert set(extract(unet, changed, rank=2, min_diff=0.01).lora.changes) == {f"unet.{QUERY}"}
    with pytest.raises(SettingError, match="by more than min_diff = 1000"):
        extract(unet, changed, rank=2, min_diff=1000)


def test_checkpoints_of_two_precisions_are_warned_of(unet: Path, tmp_path: Path) -> None:
    shape = Checkpoint.open(unet).shapes()[f"unet.{QUERY}.weight"]
    changed = tuned(unet, tmp_path / "half", {f"{QUERY}.weight": low_rank(1, shape, 2)}, dtype=torch.float16)
    found = extract(unet, changed, rank=2, min_diff=0.02)
    assert set(found.lora.changes) == {f"unet.{QUERY}"}
    assert "F32 and F16" in found.lora.warnings[0] and "min_diff" in found.lora.warnings[0]


def test_two_that_cannot_be_compared_are_refused(unet: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="nothing differs") as caught:
        extract(unet, unet, rank=2)
    assert caught.value.field == "tuned"
    first, _ = flux_files(tmp_path, torch.zeros(256, 320))
    with pytest.raises(LoraMismatch, match=r"of the family 'flux'|no weights in common"):
        extract(unet, first, rank=2)
    smaller = {"transformer_blocks.0.attn.add_q_proj.weight": numbers(1, 8, 4)} | {
        "single_transformer_blocks.0.attn.to_q.weight": numbers(2, 8, 8),
        "x_embedder.weight": numbers(6, 8, 4),
    }
    save_file(smaller, tmp_path / "smaller.safetensors")
    with pytest.raises(LoraMismatch, match=r"add_q_proj.weight is \[8, 8\] in one, \[8, 4\]"):
        extract(first, tmp_path / "smaller.safetensors", rank=2)


def test_numbers_that_are_none_are_refused_by_name(unet: Path, tmp_path: Path) -> None:
    changed = tuned(unet, tmp_path / "tuned", {"conv_in.bias": torch.full((32,), torch.nan)})
    with pytest.raises(LoraMismatch, match=r"unet.conv_in.bias .*not a number"):
        extract(unet, changed, rank=2)


@pytest.mark.parametrize(
    ("options", "field"),
    [({}, "rank"), ({"rank": 2, "clamp": 1.0}, "clamp"), ({"rank": 2, "min_diff": -1.0}, "min_diff")],
)
def test_bad_settings_are_refused_before_anything_is_read(options: dict[str, Any], field: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        extract(tmp_path / "none", tmp_path / "none", **options)
    assert caught.value.field == field


def test_progress_counts_parameters_and_may_stop_it(unet: Path, tmp_path: Path) -> None:
    changed = tuned(unet, tmp_path / "tuned", {"conv_in.bias": numbers(1, 32)})
    seen: list[tuple[int, int]] = []
    extract(unet, changed, rank=2, on_progress=lambda done, total: seen.append((done, total)))
    total = len(Checkpoint.open(unet).shapes())
    assert seen == [(number + 1, total) for number in range(total)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(unet, changed, rank=2, on_progress=stop)


def test_weights_are_read_one_at_a_time(unet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import weakref

    changed = tuned(unet, tmp_path / "tuned", {"conv_in.bias": numbers(1, 32)})
    alive: list[weakref.ref[Tensor]] = []
    most = 0
    plain_read = Checkpoint.read

    def read(self: Checkpoint, name: str) -> Tensor:
        nonlocal most
        tensor = plain_read(self, name).clone()
        alive.append(weakref.ref(tensor))
        most = max(most, sum(found() is not None for found in alive))
        return tensor

    monkeypatch.setattr(extracting.Checkpoint, "read", read)
    extract(unet, changed, rank=2)
    assert len(alive) == 2 * len(Checkpoint.open(unet).shapes()) and most == 2
