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
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from ..errors import LoraFileError, SettingError

PEFT = "lora_adapter_metadata"


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
    _patterns: dict[int, list[tuple[re.Pattern[str], float]]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.given is not None and not (math.isfinite(self.given) and self.given > 0):
            raise SettingError("alpha", self.given, "must be a number above 0; leave it out to take the file's.")

    def alpha(self, module: str, rank: int, tensor: float | None = None, kernel: int = 1) -> Alpha:
        """Return the alpha of a module (its canonical name). tensor: what its `.alpha` holds; kernel: of a convolution.

        Raises:
            LoraFileError: alpha is not a number, or a configuration in the header is unreadable.
        """
        found = self._find(module, rank, tensor, kernel)
        if not math.isfinite(found.value):
            raise LoraFileError(f"{self.path} is damaged: the alpha of {module} is not a number. Save it again.")
        return found

    def _find(self, module: str, rank: int, tensor: float | None, kernel: int) -> Alpha:
        component, _, name = module.partition(".")
        if self.given is not None:
            return Alpha(float(self.given), self._rank_stabilized(component), "given")
        if tensor is not None:
            return Alpha(tensor, False, "tensor")
        config = self.configs.get(component) or self.configs.get("")
        for where, settings in ((PEFT, config), ("lora_config", self.lora_config)):
            if settings is not None and (value := self._from_config(where, settings, name)) is not None:
                return Alpha(value, bool(settings.get("use_rslora")), where)
        if (value := self._from_kohya(kernel)) is not None:
            return Alpha(value, False, "ss_network_alpha")
        beside = self.adapter_config
        if beside is not None and (value := self._from_config("adapter_config.json", beside, name)) is not None:
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

    def _from_config(self, where: str, config: Mapping[str, Any], name: str) -> float | None:
        try:
            for pattern, value in self._compiled(config):
                if pattern.match(name):
                    return value
            alpha = config.get("lora_alpha", config.get("alpha"))
            return None if alpha is None else float(alpha)
        except (ValueError, TypeError, AttributeError, re.error, RecursionError, OverflowError) as error:
            raise self._unreadable(where, error) from error

    def _compiled(self, config: Mapping[str, Any]) -> list[tuple[re.Pattern[str], float]]:
        """PEFT's rule (peft.utils.get_pattern_key): a pattern matches the whole name or what follows a dot."""
        if id(config) not in self._patterns:
            patterns = config.get("alpha_pattern") or {}
            self._patterns[id(config)] = [
                (re.compile(rf"(.*\.)?({key})$"), float(value)) for key, value in patterns.items()
            ]
        return self._patterns[id(config)]

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
