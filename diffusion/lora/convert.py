"""Changes by canonical module -> changes by what the modules are called elsewhere.

The opposite of what reading does. Where q, k and v are one weight elsewhere, pairs that share their A become one pair
with the B's below each other; else the A's are stacked and the B's stand in blocks,

    [Bq  0  0 ] [Aq]
    [0   Bk 0 ] [Ak]      so that the ranks add up and the change is exactly the same.
    [0   0  Bv] [Av]

Rows that some of the A's share are there once. The scales are folded into the B's, and whether half precision can hold
those is asked of the one pair, not of each part. `grouped` tells which modules are one weight in a dialect.

A part that the LoRA does not change gets zeros. LoHa and LoKr that were one weight become one again.

    >>> import torch
    >>> from .model import plain
    >>> from .names.flux import ORIGINAL
    >>> lora = plain({"transformer_blocks.0.attn.to_k": (torch.ones(2, 4), torch.ones(4, 2), 2.0)})
    >>> name, change = renamed(lora.changes, ORIGINAL).popitem()
    >>> name, change.delta.shape
    ('double_blocks.0.img_attn.qkv', (12, 4))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import LoraMismatch, SettingError, few
from . import names as families
from .delta import Delta, Full, Hadamard, Kronecker, LowRank, Ranges
from .model import Change, Magnitude
from .names.family import Names
from .names.table import Match, Table
from .names.table import ranges as shares
from .pairs import HALVES, as_pair

MLP_RATIO = 4
"""Of FLUX.1, whose fused single block weight holds an MLP so many times as wide as the model."""


def renamed(
    changes: Mapping[str, Change], table: Table | None, limit: int | None = None, dialect: str = ""
) -> dict[str, Change]:
    """Return the changes by their names in a table (None: they keep theirs), fused where the table fuses weights.

    Args:
        changes: by diffusers name, without the component.
        limit: the largest rank that an exact pair may have where LoHa or LoKr have to be fused with something else.
        dialect: for messages.

    Raises:
        SettingError: modules that have no name there, or parts that cannot be one weight. LoraMismatch: parts of
            different sizes.
    """
    if table is None:
        return dict(changes)
    groups: dict[str, tuple[Match, list[Change | None]]] = {}
    homeless = []
    for name, change in changes.items():
        match = table.find(name)
        if match is None:
            homeless.append(name)
            continue
        _, parts = groups.setdefault(match.name, (match, [None] * len(match.targets)))
        parts[match.part] = change
    if homeless:
        raise SettingError(
            "dialect", dialect, f"{len(homeless)} modules have no name there: {few(homeless)}. Write it as peft."
        )
    return {name: fused(match, parts, limit, dialect) for name, (match, parts) in groups.items()}


def names_in(dialect: str, names: Names, component: str) -> Table | None:
    """Return what the modules of a component are called in a dialect; None where as in diffusers."""
    which = {"kohya": names.kohya, "comfyui": names.comfyui}.get(dialect, "diffusers")
    return None if component != names.component or which in ("", "diffusers") else names.table(which)


def grouped(modules: Iterable[str], family: str, dialect: str) -> list[tuple[str, ...]]:
    """Return the modules, those that are one weight in a dialect together, in the order of its rows.

    >>> grouped([f"transformer.transformer_blocks.0.attn.to_{name}" for name in ("v", "out.0", "q")], "flux", "kohya")
    [('transformer.transformer_blocks.0.attn.to_q', 'transformer.transformer_blocks.0.attn.to_v'), \
('transformer.transformer_blocks.0.attn.to_out.0',)]
    """
    found: dict[tuple[str, str], dict[int, str]] = {}
    known = families.FAMILIES.get(family)
    for module in modules:
        component, _, name = module.partition(".")
        table = names_in(dialect, known, component) if known is not None else None
        match = table.find(name) if table is not None else None
        key = (component, match.name) if match is not None else ("", module)
        found.setdefault(key, {})[match.part if match is not None else 0] = module
    return [tuple(members[part] for part in sorted(members)) for members in found.values()]


def stacked(deltas: Sequence[Delta]) -> Delta:
    """Return the changes of some matrices with the same inputs as that of one, their rows below each other; dense
    where nothing smaller holds it exactly."""
    places, at = [], 0
    for delta in deltas:
        places.append(((at, at + delta.shape[0]),))
        at += delta.shape[0]
    try:
        return _joined(deltas, at, places, None)
    except ValueError:
        return Full(_placed([_dense(delta) for delta in deltas], at, places))


def without_idle_parts(changes: Mapping[str, Change]) -> dict[str, Change]:
    """Return the changes without the zeros that parts of a fused weight were filled up with: parts that only stand for
    "nothing changes here", and, in a part, the rows of the shared A that are other parts' alone."""
    used = Counter(change.delta.down.data_ptr() for change in changes.values() if isinstance(change.delta, LowRank))
    kept = {}
    for name, change in changes.items():
        delta = change.delta
        if isinstance(delta, LowRank) and delta.mid is None and used[delta.down.data_ptr()] > 1:
            columns = delta.up.flatten(1).any(dim=0)
            count = int(columns.sum())
            if not count and change.magnitude is None and (change.bias is None or not bool(change.bias.any())):
                continue
            if 0 < count < delta.rank:
                pair = LowRank(delta.down[columns], delta.up[:, columns], delta.scale * count)
                change = replace(change, delta=pair)
        kept[name] = change
    return kept


