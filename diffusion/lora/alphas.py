"""Alpha: the number that the scale of a low-rank change is made of, and the five places where files keep it.

The scale is alpha / rank (2106.09685), or alpha / sqrt(rank) when rank-stabilised (2312.03732). First of these wins:

1. what the user gives                                              "given"
2. the module's `.alpha` tensor (kohya, LyCORIS, ComfyUI)           "tensor"
3. the header's `lora_adapter_metadata`: a PEFT configuration per component, keys `transformer.r`, `.lora_alpha`,
   `.alpha_pattern`, `.use_rslora` (diffusers)                      "lora_adapter_metadata"
4. the header's `lora_config` (finetrainers) or `ss_network_alpha` with `conv_alpha` of `ss_network_args` (kohya)
                                                                    "lora_config", "ss_network_alpha"
5. `adapter_config.json` beside a file that PEFT saved              "adapter_config"
6. the rank, so that the scale is 1, with a warning unless the format is defined so    "rank"
   (CogVideo's SAT, which never writes it: its default, 1         "format")

    >>> sources = Sources({"lora_config": '{"r": 4, "lora_alpha": 2}'})
    >>> sources.alpha("transformer.transformer_blocks.0.attn1.to_q", rank=4)
    Alpha(value=2.0, rank_stabilized=False, source='lora_config')
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from ..errors import LoraFileError, SettingError
from .patterns import Patterns

PEFT = "lora_adapter_metadata"
MOST = 1e6
"""A scale above this is damage: its products leave the range of 16-bit numbers whatever the factors are."""


class Alpha(NamedTuple):
    """value: alpha. rank_stabilized: the scale is alpha / sqrt(rank). source: where it was found; see above."""

    value: float
    rank_stabilized: bool
    source: str


@dataclass(frozen=True)
class Sources:
    """What a file and its neighbours say of alpha. given: by the user. adapter_config: PEFT's. path: for messages."""

    metadata: Mapping[str, str]
    adapter_config: Mapping[str, Any] | None = None
    given: float | None = None
    path: str = "the file"
    _patterns: dict[int, Patterns] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.given is not None and not 0 < self.given <= MOST:
            raise SettingError(
                "alpha", self.given, f"must be a number above 0, at most {MOST:g}; leave it out to take the file's."
            )

    def alpha(self, module: str, rank: int, tensor: float | None = None, kernel: int = 1, called: str = "") -> Alpha:
        """Return the alpha of a module (its canonical name).

        Args:
            tensor: what its `.alpha` holds. kernel: of a convolution. called: its name in the file, without what all
                names there begin with; patterns may speak of that.

        Raises:
            LoraFileError: alpha is not a number, or a configuration in the header is unreadable.
        """
        found = self._find(module, rank, tensor, kernel, called)
        if not abs(found.value) <= MOST * rank:
            raise LoraFileError(
                f"{self.path} is damaged: the alpha of {module} is {found.value:g} at rank {rank}, which is no scale. "
                "Give alpha yourself, or save the file again."
            )
        return found

    def _find(self, module: str, rank: int, tensor: float | None, kernel: int, called: str) -> Alpha:
        component, _, name = module.partition(".")
        names = (name, called) if called and called != name else (name,)
        if self.given is not None:
            return Alpha(float(self.given), self._rank_stabilized(component), "given")
        if tensor is not None:
            return Alpha(tensor, False, "tensor")
        config = self.configs.get(component) or self.configs.get("")
        for where, settings in ((PEFT, config), ("lora_config", self.lora_config)):
            if settings is not None and (value := self._from_config(where, settings, names)) is not None:
                return Alpha(value, bool(settings.get("use_rslora")), where)
        if (value := self._from_kohya(kernel)) is not None:
            return Alpha(value, False, "ss_network_alpha")
        beside = self.adapter_config
        if beside is not None and (value := self._from_config("adapter_config.json", beside, names)) is not None:
            return Alpha(value, bool(beside.get("use_rslora")), "adapter_config")
        return Alpha(float(rank), False, "rank")

    def _rank_stabilized(self, component: str) -> bool:
        """What the file says of the convention, if anything."""
        config = self.configs.get(component) or self.configs.get("") or self.lora_config or self.adapter_config
        return bool(config and config.get("use_rslora"))

    @property
    def says_dora(self) -> bool:
        """Whether the configuration of some component, or PEFT's, is of a DoRA."""
        try:
            configs = [*self.configs.values()]
        except LoraFileError:  # an error only where alpha is looked for in it
            configs = []
        return any(config.get("use_dora") for config in (*configs, self.adapter_config or {}))

    @cached_property
    def configs(self) -> dict[str, dict[str, Any]]:
        """`lora_adapter_metadata` by component ("" for keys without one)."""
        found: dict[str, dict[str, Any]] = {}
        for key, value in (self._json(PEFT) or {}).items():
            component, _, setting = key.rpartition(".")
            found.setdefault(component, {})[setting] = value
        return found

    @cached_property
    def lora_config(self) -> dict[str, Any] | None:
        """The header's `lora_config`."""
        return self._json("lora_config")

    def _json(self, key: str) -> dict[str, Any] | None:
        if key not in self.metadata:
            return None
        try:
            value = json.loads(self.metadata[key])
            if not isinstance(value, dict):
                raise ValueError("it is not a table of settings")
            return value
        except (ValueError, RecursionError) as error:
            if self.given is not None:  # then nothing of it is needed
                return None
            raise self._unreadable(key, error) from error

    def _unreadable(self, where: str, error: object) -> LoraFileError:
        return LoraFileError(
            f"{self.path} has an unreadable {where}: {error}. Give alpha yourself, or save the file again."
        )

    def _from_config(self, where: str, config: Mapping[str, Any], names: Sequence[str]) -> float | None:
        try:
            if id(config) not in self._patterns:
                self._patterns[id(config)] = Patterns(config.get("alpha_pattern") or {})
            for name in names:
                if (value := self._patterns[id(config)].find(name)) is not None:
                    return value
            alpha = config.get("lora_alpha", config.get("alpha"))
            return None if alpha is None else float(alpha)
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise self._unreadable(where, error) from error

    def _from_kohya(self, kernel: int) -> float | None:
        alpha = self.metadata.get("ss_network_alpha", "None")
        if kernel > 1:
            try:
                arguments = json.loads(self.metadata.get("ss_network_args", "{}")) or {}
                alpha = str(arguments.get("conv_alpha", alpha))
            except (ValueError, AttributeError, RecursionError) as error:
                raise self._unreadable("ss_network_args", error) from error
        if alpha in ("None", ""):
            return None
        try:
            return float(alpha)
        except ValueError as error:
            raise self._unreadable("ss_network_alpha", error) from error
