"""Drawing with and without LoRAs: the pixels of stock diffusers, and no trace afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from diffusers import FluxPipeline
from PIL.Image import Image

from loragraph.diffusion import adapters, families, sampling
from loragraph.diffusion.adapters import Use, file_sha256
from loragraph.diffusion.errors import LoraFileError, LoraMismatch, SettingError
from loragraph.tests.diffusion.conftest import LoraFile
from loragraph.tests.diffusion.tiny import build_tiny_flux

FAMILY = families.get("flux")
PROMPT = "a red apple"


def use(path: Path, strength: float = 1.0) -> Use:
    return Use(str(path), file_sha256(str(path)), strength)


def draw(pipeline: Any, *adapters: Use, **settings: Any) -> numpy.ndarray:
    pictures = sampling.sample(pipeline, FAMILY, [PROMPT], steps=3, adapters=adapters, **settings)
    return numpy.asarray(pictures[0], float)


def stock(pipeline: Any, seed: int = 0) -> numpy.ndarray:
    result = pipeline(
        PROMPT,
        negative_prompt="",
        true_cfg_scale=3.0,
        width=64,
        height=64,
        num_inference_steps=3,
        max_sequence_length=16,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    )
    return result.images[0]


def ours(pipeline: Any, seed: int = 0, *adapters: Use) -> numpy.ndarray:
    """Like `stock`, through our sampling, as floats from the last latents."""
    last: list[torch.Tensor] = []
    sampling.sample(
        pipeline,
        FAMILY,
        [PROMPT],
        seed=seed,
        steps=3,
        adapters=adapters,
        on_step=lambda step, total, latents: last.append(latents),
    )
    vae = pipeline.vae
    spread = families.flux.unpack(last[-1], 8, 8) / vae.config.scaling_factor + vae.config.shift_factor
    with torch.no_grad():
        decoded = vae.decode(spread).sample
    return pipeline.image_processor.postprocess(decoded, output_type="np")[0]


def test_stock_diffusers_draws_the_same_pixels_with_and_without_the_lora(
    base: Path, pipeline: Any, lora_file: LoraFile
) -> None:
    path = lora_file(rank=8, alpha=4.0)
    other = FluxPipeline.from_pretrained(base)
    other.set_progress_bar_config(disable=True)
    assert numpy.abs(stock(other, 7) - ours(pipeline, 7)).max() < 1e-3
    bare = stock(other)
    other.load_lora_weights(str(path))
    scales = {value for layer in other.transformer.modules() for value in getattr(layer, "scaling", {}).values()}
    assert scales == {0.5}
    assert numpy.abs(stock(other) - ours(pipeline, 0, use(path))).max() < 1e-3
    assert numpy.abs(stock(other) - bare).max() > 0.02


def test_the_base_is_untouched_afterwards(pipeline: Any, lora_file: LoraFile) -> None:
    before = draw(pipeline)
    changed = draw(pipeline, use(lora_file()))
    assert numpy.abs(changed - before).max() > 5
    assert numpy.array_equal(draw(pipeline), before)


def test_two_branches_do_not_see_each_other(pipeline: Any, lora_file: LoraFile) -> None:
    first, second = use(lora_file("a", seed=1), 0.7), use(lora_file("b", seed=2, rank=4))
    alone = draw(pipeline, first)
    draw(pipeline, first, second)
    draw(pipeline, second)
    assert numpy.array_equal(draw(pipeline, first), alone)


def test_the_same_lora_twice_adds_up_and_opposite_strengths_cancel(pipeline: Any, lora_file: LoraFile) -> None:
    path = lora_file()
    once = draw(pipeline, use(path, 1.0))
    assert numpy.array_equal(draw(pipeline, use(path, 0.25), use(path, 0.75)), once)
    assert numpy.array_equal(draw(pipeline, use(path, 0.5), use(path, -0.5)), draw(pipeline))


def test_strengths_are_the_change_of_the_weight(pipeline: Any, lora_file: LoraFile) -> None:
    with adapters.applied(pipeline, [use(lora_file(rank=8, alpha=4.0), -0.6)]) as (name,):
        scales = {
            round(layer.scaling[name], 6) for layer in pipeline.transformer.modules() if hasattr(layer, "scaling")
        }
    assert scales == {-0.3}


def test_adapters_that_are_not_used_leave_in_the_end(pipeline: Any, lora_file: LoraFile) -> None:
    for seed in range(adapters.MAX_LOADED + 2):
        with adapters.applied(pipeline, [use(lora_file(f"n{seed}", rank=1, seed=seed))]):
            pass
    assert len(pipeline.transformer.peft_config) == adapters.MAX_LOADED


def test_a_failure_inside_switches_the_adapters_off(pipeline: Any, lora_file: LoraFile) -> None:
    before = draw(pipeline)

    def fail(step: int, total: int, latents: torch.Tensor) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(pipeline, use(lora_file()), on_step=fail)
    assert numpy.array_equal(draw(pipeline), before)


def test_opening_twice_in_one_thread_is_an_error(pipeline: Any, lora_file: LoraFile) -> None:
    with (
        adapters.applied(pipeline, []),
        pytest.raises(RuntimeError, match="already open"),
        adapters.applied(pipeline, []),
    ):
        pass


def test_a_lora_for_a_wider_model_is_refused_with_names_and_sizes(
    pipeline: Any, lora_file: LoraFile, tmp_path: Path
) -> None:
    wide = FAMILY.load_pipeline(build_tiny_flux(tmp_path / "wide", heads=4))
    before = draw(wide)
    with pytest.raises(LoraMismatch, match=r"another size .*attn\.to_q is 32 -> 32 in the LoRA, 64 -> 64 in the base"):
        draw(wide, use(lora_file()))
    assert not hasattr(wide.transformer, "peft_config")
    assert numpy.array_equal(draw(wide), before)


def test_a_missing_file_is_refused(pipeline: Any, tmp_path: Path) -> None:
    with pytest.raises(LoraFileError, match=r"gone\.safetensors"):
        draw(pipeline, Use(str(tmp_path / "gone.safetensors"), "0" * 64, 1.0))


def test_a_picture_does_not_depend_on_its_batch(pipeline: Any) -> None:
    prompts = [PROMPT, "a blue cat", "a dog", "a tree"]
    together = sampling.sample(pipeline, FAMILY, prompts, seed=3, steps=2, batch=4)
    apart = sampling.sample(pipeline, FAMILY, prompts, seed=3, steps=2, batch=3)
    alone = sampling.sample(pipeline, FAMILY, prompts[2:3], seed=5, steps=2)
    for one, two in [*zip(together, apart, strict=True), (together[2], alone[0])]:
        assert numpy.abs(numpy.asarray(one, int) - numpy.asarray(two, int)).max() <= 1


def test_progress_counts_over_all_batches_and_previews_are_pictures(pipeline: Any) -> None:
    steps: list[tuple[int, int]] = []
    previews: list[tuple[int, list[Image]]] = []
    sampling.sample(
        pipeline,
        FAMILY,
        [PROMPT] * 3,
        steps=3,
        batch=2,
        on_step=lambda step, total, latents: steps.append((step, total)),
        preview=lambda first, pictures: previews.append((first, pictures)),
        preview_every=2,
    )
    assert steps == [(step, 6) for step in range(1, 7)]
    assert [(first, [picture.size for picture in drawn]) for first, drawn in previews] == [
        (0, [(64, 64)] * 2),
        (2, [(64, 64)]),
    ]


@pytest.mark.parametrize(("settings", "words"), [({"width": 60}, "width = 60.*64"), ({"seed": -1}, "seed")])
def test_settings_that_cannot_be_drawn_are_refused(pipeline: Any, settings: dict[str, int], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        draw(pipeline, **settings)