def fused(match: Match, parts: Sequence[Change | None], limit: int | None = None, dialect: str = "") -> Change:
    """Return the change of the one weight that `parts` are rows of, in the order of the match's targets.

    Raises:
        SettingError: the parts cannot be one weight (only some of them are DoRA, …). LoraMismatch: sizes at odds.
    """
    if match.split == "whole":
        assert parts[0] is not None
        return parts[0]
    sizes, inside = _sizes(match, parts)
    try:
        places = shares(match, sum(sizes), inside)
    except ValueError:
        places = ()
    fitting = [sum(last - first for first, last in place) for place in places]
    inputs = {part.shape[1] for part in parts if part is not None and part.shape is not None and len(part.shape) > 1}
    if fitting != sizes or len(inputs) > 1:
        raise LoraMismatch(
            f"{few(match.targets)} do not make up {match.name}, being of {' and '.join(map(str, sizes))} outputs and "
            f"{' or '.join(map(str, sorted(inputs)))} inputs. Is it a LoRA for another model? Write it as peft."
        )
    return Change(
        delta=_fused_delta(match, parts, sum(sizes), places, limit),
        magnitude=_fused_magnitude(match, parts, sum(sizes), places, dialect),
        bias=_fused_bias(parts, sizes, places),
        set_weight=_fused_replacement(match, parts, sum(sizes), places, dialect),
        widens=any(part is not None and part.widens for part in parts),
    )


def _sizes(match: Match, parts: Sequence[Change | None]) -> tuple[list[int], int]:
    """The rows of each part, and the inputs; what a missing part would have follows from the others."""
    known = [_rows(part) for part in parts]
    inputs = [part.shape[1] for part in parts if part is not None and part.shape is not None and len(part.shape) > 1]
    inside = inputs[0] if inputs else next((rows for rows in known if rows), 0)
    if match.split == "square_then_rest":
        defaults = [inside] * (len(parts) - 1) + [MLP_RATIO * inside]
    else:
        defaults = [next((rows for rows in known if rows), 0)] * len(parts)
    return [rows or default for rows, default in zip(known, defaults, strict=True)], inside


def _rows(part: Change | None) -> int:
    if part is None:
        return 0
    return part.shape[0] if part.shape is not None else 0 if part.bias is None else len(part.bias)


def _placed(tensors: Sequence[Tensor | None], out: int, places: Sequence[Ranges]) -> Tensor:
    """Rows back to where they lie in the one weight; zeros where there is none."""
    first = next(tensor for tensor in tensors if tensor is not None)
    dtype = _common([tensor for tensor in tensors if tensor is not None])
    whole = torch.zeros(out, *first.shape[1:], dtype=dtype)
    for tensor, place in zip(tensors, places, strict=True):
        at = 0
        for begin, end in place:
            if tensor is not None:
                whole[begin:end] = tensor[at : at + end - begin]
            at += end - begin
    return whole


