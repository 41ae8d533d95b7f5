"""The numbers of a report against dense matrices, and the picture of them by its pixels."""

from __future__ import annotations

import doctest
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops
from torch import Tensor

from loragraph.diffusion.lora import compare, criterion, drawing, picture, reading, report, singular, writing
from loragraph.diffusion.lora.delta import Delta, Full, Hadamard, Kronecker, LowRank
from loragraph.diffusion.lora.drawing import legible, short, ticks
from loragraph.diffusion.lora.model import Change, Lora, Magnitude, plain
from loragraph.diffusion.lora.picture import PALETTE, part_of


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


FORMS: dict[str, Delta] = {
    "lora": LowRank(numbers(1, 4, 20), numbers(2, 16, 4), alpha=2.0),
    "conv": LowRank(numbers(1, 4, 3, 3, 3), numbers(2, 16, 4, 1, 1), alpha=4.0),
    "loha": Hadamard(numbers(1, 40, 3), numbers(2, 3, 36), numbers(3, 40, 3), numbers(4, 3, 36), alpha=1.0),
    "lokr": Kronecker(2.0, w1=numbers(1, 4, 3), w2_a=numbers(2, 5, 2), w2_b=numbers(3, 2, 7)),
    "lokr, conv": Kronecker(1.0, w1=numbers(1, 3, 2), w2=numbers(3, 4, 5, 3, 3), kernel=(3, 3)),
    "full": Full(numbers(1, 12, 17)),
}
UNET = "unet.down_blocks.1.attentions.0"


def test_examples_in_the_docstrings_hold() -> None:
    for module in (report, picture, drawing, criterion, singular, compare):
        tried = doctest.testmod(module)
        assert tried.attempted > 1 and not tried.failed, module


@pytest.mark.parametrize("form", FORMS)
def test_a_row_tells_what_the_dense_matrix_says(form: str) -> None:
    delta = FORMS[form]
    (row,) = report.table(Lora({f"{UNET}.proj_in": Change(delta)}))
    values = torch.linalg.svdvals(delta.dense(torch.float64).flatten(1))
    assert (row.kind, row.shape, row.rank, row.scale) == (delta.kind, delta.shape, delta.rank, delta.scale)
    assert row.dim == {"lora": 4, "conv": 4, "loha": 3, "lokr": 2}.get(form)
    assert row.alpha == (None if isinstance(delta, Full) else delta.alpha)
    assert row.norm == pytest.approx(float(values.norm()), rel=1e-5)
    assert row.spectral == pytest.approx(float(values[0]), rel=1e-5)
    assert row.stable_rank == pytest.approx(float((values.norm() / values[0]) ** 2), rel=1e-5)
    shares = values[values > 1e-9 * values[0]] / values.sum()
    assert row.effective_rank == pytest.approx(math.exp(float(-(shares * shares.log()).sum())), rel=1e-3)
    enough = torch.cumsum(values.square(), 0) >= 0.95 * values.square().sum()
    assert row.energy_rank == int((~enough).sum()) + 1
    assert row.values[: delta.rank] == pytest.approx(values[: delta.rank].tolist(), abs=1e-4 * float(values[0]))
    tensors = [value for value in vars(delta).values() if isinstance(value, Tensor)]
    assert row.parameters == sum(tensor.numel() for tensor in tensors) and row.dtype == "float32"


def test_a_large_full_change_is_told_by_its_leading_values() -> None:
    fade = torch.arange(1, 401, dtype=torch.float32) ** -1.0
    change = (torch.linalg.qr(numbers(1, 400, 400))[0] * fade) @ torch.linalg.qr(numbers(2, 400, 400))[0]
    (row,) = report.table(Lora({"unet.a": Change(Full(change))}))
    assert row.norm == pytest.approx(float(fade.norm()), rel=1e-5) and row.spectral == pytest.approx(1, rel=1e-4)
    assert len(row.values) == report.LEADING and row.effective_rank is None
    assert row.energy_rank == int((torch.cumsum(fade.square(), 0) < 0.95 * fade.square().sum()).sum()) + 1


