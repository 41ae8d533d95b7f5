"""SaveImages: pictures of the workflow as PNG files that remember how they were made."""

import json
from functools import partial
from pathlib import Path

from ..graph_runtime.context import Context
from ..graph_runtime.node import node
from ..graph_runtime.values import Images, Picture
from .saving import NumberedFiles, checked_name


@node(category="Image", version=1, cache=False)
def save_images(images: Images, name: str = "image", *, ctx: Context) -> None:
    """Save every picture as `name-0001.png`, `name-0002.png`, … in the run's output folder; no file is overwritten.

    A picture that lies there already under this name, the same to the byte, is not saved again.

    The PNG's text chunks carry `prompt`, `seed`, `settings` (JSON) and, under `loragraph`, the whole workflow.
    """
    name = checked_name(name)
    saved: list[str] = []
    files = NumberedFiles(ctx.out, name, ".png")
    for step, picture in enumerate(images.items, start=1):
        ctx.check_cancel()
        text = text_chunks(picture, ctx.workflow)
        path, new = files.add(partial(_write, picture, text))
        if new:
            saved.append(path.name)
        else:
            ctx.log.info("already there: %s", path)
        ctx.progress(step, len(images.items), preview=path)
    if saved:
        count = f" … {saved[-1]}, {len(saved)} pictures," if len(saved) > 1 else ""
        ctx.log.info("saved %s%s in %s", saved[0], count, ctx.out)


def text_chunks(picture: Picture, workflow: str) -> dict[str, str]:
    """Return the text a saved PNG carries; empty entries are left out."""
    seed = picture.settings.get("seed")
    chunks = {
        "prompt": picture.caption,
        "seed": "" if seed is None else str(seed),
        "settings": json.dumps(picture.settings, ensure_ascii=False, sort_keys=True) if picture.settings else "",
        "loragraph": workflow,
    }
    return {key: text for key, text in chunks.items() if text}


def _write(picture: Picture, text: dict[str, str], target: Path) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in text.items():
        info.add_itxt(key, value, zip=len(value) > 2000)
    with Image.open(picture.file.path) as image:
        image.save(target, format="PNG", pnginfo=info)
