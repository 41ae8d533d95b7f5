"""The names that each family's modules go by, in diffusers and elsewhere; no torch.

table           rows (a name elsewhere, its diffusers names, how rows are shared out), looked up from both sides
family          what is to be known of a family's names
flux, sd3, …    the families
text_encoders   CLIP and T5, of every family
registry        the families by name
recognition     which family some modules are of

    >>> from loragraph.diffusion.lora import names
    >>> names.get("flux").table("original").match("double_blocks.0.img_attn.proj").targets
    ('transformer_blocks.0.attn.to_out.0',)
    >>> names.recognise({"unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k": (1280, 2048)})
    'sdxl'
"""

from __future__ import annotations

from .family import Names
from .recognition import recognise
from .registry import FAMILIES, get
from .table import Match, Row, Table, ranges

__all__ = ["FAMILIES", "Match", "Names", "Row", "Table", "get", "ranges", "recognise"]
