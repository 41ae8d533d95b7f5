"""The settings of a training run. No torch here: they are checked before anything is loaded."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from ..errors import SettingError, nearest

TIMESTEP_SAMPLING = ("logit_normal", "uniform", "shifted")
MIXED_PRECISION = ("no", "bf16")


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults suit a small model; for FLUX.1 a learning rate of 1e-4 is usual.

    rank, alpha: the change is alpha / rank * B A. targets: a group of the family ("default", "attention",
    "feed_forward", "all") or glob patterns over module names. learning_rate: the highest, reached after `warmup` steps,
    falling as a cosine to `final_rate` times itself. gradient_clip: largest norm, 0 for none. caption_dropout: chance
    that a sample's caption is left empty. timestep_sampling: see `Flux.sample_times`. checkpoint_every, preview_every:
    in steps, 0 for never. width, height: pixels, 0 for the model's own. guidance: fed to models with embedded guidance.
    """

    rank: int = 8
    alpha: float = 8.0
    targets: tuple[str, ...] = ("default",)
    steps: int = 300
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup: int = 10
    final_rate: float = 0.0
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    caption_dropout: float = 0.05
    timestep_sampling: str = "logit_normal"
    seed: int = 0
    width: int = 0
    height: int = 0
    checkpoint_every: int = 50
    preview_every: int = 0
    preview_prompts: tuple[str, ...] = ()
    preview_steps: int = 0
    mixed_precision: str = "no"
    gradient_checkpointing: bool = False
    guidance: float = 1.0

    def check(self) -> None:
        """Raise SettingError for the first value that makes no sense."""
        at_least_one = ("rank", "steps", "batch_size")
        at_least_zero = ("warmup", "checkpoint_every", "preview_every", "preview_steps", "width", "height", "seed")
        for name in at_least_one + at_least_zero:
            value, low = getattr(self, name), int(name in at_least_one)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise SettingError(name, value, f"use a whole number of at least {low}.")
        for name in ("alpha", "learning_rate", "final_rate", "weight_decay", "gradient_clip", "caption_dropout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise SettingError(name, value, "use a number of at least 0.")
        if self.alpha == 0 or self.learning_rate == 0:
            name = "alpha" if self.alpha == 0 else "learning_rate"
            raise SettingError(name, 0, "with 0 nothing would be learned; use a positive number.")
        for name in ("caption_dropout", "final_rate"):
            if getattr(self, name) > 1:
                raise SettingError(name, getattr(self, name), "use a share from 0 to 1.")
        for name, known in (("timestep_sampling", TIMESTEP_SAMPLING), ("mixed_precision", MIXED_PRECISION)):
            value = getattr(self, name)
            if value not in known:
                raise SettingError(name, value, f"use one of {', '.join(known)}.{nearest(str(value), known)}")
        if not self.targets or not all(isinstance(target, str) and target for target in self.targets):
            raise SettingError("targets", self.targets, "name at least one group or pattern of modules.")
        if self.preview_every and not self.preview_prompts:
            raise SettingError("preview_prompts", self.preview_prompts, "give a prompt, or set preview_every to 0.")
        if self.seed >= 2**62:  # previews count on from it
            raise SettingError("seed", self.seed, "use a whole number below 2**62.")

    def learned(self) -> dict[str, object]:
        """Return the settings that the weights depend on: all but previews and checkpoints."""
        about_watching = ("checkpoint_every", "preview_every", "preview_prompts", "preview_steps")
        return {name: value for name, value in asdict(self).items() if name not in about_watching}
