"""One voice for errors: what `diffusion` says about a file or a setting becomes the runtime's `BadInput`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..graph_runtime.errors import BadInput


@contextmanager
def blaming(field: str, value: object = None, called: Mapping[str, str] | None = None) -> Iterator[None]:
    """Raise a `DiffusionError` from the block as `BadInput` on `field`, so that the run ends as "the input is wrong".

    A `SettingError` names its own field; `called` has the node's name for it where that is another. Any other exception
    passes: it is a fault of the node, not of the user's file.
    """
    from ..diffusion.errors import DiffusionError, SettingError

    try:
        yield
    except SettingError as error:
        said = str(error).removeprefix(f"{error.field} = {error.value!r}: ")
        node_field = (called or {}).get(error.field, error.field)
        given = value if node_field == field and node_field != error.field else error.value
        raise BadInput(said, field=node_field, value=given) from error
    except DiffusionError as error:
        raise BadInput(str(error), field=field, value=value) from error
