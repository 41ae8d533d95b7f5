"""What a picture file says of itself, read from its head alone: its size, and the text that a saved PNG carries.

    about(Path("fox-0001.png"))   # {"path": ..., "width": 64, "height": 64, "caption": "fox", "settings": {"seed": 7}}

PNG (W3C PNG specification, third edition, sections 5 and 11.3.3); of other files only the path is known, and the
browser finds out the size when it shows them.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".avif")
VIDEOS = (".mp4", ".webm", ".mov", ".mkv")
MOST_TEXT = 2**20
"""Bytes of one piece of text; what is longer is left out."""

_KEYWORDS = ("settings", "prompt")
"""The pieces of text that are told; a file may hold any number of others."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def about(path: Path) -> dict[str, Any]:
    """Return a picture as the page shows it; a file that isn't what its name says has size 0."""
    width = height = 0
    text: dict[str, str] = {}
    if path.suffix.lower() == ".png":
        try:
            with path.open("rb") as stream:
                width, height, text = _png(stream)
        except (OSError, ValueError, struct.error):
            pass
    try:
        settings = json.loads(text.get("settings", "{}"))
    except (ValueError, RecursionError):
        settings = {}
    return {
        "path": str(path),
        "width": width,
        "height": height,
        "caption": text.get("prompt", ""),
        "settings": settings if isinstance(settings, dict) else {},
    }


def _png(stream: BinaryIO) -> tuple[int, int, dict[str, str]]:
    """Return (width, height, {keyword: text}) up to the pixels; raises ValueError for what is no PNG."""
    if stream.read(8) != _SIGNATURE:
        raise ValueError("no PNG")
    width = height = 0
    text: dict[str, str] = {}
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT" or kind == b"IEND":
            break
        if kind not in (b"IHDR", b"tEXt", b"iTXt") or length > MOST_TEXT:
            stream.seek(length + 4, 1)
            continue
        data = stream.read(length)
        stream.seek(4, 1)
        if kind == b"IHDR":
            width, height = struct.unpack(">II", data[:8])
            continue
        keyword, _, rest = data.partition(b"\0")
        name = keyword.decode("latin-1")
        if name in _KEYWORDS and name not in text:
            text[name] = rest.decode("latin-1") if kind == b"tEXt" else _international(rest)
    return width, height, text


def _international(rest: bytes) -> str:
    """Return the text of an iTXt chunk, whose data after the keyword is `rest`."""
    packed = rest[:1] == b"\1"
    _, _, rest = rest[2:].partition(b"\0")
    _, _, value = rest.partition(b"\0")
    if packed:
        unpacking = zlib.decompressobj()
        try:
            value = unpacking.decompress(value, MOST_TEXT)
        except zlib.error as error:
            raise ValueError("text that can't be unpacked") from error
    return value.decode("utf-8", "replace")
