"""The nodes that compute, on a tiny model: sampling, merging, baking, training."""

from pathlib import Path

import numpy
import pytest
from PIL import Image

from loragraph.graph_runtime import BadInput, Cancelled, FakeContext, Images
from loragraph.nodes import bake_lora, load_images, merge_lora, sample, train_lora
from loragraph.tests.nodes import material


def pixels(images: Images) -> numpy.ndarray:
    """[pictures, height, width, 3] in 0..255."""
    return numpy.stack([numpy.asarray(Image.open(item.file.path).convert("RGB"), dtype=float) for item in images.items])


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path / "node")


def again(ctx: FakeContext, name: str) -> FakeContext:
    """A fresh context that shares the loaded models."""
    fresh = FakeContext(ctx.folder.with_name(name))
    fresh.models = ctx.models
    return fresh


def draw(base: object, ctx: FakeContext, name: str, **settings: object) -> numpy.ndarray:
    return pixels(sample(base, "a red apple\n\n a blue cat ", **{"steps": 2, **settings}, ctx=again(ctx, name)))


def test_there_is_a_picture_for_each_line_and_count(ctx: FakeContext) -> None:
    images = sample(material.base(), "a red apple\n\n a blue cat ", seed=5, steps=1, count=2, ctx=ctx)
    assert [item.caption for item in images.items] == ["a red apple"] * 2 + ["a blue cat"] * 2
    assert [item.settings["seed"] for item in images.items] == [5, 6, 7, 8]
    assert (images.items[0].width, images.items[0].height) == (64, 64)
    assert ctx.steps[-1][0] == ctx.steps[-1][1]


def test_branches_of_one_base_do_not_see_each_others_adapters(ctx: FakeContext) -> None:
    base = material.base()
    styled = material.applied(base, material.lora(), 2.0)
    before = draw(base, ctx, "before")
    changed = draw(styled, ctx, "styled")
    assert numpy.abs(before - changed).max() > 0
    assert (draw(base, ctx, "after") == before).all()
    assert len(ctx.models) == 1


def test_a_lora_for_one_line_leaves_the_pictures_of_the_others_alone(ctx: FakeContext) -> None:
    base = material.base()
    second = material.applied(base, material.lora(), 2.0, lines=(2,))
    whole = material.applied(base, material.lora(), 2.0)
    images = sample(second, "a red apple\n\na blue cat", steps=2, count=2, ctx=again(ctx, "second"))
    assert [len(item.settings["loras"]) for item in images.items] == [0, 0, 1, 1]
    found = pixels(images)
    bare, changed = draw(base, ctx, "bare", count=2), draw(whole, ctx, "whole", count=2)
    assert numpy.abs(found[:2] - bare[:2]).max() <= 1 and numpy.abs(found[2:] - changed[2:]).max() <= 1
    assert numpy.abs(bare[2:] - changed[2:]).max() > 1


def test_a_lora_acts_in_the_steps_it_is_for(ctx: FakeContext) -> None:
    base, lora = material.base(), material.lora()
    always = draw(material.applied(base, lora, 2.0), ctx, "always")
    faded = material.applied(base, lora, 2.0, start=0.5, end_strength=0.5)
    assert (draw(material.applied(base, lora, 2.0, end_strength=2.0), ctx, "steady") == always).all()
    assert numpy.abs(draw(faded, ctx, "faded") - always).max() > 0
    (picture, *_) = sample(faded, "a cat", steps=2, ctx=again(ctx, "told")).items
    (told,) = picture.settings["loras"]
    assert told["schedule"] == {"start": 0.5, "end": 1.0, "end_strength": 0.5, "curve": "linear"}


@pytest.mark.parametrize(
    ("start", "end", "steps", "near"),
    [
        (0.01, 0.02, 8, r"8 steps .* 0\.01 to 0\.07\."),
        (0.99, 1.0, 2, r"2 steps .* 0\.75 to 1\."),
        (0.001, 0.002, 0, "steps"),
    ],
)
def test_a_lora_for_none_of_the_steps_is_refused(
    start: float, end: float, steps: int, near: str, ctx: FakeContext
) -> None:
    base = material.applied(material.applied(material.base(), material.lora(1)), material.lora(), start=start, end=end)
    with pytest.raises(BadInput, match=f'"lora 0" is on from {start:g} to {end:g}, where none of .*{near}') as caught:
        sample(base, "a cat", steps=steps, ctx=ctx)
    assert caught.value.field == "base"
    assert len(ctx.models) == (0 if steps else 1)  # where the number of steps is known, before the weights are loaded


def test_blocks_take_part_of_a_lora_away(ctx: FakeContext) -> None:
    base, lora = material.base(), material.lora()
    bare, whole = draw(base, ctx, "bare"), draw(material.applied(base, lora, 2.0), ctx, "whole")
    part = draw(material.applied(base, lora, 2.0, blocks="*.to_q=0"), ctx, "part")
    nothing = draw(material.applied(base, lora, 2.0, blocks="*=0"), ctx, "nothing")
    assert numpy.abs(part - whole).max() > 0 and numpy.abs(part - bare).max() > 0
    assert (nothing == bare).all()


