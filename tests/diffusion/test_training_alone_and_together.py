"""Training in harder company: half-precision bases, other threads, other adapters, names that end alike, cancel."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from loragraph.diffusion import families, sampling
from loragraph.diffusion.adapters import Use, file_sha256
from loragraph.diffusion.errors import SettingError, TrainingDiverged, TrainingStopped
from loragraph.diffusion.lora import reading
from loragraph.diffusion.lora.delta import LowRank
from loragraph.diffusion.training.config import TrainConfig
from loragraph.diffusion.training.loop import train
from loragraph.tests.diffusion.conftest import LoraFile

FAMILY = families.get("flux")
SHORT = TrainConfig(steps=4, batch_size=2, rank=4, alpha=2.0, warmup=1, seed=5)
Items = list[tuple[str, str]]


def changed(**settings: Any) -> TrainConfig:
    return dataclasses.replace(SHORT, **settings)


def use(path: Path, strength: float = 1.0) -> Use:
    return Use(str(path), file_sha256(str(path)), strength)


def pairs(file: Path) -> dict[str, LowRank]:
    return {
        name: change.delta for name, change in reading.load(file).changes.items() if isinstance(change.delta, LowRank)
    }


def test_a_float16_base_does_not_lose_small_gradients(
    base: Path, pipeline: Any, pictures: Items, tmp_path: Path
) -> None:
    half = FAMILY.load_pipeline(base, dtype="float16")
    config = changed(width=256, height=256, gradient_clip=0.0)
    whole = pairs(train(pipeline, pictures, config, checkpoint_dir=tmp_path / "whole"))
    found = pairs(train(half, pictures, config, checkpoint_dir=tmp_path / "half"))
    assert all(pair.up.dtype == torch.float32 for pair in found.values())
    for name, pair in whole.items():
        if pair.up.abs().max() > 0:
            cosine = torch.nn.functional.cosine_similarity(pair.up.flatten(), found[name].up.flatten(), dim=0)
            assert cosine > 0.99, name


def test_trainings_side_by_side_do_not_disturb_each_other(
    base: Path, pipeline: Any, pictures: Items, tmp_path: Path
) -> None:
    alone = train(pipeline, pictures, SHORT, checkpoint_dir=tmp_path / "alone").read_bytes()
    pipelines = [pipeline, FAMILY.load_pipeline(base)]
    for turn in range(4):
        made: dict[int, bytes] = {}

        def work(index: int, turn: int = turn, made: dict[int, bytes] = made) -> None:
            folder = tmp_path / f"{turn}-{index}"
            made[index] = train(pipelines[index], pictures, SHORT, checkpoint_dir=folder).read_bytes()

        threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == {0: alone, 1: alone}


def test_only_the_named_layers_are_trained(pipeline: Any, pictures: Items, tmp_path: Path) -> None:
    """`proj_out` is the last layer; every single block has a layer whose name ends so."""
    file = train(pipeline, pictures, changed(targets=("proj_out",)), checkpoint_dir=tmp_path)
    assert list(reading.inspect(file).items) == ["transformer.proj_out"]


@pytest.mark.parametrize("alpha", [4.0, 0.0])
def test_the_preview_on_top_of_another_lora_is_the_sample_with_both(
    pipeline: Any, pictures: Items, lora_file: LoraFile, tmp_path: Path, alpha: float
) -> None:
    under = use(lora_file("under", alpha=alpha), -0.6)
    shown: list[Image.Image] = []
    file = train(
        pipeline,
        pictures,
        changed(preview_every=4, preview_prompts=("a red apple",), preview_steps=3, learning_rate=0.02),
        checkpoint_dir=tmp_path / "on_top",
        adapters=[under],
        on_preview=lambda step, drawn: shown.extend(drawn),
    )
    both = sampling.sample(pipeline, FAMILY, ["a red apple"], seed=SHORT.seed, steps=3, adapters=[under, use(file)])
    assert numpy.abs(numpy.asarray(both[0], int) - numpy.asarray(shown[0], int)).max() <= 1


def test_it_stops_in_the_middle_of_a_preview_and_goes_on_from_there(
    pipeline: Any, pictures: Items, tmp_path: Path
) -> None:
    config = changed(checkpoint_every=0, preview_every=2, preview_prompts=("a cat",), preview_steps=50)
    asked = 0
    done: list[int] = []

    def should_stop() -> bool:
        nonlocal asked
        asked += len(done) >= 2
        return asked > 3

    def step(number: int, *_: Any) -> None:
        done.append(number)

    with pytest.raises(TrainingStopped, match="step 2"):
        train(
            pipeline,
            pictures,
            config,
            checkpoint_dir=tmp_path / "a",
            on_step=step,
            on_preview=lambda *_: None,
            should_stop=should_stop,
        )
    assert asked == 4
    resumed = train(pipeline, pictures, config, checkpoint_dir=tmp_path / "a", on_step=step)
    assert done == [1, 2, 3, 4]
    assert resumed.read_bytes() == train(pipeline, pictures, config, checkpoint_dir=tmp_path / "b").read_bytes()


def test_weights_that_are_no_numbers_are_never_saved(
    pipeline: Any, pictures: Items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of a step is measured before its update, so the last update has no loss that could tell."""
    original = torch.optim.AdamW.step

    def spoil(self: Any, *given: Any) -> None:
        original(self, *given)
        self.param_groups[0]["params"][0].data.fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
    with pytest.raises(TrainingDiverged, match="no numbers"):
        train(pipeline, pictures, changed(steps=1), checkpoint_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_seed_that_previews_could_not_draw_is_refused_at_once(pipeline: Any, pictures: Items, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="seed"):
        train(pipeline, pictures, changed(seed=2**63 - 1), checkpoint_dir=tmp_path)
    assert train(pipeline, pictures, changed(seed=2**62 - 1, steps=1), checkpoint_dir=tmp_path).is_file()
