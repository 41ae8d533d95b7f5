"""Which rows of a layer's input belong to which pictures of a batch, where pictures have adapters of their own.

A model's input has all pictures once, or several times over (both halves of classifier-free guidance); a layer may see
each row of that several times in a row (frames). The first is told by the model's input, so that is looked at:

    3 pictures, 6 rows into the model, 12 rows into the layer:    0 0 1 1 2 2 0 0 1 1 2 2
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError


class Rows:
    """The rows of one batch.

    groups: for each group, which of the active adapters act on it. rows: the pictures of each group, by their place in
    the batch. models: by component; the size of their input is watched until `close`.
    """

    def __init__(
        self, pictures: int, rows: list[list[int]], groups: list[tuple[bool, ...]], models: Mapping[str, nn.Module]
    ) -> None:
        self.groups = groups
        self._pictures, self._members = pictures, rows
        self._batches: dict[str, int] = {}
        self._known: dict[tuple[int, int], list[Tensor]] = {}
        self._handles = [
            model.register_forward_pre_hook(self._entering(part), with_kwargs=True) for part, model in models.items()
        ]

    def of(self, part: str) -> Any:
        """Return the function for layers of a model: rows of an input -> rows of each group."""
        return lambda count: self._split(part, count)

    def close(self) -> None:
        """Take the hooks off the models."""
        for handle in self._handles:
            handle.remove()

    def _entering(self, part: str) -> Any:
        def note(model: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
            tensors = (value for value in (*given, *named.values()) if isinstance(value, Tensor) and value.ndim > 1)
            first = named.get("hidden_states", named.get("sample", named.get("input_ids")))
            first = next(tensors, None) if first is None else first
            self._batches[part] = self._pictures if first is None else len(first)

        return note

    def _split(self, part: str, count: int) -> list[Tensor]:
        batch = self._batches.get(part, self._pictures)
        if (batch, count) not in self._known:
            if batch % self._pictures or count % batch:
                raise ModelError(
                    f"The {part} works on {count} rows for {self._pictures} pictures, so it can't be told which row "
                    "is whose. Use the LoRA for all lines, or draw the lines one by one."
                )
            each = torch.arange(count).reshape(batch // self._pictures, self._pictures, count // batch)
            self._known[batch, count] = [each[:, rows].flatten() for rows in self._members]
        return self._known[batch, count]
