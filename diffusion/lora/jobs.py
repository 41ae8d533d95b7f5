"""LoRA files in, LoRA files out: what the nodes and the commands of `loragraph lora` do, in one place.

    convert_file("old.safetensors", "new.safetensors", "kohya")
    merge_files([("a.safetensors", 0.7), ("b.safetensors", -0.3)], "both.safetensors", "svd", rank=16)

Each reads its input whole, writes `out` atomically (replacing what is there), reads its header back, and returns what
there is to tell: the file, what it holds, what was guessed or left out, and how much was kept. The header of `out` says
what it was made of and how (`lineage`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..errors import SettingError
from . import lineage as lineages
from . import pickles, reading
from .lineage import Lineage, Part
from .modelspec import shared_texts
from .reading import LoraInfo

if TYPE_CHECKING:
    from .compare import Comparison
    from .merge import Merged
    from .model import Lora
    from .resize import Reduced

FilePath = str | os.PathLike[str]
OnProgress = Callable[[int, int], None]
WRITTEN = ("peft", "kohya", "comfyui")
Made = TypeVar("Made", "Merged", "Reduced")


class Source(NamedTuple):
    """A file to be combined. alpha: where the file's own is unknown or wrong; partial: leave out keys that are not
    understood."""

    path: FilePath
    strength: float = 1.0
    alpha: float | None = None
    partial: bool = False


@dataclass(frozen=True)
class Written:
    """A file that was made. energy: the share of the squared norm of the changes that it keeps, 0..1; energies: by
    module, where there is anything to lose."""

    path: Path
    info: LoraInfo
    warnings: tuple[str, ...] = ()
    energy: float = 1.0
    energies: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Inspection:
    """A file that was looked at."""

    info: LoraInfo
    sha256: str
    lineage: Lineage | None


def inspect_file(path: FilePath, *, alpha: float | None = None) -> Inspection:
    """Return what a file is, from its header; keys that are not understood are listed in `info.unmatched`.

    Raises:
        LoraFileError: it is no LoRA at all, or of a kind that is not read here.
    """
    info = reading.inspect(path, alpha=alpha, partial=True)
    part = lineages.part(path, metadata=info.metadata)
    return Inspection(info, part.sha256, part.lineage)


def convert_file(
    source: FilePath,
    out: FilePath,
    to: str = "peft",
    *,
    alpha: float | None = None,
    partial: bool = False,
    rank: int | None = None,
) -> Written:
    """Write the LoRA in another dialect, with the very same change.

    Args:
        source: any dialect; of PyTorch's pickles (.pt, .ckpt, .bin), what can be read without running their code.
        to: peft, kohya or comfyui. rank: see `writing.save`.

    Raises:
        LoraFileError, SettingError: it cannot be read, or not be written so.
    """
    lora, part = _read(Source(source, 1.0, alpha, partial), pickled=True)
    made = Lineage("convert", (part,), settings=_given(to=to, alpha=alpha, rank=rank))
    done = _write(lora, out, to, made, rank=rank)
    if rank is not None and not _became_pairs(lora, done.info):
        idle = (
            f"rank {rank} played no part: nothing had to become a pair to be written as {to}. To lower ranks, resize."
        )
        return replace(done, warnings=(*done.warnings, idle))
    return done


def merge_files(
    sources: Sequence[Source | tuple[FilePath, float]],
    out: FilePath,
    method: str = "concat",
    *,
    rank: int | None = None,
    density: float = 0.5,
    seed: int = 0,
    normalize: bool = False,
    blocks: str | Sequence[str] = (),
    dialect: str | None = None,
    on_progress: OnProgress | None = None,
) -> Written:
    """Write one LoRA that adds what the sources, each at its strength, add together; see `merge.merge`.

    Args:
        blocks: strengths by block (`blocks.strengths`): one text for all, or one for each source.
        dialect: peft, kohya or comfyui; None: that of the sources where they agree on one of these, else peft, or
            comfyui for what peft cannot hold.

    Raises:
        LoraFileError, LoraMismatch, SettingError: files that cannot be read or combined, a setting out of range.
    """
    from .merge import merge

    files = [Source(*source) for source in sources]
    texts = _per_source(blocks, len(files))
    read = [_read(source) for source in files]

    def make(to: str) -> Merged:
        return merge(
            [(lora, source.strength) for (lora, _), source in zip(read, files, strict=True)],
            method,
            rank=rank,
            density=density,
            seed=seed,
            normalize=normalize,
            blocks=texts,
            labels=[part.file for _, part in read],
            dialect=to,
            on_progress=on_progress,
        )

    merged, to = _fitting(make, dialect, [lora.dialect for lora, _ in read])
    alphas = [source.alpha for source in files]
    settings = _given(
        rank=rank, normalize=normalize or None, blocks=texts or None, alphas=alphas if any(alphas) else None
    )
    if method not in ("concat", "svd"):
        settings["density"] = density
    if method.startswith("dare"):
        settings["seed"] = seed
    made = Lineage(method, tuple(part for _, part in read), settings=settings)
    lora = replace(merged.lora, metadata=shared_texts([lora.metadata for lora, _ in read]))
    return _write(lora, out, to, made, warnings=merged.warnings, energy=merged.energy, energies=merged.energies)


def resize_file(
    source: FilePath,
    out: FilePath,
    *,
    rank: int | None = None,
    sv_ratio: float | None = None,
    sv_cumulative: float | None = None,
    sv_fro: float | None = None,
    dialect: str | None = None,
    alpha: float | None = None,
    partial: bool = False,
    on_progress: OnProgress | None = None,
) -> Written:
    """Write the LoRA at a lower rank; see `resize.resize` for the criteria. The rank is that of the weights in the
    file, which in kohya's and ComfyUI's may be several modules in one.

    Raises:
        LoraFileError, SettingError: it cannot be read, or not exactly one criterion is given.
    """
    from .resize import resize

    lora, part = _read(Source(source, 1.0, alpha, partial))
    criteria = _given(rank=rank, sv_ratio=sv_ratio, sv_cumulative=sv_cumulative, sv_fro=sv_fro)

    def make(to: str) -> Reduced:
        return resize(lora, **criteria, dialect=to, on_progress=on_progress)

    reduced, to = _fitting(make, dialect, [lora.dialect])
    made = Lineage("resize", (part,), settings={**criteria, **_given(alpha=alpha)})
    return _write(reduced.lora, out, to, made, energy=reduced.energy, energies=reduced.energies)


def extract_file(
    original: FilePath,
    tuned: FilePath,
    out: FilePath,
    *,
    rank: int | None = None,
    sv_ratio: float | None = None,
    sv_cumulative: float | None = None,
    sv_fro: float | None = None,
    clamp: float | None = None,
    min_diff: float = 0.0,
    include_text_encoders: bool = True,
    full_small: bool = True,
    seed: int = 0,
    dialect: str | None = None,
    on_progress: OnProgress | None = None,
) -> Written:
    """Write a LoRA that makes the original checkpoint into the tuned one, as far as its rank allows; see
    `extract.extract`.

    Args:
        dialect: None: peft, or comfyui where changed biases and norms need it.

    Raises:
        ModelError, LoraMismatch, SettingError: a checkpoint that cannot be read, two of different kinds, a bad setting.
    """
    from .checkpoint import Checkpoint
    from .extract import changes_norms, extract

    criteria = _given(rank=rank, sv_ratio=sv_ratio, sv_cumulative=sv_cumulative, sv_fro=sv_fro)
    others: dict[str, Any] = {
        "clamp": clamp,
        "min_diff": min_diff,
        "include_text_encoders": include_text_encoders,
        "full_small": full_small,
        "seed": seed,
    }
    first, second = Checkpoint.open(original), Checkpoint.open(tuned)

    def make(to: str) -> Reduced:
        return extract(first, second, **criteria, **others, dialect=to, on_progress=on_progress)

    # what decides is small, and read first, so that the large weights need not be read twice
    likely = "comfyui" if full_small and changes_norms(first, second, min_diff, include_text_encoders) else "peft"
    reduced, to = _fitting(make, dialect, likely=likely)
    settings = {
        "tuned": _name(tuned),
        **criteria,
        **{name: value for name, value in others.items() if value is not None},
    }
    made = Lineage("extract", base=_name(original), settings=settings)
    return _write(reduced.lora, out, to, made, energy=reduced.energy, energies=reduced.energies)


def compare_files(
    first: FilePath, second: FilePath, *, partial: bool = False, on_progress: OnProgress | None = None
) -> Comparison:
    """Return how alike two LoRAs are; see `compare.compare`.

    Raises:
        LoraFileError, LoraMismatch: they cannot be read, or not be compared.
    """
    from .compare import compare

    return compare(reading.load(first, partial=partial), reading.load(second, partial=partial), on_progress)


def bake_file(
    base: FilePath,
    out: FilePath,
    sources: Sequence[Source | tuple[FilePath, float]],
    *,
    dtype: str | None = None,
    blocks: str | Sequence[str] = (),
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Path:
    """Write a checkpoint like `base` with the LoRAs in its weights; see `bake.bake`.

    Raises:
        ModelError, LoraFileError, LoraMismatch, SettingError: see there.
    """
    from .bake import bake

    files = [Source(*source) for source in sources]
    texts = _per_source(blocks, len(files)) or [""] * len(files)
    uses = [
        _Baked(
            str(source.path),
            lineages.part(source.path).sha256,
            source.strength,
            text,
            source.alpha,
            source.partial,
        )
        for source, text in zip(files, texts, strict=True)
    ]
    return bake(base, uses, out, dtype, on_progress, overwrite=overwrite, on_warning=on_warning)


class _Baked(NamedTuple):
    """What `bake` asks of an adapter."""

    path: str
    sha256: str
    strength: float
    blocks: str
    alpha: float | None
    partial: bool


def _per_source(blocks: str | Sequence[str], count: int) -> list[str]:
    """The text for each source; none where nothing is said."""
    texts = [blocks] * count if isinstance(blocks, str) else list(blocks)
    if texts and len(texts) != count:
        raise SettingError("blocks", blocks, f"give one for all, or one for each of the {count} LoRAs.")
    return texts if any(texts) else []


def _read(source: Source, pickled: bool = False) -> tuple[Lora, Part]:
    """`pickled`: PyTorch's pickles are read too (without running code), and not refused."""
    from .convert import without_idle_parts

    load = pickles.load if pickled and pickles.is_pickle(Path(source.path)) else reading.load
    lora = load(Path(source.path), alpha=source.alpha, partial=source.partial)
    part = lineages.part(source.path, source.strength, lora.metadata)
    return replace(lora, changes=without_idle_parts(lora.changes)), part


