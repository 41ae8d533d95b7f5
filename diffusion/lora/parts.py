"""The tensors of an adapter's file put together, module by module, from names and shapes alone; no torch.

A `Group` is what the file says of one module: {role: key}. Its `Form` is what that amounts to: which kind of change, of
which shape, rank, and axis. What doesn't fit together is refused here, before anything is read.

    {"down": [16, 64], "up": [3072, 16], "dora": [3072, 1]}   ->   Form("lora", (3072, 64), rank 16, dora "output")
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..errors import LoraFileError, few
from .header import Entry
from .roles import ALONE, split

Shape = tuple[int, ...]
Axis = Literal["output", "input"]
FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
WHOLE = ("I64", "I32")  # an alpha that was written as a whole number
MOST_DIMENSIONS = 5  # a convolution over space and time

LOHA = ("loha_w1_a", "loha_w1_b", "loha_w2_a", "loha_w2_b")
# the convolutions of a UNet whose kernel a flattened factor does not tell
_CONVOLUTION = re.compile(r"(^|\.)(conv|conv1|conv2|conv_in|conv_out)$")
KERNEL = (3, 3)


@dataclass
class Group:
    """What a file says of one module. `part`: which of a fused weight's targets; None for all of them."""

    stem: str
    part: int | None = None
    keys: dict[str, str] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)

    @property
    def label(self) -> str:
        """For messages."""
        return self.stem if self.part is None else f"{self.stem} (part {self.part})"


class Form(NamedTuple):
    """kind: "lora", "loha", "lokr", "full", "set" or "bias". shape: of the weight (of the bias, where that is all).
    rank: what alpha is divided by, 0 where alpha means nothing. most: the rank of the change at most."""

    kind: str
    shape: Shape
    rank: int
    most: int
    dora: Axis | None = None
    kernel: Shape = ()


def groups(tensors: Iterable[str], path: str) -> tuple[list[Group], list[str]]:
    """Return what the keys say of each module, and the keys whose ends mean nothing here.

    Raises:
        LoraFileError: two keys say the same of one module.
    """
    found: dict[tuple[str, int | None], Group] = {}
    unknown: list[str] = []
    for key in tensors:
        parts = split(key)
        if parts is None:
            unknown.append(key)
            continue
        group = found.setdefault((parts.stem, parts.part), Group(parts.stem, parts.part))
        if parts.role in group.keys:
            raise LoraFileError(
                f"{path} says the same twice: {group.keys[parts.role]} and {key} are both for {group.label}. "
                "It holds two adapters; save them as two files."
            )
        group.keys[parts.role] = key
        group.marks.add(parts.mark)
    return list(found.values()), unknown


def is_adapter(found: Iterable[Group]) -> bool:
    """Whether there is anything that only adapters hold."""
    return any(group.keys.keys() - ALONE for group in found)


def form(group: Group, tensors: Mapping[str, Entry], path: str) -> Form:
    """Return what a module's tensors amount to.

    Raises:
        LoraFileError: one is missing, has another shape or dtype than it must, or they are of several kinds.
    """
    shapes = {role: tensors[key].shape for role, key in group.keys.items()}
    for role, key in group.keys.items():
        allowed = (*FLOATS, *WHOLE) if role == "alpha" else FLOATS
        if role != "reshape" and tensors[key].dtype not in allowed:
            raise LoraFileError(
                f"{path}: {key} is stored as {tensors[key].dtype}. Quantised LoRAs are not read; use one saved as "
                "F32, F16 or BF16."
            )
        sized = 1 <= len(shapes[role]) <= MOST_DIMENSIONS and 0 not in shapes[role]
        if role not in ("alpha", "reshape") and not sized:
            raise LoraFileError(f"{path} is damaged: {key} has the shape {list(shapes[role])}.")
    return _Check(group, shapes, path).form()


