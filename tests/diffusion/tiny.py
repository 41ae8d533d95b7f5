"""A tiny but real FLUX pipeline for tests: every component is the stock class, only small and untrained.

    build_tiny_flux(folder)  ->  folder/{model_index.json, loragraph.json, transformer/, vae/, text_encoder/, ...}

The shape follows the embedded model: 64 x 64 pixels, a VAE of stride 4 with 8 channels and no quant convolutions,
16 x 16 latents packed 2 x 2 into 64 tokens of 32 channels, texts of 16 tokens. Nothing is downloaded; the tokenizers
are trained on a handful of words. Two calls with the same seed write the same weights.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

# fmt: off
WORDS = [
    "a", "an", "and", "the", "red", "blue", "green", "apple", "cat", "dog", "fish", "house", "tree", "sun", "star",
    "in", "riso", "style", "small", "left", "right",
]
# fmt: on
MAX_LENGTH = 16
CARD = {
    "title": "Tiny FLUX",
    "width": 64,
    "height": 64,
    "max_sequence_length": MAX_LENGTH,
    "true_cfg_scale": 3.0,
    "steps": 4,
    "negative_prompt": "",
}


def clip_tokenizer():  # type: ignore[no-untyped-def]  # transformers is imported late: collecting tests stays quick
    """A CLIPTokenizer whose vocabulary is bytes plus the BPE merges of WORDS."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        show_progress=False,
    )
    bpe.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    learned = json.loads(bpe.to_str())["model"]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in learned["merges"]]
    return CLIPTokenizer(vocab=learned["vocab"], merges=merges, model_max_length=MAX_LENGTH)


def t5_tokenizer():  # type: ignore[no-untyped-def]
    """A T5Tokenizer (unigram) with one piece per word of WORDS and single letters for the rest."""
    from transformers import T5Tokenizer

    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.-'"
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    pieces += [("▁" + word, -1.0) for word in dict.fromkeys(WORDS)]
    pieces += [(letter, -4.0) for letter in letters]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=MAX_LENGTH)


def build_tiny_flux(folder: str | os.PathLike[str], *, seed: int = 0, heads: int = 2) -> Path:
    """Write the pipeline to `folder` (created) and return it; `heads` other than 2 gives another width, for misfits."""
    import torch
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, second = clip_tokenizer(), t5_tokenizer()
        transformer = FluxTransformer2DModel(
            patch_size=1,
            in_channels=32,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=heads,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            guidance_embeds=False,
            axes_dims_rope=(4, 6, 6),
        )
        vae = AutoencoderKL(
            in_channels=3,
            out_channels=3,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(8, 16, 16),
            layers_per_block=1,
            latent_channels=8,
            norm_num_groups=4,
            sample_size=64,
            shift_factor=-0.3,
            scaling_factor=0.5,
            use_quant_conv=False,
            use_post_quant_conv=False,
            mid_block_add_attention=False,
        )
        clip = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(first),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=MAX_LENGTH,
                projection_dim=32,
                bos_token_id=first.bos_token_id,
                eos_token_id=first.eos_token_id,
                pad_token_id=first.pad_token_id,
            )
        )
        t5 = T5EncoderModel(
            T5Config(vocab_size=len(second), d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2, dropout_rate=0.0)
        )
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=vae.eval(),
        text_encoder=clip.eval(),
        tokenizer=first,
        text_encoder_2=t5.eval(),
        tokenizer_2=second,
        transformer=transformer.eval(),
    )
    pipeline.save_pretrained(folder)
    (Path(folder) / "loragraph.json").write_text(json.dumps(CARD, indent=2), encoding="utf-8")
    return Path(folder)


def write_pictures(folder: str | os.PathLike[str], count: int = 4) -> list[tuple[Path, str]]:
    """Write `count` coloured 64 x 64 PNG tiles with .txt captions; returns (picture, caption) pairs."""
    from PIL import Image, ImageDraw

    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    made = []
    for index in range(count):
        picture = Image.new("RGB", (64, 64), (255, 255, 255))
        box = (8 + 2 * index, 8, 40 + 4 * (index % 4), 56)
        ImageDraw.Draw(picture).ellipse(box, fill=(40 * index % 256, 200 - 30 * index % 200, 90))
        caption = f"a {WORDS[5 + index % 9]} in riso style"
        path = root / f"{index:02d}.png"
        picture.save(path)
        path.with_suffix(".txt").write_text(caption, encoding="utf-8")
        made.append((path, caption))
    return made
