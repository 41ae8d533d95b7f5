"""The training loop: a frozen base, one fp32 LoRA, AdamW.

    train(pipeline, [Example("apple.png", "a red apple")], TrainConfig(steps=300), checkpoint_dir=..., out=...)

The same pipeline, examples and settings give the same weights, whether or not the run was interrupted. The pipeline is
handed back as it came, without the new adapter, also after a failure.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from PIL.Image import Image

from .. import adapters as attached
from .. import families
from ..adapters import AnyUse, Use, identity, steady
from ..errors import SettingError, TrainingDiverged, TrainingStopped, few, nearest
from ..families import Conditioning, Family
from ..lora import names, writing
from ..lora.lineage import Lineage, Part
from ..lora.model import plain
from ..sampling import check_size, draw
from . import checkpoint, schedule
from .config import TrainConfig
from .data import Example, Prepared, prepare

logger = logging.getLogger(__name__)
ADAPTER = "learner"  # not "training": modules have an attribute of that name

OnStep = Callable[[int, int, float, float], None]
OnPreview = Callable[[int, list[Image]], None]


def train(
    pipeline: Any,
    items: Sequence[Example | tuple[str, str]],
    config: TrainConfig,
    *,
    checkpoint_dir: str | Path,
    out: str | Path | None = None,
    adapters: Sequence[AnyUse] = (),
    on_step: OnStep | None = None,
    on_preview: OnPreview | None = None,
    should_stop: Callable[[], bool] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Train a LoRA and return its file.

    Args:
        pipeline: a loaded base. items: (picture path, caption).
        checkpoint_dir: looked into for a checkpoint of the same run, which is then continued; written to every
            `config.checkpoint_every` steps and when asked to stop. The caller removes it after success.
        out: the file to write; by default lora.safetensors in checkpoint_dir. metadata: texts for its header.
        adapters: LoRAs that the base already carries; they stay frozen and are active while training.
        on_step: called after each step with (steps done, steps, loss, learning rate); may raise to stop at once.
        on_preview: called with (steps done, pictures of config.preview_prompts).
        should_stop: asked before every step.

    Raises:
        SettingError, PictureError, LoraFileError, LoraMismatch: bad input.
        TrainingDiverged: the loss is not a number. TrainingStopped: should_stop said so; a checkpoint is there.
    """
    config.check()
    family = families.of(pipeline)
    folder = Path(checkpoint_dir)
    folder.mkdir(parents=True, exist_ok=True)
    under = steady(adapters, "training")
    with attached.applied(pipeline, under):
        card = family.card(pipeline)
        width, height = config.width or card.width, config.height or card.height
        check_size(family, pipeline, width, height)
        model = attached.model_of(pipeline)
        targets = resolve_targets(family, model, config.targets)
        data = prepare(
            pipeline,
            family,
            items,
            width=width,
            height=height,
            max_length=card.max_sequence_length,
            check=lambda: _stop_if_asked(should_stop),
        )
        run = _run_digest(config, data, targets, under)
        with _new_adapter(model, config, targets) as layers:
            _run(pipeline, family, data, config, layers, folder, run, (width, height), on_step, on_preview, should_stop)
            trained = {
                f"{names.get(family.name).component}.{name}": (
                    layer.lora_A[ADAPTER].weight.detach().cpu(),
                    layer.lora_B[ADAPTER].weight.detach().cpu(),
                    config.alpha,
                )
                for name, layer in layers.items()
            }
            if not all(down.isfinite().all() and up.isfinite().all() for down, up, _ in trained.values()):
                raise TrainingDiverged(
                    f"The last step left weights that are no numbers. Lower learning_rate "
                    f"({config.learning_rate:g}) or use a float32 base."
                )
            header = {"loragraph.family": family.name, "loragraph.steps": str(config.steps), **(metadata or {})}
            beside = tuple(Part(Path(use[0]).name, use[1], use[2]) for use in adapters)
            return writing.save(
                plain(trained, family.name),
                out or folder / "lora.safetensors",
                metadata=header,
                lineage=Lineage("train", beside, card.title, {**config.learned(), "pictures": len(items)}),
            )


def resolve_targets(family: Family, model: Any, targets: Sequence[str]) -> list[str]:
    """Return the full names of the linear layers that groups and glob patterns name.

    Raises:
        SettingError: a target that matches nothing.
    """
    linear = [
        name.removesuffix(".base_layer")
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and ".lora_" not in name
    ]
    chosen: set[str] = set()
    for target in targets:
        patterns = family.groups.get(target, (target,))
        hits = {name for pattern in patterns for name in fnmatch.filter(linear, pattern)}
        if not hits:
            raise SettingError(
                "targets",
                target,
                f"no linear layer has that name. Use a group ({', '.join(family.groups)}) or a pattern such as "
                f"{few(family.groups['default'], 1)}.{nearest(target, family.groups)}",
            )
        chosen |= hits
    return [name for name in linear if name in chosen]


