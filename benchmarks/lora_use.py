"""Time to load, switch, re-weight, remove and run LoRAs, against what diffusers does with PEFT on the same model.

    python -m loragraph.benchmarks.lora_use [--model flux] [--rounds 7]

Models: "flux", a FLUX transformer of 240 M parameters in bf16 with a rank-16 LoRA on its 48 attention layers; "unet",
the UNet of Stable Diffusion 1.5 (860 M, fp32) with a rank-32 LoRA on its 128 attention layers. Weights are made up.

CPU milliseconds of one thread, the minimum of the rounds: what other jobs on the machine add is left out. Loading is
from the file's name to a model that answers with the LoRA; theirs is the quicker of diffusers' two ways, after a first
load that is not counted. "bare" is a pass without a LoRA, "run" one with it. The ratio is theirs / ours: above 1, ours
is quicker.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from loragraph.diffusion.adapters import Adapters
from loragraph.diffusion.lora import fits, reading

ATTENTION = (".to_q", ".to_k", ".to_v", ".to_out.0", ".add_q_proj", ".add_k_proj", ".add_v_proj", ".to_add_out")
FLUX = {
    "num_layers": 3,
    "num_single_layers": 8,
    "num_attention_heads": 8,
    "attention_head_dim": 128,
    "joint_attention_dim": 1024,
}


class Subject(NamedTuple):
    """A model, what LoRA files call it, the rank of the LoRAs, and an input."""

    model: Any
    component: str
    rank: int
    given: Mapping[str, Any]


def flux(**config: Any) -> Subject:
    """A FLUX transformer; 64 image tokens and 16 of text."""
    model = made_up(FluxTransformer2DModel, torch.bfloat16, **{**FLUX, **config})
    width, pooled = model.config.joint_attention_dim, model.config.pooled_projection_dim
    given = {
        "hidden_states": torch.randn(1, 64, model.config.in_channels),
        "encoder_hidden_states": torch.randn(1, 16, width),
        "pooled_projections": torch.randn(1, pooled),
        "timestep": torch.tensor([0.5]),
        "img_ids": torch.rand(64, 3),
        "txt_ids": torch.zeros(16, 3),
    }
    return Subject(model, "transformer", 16, {key: value.bfloat16() for key, value in given.items()})


def unet(**config: Any) -> Subject:
    """Stable Diffusion 1.5's UNet; latents of 16 x 16."""
    model = made_up(UNet2DConditionModel, torch.float32, **{"cross_attention_dim": 768, **config})
    text = torch.randn(1, 77, model.config.cross_attention_dim)
    given = {"sample": torch.randn(1, 4, 16, 16), "timestep": torch.tensor(500), "encoder_hidden_states": text}
    return Subject(model, "unet", 32, given)


SUBJECTS: dict[str, Callable[..., Subject]] = {"flux": flux, "unet": unet}


def made_up(kind: Any, dtype: torch.dtype, **config: Any) -> Any:
    """A model whose weights are quickly made."""
    with torch.device("meta"):
        model = kind(**config)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    model.to_empty(device="cpu").eval().requires_grad_(False)
    for name, value in model.named_parameters():
        value.fill_(1.0 if "norm" in name and value.ndim == 1 else 0.01)
    return model


def write_lora(subject: Subject, path: Path, seed: int) -> Path:
    """A LoRA in the layout of diffusers, for all attention layers."""
    torch.manual_seed(seed)
    tensors = {}
    for name, value in subject.model.named_parameters():
        module = name.removesuffix(".weight").replace(".base_layer", "")
        if name.endswith(".weight") and module.endswith(ATTENTION):
            key = f"{subject.component}.{module}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(subject.rank, value.shape[1], dtype=value.dtype)
            tensors[f"{key}.lora_B.weight"] = torch.randn(value.shape[0], subject.rank, dtype=value.dtype) * 0.01
    save_file(tensors, path)
    return path


def cpu(action: Callable[[], Any], rounds: int) -> float:
    """Least CPU milliseconds of an action."""
    found = []
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        start = time.process_time()
        action()
        found.append(time.process_time() - start)
        gc.enable()
    return min(found) * 1000