def test_what_is_beside_a_change_is_told() -> None:
    changes = {
        "unet.dora": Change(FORMS["lora"], Magnitude(numbers(1, 16)), numbers(2, 16)),
        "unet.in": Change(FORMS["lora"], Magnitude(numbers(1, 20), axis=1)),
        "unet.norm": Change(Full(torch.tensor([3.0, 4.0]))),
        "unet.bias": Change(bias=torch.tensor([0.0, 2.0])),
        "unet.set": Change(set_weight=numbers(3, 5)),
        "unet.zero": Change(LowRank(numbers(1, 2, 4), torch.zeros(3, 2), 2.0)),
    }
    rows = {row.module: row for row in report.table(Lora(changes))}
    assert (rows["unet.dora"].kind, rows["unet.dora"].extras) == ("lora", ("DoRA", "bias"))
    assert rows["unet.in"].extras == ("DoRA (inputs)",)
    assert rows["unet.dora"].parameters == 4 * 36 + 16 + 16
    norm, bias, replaced, zero = (rows[f"unet.{name}"] for name in ("norm", "bias", "set", "zero"))
    assert (norm.kind, norm.norm, norm.rank, norm.values) == ("full", 5.0, 0, ())
    assert (bias.kind, bias.norm, bias.extras) == ("bias", 2.0, ())
    assert (replaced.kind, replaced.shape, replaced.norm) == ("set", (5,), 0.0)
    assert (zero.norm, zero.spectral, zero.stable_rank, zero.effective_rank) == (0, 0, 0, None)


@pytest.mark.parametrize(
    ("module", "block", "layer"),
    [
        ("transformer.transformer_blocks.12.ff.net.0.proj", "transformer.transformer_blocks.12", "ff.net.0.proj"),
        ("transformer.single_transformer_blocks.3.proj_out", "transformer.single_transformer_blocks.3", "proj_out"),
        ("transformer.blocks.7.attn1.to_q", "transformer.blocks.7", "attn1.to_q"),
        (f"{UNET}.transformer_blocks.9.attn2.to_out.0", UNET, "attn2.to_out.0"),
        ("unet.up_blocks.0.upsamplers.0.conv", "unet.up_blocks.0.upsamplers.0", "conv"),
        ("unet.mid_block.attentions.0.proj_in", "unet.mid_block.attentions.0", "proj_in"),
        ("unet.time_embedding.linear_1", "unet", "time_embedding.linear_1"),
        ("transformer.time_text_embed.guidance_embedder.linear_1", "transformer", None),
        ("text_encoder_2.encoder.block.3.layer.0.SelfAttention.q", "text_encoder_2.encoder.block.3", "SelfAttention.q"),
        ("text_encoder.text_model.encoder.layers.11.mlp.fc2", "text_encoder.text_model.encoder.layers.11", "mlp.fc2"),
    ],
)
def test_blocks_are_the_numbered_parts_of_each_network(module: str, block: str, layer: str | None) -> None:
    assert report.block_of(module) == (block, layer or module.partition(".")[2])


def test_blocks_come_in_the_order_of_the_network_with_their_norms() -> None:
    pair = (torch.eye(2, 4) * 3, torch.eye(5, 2), 2.0)
    names = [
        "transformer.single_transformer_blocks.0.proj_out",
        "transformer.transformer_blocks.10.attn.to_q",
        "transformer.transformer_blocks.2.attn.to_q",
        "transformer.transformer_blocks.2.attn.to_k",
        "transformer.x_embedder",
        "text_encoder.text_model.encoder.layers.1.mlp.fc1",
    ]
    found = report.blocks(report.table(plain(dict.fromkeys(names, pair))))
    assert [(block.block.split(".", 1)[-1], block.modules) for block in found] == [
        ("text_model.encoder.layers.1", 1),
        ("transformer", 1),
        ("transformer_blocks.2", 2),
        ("transformer_blocks.10", 1),
        ("single_transformer_blocks.0", 1),
    ]
    assert [block.norm for block in found] == pytest.approx([18**0.5, 18**0.5, 6, 18**0.5, 18**0.5])
    assert [part_of(block.block) for block in found] == [
        "text_encoder",
        "other",
        "transformer_blocks",
        "transformer_blocks",
        "single_transformer_blocks",
    ]


