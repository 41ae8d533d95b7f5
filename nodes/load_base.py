"""LoadBase: name a base model. Nothing is loaded; the weights are read by the first node that needs them."""

from pathlib import Path
from typing import Annotated

from ..graph_runtime.fingerprints import fingerprint
from ..graph_runtime.markers import Choices, ModelSource, Suggestions
from ..graph_runtime.node import node
from ..graph_runtime.values import Base
from .words import blaming


@node(category="Model", version=1)
def load_base(
    source: Annotated[ModelSource, Suggestions("embedded:emoji")] = "embedded:emoji",
    dtype: Annotated[str, Choices("float32", "float16", "bfloat16")] = "float32",
) -> Base:
    """Return the base model in a diffusers pipeline folder, or one that ships with LoRAGraph (`embedded:emoji`)."""
    from ..diffusion import families

    folder = Path(source)
    with blaming("source", source):
        family = families.detect(folder)
        title = families.card.load(folder, families.card.Card()).title
    return Base(
        source=title or folder.name, path=str(folder), fingerprint=fingerprint(folder), family=family, dtype=dtype
    )
