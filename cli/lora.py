"""`loragraph lora`: LoRA files looked at, converted, combined, made smaller, taken out of models and put into them.

Each command is the code of the node of the same name (`diffusion.lora.jobs`). Results go to standard output; what was
guessed or left out, and progress, go to standard error. A file that exists is only replaced with --force, and whatever
happens, there is never half a file. A LoRA may be named by the folder that PEFT or diffusers saved it in.
"""

from pathlib import Path
from typing import Annotated

import typer

from .common import WRONG, AsJson, complain
from .lora_arguments import blocks_of, free, free_model, lora_file, model_of, sources_of
from .lora_doing import careful, progress, told
from .lora_options import (
    Alpha,
    Blocks,
    Cumulative,
    Dialect,
    Dtype,
    ExtractedRank,
    File,
    Force,
    Frobenius,
    Method,
    Out,
    Partial,
    Rank,
    Ratio,
    Seed,
    Sources,
    To,
)

app = typer.Typer(
    help="Look at LoRA files, convert, merge, resize, extract, compare them, and bake them into a model.",
    no_args_is_help=True,
)


@app.command()
def inspect(
    file: File,
    alpha: Alpha = None,
    json_: AsJson = False,
    modules: Annotated[bool, typer.Option("--modules", help="List every module.")] = False,
    norms: Annotated[
        bool, typer.Option("--norms", help="Read the weights, too: norms, singular values, damage.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Draw its norms, ranks and spectrum.")
    ] = None,
) -> None:
    """Tell what a file is: dialect, family, rank, alpha, scale, modules, metadata, and keys without a meaning."""
    with careful():
        from ..diffusion.lora.jobs import inspect_file
        from . import lora_tables as tables

        file = lora_file(file)
        found = inspect_file(file, alpha=alpha)
        weights = None
        if norms or picture is not None:
            from ..diffusion.lora import reading

            weights = reading.load(file, alpha=alpha, partial=True)
        if picture is not None and weights is not None:
            from ..diffusion.lora.report import picture as draw

            draw(weights, picture, file.name)
        if json_:
            tables.print_json(tables.inspection(found, weights if norms else None))
        else:
            tables.show(found, weights if norms else None, modules=modules)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(metavar="IN", help="A LoRA file of any dialect.", show_default=False)],
    out: Out,
    to: Annotated[To, typer.Option("--to", help="The dialect of OUT.")] = To.peft,
    alpha: Alpha = None,
    allow_partial: Partial = False,
    rank: Annotated[
        int | None,
        typer.Option("--rank", min=1, help="The highest rank of a pair that stands for a LoHa or LoKr."),
    ] = None,
    force: Force = False,
) -> None:
    """Write a LoRA in another dialect, with the very same change; pickles (.pt, .ckpt, .bin) are read safely."""
    with careful():
        free(out, force)
        from ..diffusion.lora.jobs import convert_file

        told(convert_file(lora_file(file), out, to.value, alpha=alpha, partial=allow_partial, rank=rank))


@app.command()
def merge(
    out: Out,
    loras: Sources,
    method: Annotated[Method, typer.Option("--method", help="concat is exact; the others keep a rank.")] = (
        Method.concat
    ),
    rank: Rank = None,
    density: Annotated[
        float, typer.Option("--density", help="The share of entries that the methods but concat and svd keep, 0 to 1.")
    ] = 0.5,
    seed: Seed = 0,
    normalize: Annotated[
        bool,
        typer.Option("--normalize", help="Divide by the sum of the strengths, each without its sign, that take part."),
    ] = False,
    blocks: Blocks = None,
    to: Dialect = None,
    allow_partial: Partial = False,
    force: Force = False,
) -> None:
    """Combine LoRAs into one: `merge OUT A.safetensors:0.7 B.safetensors:-0.3`."""
    with careful():
        free(out, force)
        from ..diffusion.lora.jobs import merge_files

        told(
            merge_files(
                sources_of(loras, allow_partial),
                out,
                method.value,
                rank=rank,
                density=density,
                seed=seed,
                normalize=normalize,
                blocks=blocks_of(blocks),
                dialect=to.value if to else None,
            )
        )


