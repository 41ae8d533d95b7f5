"""The adapters on one model, or on all the models of a pipeline that LoRAs change: on, off, how strongly.

    adapters = Adapters(pipeline)
    adapters.attach("style", reading.load("style.safetensors"))      # off
    adapters.set_strengths({"style": 0.8})                           # exactly these are on; every other one is off
    adapters.remove("style")

Nothing of the models is replaced or written to: what acts is a forward hook on each module concerned, and there is none
where nothing acts. So base weights, names and state dicts stay as they are, switching costs no arithmetic, and a model
without active adapters is the model as it was loaded. Names are compared exactly.

What changes from step to step (`Active.schedule`) and from picture to picture (`Active.lines`) is told by whoever
draws: `batch` says which prompts a batch holds, `step` which step comes next, `rest` that it is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import ref

from torch import Tensor, nn

from ..errors import LoraMismatch, SettingError, few, nearest
from ..lora.model import Lora
from .layer import Acting, Layer
from .products import Memo
from .rows import Rows
from .uses import Schedule

PARTS = ("transformer", "unet", "text_encoder")


class Active(NamedTuple):
    """An attached adapter that is on; see `Use` for the fields."""

    name: str
    strength: float
    blocks: str = ""
    schedule: Schedule | None = None
    lines: tuple[int, ...] = ()


class _Attached(NamedTuple):
    layers: Mapping[str, Layer]
    family: str
    size: int


class Adapters:
    """The adapters of `target`: a pipeline, or one model, which is then called `component` in the LoRA's names.

    exact: keep their tensors in the dtype of the file, to work on the weights (`planned`). Otherwise they take that of
    the weights, as PEFT's do.
    """

    def __init__(self, target: Any, component: str = "", exact: bool = False) -> None:
        models = {component or component_of(target): target} if isinstance(target, nn.Module) else parts_of(target)
        self._models = {name: ref(model) for name, model in models.items()}
        self._exact = exact
        self._attached: dict[str, _Attached] = {}
        self._layers: dict[str, Layer] = {}
        self._active: tuple[Active, ...] = ()
        self._factors: dict[tuple[str, str], Mapping[str, float]] = {}
        self._strengths: tuple[float, ...] = ()
        self._rows: Rows | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of what is attached, on or off; what was on last comes last."""
        return tuple(self._attached)

    def active(self) -> tuple[Active, ...]:
        """Return what is on, in the order in which it acts."""
        return self._active

    def strengths(self) -> dict[str, float]:
        """Return the strength of each adapter that is on, as it was asked for."""
        return {active.name: active.strength for active in self._active}

    def size(self, name: str) -> int:
        """Return how many bytes of memory an adapter takes; what its modules share counts once."""
        return self._known(name).size

    def is_for(self, pipeline: Any) -> bool:
        """Whether the pipeline still has the models that this is on."""
        models = parts_of(pipeline)
        return models.keys() == self._models.keys() and all(self._models[name]() is models[name] for name in models)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return {canonical name: shape} of all weights and biases of the models."""
        if not self._shapes:
            for part, model in self._here().items():
                prefix = f"{part}.{_clip(model)}"
                for name, value in model.named_parameters():
                    if ".lora_" not in name:
                        self._shapes[prefix + name.replace(".base_layer.", ".")] = tuple(value.shape)
        return self._shapes

    def attach(self, name: str, lora: Lora, modules: Iterable[str] | None = None) -> None:
        """Attach a LoRA under a new name; it is off. `modules`: only these of it (canonical names).

        Raises:
            LoraMismatch: a module of it is not there or has another shape, or the model has been compiled; nothing is
                attached then.
            SettingError: the name is taken.
        """
        if name in self._attached:
            raise SettingError("name", name, "there is an adapter of that name; remove it first, or choose another.")
        chosen = lora.changes.keys() if modules is None else [key for key in modules if key in lora.changes]
        missing = []
        found: dict[str, Layer] = {}
        memo: Memo = {}
        models = self._here()
        if not self._exact:
            _refuse_compiled(models)
        for key in chosen:
            layer = self._layers.get(key)
            if layer is None:
                module = _find(models, key)
                if module is None:
                    missing.append(key)
                    continue
                layer = Layer(key, module, self._exact)
            found[key] = layer
        try:
            if missing or not found:
                raise LoraMismatch(_homeless(lora, missing, len(chosen), models))
            for key, layer in found.items():
                layer.add(name, lora.changes[key], memo)
        except BaseException:
            for layer in found.values():
                layer.drop(name)
            raise
        self._layers |= found
        storages = (tensor.untyped_storage() for layer in found.values() for tensor in layer.tensors(name))
        size = sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
        self._attached[name] = _Attached(found, lora.family, size)

    def set_strengths(self, strengths: Mapping[str, float]) -> None:
        """Switch on exactly these adapters, which act in this order; see `play`."""
        self.play([Active(name, strength) for name, strength in strengths.items()])

    def play(self, active: Sequence[Active]) -> None:
        """Switch on exactly these, in this order. The same adapter may be there several times, in different places.

        Raises:
            SettingError: a name that is not attached, or `blocks` that fit nothing; nothing changes then.
        """
        for one in active:
            self._known(one.name)
            self._factor(one)
        for one in active:
            self._attached[one.name] = self._attached.pop(one.name)
        self._active = tuple(active)
        self._end_batch()
        self._follow(tuple(one.strength for one in active))

    def remove(self, name: str) -> None:
        """Switch an adapter off and forget it. Raises SettingError if there is none of that name."""
        attached = self._known(name)
        if any(one.name == name for one in self._active):
            self.play([one for one in self._active if one.name != name])
        for key, layer in attached.layers.items():
            layer.drop(name)
            if not layer.changes:
                del self._layers[key]
        del self._attached[name]
        self._factors = {key: value for key, value in self._factors.items() if key[0] != name}

    def batch(self, lines: Sequence[int]) -> None:
        """Say which line each picture of the next batch is of: row i of the models' inputs is of line lines[i].

        A batch may come several times over in one input (both halves of classifier-free guidance at once). Until
        this is said, every adapter acts on all pictures.
        """
        self._end_batch()
        if any(one.lines for one in self._active):
            groups: dict[tuple[bool, ...], list[int]] = {}
            for row, line in enumerate(lines):
                groups.setdefault(tuple(not one.lines or line in one.lines for one in self._active), []).append(row)
            self._rows = Rows(len(lines), list(groups.values()), list(groups), self._here())
        self._follow(self._strengths)

    def step(self, step: int, steps: int) -> None:
        """Say that step 0 .. steps - 1 comes next."""
        strengths = tuple(
            one.strength if one.schedule is None else one.schedule.strength(one.strength, step, steps)
            for one in self._active
        )
        if strengths != self._strengths:
            self._follow(strengths)

    def rest(self) -> None:
        """Say that drawing is over: strengths as they were asked for, one group."""
        strengths = tuple(one.strength for one in self._active)
        if self._rows is not None or strengths != self._strengths:
            self._end_batch()
            self._follow(strengths)

    def _end_batch(self) -> None:
        if self._rows is not None:
            self._rows.close()
        self._rows = None

    def planned(self) -> Iterator[tuple[Layer, Sequence[Acting]]]:
        """Yield each layer with what acts there on all pictures now."""
        for layer in self._layers.values():
            if layer.plan and layer.plan[0]:
                yield layer, layer.plan[0]

    def _follow(self, strengths: tuple[float, ...]) -> None:
        """Give every layer its plan."""
        self._strengths = strengths
        now = [
            (place, one.name, strengths[place], one.strength, self._factor(one))
            for place, one in enumerate(self._active)
            if strengths[place] or one.strength
        ]
        groups = self._rows.groups if self._rows is not None else None
        for key, layer in self._layers.items():
            acting: dict[int, Acting] = {}
            for place, name, strength, asked, factors in now:
                change = layer.changes.get(name)
                if change is None:
                    continue
                # text encoders have read the prompts before the first step
                total = (asked if key.startswith("text_encoder") else strength) * (factors[key] if factors else 1.0)
                if total:
                    acting[place] = Acting(total, change)
            if groups is None:
                layer.follow((tuple(acting.values()),), None)
            else:
                plan = [tuple(one for place, one in acting.items() if group[place]) for group in groups]
                assert self._rows is not None
                layer.follow(plan, self._rows.of(key.partition(".")[0]))

    def _factor(self, one: Active) -> Mapping[str, float]:
        if not one.blocks.strip():
            return {}
        key = (one.name, one.blocks)
        if key not in self._factors:
            from ..lora import blocks

            attached = self._attached[one.name]
            self._factors[key] = blocks.strengths(one.blocks, attached.layers, attached.family)
        return self._factors[key]

    def _known(self, name: str) -> _Attached:
        if name not in self._attached:
            there = f"Attached: {few(self._attached, 8)}." if self._attached else "None is attached."
            raise SettingError(
                "name", name, f"there is no adapter of that name.{nearest(name, self._attached)} {there}"
            )
        return self._attached[name]

    def _here(self) -> dict[str, nn.Module]:
        models = {name: model() for name, model in self._models.items()}
        gone = [name for name, model in models.items() if model is None]
        if gone:
            raise RuntimeError(f"the adapters' model has been deleted: {few(gone)}")
        return {name: model for name, model in models.items() if model is not None}


def parts_of(pipeline: Any) -> dict[str, nn.Module]:
    """Return the models of a pipeline that LoRAs are made for, by component."""
    return {
        name: model
        for name, model in pipeline.components.items()
        if isinstance(model, nn.Module) and name.startswith(PARTS)
    }


def component_of(model: nn.Module) -> str:
    """Return what a model is called in a pipeline, as its class tells."""
    kind = type(model).__name__
    if "UNet" in kind:
        return "unet"
    return "text_encoder" if kind.startswith(("CLIPText", "T5", "UMT5")) else "transformer"


def _clip(model: nn.Module) -> str:
    """LoRA files name CLIP's layers as transformers did when the text model was a part of its class."""
    return "text_model." if type(model).__name__ == "CLIPTextModel" and not hasattr(model, "text_model") else ""