def test_a_unet_s_layers_come_as_it_goes_through_them() -> None:
    layers = {
        "down_blocks.10": ("resnets.0", "attentions.0", "resnets.1", "attentions.1", "downsamplers.0"),
        "mid_block": ("resnets.0", "attentions.0", "resnets.1"),
        "up_blocks.0": ("resnets.0", "resnets.1", "upsamplers.0"),
    }
    pair = (torch.eye(2, 4), torch.eye(5, 2), 2.0)
    names = ["conv_in", *(f"{block}.{layer}.conv" for block, inside in layers.items() for layer in inside)]
    shuffled = dict.fromkeys((f"unet.{name}" for name in sorted(names)), pair)
    found = [block.block for block in report.blocks(report.table(plain(shuffled, "sdxl")))]
    assert found == ["unet", *(f"unet.{name.removesuffix('.conv')}" for name in names[1:])]


def test_what_modules_share_is_counted_once() -> None:
    down, up = numbers(1, 4, 20), numbers(2, 32, 4)
    parts = {f"unet.{name}": Change(LowRank(down, rows, 4.0)) for name, rows in zip("ab", up.chunk(2), strict=True)}
    assert report.parameters(Lora(parts)) == 4 * 20 + 32 * 4
    assert sum(row.parameters for row in report.table(Lora(parts))) == 2 * 4 * 20 + 32 * 4


def test_the_report_is_plain_json() -> None:
    lora = Lora({f"{UNET}.proj_in": Change(FORMS["lokr"]), "unet.a": Change(FORMS["lora"])}, "sdxl", dialect="kohya")
    told = json.loads(json.dumps(report.as_json(lora), allow_nan=False))
    assert (told["family"], told["dialect"], told["modules"], told["rank"]) == ("sdxl", "kohya", 2, 6)
    assert (told["dim"], told["scales"], [row["dim"] for row in told["table"]]) == (4, [0.5, 1.0], [2, 4])
    squares = sum(delta.dense(torch.float64).square().sum() for delta in (FORMS["lokr"], FORMS["lora"]))
    assert told["norm"] == pytest.approx(float(squares) ** 0.5, rel=1e-5)
    assert len(told["table"][0]["values"]) <= 8 and told["table"][1]["shape"] == [16, 20]


def test_a_header_tells_the_dim_and_every_scale(tmp_path: Path) -> None:
    linear = Kronecker(1.0, w1=numbers(1, 4, 4), w2_a=numbers(2, 80, 2), w2_b=numbers(3, 2, 80))
    whole = Kronecker(1.0, w1=numbers(1, 4, 4), w2=numbers(3, 80, 80, 3, 3), kernel=(3, 3))
    block = "unet.down_blocks.0.resnets.0"
    lora = Lora({f"{block}.time_emb_proj": Change(linear), f"{block}.conv1": Change(whole)}, "sdxl")
    info = reading.inspect(writing.save(lora, tmp_path / "a.safetensors", "kohya"))
    assert info.scales == (0.5, 1.0)
    assert sorted((item.dim, item.rank) for item in info.items.values()) == [(0, 320), (2, 8)]


def drawn(lora: Lora, path: Path, title: str = "one.safetensors") -> Image.Image:
    with Image.open(report.picture(lora, path, title)) as image:
        return image.convert("RGB")


def test_bars_are_as_high_as_the_norms_of_their_blocks(tmp_path: Path) -> None:
    def pair(size: float) -> tuple[Tensor, Tensor, float]:
        return torch.eye(2, 4) * size, torch.eye(5, 2), 2.0

    blocks = {f"transformer.transformer_blocks.{n}.attn.to_q": pair(size) for n, size in enumerate((1.0, 2.0, 4.0))}
    image = drawn(plain(blocks, "flux"), tmp_path / "one.png")
    assert image.size == (1200, 800) and image.getpixel((3, 3)) == (255, 255, 255)
    colour = tuple(bytes.fromhex(PALETTE[0][1:]))
    panel = image.crop((90, 232, 1150, 460))
    columns = [sum(panel.getpixel((x, y)) == colour for y in range(panel.height)) for x in range(panel.width)]
    heights = sorted({height for height in columns if height and columns.count(height) > 30})
    assert len(heights) == 3
    assert heights[1] / heights[0] == pytest.approx(2, abs=0.15) and heights[2] / heights[1] == pytest.approx(
        2, abs=0.1
    )


