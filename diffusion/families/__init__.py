"""Families of base models. A family is one file that says what differs between base models, and nothing else.

    name = families.detect(folder)            # "flux", from model_index.json alone; no torch
    family = families.get(name)               # the module's Family object; imports torch and diffusers
    pipeline = family.load_pipeline(folder, dtype="float32", device="cpu")

`Family` below is the whole list of what a family must answer. Shapes: [batch, tokens, channels] for packed latents.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import ModelError, few, nearest
from . import card as card
from .card import Card

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

# pipeline class in model_index.json -> module of this package
PIPELINES = {"FluxPipeline": "flux"}


class Conditioning(NamedTuple):
    """What a prompt becomes. tokens: [prompts, length, width]; pooled: [prompts, width]."""

    tokens: torch.Tensor
    pooled: torch.Tensor


class Family(Protocol):
    """What differs between base models."""

    name: str
    default_card: Card
    component: str  # the pipeline component that adapters go into; also the prefix of its keys in a LoRA file
    groups: Mapping[str, tuple[str, ...]]  # named sets of adapter targets, as glob patterns over module names

    def load_pipeline(self, path: str | Path, dtype: str = "float32", device: str = "cpu") -> Any:
        """Load a frozen pipeline in evaluation mode. dtype: float32, float16 or bfloat16."""

    def card(self, pipeline: Any) -> Card:
        """Return the card of the folder that the pipeline came from."""

    def size_multiple(self, pipeline: Any) -> int:
        """Return the number of pixels that width and height must be multiples of."""

    def encode_images(self, pipeline: Any, pixels: torch.Tensor) -> torch.Tensor:
        """[batch, 3, height, width] in -1..1 -> normalised packed latents [batch, tokens, channels]."""

    def decode_latents(self, pipeline: Any, latents: torch.Tensor, width: int, height: int) -> list[Image]:
        """Packed latents -> pictures."""

    def encode_prompts(self, pipeline: Any, prompts: Sequence[str], max_length: int) -> Conditioning:
        """Return the conditioning of each prompt."""

    def sample_times(self, pipeline: Any, normal: torch.Tensor, how: str, tokens: int) -> torch.Tensor:
        """Standard normal draws [batch] -> noise levels in (0, 1), 1 being pure noise."""

    def predictor(self, pipeline: Any, width: int, height: int, guidance: float) -> Callable[..., torch.Tensor]:
        """Return f(noisy latents, times, conditioning) -> prediction, for training at one picture size."""

    def target(self, latents: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return what the prediction should be."""

    def draw(self, pipeline: Any, prompts: Sequence[str], **settings: Any) -> list[Image]:
        """Sample one batch with the adapters as they are; see `loragraph.diffusion.sampling`."""


def detect(folder: str | Path) -> str:
    """Return the family name of a pipeline folder.

    Raises:
        ModelError: no folder, no model_index.json, or a pipeline class that no family handles.
    """
    root = Path(folder)
    index = root / "model_index.json"
    if not root.exists():
        raise ModelError(f"There is no base model at {root}. Check the path.")
    if not index.is_file():
        raise ModelError(
            f"{root} is not a diffusers pipeline folder: it has no model_index.json."
            + (
                " It is a single file; convert it to a folder first."
                if root.is_file()
                else " Choose the folder with it."
            )
        )
    try:
        described = json.loads(index.read_text(encoding="utf-8"))
        found = described.get("_class_name") if isinstance(described, dict) else None
    except (ValueError, OSError) as error:
        raise ModelError(f"{index} cannot be read: {error}. Download the model again.") from error
    if found not in PIPELINES:
        raise ModelError(
            f"{root} holds a {found}, and no family here handles that. Known: {few(sorted(PIPELINES), 12)}."
            + nearest(str(found), PIPELINES)
        )
    return PIPELINES[found]


def get(name: str) -> Family:
    """Return the family of that name; imports torch.

    Raises:
        ModelError: no such family.
    """
    if name not in PIPELINES.values():
        raise ModelError(f"There is no model family {name!r}. Known: {few(sorted(set(PIPELINES.values())), 12)}.")
    family: Family = importlib.import_module(f".{name}", __name__).FAMILY
    return family


def of(pipeline: Any) -> Family:
    """Return the family of a loaded pipeline.

    Raises:
        ModelError: no family handles its class.
    """
    for kind in type(pipeline).__mro__:
        if kind.__name__ in PIPELINES:
            return get(PIPELINES[kind.__name__])
    raise ModelError(f"No family here handles a {type(pipeline).__name__}. Known: {few(sorted(PIPELINES), 12)}.")
