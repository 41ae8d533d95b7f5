"""A LoRA out of a fine-tuned model: what changed, at a low rank.

    W_tuned - W_original = U S V^T   ->   B = U[:, :k] S[:k],  A = V^T[:k],  alpha = k

One weight at a time is in memory (where the file's dialect has several modules as one weight, all of that one, whose
rank is then the one that is kept). The randomised SVD (`singular`) finds the k leading directions without the whole
decomposition, at most half a percent off the best. How much of |D|² is kept is reported for each module, as what
fine-tuning changes need not be of low rank. Nothing is clamped unless asked for: kohya's clamp at the 0.99 quantile of
the factors makes a change that *is* of low rank wrong by a tenth.

    extract("models/flux", "models/flux-tuned", rank=32)              # folders, single files, or one of each
    extract("sd15.safetensors", "tuned.safetensors", sv_fro=0.9, rank=128)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import LoraMismatch, SettingError, few
from . import core, singular
from .checkpoint import Checkpoint
from .convert import grouped
from .criterion import Criterion
from .delta import Full, LowRank
from .model import Change, Lora
from .resize import Reduced, Tally, decomposed, split, together
from .singular import Singular

OnProgress = Callable[[int, int], None]
"""Called with (parameters compared, parameters in all); may raise to stop."""

EMBEDDINGS = ("token_embedding", "position_embedding", "embed_tokens", "shared", "relative_attention_bias")
"""Last parts of the names of tables that are looked up, not multiplied with: no reader takes a pair for those."""


def extract(
    original: str | os.PathLike[str] | Checkpoint,
    tuned: str | os.PathLike[str] | Checkpoint,
    *,
    rank: int | None = None,
    sv_ratio: float | None = None,
    sv_cumulative: float | None = None,
    sv_fro: float | None = None,
    clamp: float | None = None,
    min_diff: float = 0.0,
    include_text_encoders: bool = True,
    full_small: bool = True,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    dialect: str = "peft",
    on_progress: OnProgress | None = None,
) -> Reduced:
    """Return the LoRA that makes the original the tuned one, as far as the ranks allow.

    Args:
        rank, sv_ratio, sv_cumulative, sv_fro: how many values each module keeps; see `criterion`. sv_cumulative needs
            every value of every module, seconds for each large one.
        clamp: quantile of the entries of U and V^T at which both are clamped, such as kohya's 0.99; None for none.
        min_diff: parameters no entry of which changed by more than this are left out.
        full_small: take changed biases and norms as they are.
        dtype: of the pairs. seed: of the randomised SVD; the same numbers give the same LoRA.
        dialect: that it will be written in.

    Raises:
        SettingError: a number out of range, or nothing changed. LoraMismatch: models of different kinds.
        ModelError: a checkpoint that can't be read.
    """
    criterion = Criterion(rank, sv_ratio, sv_cumulative, sv_fro)
    if clamp is not None and not 0 < clamp < 1:
        raise SettingError("clamp", clamp, "use a quantile between 0 and 1, such as 0.99.")
    if not min_diff >= 0:
        raise SettingError("min_diff", min_diff, "use 0 or a small positive number.")
    first = original if isinstance(original, Checkpoint) else Checkpoint.open(original)
    second = tuned if isinstance(tuned, Checkpoint) else Checkpoint.open(tuned)
    parameters, warnings = _shared(first, second)
    if not include_text_encoders:
        parameters = [name for name in parameters if not name.startswith("text_encoder")]
    family = first.family or second.family
    changes: dict[str, Change] = {}
    tally, left_out, done = Tally(), [], 0
    for group in _weights(parameters, first, family, dialect):
        large: dict[str, Full] = {}
        for name in group:
            difference = _difference(first, second, name)
            if not difference.numel() or float(difference.abs().max()) <= min_diff:
                continue
            module, _, role = name.rpartition(".")
            small = difference.ndim < 2
            if role not in ("weight", "bias") or module.rpartition(".")[2] in EMBEDDINGS or (small and not full_small):
                left_out.append(name)
            elif small:
                changes[module] = _with_small(changes.get(module, Change()), role, difference)
            else:
                large[module] = Full(difference)
        for modules in together(large):
            shapes = [large[module].shape for module in modules]
            matrix = torch.cat([large.pop(module).diff.flatten(1) for module in modules])
            delta, kept, total = _pair(matrix, shapes[0][1:], criterion, clamp, dtype, _seed(seed, modules[0]))
            for module, part in zip(modules, split(delta, shapes), strict=True):
                changes[module] = Change(part, bias=changes.get(module, Change()).bias)
            tally.add(modules, delta.rank, kept, total)
        done += len(group)
        if on_progress is not None:
            on_progress(done, len(parameters))
    if not changes:
        raise SettingError("tuned", str(second.path), _nothing(first, min_diff, left_out))
    if left_out:
        warnings.append(f"Changed, but not in the LoRA, which cannot hold them: {few(left_out)}.")
    return tally.result(Lora(changes, family, warnings=tuple(warnings)))


def changes_norms(original: Checkpoint, tuned: Checkpoint, min_diff: float = 0.0, text_encoders: bool = True) -> bool:
    """Return whether the weight of a norm changed by more than `min_diff`: what peft has no form for. Reads no more
    than those.

    Raises:
        LoraMismatch: models of different kinds.
    """
    shapes = original.shapes()
    return any(
        float(_difference(original, tuned, name).abs().max()) > min_diff
        for name in _shared(original, tuned)[0]
        if len(shapes[name]) == 1 and shapes[name][0] and name.endswith(".weight")
        if text_encoders or not name.startswith("text_encoder")
    )


def _weights(parameters: Sequence[str], first: Checkpoint, family: str, dialect: str) -> list[list[str]]:
    """The parameters, the weights that are one in a dialect together."""
    shapes = first.shapes()
    weights = [name for name in parameters if name.endswith(".weight") and len(shapes[name]) > 1]
    groups = grouped([name.removesuffix(".weight") for name in weights], family, dialect)
    leading = {f"{group[0]}.weight": [f"{module}.weight" for module in group] for group in groups}
    members = {name for group in leading.values() for name in group}
    return [leading.get(name, [name]) for name in parameters if name in leading or name not in members]


def _shared(first: Checkpoint, second: Checkpoint) -> tuple[list[str], list[str]]:
    """The parameters that both have, in the order of the first, and warnings about the others."""
    if first.family and second.family and first.family != second.family:
        raise LoraMismatch(
            f"{second.path} is no fine-tuned {first.path.name}: it is of the family {second.family!r}, "
            f"the original of {first.family!r}. Choose the model that the tuned one started from."
        )
    shapes, tuned = first.shapes(), second.shapes()
    shared = [name for name in shapes if name in tuned]
    if not shared:
        raise LoraMismatch(f"{first.path} and {second.path} have no weights in common, so nothing can be compared.")
    different = [name for name in shared if _core_shape(shapes[name]) != _core_shape(tuned[name])]
    if different:
        name = different[0]
        raise LoraMismatch(
            f"{first.path} and {second.path} are different models: {name} is {list(shapes[name])} in one, "
            f"{list(tuned[name])} in the other ({len(different)} differ). Choose the model that the tuned one "
            "started from."
        )
    warnings = [
        f"{len(alone)} parameters are only in {path.name}, so they are not in the LoRA: {few(alone)}."
        for path, one, other in ((first.path, shapes, tuned), (second.path, tuned, shapes))
        if (alone := [name for name in one if name not in other])
    ]
    stored = {tuple(base.places(name)[0].entry.dtype for base in (first, second)) for name in shared}
    if mixed := [f"{one} and {other}" for one, other in sorted(stored) if one != other]:
        warnings.append(
            f"The two are stored in different precisions ({few(mixed)}), so rounding counts as change. "
            "Use min_diff, or two checkpoints of one precision."
        )
    return shared, warnings


def _core_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the kernel of a 1x1 convolution, which some formats store as a matrix."""
    return shape[:2] if all(size == 1 for size in shape[2:]) else shape