def _write(
    lora: Lora,
    out: FilePath,
    dialect: str,
    lineage: Lineage,
    *,
    rank: int | None = None,
    warnings: Sequence[str] = (),
    energy: float = 1.0,
    energies: Mapping[str, float] | None = None,
) -> Written:
    from .writing import save

    path = save(lora, out, dialect, lineage=lineage, rank=rank)
    told = dict.fromkeys((*lora.warnings, *warnings))
    return Written(path, reading.inspect(path), tuple(told), energy, energies or {})


def _fitting(
    make: Callable[[str], Made], dialect: str | None, sources: Sequence[str] = (), likely: str = "peft"
) -> tuple[Made, str]:
    """What `make` makes for the dialect that it is to be written in, and which that is; `likely` where none is given:
    only what there is to be written can tell."""
    first = dialect or _shared_dialect(sources) or likely
    made = make(first)
    to = dialect or _dialect(made.lora, sources)
    return (made if to == first else make(to)), to


def _shared_dialect(sources: Sequence[str]) -> str:
    """That of the sources where it is one and is written here, else ""."""
    return sources[0] if sources and sources[0] in WRITTEN and len(set(sources)) == 1 else ""


def _dialect(lora: Lora, sources: Sequence[str] = ()) -> str:
    """That of the sources where it is one and is written here; else peft, or comfyui for what peft has no form for."""
    from .writing import state_dict

    if shared := _shared_dialect(sources):
        return shared
    try:
        state_dict(lora, "peft")
    except SettingError:
        return "comfyui"
    return "peft"


def _became_pairs(lora: Lora, written: LoraInfo) -> bool:
    """Whether a LoHa, LoKr or full difference was written as a pair."""
    return any(
        change.delta is not None and change.delta.kind != "lora" and written.items[name].kind == "lora"
        for name, change in lora.changes.items()
        if name in written.items
    )


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _name(path: FilePath) -> str:
    return Path(path).resolve().name
