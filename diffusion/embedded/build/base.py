"""Train the transformer and both text encoders jointly, by flow matching on composed canvases.

x_t = (1 - t) x_0 + t noise with t = sigmoid(N(0, 1)); the target is the velocity noise - x_0. Hidden matrices are
updated by Muon (their updates orthogonalised), which learns rare captions in far fewer steps than AdamW; everything
else by AdamW. The learning rate is constant and falls linearly over the last 30 % of the steps, so that a run can be
lengthened.
"""

import random
import time
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

import torch
from diffusers import FluxTransformer2DModel
from torch import nn
from torch.nn import functional as F

from .latents import compose
from .speed import autocast, log
from .text import MAX_LENGTH, WIDTH, build_encoders, build_tokenizers

BATCH, RATE, MUON_RATE, WARMUP, DECAY_SHARE = 48, 1e-3, 2e-3, 200, 0.3
EMA_EVERY, EMA_DECAY = 4, 0.997
EMPTY_CAPTION, EMPTY_CLIP = 0.1, 0.25
TRANSFORMER = {
    "patch_size": 1,
    "in_channels": 32,
    "num_layers": 2,
    "num_single_layers": 4,
    "attention_head_dim": 64,
    "num_attention_heads": 4,
    "joint_attention_dim": WIDTH,
    "pooled_projection_dim": WIDTH,
    "guidance_embeds": False,
    "axes_dims_rope": (8, 28, 28),
}