class _Check:
    """The shapes of one module's tensors, against the rules of its kind."""

    def __init__(self, group: Group, shapes: Mapping[str, Shape], path: str) -> None:
        self.group, self.shapes, self.path = group, shapes, path

    def form(self) -> Form:
        kinds = [
            kind
            for kind, roles in (
                ("lora", {"down", "up", "mid"}),
                ("loha", {role for role in self.shapes if role.startswith("loha_")}),
                ("lokr", {role for role in self.shapes if role.startswith("lokr_")}),
                ("full", {"diff"}),
                ("set", {"set"}),
            )
            if roles & self.shapes.keys()
        ]
        if len(kinds) > 1:
            raise LoraFileError(
                f"{self.path} changes {self.group.label} in several ways at once ({', '.join(kinds)}). "
                "It holds several adapters; save them as files of their own."
            )
        if not kinds:
            return self._bias_alone()
        found: Form = getattr(self, f"_{kinds[0]}")()
        self._biases(found.shape)
        return found._replace(dora=self._dora(found))

    def _bias_alone(self) -> Form:
        if "diff_b" not in self.shapes:
            raise self._incomplete("the weights beside " + few(sorted(self.group.keys.values())))
        if self.shapes.keys() - {"diff_b", "alpha"}:
            raise self._incomplete("the pair")
        self._need(len(self.shapes["diff_b"]) == 1, "diff_b")
        return Form("bias", self.shapes["diff_b"], 0, 0)

    def _lora(self) -> Form:
        if missing := [role for role in ("down", "up") if role not in self.shapes]:
            raise self._incomplete({"down": "lora_A (lora_down)", "up": "lora_B (lora_up)"}[missing[0]])
        down, up = self.shapes["down"], self.shapes["up"]
        self._need(len(down) >= 2 and len(up) >= 2, "down", "up")
        self._need(down[0] == up[1] and set(up[2:]) <= {1}, "down", "up")
        kernel = down[2:]
        if mid := self.shapes.get("mid"):
            self._need(len(mid) > 2 and mid[:2] == (down[0], down[0]) and set(kernel) <= {1}, "down", "mid")
            kernel = mid[2:]
        shape = (up[0], down[1], *kernel)
        return Form("lora", shape, down[0], down[0], kernel=kernel)

    def _loha(self) -> Form:
        if missing := [role for role in LOHA if role not in self.shapes]:
            raise self._incomplete(missing[0].replace("loha", "hada"))
        a1, b1, a2, b2 = (self.shapes[role] for role in LOHA)
        self._need(all(len(shape) == 2 for shape in (a1, b1, a2, b2)), *LOHA)
        cores = [self.shapes[role] for role in ("loha_t1", "loha_t2") if role in self.shapes]
        if not cores:
            self._need(a1[0] == a2[0] and b1[1] == b2[1] and a1[1] == b1[0] and a2[1] == b2[0], *LOHA)
            shape: Shape = (a1[0], b1[1])
        else:
            if len(cores) == 1:
                raise self._incomplete("hada_t1 or hada_t2")
            # einsum("ij…,jr,ip->pr…", t, w_b, w_a)
            for core, a, b, role in ((cores[0], a1, b1, "loha_t1"), (cores[1], a2, b2, "loha_t2")):
                self._need(len(core) > 2 and core[:2] == (a[0], b[0]), role, *LOHA)
            self._need(a1[1] == a2[1] and b1[1] == b2[1] and cores[0][2:] == cores[1][2:], "loha_t1", *LOHA)
            shape = (a1[1], b1[1], *cores[0][2:])
        return Form("loha", shape, b1[0], self._most(b1[0] * b2[0], shape))

    def _lokr(self) -> Form:
        first, rank1 = self._factor("lokr_w1", "lokr_w1_a", "lokr_w1_b")
        second, rank2 = self._factor("lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")
        self._need(len(first) == 2, *(role for role in self.shapes if role.startswith("lokr_w1")))
        shape = (first[0] * second[0], first[1] * second[1], *second[2:])
        ranks = [rank or min(sides[0], math.prod(sides[1:])) for rank, sides in ((rank1, first), (rank2, second))]
        return Form("lokr", shape, rank2 or rank1, self._most(ranks[0] * ranks[1], shape))

    def _factor(self, whole: str, a: str, b: str, core: str = "") -> tuple[Shape, int]:
        """The shape of one side of a Kronecker product, and its rank where it is decomposed, else 0."""
        if whole in self.shapes:
            if extra := [role for role in (a, b, core) if role in self.shapes]:
                raise LoraFileError(f"{self.path} is damaged: {self.group.label} has both {whole} and {few(extra)}.")
            self._need(len(self.shapes[whole]) >= 2, whole)
            return self.shapes[whole], 0
        if missing := [role for role in (a, b) if role not in self.shapes]:
            raise self._incomplete(missing[0])
        left, right = self.shapes[a], self.shapes[b]
        self._need(len(left) == 2 and len(right) == 2, a, b)
        if core in self.shapes:
            middle = self.shapes[core]
            self._need(len(middle) > 2 and middle[:2] == (left[0], right[0]), a, b, core)
            return (left[1], right[1], *middle[2:]), right[0]
        self._need(left[1] == right[0], a, b)
        return (left[0], right[1]), right[0]

    def _full(self) -> Form:
        shape = self.shapes["diff"]
        return Form("full", shape, 0, self._most(shape[0], shape))

    def _set(self) -> Form:
        return Form("set", self.shapes["set"], 0, 0)

    def _biases(self, shape: Shape) -> None:
        for role in ("up_bias", "diff_b"):
            if role in self.shapes:
                self._need(self.shapes[role] == shape[:1], role)
        if {"up_bias", "diff_b"} <= self.shapes.keys():
            raise LoraFileError(f"{self.path} is damaged: {self.group.label} has two biases.")
        if "up_bias" in self.shapes and "up" not in self.shapes:
            raise self._incomplete("lora_B")

    def _dora(self, found: Form) -> Axis | None:
        if not {"dora", "magnitude"} & self.shapes.keys():
            return None
        if {"dora", "magnitude"} <= self.shapes.keys() or found.kind in ("full", "set") or len(found.shape) < 2:
            raise LoraFileError(f"{self.path} is damaged: {self.group.label} has a DoRA magnitude that fits nothing.")
        out, inside = found.shape[:2]
        if "magnitude" in self.shapes:
            # PEFT's convolutions keep it as [1, out, 1, 1]
            self._need(math.prod(self.shapes["magnitude"]) == out, "magnitude")
            return "output"
        shape = self.shapes["dora"]
        if shape[0] == out and math.prod(shape) == out:
            return "output"
        self._need(len(shape) >= 2 and shape[0] == 1 and math.prod(shape) == shape[1], "dora")
        # the inputs of a flattened convolution are counted once for each place of its kernel
        flattened = found.kind in ("loha", "lokr") and len(found.shape) == 2
        self._need(shape[1] == inside or (flattened and inside % shape[1] == 0), "dora")
        return "input"

    @staticmethod
    def _most(rank: int, shape: Shape) -> int:
        return min(rank, shape[0], math.prod(shape[1:]))

    def _incomplete(self, what: str) -> LoraFileError:
        return LoraFileError(f"{self.path} is incomplete: {what} is missing for {self.group.label}. Save it again.")

    def _need(self, right: bool, *roles: str) -> None:
        if not right:
            listed = " and ".join(str(list(self.shapes[role])) for role in roles if role in self.shapes)
            raise LoraFileError(
                f"{self.path} is damaged: the tensors of {self.group.label} do not fit together ({listed})."
            )


def kernel(canonical: str, shape: Shape) -> Shape:
    """Return the kernel of a UNet's convolution whose change was stored flattened, as its name tells; () if it is none.

    >>> kernel("unet.down_blocks.0.resnets.0.conv1", (320, 2880))
    (3, 3)
    """
    component, _, name = canonical.partition(".")
    if component != "unet" or len(shape) != 2 or not _CONVOLUTION.search(name) or shape[1] % math.prod(KERNEL):
        return ()
    return KERNEL
