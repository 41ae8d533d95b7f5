"""Everything about models, with no graph in it. Importing it is cheap; modules import torch where they need it.

families/   what differs between base models      sampling    drawing pictures
lora/       files, formats, algebra, baking       adapters    LoRAs onto a pipeline and off again
training/   teaching a LoRA                       errors      what can be wrong with a user's file or setting
"""

import os

# transformers advises on optional packages at its import, which would read as a node's own words; a user's choice wins.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
