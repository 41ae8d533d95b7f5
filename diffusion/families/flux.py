"""FLUX.1 and models of its architecture (the embedded emoji model among them).

Rectified flow: x_t = (1 - t) x0 + t n, the model predicts the velocity n - x0 (Liu et al. 2209.03003; Esser et al.
2403.03206). Latents are packed 2 x 2: [batch, c, h, w] -> [batch, (h/2)(w/2), 4c]. Two texts: CLIP's pooled vector and
T5's tokens. Sampling is FluxPipeline itself, so that a stock diffusers user gets the same pixels for the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import FluxPipeline
from PIL.Image import Image

from ..errors import ModelError, SettingError, few, nearest
from ..quiet import quiet_advice, quiet_loading
from . import Conditioning
from . import card as cards
from .card import Card

ATTENTION = (
    "transformer_blocks.*.attn.to_q",
    "transformer_blocks.*.attn.to_k",
    "transformer_blocks.*.attn.to_v",
    "transformer_blocks.*.attn.to_out.0",
    "transformer_blocks.*.attn.add_q_proj",
    "transformer_blocks.*.attn.add_k_proj",
    "transformer_blocks.*.attn.add_v_proj",
    "transformer_blocks.*.attn.to_add_out",
    "single_transformer_blocks.*.attn.to_q",
    "single_transformer_blocks.*.attn.to_k",
    "single_transformer_blocks.*.attn.to_v",
)
FEED_FORWARD = (
    "transformer_blocks.*.ff.net.0.proj",
    "transformer_blocks.*.ff.net.2",
    "transformer_blocks.*.ff_context.net.0.proj",
    "transformer_blocks.*.ff_context.net.2",
    "single_transformer_blocks.*.proj_mlp",
    "single_transformer_blocks.*.proj_out",
)
MODULATION = (
    "transformer_blocks.*.norm1.linear",
    "transformer_blocks.*.norm1_context.linear",
    "single_transformer_blocks.*.norm.linear",
)
VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Flux:
    """See `Family` for what each method promises."""

    name = "flux"
    default_card = Card()
    component = "transformer"
    groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "default": ATTENTION + FEED_FORWARD,
        "attention": ATTENTION,
        "feed_forward": FEED_FORWARD,
        "all": ATTENTION + FEED_FORWARD + MODULATION,
    }

    def load_pipeline(self, path: str | Path, dtype: str = "float32", device: str = "cpu") -> FluxPipeline:
        """Load the folder, frozen and in evaluation mode.

        Raises:
            SettingError: unknown dtype. ModelError: the folder is incomplete or a weight file is broken.
        """
        if dtype not in DTYPES:
            raise SettingError("dtype", dtype, f"use one of {', '.join(DTYPES)}.{nearest(dtype, DTYPES)}")
        _check_tokenizers(Path(path))
        try:
            quiet_advice()
            with quiet_loading():
                pipeline = FluxPipeline.from_pretrained(
                    str(path), dtype=DTYPES[dtype], local_files_only=True, use_safetensors=True
                )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"The base model in {path} cannot be loaded: {error}") from error
        except Exception as error:  # safetensors raises its own SafetensorError, a plain Exception
            if type(error).__name__ != "SafetensorError":
                raise
            raise ModelError(f"A weight file of the base model in {path} is broken: {error}") from error
        _check_complete(pipeline, path)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.to(device)
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.requires_grad_(False).eval()
        return pipeline

    def card(self, pipeline: FluxPipeline) -> Card:
        """Return the card of the folder that the pipeline came from."""
        folder = pipeline.config.get("_name_or_path") or ""
        return cards.load(folder, self.default_card)

    def size_multiple(self, pipeline: FluxPipeline) -> int:
        """VAE stride times the 2 x 2 packing."""
        return int(pipeline.vae_scale_factor) * 2

    @torch.no_grad()
    def encode_images(self, pipeline: FluxPipeline, pixels: torch.Tensor) -> torch.Tensor:
        """The mean of the VAE's posterior, not a draw: the same picture always gives the same latents."""
        vae = pipeline.vae
        latents = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mode()
        return pack((latents - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor)

    @torch.no_grad()
    def decode_latents(self, pipeline: FluxPipeline, latents: torch.Tensor, width: int, height: int) -> list[Image]:
        """[batch, tokens, channels] -> pictures of width x height pixels."""
        vae = pipeline.vae
        stride = self.size_multiple(pipeline)
        spread = unpack(latents, height // stride, width // stride)
        spread = spread / vae.config.scaling_factor + (vae.config.shift_factor or 0.0)
        decoded = vae.decode(spread.to(vae.device, vae.dtype), return_dict=False)[0]
        pictures: list[Image] = pipeline.image_processor.postprocess(decoded, output_type="pil")
        return pictures

    @torch.no_grad()
    def encode_prompts(self, pipeline: FluxPipeline, prompts: Sequence[str], max_length: int) -> Conditioning:
        """tokens: T5's last hidden state [prompts, max_length, width]; pooled: CLIP's [prompts, width]."""
        tokens, pooled, _ = pipeline.encode_prompt(
            prompt=[_utf8(prompt) for prompt in prompts],
            prompt_2=None,
            max_sequence_length=max_length,
            device=pipeline.transformer.device,
        )
        return Conditioning(tokens, pooled)

    def sample_times(self, pipeline: FluxPipeline, normal: torch.Tensor, how: str, tokens: int) -> torch.Tensor:
        """Noise levels from standard normal draws.

        logit_normal: sigmoid(z) (2403.03206, section 3.1). uniform: the normal's distribution function.
        shifted: logit_normal moved towards noise by the scheduler's own shift, as sampling does at this token count.
        """
        if how == "uniform":
            return (0.5 * (1 + torch.erf(normal / math.sqrt(2)))).clamp(1e-4, 1.0)
        if how == "logit_normal":
            return torch.sigmoid(normal)
        if how == "shifted":
            config = pipeline.scheduler.config
            shift = math.exp(_dynamic_shift(config, tokens)) if config.use_dynamic_shifting else config.shift
            times = torch.sigmoid(normal)
            return shift * times / (1 + (shift - 1) * times)
        known = ("logit_normal", "uniform", "shifted")
        raise SettingError("timestep_sampling", how, f"use one of {', '.join(known)}.{nearest(how, known)}")

    def predictor(
        self, pipeline: FluxPipeline, width: int, height: int, guidance: float
    ) -> Callable[[torch.Tensor, torch.Tensor, Conditioning], torch.Tensor]:
        """Everything that does not change from step to step is made here, once."""
        transformer = pipeline.transformer
        stride = self.size_multiple(pipeline)
        image_ids = grid_ids(height // stride, width // stride).to(transformer.device, transformer.dtype)
        text_ids: dict[int, torch.Tensor] = {}

        def predict(noisy: torch.Tensor, times: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
            length = conditioning.tokens.shape[1]
            if length not in text_ids:
                text_ids[length] = image_ids.new_zeros(length, 3)
            strength = None
            if transformer.config.guidance_embeds:
                strength = torch.full((len(noisy),), guidance, device=noisy.device, dtype=torch.float32)
            predicted: torch.Tensor = transformer(
                hidden_states=noisy.to(transformer.dtype),
                timestep=times.to(transformer.dtype),
                guidance=strength,
                pooled_projections=conditioning.pooled,
                encoder_hidden_states=conditioning.tokens,
                txt_ids=text_ids[length],
                img_ids=image_ids,
                return_dict=False,
            )[0]
            return predicted

        return predict

    def target(self, latents: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """The velocity of the straight path from picture to noise."""
        return noise - latents

    def draw(
        self,
        pipeline: FluxPipeline,
        prompts: Sequence[str],
        *,
        seeds: Sequence[int],
        steps: int,
        guidance: float | None,
        width: int,
        height: int,
        negative: str | None,
        on_step: Callable[[int, torch.Tensor], None] | None = None,
    ) -> list[Image]:
        """Sample one batch. `guidance` is true CFG, or FLUX.1-dev's embedded guidance where the model has that."""
        card = self.card(pipeline)
        distilled = pipeline.transformer.config.guidance_embeds
        true_cfg = card.true_cfg_scale if distilled or guidance is None else guidance
        negative = card.negative_prompt if negative is None else negative
        if true_cfg > 1 and negative is None:
            negative = ""  # FluxPipeline ignores true_cfg_scale without a negative prompt

        def report(_: Any, step: int, __: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            if on_step is not None:
                on_step(step + 1, tensors["latents"])
            return {}

        result = pipeline(
            prompt=[_utf8(prompt) for prompt in prompts],
            negative_prompt=[_utf8(negative or "")] * len(prompts) if true_cfg > 1 else None,
            true_cfg_scale=true_cfg,
            guidance_scale=card.guidance_scale if guidance is None or not distilled else guidance,
            width=width,
            height=height,
            num_inference_steps=steps,
            max_sequence_length=card.max_sequence_length,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            callback_on_step_end=report,
        )
        pictures: list[Image] = result.images
        return pictures


def pack(latents: torch.Tensor) -> torch.Tensor:
    """[batch, c, 2h, 2w] -> [batch, h w, 4c], the order of FluxPipeline."""
    batch, channels, height, width = latents.shape
    split = latents.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(batch, (height // 2) * (width // 2), channels * 4)


def unpack(latents: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """[batch, rows columns, 4c] -> [batch, c, 2 rows, 2 columns]."""
    batch, _, channels = latents.shape
    split = latents.reshape(batch, rows, columns, channels // 4, 2, 2)
    return split.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels // 4, rows * 2, columns * 2)


def grid_ids(rows: int, columns: int) -> torch.Tensor:
    """Positions of the image tokens for RoPE: [rows columns, 3] holding (0, row, column)."""
    ids = torch.zeros(rows, columns, 3)
    ids[..., 1] = torch.arange(rows)[:, None]
    ids[..., 2] = torch.arange(columns)[None, :]
    return ids.reshape(rows * columns, 3)


def _utf8(prompt: str) -> str:
    """Replace what no tokenizer takes: lone surrogates, such as Python makes of a file name in another encoding."""
    return prompt.encode("utf-8", "replace").decode("utf-8")


def _check_tokenizers(folder: Path) -> None:
    """Raise ModelError for a tokenizer without a vocabulary: transformers would make one that knows no words."""
    for name in ("tokenizer", "tokenizer_2"):
        if folder.is_dir() and not any((folder / name / file).is_file() for file in VOCABULARIES):
            raise ModelError(
                f"The base model in {folder} cannot be loaded: {name} has no vocabulary ({' or '.join(VOCABULARIES)}). "
                "Download the model again."
            )


def _check_complete(pipeline: FluxPipeline, path: str | Path) -> None:
    """Raise ModelError for weights that no file had: diffusers leaves them without data."""
    for part, model in pipeline.components.items():
        if isinstance(model, torch.nn.Module):
            missing = [name for name, value in model.named_parameters() if value.is_meta]
            if missing:
                raise ModelError(
                    f"The base model in {path} is incomplete: {part} lacks {few(missing)}. Download it again."
                )


def _dynamic_shift(config: Any, tokens: int) -> float:
    """FLUX's log shift, linear in the number of image tokens (scheduler config; 256 -> 0.5, 4096 -> 1.15)."""
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    base, most = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    return float(base + (tokens - low) * (most - base) / (high - low))


FAMILY = Flux()