@contextmanager
def _new_adapter(model: Any, config: TrainConfig, targets: list[str]) -> Iterator[dict[str, Any]]:
    """Attach a fresh fp32 LoRA, yield {module name: its PEFT layer}, detach it at the end.

    A starts uniform in +-1/sqrt(in), PEFT's default, and B at 0. A comes from a generator of its own: trainings in
    other threads move the global one, and a half-precision base would round what PEFT itself draws.
    """
    # One pattern of full names: a list would also match modules that merely end in a name (proj_out).
    whole = "|".join(re.escape(target) for target in targets)
    settings = LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=whole, lora_dropout=0.0)
    numbers = schedule.generator(config.seed, "start", 0)
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            model.add_adapter(settings, adapter_name=ADAPTER)
        layers = {}
        for name, layer in model.named_modules():
            if isinstance(layer, LoraLayer) and ADAPTER in layer.r:
                down = layer.lora_A[ADAPTER].float().weight
                bound = down.shape[1] ** -0.5
                down.data.copy_((torch.rand(down.shape, generator=numbers) * 2 - 1) * bound)
                layer.lora_B[ADAPTER].float()
                layers[name] = layer
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(f".{ADAPTER}." in name)
        if config.gradient_checkpointing:
            model.enable_gradient_checkpointing()
        yield layers
    finally:
        if config.gradient_checkpointing:
            model.disable_gradient_checkpointing()
        if getattr(model, "peft_config", None):
            model.unload_lora()
        model.requires_grad_(False)


def _run(
    pipeline: Any,
    family: Family,
    data: Prepared,
    config: TrainConfig,
    layers: Mapping[str, Any],
    folder: Path,
    run: str,
    size: tuple[int, int],
    on_step: OnStep | None,
    on_preview: OnPreview | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    parameters: dict[str, torch.nn.Parameter] = {}
    for name, layer in layers.items():
        parameters[f"{name}.A"] = layer.lora_A[ADAPTER].weight
        parameters[f"{name}.B"] = layer.lora_B[ADAPTER].weight
    device = next(iter(parameters.values())).device
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.99), fused=True
    )
    done = checkpoint.restore(folder, parameters, optimizer, run)
    if done:
        logger.info("continuing after step %d of %d", done, config.steps)
    order = schedule.Order(len(data.latents), config.batch_size, config.seed)
    predict = family.predictor(pipeline, *size, config.guidance)
    latents = data.latents.to(device)
    tokens = latents.shape[1]
    precision = torch.autocast(device.type, torch.bfloat16) if config.mixed_precision == "bf16" else nullcontext()
    trainable = list(parameters.values())
    half = attached.model_of(pipeline).dtype == torch.float16

    def stop_if_asked() -> None:
        if should_stop is not None and should_stop():
            if done:
                checkpoint.save(folder, parameters, optimizer, done, run)
            raise TrainingStopped(done)

    for step in range(done, config.steps):
        stop_if_asked()
        # All random numbers of a step come from the CPU, in this order: the same on every device.
        numbers = schedule.generator(config.seed, "step", step)
        chosen = order.batch(step)
        noise = torch.randn((len(chosen), *latents.shape[1:]), generator=numbers).to(device)
        normal = torch.randn(len(chosen), generator=numbers)
        dropped = torch.rand(len(chosen), generator=numbers) < config.caption_dropout
        rows = data.caption[chosen].masked_fill(dropped, data.empty).to(device)
        times = family.sample_times(pipeline, normal, config.timestep_sampling, tokens).to(device)
        clean = latents[chosen.to(device)]
        mix = times.view(-1, 1, 1)
        with precision:
            predicted = predict(
                (1 - mix) * clean + mix * noise,
                times,
                Conditioning(data.prompts.tokens[rows], data.prompts.pooled[rows]),
            )
        loss = torch.nn.functional.mse_loss(predicted.float(), family.target(clean, noise))
        # The gradient of a mean over so many numbers is below what float16 can hold, so it is scaled up on the way back
        # (Micikevicius et al. 1710.03740, section 3.2) and down again in the fp32 adapter. A power of two is exact.
        scale = 2.0 ** max(0, predicted.numel().bit_length() - 4) if half else 1.0
        torch.autograd.backward(loss * scale)
        if half:
            for parameter in trainable:
                if parameter.grad is not None:
                    parameter.grad.div_(scale)
        if config.gradient_clip:
            torch.nn.utils.clip_grad_norm_(trainable, config.gradient_clip)
        rate = schedule.learning_rate(
            step, steps=config.steps, warmup=config.warmup, highest=config.learning_rate, final=config.final_rate
        )
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"The loss became {value} at step {step + 1} of {config.steps}. Lower learning_rate "
                f"({config.learning_rate:g}) or use a float32 base."
            )
        done = step + 1
        if config.checkpoint_every and done % config.checkpoint_every == 0 and done < config.steps:
            checkpoint.save(folder, parameters, optimizer, done, run)
        if on_step is not None:
            on_step(done, config.steps, value, rate)
        if on_preview is not None and config.preview_every and done % config.preview_every == 0:
            on_preview(done, _preview(pipeline, family, config, size, stop_if_asked))


def _preview(
    pipeline: Any, family: Family, config: TrainConfig, size: tuple[int, int], check: Callable[[], None]
) -> list[Image]:
    """Draw the preview prompts with the adapter as it is; no random state of this process is moved.

    `check` is called after every sampling step and may raise to stop.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return draw(
            pipeline,
            family,
            config.preview_prompts,
            seed=config.seed,
            steps=config.preview_steps,
            width=size[0],
            height=size[1],
            on_step=lambda *_: check(),
        )


def _stop_if_asked(should_stop: Callable[[], bool] | None) -> None:
    if should_stop is not None and should_stop():
        raise TrainingStopped(0)


def _run_digest(config: TrainConfig, data: Prepared, targets: list[str], adapters: Sequence[Use]) -> str:
    """What the weights depend on, apart from the base, which the caller's choice of folder stands for."""
    carried = [identity(use) for use in adapters]
    parts = [config.learned(), data.digest, targets, carried]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