def test_every_kind_of_lora_is_drawn(tmp_path: Path) -> None:
    pictures = [drawn(Lora({}), tmp_path / "none.png")]
    changes: dict[str, Change] = {}
    for number, delta in enumerate(FORMS.values()):
        changes[f"unet.up_blocks.{number}.attentions.0.proj_in"] = Change(delta)
        pictures.append(drawn(Lora(dict(changes), "sdxl", warnings=("guessed",)), tmp_path / f"{number}.png"))
    changes["unet.norm"] = Change(Full(numbers(1, 5)), bias=numbers(2, 5))
    changes["unet.set"] = Change(set_weight=numbers(1, 5))
    changes["text_encoder.text_model.encoder.layers.0.mlp.fc1"] = Change(FORMS["lora"], Magnitude(numbers(1, 16)))
    pictures.append(drawn(Lora(changes, "no such family"), tmp_path / "all.png"))
    pictures.append(drawn(Lora({"unet.a": Change(set_weight=numbers(1, 5))}), tmp_path / "set.png"))
    pictures.append(drawn(Lora({"unet.a": Change(Full(torch.zeros(4, 4)))}), tmp_path / "zeros.png"))
    for one, other in itertools.pairwise(pictures):
        assert ImageChops.difference(one, other).getbbox() is not None


class Written(drawing.Sheet):
    """A sheet that notes what is written and drawn on it: texts with their boxes, and bars."""

    last: Written

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self.texts: list[tuple[str, tuple[float, float, float, float]]] = []
        self.bars: list[tuple[float, float, float, float, str]] = []
        Written.last = self

    def text(self, x: float, y: float, text: str, size: float = 13, *style: Any, **more: Any) -> float:
        width = super().text(x, y, text, size, *style, **more)
        left = x - width * {"left": 0, "middle": 0.5, "right": 1}[more.get("anchor", "left")]
        self.texts.append((text, (left, y - size / 2, left + width, y + size / 2)))
        return width

    def upright(self, x: float, y: float, text: str, size: float = 13, colour: str = "") -> None:
        super().upright(x, y, text, size, colour)
        self.texts.append((text, (x - size / 2, y, x + size / 2, y + self.measure(text, size))))

    def bar(self, left: float, top: float, right: float, bottom: float, colour: str, round_by: float = 2) -> None:
        super().bar(left, top, right, bottom, colour, round_by)
        self.bars.append((left, top, right, bottom, colour))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> type[Written]:
    monkeypatch.setattr(picture, "Sheet", Written)
    return Written


def sdxl() -> Lora:
    """Every kind of block of SDXL's UNet and both text encoders, in small."""
    modules = []
    for part, count, layers in (("down_blocks", 3, 2), ("up_blocks", 3, 3)):
        for block, layer in itertools.product(range(count), range(layers)):
            modules += [f"unet.{part}.{block}.{kind}.{layer}.conv" for kind in ("resnets", "attentions")]
        modules += [f"unet.{part}.{block}.{part[:-7]}samplers.0.conv" for block in range(count - 1)]
    modules += [f"unet.mid_block.{layer}.conv" for layer in ("resnets.0", "attentions.0", "resnets.1")]
    for component, count in (("text_encoder", 12), ("text_encoder_2", 32)):
        modules += [f"{component}.text_model.encoder.layers.{layer}.mlp.fc1" for layer in range(count)]
    modules += [f"unet.down_blocks.0.attentions.0.layer{number}" for number in range(40)]
    return plain(dict.fromkeys(modules, (torch.eye(2, 4), torch.eye(5, 2), 2.0)), "sdxl")


def test_labels_below_bars_say_what_they_are_and_do_not_touch(written: type[Written]) -> None:
    lora = sdxl()
    picture.draw(lora, report.table(lora), "one")
    below = [(text, box) for text, box in written.last.texts if 380 < box[1] < 480 and box[0] > 90]
    named = [text for text, _ in below]
    assert {"res 0", "attn 2", "down 0", "down 2", "mid", "up 2", "30"} <= set(named)
    assert (named.count("attn 0"), named.count("down"), named.count("up")) == (7, 2, 2)
    for (one, (left, top, right, bottom)), (other, box) in itertools.combinations(below, 2):
        apart = right <= box[0] + 0.5 or box[2] <= left + 0.5 or bottom <= box[1] + 0.5 or box[3] <= top + 0.5
        assert apart, (one, other)
    assert any("resnets" in text and "attentions" in text for text, _ in written.last.texts)


