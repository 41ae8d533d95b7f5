"""One layer of a model and what the active adapters make of its output. The layer itself is not touched.

The adapters act one after the other, in the order they were asked for, as baking them one after the other would:

    plain       y += t D x                                     (and + t d for a bias)
    DoRA, rows  y += t ((s - 1)(y - b) + s D x)                s = m / |W + D| for each output
    DoRA, cols  y += t (W ((s - 1) x) + D (s x))               s for each input of a linear layer
    else        y += (W' - W) x                                the difference is built and kept

where W and b are the weight and bias that the adapters before it have left, and t the strength; W' and D are defined
in `lora.model`. So it is for linear layers and convolutions, whose output y is changed by a forward hook. Any other
module, say a norm, is computed anew by a twin: a copy that shares all but the changed weight and bias.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import LoraMismatch
from ..lora.delta import LowRank
from ..lora.model import Change
from .products import LAYERS, Memo, fitted, moved, scaling, through, times, weight_of

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
KEPT = 4  # of what is computed from the weight (norms, twins), a layer remembers so many states, or one for each group


class Acting(NamedTuple):
    """A change at a strength, as one active adapter has it on one layer."""

    strength: float
    change: Change


Rows = Callable[[int], Sequence[Tensor]]
"""Number of rows of an input -> for each group of pictures the rows that are theirs."""


class Layer:
    """A module and the changes that adapters have for it, by adapter name; `name` is the module's canonical one.

    exact: their tensors keep the dtype of the file. plan: what acts, see `follow`.
    """

    def __init__(self, name: str, module: nn.Module, exact: bool = False) -> None:
        self.name = name
        self.module = module
        self.changes: dict[str, Change] = {}
        self.simple = isinstance(module, LAYERS)
        weight = weight_of(module)
        self.device = torch.device("cpu") if weight.is_meta else weight.device
        self._dtype = weight.dtype if weight.dtype in FLOATS and not exact else None
        self.plan: Sequence[Sequence[Acting]] = ()
        self._rows: Rows | None = None
        self._handle: Any = None
        self._kept: dict[Any, Any] = {}

    def add(self, name: str, change: Change, memo: Memo) -> None:
        """Take the change of an adapter, in the dtype of the weight as PEFT does; it acts once a plan has it.

        Raises:
            LoraMismatch: the change is not one for this module.
        """
        if change.widens:
            raise LoraMismatch(
                f"It gives {self.name} more inputs than the base has: a control LoRA, which needs a control pipeline. "
                "Use it there."
            )
        change = fitted(change, self.module)
        weight = weight_of(self.module)
        if change.shape is not None and change.shape != tuple(weight.shape):
            raise LoraMismatch(
                f"{self.name} is {list(change.shape)} in the LoRA, {list(weight.shape)} in the base. "
                "Use a LoRA made for this base."
            )
        if change.bias is not None and not self.simple and "bias" not in self.module._parameters:
            raise LoraMismatch(f"{self.name} has no bias in the base. Use a LoRA made for this base.")
        self.changes[name] = moved(change, self.device, self._dtype, memo)

    def tensors(self, name: str) -> list[Tensor]:
        """Return what an adapter's change holds."""
        change = self.changes[name]
        parts = [record for record in (change, change.delta, change.magnitude) if record is not None]
        return [value for record in parts for value in vars(record).values() if isinstance(value, Tensor)]

    def drop(self, name: str) -> None:
        """Forget an adapter."""
        self.changes.pop(name, None)
        self._kept.clear()

    def follow(self, plan: Sequence[Sequence[Acting]], rows: Rows | None) -> None:
        """Act by this plan from now on: what acts on each group of pictures (on all where `rows` is None).

        Without anything to do, the module has no hook.
        """
        self.plan, self._rows = plan, rows
        wanted = any(plan)
        if wanted and self._handle is None:
            hook: Any = self._change if self.simple else self._replace
            self._handle = self.module.register_forward_hook(hook, with_kwargs=not self.simple)
        elif not wanted and self._handle is not None:
            self._handle.remove()
            self._handle = None
            self._kept.clear()

    def weight(self, acting: Sequence[Acting]) -> Tensor:
        """Return the weight in fp32 (fp64 where it is so stored) as these changes leave it.

        Raises:
            LoraMismatch: the weight is quantised, or not in memory.
        """
        weight = weight_of(self.module).detach()
        if weight.dtype not in FLOATS or weight.is_meta:
            state = "not in memory (offloaded)" if weight.is_meta else f"stored as {weight.dtype}"
            raise LoraMismatch(
                f"{self.name} is {state}, but the LoRA needs the weight itself there (DoRA, or a new weight). "
                "Load the base in full precision and without offloading."
            )
        weight = weight.to(torch.float64 if weight.dtype == torch.float64 else torch.float32)
        for strength, change in acting:
            if change.additive and isinstance(change.delta, LowRank):
                down, up = change.delta.factors(weight.dtype)
                # in PEFT's order: the same numbers to the last bit
                weight = weight + ((up @ down) * scaling(change.delta, strength)).reshape(weight.shape)
            else:
                weight = change.weight(weight, strength)
        return weight

    def bias(self, acting: Sequence[Acting]) -> Tensor | None:
        """Return the bias as these changes leave it."""
        bias = self.module.bias if hasattr(self.module, "bias") else None
        assert bias is None or isinstance(bias, Tensor)
        for strength, change in acting:
            if change.bias is not None:
                more = strength * change.bias.to(weight_of(self.module).dtype)
                bias = more if bias is None else bias + more
        return bias

    def _change(self, module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x = given[0]
        if x.device != self.device:
            self._move(x.device)
        if self._rows is None:
            return self._run(self.plan[0], x, output, _bias(module)).to(output.dtype)
        result = output.clone()
        for rows, acting in zip(self._rows(len(x)), self.plan, strict=True):
            if acting:
                rows = rows.to(x.device)
                result[rows] = self._run(acting, x[rows], output[rows], _bias(module)).to(output.dtype)
        return result

    def _replace(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: Tensor) -> Tensor:
        if output.device != self.device:
            self._move(output.device)
        if self._rows is None:
            return self._twin(self.plan[0], given, named)
        result = output.clone()
        for rows, acting in zip(self._rows(len(output)), self.plan, strict=True):
            if acting:
                rows = rows.to(output.device)

                def part(value: Any, rows: Tensor = rows) -> Any:
                    whole = isinstance(value, Tensor) and value.ndim and len(value) == len(output)
                    return value[rows] if whole else value

                theirs = {key: part(value) for key, value in named.items()}
                result[rows] = self._twin(acting, tuple(map(part, given)), theirs)
        return result

    def _run(
        self, acting: Sequence[Acting], x: Tensor, result: Tensor, bias: Tensor | None, biased: bool = True
    ) -> Tensor:
        """Return `result`, the layer's output for x, as the adapters change it.

        bias: the one that is in it. biased: the adapters' biases are to be added too.
        """
        if self._dtype is not None and x.dtype != self._dtype:
            x = x.to(self._dtype)
        for place, (strength, change) in enumerate(acting):
            if not change.additive:
                result = result + self._moves(acting[:place], acting[place], x, result, bias)
            elif change.delta is not None:
                result = result + times(change.delta, x, self.module) * scaling(change.delta, strength)
            if change.bias is not None and biased:
                more = change.bias * strength
                result = result + self._channels(more)
                bias = more if bias is None else bias + more
        return result

    def _moves(self, before: Sequence[Acting], own: Acting, x: Tensor, result: Tensor, bias: Tensor | None) -> Tensor:
        """Return what a change adds that depends on the weight, which `before` have changed already."""
        strength, change = own
        delta, magnitude = change.delta, change.magnitude
        key = (id(change), *((id(other), theirs) for theirs, other in before))
        linear = isinstance(self.module, nn.Linear)
        if (
            change.set_weight is None
            and magnitude is not None
            and delta is not None
            and (magnitude.axis == 0 or linear)
        ):
            share: Tensor = self._keep(key, lambda: self._shares(before, change)).to(x.dtype)
            scale = scaling(delta, 1.0)
            if magnitude.axis == 0:
                share = self._channels(share)
                plain = result if bias is None else result - self._channels(bias)
                return strength * ((share - 1) * plain + share * times(delta, x, self.module) * scale)
            extra = (share - 1) * x
            product = through(self.module, extra, weight_of(self.module).to(x.dtype))
            product = self._run(before, extra, product, None, biased=False)
            return strength * (product + times(delta, share * x, self.module) * scale)

        def difference() -> Tensor:
            start = self.weight(before)
            return change.weight(start, strength) - start

        return through(self.module, x, self._keep((strength, *key), difference).to(x.dtype))

    def _shares(self, before: Sequence[Acting], change: Change) -> Tensor:
        """Return m / |W + D|, one for each output or input."""
        assert change.delta is not None and change.magnitude is not None
        weight = self.weight(before)
        norm = (weight + change.delta.dense(weight.dtype)).flatten(1).norm(dim=1 - change.magnitude.axis)
        return change.magnitude.vector.to(weight.dtype).flatten() / norm

    def _twin(self, acting: Sequence[Acting], given: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
        key = tuple((id(change), strength) for strength, change in acting)
        twin = self._keep(key, lambda: self._make_twin(acting))
        result: Tensor = type(twin).forward(twin, *given, **named)
        return result

    def _make_twin(self, acting: Sequence[Acting]) -> nn.Module:
        twin = copy.copy(self.module)
        twin._forward_hooks, twin._forward_pre_hooks = OrderedDict(), OrderedDict()
        weight = self.weight(acting).to(weight_of(self.module).dtype)
        changed = {**self.module._parameters, "weight": nn.Parameter(weight, requires_grad=False)}
        bias = self.bias(acting)
        if bias is not None:
            changed["bias"] = nn.Parameter(bias, requires_grad=False)
        twin._parameters = changed
        return twin

    def _move(self, device: torch.device) -> None:
        """Follow the model to another device."""
        memo: Memo = {}
        new = {id(change): moved(change, device, None, memo) for change in self.changes.values()}
        self.plan = [[Acting(strength, new[id(change)]) for strength, change in acting] for acting in self.plan]
        self.changes = {name: new[id(change)] for name, change in self.changes.items()}
        self.device = device
        self._kept.clear()

    def _keep(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            while len(self._kept) >= max(KEPT, len(self.plan)):
                del self._kept[next(iter(self._kept))]
            self._kept[key] = make()
        return self._kept[key]

    def _channels(self, vector: Tensor) -> Tensor:
        """[out] shaped to go with the output."""
        return vector if isinstance(self.module, nn.Linear) else vector.reshape(-1, *_ones(self.module))


def _ones(module: nn.Module) -> tuple[int, ...]:
    return (1,) * (weight_of(module).ndim - 2)


def _bias(module: nn.Module) -> Tensor | None:
    bias = module.bias
    assert bias is None or isinstance(bias, Tensor)
    return bias
