"""LoadImages: a folder of pictures with captions, as a data set to train on."""

from pathlib import Path
from typing import Annotated, NamedTuple

from ..graph_runtime.errors import BadInput
from ..graph_runtime.markers import InputFolder, Suggestions
from ..graph_runtime.node import node
from ..graph_runtime.values import Dataset, FileRef, Images, Item, Picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""What counts as a picture, in lower case; other files beside the pictures are left alone."""


class LoadedImages(NamedTuple):
    """The pictures with their captions, to train on (`dataset`) and to look at (`images`)."""

    dataset: Dataset
    images: Images


@node(category="Data", version=1)
def load_images(folder: Annotated[InputFolder, Suggestions("embedded:riso")], prefix: str = "") -> LoadedImages:
    """Return the pictures of a folder in the order of their names.

    The caption of `red-apple.png` is the text of `red-apple.txt` where there is one, else the file name in words
    ("red apple"). `prefix` is put before every caption as it stands, for example "riso style ".
    """
    root = Path(folder)
    paths = sorted(path for path in root.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise BadInput(
            f"the folder {root} holds no picture; put {', '.join(SUFFIXES)} files in it or choose another folder.",
            field="folder",
            value=folder,
        )
    for path in paths:
        if not path.name.isprintable():  # also what a file system gives for bytes that are no UTF-8
            said = ascii(path.name)
            raise BadInput(f"the file name {said} can't be written as text; rename the file.", "folder", said)
    pictures = [_read(path, prefix) for path in paths]
    items = tuple(Item(file=picture.file, caption=picture.caption) for picture in pictures)
    return LoadedImages(Dataset(items=items, root=str(root)), Images(items=tuple(pictures)))


def _read(path: Path, prefix: str) -> Picture:
    """Decode the picture once in full, so that a damaged file is named here and not in the middle of a training."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            width, height = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(
            f"{path.name} can't be read as a picture ({error}); remove or replace the file.",
            field="folder",
            value=str(path),
        ) from error
    return Picture(file=FileRef.of(path), width=width, height=height, caption=prefix + _caption(path))


def _caption(path: Path) -> str:
    text = path.with_suffix(".txt")
    if not text.is_file():
        return " ".join(path.stem.replace("-", " ").replace("_", " ").split())
    try:
        return " ".join(text.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise BadInput(
            f"the caption file {text.name} isn't UTF-8 text ({error.reason}); save it as UTF-8.",
            field="folder",
            value=str(text),
        ) from error
