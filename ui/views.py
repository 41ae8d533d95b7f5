"""One value, or some files, as the page shows them: what `ResultView` in `ui/web/src/types.ts` says, name for name.

    view_of("images", Images(...))   # {"kind": "pictures", "name": "images", "items": [...], "count": 20}
    view_of("base", Base(...))       # {"kind": "facts", "name": "base", "type": "Base", "facts": {...}, "pictures": []}

A kind of value by others is shown by its fields; the picture files that it names are shown with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..graph_runtime import values
from ..graph_runtime.values import Base, Clip, Dataset, Entities, Images, LoRA, Picture, Value, Videos
from .pictures import PICTURES, VIDEOS, about

SHOWN = 200
"""So many pictures of one output are told; `count` is how many there are."""

LONGEST, MOST = 300, 40
"""Characters of one fact, and facts of one value."""

View = dict[str, Any]


def view_of(name: str, value: Value) -> View:
    """Return the view of an output's value."""
    if isinstance(value, Images):
        items = [picture_shown(picture) for picture in value.items[:SHOWN]]
        return {"kind": "pictures", "name": name, "items": items, "count": len(value.items)}
    if isinstance(value, Videos):
        items = [picture_shown(clip) for clip in value.items[:SHOWN]]
        return {"kind": "video", "name": name, "items": items, "count": len(value.items)}
    if isinstance(value, LoRA):
        return {
            "kind": "lora",
            "name": name,
            "title": value.title or Path(value.file.path).stem,
            "family": value.family,
            "rank": value.rank,
            "modules": value.modules,
            "size": value.file.size,
            "sha256": value.file.sha256,
            "path": value.file.path,
        }
    if isinstance(value, Dataset):
        items = [{**_bare(item.file.path), "caption": item.caption} for item in value.items[:SHOWN]]
        return {"kind": "pictures", "name": name, "items": items, "count": len(value.items)}
    return {
        "kind": "facts",
        "name": name,
        "type": type(value).__name__,
        "facts": _facts(value),
        "pictures": _seen(value),
    }


def picture_shown(picture: Picture | Clip) -> View:
    """Return a picture or a clip that a node has made."""
    return {
        "path": picture.file.path,
        "width": picture.width,
        "height": picture.height,
        "caption": picture.caption,
        "settings": picture.settings,
    }


def files_shown(files: Sequence[Path]) -> list[View]:
    """Return the views of files that a node has saved: pictures together, videos together, others one by one."""
    pictures = [path for path in files if path.suffix.lower() in PICTURES]
    videos = [path for path in files if path.suffix.lower() in VIDEOS]
    views: list[View] = []
    if pictures:
        items = [about(path) for path in pictures[:SHOWN]]
        views.append({"kind": "pictures", "name": "saved", "items": items, "count": len(pictures)})
    if videos:
        items = [_bare(str(path)) for path in videos[:SHOWN]]
        views.append({"kind": "video", "name": "saved", "items": items, "count": len(videos)})
    for path in files:
        if path not in pictures and path not in videos:
            views.append({"kind": "file", "name": path.name, "path": str(path), "size": path.stat().st_size})
    return views


def _bare(path: str) -> View:
    return {"path": path, "width": 0, "height": 0, "caption": "", "settings": {}}


def _facts(value: Value) -> View:
    if isinstance(value, Base):
        adapters = [
            f"{each.lora.title or Path(each.lora.file.path).stem} × {each.strength:g}" for each in value.adapters
        ]
        return {
            "model": value.source,
            "family": value.family,
            "dtype": value.dtype,
            "LoRAs": ", ".join(adapters) or "none",
            "file": Path(value.path).name,
        }
    if isinstance(value, Entities):
        things = {f"{number}. {each.prompt}": f"× {each.strength:g}" for number, each in enumerate(value.entities, 1)}
        return {"size": f"{value.width} × {value.height}", **dict(list(things.items())[:MOST])}
    found: View = {}
    for name, part in list(value.model_dump(mode="json").items())[:MOST]:
        if isinstance(part, dict) and part.keys() >= {"path", "sha256", "size"}:
            found[name] = part["path"]
        elif isinstance(part, list) and len(part) > 6:
            found[name] = f"{len(part)} of them"
        else:
            text = part if isinstance(part, str) else None
            found[name] = f"{text[: LONGEST - 1]}…" if text and len(text) > LONGEST else part
    return found


def _seen(value: Value) -> list[View]:
    paths = dict.fromkeys(path for path, _ in values.references(value) if path.lower().endswith(PICTURES))
    return [_bare(path) for path in list(paths)[:SHOWN]]
