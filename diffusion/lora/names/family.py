"""What is to be known of the names of one family of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .table import Row, Table


@dataclass(frozen=True)
class Names:
    """The names of a family.

    name, title: as in values ("sdxl") and for people ("Stable Diffusion XL").
    component: the pipeline component that holds the network; the first part of its modules' canonical names.
    tables: the tables of foreign names, by what they are ("original": as the model's authors call them).
        Targets are diffusers names *without* the component.
    kohya, comfyui: which table kohya-style and ComfyUI-style files use: a key of `tables`, or "diffusers" for the
        diffusers names themselves; "" where no such files exist.
    blocks: module lists whose numbered members are the blocks that strengths are given for, in the order of the data.
    signs: patterns of diffusers names that only this family has; they tell it from the others.
    text_encoders: pipeline component -> (architecture, what ComfyUI calls it); architecture is "clip" or "t5".
    modules: patterns of the diffusers names of all layers that have weights, for families whose tables don't name them
        all; needed to undo flattened names.
    widths, depths: the inputs of a block's `to_q` in the models of this family, and how many blocks a list has at
        most; they tell it from others with the same names.
    kohya_text: pipeline component -> what the keys of that text encoder begin with in kohya-style files, without
        the "_" that its flattened names follow.
    """

    name: str
    title: str
    component: str
    tables: Mapping[str, Table]
    kohya: str = ""
    comfyui: str = ""
    blocks: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    text_encoders: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()
    depths: Mapping[str, int] = field(default_factory=dict)
    kohya_text: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def diffusers(self) -> Table:
        """The diffusers names as a table onto themselves."""
        known = dict.fromkeys(self.modules)
        if not known:
            for table in self.tables.values():
                known |= dict.fromkeys(target for row in table.rows for target in row.targets)
        return Table(Row(target, (target,)) for target in known)

    def table(self, which: str) -> Table:
        """Return the table of that name; "diffusers" is always there, and "original" where the names are the same."""
        if which == "diffusers" or (which == "original" and which not in self.tables):
            return self.diffusers
        return self.tables[which]
