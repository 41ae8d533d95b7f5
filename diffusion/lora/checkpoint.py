"""A base model on disk, by the names of its parameters, whatever its files look like: headers only, no torch.

    base = Checkpoint.open("models/flux")        # a pipeline folder, a component's folder, or one .safetensors file
    base.family                                  # "flux"
    base.shapes()["transformer.transformer_blocks.0.attn.to_q.weight"]     # (3072, 3072)
    base.places("transformer.transformer_blocks.0.attn.to_q.weight")
    # [Place(file=…/flux1-dev.safetensors, key="double_blocks.0.img_attn.qkv.weight", entry=…, rows=((0, 3072),))]
    base.read("transformer.transformer_blocks.0.attn.to_q.weight")         # fp32 tensor [3072, 3072]

A parameter is named canonically: component of the pipeline, then the diffusers name. Of a pipeline folder the network
and the text encoders are opened, not the VAE: no adapter changes that. Files are those that diffusers would load;
where a folder holds only a variant (`….fp16.safetensors`), that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..errors import ModelError, few, nearest
from . import header as headers
from . import names
from .header import Entry, Header
from .names.table import Ranges
from .names.text_encoders import canonical
from .quantised import how_stored
from .single_file import name_all, part_shape, whole

if TYPE_CHECKING:
    from torch import Tensor

COMPONENTS = ("unet", "transformer", "transformer_2", "text_encoder", "text_encoder_2", "text_encoder_3")
STEMS = ("diffusion_pytorch_model", "model")
PICKLES = (".bin", ".pt", ".ckpt", ".pth")


class Place(NamedTuple):
    """Where a parameter lies: these rows of that tensor, one after the other; `entry` is the whole tensor's."""

    file: Path
    key: str
    entry: Entry
    rows: Ranges


