"""`loragraph lora …`: what each command says, writes, and refuses."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from loragraph.cli import lora_arguments, main
from loragraph.diffusion.embedded import locate
from loragraph.diffusion.lora import atomic, reading, writing
from loragraph.diffusion.lora.checkpoint import Checkpoint
from loragraph.tests.diffusion.lora.round_trip import distance, lora, numbers

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """call("inspect", "a.safetensors") -> (exit code, standard output, standard error), in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["lora", *arguments])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int | None)
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """Two LoRA files, of kohya's and of diffusers' dialect."""
    for name, dialect, rank in (("a", "kohya", 2), ("b", "peft", 3)):
        made = lora("flux", rank=rank, only="attn.to_")
        writing.save(made, tmp_path / f"{name}.safetensors", dialect, metadata={"ss_steps": "30"})
    return "a.safetensors", "b.safetensors"


def fact(out: str, name: str) -> str:
    return next(line.removeprefix(name).strip() for line in out.splitlines() if line.startswith(f"{name} "))


def test_inspect_tells_what_a_file_is(call: Call, two: tuple[str, str]) -> None:
    code, out, err = call("inspect", two[0])
    assert (code, err) == (0, "")
    assert fact(out, "dialect") == "kohya (sd-scripts)"
    assert fact(out, "family") == "FLUX.1 (flux)"
    assert fact(out, "scale") == "1"
    assert fact(out, "alpha from") == "its .alpha tensors"
    assert fact(out, "  ss_steps") == "30"
    assert "attn.to_q" not in out
    out = call("inspect", two[0], "--modules", "--norms")[1]
    assert out.count("transformer.transformer_blocks.0.attn.to_q ") == 2
    assert "stable rank" in out


def test_inspect_speaks_json(call: Call, two: tuple[str, str]) -> None:
    code, out, _ = call("inspect", two[1], "--json", "--norms")
    found = json.loads(out)
    assert code == 0
    assert (found["dialect"], found["family"], found["unmatched"]) == ("peft", "flux", [])
    assert found["items"]["transformer.transformer_blocks.0.attn.to_q"]["rank"] == 3
    assert found["metadata"]["ss_steps"] == "30"
    assert found["report"]["modules"] == found["modules"]


def test_inspect_lists_keys_without_a_meaning(call: Call, two: tuple[str, str]) -> None:
    strange = load_file(two[1]) | {"transformer.mystery.weight": torch.ones(2)}
    save_file(strange, "strange.safetensors")
    code, out, _ = call("inspect", "strange.safetensors")
    assert code == 0
    assert "1 keys without a meaning\n  transformer.mystery.weight" in out
    code, _, err = call("convert", "strange.safetensors", "out.safetensors")
    assert (code, "mystery" in err, Path("out.safetensors").exists()) == (2, True, False)
    code, out, err = call("convert", "strange.safetensors", "out.safetensors", "--allow-partial")
    assert code == 0 and "mystery" in err and Path("out.safetensors").exists()


def test_inspect_draws(call: Call, two: tuple[str, str]) -> None:
    assert call("inspect", two[0], "--picture", "a.png")[0] == 0
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


def test_convert_writes_another_dialect_and_replaces_only_with_force(call: Call, two: tuple[str, str]) -> None:
    code, out, err = call("convert", two[1], "c.safetensors", "--to", "comfyui")
    assert (code, err) == (0, "")
    assert out.startswith("c.safetensors: ComfyUI, flux, rank ")
    assert reading.inspect("c.safetensors").dialect == "comfyui"
    before = Path("c.safetensors").read_bytes()
    code, _, err = call("convert", two[0], "c.safetensors")
    assert code == 2 and "add --force to replace it" in err
    assert Path("c.safetensors").read_bytes() == before
    assert call("convert", two[0], "c.safetensors", "--force")[0] == 0
    assert reading.inspect("c.safetensors").dialect == "peft"


def test_convert_reads_the_pickle_that_the_message_was_about(call: Call, two: tuple[str, str]) -> None:
    torch.save(load_file(two[0]), "old.pt")
    code, _, err = call("inspect", "old.pt")
    assert code == 2 and "loragraph lora convert old.pt old.safetensors" in err
    assert call("convert", "old.pt", "old.safetensors", "--to", "peft")[0] == 0
    assert distance(reading.load(two[0]), reading.load("old.safetensors")) < 1e-6


