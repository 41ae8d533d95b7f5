"""Put the trained parts together as an ordinary `FluxPipeline` folder in fp16, with the card that LoRAGraph reads."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline

from .base import TextToImage

CARD = {
    "title": "LoRAGraph emoji",
    "width": 64,
    "height": 64,
    "max_sequence_length": 16,
    "steps": 16,
    "true_cfg_scale": 3.0,
    "negative_prompt": "",
}


def load_trained(work: Path) -> tuple[TextToImage, int]:
    """Return the averaged (EMA) weights of the running or finished training, and the step they are from."""
    state = torch.load(work / "base.pt", weights_only=True)
    model = TextToImage()
    with torch.no_grad():  # by parameter, since T5's tied embedding is two entries of a state dict but one parameter
        for name, parameter in model.named_parameters():
            parameter.copy_(state["average"][name])
    return model.eval(), int(state["step"])


def build_pipeline(work: Path) -> FluxPipeline:
    """Return the fp32 pipeline of what has been trained so far."""
    model, _ = load_trained(work)
    latents = torch.load(work / "latents.pt", weights_only=True)
    vae = AutoencoderKL.from_pretrained(work / "vae")
    vae.register_to_config(shift_factor=latents["shift"], scaling_factor=latents["scale"])
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=vae,
        text_encoder=model.clip,
        tokenizer=model.clip_tokenizer,
        text_encoder_2=model.t5,
        tokenizer_2=model.t5_tokenizer,
        transformer=model.transformer,
    )


def assemble(work: Path, target: Path) -> None:
    """Write the fp16 folder to `target`, replacing what generated files lie there; README.md (the model card) is
    kept."""
    fresh = work / "assembled"
    shutil.rmtree(fresh, ignore_errors=True)
    build_pipeline(work).to(torch.float16).save_pretrained(fresh)
    for part in ("text_encoder", "text_encoder_2"):
        # transformers would load these in the dtype they are stored in, diffusers all the rest in float32.
        config = json.loads((fresh / part / "config.json").read_text())
        (fresh / part / "config.json").write_text(json.dumps({**config, "dtype": "float32"}, indent=2) + "\n")
    (fresh / "loragraph.json").write_text(json.dumps(CARD, indent=2) + "\n")
    target.mkdir(parents=True, exist_ok=True)
    for part in fresh.iterdir():
        if (target / part.name).is_dir():
            shutil.rmtree(target / part.name)
        part.replace(target / part.name)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"{target}: {size / 1e6:.1f} MB")
