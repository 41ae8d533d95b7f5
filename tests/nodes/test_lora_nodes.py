"""The nodes over LoRA files: dialects, what stacks on a base, merging, reshaping, tables. Nothing is drawn here."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from loragraph.diffusion.adapters import CURVES
from loragraph.diffusion.errors import SettingError
from loragraph.diffusion.lora import merge, reading, writing
from loragraph.diffusion.lora.delta import Hadamard
from loragraph.diffusion.lora.model import Change, Lora, plain
from loragraph.graph_runtime import BadInput, Base, Cancelled, FakeContext, LoRA, NodeType, Registry
from loragraph.graph_runtime.document import load
from loragraph.graph_runtime.fingerprints import Fingerprints
from loragraph.graph_runtime.keys import work
from loragraph.nodes import (
    apply_lora,
    bake_lora,
    compare_lora,
    convert_lora,
    extract_lora,
    inspect_lora,
    merge_lora,
    remove_lora,
    resize_lora,
    reweight_lora,
    save_lora,
    train_lora,
)
from loragraph.nodes.models import adapters_of
from loragraph.tests.nodes import material


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path / "node")


def changes(lora: LoRA) -> dict[str, torch.Tensor]:
    """{module: its change [out, in]} where it changes anything.

    In the original names, what is one weight with something that changes comes along as zeros.
    """
    read = reading.load(lora.file.path, alpha=lora.alpha, partial=lora.partial)
    found = {name: change.delta.dense() for name, change in read.changes.items() if change.delta is not None}
    return {name: change for name, change in found.items() if change.abs().max() > 1e-4}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], scale: float = 1.0) -> bool:
    return one.keys() == other.keys() and all(torch.allclose(one[n] * scale, other[n], atol=1e-5) for n in one)


def test_the_choices_are_what_the_engine_offers() -> None:
    def choices(node: NodeType, setting: str) -> set[str]:
        return set(node.schema()["settings"]["properties"][setting]["enum"])

    assert choices(merge_lora, "method") == set(merge.METHODS)
    assert choices(apply_lora, "curve") == set(CURVES) - {"constant"}
    assert choices(convert_lora, "to") == choices(save_lora, "format") - {"as it is"} == set(writing.DIALECTS)


# -- loading ----------------------------------------------------------------------------------------------------------


def test_the_alpha_that_is_given_takes_the_place_of_the_files() -> None:
    path = material.lora_file(0, rank=2)
    plain_, halved = material.loaded(path), material.loaded(path, alpha=1.0)
    assert (plain_.alpha, halved.alpha) == (None, 1.0)
    assert same(changes(plain_), changes(halved), 0.5)
    assert adapters_of(material.applied(material.base(), halved))[0].alpha == 1.0


def test_keys_without_a_meaning_are_refused_unless_they_are_allowed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    strange = tmp_path / "strange.safetensors"
    with safe_open(material.lora_file(), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        save_file({**tensors, "a.b.mystery": torch.zeros(2)}, strange, file.metadata())
    with pytest.raises(BadInput, match="mystery") as caught:
        material.loaded(strange)
    assert caught.value.field == "file" and "allow_partial" in str(caught.value)
    with caplog.at_level(logging.WARNING, "loragraph.node"):
        lora = material.loaded(strange, allow_partial=True)
    assert lora.partial and lora.modules == 4
    assert "mystery" in caplog.text


def peft_folder(folder: Path, alpha: float) -> Path:
    """What PEFT's save_pretrained leaves: weights, and what they are multiplied by in a file beside them."""
    from safetensors.torch import load_file, save_file

    folder.mkdir()
    tensors = load_file(material.lora_file(0, rank=2))
    save_file(
        {f"base_model.model.{name.removeprefix('transformer.')}": tensor for name, tensor in tensors.items()},
        folder / "adapter_model.safetensors",
        {"format": "pt"},
    )
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": alpha}))
    return folder / "adapter_model.safetensors"


def test_a_folder_of_pefts_becomes_one_file_that_says_its_scale(tmp_path: Path) -> None:
    whole, half = (material.loaded(peft_folder(tmp_path / name, alpha)) for name, alpha in (("a", 2.0), ("b", 1.0)))
    assert (whole.title, half.title) == ("a", "b")
    assert same(changes(whole), changes(material.lora(0))) and same(changes(whole), changes(half), 0.5)
    assert whole.file.sha256 != half.file.sha256
    assert not (Path(half.file.path).parent / "adapter_config.json").exists()
    given = material.loaded(tmp_path / "b" / "adapter_model.safetensors", alpha=4.0)
    assert same(changes(whole), changes(given), 2.0)


