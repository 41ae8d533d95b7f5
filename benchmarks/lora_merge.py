"""Merging two LoRAs into one of a given rank, against PEFT's `add_weighted_adapter`.

    python -m loragraph.benchmarks.lora_merge [--sizes 1280 3072] [--rank 32] [--rounds 50] [--threads 1]

One square layer of each size, two random LoRAs of the rank, strengths 0.7 and -0.3, merged back to that rank:

    svd         ours by QR of the small factors; PEFT's "svd" by the SVD of the dense change
    ties        ours in the space that the changes span; PEFT's "ties_svd" on the dense change
    ties apart  the same of ours, against PEFT's "ties", which trims A and B apart

CPU seconds of the process, the least of the rounds (for PEFT's dense ways of three; of one at sizes above 2000, where
they take ten seconds), are what the ratio is of. `loss` is |result - sum| / |sum| in fp64, `least` the least possible
at that rank (Eckart-Young), "above" what is lost beyond it. For ties that says how far the result is from the plain
sum, which is the nature of the method and no error.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from loragraph.diffusion.lora import core
from loragraph.diffusion.lora.core import Factors
from loragraph.diffusion.lora.merge import merge
from loragraph.diffusion.lora.model import Lora, plain

STRENGTHS = (0.7, -0.3)
WAYS = {"svd": "svd", "ties": "ties_svd", "ties apart": "ties"}
DENSE_IS_SLOW = 2000
NAME = "transformer.layer"


class Row(NamedTuple):
    """What one way took and gave: CPU seconds of ours and PEFT's, distances from the sum by the sum's norm."""

    way: str
    size: int
    ours: float
    peft: float
    our_loss: float
    peft_loss: float
    least: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.peft / self.ours


def main() -> None:
    """Parse the command line and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1280, 3072])
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(table(measure(asked.sizes, asked.rank, asked.rounds)))


def measure(
    sizes: Sequence[int] = (1280, 3072), rank: int = 32, rounds: int = 50, ways: Sequence[str] = tuple(WAYS)
) -> list[Row]:
    """Return a row for each size and way."""
    return [_measured(way, size, rank, rounds) for size in sizes for way in ways]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text."""
    lines = [
        f"{'way':12}{'layer':>12}{'PEFT ms':>12}{'ours ms':>10}{'ratio':>9}"
        f"{'PEFT loss':>12}{'our loss':>12}{'least':>12}{'PEFT above':>12}{'ours above':>12}"
    ]
    for row in rows:
        lines.append(
            f"{row.way:12}{f'{row.size}x{row.size}':>12}{row.peft * 1e3:12.1f}{row.ours * 1e3:10.2f}{row.ratio:9.0f}"
            f"{row.peft_loss:12.6f}{row.our_loss:12.6f}{row.least:12.6f}"
            f"{row.peft_loss - row.least:12.1e}{row.our_loss - row.least:12.1e}"
        )
    return "\n".join(lines)


def _measured(way: str, size: int, rank: int, rounds: int) -> Row:
    numbers = torch.Generator().manual_seed(0)
    pairs = [
        (torch.randn(rank, size, generator=numbers), torch.randn(size, rank, generator=numbers), float(rank))
        for _ in STRENGTHS
    ]
    loras: list[tuple[Lora, float]] = [
        (plain({NAME: pair}), strength) for pair, strength in zip(pairs, STRENGTHS, strict=True)
    ]
    method = way.partition(" ")[0]
    made = merge(loras, method, rank=rank)
    ours = least(lambda: merge(loras, method, rank=rank), rounds)
    theirs, found = _peft(pairs, WAYS[way], rank, 1 if size > DENSE_IS_SLOW and way != "ties apart" else min(rounds, 3))
    delta = made.lora.changes[NAME].delta
    assert delta is not None
    everything = core.stack(
        [(down.double(), up.double() * strength) for (down, up, _), strength in zip(pairs, STRENGTHS, strict=True)]
    )
    values = core.values(*everything)
    best = float(values[rank:].norm() / values.norm())
    return Row(way, size, ours, theirs, _loss(core.factors(delta), everything), _loss(found, everything), best)


def _peft(
    pairs: Sequence[tuple[torch.Tensor, torch.Tensor, float]], combination: str, rank: int, rounds: int
) -> tuple[float, Factors]:
    """Least CPU seconds of `add_weighted_adapter`, and the factors that it made."""
    size = pairs[0][0].shape[1]
    model = nn.Sequential()
    model.add_module("layer", nn.Linear(size, size, bias=False))
    wrapped = None
    for place, (down, up, alpha) in enumerate(pairs):
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=["layer"])
        if wrapped is None:
            wrapped = get_peft_model(model, config, f"lora{place}")
        else:
            wrapped.add_adapter(f"lora{place}", config)
        layer = wrapped.base_model.model.layer
        layer.lora_A[f"lora{place}"].weight.data = down
        layer.lora_B[f"lora{place}"].weight.data = up
    assert wrapped is not None
    names = [f"lora{place}" for place in range(len(pairs))]

    def combine() -> None:
        # of an adapter that is there already, PEFT makes nothing
        if "both" in wrapped.peft_config:
            wrapped.delete_adapter("both")
        wrapped.add_weighted_adapter(
            names, list(STRENGTHS), "both", combination_type=combination, svd_rank=rank, density=0.5
        )

    taken = least(combine, rounds, warm=False)
    layer = wrapped.base_model.model.layer
    scale = layer.scaling["both"]
    down, up = (part["both"].weight.detach().double() for part in (layer.lora_A, layer.lora_B))
    return taken, (down, up * scale)


def _loss(found: Factors, wanted: Factors) -> float:
    difference = torch.cat([wanted[0], found[0]]), torch.cat([wanted[1], -found[1]], dim=1)
    return core.norm(difference) / core.norm(wanted)


def least(work: Callable[[], object], rounds: int, warm: bool = True) -> float:
    """Return the least CPU seconds of the process over some rounds."""
    if warm:
        work()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


if __name__ == "__main__":
    main()
