"""The folders that a page works with, and the one rule on paths that come from a browser.

    folder        where documents are opened and saved, and where relative paths start      (--folder, else here)
    out           saved files go to a folder here, by the workflow's name                   (--out)
    home          results, the run queue, previews; home/inputs keeps what was uploaded     (--home)
    models        more folders in which models and LoRAs are looked for                     (--models, any number)
    first         the file that the page begins with, wherever it lies                      (FILE)

A path from a browser counts only where it really lies (links followed) in one of these folders and no part of it is
hidden (begins with a dot):

    workspace.inside("cats/tom.png")      # -> Path("/flows/cats/tom.png")
    workspace.inside("../../etc/passwd")  # raises BadInput, which names the folders that may be read
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..graph_runtime.errors import BadInput, show

PACKAGE = Path(__file__).parents[1]
TEMPLATES = PACKAGE / "workflows"

SHOWN = frozenset(
    (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", ".mkv", ".mov", ".mp4", ".webm")
)
"""Of the user's own folders the browser gets only pictures and videos; of what runs have made, all."""


@dataclass(frozen=True)
class Workspace:
    """Absolute folders, with all links resolved; see the module."""

    folder: Path
    out: Path
    home: Path
    models: tuple[Path, ...] = ()
    devices: tuple[str, ...] = ("cpu",)
    first: Path | None = None
    granted: set[Path] = field(default_factory=set, compare=False)
    """Folders elsewhere whose pictures a result names, such as a data set's; see `grant`."""

    @classmethod
    def of(
        cls,
        home: Path,
        *,
        out: Path = Path("out"),
        folder: Path | None = None,
        models: tuple[Path, ...] = (),
        devices: tuple[str, ...] = ("cpu",),
        first: Path | None = None,
    ) -> Workspace:
        """Return the workspace of these folders; raises BadInput for a folder or file that isn't there."""
        for place in (*models, *([folder] if folder else ())):
            if not place.is_dir():
                raise BadInput(f"{place} is no folder; name one that is there.")
        if first is not None and not first.is_file():
            raise BadInput(f"there is no workflow file {first}; check its path.")
        return cls(
            (folder or Path.cwd()).resolve(),
            out.resolve(),
            home.resolve(),
            tuple(place.resolve() for place in models),
            devices,
            first.resolve() if first else None,
        )

    @property
    def inputs(self) -> Path:
        """Where files that a browser has sent are kept."""
        return self.home / "inputs"

    def roots(self) -> list[tuple[str, Path]]:
        """Return (name, folder) of what pickers may show, in their order; a folder that isn't there is left out."""
        named = [("This folder", self.folder), ("Uploaded", self.inputs), ("Results", self.out)]
        named += [(f"Models: {place.name}", place) for place in self.models]
        found: dict[Path, str] = {}
        for name, place in named:
            if place.is_dir():
                found.setdefault(place, name)
        return [(name, place) for place, name in found.items()]

    def inside(self, text: str) -> Path:
        """Return the real absolute path that a browser names; raises BadInput where it may not be used here."""
        path = self.real(text)
        if path == self.first or any(_visible_in(path, root) for _, root in self.roots()):
            return path
        where = ", ".join(str(root) for _, root in self.roots())
        raise BadInput(f"{show(text)} does not lie in a folder that this page may use ({where}); copy it there.")

    def real(self, text: str) -> Path:
        """Return an absolute path with links followed, relative ones beginning in `folder`; BadInput for no path."""
        if not text or "\0" in text:
            raise BadInput(f"{show(text)} is no path.")
        try:
            return Path(os.path.realpath(self.folder / Path(text).expanduser()))
        except (OSError, RuntimeError, ValueError) as error:
            raise BadInput(f"{show(text)} can't be looked up: {error}.") from error

    def may_show(self, path: Path) -> bool:
        """Whether the browser may get the content of a file: what runs made, and media in the pickers' folders."""
        made = (self.out, self.inputs, *(self.home / name for name in ("store", "previews", "thumbnails")))
        if any(_visible_in(path, root) for root in made):
            return True
        if path.suffix.lower() not in SHOWN:
            return False
        return path.parent in self.granted or any(_visible_in(path, root) for root in (self.folder, *self.models))

    def grant(self, path: Path) -> Path | None:
        """Let the browser have a picture that a run's result names; return its folder where that is a new one."""
        path = path.resolve()
        if self.may_show(path) or path.suffix.lower() not in SHOWN:
            return None
        self.granted.add(path.parent)
        return path.parent

    def allowed_paths(self) -> list[str]:
        """Return what to hand to Gradio's `allowed_paths`; `may_show` is the narrower rule, in front of it."""
        made = (self.home / name for name in ("inputs", "store", "previews", "thumbnails"))
        return [str(place) for place in (self.folder, self.out, *made, *self.models)]


def _visible_in(path: Path, root: Path) -> bool:
    """Whether a real path lies in a real folder, or is it, with no hidden part below that folder."""
    if not path.is_relative_to(root):
        return False
    return not any(part.startswith(".") for part in path.relative_to(root).parts)
