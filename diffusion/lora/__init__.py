"""LoRA files and the maths on them.

header      the header of any safetensors file, checked against its size; no torch
files       what a file is (`inspect`), whether it fits a base (`check_fits`); headers only, no torch
weights     a LoRA in memory: {module: (down A, up B, alpha)}; `load`, `save`
algebra     several LoRAs into one
bake        LoRAs into a saved base model
"""
