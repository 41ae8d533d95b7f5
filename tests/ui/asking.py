"""What the tests of the page ask a studio for, again and again."""

import asyncio
import json
from pathlib import Path
from typing import Any

from loragraph.ui.following import follow
from loragraph.ui.studio import Studio


def workflow(nodes: dict[str, Any], **more: Any) -> str:
    return json.dumps({"format": "loragraph/1", "title": "A <b>title</b>", **more, "nodes": nodes})


def show_and_save(pictures: Path, **settings: Any) -> dict[str, Any]:
    return {
        "data": {"type": "LoadImages", "settings": {"folder": str(pictures)}},
        "grid": {"type": "Grid", "settings": settings, "inputs": {"rows": ["data.images"]}},
        "save": {"type": "SaveImages", "settings": {"name": "g"}, "inputs": {"images": "grid.images"}},
    }


def ask(studio: Studio, method: str, **data: Any) -> dict[str, Any]:
    """Ask and be answered, or fail with what the studio says."""
    answer = studio.answer(method, data)
    assert answer["ok"], answer["message"]
    json.dumps(answer, allow_nan=False)
    return answer


def refused(studio: Studio, method: str, **data: Any) -> str:
    """Ask for what is refused; return why."""
    answer = studio.answer(method, data)
    assert not answer["ok"]
    json.dumps(answer, allow_nan=False)
    return str(answer["message"])


def followed(studio: Studio, run: str, after: int = 0) -> list[dict[str, Any]]:
    """Follow a run to its end; return the parts."""

    async def all_of_it() -> list[dict[str, Any]]:
        return [part async for part in follow(studio.queue, run, after)]

    return asyncio.run(asyncio.wait_for(all_of_it(), 60))


def run_to_its_end(studio: Studio, nodes: dict[str, Any], name: str = "w", **more: Any) -> dict[str, Any]:
    """Submit and follow; return the run as it ended."""
    run = ask(studio, "submit", text=workflow(nodes), name=name, **more)["run"]["id"]
    return dict(followed(studio, run)[-1]["run"])
