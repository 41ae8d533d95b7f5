"""How many singular values to keep.

With the singular values S_0 >= S_1 >= ... of a change:

    rank           k itself; beside one of the others, the most that they may take
    sv_ratio p     the values above S_0 / p: k = #{i: S_i > S_0 / p}
    sv_cumulative  the fewest values with at least this share of their sum: sum S[:k] >= p sum S
    sv_fro         the fewest with at least this share of the Frobenius norm: |S[:k]| >= p |S|

These are the definitions of kohya's resize_lora.py without its one rank too many. At least one value is always kept.

    >>> import torch
    >>> values = torch.tensor([8.0, 4.0, 2.0, 1.0])
    >>> rules = {"sv_ratio": 4.0}, {"sv_cumulative": 0.9}, {"sv_fro": 0.95}, {"sv_fro": 0.95, "rank": 1}
    >>> [Criterion(**rule).count(values) for rule in rules]
    [2, 3, 2, 1]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import SettingError

SHARES = ("sv_cumulative", "sv_fro")


@dataclass(frozen=True)
class Criterion:
    """One of the rules above; `rank` may stand beside another one as its limit.

    Raises:
        SettingError: none is given, or two; a number out of range.
    """

    rank: int | None = None
    sv_ratio: float | None = None
    sv_cumulative: float | None = None
    sv_fro: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name in ("sv_ratio", *SHARES) if (value := getattr(self, name)) is not None}
        if len(given) > 1:
            name, value = list(given.items())[-1]
            raise SettingError(name, value, f"{' and '.join(given)} exclude each other; choose one.")
        if not given and self.rank is None:
            raise SettingError("rank", None, "say how much to keep: rank, sv_ratio, sv_cumulative or sv_fro.")
        rank = self.rank
        if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 1):
            raise SettingError("rank", rank, "use a whole number of at least 1.")
        for name, value in given.items():
            if name in SHARES and not 0 < value <= 1:
                raise SettingError(name, value, "use a share above 0 and up to 1, such as 0.9.")
            if name == "sv_ratio" and not (value >= 1 and math.isfinite(value)):
                raise SettingError(
                    name, value, "use a number of at least 1, such as 20: what is above S0 / 20 is kept."
                )

    @property
    def fixed(self) -> bool:
        """Whether the rank is the rule."""
        return self.sv_ratio is None and self.sv_cumulative is None and self.sv_fro is None

    @property
    def needs_all(self) -> bool:
        """Whether the answer depends on every singular value; the others can do with the leading ones."""
        return self.sv_cumulative is not None

    def count(self, values: Tensor, squared: float | None = None) -> int:
        """Return how many of the values [k], largest first, are kept; 1 to k.

        Args:
            squared: sum of the squares of all values, where `values` are only the leading ones.
        """
        values = values.double()
        limit = len(values) if self.rank is None else min(self.rank, len(values))
        if self.sv_ratio is not None:
            kept = int((values > values[0] / self.sv_ratio).sum())
        elif self.sv_cumulative is not None:
            kept = _reaching(values, self.sv_cumulative * float(values.sum()))
        elif self.sv_fro is not None:
            squares = values.square()
            kept = _reaching(squares, self.sv_fro**2 * (float(squares.sum()) if squared is None else squared))
        else:
            kept = limit
        return max(1, min(kept, limit))


def _reaching(parts: Tensor, wanted: float) -> int:
    """How many of the leading parts add up to `wanted`. What rounding hides at the end of the sum is not asked for."""
    enough = wanted * (1 - 1e-12)
    return int((torch.cumsum(parts, 0) < enough).sum()) + 1
