"""The embedded model as a user gets it: an ordinary folder that stock diffusers loads, and that draws its subjects."""

import json

import pytest
import torch
from diffusers import FluxPipeline

from loragraph.diffusion.embedded import locate
from loragraph.diffusion.embedded.build.gate import draw
from loragraph.diffusion.embedded.build.subjects import STYLES, SUBJECTS, caption
from loragraph.diffusion.embedded.measure import retrieve, retrieve_anywhere

LIMIT = 25_000_000  # bytes


@pytest.fixture(scope="module")
def pipeline() -> FluxPipeline:
    return FluxPipeline.from_pretrained(locate("emoji"), dtype=torch.float32)


def test_the_folder_is_small_and_says_what_it_is() -> None:
    files = [path for path in locate("emoji").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LIMIT
    card = (locate("emoji") / "README.md").read_text()
    assert "Apache-2.0" in card
    assert "MIT" in card
    assert json.loads((locate("emoji") / "loragraph.json").read_text())["max_sequence_length"] == 16


def test_stock_diffusers_loads_the_real_classes(pipeline: FluxPipeline) -> None:
    names = {name: type(part).__name__ for name, part in pipeline.components.items() if part is not None}
    assert names["transformer"] == "FluxTransformer2DModel"
    assert names["vae"] == "AutoencoderKL"
    assert names["text_encoder"] == "CLIPTextModel"
    assert names["text_encoder_2"] == "T5EncoderModel"


def test_every_word_of_a_caption_is_known(pipeline: FluxPipeline) -> None:
    for slug in SUBJECTS:
        ids = pipeline.tokenizer_2(caption(slug, "flat", "small", "bottom right")).input_ids
        assert pipeline.tokenizer_2.unk_token_id not in ids
        assert len(ids) <= 16


def test_it_draws_its_subjects(pipeline: FluxPipeline) -> None:
    some = list(SUBJECTS[::14])
    assert retrieve(draw(pipeline, [caption(slug) for slug in some]), some).top1 >= 0.8


def test_a_style_by_name_changes_the_style_and_keeps_the_subject(pipeline: FluxPipeline) -> None:
    some = list(SUBJECTS[5::28])
    pictures = draw(pipeline, [caption(slug, "pencil") for slug in some])
    assert retrieve(pictures, some, "pencil").top5 >= 0.75
    for picture in pictures:  # pencil is grey
        _, saturation, _ = picture.convert("HSV").split()
        assert sum(saturation.get_flattened_data()) / (64 * 64) < 25


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("style", STYLES)
def test_retrieval_over_all_subjects_passes_the_gate(pipeline: FluxPipeline, style: str) -> None:
    pictures = draw(pipeline, [caption(slug, style) for slug in SUBJECTS])
    assert retrieve(pictures, SUBJECTS, style).top1 >= 0.9


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_small_emoji_are_found_anywhere(pipeline: FluxPipeline) -> None:
    pictures = draw(pipeline, [caption(slug, size="small") for slug in SUBJECTS])
    assert retrieve_anywhere(pictures, SUBJECTS).top1 >= 0.9