def test_what_peft_saved_beside_a_lora_is_part_of_the_key(tmp_path: Path) -> None:
    path = peft_folder(tmp_path / "a", 2.0)
    nodes = {"lora": {"type": "LoadLoRA", "version": 2, "settings": {"file": str(path)}}}
    (tmp_path / "flow.json").write_text(json.dumps({"format": "loragraph/1", "nodes": nodes}))
    registry = Registry.installed()

    def key() -> str:
        return work(load(tmp_path / "flow.json", registry), ["lora"], registry, Fingerprints())["lora"].key

    before = key()
    assert key() == before
    (tmp_path / "a" / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 1}')
    assert key() != before


# -- what stacks on a base --------------------------------------------------------------------------------------------


def stacked() -> Base:
    """Two LoRAs with names of which one begins the other, and the first of them once more."""
    style, more = material.lora(0), material.lora(1)
    base = material.applied(material.base(), style.model_copy(update={"title": "style"}), 0.5, start=0.5)
    base = material.applied(base, more.model_copy(update={"title": "style 2"}), -1.0)
    return material.applied(base, style.model_copy(update={"title": "style"}), 0.25, lines=(2,))


def told(base: Base) -> list[tuple[str, float]]:
    return [(adapter.lora.title, adapter.strength) for adapter in base.adapters]


def test_a_strength_is_changed_by_exact_name_and_the_rest_stays() -> None:
    base = stacked()
    changed = reweight_lora(base, "style", 2.0)
    assert told(changed) == [("style", 2.0), ("style 2", -1.0), ("style", 2.0)]
    assert changed.adapters[0].schedule == base.adapters[0].schedule and changed.adapters[2].lines == (2,)
    assert told(base) == [("style", 0.5), ("style 2", -1.0), ("style", 0.25)]


def test_a_lora_is_removed_by_exact_name() -> None:
    assert told(remove_lora(stacked(), "style")) == [("style 2", -1.0)]
    assert told(remove_lora(stacked(), "style 2")) == [("style", 0.5), ("style", 0.25)]


def test_a_name_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match='Did you mean "style 2"') as caught:
        remove_lora(stacked(), "style_2")
    assert caught.value.field == "name"
    with pytest.raises(BadInput, match="no LoRA on this base"):
        reweight_lora(material.base(), "style")


def test_two_files_of_one_name_are_told_apart_by_what_is_in_them() -> None:
    one, other = (material.lora(seed).model_copy(update={"title": "same"}) for seed in (0, 1))
    base = material.applied(material.applied(material.base(), one), other)
    with pytest.raises(BadInput, match="sha256") as caught:
        remove_lora(base, "same")
    digits = other.file.sha256[:12]
    assert digits in str(caught.value)
    assert [adapter.lora for adapter in remove_lora(base, digits).adapters] == [one]


def test_blocks_steps_and_lines_go_along_with_the_strength() -> None:
    base = material.applied(
        material.base(),
        material.lora(),
        0.8,
        blocks="*.to_q=0",
        start=0.25,
        end=0.75,
        end_strength=0.1,
        curve="cosine",
        lines=(2, 3),
    )
    (use,) = adapters_of(base, [1, 1, 2, 2, 3, 3])
    assert (use.strength, use.blocks, use.lines) == (0.8, "*.to_q=0", (2, 3, 4, 5))
    assert use.schedule is not None
    assert tuple(use.schedule) == (0.25, 0.75, 0.1, "cosine")
    (always,) = adapters_of(material.applied(material.base(), material.lora()), [1, 2])
    assert (always.schedule, always.lines, always.blocks) == (None, (), "")


def test_without_an_end_strength_the_strength_stays() -> None:
    (adapter,) = material.applied(material.base(), material.lora(), start=0.5, curve="cosine").adapters
    assert adapter.schedule is not None and adapter.schedule.curve == "constant"


