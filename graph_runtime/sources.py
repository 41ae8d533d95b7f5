"""From what a user writes for a file, folder or model to the path of something that is there.

    "cat.safetensors"     beside the workflow document, else in the current folder
    "/data/flux"          as it stands; "~" is the home folder
    "embedded:emoji"      what the scheme's resolver says; a package registers one for its own things

`resolve` raises `SourceError` with a sentence for the user, and never returns a path that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from .errors import LoRAGraphError, did_you_mean
from .markers import Kind

Resolver = Callable[[str], Path]

# Two letters at least: "C:\models" is a path.
_SCHEME = re.compile(r"([a-z][a-z0-9+-]+):(?!//)(.*)", re.DOTALL)
_RESOLVERS: dict[str, Resolver] = {}
_LONGEST_LISTING = 2000


class SourceError(LoRAGraphError, ValueError):
    """A file, folder or model is not there. `hint` says what is near."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


def register(scheme: str, resolver: Resolver) -> None:
    """Let `resolver` find what is written `scheme:name`; it gets the name, and raises ValueError for an unknown one."""
    if not _SCHEME.fullmatch(f"{scheme}:"):
        raise ValueError(f"a scheme is two or more lower-case letters and digits, not {scheme!r}")
    _RESOLVERS[scheme] = resolver


def resolve(text: str, kind: Kind = "file", folder: Path | None = None) -> Path:
    """Return the absolute path that `text` names; `folder` is where relative paths start (the document's)."""
    if not text.strip():
        raise SourceError(f"no {_NOUNS[kind]} is given.", "Write its path.")
    if "\0" in text:
        raise SourceError("a path cannot hold the character NUL.")
    try:
        path = _from_path(text, folder)
        scheme = _SCHEME.fullmatch(text)
        # A file may have a colon in its name; a scheme that is known comes first.
        if scheme is not None and (scheme[1] in _RESOLVERS or not path.exists()):
            path = _from_scheme(scheme[1], scheme[2])
        if not path.exists():
            said = f"there is no such {_NOUNS[kind]} ({path}"
            elsewhere = Path.cwd() / text
            also = f", nor {elsewhere}" if scheme is None and elsewhere != path else ""
            raise SourceError(f"{said}{also}).", _missing(text, kind, path, elsewhere))
        if kind in ("file", "lora") and not path.is_file():
            raise SourceError(f"{path} is not a file.", "Name a file inside it." if path.is_dir() else "")
        if kind == "folder" and not path.is_dir():
            raise SourceError(f"{path} is not a folder.", "Name the folder that it lies in.")
        if kind == "model" and not (path.is_dir() or path.is_file()):
            raise SourceError(f"{path} is neither a file nor a folder.")
    except OSError as error:
        raise SourceError(f"{text[:200]} cannot be read: {error.strerror or error}.") from error
    return path


_NOUNS: dict[Kind, str] = {"file": "file", "folder": "folder", "model": "model", "lora": "LoRA file"}


def _from_scheme(scheme: str, name: str) -> Path:
    resolver = _RESOLVERS.get(scheme)
    if resolver is None:
        known = [f"{each}:" for each in _RESOLVERS]
        raise SourceError(f'nothing is known under "{scheme}:".', did_you_mean(f"{scheme}:", known, none=""))
    try:
        return Path(resolver(name)).absolute()
    except (ValueError, LookupError, OSError) as error:
        said = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        raise SourceError(f'"{scheme}:{name}" is not there: {said}') from error


def _from_path(text: str, folder: Path | None) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # No such user's home.
        path = Path(text)
    if path.is_absolute() or folder is None:
        return Path.cwd() / path
    beside = folder.absolute() / path
    try:
        return beside if beside.exists() or not path.exists() else Path.cwd() / path
    except OSError:  # Too long a name, or no right to look: `resolve` reports it for the first place.
        return beside


def _missing(text: str, kind: Kind, path: Path, elsewhere: Path) -> str:
    """Return the remedy for a path that is not there."""
    if kind == "model" and re.fullmatch(r"[\w-]+/[\w.-]+", text):
        return "Models are not downloaded: if this is a name on a hub, fetch it first, and give its folder."
    hints = [_neighbour(place) for place in (path, elsewhere)]
    return next((hint for hint in hints if hint.startswith("Did")), hints[0])


def _neighbour(path: Path) -> str:
    """Name what lies nearest to `path` in its folder."""
    try:
        names = [entry.name for entry, _ in zip(path.parent.iterdir(), range(_LONGEST_LISTING), strict=False)]
    except OSError:
        return f"The folder {path.parent} is not there either." if not path.parent.exists() else ""
    hint = did_you_mean(path.name, names, none="")
    return hint if hint.startswith("Did") else "Check the path."