@app.command()
def resize(
    file: Annotated[Path, typer.Argument(metavar="IN", help="A LoRA file.", show_default=False)],
    out: Out,
    rank: Rank = None,
    sv_ratio: Ratio = None,
    sv_cumulative: Cumulative = None,
    sv_fro: Frobenius = None,
    to: Dialect = None,
    alpha: Alpha = None,
    allow_partial: Partial = False,
    force: Force = False,
) -> None:
    """Lower the rank: a fixed one, or for each module what a share of its strength needs (--rank then caps it)."""
    with careful():
        if rank is None and sv_ratio is None and sv_cumulative is None and sv_fro is None:
            complain("Say how much to keep: --rank, --sv-ratio, --sv-cumulative or --sv-fro.")
            raise typer.Exit(WRONG)
        free(out, force)
        from ..diffusion.lora.jobs import resize_file

        with progress("resizing", "modules") as advance:
            written = resize_file(
                lora_file(file),
                out,
                rank=rank,
                sv_ratio=sv_ratio,
                sv_cumulative=sv_cumulative,
                sv_fro=sv_fro,
                dialect=to.value if to else None,
                alpha=alpha,
                partial=allow_partial,
                on_progress=advance,
            )
        told(written)


@app.command()
def extract(
    original: Annotated[
        str,
        typer.Argument(
            metavar="ORIGINAL", help="A checkpoint: a folder, a file, or embedded:NAME.", show_default=False
        ),
    ],
    tuned: Annotated[str, typer.Argument(metavar="TUNED", help="The same model, trained further.", show_default=False)],
    out: Out,
    rank: ExtractedRank = None,
    sv_ratio: Ratio = None,
    sv_cumulative: Cumulative = None,
    sv_fro: Frobenius = None,
    clamp: Annotated[
        float | None,
        typer.Option("--clamp", help="Cut entries of the factors at this quantile, as kohya's tool does at 0.99."),
    ] = None,
    min_diff: Annotated[float, typer.Option("--min-diff", min=0, help="Leave out what changed by no more.")] = 0.0,
    no_text_encoders: Annotated[bool, typer.Option("--no-text-encoders", help="Leave them out.")] = False,
    no_small: Annotated[bool, typer.Option("--no-small", help="Leave out biases and norms.")] = False,
    seed: Seed = 0,
    to: Dialect = None,
    force: Force = False,
) -> None:
    """Take what a training changed in a model out of it, as a LoRA."""
    with careful():
        before, after = model_of(original), model_of(tuned)
        free(out, force, kept=(before, after))
        from ..diffusion.lora.jobs import extract_file

        if rank is None and sv_ratio is None and sv_cumulative is None and sv_fro is None:
            rank = 32  # as ExtractLoRA has it
        with progress("extracting", "parameters") as advance:
            written = extract_file(
                before,
                after,
                out,
                rank=rank,
                sv_ratio=sv_ratio,
                sv_cumulative=sv_cumulative,
                sv_fro=sv_fro,
                clamp=clamp,
                min_diff=min_diff,
                include_text_encoders=not no_text_encoders,
                full_small=not no_small,
                seed=seed,
                dialect=to.value if to else None,
                on_progress=advance,
            )
        told(written)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A LoRA file.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.", show_default=False)],
    json_: AsJson = False,
    modules: Annotated[bool, typer.Option("--modules", help="List every module.")] = False,
    allow_partial: Partial = False,
) -> None:
    """Tell how alike two LoRAs are: the spaces that they read and write, their directions and norms."""
    with careful():
        from ..diffusion.lora.jobs import compare_files
        from . import lora_tables as tables

        found = compare_files(lora_file(first), lora_file(second), partial=allow_partial)
        if json_:
            tables.print_json({"a": str(first), "b": str(second), **found.as_json()})
        else:
            tables.show_comparison(found, str(first), str(second), modules=modules)


@app.command()
def bake(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE", help="A pipeline's folder, a checkpoint's file, or embedded:NAME.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The folder or file to write, as BASE is one.", show_default=False)
    ],
    loras: Sources,
    dtype: Annotated[
        Dtype | None, typer.Option("--dtype", help="Store the weights so (else as BASE does).", show_default=False)
    ] = None,
    blocks: Blocks = None,
    allow_partial: Partial = False,
    force: Force = False,
) -> None:
    """Add LoRAs to the weights of a saved model: `bake BASE OUT A.safetensors:1.0`."""
    with careful():
        place = model_of(base)
        free_model(out, force, place)
        from ..diffusion.lora.jobs import bake_file

        with progress("baking", "MiB", 1 << 20) as advance:
            path = bake_file(
                place,
                out,
                sources_of(loras, allow_partial),
                dtype=dtype.value if dtype else None,
                blocks=blocks_of(blocks),
                overwrite=force,
                on_progress=advance,
                on_warning=lambda said: complain(f"note: {said}"),
            )
        print(f"{path}: {base} with {', '.join(loras)} in its weights")
