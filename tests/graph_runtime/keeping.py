"""Results to keep in a store; in a module of its own, by a name that a spawned process can import."""

import json
import multiprocessing
from pathlib import Path

from loragraph.graph_runtime import FileRef, LoRA
from loragraph.graph_runtime.store import Store

KEY = "ab" * 32


def lora(path: Path) -> LoRA:
    return LoRA(file=FileRef.of(path), family="flux", rank=4, modules=2)


def make(store: Store, key: str = KEY, data: bytes = b"weights") -> LoRA:
    staging = store.stage(key)
    (staging / "deep").mkdir()
    (staging / "deep" / "a.bin").write_bytes(data)
    found = store.commit(key, staging, {"lora": lora(staging / "deep" / "a.bin")})["lora"]
    assert isinstance(found, LoRA)
    return found


def race(home: str, number: int, results: "multiprocessing.Queue[str]") -> None:
    opened = Store(home)
    results.put(json.dumps(make(opened, data=b"x" * number).model_dump()))
    opened.close()