@pytest.mark.parametrize(
    ("settings", "field", "said"),
    [
        ({"blocks": "transformer_blcks.0=1"}, "blocks", "transformer_blocks"),
        ({"blocks": "nonsense"}, "blocks", "nonsense"),
        ({"start": 0.5, "end": 0.5}, "end", "0.5"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_applied(settings: dict[str, object], field: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        material.applied(material.base(), material.lora(), **settings)
    assert caught.value.field == field


def test_a_line_that_the_prompt_has_not_is_refused() -> None:
    base = material.applied(material.base(), material.lora(), lines=(3,))
    with pytest.raises(BadInput, match="is for line 3, but the prompt has 2 lines"):
        adapters_of(base, [1, 2])


@pytest.mark.parametrize("settings", [{"start": 0.5}, {"end_strength": 0.0}, {"lines": (1,)}])
def test_what_is_not_always_on_is_neither_baked_nor_trained_on(settings: dict[str, object], ctx: FakeContext) -> None:
    base = material.applied(material.base(), material.lora(), **settings)
    with pytest.raises(BadInput, match=r'"lora 0" is for some .*can\'t be baked into the weights') as caught:
        bake_lora(base, ctx=ctx)
    assert caught.value.field == "base"
    with pytest.raises(BadInput, match="can't be trained on"):
        train_lora(base, material.dataset(), steps=1, ctx=ctx)


# -- merging ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["svd", "magnitude", "ties", "dare", "dare_ties", "knots"])
def test_every_method_gives_a_lora_that_fits(method: str, ctx: FakeContext) -> None:
    loras = (material.lora(0), material.lora(1, rank=3))
    merged = merge_lora(loras, (1.0, -0.5), method=method, rank=2, ctx=ctx)
    assert (merged.rank, merged.modules) == (2, 4)
    material.applied(material.base(), merged)


def test_loras_of_several_dialects_and_alphas_are_merged_together(ctx: FakeContext, tmp_path: Path) -> None:
    kohya = convert_lora(material.lora(1), "kohya", ctx=FakeContext(tmp_path / "kohya"))
    halved = material.loaded(material.lora_file(0), alpha=1.0)
    merged = changes(merge_lora((halved, kohya), (2.0, 0.5), ctx=ctx))
    one, other = changes(material.lora(0)), changes(material.lora(1))
    assert same(merged, {name: one[name] + 0.5 * other[name] for name in one})


def test_blocks_are_given_line_by_line(ctx: FakeContext) -> None:
    loras = (material.lora(0), material.lora(1))
    merged = changes(merge_lora(loras, blocks=("*.to_q=0",), ctx=ctx))
    one, other = changes(loras[0]), changes(loras[1])
    expected = {name: other[name] + (0 if name.endswith("to_q") else one[name]) for name in one}
    assert same(merged, expected)
    with pytest.raises(BadInput, match="3 lines of blocks for 2 LoRAs"):
        merge_lora(loras, blocks=("", "", ""), ctx=ctx)


def test_an_exact_merge_takes_no_rank(ctx: FakeContext) -> None:
    with pytest.raises(BadInput, match="use svd to choose one") as caught:
        merge_lora((material.lora(0),), rank=4, ctx=ctx)
    assert caught.value.field == "rank"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"method": "concat", "rank": 5}, {"method": "concat"}),
        ({"rank": 5}, {}),
        ({"method": "svd"}, {"method": "svd", "rank": 16}),
        ({"method": "svd", "rank": 5}, {"method": "svd", "rank": 5}),
    ],
)
def test_a_merge_of_version_1_means_what_it_meant(old: dict[str, object], new: dict[str, object]) -> None:
    assert merge_lora.upgrades[1](old) == new