def _find(models: Mapping[str, nn.Module], key: str) -> nn.Module | None:
    """Return the module of a canonical name that has a weight; what PEFT has wrapped is looked into."""
    part, _, path = key.partition(".")
    if part not in models:
        return None
    module: Any = models[part]
    for step in path.removeprefix(_clip(module)).split("."):
        module = module._modules.get(step)
        if module is None:
            return None
    module = getattr(module, "base_layer", module)
    return module if isinstance(getattr(module, "weight", None), Tensor) else None


def _refuse_compiled(models: Mapping[str, nn.Module]) -> None:
    """Raise LoraMismatch where hooks would be left out: compiled code takes no notice of those that come later."""
    for part, model in models.items():
        if any(module._compiled_call_impl is not None or hasattr(module, "_orig_mod") for module in model.modules()):
            raise LoraMismatch(
                f"The base's {part} has been compiled (torch.compile), and would go on without the LoRA in silence. "
                "Load the base without compiling it, or add the LoRA into its weights with `fused`."
            )


def _homeless(lora: Lora, missing: Sequence[str], count: int, models: Mapping[str, nn.Module]) -> str:
    if not count:
        return "The LoRA has no module that could be attached."
    made_for = f" It seems made for {lora.family}." if lora.family else ""
    kinds = few((type(model).__name__ for model in models.values()), 4)
    return (
        f"{len(missing)} of the {count} modules of the LoRA are not in the base ({kinds}): {few(missing)}.{made_for} "
        "Use a LoRA made for this base."
    )