def test_what_finds_no_room_in_a_list_has_no_bar(written: type[Written]) -> None:
    lora = sdxl()
    picture.draw(lora, report.table(lora), "one")
    (height,) = [box[1] for text, box in written.last.texts if text.endswith("more, together")]
    bars = [bar for bar in written.last.bars if 430 < bar[0] < 780 and bar[1] > 500]
    assert len(bars) == 2 * 5 and all(bar[1] < height for bar in bars)
    longest, *_ = sorted((bar[2] - bar[0] for bar in bars if bar[4] == PALETTE[5]), reverse=True)
    assert longest == max(bar[2] - bar[0] for bar in bars)


def test_the_axis_of_singular_values_is_that_of_the_data(written: type[Written]) -> None:
    for fade, levels in ((0.97, {"1", "0.9", "0.8"}), (0.7, {"1", "0.1", "0.02"}), (1.0, {"1", "0.9"})):
        values = fade ** torch.arange(12.0)
        lora = plain({"unet.a": (torch.eye(12, 20), torch.eye(15, 12) * values, 12.0)})
        picture.draw(lora, report.table(lora), "one")
        found = {text for text, box in written.last.texts if box[0] > 800 and box[2] < 850 and 540 < box[3] < 755}
        assert levels <= found and len(found) <= 8, fade


def test_forms_whose_rank_is_higher_tell_both(written: type[Written]) -> None:
    for form, told in (
        ("loha", "LoHa, dim 3 (rank up to 9), alpha 1"),
        ("lokr", "LoKr, dim 2 (rank up to 6), alpha 2"),
        ("lokr, conv", "LoKr, rank up to 8"),
        ("lora", "LoRA, rank 4, alpha 2"),
    ):
        lora = Lora({"unet.a": Change(FORMS[form])})
        picture.draw(lora, report.table(lora), "one")
        texts = [text for text, _ in written.last.texts]
        assert told in texts
        assert ("rank" in texts) == (form == "lora")


def test_the_title_is_written_whatever_its_letters_and_length(tmp_path: Path) -> None:
    lora = plain({"unet.a": (torch.eye(2, 4), torch.eye(5, 2), 2.0)})
    plain_title = drawn(lora, tmp_path / "a.png")
    for title in ("été 水彩.safetensors", "long " * 100, "", "two\nlines"):
        box = ImageChops.difference(plain_title, drawn(lora, tmp_path / "b.png", title)).getbbox()
        # nothing but the title's line differs
        assert box is not None and box[1] > 20 and box[3] < 70 and box[2] <= 1165


def test_a_table_made_before_is_not_made_again(tmp_path: Path) -> None:
    lora = plain({"unet.a": (torch.eye(2, 4), torch.eye(5, 2), 2.0)})
    rows = [row._replace(norm=7.0) for row in report.table(lora)]
    told = drawn(lora, tmp_path / "a.png")
    report.picture(lora, tmp_path / "b.png", "one.safetensors", rows)
    with Image.open(tmp_path / "b.png") as image:
        assert ImageChops.difference(told, image.convert("RGB")).getbbox() is not None
    assert report.as_json(lora, rows)["norm"] == 7.0


def test_numbers_and_letters_are_legible() -> None:
    assert [short(number) for number in (0, 1, -0.25, 999.6, 12345, 4.2e9, 0.000123)] == [
        "0",
        "1",
        "-0.25",
        "1000",
        "12.3 k",
        "4.2 G",
        "1.2e-4",
    ]
    assert legible("né\n水") == "ne??"
    for most in (1e-9, 0.3, 1, 7, 99, 12345.6, 8e9):
        scale = ticks(most)
        assert scale[0] == 0 and scale[-1] >= most * 0.99 and 2 <= len(scale) <= 7
    assert ticks(0) == ticks(float("inf")) == [0.0, 1.0]