def test_a_bake_of_version_1_is_in_the_dtype_that_the_base_is_loaded_in(tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    nodes = {
        "base": {"type": "LoadBase", "version": 1},
        "bake": {"type": "BakeLoRA", "version": 1, "inputs": {"base": "base.base"}},
    }
    file.write_text(json.dumps({"format": "loragraph/1", "nodes": nodes}))
    assert load(file, Registry.installed()).values["bake"]["dtype"] == "as loaded"


# -- reshaping and saving ---------------------------------------------------------------------------------------------


def test_a_resized_lora_is_the_best_of_its_rank(ctx: FakeContext) -> None:
    lora = material.lora(0, rank=4)
    resized = resize_lora(lora, rank=2, ctx=ctx)
    assert (resized.rank, resized.title) == (2, "lora 0 at rank 2")
    for name, whole in changes(lora).items():
        left, values, right = torch.linalg.svd(whole)
        assert torch.allclose(changes(resized)[name], left[:, :2] * values[:2] @ right[:2], atol=1e-4)


def test_a_resize_needs_one_rule(ctx: FakeContext) -> None:
    with pytest.raises(BadInput, match="sv_ratio"):
        resize_lora(material.lora(), rank=0, ctx=ctx)
    with pytest.raises(BadInput, match="exclude each other"):
        resize_lora(material.lora(), sv_fro=0.9, sv_ratio=4.0, ctx=ctx)


@pytest.mark.parametrize("to", ["peft", "kohya", "comfyui"])
def test_a_converted_lora_changes_the_same(to: str, ctx: FakeContext) -> None:
    lora = material.loaded(material.lora_file(0), alpha=1.0)
    converted = convert_lora(lora, to, ctx=ctx)
    assert (converted.dialect, converted.alpha) == (to, None)
    assert same(changes(lora), changes(converted))


def test_errors_name_the_fields_of_the_node(ctx: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    def full(error: str) -> None:
        raise SettingError("dialect", "kohya", error)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "save", lambda *arguments, **more: full("it has no words for this."))
        for run, field in (
            (lambda: convert_lora(material.lora(), "kohya", ctx=ctx), "to"),
            (lambda: save_lora(material.lora(), format="kohya", ctx=ctx), "format"),
            (lambda: merge_lora((material.lora(),), ctx=ctx), "loras"),
        ):
            with pytest.raises(BadInput, match="no words for this") as caught:
                run()
            assert caught.value.field == field
    usage = shutil.disk_usage(ctx.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1))
    with pytest.raises(BadInput, match="free there") as caught:
        bake_lora(material.applied(material.base(), material.lora()), ctx=ctx)
    assert (caught.value.field, caught.value.value) == ("base", "tiny")


def test_a_lora_is_saved_in_the_layout_that_is_asked_for_once(ctx: FakeContext) -> None:
    for format in ("as it is", "kohya", "kohya", "as it is"):
        save_lora(material.lora(0), "mine", format, ctx=ctx)
    dialects = {path.name: reading.inspect(path).dialect for path in ctx.out.iterdir()}
    assert dialects == {"mine-0001.safetensors": "peft", "mine-0002.safetensors": "kohya"}


def test_a_lora_with_an_alpha_of_its_users_is_not_saved_as_it_is(ctx: FakeContext) -> None:
    lora = material.loaded(material.lora_file(0), alpha=1.0)
    with pytest.raises(BadInput, match="alpha 1, which its file doesn't say") as caught:
        save_lora(lora, ctx=ctx)
    assert caught.value.field == "format" and not any(ctx.out.iterdir())
    save_lora(lora, format="peft", ctx=ctx)
    (saved,) = ctx.out.iterdir()
    assert same(changes(lora), changes(material.loaded(saved)))


def test_what_was_baked_in_is_extracted_again(ctx: FakeContext, tmp_path: Path) -> None:
    lora = material.lora(0)
    baked = bake_lora(material.applied(material.base(), lora), "float32", ctx=FakeContext(tmp_path / "bake"))
    extracted = extract_lora(material.base(), baked, rank=2, ctx=ctx)
    assert same(changes(lora), changes(extracted))
    assert ctx.steps[-1][0] == ctx.steps[-1][1]


def test_a_base_with_loras_on_it_is_no_checkpoint_to_extract_from(ctx: FakeContext) -> None:
    with pytest.raises(BadInput, match="has LoRAs on it") as caught:
        extract_lora(material.base(), material.applied(material.base(), material.lora()), ctx=ctx)
    assert caught.value.field == "tuned"


