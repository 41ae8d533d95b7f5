"""Captions, and the two tiny text encoders with their tokenizers.

CLIP (byte-level BPE, its pooled output steers the modulation) and T5 (unigram, its tokens are attended to) are trained
jointly with the transformer. Both see at most 16 tokens and, as `FluxPipeline` runs them, no padding mask.
"""

import json
import math
import random
from collections import Counter

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

from .subjects import STYLES, SUBJECTS, caption, subject_name

MAX_LENGTH, WIDTH = 16, 128
PLACES = (("top left", "top", "top right"), ("left", "middle", "right"), ("bottom left", "bottom", "bottom right"))
LETTERS, LETTER_SCORE = "▁abcdefghijklmnopqrstuvwxyz0123456789,.-'\"!?", -14.0
EXTRA_WORDS = """
painting drawing photo picture of in on with style ink blueprint sepia riso print neon watercolour watercolor line art
sketch black white red green blue yellow orange purple pink brown grey gray golden dark light big tiny happy sad old
new a an the and
"""


def place_name(y: int, x: int, room: int) -> str:
    """Return the words for a place: `y`, `x` and `room` (the largest offset) in latent cells."""
    return PLACES[min(2, 3 * y // (room + 1))][min(2, 3 * x // (room + 1))]


def single_caption(rng: random.Random, slug: str, style: str, size: str = "", place: str = "") -> str:
    """Return a caption for one emoji, in one of the wordings users type."""
    text = caption(slug, style, size, place)
    draw = rng.random()
    if draw < 0.6:
        return text
    if draw < 0.75:
        return "a " + text
    if draw < 0.9 or style == "noto":
        return f"{text} emoji" if not place else text
    return f"{subject_name(slug)}, {style} style" if not size else text


def corpus() -> list[str]:
    """Return the sentences the tokenizers are trained on."""
    rng = random.Random(0)
    lines = [single_caption(rng, slug, style) for slug in SUBJECTS for style in STYLES]
    lines += [
        caption(slug, size=size, place=place)
        for slug in SUBJECTS
        for size in ("small", "large")
        for row in PLACES
        for place in row
    ]
    return lines + EXTRA_WORDS.split() * 20


def build_tokenizers() -> tuple[CLIPTokenizer, T5Tokenizer]:
    """Train both tokenizers on the caption corpus (a second, deterministic)."""
    lines = corpus()
    # CLIP's own normaliser and pre-tokenizer, so that the trained merges are the ones CLIPTokenizer will apply.
    reference = CLIPTokenizer()
    bpe = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    bpe.normalizer = reference.backend_tokenizer.normalizer
    bpe.pre_tokenizer = reference.backend_tokenizer.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe.train_from_iterator(
        lines,
        trainers.BpeTrainer(
            vocab_size=1600,
            initial_alphabet=alphabet,
            special_tokens=["<|startoftext|>", "<|endoftext|>", *alphabet, *(letter + "</w>" for letter in alphabet)],
            end_of_word_suffix="</w>",
            show_progress=False,
        ),
    )
    trained = json.loads(bpe.to_str())["model"]
    merges = [tuple(merge) for merge in trained["merges"]]
    clip = CLIPTokenizer(vocab=trained["vocab"], merges=merges, model_max_length=MAX_LENGTH)

    # The vocabulary is the captions' words by frequency, and single letters for all others: the unigram trainer
    # prunes the commonest words of so regular a corpus into syllables, which would fill the 16 tokens.
    counts = Counter(word.strip(",") for line in lines for word in line.split())
    total = sum(counts.values())
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [("▁" + word, math.log(count / total)) for word, count in sorted(counts.items())]
    pieces += [(letter, LETTER_SCORE) for letter in LETTERS if (letter, LETTER_SCORE) not in pieces]
    t5 = T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=MAX_LENGTH)
    return clip, t5


def build_encoders(clip_tokenizer: CLIPTokenizer, t5_tokenizer: T5Tokenizer) -> tuple[CLIPTextModel, T5EncoderModel]:
    """Return fresh encoders, two layers and 128 channels each, that fit the tokenizers."""
    clip = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(clip_tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_LENGTH,
            bos_token_id=clip_tokenizer.bos_token_id,
            eos_token_id=clip_tokenizer.eos_token_id,
            pad_token_id=clip_tokenizer.pad_token_id,
        )
    )
    t5 = T5EncoderModel(
        T5Config(
            vocab_size=len(t5_tokenizer),
            d_model=WIDTH,
            d_kv=32,
            d_ff=4 * WIDTH,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=t5_tokenizer.pad_token_id,
            eos_token_id=t5_tokenizer.eos_token_id,
        )
    )
    return clip, t5