def measure(name: str, rounds: int = 7, **config: Any) -> dict[str, tuple[float, float]]:
    """Return {what: (theirs, ours)} in CPU milliseconds; in "file" both are safetensors' load_file."""
    subject = SUBJECTS[name](**config)
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        files = [write_lora(subject, Path(scratch) / f"{seed}.safetensors", seed) for seed in (1, 2)]
        plain = cpu(lambda: load_file(files[0]), rounds)
        bare = cpu(lambda: subject.model(**subject.given), min(rounds, 3))
        ours = run_ours(subject, files, rounds)
        theirs = run_theirs(subject, files, rounds)
    return {"file": (plain, plain), "bare": (bare, bare)} | {key: (theirs[key], ours[key]) for key in theirs}


def run_ours(subject: Subject, files: list[Path], rounds: int) -> dict[str, float]:
    """Loading as `adapters.applied` does it, from inspecting the file to the hooks."""
    adapters = Adapters(subject.model, subject.component)
    names = (f"lora{number}" for number in itertools.count())

    def load(path: Path = files[0]) -> str:
        name = next(names)
        opened = reading.open_file(path)
        info = fits.check_shapes(str(path), opened.info, adapters.shapes(), "the model")
        adapters.attach(name, opened.load(), info.items)
        adapters.set_strengths({name: 1.0})
        return name

    def remove() -> None:
        adapters.remove(adapters.names()[-1])

    load()
    adapters.remove("lora0")
    loading = []
    for _ in range(rounds):
        loading.append(cpu(load, 1))
        adapters.remove(adapters.names()[0])
    one, two = load(files[0]), load(files[1])
    turn = itertools.cycle((one, two))
    found = {"load": min(loading), "switch": cpu(lambda: adapters.set_strengths({next(turn): 1.0}), rounds)}
    strengths = itertools.cycle((0.5, 0.6))
    found["re-weight"] = cpu(lambda: adapters.set_strengths({one: next(strengths)}), rounds)
    found["two at once"] = cpu(lambda: adapters.set_strengths({one: next(strengths), two: 0.3}), rounds)
    adapters.set_strengths({one: 1.0})
    found["run"] = cpu(lambda: subject.model(**subject.given), min(rounds, 3))
    found["remove"] = cpu(remove, 2)
    return found


def run_theirs(subject: Subject, files: list[Path], rounds: int) -> dict[str, float]:
    """`load_lora_adapter`, `set_adapters` and `delete_adapters` of diffusers."""
    model = subject.model
    names = (f"lora{number}" for number in itertools.count())

    def load(quick: bool, path: Path = files[0]) -> str:
        name = next(names)
        model.load_lora_adapter(path, prefix=subject.component, adapter_name=name, low_cpu_mem_usage=quick)
        return name

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = load(True)
        loading = []
        for turn in range(rounds):
            loading.append(cpu(partial(load, turn % 2 == 0), 1))
            model.delete_adapters(f"lora{turn + 1}")
        two = load(True, files[1])
        switching = itertools.cycle((kept, two))
        found = {"load": min(loading), "switch": cpu(lambda: model.set_adapters(next(switching)), rounds)}
        strengths = itertools.cycle((0.5, 0.6))
        found["re-weight"] = cpu(lambda: model.set_adapters(kept, next(strengths)), rounds)
        found["two at once"] = cpu(lambda: model.set_adapters([kept, two], [next(strengths), 0.3]), rounds)
        model.set_adapters(kept, 1.0)
        found["run"] = cpu(lambda: model(**subject.given), min(rounds, 3))
        loaded = iter([load(True), load(True)])
        found["remove"] = cpu(lambda: model.delete_adapters(next(loaded)), 2)
        model.unload_lora()
    return found


def main() -> None:
    """Parse the command line and print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[*SUBJECTS], action="append")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.model or SUBJECTS:
        print(table(name, measure(name, asked.rounds)))


def table(name: str, times: Mapping[str, tuple[float, float]]) -> str:
    """Return what `measure` found as text."""
    lines = [f"{name:14}{'theirs, CPU ms':>16}{'ours, CPU ms':>16}{'ratio':>10}"]
    lines += [f"{what:14}{theirs:16.3f}{ours:16.3f}{theirs / ours:10.2f}" for what, (theirs, ours) in times.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