def _common(tensors: Sequence[Tensor]) -> torch.dtype:
    dtype = tensors[0].dtype
    for tensor in tensors[1:]:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def _fused_delta(
    match: Match, parts: Sequence[Change | None], out: int, places: Sequence[Ranges], limit: int | None
) -> Delta | None:
    deltas = [None if part is None else part.delta for part in parts]
    present = [delta for delta in deltas if delta is not None]
    if not present:
        return None
    try:
        return _joined(deltas, out, places, limit)
    except ValueError as problem:
        kinds = " and ".join(sorted({delta.kind for delta in present}))
        raise SettingError(
            "rank",
            limit,
            f"{few(match.targets)} are one weight there, {match.name}, and as {kinds} they can only be a pair of "
            f"{problem}. Allow that rank, or write it as peft.",
        ) from problem


def _joined(deltas: Sequence[Delta | None], out: int, places: Sequence[Ranges], limit: int | None) -> Delta:
    """The one change whose rows at `places` are these; ValueError where a part is no pair within the limit."""
    present = [delta for delta in deltas if delta is not None]
    for attempt in (_one_hadamard, _one_kronecker):
        whole = attempt(deltas, out, places)
        if whole is not None:
            return whole
    if any(isinstance(delta, Full) for delta in present):
        return Full(_placed([_dense(delta) for delta in deltas], out, places))
    return _one_pair([None if delta is None else _pair(delta, limit) for delta in deltas], out, places)


def _pair(delta: Delta, limit: int | None) -> LowRank:
    """A pair that still has its scale beside it, where it has one."""
    return delta if isinstance(delta, LowRank) and delta.mid is None else as_pair(delta, limit)


def _dense(delta: Delta | None) -> Tensor | None:
    if delta is None:
        return None
    return delta.diff if isinstance(delta, Full) else delta.dense(torch.float64).float()


def _one_pair(pairs: Sequence[LowRank | None], out: int, places: Sequence[Ranges]) -> LowRank:
    present = [pair for pair in pairs if pair is not None]
    dtype = _common([tensor for pair in present for tensor in (pair.down, pair.up)])
    ups = [pair.up.detach().cpu().flatten(1).double() * pair.scale for pair in present]
    if dtype in HALVES and not all(torch.equal(up.to(dtype).double(), up) for up in ups):
        dtype = torch.float32
    down, slots = _union([pair.down.detach().to("cpu", dtype) for pair in present])
    rows: list[Tensor | None] = []
    numbered = iter(range(len(present)))
    for pair in pairs:
        if pair is None:
            rows.append(None)
            continue
        number = next(numbered)
        block = torch.zeros(len(pair.up), len(down), dtype=dtype)
        block[:, slots[number]] = ups[number].to(dtype)
        rows.append(block)
    up = _placed(rows, out, places)
    return LowRank(down, up.reshape(*up.shape, *(1 for _ in present[0].up.shape[2:])), float(len(down)))


def _union(downs: Sequence[Tensor]) -> tuple[Tensor, list[list[int]]]:
    """One A with the rows of all, each that several share once; and which of its rows are those of each."""
    if all(_same(downs[0], down) for down in downs[1:]):
        return downs[0], [list(range(len(downs[0])))] * len(downs)
    # an A that has the rows of all the others keeps its order, so that what was one pair is that pair again
    largest = max(range(len(downs)), key=lambda place: len(downs[place]))
    order = [largest, *(place for place in range(len(downs)) if place != largest)]
    rows, slots = _slots([downs[place] for place in order])
    if len(rows) > len(downs[largest]):
        order = list(range(len(downs)))
        rows, slots = _slots(downs)
    return torch.stack(rows), [slots[order.index(place)] for place in range(len(downs))]


def _slots(downs: Sequence[Tensor]) -> tuple[list[Tensor], list[list[int]]]:
    rows: list[Tensor] = []
    known: dict[bytes, list[int]] = {}
    slots: list[list[int]] = []
    for down in downs:
        own: list[int] = []
        for row in down:
            bits = row.contiguous().view(torch.uint8).numpy().tobytes()
            places = known.setdefault(bits, [])
            free = next((place for place in places if place not in own), None)
            if free is None:
                free = len(rows)
                rows.append(row)
                places.append(free)
            own.append(free)
        slots.append(own)
    return rows, slots


