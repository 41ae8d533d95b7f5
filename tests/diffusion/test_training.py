"""Training: it learns, it repeats, it resumes, it stops, it leaves no trace."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from diffusers import FluxPipeline
from PIL import Image

from loragraph.diffusion import families, sampling
from loragraph.diffusion.adapters import Use, file_sha256
from loragraph.diffusion.errors import PictureError, SettingError, TrainingDiverged, TrainingStopped
from loragraph.diffusion.lora import header, lineage, reading
from loragraph.diffusion.lora.delta import LowRank
from loragraph.diffusion.training import checkpoint, data, loop, schedule
from loragraph.diffusion.training.config import TrainConfig
from loragraph.diffusion.training.loop import train
from loragraph.tests.diffusion.conftest import LoraFile

FAMILY = families.get("flux")
SHORT = TrainConfig(steps=8, batch_size=2, rank=4, alpha=2.0, warmup=2, caption_dropout=0.3, checkpoint_every=3, seed=5)
Items = list[tuple[str, str]]


@pytest.fixture
def trained(pipeline: Any, pictures: Items, tmp_path: Path) -> Path:
    return train(pipeline, pictures, SHORT, checkpoint_dir=tmp_path / "trained")


def pairs(file: Path) -> dict[str, LowRank]:
    """What a file of plain pairs holds, by module without its component."""
    found = {}
    for name, change in reading.load(file).changes.items():
        assert isinstance(change.delta, LowRank)
        found[name.removeprefix("transformer.")] = change.delta
    return found


def changed(config: TrainConfig, **settings: Any) -> TrainConfig:
    return dataclasses.replace(config, **settings)


def test_the_loss_falls_on_a_picture_learned_by_heart(pipeline: Any, pictures: Items, tmp_path: Path) -> None:
    losses: list[float] = []
    config = changed(SHORT, steps=60, batch_size=8, rank=16, alpha=16.0, learning_rate=1e-2, caption_dropout=0.0)
    train(pipeline, pictures[:1], config, checkpoint_dir=tmp_path, on_step=lambda *step: losses.append(step[2]))
    assert sum(losses[-8:]) < 0.85 * sum(losses[:8])


def test_same_seed_same_file_and_another_seed_another(
    pipeline: Any, pictures: Items, trained: Path, tmp_path: Path
) -> None:
    again = train(pipeline, pictures, SHORT, checkpoint_dir=tmp_path / "again")
    other = train(pipeline, pictures, changed(SHORT, seed=6), checkpoint_dir=tmp_path / "other")
    assert again.read_bytes() == trained.read_bytes()
    assert other.read_bytes() != trained.read_bytes()


def test_the_state_of_the_process_does_not_matter_and_is_not_moved(
    pipeline: Any, pictures: Items, trained: Path, tmp_path: Path
) -> None:
    torch.manual_seed(99)
    torch.rand(7)
    before = torch.random.get_rng_state()
    again = train(pipeline, pictures, SHORT, checkpoint_dir=tmp_path / "again")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert again.read_bytes() == trained.read_bytes()


@pytest.mark.parametrize("stop_after", [1, 3, 5, 7])
def test_resumed_is_uninterrupted_bit_for_bit(
    pipeline: Any, pictures: Items, trained: Path, tmp_path: Path, stop_after: int
) -> None:
    done: list[int] = []
    folder = tmp_path / "resumed"
    with pytest.raises(TrainingStopped) as stopped:
        train(
            pipeline,
            pictures,
            SHORT,
            checkpoint_dir=folder,
            on_step=lambda *step: done.append(step[0]),
            should_stop=lambda: len(done) >= stop_after,
        )
    assert stopped.value.step == stop_after
    resumed = train(pipeline, pictures, SHORT, checkpoint_dir=folder, on_step=lambda *step: done.append(step[0]))
    assert done == list(range(1, 9))
    assert resumed.read_bytes() == trained.read_bytes()


def test_a_killed_process_is_resumed_from_its_last_checkpoint(
    base: Path, pictures: Items, trained: Path, pipeline: Any, tmp_path: Path
) -> None:
    code = f"""
        import os, signal
        import torch
        torch.set_num_threads(1)
        from loragraph.diffusion import families
        from loragraph.diffusion.training.config import TrainConfig
        from loragraph.diffusion.training.loop import train
        def die(step, *_):
            if step == 5:
                os.kill(os.getpid(), signal.SIGKILL)
        pipeline = families.get("flux").load_pipeline({str(base)!r})
        train(pipeline, {pictures!r}, {SHORT!r}, checkpoint_dir={str(tmp_path / "killed")!r}, on_step=die)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=os.environ, capture_output=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    half_written = tmp_path / "killed" / f".{checkpoint.FILE_NAME}.x1.tmp"
    half_written.write_bytes(b"a kill in the middle of a save leaves such a file")
    done: list[int] = []
    resumed = train(
        pipeline, pictures, SHORT, checkpoint_dir=tmp_path / "killed", on_step=lambda *step: done.append(step[0])
    )
    assert done == [4, 5, 6, 7, 8]
    assert not half_written.exists()
    assert resumed.read_bytes() == trained.read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "other settings", "other pictures", "nonsense"])