def test_an_empty_prompt_is_refused(ctx: FakeContext) -> None:
    with pytest.raises(BadInput, match="prompt is empty"):
        sample(material.base(), " \n ", ctx=ctx)


def test_a_size_that_the_model_cannot_draw_is_refused(ctx: FakeContext) -> None:
    with pytest.raises(BadInput, match="multiples of") as caught:
        sample(material.base(), "a cat", width=36, ctx=ctx)
    assert (caught.value.field, caught.value.value) == ("width", 36)


def test_sampling_stops_at_the_next_step(ctx: FakeContext) -> None:
    ctx.cancel_after = 1
    with pytest.raises(Cancelled):
        sample(material.base(), "a cat", steps=4, ctx=ctx)
    assert ctx.checks == 2


def test_merged_exactly_is_the_same_as_stacked(ctx: FakeContext) -> None:
    loras = (material.lora(0), material.lora(1, rank=3))
    merged = merge_lora(loras, (1.5, -0.5), ctx=ctx)
    assert (merged.rank, merged.modules) == (5, 4)
    base = material.base()
    stacked = material.applied(material.applied(base, loras[0], 1.5), loras[1], -0.5)
    difference = draw(stacked, ctx, "stacked") - draw(material.applied(base, merged), ctx, "merged")
    assert numpy.abs(difference).max() <= 1


def test_merged_by_svd_has_the_chosen_rank(ctx: FakeContext) -> None:
    assert merge_lora((material.lora(0), material.lora(1)), method="svd", rank=3, ctx=ctx).rank == 3


def test_strengths_and_loras_must_be_as_many(ctx: FakeContext) -> None:
    with pytest.raises(BadInput, match="1 strengths for 2 LoRAs"):
        merge_lora((material.lora(0), material.lora(1)), (1.0,), ctx=ctx)
    with pytest.raises(BadInput, match="no LoRA to merge"):
        merge_lora((), ctx=ctx)


def test_baked_draws_what_applied_draws(ctx: FakeContext) -> None:
    styled = material.applied(material.base(), material.lora(), 2.0)
    baked = bake_lora(styled, ctx=ctx)
    assert baked.adapters == () and Path(baked.path).is_relative_to(ctx.folder)
    assert baked.fingerprint != styled.fingerprint
    assert numpy.abs(draw(styled, ctx, "applied") - draw(baked, ctx, "baked")).max() <= 1


def test_a_base_without_adapters_is_baked_already(ctx: FakeContext) -> None:
    assert bake_lora(material.base(), ctx=ctx) == material.base()


SHORT = {"rank": 2, "steps": 3, "batch_size": 2, "warmup": 1, "checkpoint_every": 2}


def test_training_gives_a_lora_that_fits_and_reports_its_loss(ctx: FakeContext) -> None:
    trained = train_lora(
        material.base(), material.dataset(), **SHORT, preview_every=2, preview_prompt="a cat\na dog", ctx=ctx
    )
    assert trained.rank == 2 and Path(trained.file.path).parent == ctx.folder
    material.applied(material.base(), trained)
    assert [step for name, _, step in ctx.metrics if name == "loss"] == [1, 2, 3]
    assert ctx.steps[-1][:2] == (3, 3)
    with Image.open(ctx.previews[-1]) as preview:
        assert preview.size == (128, 64)


def test_the_same_seed_gives_the_same_weights_also_after_an_interruption(ctx: FakeContext) -> None:
    whole = train_lora(material.base(), material.dataset(), **SHORT, seed=4, ctx=ctx)
    stopped = again(ctx, "stopped")
    stopped.cancel_after = 2
    while True:
        try:
            resumed = train_lora(material.base(), material.dataset(), **SHORT, seed=4, ctx=stopped)
            break
        except Cancelled:
            stopped.cancel_after = None
    assert resumed.file.sha256 == whole.file.sha256
    other = train_lora(material.base(), material.dataset(), **SHORT, seed=5, ctx=again(ctx, "other"))
    assert other.file.sha256 != whole.file.sha256


def test_a_picture_that_was_edited_meanwhile_is_not_trained_on(ctx: FakeContext, tmp_path: Path) -> None:
    material.images(tmp_path)
    dataset = load_images(str(tmp_path)).dataset
    with open(dataset.items[0].file.path, "ab") as file:
        file.write(b"more")
    with pytest.raises(BadInput, match="was changed while the workflow ran"):
        train_lora(material.base(), dataset, steps=1, ctx=ctx)


def test_training_names_the_setting_that_makes_no_sense(ctx: FakeContext) -> None:
    with pytest.raises(BadInput) as caught:
        train_lora(material.base(), material.dataset(), **SHORT, targets=("atention",), ctx=ctx)
    assert caught.value.field == "targets" and "attention" in str(caught.value)
    with pytest.raises(BadInput) as caught:
        train_lora(material.base(), material.dataset(), **SHORT, preview_every=1, ctx=ctx)
    assert caught.value.field == "preview_prompt"
