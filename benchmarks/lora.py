"""The LoRA engine against what one would use instead, all in one run: baking, merging, loading, switching.

    python -m loragraph.benchmarks.lora [--where FOLDER] [--rounds 3] [--share 1.0]

Runs `lora_merge`, `lora_use` and `lora_bake` (which say what is measured and how), and ends with what is claimed of
each ratio and whether it held. --share makes the checkpoints smaller; the claims are for 1.0.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import torch

from loragraph.benchmarks import lora_bake, lora_merge, lora_use

MERGED = {1280: 200, 3072: 1000}  # layer size -> times faster than PEFT's svd
LOADED, SWITCHED = 5.0, 1.0  # times faster than load_lora_adapter and set_adapters
COPIES, RESIDENT = 1.5, 300  # CPU time of baking in plain copies, MB


class Claim(NamedTuple):
    """What is said, the figure that was measured, and whether it bears that out."""

    text: str
    figure: str
    holds: bool


def main() -> None:
    """Parse the command line, measure, and print the tables and the claims."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--where", help="folder on the disk to be measured (20 GB free at --share 1)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="size of the checkpoints against the real ones")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    claims = []
    for kind in lora_bake.KINDS:  # first, while this process is small: each way has a process of its own
        found = lora_bake.measure(kind, asked.where, asked.rounds, asked.share)
        print(lora_bake.table(kind, found), flush=True)
        claims += baked(kind, found)
    rows = lora_merge.measure()
    print(lora_merge.table(rows), flush=True)
    claims += [merged(row) for row in rows if row.way == "svd"]
    for name in lora_use.SUBJECTS:
        times = lora_use.measure(name)
        print(lora_use.table(name, times), flush=True)
        claims += used(name, times)
    for claim in claims:
        print(f"{'holds' if claim.holds else 'FAILS'}  {claim.text}: {claim.figure}")


def baked(kind: str, found: dict[str, Any]) -> list[Claim]:
    """What is claimed of baking: its time and memory, and in float32 the very bits of diffusers."""
    plain = min(found[way]["cpu"] for way in ("copy", "cp", "synced"))
    ratio, whole, rss = found["bake"]["work"] / plain, found["bake"]["cpu"] / plain, found["bake"]["rss"]
    text = f"{kind}: baking costs at most {COPIES} plain copies of CPU time"
    claims = [
        Claim(text, f"{ratio:.2f} ({whole:.2f} with the start of Python)", ratio <= COPIES),
        Claim(f"{kind}: baking holds at most {RESIDENT} MB", f"{rss:.0f} MB", rss <= RESIDENT),
    ]
    if kind == "unet":
        differ, values = found["differ"]
        claims.append(Claim(f"{kind}: bit for bit what diffusers' fuse gives", f"{differ} of {values:,}", not differ))
    return claims


def merged(row: lora_merge.Row) -> Claim:
    """What is claimed of merging by SVD: the time, at no greater error."""
    wanted = MERGED[row.size]
    same = row.our_loss <= row.peft_loss + 1e-6
    text = f"{row.size}x{row.size}: an SVD merge is {wanted} times faster than PEFT's, at its error"
    return Claim(
        text, f"{row.ratio:.0f} times, {row.our_loss:.6f} to {row.peft_loss:.6f}", row.ratio >= wanted and same
    )


def used(name: str, times: dict[str, tuple[float, float]]) -> list[Claim]:
    """What is claimed of loading, switching and re-weighting: {action: (theirs, ours)}."""
    wanted = {"load": LOADED, "switch": SWITCHED, "re-weight": SWITCHED}
    return [
        Claim(f"{name}: {what} is at least {least:g} times as fast", f"{ratio:.1f} times", ratio >= least)
        for what, least in wanted.items()
        for ratio in (times[what][0] / times[what][1],)
    ]


if __name__ == "__main__":
    main()