@pytest.mark.parametrize(
    "job",
    [
        lambda ctx: merge_lora((material.lora(0), material.lora(1)), method="ties", ctx=ctx),
        lambda ctx: resize_lora(material.lora(0), rank=1, ctx=ctx),
        lambda ctx: inspect_lora(material.lora(0), ctx=ctx),
        lambda ctx: compare_lora(material.lora(0), material.lora(1), ctx=ctx),
    ],
    ids=["merge", "resize", "inspect", "compare"],
)
def test_work_on_many_modules_tells_how_far_it_is_and_can_be_cancelled(
    job: Callable[[FakeContext], object], tmp_path: Path
) -> None:
    whole, stopped = FakeContext(tmp_path / "whole"), FakeContext(tmp_path / "stopped", cancel_after=2)
    job(whole)
    assert whole.steps == [(number, 4, "modules") for number in range(1, 5)]
    with pytest.raises(Cancelled):
        job(stopped)
    assert len(stopped.steps) == 2 and not any(stopped.folder.iterdir())


# -- looking ----------------------------------------------------------------------------------------------------------


def test_an_inspected_lora_is_a_row_for_each_module_and_a_picture(ctx: FakeContext) -> None:
    found = inspect_lora(material.lora(0), ctx=ctx)
    rows = [dict(zip(found.table.columns, row, strict=True)) for row in found.table.rows]
    norms = {name: float(change.norm()) for name, change in changes(material.lora(0)).items()}
    assert {row["module"]: pytest.approx(row["norm"], rel=1e-4) for row in rows} == norms
    assert "dim" not in found.table.columns
    assert {(row["rank"], row["alpha"], row["scale"], row["kind"]) for row in rows} == {(2, 2.0, 1.0, "lora")}
    (picture,) = found.picture.items
    assert Path(picture.file.path).is_relative_to(ctx.folder) and min(picture.width, picture.height) > 100


def test_the_rank_of_a_loha_is_told_beside_that_of_its_factors(ctx: FakeContext, tmp_path: Path) -> None:
    (name, *_) = changes(material.lora(0))
    out, inside = changes(material.lora(0))[name].shape
    factors = [torch.randn(*shape) for shape in ((out, 3), (3, inside), (out, 3), (3, inside))]
    path = writing.save(
        Lora({name: Change(Hadamard(*factors, alpha=1.5))}, "flux"), tmp_path / "a.safetensors", "kohya"
    )
    table = inspect_lora(material.loaded(path), ctx=ctx).table
    (row,) = [
        row for row in (dict(zip(table.columns, each, strict=True)) for each in table.rows) if row["module"] == name
    ]
    assert (row["dim"], row["rank up to"], row["alpha"], row["scale"]) == (3, 9, 1.5, 0.5)
    item = reading.inspect(path).items[name]
    assert (item.dim, item.rank) == (3, 9)


def test_a_lora_is_all_like_itself_and_unlike_another(ctx: FakeContext, tmp_path: Path) -> None:
    lora = material.lora(0)
    double = merge_lora((lora,), (2.0,), ctx=FakeContext(tmp_path / "double"))
    table = compare_lora(lora, double, ctx=ctx)
    whole, *modules = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert (whole["module"], len(modules)) == ("all", 4)
    assert [whole[name] for name in ("cosine", "outputs", "inputs", "b / a")] == pytest.approx([1, 1, 1, 2], rel=1e-5)
    assert all(row["in"] == "both" and row["rank a"] == 2 for row in modules)
    assert {f"{name}{what}" for name in ("outputs", "inputs") for what in ("", " by chance")} <= set(table.columns)
    other = compare_lora(lora, material.lora(1), ctx=ctx)
    assert abs(other.rows[0][other.columns.index("cosine")]) < 0.5


def test_modules_that_one_of_two_lacks_are_listed(ctx: FakeContext, tmp_path: Path) -> None:
    lora = material.lora(0)
    read = reading.load(lora.file.path)
    (first, *_) = read.changes
    fewer = writing.save(Lora({first: read.changes[first]}, "flux"), tmp_path / "fewer.safetensors")
    table = compare_lora(lora, material.loaded(fewer), ctx=ctx)
    assert sorted(row[1] for row in table.rows) == ["a only"] * 3 + ["both"] * 2


def test_loras_with_nothing_in_common_are_refused(ctx: FakeContext, tmp_path: Path) -> None:
    pair = (torch.ones(1, 8), torch.ones(8, 1), 1.0)
    path = writing.save(plain({"transformer.transformer_blocks.0.attn.to_k": pair}, "flux"), tmp_path / "k.safetensors")
    with pytest.raises(BadInput, match="no weight in common"):
        compare_lora(material.lora(0), material.loaded(path), ctx=ctx)
