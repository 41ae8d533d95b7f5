"""Drawing with LoRAs: the pixels of stock diffusers, each step and line as asked, and no trace afterwards."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from diffusers import FluxPipeline
from PIL.Image import Image

from loragraph.diffusion import adapters, families, sampling
from loragraph.diffusion.adapters import Adapters, Schedule, Use, file_sha256
from loragraph.diffusion.errors import LoraFileError, LoraMismatch, SettingError
from loragraph.diffusion.lora import writing
from loragraph.diffusion.lora.delta import LowRank
from loragraph.diffusion.lora.model import Change, Lora
from loragraph.tests.diffusion.adapters.conftest import MakeUse
from loragraph.tests.diffusion.tiny import build_tiny_flux

FAMILY = families.get("flux")
PROMPT = "a red apple"


def draw(pipeline: Any, *uses: Any, prompts: Any = (PROMPT,), steps: int = 3, **settings: Any) -> numpy.ndarray:
    pictures = sampling.sample(pipeline, FAMILY, prompts, steps=steps, adapters=uses, **settings)
    return numpy.stack([numpy.asarray(picture, float) for picture in pictures])


def same(one: numpy.ndarray, two: numpy.ndarray, limit: float = 1) -> bool:
    return bool(numpy.abs(one - two).max() <= limit)


def stock(pipeline: Any, seed: int = 0) -> numpy.ndarray:
    """What a user of diffusers alone draws."""
    result = pipeline(
        PROMPT,
        negative_prompt="",
        true_cfg_scale=3.0,
        width=64,
        height=64,
        num_inference_steps=3,
        max_sequence_length=16,
        generator=torch.Generator().manual_seed(seed),
    )
    return numpy.asarray(result.images[0], float)[None]


@pytest.fixture(scope="module")
def other(base: Path) -> Any:
    """The same pipeline in stock diffusers."""
    loaded = FluxPipeline.from_pretrained(base)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_stock_diffusers_draws_the_same_pixels_with_and_without_the_lora(
    pipeline: Any, other: Any, make: MakeUse
) -> None:
    use = make(rank=8, alpha=8.0)
    assert numpy.array_equal(stock(other, 7), draw(pipeline, seed=7))
    bare = stock(other)
    other.load_lora_weights(use.path, adapter_name="one")
    for strength in (0.35, 1.0):
        other.set_adapters("one", strength)
        assert numpy.array_equal(stock(other), draw(pipeline, use._replace(strength=strength)))
    assert not same(stock(other), bare, 5)
    other.unload_lora_weights()


def test_the_base_is_untouched_afterwards(pipeline: Any, make: MakeUse) -> None:
    weights = {name: value.clone() for name, value in pipeline.transformer.state_dict().items()}
    before = draw(pipeline)
    assert not same(draw(pipeline, make()), before, 5)
    assert numpy.array_equal(draw(pipeline), before)
    after = pipeline.transformer.state_dict()
    assert after.keys() == weights.keys() and all(torch.equal(after[name], value) for name, value in weights.items())
    assert not any(module._forward_hooks for module in pipeline.transformer.modules())


def test_two_branches_do_not_see_each_other(pipeline: Any, make: MakeUse) -> None:
    first, second = make("a", 0.7, seed=1), make("b", seed=2, rank=3)
    alone = draw(pipeline, first)
    draw(pipeline, first, second)
    draw(pipeline, second)
    assert numpy.array_equal(draw(pipeline, first), alone)


def test_the_same_lora_twice_adds_up_and_opposite_strengths_cancel(pipeline: Any, make: MakeUse) -> None:
    use = make()
    parts = [(use.path, use.sha256, 0.25), use._replace(strength=0.75)]
    assert numpy.array_equal(draw(pipeline, *parts), draw(pipeline, use))
    assert numpy.array_equal(draw(pipeline, use, use._replace(strength=-1.0)), draw(pipeline))


def test_a_file_is_read_once_and_leaves_when_it_is_not_used_any_more(pipeline: Any, make: MakeUse) -> None:
    kept = make("kept", seed=99)
    with adapters.applied(pipeline, [kept]) as (name,):
        pass
    Path(kept.path).unlink()
    for seed in range(adapters.MAX_LOADED + 2):
        with adapters.applied(pipeline, [kept, make(f"n{seed}", rank=1, seed=seed)]):
            pass
    engine = adapters.engine_of(pipeline)
    assert len(engine.names()) == adapters.MAX_LOADED and name in engine.names() and engine.active() == ()


def test_large_files_that_are_off_leave_first_in_first_out(
    pipeline: Any, make: MakeUse, monkeypatch: pytest.MonkeyPatch
) -> None:
    uses = [make(f"n{seed}", seed=100 + seed) for seed in range(4)]
    with adapters.applied(pipeline, uses):
        engine = adapters.engine_of(pipeline)
        sizes = [engine.size(use.name) for use in uses]
    assert min(sizes) > 0
    monkeypatch.setattr(adapters.pipelines, "MAX_IDLE", sizes[2])
    with adapters.applied(pipeline, uses[3:]):
        assert engine.names() == (uses[2].name, uses[3].name)
    with adapters.applied(pipeline, uses):  # those in use count for nothing
        assert engine.names() == tuple(use.name for use in uses)


def test_a_failure_inside_switches_the_adapters_off(pipeline: Any, make: MakeUse) -> None:
    before = draw(pipeline)

    def fail(step: int, total: int, latents: torch.Tensor) -> None:
        raise KeyboardInterrupt

    use = make(schedule=Schedule(0.0, 0.5), lines=(0,))
    with pytest.raises(KeyboardInterrupt):
        draw(pipeline, use, prompts=[PROMPT] * 2, on_step=fail)
    assert numpy.array_equal(draw(pipeline), before)


def test_opening_twice_in_one_thread_is_an_error(pipeline: Any) -> None:
    with (
        adapters.applied(pipeline, []),
        pytest.raises(RuntimeError, match="already open"),
        adapters.applied(pipeline, []),
    ):
        pass


def test_another_thread_waits_for_its_turn(pipeline: Any, make: MakeUse) -> None:
    uses = [make(str(seed), seed=seed) for seed in range(3)]
    alone = [draw(pipeline, use) for use in uses]
    found: dict[int, numpy.ndarray] = {}

    def work(index: int) -> None:
        found[index] = draw(pipeline, uses[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(numpy.array_equal(found[index], alone[index]) for index in range(3))


def test_a_lora_for_a_wider_model_is_refused_with_names_and_sizes(pipeline: Any, make: MakeUse, tmp_path: Path) -> None:
    wide = FAMILY.load_pipeline(build_tiny_flux(tmp_path / "wide", heads=4))
    before = draw(wide)
    with pytest.raises(LoraMismatch, match=r"another size .*attn\.to_q is 32 -> 32 in the LoRA, 64 -> 64 in the base"):
        draw(wide, make())
    assert adapters.engine_of(wide).names() == ()
    assert numpy.array_equal(draw(wide), before)


def test_a_lora_for_another_family_is_refused_by_name(pipeline: Any, tmp_path: Path) -> None:
    names = [f"transformer.transformer_blocks.{i}.attn.{part}" for i in range(2) for part in ("to_q", "add_k_proj")]
    names += [f"transformer.transformer_blocks.{i}.img_mlp.net.2" for i in range(2)]
    lora = Lora({name: Change(LowRank(torch.ones(2, 64), torch.ones(64, 2), 2.0)) for name in names}, "qwen-image")
    path = writing.save(lora, tmp_path / "qwen.safetensors", "peft")
    with pytest.raises(LoraMismatch, match=r"made for Qwen-Image, and the base is FLUX"):
        draw(pipeline, Use(str(path), "0" * 64, 1.0))


def test_a_missing_file_is_refused(pipeline: Any, tmp_path: Path) -> None:
    with pytest.raises(LoraFileError, match=r"gone\.safetensors"):
        draw(pipeline, Use(str(tmp_path / "gone.safetensors"), "0" * 64, 1.0))


def test_an_alpha_that_is_given_wins(pipeline: Any, make: MakeUse) -> None:
    use = make(rank=4, alpha=4.0)
    assert numpy.array_equal(draw(pipeline, use._replace(alpha=2.0)), draw(pipeline, use._replace(strength=0.5)))


def test_a_partial_fit_must_be_allowed(pipeline: Any, make: MakeUse, tmp_path: Path) -> None:
    use = make()
    from loragraph.tests.diffusion.adapters.forms import flux_lora

    lora = flux_lora(pipeline.transformer, alpha=4.0)
    extra = {**lora.changes, "transformer.transformer_blocks.7.attn.to_q": next(iter(lora.changes.values()))}
    path = writing.save(Lora(extra, "flux"), tmp_path / "more.safetensors", "peft")
    more = Use(str(path), file_sha256(str(path)), 1.0)
    with pytest.raises(LoraMismatch, match=r"transformer_blocks\.7\.attn\.to_q"):
        draw(pipeline, more)
    assert numpy.array_equal(draw(pipeline, more._replace(partial=True)), draw(pipeline, use))


def test_a_text_encoder_s_part_goes_to_the_text_encoder(pipeline: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    shapes = Adapters(pipeline).shapes()
    named = {
        "text_encoder": "text_model.encoder.layers.0.self_attn.q_proj",
        "text_encoder_2": "encoder.block.0.layer.0.SelfAttention.q",
    }
    changes = {}
    for part, name in named.items():
        out, inside = shapes[f"{part}.{name}.weight"]
        changes[f"{part}.{name}"] = Change(LowRank(torch.randn(2, inside), torch.randn(out, 2), 2.0))
    changes["transformer.proj_out"] = Change(LowRank(torch.zeros(1, 32), torch.zeros(32, 1), 1.0))
    path = writing.save(Lora(changes, "flux"), tmp_path / "text.safetensors", "peft")
    use = Use(str(path), file_sha256(str(path)), 0.5)
    bare = draw(pipeline)
    found = draw(pipeline, use)
    assert not same(found, bare)
    late = use._replace(schedule=Schedule(0.9, 1.0))  # the texts are read before the first step
    assert numpy.array_equal(draw(pipeline, late), found)
    with torch.no_grad():
        kept = []
        for part, name in named.items():
            module = getattr(pipeline, part).get_submodule(name.removeprefix("text_model."))
            kept.append((module.weight, module.weight.clone()))
            module.weight += 0.5 * changes[f"{part}.{name}"].delta.dense()  # type: ignore[union-attr]
        assert same(draw(pipeline), found)
        for weight, old in kept:
            weight.copy_(old)
    assert numpy.array_equal(draw(pipeline), bare)


def test_every_step_has_its_strength(pipeline: Any, make: MakeUse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both passes of true classifier-free guidance of every step, from the first on, in every batch."""
    use = make(schedule=Schedule(0.0, 0.75, 0.25, "linear"))
    seen: list[float] = []
    layer = pipeline.transformer.transformer_blocks[0].attn.to_q

    def note(module: Any, given: Any, output: Any) -> None:
        (hook,) = (hook for hook in module._forward_hooks.values() if hook is not note)
        plan = hook.__self__.plan
        seen.append(plan[0][0].strength if plan[0] else 0.0)

    handle = layer.register_forward_hook(note)
    try:
        draw(
            pipeline, use._replace(schedule=Schedule(0.0, 1.0, 0.25, "linear")), prompts=[PROMPT] * 2, steps=4, batch=1
        )
    finally:
        handle.remove()
    assert seen == [strength for strength in (1.0, 0.75, 0.5, 0.25) for _ in range(2)] * 2
    constant = use._replace(schedule=Schedule(0.0, 1.0))
    assert numpy.array_equal(draw(pipeline, constant), draw(pipeline, use._replace(schedule=None)))


