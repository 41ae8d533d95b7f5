"""What was read of any dialect, written in each of the three and read again: the same change, to 1e-6."""

from __future__ import annotations

from pathlib import Path

import pytest

from loragraph.diffusion.errors import SettingError
from loragraph.diffusion.lora import jobs, reading
from loragraph.diffusion.lora.writing import DIALECTS
from loragraph.tests.diffusion.lora.round_trip import distance
from loragraph.tests.diffusion.lora.test_dialects import CASES

ALPHA = 3.0
"""Of all modules, so that no scale is a power of two."""
PEFT_ALONE = {"diffusers-unknown", "diffusers-two-transformers"}
"""Modules without a name in the other dialects."""


@pytest.mark.parametrize("to", DIALECTS)
@pytest.mark.parametrize("case", CASES)
def test_a_file_of_this_dialect_stays_the_same_change_in_every_other(case: str, to: str, tmp_path: Path) -> None:
    path, out = CASES[case][0]().write(tmp_path / "one.safetensors"), tmp_path / "other.safetensors"
    if case in PEFT_ALONE and to != "peft":
        with pytest.raises(SettingError, match="Use peft"):
            jobs.convert_file(path, out, to, alpha=ALPHA)
        assert not out.exists()
        return
    info = jobs.convert_file(path, out, to, alpha=ALPHA).info
    assert info.dialect in ((to, "musubi") if to == "kohya" else (to,))  # kohya's names for the models of musubi-tuner
    assert (info.scales, info.unmatched) == ((1.0,), ())
    assert not any("alpha" in warning for warning in info.warnings)
    assert distance(reading.load(out), reading.load(path, alpha=ALPHA)) < 1e-6
