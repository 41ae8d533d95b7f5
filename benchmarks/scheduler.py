"""What the scheduler itself costs: chains and trees of trivial nodes, cold, unchanged, and with the last node changed.

    python -m loragraph.benchmarks.scheduler [--sizes 100 1000 10000] [--repeats 3]

Nodes do nothing but add numbers, so all the time is ours: planning, keys, look-ups, folders, files, events. Every row
also shows the time as a multiple of the plainest thing that could be done instead, a topological walk with networkx
that calls a function per node and keeps nothing. "load" is reading and checking the document's text; it is no part of
the others. "whole" includes planning and keys, "run" is what follows the run_started event.

A chain of n nodes has one node asked for at the back, a tree (every parent feeds two) has n / 2, so an unchanged chain
shows planning and keys alone and an unchanged tree the look-ups too. "x" on the right is the cost per node against the
smallest size of the same row: 1 means linear.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import networkx as nx

from loragraph.graph_runtime.document import Document, NodeSpec, Reference, load
from loragraph.graph_runtime.executors import InProcessExecutor
from loragraph.graph_runtime.node import node
from loragraph.graph_runtime.registry import Registry
from loragraph.graph_runtime.scheduler import run
from loragraph.graph_runtime.values import Value


class BenchmarkNumber(Value):
    """A number on a wire."""

    value: int


@node(category="benchmark")
def add_one(number: BenchmarkNumber | None = None, plus: int = 1) -> BenchmarkNumber:
    """Return the number plus a little."""
    return BenchmarkNumber(value=(number.value if number else 0) + plus)


REGISTRY = Registry(add_one)
PARENT: dict[str, Callable[[int], int]] = {"chain": lambda index: index - 1, "tree": lambda index: (index - 1) // 2}


def make(shape: str, size: int, salt: int, last: int = 1) -> Document:
    """Return a document of `size` nodes; `salt` makes all its keys new, `last` is the setting of its last node."""
    nodes: dict[str, NodeSpec] = {}
    for index in range(size):
        inputs: dict[str, Reference | list[Reference]] = {}
        if index:
            inputs["number"] = Reference(f"n{PARENT[shape](index)}", "benchmarknumber")
        plus = salt if index == 0 else last if index == size - 1 else index
        nodes[f"n{index}"] = NodeSpec(f"n{index}", "AddOne", 1, {"plus": plus}, inputs)
    return Document(nodes).complete(REGISTRY)


def plain_walk(document: Document) -> float:
    """Return the seconds of a networkx topological walk that calls the function of every node."""
    begun = time.perf_counter()
    graph = nx.DiGraph()
    graph.add_nodes_from(document.nodes)
    graph.add_edges_from((wire.node, name) for name, spec in document.nodes.items() for wire in spec.wires())
    done: dict[str, BenchmarkNumber] = {}
    for name in nx.topological_sort(graph):
        spec = document.nodes[name]
        above = spec.wires()
        done[name] = add_one.body(done[above[0].node] if above else None, **spec.settings)
    return time.perf_counter() - begun


def timed_load(document: Document) -> float:
    """Return the seconds to read and check the document from its text."""
    text = document.text()
    begun = time.perf_counter()
    load(text, REGISTRY)
    return time.perf_counter() - begun


def timed_run(document: Document, home: Path, executor: InProcessExecutor, expected: int) -> tuple[float, float]:
    """Return (whole, run) seconds of one run, after checking that it ran just as many nodes as expected."""
    begun = time.perf_counter()
    result = run(document, REGISTRY, home=home, out=home / "out", executor=executor)
    whole = time.perf_counter() - begun
    ran = sum(state.status == "done" for state in result.nodes.values())
    if (result.status, ran) != ("done", expected):
        raise RuntimeError(f"the run ended {result.status} after running {ran} nodes, not {expected}")
    return whole, result.seconds


def main(arguments: list[str] | None = None) -> int:
    """Print the table; returns 1 if 1,000 unchanged nodes took 50 ms or more."""
    parser = argparse.ArgumentParser(description="What the scheduler costs per node.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many is shown")
    options = parser.parse_args(arguments)
    print(f"{'':24}{'nodes':>7}{'whole ms':>11}{'run ms':>10}{'us/node':>9}{'/ walk':>8}{'x':>6}")
    slow = False
    executor = InProcessExecutor()
    for shape in PARENT:
        first: dict[str, float] = {}
        for size in sizes_of(options.sizes):
            rows = measure(shape, size, options.repeats, executor)
            walk = min(plain_walk(make(shape, size, 1)) for _ in range(options.repeats))
            rows |= {"load": (read := timed_load(make(shape, size, 1)), read), "networkx walk": (walk, walk)}
            for case, (whole, inside) in rows.items():
                each = whole / size
                growth = each / first.setdefault(case, each)
                print(
                    f"{f'{shape}, {case}':24}{size:7}{whole * 1e3:11.2f}{inside * 1e3:10.2f}{each * 1e6:9.1f}"
                    f"{whole / walk:8.1f}{growth:6.2f}",
                    flush=True,
                )
            slow = slow or (size == 1000 and rows["unchanged"][0] >= 0.050)
    executor.close()
    if slow:
        print("1,000 unchanged nodes took 50 ms or more", file=sys.stderr)
    return int(slow)


def sizes_of(sizes: list[int]) -> list[int]:
    """Return the sizes in order, each of at least two nodes."""
    return sorted({max(2, size) for size in sizes})


def measure(shape: str, size: int, repeats: int, executor: InProcessExecutor) -> dict[str, tuple[float, float]]:
    """Return the best (whole, run) seconds of each case."""
    best: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="loragraph-benchmark-") as folder:
        for turn in range(repeats):
            # Fewer cold runs of large graphs: they write a file per node.
            salt = turn + 1 if size < 10000 else 1
            if size < 10000 or turn == 0:
                keep(best, "cold", timed_run(make(shape, size, salt), Path(folder), executor, size))
            keep(best, "unchanged", timed_run(make(shape, size, salt), Path(folder), executor, 0))
            changed = make(shape, size, salt, last=-1 - turn)
            keep(best, "last changed", timed_run(changed, Path(folder), executor, 1))
    return best


def keep(best: dict[str, tuple[float, float]], case: str, found: tuple[float, float]) -> None:
    """Remember the better of two measurements."""
    best[case] = min(best.get(case, found), found)


if __name__ == "__main__":
    sys.exit(main())
