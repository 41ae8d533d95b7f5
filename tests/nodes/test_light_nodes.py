"""The nodes that load nothing heavy: loading by name, applying, saving, the grid."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from loragraph.graph_runtime import BadInput, Cancelled, FakeContext, Images
from loragraph.nodes import grid, load_base, load_images, save_images, save_lora
from loragraph.tests.nodes import material


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path / "node")


def test_a_base_is_described_and_not_loaded() -> None:
    base = load_base(str(material.tiny_flux()), "bfloat16")
    assert (base.source, base.family, base.dtype, base.adapters) == ("Tiny FLUX", "flux", "bfloat16", ())
    assert base.fingerprint == load_base(str(material.tiny_flux())).fingerprint


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"model_index\.json") as caught:
        load_base(str(tmp_path))
    assert caught.value.field == "source"


def test_a_lora_is_read_from_its_header() -> None:
    lora = material.loaded(material.lora_file(rank=3))
    assert (lora.rank, lora.modules, lora.title, lora.dialect) == (3, 4, "lora-0-3-2", "peft")


def test_a_cut_lora_file_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(material.lora_file().read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"cut\.safetensors") as caught:
        material.loaded(cut)
    assert caught.value.field == "file"


def test_loras_stack_and_the_base_stays_as_it_was() -> None:
    base = material.base()
    stacked = material.applied(material.applied(base, material.lora(0), 0.5), material.lora(1), -1.0)
    assert [adapter.strength for adapter in stacked.adapters] == [0.5, -1.0]
    assert base.adapters == ()


def test_a_lora_for_another_architecture_is_refused() -> None:
    other = material.loaded(material.lora_file(heads=4))
    with pytest.raises(BadInput, match="does not fit") as caught:
        material.applied(material.base(), other)
    assert caught.value.field == "lora"


def test_captions_come_from_text_files_else_from_names(tmp_path: Path) -> None:
    for name in ("red-apple", "blue_cat", "zebra"):
        Image.new("RGB", (8, 6)).save(tmp_path / f"{name}.png")
    (tmp_path / "zebra.txt").write_text("a striped\n horse \n", encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a picture")
    loaded = load_images(str(tmp_path), prefix="riso style ")
    captions = ["riso style blue cat", "riso style red apple", "riso style a striped horse"]
    assert [item.caption for item in loaded.dataset.items] == captions
    assert [(picture.width, picture.height) for picture in loaded.images.items] == [(8, 6)] * 3


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no picture"):
        load_images(str(tmp_path))


@pytest.mark.parametrize("damage", [b"no picture at all", None])
def test_a_damaged_picture_is_named(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "bad.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(damage or path.read_bytes()[:200])
    with pytest.raises(BadInput, match=r"bad\.png can't be read") as caught:
        load_images(str(tmp_path))
    assert caught.value.field == "folder"


def test_saved_pictures_carry_prompt_seed_settings_and_workflow(ctx: FakeContext, tmp_path: Path) -> None:
    ctx.workflow = '{"format": "loragraph/1", "title": "Käse"}'
    save_images(material.images(tmp_path / "in"), "shot", ctx=ctx)
    assert sorted(path.name for path in ctx.out.iterdir()) == ["shot-0001.png", "shot-0002.png"]
    with Image.open(ctx.out / "shot-0002.png") as image:
        text = image.text
    assert (text["prompt"], text["seed"], text["loragraph"]) == ("two", "1", ctx.workflow)
    assert json.loads(text["settings"]) == {"seed": 1, "steps": 4}


def test_nodes_saving_at_once_each_get_their_own_files(tmp_path: Path) -> None:
    pictures = material.images(tmp_path / "in")
    contexts = [FakeContext(tmp_path / str(number)) for number in range(8)]
    for number, context in enumerate(contexts):
        context.out = tmp_path / "out"
        context.workflow = f"workflow {number}"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda context: save_images(pictures, "same", ctx=context), contexts))
    names = [f"same-{number:04d}.png" for number in range(1, 17)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_what_several_nodes_save_alike_at_once_is_saved_once(tmp_path: Path) -> None:
    pictures = material.images(tmp_path / "in")
    contexts = [FakeContext(tmp_path / str(number)) for number in range(8)]
    for context in contexts:
        context.out = tmp_path / "out"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda context: save_images(pictures, "same", ctx=context), contexts))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["same-0001.png", "same-0002.png"]


def test_saving_again_adds_nothing_and_overwrites_nothing(ctx: FakeContext, tmp_path: Path) -> None:
    pictures = material.images(tmp_path / "in")
    save_images(pictures, ctx=ctx)
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in ctx.out.iterdir()}
    save_images(pictures, ctx=ctx)
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in ctx.out.iterdir()} == before
    ctx.workflow = "another workflow"
    save_images(pictures, ctx=ctx)
    assert len(list(ctx.out.iterdir())) == 2 * len(before)
    assert all((ctx.out / name).read_bytes() == content for name, (_, content) in before.items())


def test_equal_pictures_of_one_call_are_several_files_and_stay_so(ctx: FakeContext, tmp_path: Path) -> None:
    one = material.images(tmp_path / "in").items[0]
    for _ in range(2):
        save_images(Images(items=(one, one, one)), ctx=ctx)
        assert sorted(path.name for path in ctx.out.iterdir()) == [f"image-000{n}.png" for n in (1, 2, 3)]


def test_a_cancelled_save_leaves_whole_files_only(ctx: FakeContext, tmp_path: Path) -> None:
    ctx.cancel_after = 1
    with pytest.raises(Cancelled):
        save_images(material.images(tmp_path / "in"), ctx=ctx)
    assert [path.name for path in ctx.out.iterdir()] == ["image-0001.png"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a\\b", ".hidden", "x" * 101, "nul\0", "line\n"])
def test_a_name_never_leads_out_of_the_output_folder(ctx: FakeContext, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="file name"):
        save_images(material.images(tmp_path / "in"), name, ctx=ctx)
    with pytest.raises(BadInput, match="file name"):
        save_lora(material.lora(), name, ctx=ctx)
    assert not any(ctx.out.iterdir())


def test_a_saved_lora_is_the_same_file_and_is_kept_once(ctx: FakeContext) -> None:
    save_lora(material.lora(0), "mine", ctx=ctx)
    save_lora(material.lora(0), "mine", ctx=ctx)
    save_lora(material.lora(1), "mine", ctx=ctx)
    assert (ctx.out / "mine-0001.safetensors").read_bytes() == material.lora_file(0).read_bytes()
    assert (ctx.out / "mine-0002.safetensors").read_bytes() == material.lora_file(1).read_bytes()
    assert len(list(ctx.out.iterdir())) == 2


def test_a_file_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    material.images(tmp_path)
    picture = next(tmp_path.glob("*.png"))
    os.rename(picture, os.fsencode(tmp_path) + b"/caf\xe9.png")
    with pytest.raises(BadInput, match="rename the file"):
        load_images(str(tmp_path))


def test_a_grid_has_a_cell_for_each_picture(ctx: FakeContext, tmp_path: Path) -> None:
    rows = (
        material.images(
            tmp_path / "a", ("one", "a caption that is far too long for one line below a picture", "x" * 90)
        ),
        material.images(tmp_path / "b"),
    )
    (plain,) = grid(rows, captions=False, ctx=ctx).items
    (titled,) = grid(rows, titles=("first",), ctx=ctx).items
    assert (plain.width, plain.height) == (3 * (128 + 8) + 8, 2 * (128 + 8) + 8)
    assert titled.width > plain.width and titled.height > plain.height
    with Image.open(titled.file.path) as image:
        assert image.size == (titled.width, titled.height)


def test_a_grid_breaks_long_rows_and_keeps_them_together(ctx: FakeContext, tmp_path: Path) -> None:
    rows = (material.images(tmp_path / "a", ("one", "two", "three")), material.images(tmp_path / "b"))
    (broken,) = grid(rows, captions=False, columns=2, ctx=ctx).items
    assert (broken.width, broken.height) == (2 * (128 + 8) + 8, 4 * (128 + 8) + 8)


def test_a_grid_needs_a_picture_and_not_more_titles_than_rows(ctx: FakeContext, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no picture"):
        grid((), ctx=ctx)
    with pytest.raises(BadInput, match="2 titles for 1 rows"):
        grid((material.images(tmp_path / "a"),), titles=("a", "b"), ctx=ctx)


def test_a_grid_has_the_paper_that_is_asked_for_and_words_that_show_on_it(ctx: FakeContext, tmp_path: Path) -> None:
    rows = (material.images(tmp_path / "a"),)
    (dark,) = grid(rows, titles=("dark",), background="#101014", ctx=ctx).items
    with Image.open(dark.file.path) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert image.getpixel((0, 0)) == (16, 16, 20)
    assert (255, 255, 255) in colours