class TextToImage(nn.Module):
    """The three trained models under one roof, so that one state dict and one EMA cover them."""

    def __init__(self) -> None:
        super().__init__()
        self.clip_tokenizer, self.t5_tokenizer = build_tokenizers()
        self.clip, self.t5 = build_encoders(self.clip_tokenizer, self.t5_tokenizer)
        self.transformer = FluxTransformer2DModel(**TRANSFORMER)
        blocks = [*self.transformer.transformer_blocks, *self.transformer.single_transformer_blocks]
        norms = [m for block in blocks for m in block.modules() if type(m).__name__.startswith("AdaLayerNorm")]
        for layer in [*(norm.linear for norm in norms), self.transformer.norm_out.linear, self.transformer.proj_out]:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
        ids = torch.stack([torch.zeros(64), rows.flatten(), columns.flatten()], dim=1)
        self.register_buffer("image_ids", ids, persistent=False)
        self.register_buffer("text_ids", torch.zeros(MAX_LENGTH, 3), persistent=False)

    @lru_cache(maxsize=200_000)  # noqa: B019 - one model lives as long as the process
    def token_ids(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the padded CLIP and T5 token ids of one caption, `[16]` each."""
        options = {"padding": "max_length", "max_length": MAX_LENGTH, "truncation": True, "return_tensors": "pt"}
        return self.clip_tokenizer(text, **options).input_ids[0], self.t5_tokenizer(text, **options).input_ids[0]

    def condition(self, clip_texts: list[str], t5_texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return pooled CLIP `[batch, 128]` and T5 tokens `[batch, 16, 128]`."""
        clip_ids = torch.stack([self.token_ids(text)[0] for text in clip_texts])
        t5_ids = torch.stack([self.token_ids(text)[1] for text in t5_texts])
        return self.clip(clip_ids).pooler_output, self.t5(t5_ids)[0]


def pack(latents: torch.Tensor) -> torch.Tensor:
    """`[batch, 8, 16, 16]` -> `[batch, 64, 32]`, in FluxPipeline's order."""
    batch, channels, height, width = latents.shape
    cells = latents.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return cells.reshape(batch, height * width // 4, channels * 4)


def plain_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: object) -> torch.Tensor:
    """Unmasked attention as two matrix products; `[batch, heads, tokens, channels]`.

    The fused kernel's backward pass on CPU took half of a training step; for 80 tokens this is many times quicker.
    """
    if options.get("attn_mask") is not None or options.get("is_causal"):
        raise ValueError("plain_attention has no mask")
    weights = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return weights.softmax(-1).to(value.dtype) @ value


def optimizers(model: TextToImage) -> list[tuple[torch.optim.Optimizer, float]]:
    """Return (optimizer, peak rate) pairs: Muon for the blocks' attention and feed-forward matrices, AdamW for the
    rest."""
    hidden, rest = [], []
    for name, parameter in model.named_parameters():
        modulation = "norm" in name or "embed" in name
        is_hidden = (
            parameter.ndim == 2 and not modulation and ("blocks" in name or "layers" in name or ".block." in name)
        )
        (hidden if is_hidden else rest).append(parameter)
    return [
        (torch.optim.Muon(hidden, lr=MUON_RATE, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"), MUON_RATE),
        (torch.optim.AdamW(rest, lr=RATE, betas=(0.9, 0.99), weight_decay=0.0, fused=True), RATE),
    ]


def train_base(work: Path, steps: int, compile_model: bool = True) -> None:
    """Train for `steps` steps in all, resuming from `base.pt`; interrupting it loses at most 200 steps."""
    torch.manual_seed(0)
    latents = torch.load(work / "latents.pt", weights_only=True)
    model = TextToImage()
    pairs = optimizers(model)
    average = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    first = 0
    if (work / "base.pt").exists():
        state = torch.load(work / "base.pt", weights_only=True)
        model.load_state_dict(state["model"])
        average = state["average"]
        for (optimizer, _), saved in zip(pairs, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first = state["step"]
    rng = random.Random(first + 1)
    generator = torch.Generator().manual_seed(first + 1)
    transformer = torch.compile(model.transformer) if compile_model else model.transformer
    parameters = dict(model.named_parameters())
    losses: dict[str, list[float]] = defaultdict(list)
    started, wall = time.process_time(), time.time()
    for step in range(first, steps):
        factor = min(1.0, (step + 1) / WARMUP, max(0.03, (steps - step) / (DECAY_SHARE * steps)))
        for optimizer, peak in pairs:
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
        examples = [compose(latents, rng) for _ in range(BATCH)]
        texts = ["" if rng.random() < EMPTY_CAPTION else text for _, text, _ in examples]
        clip_texts = ["" if rng.random() < EMPTY_CLIP else text for text in texts]
        clean = pack(torch.stack([canvas for canvas, _, _ in examples]))
        noise = torch.randn(clean.shape, generator=generator)
        t = torch.sigmoid(torch.randn(BATCH, generator=generator))
        noisy = torch.lerp(clean, noise, t[:, None, None])
        with autocast():
            pooled, tokens = model.condition(clip_texts, texts)
            with patch.object(F, "scaled_dot_product_attention", plain_attention):
                velocity = transformer(
                    hidden_states=noisy,
                    encoder_hidden_states=tokens,
                    pooled_projections=pooled,
                    timestep=t,
                    img_ids=model.image_ids,
                    txt_ids=model.text_ids,
                    return_dict=False,
                )[0]
        per_example = (velocity.float() - (noise - clean)).pow(2).mean((1, 2))
        per_example.mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, _ in pairs:
            optimizer.step()
            optimizer.zero_grad()
        for (_, _, kind), value in zip(examples, per_example.tolist(), strict=True):
            losses[kind].append(value)
        if (step + 1) % EMA_EVERY == 0:
            decay = min(EMA_DECAY, (step + 1) / (step + 100))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.values()), [parameters[name].data for name in average], 1 - decay)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            means = {kind: round(sum(values) / len(values), 4) for kind, values in sorted(losses.items())}
            log(
                work,
                "base",
                step=step + 1,
                **means,
                cpu=round(time.process_time() - started),
                wall=round(time.time() - wall),
            )
            losses.clear()
        if (step + 1) % 200 == 0 or step + 1 == steps:
            state = {"model": model.state_dict(), "average": average, "step": step + 1}
            state["optimizers"] = [optimizer.state_dict() for optimizer, _ in pairs]
            torch.save(state, work / "base.tmp")
            (work / "base.tmp").replace(work / "base.pt")
