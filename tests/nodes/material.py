"""What the tests of nodes, workflows and the command line work on: a tiny base model, pictures, LoRA files.

The models are built once in a test session, into a temporary folder that goes with the process.
"""

import atexit
import itertools
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from loragraph.graph_runtime import FakeContext
from loragraph.graph_runtime.fingerprints import fingerprint
from loragraph.graph_runtime.values import Base, Dataset, FileRef, Images, Item, LoRA, Picture
from loragraph.nodes import apply_lora, load_lora
from loragraph.tests.diffusion.tiny import build_tiny_flux, write_pictures

_numbers = itertools.count()


@cache
def folder() -> Path:
    """A folder for this process's material."""
    made = Path(tempfile.mkdtemp(prefix="loragraph-material-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def tiny_flux(heads: int = 2) -> Path:
    """A pipeline folder; with heads other than 2 a LoRA of the one doesn't fit the other."""
    return build_tiny_flux(folder() / f"flux-{heads}", heads=heads)


@cache
def pictures() -> Path:
    """Four 64 x 64 pictures with captions beside them."""
    write_pictures(folder() / "pictures")
    return folder() / "pictures"


@cache
def lora_file(seed: int = 0, rank: int = 2, heads: int = 2) -> Path:
    """A LoRA for `tiny_flux(heads)` with random weights that change the pictures."""
    import torch

    from loragraph.diffusion.lora.checkpoint import Checkpoint
    from loragraph.diffusion.lora.model import plain
    from loragraph.diffusion.lora.writing import save

    numbers = torch.Generator().manual_seed(seed)
    pairs = {
        name.removesuffix(".weight"): (
            torch.randn(rank, shape[1], generator=numbers) * 0.2,
            torch.randn(shape[0], rank, generator=numbers) * 0.2,
            float(rank),
        )
        for name, shape in Checkpoint.open(tiny_flux(heads)).shapes().items()
        if name.endswith((".attn.to_q.weight", ".attn.to_v.weight"))
    }
    return save(plain(pairs, "flux"), folder() / f"lora-{seed}-{rank}-{heads}.safetensors")


def loaded(path: Path, **settings: Any) -> LoRA:
    """What LoadLoRA makes of a file."""
    return load_lora(str(path), **settings, ctx=FakeContext(folder() / f"load-{next(_numbers)}"))


def base() -> Base:
    """The tiny base as a value."""
    path = tiny_flux()
    return Base(source="tiny", path=str(path), fingerprint=fingerprint(path), family="flux", dtype="float32")


def lora(seed: int = 0, rank: int = 2) -> LoRA:
    """A LoRA of the tiny base as a value."""
    path = lora_file(seed, rank)
    return LoRA(file=FileRef.of(path), family="flux", rank=rank, modules=4, title=f"lora {seed}")


def applied(base: Base, lora: LoRA, strength: float = 1.0, **settings: Any) -> Base:
    """What ApplyLoRA makes of a base."""
    return apply_lora(base, lora, strength, **settings, ctx=FakeContext(folder() / "apply"))


def dataset() -> Dataset:
    """The four pictures with their captions."""
    items = [
        Item(file=FileRef.of(p), caption=p.with_suffix(".txt").read_text()) for p in sorted(pictures().glob("*.png"))
    ]
    return Dataset(items=tuple(items), root=str(pictures()))


def images(where: Path, captions: tuple[str, ...] = ("one", "two"), size: tuple[int, int] = (64, 64)) -> Images:
    """Plain pictures in the folder `where`, as a value."""
    from PIL import Image

    where.mkdir(parents=True, exist_ok=True)
    made = []
    for index, caption in enumerate(captions):
        path = where / f"{index}.png"
        Image.new("RGB", size, (200, 40 * index % 256, 90)).save(path)
        made.append(
            Picture(
                file=FileRef.of(path),
                width=size[0],
                height=size[1],
                caption=caption,
                settings={"seed": index, "steps": 4},
            )
        )
    return Images(items=tuple(made))
