"""Baking LoRAs into checkpoints of several gigabytes, against a plain copy and against diffusers.

    python -m loragraph.benchmarks.lora_bake [--where FOLDER] [--rounds 3] [--share 1.0] [--kind unet] [--no-diffusers]

Two made-up bases, written with random weights into a temporary folder on disk (about 20 GB are needed at --share 1):

    flux    FLUX.1-shaped, 1.16 billion parameters in bfloat16 (2.3 GB), 3 shards; rank 16 on its 25 attention matrices
    unet    the UNet of Stable Diffusion 1.5, 860 million in float32 (3.4 GB), one file; rank 32 on 128 attention ones

and five ways, each in a process of its own, in turns:

    copy        shutil.copytree, as the operating system is asked to copy by Python
    cp          cp -r --reflink=never
    synced      a plain copy that is flushed to the disk, as a baked file is
    bake        loragraph's bake
    diffusers   from_pretrained, load_lora_adapter, fuse_lora, save_pretrained

CPU seconds are user + system of the process, the least of the rounds; `work` leaves out imports (a server has done
them long ago). The kernel hands out pages for a copy at a price that depends on what ran before, hence the least. Peak
memory is the resident set, file-backed pages included. At the end the results of bake and diffusers are compared bit by
bit: in float32 they are the same; in bfloat16 diffusers rounds twice. --share makes the models smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WAYS = ("copy", "cp", "synced", "bake", "diffusers")
KINDS = ("flux", "unet")
SHARDS = 3
POOL = 1 << 22  # random numbers that the weights are cut from


def main() -> None:
    """Parse the command line and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--where", help="folder on the disk to be measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="size of the models against the real ones")
    parser.add_argument("--kind", choices=KINDS, help="one of the two alone")
    parser.add_argument("--no-diffusers", action="store_true")
    parser.add_argument("--worker", nargs=4, metavar=("WAY", "BASE", "LORA", "OUT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        print(json.dumps(work(*asked.worker)))
        return
    for kind in [asked.kind] if asked.kind else KINDS:
        found = measure(kind, asked.where, asked.rounds, asked.share, not asked.no_diffusers)
        print(table(kind, found), flush=True)


def measure(
    kind: str, where: str | None = None, rounds: int = 3, share: float = 1.0, diffusers: bool = True
) -> dict[str, Any]:
    """Return {way: {"cpu", "work", "wall" in seconds, "rss" in MB}, "bytes": …, "differ": (values that do, in all)}."""
    with tempfile.TemporaryDirectory(dir=where, prefix="lora-bake-") as scratch:
        base, lora = build(kind, Path(scratch), share)
        ways = [way for way in WAYS if diffusers or way != "diffusers"]
        best: dict[str, Any] = {}
        for number in range(rounds):
            for way in ways:
                out = Path(scratch) / way
                shutil.rmtree(out, ignore_errors=True)
                seen = run(way, base, lora, out)
                old = best.get(way, seen)
                best[way] = {key: (max if key == "rss" else min)(old[key], seen[key]) for key in seen}
                if number + 1 < rounds or way in ("copy", "cp", "synced"):
                    shutil.rmtree(out, ignore_errors=True)
        best["bytes"] = sum(file.stat().st_size for file in base.glob("*.safetensors"))
        best["differ"] = differing(Path(scratch) / "bake", Path(scratch) / "diffusers") if diffusers else None
        return best


def table(kind: str, found: Mapping[str, Any]) -> str:
    """Return the figures as text, with ratios to the cheapest plain copy."""
    plain = min(found[way]["cpu"] for way in ("copy", "cp", "synced"))
    lines = [f"{kind}: {found['bytes'] / 1e9:.2f} GB", "  way         CPU s  work s  wall s   x copy  work x copy   MB"]
    for way in WAYS:
        if way in found:
            seen = found[way]
            lines.append(
                f"  {way:10}{seen['cpu']:7.2f} {seen['work']:7.2f} {seen['wall']:7.1f}  {seen['cpu'] / plain:7.2f}  "
                f"{seen['work'] / plain:11.2f} {seen['rss']:4.0f}"
            )
    if found["differ"] is not None:
        lines.append(
            f"  values that differ between bake and diffusers: {found['differ'][0]:,} of {found['differ'][1]:,}"
        )
    return "\n".join(lines)


def run(way: str, base: Path, lora: Path, out: Path) -> dict[str, float]:
    """Do it once in a process of its own."""
    command = [sys.executable, "-m", "loragraph.benchmarks.lora_bake", "--worker", way, str(base), str(lora), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(f"{way} failed:\n{done.stderr[-2000:]}")
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def work(way: str, base: str, lora: str, out: str) -> dict[str, float]:
    """Do it here; returns CPU seconds (all, and without imports), wall seconds (without) and peak MB."""
    if way == "bake":
        from loragraph.diffusion.lora.bake import bake
    if way == "diffusers":
        import torch
        from diffusers import FluxTransformer2DModel, UNet2DConditionModel
    imported, started = _cpu(), time.perf_counter()
    if way == "copy":
        shutil.copytree(base, out)
    elif way == "cp":
        subprocess.run(["cp", "-r", "--reflink=never", base, out], check=True)
    elif way == "synced":
        shutil.copytree(base, out, copy_function=_copy_synced)
    elif way == "bake":
        bake(base, [(lora, "0" * 64, 0.8)], out)
    else:
        unet = "UNet2D" in (Path(base) / "config.json").read_text()
        kind: Any = UNet2DConditionModel if unet else FluxTransformer2DModel
        model = kind.from_pretrained(base, torch_dtype=torch.float32 if unet else torch.bfloat16)
        model.load_lora_adapter(lora, prefix="unet" if unet else "transformer", adapter_name="one")
        model.set_adapters(["one"], [0.8])
        model.fuse_lora()
        model.unload_lora()
        model.save_pretrained(out, max_shard_size="100GB" if unet else "1GB")
    used, children = _cpu(), resource.getrusage(resource.RUSAGE_CHILDREN)
    if way == "cp":
        used, imported = children.ru_utime + children.ru_stime, 0.0
    if way in ("copy", "synced"):  # a copy needs no Python
        used, imported = used - imported, 0.0
    peak = children.ru_maxrss if way == "cp" else _peak()
    return {"cpu": used, "work": used - imported, "wall": time.perf_counter() - started, "rss": peak / 1024}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak() -> int:
    """Return the largest resident set of this process in KiB; getrusage would count that of its parent too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _copy_synced(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    with open(target, "rb") as file:
        os.fsync(file.fileno())


def build(kind: str, scratch: Path, share: float) -> tuple[Path, Path]:
    """Write the base's component folder and a LoRA for its attention; returns both paths."""
    import torch
    from diffusers import FluxTransformer2DModel, UNet2DConditionModel
    from safetensors.torch import save_file

    numbers = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        if kind == "flux":
            heads = max(1, round(24 * share**0.5))
            model: Any = FluxTransformer2DModel(num_layers=2, num_single_layers=3, num_attention_heads=heads)
            dtype, rank, component, shards = torch.bfloat16, 16, "transformer", SHARDS
        else:
            widths = [max(1, round(width * share**0.5 / 32)) * 32 for width in (320, 640, 1280, 1280)]
            model = UNet2DConditionModel(block_out_channels=widths, cross_attention_dim=768)
            dtype, rank, component, shards = torch.float32, 32, "unet", 1
    base = scratch / component
    base.mkdir()
    model.save_config(base)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    _write_random(base, shapes, dtype, shards, numbers)
    pairs = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and ".attn" in name and not name.endswith("proj_mlp"):
            pairs[f"{component}.{name}.lora_A.weight"] = torch.randn(rank, layer.in_features, generator=numbers) * 0.05
            pairs[f"{component}.{name}.lora_B.weight"] = torch.randn(layer.out_features, rank, generator=numbers) * 0.05
    save_file(pairs, scratch / "lora.safetensors", {"format": "pt"})
    return base, scratch / "lora.safetensors"


def _write_random(base: Path, shapes: Mapping[str, tuple[int, ...]], dtype: Any, shards: int, numbers: Any) -> None:
    """Write the weights tensor by tensor, as the shards that diffusers would load."""
    import math

    import torch

    from loragraph.diffusion.lora import header as headers

    pool = (torch.randn(POOL, generator=numbers) * 0.03).to(dtype).view(torch.uint8).numpy().data
    kind = {torch.bfloat16: "BF16", torch.float32: "F32"}[dtype]
    total, size = sum(math.prod(shape) for shape in shapes.values()), 0
    parts: list[dict[str, tuple[str, tuple[int, ...]]]] = [{} for _ in range(shards)]
    for name, shape in sorted(shapes.items()):
        parts[min(shards - 1, size * shards // total)][name] = (kind, shape)
        size += math.prod(shape)
    index: dict[str, str] = {}
    for number, part in enumerate(parts):
        suffix = f"-{number + 1:05}-of-{shards:05}" if shards > 1 else ""
        file = base / f"diffusion_pytorch_model{suffix}.safetensors"
        start, places = headers.build(part, {"format": "pt"})
        with file.open("wb") as out:
            out.write(start)
            for turn, entry in enumerate(places.tensors.values()):
                left = entry.end - entry.begin
                at = turn * 4096 % (len(pool) // 2)  # tensors differ from one another
                while left:
                    piece = pool[at : at + left]
                    out.write(piece)
                    left, at = left - len(piece), 0
        index |= dict.fromkeys(part, file.name)
    if shards > 1:
        described = {"metadata": {"total_size": size * (2 if kind == "BF16" else 4)}, "weight_map": index}
        (base / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(described))


def differing(first: Path, second: Path) -> tuple[int, int]:
    """Return (values that differ, values in all) of two folders of weights."""
    import torch

    from loragraph.diffusion.lora.checkpoint import Checkpoint

    one, two = Checkpoint.open(first), Checkpoint.open(second)
    different = total = 0
    for name in one.parameters:
        left, right = one.read(name), two.read(name)
        different += int(torch.ne(left, right).sum())
        total += left.numel()
    return different, total


if __name__ == "__main__":
    main()