def _difference(first: Checkpoint, second: Checkpoint, name: str) -> Tensor:
    before, after = first.read(name), second.read(name)
    difference = after.reshape(before.shape) - before
    if not bool(torch.isfinite(difference).all()):
        raise LoraMismatch(f"{name} has numbers that are infinite or not a number in {first.path} or {second.path}.")
    return difference


def _with_small(change: Change, role: str, difference: Tensor) -> Change:
    if role == "bias":
        return Change(change.delta, bias=difference)
    return Change(Full(difference), bias=change.bias)


def _pair(
    matrix: Tensor, inputs: tuple[int, ...], criterion: Criterion, clamp: float | None, dtype: torch.dtype, seed: int
) -> tuple[LowRank, float, float]:
    """The change of a weight [out, *inputs] as a pair, and what it keeps of the squared norm (kept, total)."""
    found, count = decomposed(criterion, min(matrix.shape), lambda limit: singular.of_matrix(matrix, limit, seed))
    if clamp is not None:
        found = _clamped(found, count, clamp)
    delta = core.truncate(found.svd, count, (len(matrix), *inputs), dtype)
    if clamp is None:
        return delta, found.kept(count), found.squared
    missed = float((matrix - delta.dense().flatten(1)).norm()) ** 2
    return delta, max(found.squared - missed, 0.0), found.squared


def _clamped(found: Singular, count: int, quantile: float) -> Singular:
    """The factors B = U S and A with their entries limited to a quantile of all of them, as kohya does."""
    left, values, right = (part[..., :count] for part in (found.svd.left, found.values, found.svd.right.T))
    up = left * values
    entries = torch.cat([up.flatten(), right.flatten()])
    # torch.quantile takes no more than 16 million entries
    limit = float(entries.kthvalue(max(1, round(quantile * len(entries)))).values)
    clamped = core.Svd(up.clamp(-limit, limit), torch.ones_like(values), right.clamp(-limit, limit).T)
    return Singular(clamped, found.squared)


def _seed(seed: int, module: str) -> int:
    """A seed for each module, so that the order in which they come doesn't matter."""
    return int.from_bytes(hashlib.sha256(f"{seed} {module}".encode()).digest()[:7], "big")


def _nothing(first: Checkpoint, min_diff: float, left_out: list[str]) -> str:
    if left_out:
        return f"only parameters changed that a LoRA cannot hold: {few(left_out)}."
    than = f" by more than min_diff = {min_diff:g}" if min_diff else ""
    return f"nothing differs{than} from {first.path}; there is no change to extract."
