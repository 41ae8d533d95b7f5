"""The language of strengths by block."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loragraph.diffusion.errors import SettingError
from loragraph.diffusion.lora import blocks

FLUX = [
    *(f"transformer.transformer_blocks.{i}.attn.{layer}" for i in range(19) for layer in ("to_q", "to_out.0")),
    *(f"transformer.single_transformer_blocks.{i}.attn.to_q" for i in range(38)),
    "transformer.x_embedder",
    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
]
UNET = [
    "unet.conv_in",
    *(f"unet.down_blocks.{i}.attentions.{j}.transformer_blocks.0.attn2.to_k" for i in range(3) for j in range(2)),
    "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
    *(f"unet.up_blocks.{i}.resnets.{j}.conv1" for i in range(4) for j in range(3)),
    "text_encoder.text_model.encoder.layers.11.mlp.fc1",
    "text_encoder_2.text_model.encoder.layers.31.mlp.fc1",
]


def changed(text: str, modules: list[str], family: str = "") -> dict[float, list[str]]:
    """The modules of each strength but 1."""
    found: dict[float, list[str]] = {}
    for module, strength in blocks.strengths(text, modules, family).items():
        if strength != 1:
            found.setdefault(strength, []).append(module)
    return found


def test_without_a_text_all_is_1() -> None:
    for text in ("", "  ", " , ;\n"):
        assert blocks.strengths(text, FLUX) == dict.fromkeys(FLUX, 1.0)


def test_ranges_lists_and_globs() -> None:
    found = blocks.strengths("transformer_blocks.0-5=0.5, *.attn.to_q=0; single_transformer_blocks.1=-1.2", FLUX)
    assert found["transformer.transformer_blocks.5.attn.to_out.0"] == 0.5
    assert found["transformer.transformer_blocks.6.attn.to_out.0"] == 1
    assert found["transformer.transformer_blocks.5.attn.to_q"] == 0
    assert found["transformer.single_transformer_blocks.0.attn.to_q"] == 0
    assert found["transformer.single_transformer_blocks.1.attn.to_q"] == -1.2
    assert found["transformer.single_transformer_blocks.11.attn.to_q"] == 0
    assert found["transformer.x_embedder"] == 1


def test_the_last_that_fits_counts() -> None:
    assert changed("unet=0.3\nunet.mid_block=0.7", UNET)[0.7] == [UNET[7]]
    assert changed("unet.mid_block=0.7\nunet=0.3", UNET).keys() == {0.3}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("unet=0", lambda name: name.startswith("unet.")),
        ("text_encoder=0", lambda name: name.startswith("text_encoder.")),
        ("text_encoder_2.text_model=0", lambda name: name.startswith("text_encoder_2")),
        ("text_encoder*=0", lambda name: name.startswith("text_encoder")),
        ("up=0", lambda name: "up_blocks" in name),
        ("unet.up.1=0", lambda name: "up_blocks.1" in name),
        ("up.2-=0", lambda name: "up_blocks.2" in name or "up_blocks.3" in name),
        ("up.0-9.resnets.1-2=0", lambda name: "resnets.1" in name or "resnets.2" in name),
        ("down_blocks.1.attentions.0=0", lambda name: "down_blocks.1.attentions.0" in name),
        ("mid=0", lambda name: "mid_block" in name),
        ("*.attn2=0", lambda name: "attn2" in name),
        ("*conv*=0", lambda name: "conv" in name),
        ("*.attentions.1*.to_k=0", lambda name: "attentions.1" in name),
        ("*.layers.11-31.*=0", lambda name: "text_encoder" in name),
        ("conv_in=0", lambda name: name == "unet.conv_in"),
    ],
)
def test_patterns(text: str, fits: Callable[[str], bool]) -> None:
    assert changed(text, UNET) == {0.0: [name for name in UNET if fits(name)]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("transformer_block=0", r'"transformer_block" fits none of the .* Did you mean "transformer_blocks"\?'),
        ("to_q=0", r'Did you mean "\*\.to_q"\?'),
        ("transformer_blocks.19=0", r"transformer\.transformer_blocks\.0-18"),
        ("double.40-=0", "fits none"),
        ("up=0", "fits none"),
        ("attn.to_q=0", "fits none"),
        ("double", "is not a pattern and a number"),
        ("double=", "is not a pattern and a number"),
        ("=1", "is not a pattern and a number"),
        ("double=half", '"double=half" is not'),
        ("double=nan", "is not a pattern and a number"),
        ("double=single=1", "is not a pattern and a number"),
        ("double.5-3=1", "runs backwards; write 3-5"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        blocks.strengths(text, FLUX)
    assert caught.value.field == "blocks" and caught.value.value == text


def test_a_list_that_the_family_has_may_be_missing_in_this_lora() -> None:
    only_single = [name for name in FLUX if "single" in name]
    assert changed("double=0, transformer.transformer_blocks=0, text_encoder_2=0", only_single, "flux") == {}
    with pytest.raises(SettingError, match="fits none"):
        blocks.strengths("down=0", only_single, "flux")
    with pytest.raises(SettingError, match="fits none"):
        blocks.strengths("double.0-5=0", only_single, "flux")


@settings(max_examples=150, deadline=None)
@given(
    st.text("*.0-9abt_", max_size=24),
    st.floats(-2, 2),
    st.sampled_from(["", "flux"]),
    st.sampled_from([FLUX, UNET, []]),
)
def test_any_text_is_understood_or_refused(pattern: str, value: float, family: str, modules: list[str]) -> None:
    try:
        found = blocks.strengths(f"{pattern}={value}", modules, family)
    except SettingError:
        return
    assert list(found) == modules
    assert set(found.values()) <= {1.0, value}


def test_many_stars_take_no_time() -> None:
    with pytest.raises(SettingError):
        blocks.strengths("*a" * 200 + "*b=0", [f"unet.{'a' * 150}{number}" for number in range(100)])