def test_merge_takes_strengths_after_colons(call: Call, two: tuple[str, str]) -> None:
    code, out, _ = call("merge", "both.safetensors", f"{two[0]}:0.7", f"{two[1]}:-0.3", "--to", "peft")
    assert code == 0 and "% of the change's energy kept" in out
    name = "transformer.transformer_blocks.0.attn.to_q"
    first, second, both = (reading.load(path).changes[name].delta for path in (*two, "both.safetensors"))
    assert first is not None and second is not None and both is not None
    assert torch.allclose(both.dense(), 0.7 * first.dense() - 0.3 * second.dense(), atol=1e-4)
    code, _, err = call("merge", "x.safetensors", *two, "--method", "svd", "--rank", "2", "--blocks", "nowhere=1")
    assert code == 2 and "nowhere" in err and not Path("x.safetensors").exists()
    code, out, _ = call("merge", "x.safetensors", *two, "--method", "dare_ties", "--rank", "2", "--seed", "5")
    assert code == 0 and "rank 2" in out


def test_resize_extract_compare_and_bake(call: Call, two: tuple[str, str]) -> None:
    code, out, _ = call("resize", two[1], "small.safetensors", "--rank", "1")
    assert code == 0 and "rank 1" in out
    made = reading.load(two[1])
    names = [name.removeprefix("transformer.") for name in made.changes]
    save_file({f"{name}.weight": numbers(place, 8, 8) for place, name in enumerate(names)}, "base.safetensors")
    code, out, err = call("bake", "base.safetensors", "baked.safetensors", f"{two[1]}:0.5")
    assert (code, err) == (0, "") and out.startswith("baked.safetensors: ")
    assert call("bake", "base.safetensors", "baked.safetensors", two[1])[0] == 2
    assert call("extract", "base.safetensors", "baked.safetensors", "taken.safetensors", "--rank", "4")[0] == 0
    taken = reading.load("taken.safetensors")
    delta, back = (each.changes[f"transformer.{names[0]}"].delta for each in (made, taken))
    assert delta is not None and back is not None
    assert torch.allclose(back.dense(), 0.5 * delta.dense(), atol=1e-4)
    code, out, _ = call("compare", two[1], "taken.safetensors", "--json")
    assert code == 0 and json.loads(out)["cosine"] == pytest.approx(1.0, abs=1e-4)
    code, out, _ = call("compare", two[1], "small.safetensors", "--modules")
    assert fact(out, "cosine").startswith("+0.") and f"transformer.{names[0]}" in out