def test_a_checkpoint_that_does_not_belong_starts_anew(
    pipeline: Any, pictures: Items, trained: Path, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "damaged"
    done: list[int] = []
    config = changed(SHORT, alpha=3.0) if damage == "other settings" else SHORT
    items = pictures[::-1] if damage == "other pictures" else pictures
    stop = iter([False, False, False, False, True])
    with pytest.raises(TrainingStopped):
        train(pipeline, items, config, checkpoint_dir=folder, should_stop=lambda: next(stop))
    file = folder / checkpoint.FILE_NAME
    assert file.exists()
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-10])
    if damage == "nonsense":
        file.write_bytes(b"nonsense" * 20)
    again = train(pipeline, pictures, SHORT, checkpoint_dir=folder, on_step=lambda *step: done.append(step[0]))
    assert done[0] == 1
    assert again.read_bytes() == trained.read_bytes()


def test_previews_show_the_adapter_and_change_nothing(
    pipeline: Any, pictures: Items, trained: Path, tmp_path: Path
) -> None:
    shown: dict[int, Image.Image] = {}
    config = changed(SHORT, preview_every=4, preview_prompts=("a red apple",), preview_steps=3)
    file = train(
        pipeline,
        pictures,
        config,
        checkpoint_dir=tmp_path / "watched",
        on_preview=lambda step, drawn: shown.update({step: drawn[0]}),
    )
    assert file.read_bytes() == trained.read_bytes()
    assert sorted(shown) == [4, 8]
    use = Use(str(file), file_sha256(str(file)), 1.0)
    drawn = sampling.sample(pipeline, FAMILY, ["a red apple"], seed=SHORT.seed, steps=3, adapters=[use])[0]
    assert numpy.abs(numpy.asarray(drawn, int) - numpy.asarray(shown[8], int)).max() <= 1


def test_stock_diffusers_loads_the_file_at_the_scale_it_was_trained(base: Path, trained: Path) -> None:
    info = reading.inspect(trained)
    # alpha is in B, so that readers which ignore it get the scale right
    assert (info.family, info.rank, info.alpha, info.scale, info.modules) == ("flux", 4, 4.0, 1.0, 17)
    stock = FluxPipeline.from_pretrained(base)
    stock.load_lora_weights(str(trained))
    layers = {name: layer for name, layer in stock.transformer.named_modules() if hasattr(layer, "scaling")}
    assert {f"transformer.{name}" for name in layers} == info.items.keys()
    assert {layer.scaling["default_0"] for layer in layers.values()} == {1.0}
    ups = pairs(trained)
    assert all(torch.equal(layers[name].lora_B["default_0"].weight, pair.up) for name, pair in ups.items())
    assert all(pair.up.abs().max() > 0 for name, pair in ups.items() if "context" not in name)
    told = lineage.of(header.read(trained).metadata)
    assert told is not None and (told.method, told.base) == ("train", "Tiny FLUX")
    facts = {"steps": 8, "batch_size": 2, "rank": 4, "alpha": 2.0, "seed": 5, "learning_rate": SHORT.learning_rate}
    assert told.settings.items() >= facts.items() and told.settings["pictures"] > 0


