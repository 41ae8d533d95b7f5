"""The texts in the header of a LoRA file: what other programs show and search by.

    modelspec.*     Stability's Model Metadata Standard 1.0.1 (https://github.com/Stability-AI/ModelSpec)
    ss_*            what kohya's trainer noted of a training; kept when a file is rewritten, but for its network's size
    loragraph.*     this program's notes (`loragraph.lineage`: see lineage.py)

No clock is read: a date is only there when the caller or the source file gives one, so that equal results are equal
bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import lineage as lineages

VERSION = "1.0.1"
# family -> (modelspec.architecture, modelspec.implementation for files with the original names, ss_network_module);
# the strings that sd-scripts and musubi-tuner write
ARCHITECTURES: dict[str, tuple[str, str, str]] = {
    "sd1": ("stable-diffusion-v1", "https://github.com/Stability-AI/generative-models", "networks.lora"),
    "sd2": ("stable-diffusion-v2-768-v", "https://github.com/Stability-AI/generative-models", "networks.lora"),
    "sdxl": ("stable-diffusion-xl-v1-base", "https://github.com/Stability-AI/generative-models", "networks.lora"),
    "sd3": ("stable-diffusion-3", "https://github.com/Stability-AI/generative-models", "networks.lora_sd3"),
    "flux": ("flux-1-dev", "https://github.com/black-forest-labs/flux", "networks.lora_flux"),
    "qwen-image": ("Qwen-Image", "https://github.com/QwenLM/Qwen-Image", "networks.lora_qwen_image"),
    "cogvideox": ("cogvideox", "https://github.com/zai-org/CogVideo", "networks.lora"),
    "wan": ("wan2.1", "https://github.com/Wan-Video/Wan2.1", "networks.lora_wan"),
}
LYCORIS = "lycoris.kohya"
TRIGGER = "modelspec.trigger_phrase"
# Said of the tensors, so never taken over from another file.
REPLACED = (
    "format",
    "lora_adapter_metadata",
    "lora_config",
    "modelspec.sai_model_spec",
    "modelspec.architecture",
    "modelspec.implementation",
    "modelspec.hash_sha256",
    "ss_network_alpha",
    "ss_network_args",
    "ss_network_dim",
    "ss_network_module",
    "sshs_legacy_hash",
    "sshs_model_hash",
    lineages.KEY,
)


def texts(
    kept: Mapping[str, str],
    *,
    dialect: str,
    family: str,
    title: str,
    sha256: str,
    lineage: lineages.Lineage | None = None,
    date: str | None = None,
) -> dict[str, str]:
    """Return the metadata of a file.

    Args:
        kept: the source's texts; what is said anew is replaced.
        title: shown where the source gives none. sha256: of the tensors' data. date: ISO 8601, when the file was made.
    """
    known = {key: value for key, value in kept.items() if key not in REPLACED}
    architecture, implementation, _ = ARCHITECTURES.get(family, ("", "", ""))
    described = {
        "format": "pt",
        "modelspec.sai_model_spec": VERSION,
        "modelspec.title": known.get("modelspec.title") or known.get("ss_output_name") or title,
        "modelspec.hash_sha256": f"0x{sha256}",
    }
    if architecture:
        described["modelspec.architecture"] = f"{architecture}/lora"
        described["modelspec.implementation"] = "diffusers" if dialect == "peft" else implementation
    if date:
        described["modelspec.date"] = date
    if family:
        described["loragraph.family"] = family
    if lineage is not None:
        described[lineages.KEY] = lineage.text()
        if len(lineage.parts) > 1:
            described["modelspec.merged_from"] = ", ".join(part.file for part in lineage.parts)
    return {**known, **described}


def shared_texts(sources: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the texts for a merge: what all its parts say alike, and the trigger phrases of all."""
    first, *others = sources
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    phrases = dict.fromkeys(source[TRIGGER].strip() for source in sources if source.get(TRIGGER, "").strip())
    return {**shared, TRIGGER: ", ".join(phrases)} if phrases else shared


def network(family: str, rank: int, plain: bool, sha256: str) -> dict[str, str]:
    """Return what kohya's scripts say of a network, whose alpha is its rank; `plain`: all of it is low-rank pairs."""
    return {
        "ss_network_module": ARCHITECTURES[family][2] if plain else LYCORIS,
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(rank),
        "sshs_model_hash": sha256,
    }
