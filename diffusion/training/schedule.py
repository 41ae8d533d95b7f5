"""What each step uses: its learning rate, its samples, its random numbers. Pure functions of the step.

Nothing is carried over from one step to the next, so a run that is resumed at step n is the run that never stopped, and
a preview in between cannot disturb it.
"""

from __future__ import annotations

import hashlib
import math

import torch


def learning_rate(step: int, *, steps: int, warmup: int, highest: float, final: float = 0.0) -> float:
    """Linear warm-up, then half a cosine down to `final` times `highest` (1608.03983). `step` is 0-based."""
    if step < warmup:
        return highest * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - warmup)
    return highest * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def generator(seed: int, purpose: str, number: int) -> torch.Generator:
    """Return a fresh CPU generator for one purpose at one step; other steps and purposes are unrelated."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class Order:
    """Which samples a step takes: every sample once per epoch, in a new seeded order each; batches run across epochs.

    Order(count=10, batch=4, seed=0).batch(step) -> LongTensor [4]
    """

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self.count, self.size, self.seed = count, batch, seed
        self._epochs: dict[int, torch.Tensor] = {}

    def batch(self, step: int) -> torch.Tensor:
        """Return the sample numbers of the 0-based step."""
        first = step * self.size
        return torch.stack([self._epoch(at // self.count)[at % self.count] for at in range(first, first + self.size)])

    def _epoch(self, number: int) -> torch.Tensor:
        if number not in self._epochs:
            if len(self._epochs) > 1 + self.size // self.count:
                del self._epochs[min(self._epochs)]
            self._epochs[number] = torch.randperm(self.count, generator=generator(self.seed, "order", number))
        return self._epochs[number]
