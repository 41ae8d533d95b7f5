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
from ..graph_runtime.values import (
    Adapter,
    Base,
    Clip,
    Dataset,
    Entities,
    Images,
    LoRA,
    Picture,
    Table,
    Value,
    Videos,
)
from .pictures import PICTURES, VIDEOS, about

SHOWN = 200
"""So many pictures of one output are told; `count` is how many there are."""

ROWS = 2000
"""So many rows of a table are told; `count` is how many there are."""

LONGEST, MOST = 300, 40
"""Characters of one fact or cell, and facts of one value."""

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
            "dialect": value.dialect,
            "alpha": value.alpha,
        }
    if isinstance(value, Table):
        return {
            "kind": "table",
            "name": name,
            "title": value.title,
            "columns": list(value.columns),
            "rows": [[_short(cell) for cell in row] for row in value.rows[:ROWS]],
            "count": len(value.rows),
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
        adapters = [_adapter(each) for each in value.adapters]
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
            found[name] = _short(part)
    return found


def _short(part: Any) -> Any:
    """Return a text that is too long to be shown without its end, anything else as it is."""
    return f"{part[: LONGEST - 1]}…" if isinstance(part, str) and len(part) > LONGEST else part


def _adapter(adapter: Adapter) -> str:
    """Return a LoRA on a base as it is told: what it is called, how strong it is, where, when and for whom."""
    told = f"{adapter.lora.title or Path(adapter.lora.file.path).stem} × {adapter.strength:g}"
    more = [adapter.blocks] if adapter.blocks else []
    if adapter.schedule is not None:
        when = adapter.schedule
        more.append(f"{when.start:.0%} to {when.end:.0%} of the steps")
        if when.end_strength is not None:
            more.append(f"{when.curve} to × {when.end_strength:g}")
    if adapter.lines:
        more.append(f"line{'s' * (len(adapter.lines) > 1)} {', '.join(map(str, adapter.lines))}")
    return f"{told} ({'; '.join(more)})" if more else told


def _seen(value: Value) -> list[View]:
    paths = dict.fromkeys(path for path, _ in values.references(value) if path.lower().endswith(PICTURES))
    return [_bare(path) for path in list(paths)[:SHOWN]]
