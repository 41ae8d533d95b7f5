"""Which stored weights are not simply their values: fp8 with scales, 8- and 4-bit integers. From the header alone.

"F8_E4M3" with `<module>.scale_weight` beside it    scaled fp8 (ComfyUI); `.weight_scale` in others
"I8" with `<module>.SCB`, "U8" with `….absmax`      bitsandbytes
"F8_E4M3" alone                                     plain fp8: exact in fp32, but nothing can be added to it well
"""

from __future__ import annotations

from .header import Header

FLOATS = ("F64", "F32", "F16", "BF16")
PLAIN_8_BIT = ("F8_E4M3", "F8_E5M2")
# what stands beside a quantised weight, after the module's name -> what that weight is
SIGNS = {
    ".scale_weight": "scaled fp8",
    ".weight_scale": "scaled fp8",
    ".weight_scale_inv": "scaled fp8",
    ".SCB": "8-bit of bitsandbytes",
    ".weight.SCB": "8-bit of bitsandbytes",
    ".weight.absmax": "4-bit of bitsandbytes",
    ".qweight": "GPTQ or AWQ",
    ".weight_packed": "packed integers",
}


def how_stored(key: str, header: Header) -> str:
    """Return "" for a plain float tensor, "fp8" for one that is plain fp8, else the name of its quantisation."""
    dtype = header.tensors[key].dtype
    module = key.removesuffix(".weight")
    for ending, name in SIGNS.items():
        if module + ending in header.tensors:
            return name
    if dtype in FLOATS:
        return ""
    if dtype in PLAIN_8_BIT:
        return "scaled fp8" if "scaled_fp8" in header.tensors else "fp8"
    return f"integers or packed numbers ({dtype})"