def _same(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None:
        return first is second
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    return first.data_ptr() == second.data_ptr() or torch.equal(first, second)


def _one_hadamard(deltas: Sequence[Delta | None], out: int, places: Sequence[Ranges]) -> Hadamard | None:
    """The LoHa that the parts were rows of, where they share the inputs' factors."""
    present = [delta for delta in deltas if isinstance(delta, Hadamard)]
    if not present or len(present) != sum(delta is not None for delta in deltas):
        return None
    first = present[0]
    for each in present:
        if each.t1 is not None or each.t2 is not None or each.scale != first.scale or each.kernel != first.kernel:
            return None
        if not (_same(each.w1_b, first.w1_b) and _same(each.w2_b, first.w2_b)):
            return None

    def whole(choose: Callable[[Hadamard], Tensor]) -> Tensor:
        return _placed([choose(each) if isinstance(each, Hadamard) else None for each in deltas], out, places)

    return replace(first, w1_a=whole(lambda each: each.w1_a), w2_a=whole(lambda each: each.w2_a))


def _one_kronecker(deltas: Sequence[Delta | None], out: int, places: Sequence[Ranges]) -> Kronecker | None:
    """The LoKr that the parts were rows of, where together they are all of it, each row where it was."""
    order: list[tuple[int, int, int]] = []
    first: Kronecker | None = None
    for delta, place in zip(deltas, places, strict=True):
        if not isinstance(delta, Kronecker) or delta.selected is None:
            return None
        first = first or delta
        tensors = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")
        if delta.scale != first.scale or not all(_same(getattr(delta, name), getattr(first, name)) for name in tensors):
            return None
        if [end - begin for begin, end in delta.selected] != [end - begin for begin, end in place]:
            return None
        order += [(begin, came, end - begin) for (begin, end), (came, _) in zip(place, delta.selected, strict=True)]
    if first is None or any(begin != came for begin, came, _ in order):
        return None
    whole = replace(first, selected=None)
    return whole if whole.shape[0] == out else None


def _fused_magnitude(
    match: Match, parts: Sequence[Change | None], out: int, places: Sequence[Ranges], dialect: str
) -> Magnitude | None:
    magnitudes = [None if part is None else part.magnitude for part in parts]
    if not any(magnitudes):
        return None
    if any(each is None for each in magnitudes):
        raise SettingError(
            "dialect",
            dialect,
            f"{few(match.targets)} are one weight there, {match.name}, and only some of them are DoRA, whose "
            "magnitudes every row needs. Write it as peft.",
        )
    if any(each is not None and each.axis == 1 for each in magnitudes) and len(parts) > 1:
        raise SettingError(
            "dialect",
            dialect,
            f"{few(match.targets)} are one weight there, {match.name}, and their DoRA is over the inputs, which each "
            "of them has for itself. Bake it into a base instead.",
        )
    if len(parts) == 1 and magnitudes[0] is not None and magnitudes[0].axis == 1:
        return magnitudes[0]
    vectors = [None if each is None else each.vector.flatten() for each in magnitudes]
    return Magnitude(_placed(vectors, out, places), 0)


def _fused_bias(parts: Sequence[Change | None], sizes: Sequence[int], places: Sequence[Ranges]) -> Tensor | None:
    biases = [None if part is None else part.bias for part in parts]
    return None if all(bias is None for bias in biases) else _placed(biases, sum(sizes), places)


def _fused_replacement(
    match: Match, parts: Sequence[Change | None], out: int, places: Sequence[Ranges], dialect: str
) -> Tensor | None:
    weights = [None if part is None else part.set_weight for part in parts]
    if all(weight is None for weight in weights):
        return None
    if any(weight is None for weight in weights):
        raise SettingError(
            "dialect",
            dialect,
            f"{few(match.targets)} are one weight there, {match.name}, and only some of them are replaced. "
            "Bake it into a base instead.",
        )
    return _placed(weights, out, places)
