"""The published models by their configurations (from their repositories' config.json), built without memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

UNET = {
    "sd1": {"cross_attention_dim": 768},
    "sd2": {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
    "sdxl": {
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": (1, 2, 10),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
# model -> (family, diffusers class, configuration); what is not given is the class's default
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "SD 1.5": ("sd1", "UNet2DConditionModel", UNET["sd1"]),
    "SD 2.1": ("sd2", "UNet2DConditionModel", UNET["sd2"]),
    "SDXL": ("sdxl", "UNet2DConditionModel", UNET["sdxl"]),
    "SD3": (
        "sd3",
        "SD3Transformer2DModel",
        {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536},
    ),
    "SD3.5 medium": (
        "sd3",
        "SD3Transformer2DModel",
        {
            "num_layers": 24,
            "num_attention_heads": 24,
            "caption_projection_dim": 1536,
            "dual_attention_layers": tuple(range(13)),
            "qk_norm": "rms_norm",
        },
    ),
    "SD3.5 large": (
        "sd3",
        "SD3Transformer2DModel",
        {"num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432, "qk_norm": "rms_norm"},
    ),
    "FLUX.1 dev": ("flux", "FluxTransformer2DModel", {"guidance_embeds": True}),
    "FLUX.1 schnell": ("flux", "FluxTransformer2DModel", {}),
    "Qwen-Image": ("qwen-image", "QwenImageTransformer2DModel", {}),
    "Qwen-Image-Layered": ("qwen-image", "QwenImageTransformer2DModel", {"use_additional_t_cond": True}),
    "CogVideoX-2B": ("cogvideox", "CogVideoXTransformer3DModel", {}),
    "CogVideoX-5B": (
        "cogvideox",
        "CogVideoXTransformer3DModel",
        {"num_layers": 42, "num_attention_heads": 48, "use_rotary_positional_embeddings": True},
    ),
    "CogVideoX1.5-5B-I2V": (
        "cogvideox",
        "CogVideoXTransformer3DModel",
        {
            "num_layers": 42,
            "num_attention_heads": 48,
            "in_channels": 32,
            "patch_size_t": 2,
            "ofs_embed_dim": 512,
            "patch_bias": False,
            "use_rotary_positional_embeddings": True,
        },
    ),
    "Wan 2.1 1.3B": (
        "wan",
        "WanTransformer3DModel",
        {"num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960},
    ),
    "Wan 2.1 14B": ("wan", "WanTransformer3DModel", {}),
    "Wan 2.1 14B I2V": (
        "wan",
        "WanTransformer3DModel",
        {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120},
    ),
    "Wan 2.2 5B": (
        "wan",
        "WanTransformer3DModel",
        {"num_attention_heads": 24, "num_layers": 30, "ffn_dim": 14336, "in_channels": 48, "out_channels": 48},
    ),
    "Wan 2.1 14B VACE": ("wan", "WanVACETransformer3DModel", {"vace_layers": list(range(0, 40, 5))}),
}


def build(model: str, **changes: Any) -> nn.Module:
    """Return the model on the meta device; `changes` to its configuration make it smaller."""
    import diffusers

    _, name, config = MODELS[model]
    make: Callable[..., nn.Module] = getattr(diffusers, name)
    with torch.device("meta"):
        return make(**{**config, **changes})


@cache
def shapes(model: str) -> dict[str, tuple[int, ...]]:
    """Return {module: shape of its weight} of every module that has one."""
    return {
        name.removesuffix(".weight"): tuple(value.shape)
        for name, value in build(model).named_parameters()
        if name.endswith(".weight")
    }