def test_it_stops_within_one_step_and_leaves_the_pipeline_as_it_was(
    pipeline: Any, pictures: Items, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in pipeline.transformer.state_dict().items() if "lora" not in name}
    done: list[int] = []

    def fail(step: int, *_: Any) -> None:
        done.append(step)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(pipeline, pictures, SHORT, checkpoint_dir=tmp_path, on_step=fail)
    assert done == [1]
    assert list(tmp_path.iterdir()) == []
    assert loop.ADAPTER not in getattr(pipeline.transformer, "peft_config", {})
    assert not any(value.requires_grad for value in pipeline.transformer.parameters())
    after = pipeline.transformer.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_freshly_loaded_pipeline_has_no_peft_layers_left(base: Path, pictures: Items, tmp_path: Path) -> None:
    fresh = FAMILY.load_pipeline(base)
    kinds = [type(module) for module in fresh.transformer.modules()]
    train(fresh, pictures, changed(SHORT, steps=1), checkpoint_dir=tmp_path)
    assert [type(module) for module in fresh.transformer.modules()] == kinds


def test_a_lora_can_be_trained_on_top_of_another_which_stays_frozen(
    pipeline: Any, pictures: Items, lora_file: LoraFile, trained: Path, tmp_path: Path
) -> None:
    under = lora_file("under")
    use = Use(str(under), file_sha256(str(under)), -0.6)
    before = sampling.sample(pipeline, FAMILY, ["a red apple"], steps=2, adapters=[use])[0]
    file = train(pipeline, pictures, SHORT, checkpoint_dir=tmp_path / "on_top", adapters=[use])
    assert file.read_bytes() != trained.read_bytes()
    assert reading.inspect(file).modules == 17
    after = sampling.sample(pipeline, FAMILY, ["a red apple"], steps=2, adapters=[use])[0]
    assert numpy.array_equal(numpy.asarray(after), numpy.asarray(before))
    with pytest.raises(SettingError, match="which training can't follow"):
        train(pipeline, pictures, SHORT, checkpoint_dir=tmp_path / "lines", adapters=[use._replace(lines=(0,))])


@pytest.mark.parametrize("settings", [{"mixed_precision": "bf16"}, {"gradient_checkpointing": True}])
def test_options_train_the_same_thing_roughly(
    pipeline: Any, pictures: Items, trained: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    file = train(pipeline, pictures, changed(SHORT, **settings), checkpoint_dir=tmp_path / "option")
    one, two = pairs(trained), pairs(file)
    for name, pair in one.items():
        assert two[name].up.dtype == torch.float32
        if pair.up.abs().max() > 0:
            assert torch.nn.functional.cosine_similarity(pair.up.flatten(), two[name].up.flatten(), dim=0) > 0.8, name


def test_a_half_precision_base_gets_a_full_precision_adapter(base: Path, pictures: Items, tmp_path: Path) -> None:
    half = FAMILY.load_pipeline(base, dtype="bfloat16")
    file = train(half, pictures, changed(SHORT, steps=2), checkpoint_dir=tmp_path)
    assert all(pair.up.dtype == torch.float32 for pair in pairs(file).values())
    assert half.transformer.dtype == torch.bfloat16


def test_targets_are_groups_patterns_or_refused(pipeline: Any, pictures: Items, tmp_path: Path) -> None:
    model = pipeline.transformer
    assert len(loop.resolve_targets(FAMILY, model, ["default"])) == 17
    assert "proj_out" not in loop.resolve_targets(FAMILY, model, ["all"])
    assert loop.resolve_targets(FAMILY, model, ["*.attn.to_q"]) == [
        "transformer_blocks.0.attn.to_q",
        "single_transformer_blocks.0.attn.to_q",
    ]
    with pytest.raises(SettingError, match=r'atention.*Did you mean "attention"'):
        train(pipeline, pictures, changed(SHORT, targets=("atention",)), checkpoint_dir=tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"rank": 0},
        {"steps": True},
        {"learning_rate": float("nan")},
        {"alpha": 0},
        {"caption_dropout": 1.5},
        {"mixed_precision": "fp16"},
        {"preview_every": 2},
        {"width": 60},
        {"targets": ()},
    ],
)
def test_settings_out_of_range_are_refused_by_name(
    pipeline: Any, pictures: Items, tmp_path: Path, settings: dict[str, Any]
) -> None:
    name = "preview_prompts" if "preview_every" in settings else next(iter(settings))
    with pytest.raises(SettingError, match=name) as refused:
        train(pipeline, pictures, changed(SHORT, **settings), checkpoint_dir=tmp_path)
    assert refused.value.field == name