def test_a_schedule_is_two_drawings_put_together(pipeline: Any, make: MakeUse) -> None:
    """With the LoRA in the first half of the steps, the latents in the middle are those of a drawing with it always."""
    use = make()
    halves: dict[str, list[torch.Tensor]] = {}
    schedules = {
        "always": None,
        "first": Schedule(0.0, 0.5),
        "second": Schedule(0.5, 1.0),
        "never": Schedule(0.0, 0.01),
    }
    for name, schedule in schedules.items():
        halves[name] = []
        draw(
            pipeline,
            use._replace(schedule=schedule),
            steps=4,
            on_step=lambda step, total, latents, name=name: halves[name].append(latents.clone()),
        )
    assert torch.equal(halves["first"][1], halves["always"][1])
    assert torch.equal(halves["second"][1], halves["never"][1])
    assert not torch.equal(halves["first"][3], halves["always"][3])
    assert not torch.equal(halves["second"][3], halves["never"][3])


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_each_line_has_its_loras_in_whatever_batch(pipeline: Any, make: MakeUse, batch: int) -> None:
    prompts = [PROMPT, "a blue cat", "a dog", "a tree"]
    first, second = make("a", seed=1), make("b", 0.6, seed=2)
    found = draw(pipeline, first._replace(lines=(0, 2)), second._replace(lines=(2, 3)), prompts=prompts, batch=batch)
    for line, uses in enumerate(([first], [], [first, second], [second])):
        alone = draw(pipeline, *uses, prompts=prompts[line : line + 1], seed=line)
        assert same(found[line : line + 1], alone), line
        assert not same(found[line : line + 1], draw(pipeline, make("c", seed=9), prompts=prompts[line : line + 1]), 5)


def test_a_line_that_is_not_there_is_refused(pipeline: Any, make: MakeUse) -> None:
    with pytest.raises(SettingError, match="There are 1 prompts"):
        draw(pipeline, make(lines=(1,)))


def test_blocks_that_are_not_there_are_refused(pipeline: Any, make: MakeUse) -> None:
    before = draw(pipeline)
    with pytest.raises(SettingError, match="up_blocks"):
        draw(pipeline, make(blocks="up_blocks=0.5"))
    assert numpy.array_equal(draw(pipeline), before)


def test_a_picture_does_not_depend_on_its_batch(pipeline: Any) -> None:
    prompts = [PROMPT, "a blue cat", "a dog", "a tree"]
    together = draw(pipeline, prompts=prompts, seed=3, steps=2, batch=4)
    assert same(together, draw(pipeline, prompts=prompts, seed=3, steps=2, batch=3))
    assert same(together[2:3], draw(pipeline, prompts=prompts[2:3], seed=5, steps=2))


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
