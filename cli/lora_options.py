"""The arguments and options of `loragraph lora`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class To(StrEnum):
    """The dialects that are written."""

    peft = "peft"
    kohya = "kohya"
    comfyui = "comfyui"


class Method(StrEnum):
    """How LoRAs are combined."""

    concat = "concat"
    svd = "svd"
    magnitude = "magnitude"
    ties = "ties"
    dare = "dare"
    dare_ties = "dare_ties"
    knots = "knots"


class Dtype(StrEnum):
    """What a baked model's weights are stored as."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


File = Annotated[Path, typer.Argument(metavar="FILE", help="A LoRA file.", show_default=False)]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.", show_default=False)]
Sources = Annotated[
    list[str],
    typer.Argument(metavar="LORA[:STRENGTH]...", help="LoRA files, each at a strength (else 1).", show_default=False),
]
Dialect = Annotated[
    To | None, typer.Option("--to", help="The dialect of OUT (else that of what goes in, or peft).", show_default=False)
]
Force = Annotated[bool, typer.Option("--force", help="Replace OUT if it exists.")]
Alpha = Annotated[
    float | None, typer.Option("--alpha", help="Take this for alpha, whatever the file says.", show_default=False)
]
Partial = Annotated[bool, typer.Option("--allow-partial", help="Leave out keys that are not understood.")]
Rank = Annotated[int | None, typer.Option("--rank", min=1, help="The highest rank of a module.", show_default=False)]
ExtractedRank = Annotated[
    int | None,
    typer.Option(
        "--rank",
        min=1,
        help="The highest rank of a module (else 32, or what another rule asks for).",
        show_default=False,
    ),
]
Ratio = Annotated[
    float | None,
    typer.Option("--sv-ratio", help="Keep singular values above the largest one / this.", show_default=False),
]
Cumulative = Annotated[
    float | None,
    typer.Option("--sv-cumulative", help="Keep this share of their sum, 0 to 1.", show_default=False),
]
Frobenius = Annotated[
    float | None,
    typer.Option("--sv-fro", help="Keep this share of the Frobenius norm, 0 to 1.", show_default=False),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of what is random.")]
Blocks = Annotated[
    list[str] | None,
    typer.Option(
        "--blocks",
        metavar="TEXT",
        help='Strengths by block, such as "transformer_blocks.0-5=0.5"; once for all LoRAs, or once for each.',
    ),
]