def test_a_loss_that_is_no_number_is_reported(pipeline: Any, pictures: Items, tmp_path: Path) -> None:
    config = changed(SHORT, learning_rate=1e30, warmup=0, gradient_clip=0.0)
    with pytest.raises(TrainingDiverged, match=r"step \d of 8.*Lower learning_rate"):
        train(pipeline, pictures, config, checkpoint_dir=tmp_path)


def test_pictures_that_cannot_be_read_are_named(pipeline: Any, pictures: Items, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="nothing to learn from"):
        train(pipeline, [], SHORT, checkpoint_dir=tmp_path)
    broken = tmp_path / "broken.png"
    broken.write_bytes(Path(pictures[0][0]).read_bytes()[:60])
    with pytest.raises(PictureError, match=r"broken\.png"):
        train(pipeline, [*pictures, (str(broken), "x")], SHORT, checkpoint_dir=tmp_path)


def test_pictures_are_laid_on_white_cropped_and_scaled(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (40, 20), (0, 0, 0, 0)).save(path)
    pixels = data.to_pixels(path.read_bytes(), "clear", 16, 8)
    assert pixels.shape == (3, 8, 16)
    assert torch.all(pixels == 1)
    wide = Image.new("RGB", (40, 20), (255, 0, 0))
    wide.paste((0, 0, 255), (10, 0, 30, 20))
    wide.save(path)
    red, _, blue = data.to_pixels(path.read_bytes(), "wide", 10, 10)
    assert blue.min() > 0.8  # but for the ringing of the filter, only the middle is left
    assert red.max() < -0.8


def test_every_epoch_takes_every_picture_once_in_another_order() -> None:
    order = schedule.Order(count=5, batch=2, seed=1)
    drawn = torch.cat([order.batch(step) for step in range(10)]).reshape(4, 5)
    assert all(sorted(epoch.tolist()) == list(range(5)) for epoch in drawn)
    assert len({tuple(epoch.tolist()) for epoch in drawn}) > 1
    assert torch.equal(schedule.Order(5, 2, 1).batch(7), order.batch(7))
    assert torch.bincount(schedule.Order(2, 7, 1).batch(0)).tolist() in ([3, 4], [4, 3])


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [schedule.learning_rate(step, steps=100, warmup=10, highest=1.0, final=0.1) for step in range(100)]
    assert rates[:11] == sorted(rates[:11])
    assert rates[0] > 0
    assert rates[10] == max(rates) == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0.1 <= rates[-1] < 0.102


def test_captions_are_encoded_once_each(pipeline: Any, pictures: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = type(FAMILY).encode_prompts

    def count(self: Any, pipe: Any, prompts: list[str], length: int) -> Any:
        asked.extend(prompts)
        return original(self, pipe, prompts, length)

    monkeypatch.setattr(type(FAMILY), "encode_prompts", count)
    items = [(path, "a cat") for path, _ in pictures]
    prepared = data.prepare(pipeline, FAMILY, items, width=64, height=64, max_length=16)
    assert asked == ["", "a cat"]
    assert prepared.caption.tolist() == [1] * 5