@dataclass(frozen=True)
class Checkpoint:
    """kind: what `path` is. family: "" if unknown. components: their weight files. files: the headers of all of them.
    parameters: canonical name -> place. unnamed: keys of a single file that are no known model's (its VAE's, say)."""

    path: Path
    kind: Literal["pipeline", "component", "file"]
    family: str
    components: Mapping[str, tuple[Path, ...]]
    files: Mapping[Path, Header] = field(repr=False)
    parameters: Mapping[str, Place] = field(repr=False)
    unnamed: tuple[str, ...] = field(default=(), repr=False)

    @staticmethod
    def open(path: str | os.PathLike[str]) -> Checkpoint:
        """Return the checkpoint at `path`.

        Raises:
            ModelError: nothing there, no safetensors weights in it, or a broken file.
        """
        root = Path(path)
        if not root.exists():
            raise ModelError(f"There is no base model at {root}. Check the path.")
        if root.is_file():
            return _open_file(root)
        if (root / "model_index.json").is_file():
            return _open_pipeline(root)
        if (root / "config.json").is_file():
            return _open_component(root)
        raise ModelError(
            f"{root} is no base model: it has neither model_index.json (a pipeline) nor config.json (a part of one). "
            "Choose the folder with it, or a .safetensors file."
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return {canonical parameter: shape} as diffusers would have it."""
        return {name: part_shape(place.entry.shape, place.rows) for name, place in self.parameters.items()}

    def places(self, parameter: str) -> list[Place]:
        """Return where a parameter lies; more than one place would be parts of it, in order.

        Raises:
            ModelError: no such parameter; the message names the nearest.
        """
        if parameter not in self.parameters:
            raise ModelError(
                f"{self.path} has no parameter {parameter!r}.{nearest(parameter, self.parameters)} "
                f"It has {len(self.parameters)}."
            )
        return [self.parameters[parameter]]

    def read(self, parameter: str) -> Tensor:
        """Return a parameter in fp32; imports torch.

        Raises:
            ModelError: no such parameter, or it is quantised, so that its numbers are not its values.
        """
        from . import stored

        (place,) = self.places(parameter)
        how = how_stored(place.key, self.files[place.file])
        if how not in ("", "fp8"):
            raise ModelError(f"{parameter} of {self.path} is quantised: {how}. Use a full-precision checkpoint.")
        return stored.rows(place.file, place.entry, place.rows).float()


def _open_file(file: Path) -> Checkpoint:
    if file.suffix in PICKLES:
        raise ModelError(f"{file} is a pickle, which can run code. Use the model's .safetensors file.")
    header = headers.read(file, ModelError)
    if not header.tensors:
        raise ModelError(f"{file} holds no tensors, so it is no base model.")
    named = name_all({key: entry.shape for key, entry in header.tensors.items()})
    if not named.parameters:
        raise ModelError(
            f"{file} is no base model that is known here: it holds tensors such as {few(header.tensors, 2)}."
        )
    parameters = {name: Place(file, key, header.tensors[key], rows) for name, (key, rows) in named.parameters.items()}
    components = dict.fromkeys(sorted({name.split(".", 1)[0] for name in parameters}), (file,))
    return Checkpoint(file, "file", named.family, components, {file: header}, parameters, named.unnamed)


def _open_pipeline(root: Path) -> Checkpoint:
    index = root / "model_index.json"
    described = _json(index)
    parts = [name for name in COMPONENTS if described.get(name) not in (None, [None, None])]
    if not any(not part.startswith("text_encoder") for part in parts):
        raise ModelError(
            f"{index} names no network (unet or transformer). Choose the folder of an image or video model."
        )
    return _open_components(root, "pipeline", {part: weight_files(root / part) for part in parts})


def _open_component(root: Path) -> Checkpoint:
    config = _json(root / "config.json")
    kind = config.get("_class_name") or next(iter(config.get("architectures") or ()), "")
    name = root.resolve().name
    if name not in COMPONENTS:
        named = (("UNet", "unet"), ("Transformer", "transformer"), ("CLIPText", "text_encoder"), ("T5", "text_encoder"))
        name = next((component for sign, component in named if sign in str(kind)), "")
    if not name:
        raise ModelError(f"{root} holds a {kind or 'model without a class name'}, which no adapter changes.")
    return _open_components(root, "component", {name: weight_files(root)})


def _open_components(
    root: Path, kind: Literal["pipeline", "component"], components: Mapping[str, tuple[Path, ...]]
) -> Checkpoint:
    files = {file: headers.read(file, ModelError) for shards in components.values() for file in shards}
    parameters: dict[str, Place] = {}
    for component, shards in components.items():
        for file in shards:
            for key, entry in files[file].tensors.items():
                name = canonical(key) if component.startswith("text_encoder") else key
                place = Place(file, key, entry, whole(entry.shape))
                if parameters.setdefault(f"{component}.{name}", place) is not place:
                    raise ModelError(f"{root}: two of its files hold {key}. Download the model again.")
    shapes = {
        name.removesuffix(".weight"): place.entry.shape
        for name, place in parameters.items()
        if name.endswith(".weight") and not name.startswith("text_encoder")
    }
    return Checkpoint(root, kind, names.recognise(shapes) if shapes else "", components, files, parameters)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the safetensors files of a component's folder that a loader would take: all shards of one variant.

    Raises:
        ModelError: there is none, or the index is broken.
    """
    for stem in STEMS:
        if (index := folder / f"{stem}.safetensors.index.json").is_file():
            return _shards(index)
        if (single := folder / f"{stem}.safetensors").is_file():
            return (single,)
    for stem in STEMS:
        # fp16 comes before the variants that nobody loads by default (non_ema)
        for variant in ("fp16", "bf16", "fp32"):
            for name in (f"{stem}.safetensors.index.{variant}.json", f"{stem}.{variant}.safetensors.index.json"):
                if (folder / name).is_file():
                    return _shards(folder / name)
            if (single := folder / f"{stem}.{variant}.safetensors").is_file():
                return (single,)
    if found := [file.name for file in sorted(folder.glob("*")) if file.suffix in PICKLES]:
        raise ModelError(
            f"{folder} has its weights only as a pickle ({found[0]}), which can run code. "
            "Download the model's safetensors files."
        )
    raise ModelError(f"The base model has no weights in {folder} ({STEMS[0]}.safetensors). Download it again.")


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        shards = sorted(set(_json(index)["weight_map"].values()))
        if outside := [name for name in shards if Path(name).name != name]:
            raise ValueError(f"it points outside its folder ({few(outside)})")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{index} cannot be read: {error}. Download the model again.") from error
    if not shards:
        raise ModelError(f"{index} names no files. Download the model again.")
    if missing := [name for name in shards if not (index.parent / name).is_file()]:
        raise ModelError(f"{index.parent} lacks {few(missing)}, which its index names. Download the model again.")
    return tuple(index.parent / name for name in shards)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Download the model again.") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no JSON object. Download the model again.")
    return found
