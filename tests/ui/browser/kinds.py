"""Nodes for the browser's tests: one that works step by step until it is let on, one that fails, one that has a video.

    served = Served(folder, env=offered(folder))     # a server that has them, as if a package had brought them

`Work` holds at a step until a file is there, so a test decides how far a run has come, not the machine's speed.
"""

import os
import time
from pathlib import Path

from loragraph.graph_runtime import Context, FileRef, InputFile, Table, Value, Videos, node
from loragraph.graph_runtime.values import Clip, Images, Picture

PACKAGE = "loragraph_browser_kinds"


class Count(Value):
    """A number on a wire."""

    value: int


@node(category="Test", device=True)
def work(
    after: Count | None = None, steps: int = 10, hold_at: int = 0, gate: str = "", journal: str = "", *, ctx: Context
) -> Count:
    """Count to `steps` with a falling loss and a preview; at `hold_at`, wait until the file `gate` is there.

    The count is kept, so that an attempt that was cut off goes on where it was. Each step adds a line to `journal`.
    """
    from PIL import Image

    kept = ctx.scratch / "count.txt"
    first = int(kept.read_text()) + 1 if kept.exists() else 1
    picture = ctx.folder / "preview.png"
    Image.linear_gradient("L").resize((48, 48)).save(picture)
    for step in range(first, steps + 1):
        ctx.metric("loss", 1 / (step + 1), step)
        ctx.progress(step, steps, preview=picture)
        if journal:
            with open(journal, "a") as stream:
                stream.write(f"{step}\n")
        kept.write_text(str(step))
        while step == hold_at and not Path(gate).exists():
            ctx.check_cancel()
            time.sleep(0.01)
        ctx.check_cancel()
    return Count(value=steps)


@node(category="Test")
def paint(after: Count | None = None, colours: tuple[str, ...] = ("#2255cc", "#cc5522"), *, ctx: Context) -> Images:
    """Return one picture of each colour, the second half of it lighter."""
    from PIL import Image

    pictures = []
    for index, colour in enumerate(colours):
        path = ctx.folder / f"{index}.png"
        image = Image.new("RGB", (96, 96), colour)
        image.paste("#ffffff", (12 * (index + 1), 12, 84, 84))
        image.save(path)
        about = {"seed": index, "loras": [{"title": "riso", "strength": 0.5}]}
        pictures.append(
            Picture(file=FileRef.of(path), width=96, height=96, caption=f"a {colour} square", settings=about)
        )
    return Images(items=tuple(pictures))


@node(category="Test")
def stumble(after: Count | None = None, message: str = "the wheel came off") -> Count:
    """Fail."""
    raise RuntimeError(message)


@node(category="Test")
def film(file: InputFile, *, ctx: Context) -> Videos:
    """Return a video file as it is."""
    path = ctx.folder / "film.webm"
    path.write_bytes(Path(file).read_bytes())
    return Videos(items=(Clip(file=FileRef.of(path), width=64, height=48, frames=8, fps=8.0, caption="a moving box"),))


@node(category="Test")
def tabulate(rows: int = 300) -> Table:
    """Return a table as InspectLoRA's: a name, a text, whole numbers, numbers of many sizes, and cells left empty."""
    cells = (
        (
            f"transformer.transformer_blocks.{number // 4}.attn.to_{'qkv'[number % 3]}",
            "lora" if number % 5 else "lora + bias",
            4 << number % 5,
            None if number % 7 == 3 else 3.0 / (1 + number) ** 1.5,
            -1.5 if number % 2 else 0.25,
        )
        for number in range(rows)
    )
    return Table(title="Norms of riso", columns=("module", "kind", "rank", "norm", "cosine"), rows=tuple(cells))


def offered(folder: Path) -> dict[str, str]:
    """Return the environment in which these nodes are installed: a package's entry point, written into `folder`."""
    about = folder / "packages" / f"{PACKAGE}-1.0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[loragraph.nodes]\nbrowser_kinds = {__name__}\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(about.parent), os.environ.get("PYTHONPATH"))))}