@pytest.mark.parametrize(
    ("text", "exists", "expected"),
    [
        ("a.safetensors", (), ("a.safetensors", 1.0)),
        ("a.safetensors:0.7", (), ("a.safetensors", 0.7)),
        ("a.safetensors:-.3", (), ("a.safetensors", -0.3)),
        ("C:/loras/a.safetensors", (), ("C:/loras/a.safetensors", 1.0)),
        ("C:/loras/a.safetensors:1e-1", (), ("C:/loras/a.safetensors", 0.1)),
        ("a:2:0.5", (), ("a:2", 0.5)),
        ("a:2", ("a:2",), ("a:2", 1.0)),
        ("a:2", ("a:2", "a"), ("a", 2.0)),
        ("a.safetensors:nan", (), ("a.safetensors:nan", 1.0)),
        (":1", (), (":1", 1.0)),
    ],
)
def test_the_last_colon_begins_the_strength(
    text: str, exists: tuple[str, ...], expected: tuple[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in exists:
        Path(name).write_bytes(b"")
    assert lora_arguments.parse_source(text) == expected


@pytest.mark.parametrize("number", ["abc", "--1", "nan", ""])
def test_a_strength_that_is_no_number_is_said_to_be_none(call: Call, two: tuple[str, str], number: str) -> None:
    code, _, err = call("merge", "x.safetensors", f"{two[0]}:{number}", two[1])
    assert code == 2 and f'"{number}" is no strength' in err and not Path("x.safetensors").exists()


@pytest.mark.parametrize(
    ("out", "better"), [("o/x.pt", "o/x.safetensors"), ("x-v1.5", "x-v1.5.safetensors"), (".", "lora.safetensors")]
)
def test_a_lora_is_written_under_the_name_of_what_it_is(
    call: Call, two: tuple[str, str], out: str, better: str
) -> None:
    for arguments in (("convert", two[0], out), ("merge", out, *two), ("resize", two[0], out, "--rank", "1")):
        code, _, err = call(*arguments, "--force")
        assert code == 2 and better in err
    assert sorted(path.name for path in Path().iterdir()) == ["a.safetensors", "b.safetensors"]


def test_a_link_is_replaced_and_not_followed(call: Call, two: tuple[str, str]) -> None:
    before = Path(two[0]).read_bytes()
    for name, target in (("link", two[0]), ("dangling", "nowhere")):
        link = Path(f"{name}.safetensors")
        link.symlink_to(target)
        assert call("convert", two[1], link.name)[0] == 2 and link.is_symlink()
        assert call("convert", two[1], link.name, "--force")[0] == 0 and not link.is_symlink()
    assert Path(two[0]).read_bytes() == before and not Path("nowhere").exists()


def test_the_embedded_model_is_a_base(call: Call) -> None:
    name, out = "transformer_blocks.0.attn.to_q", "own.safetensors"
    size_out, size_in = Checkpoint.open(locate("emoji")).shapes()[f"transformer.{name}.weight"]
    up = torch.ones(size_out, 1)
    pair = {f"transformer.{name}.lora_A.weight": torch.ones(1, size_in), f"transformer.{name}.lora_B.weight": up}
    save_file(pair, out)
    code, _, err = call("bake", "embedded:emoji", "baked.safetensors", out)
    assert code == 2 and "would be a folder" in err
    code, said, err = call("bake", "embedded:emoji", "baked", f"{out}:0.5")
    assert code == 0 and said.startswith("baked: embedded:emoji with ")
    code, said, _ = call("extract", "embedded:emoji", "baked", "taken.safetensors")
    assert code == 0 and ", 1 modules" in said
    taken = reading.load("taken.safetensors").changes[f"transformer.{name}"].delta
    assert taken is not None and torch.allclose(taken.dense(), torch.full((size_out, size_in), 0.5), atol=0.01)
    code, _, err = call("bake", "embedded:emojo", "x", out)
    assert code == 2 and "emoji" in err


def test_extract_keeps_32_and_tells_the_real_mistake_first(call: Call, two: tuple[str, str]) -> None:
    save_file({"transformer_blocks.0.attn.to_q.weight": numbers(0, 48, 48)}, "one.safetensors")
    save_file({"transformer_blocks.0.attn.to_q.weight": numbers(1, 48, 48)}, "other.safetensors")
    code, out, _ = call("extract", "one.safetensors", "other.safetensors", "x.safetensors")
    assert code == 0 and "rank 32" in out
    code, _, err = call("extract", "one.safetensors", "one.safetensors", "y.safetensors")
    assert code == 2 and "nothing differs" in err
    before = Path("one.safetensors").read_bytes()
    code, _, err = call("extract", "one.safetensors", "other.safetensors", "one.safetensors", "--force")
    assert code == 2 and "which is read" in err and Path("one.safetensors").read_bytes() == before
    code, _, err = call("resize", two[0], "z.safetensors")
    assert (code, err) == (2, "Say how much to keep: --rank, --sv-ratio, --sv-cumulative or --sv-fro.\n")


def test_a_folder_of_pefts_stands_for_the_file_in_it(call: Call, two: tuple[str, str]) -> None:
    Path("style").mkdir()
    Path(two[1]).rename("style/adapter_model.safetensors")
    assert fact(call("inspect", "style")[1], "file") == "style/adapter_model.safetensors"
    code, out, _ = call("compare", "style", two[0], "--json")
    assert code == 0 and [json.loads(out)[side] for side in "ab"] == ["style", two[0]]
    assert call("merge", "x.safetensors", "style:0.5", two[0])[0] == 0
    assert call("convert", "style", "y.safetensors")[0] == 0


def test_keys_without_a_meaning_are_listed_once(call: Call, two: tuple[str, str]) -> None:
    save_file(load_file(two[1]) | {"transformer.mystery.weight": torch.ones(2)}, "strange.safetensors")
    assert call("inspect", "strange.safetensors")[1].count("mystery") == 1


def test_damage_is_not_denied_before_the_weights_are_read(call: Call, two: tuple[str, str]) -> None:
    damaged = {key: torch.full_like(value, torch.nan) for key, value in load_file(two[1]).items()}
    save_file(damaged, "nan.safetensors")
    assert fact(call("inspect", "nan.safetensors")[1], "weights").startswith("not read")
    assert call("inspect", "nan.safetensors", "--norms")[0] == 2
    assert fact(call("inspect", two[1], "--norms")[1], "weights") == "all read, sound"


def test_what_is_not_compared_is_said(call: Call, two: tuple[str, str]) -> None:
    name = "transformer.transformer_blocks.0.attn.to_q"
    pairs = load_file(two[1])
    pairs[f"{name}.lora_magnitude_vector"] = torch.ones(len(pairs[f"{name}.lora_B.weight"]))
    save_file(pairs, "dora.safetensors")
    out = call("compare", two[0], "dora.safetensors", "--modules")[1]
    assert "B is a DoRA in 1 modules" in out and out.count("by chance") == 4
    assert call("compare", *two)[1].count("DoRA") == 0


@pytest.mark.parametrize("arguments", [("inspect", "--modules", "--norms"), ("compare", "b.safetensors", "--modules")])
def test_tables_fit_the_terminal(
    call: Call, two: tuple[str, str], arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = call(arguments[0], two[0], *arguments[1:])[1]
    assert "transformer.transformer_blocks.0.attn.to_q " in wide and "…" not in wide
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    narrow = call(arguments[0], two[0], *arguments[1:])[1]
    assert max(map(len, narrow.splitlines())) <= 80
    assert ".attn.to_q " in narrow and "…" in narrow


def test_who_reads_only_the_beginning_is_not_complained_to(call: Call, two: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "loragraph", "lora", "inspect", two[0], "--json"]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("inspect", "missing.safetensors"), "missing.safetensors"),
        (("inspect", "."), "folder"),
        (("convert", "a.safetensors", "x.safetensors", "--alpha", "-1"), "alpha"),
        (("merge", "x.safetensors", "a.safetensors", "missing.safetensors:0.5"), "missing.safetensors"),
        (("resize", "a.safetensors", "x.safetensors"), "rank"),
        (("resize", "a.safetensors", "x.safetensors", "--sv-fro", "7"), "sv_fro"),
        (("compare", "a.safetensors", "missing.safetensors"), "missing.safetensors"),
        (("bake", "missing", "x", "a.safetensors"), "missing"),
        (("convert", "a.safetensors", "x.safetensors", "--to", "peff"), "peff"),
    ],
)
def test_wrong_input_is_said_in_a_line_with_exit_code_2(
    call: Call, two: tuple[str, str], arguments: tuple[str, ...], said: str
) -> None:
    before = sorted(path.name for path in Path().iterdir())
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert said in err and "Traceback" not in err
    assert sorted(path.name for path in Path().iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_half_written(
    call: Call, two: tuple[str, str], number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a shell starts in the background ignores SIGINT; here it is as at a terminal.
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    inherited = signal.signal(number, usual)

    def interrupted(tensor: torch.Tensor) -> memoryview:
        signal.raise_signal(number)
        raise AssertionError("the signal was ignored")

    monkeypatch.setattr(atomic, "raw_bytes", interrupted)
    try:
        code, out, err = call("convert", two[0], "x.safetensors")
        assert signal.getsignal(number) is usual
    finally:
        signal.signal(number, inherited)
    assert (code, out, err) == (130, "", "stopped; nothing was written\n")
    assert sorted(path.name for path in Path().iterdir()) == ["a.safetensors", "b.safetensors"]


def test_a_full_disk_is_said_and_leaves_nothing(
    call: Call, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "x.safetensors")

    monkeypatch.setattr(atomic.os, "fsync", full)
    code, _, err = call("convert", two[0], "x.safetensors")
    assert (code, err) == (1, "x.safetensors: No space left on device\n")
    assert sorted(path.name for path in Path().iterdir()) == ["a.safetensors", "b.safetensors"]


def test_what_a_file_says_does_not_steer_the_terminal(call: Call, two: tuple[str, str]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J"
    tensors = {**load_file(two[1]), f"{evil}.x": torch.ones(1)}
    save_file(tensors, "evil.safetensors", {"title": evil, evil: "x", "modelspec.title": "a\r\nb"})
    code, out, err = call("inspect", "evil.safetensors")
    assert (code, err) == (0, "")
    assert "\x1b" not in out and "\x07" not in out
    assert r"\x1b]0;owned\x07" in out
    assert fact(out, "  modelspec.title") == "a b"
    code, out, err = call("convert", "evil.safetensors", "out.safetensors")
    assert code == 2
    assert "\x1b" not in out + err


def test_a_name_as_long_as_a_file_system_takes_is_written(call: Call, two: tuple[str, str]) -> None:
    name = "n" * 243 + ".safetensors"
    assert call("convert", two[0], name)[0] == 0
    assert reading.inspect(name).family == "flux"


def test_the_dim_of_a_loha_is_told_beside_the_rank_that_it_may_have(call: Call, tmp_path: Path) -> None:
    module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    factors = {"hada_w1_a": (32, 4), "hada_w1_b": (4, 32), "hada_w2_a": (32, 4), "hada_w2_b": (4, 32)}
    tensors = {f"{module}.{role}": torch.ones(shape) for role, shape in factors.items()}
    save_file({**tensors, f"{module}.alpha": torch.tensor(2.0)}, tmp_path / "loha.safetensors")
    code, out, _ = call("inspect", "loha.safetensors", "--modules")
    assert code == 0
    assert fact(out, "rank") == "dim 4 (rank up to 16)"
    assert fact(out, "changes") == "1 module of unet"
