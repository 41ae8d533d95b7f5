"""What the page is told of a value."""

from loragraph.graph_runtime.values import Base, FileRef, LoRA, Schedule, Table
from loragraph.ui.views import LONGEST, ROWS, view_of

STYLE = LoRA(
    file=FileRef(path="/loras/riso.safetensors", sha256="ab" * 32, size=5),
    family="flux",
    rank=8,
    modules=4,
    dialect="kohya",
    alpha=4.0,
)
BASE = Base(source="emoji", path="/m", fingerprint="f", family="flux", dtype="float32")


def test_a_table_is_told_with_its_rows_and_how_many_there_are() -> None:
    table = Table(title="norms", columns=("module", "norm"), rows=(("a", 1.5), ("b", None)))
    assert view_of("table", table) == {
        "kind": "table",
        "name": "table",
        "title": "norms",
        "columns": ["module", "norm"],
        "rows": [["a", 1.5], ["b", None]],
        "count": 2,
    }


def test_a_very_long_table_is_told_in_part() -> None:
    table = Table(title="t", columns=("text",), rows=tuple(("x" * 1000,) for _ in range(ROWS + 7)))
    view = view_of("table", table)
    assert (len(view["rows"]), view["count"]) == (ROWS, ROWS + 7)
    assert len(view["rows"][0][0]) == LONGEST


def test_a_lora_says_how_its_file_is_read() -> None:
    view = view_of("lora", STYLE)
    assert (view["title"], view["dialect"], view["alpha"], view["rank"]) == ("riso", "kohya", 4.0, 8)


def test_a_base_says_how_strong_where_when_and_for_whom_its_loras_are() -> None:
    schedule = Schedule(start=0.25, end=1.0, end_strength=0.2, curve="cosine")
    base = BASE.with_adapter(STYLE, 0.8).with_adapter(STYLE, 1, blocks="mid=0", schedule=schedule, lines=(1, 3))
    told = view_of("base", base)["facts"]["LoRAs"]
    assert told == "riso × 0.8, riso × 1 (mid=0; 25% to 100% of the steps; cosine to × 0.2; lines 1, 3)"
    assert view_of("base", BASE)["facts"]["LoRAs"] == "none"
