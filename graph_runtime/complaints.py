"""What is wrong with a setting, in the words of someone who writes JSON by hand.

pydantic says `int_type` at `("rank",)`; here that becomes "must be a whole number (written without quotes and without a
point). Write 12." Every function takes one of the dicts that `ValidationError.errors()` lists.
"""

from __future__ import annotations

from typing import Any

from .errors import did_you_mean, show

_WANTED = {
    "int_type": "a whole number (written without quotes and without a point)",
    "int_parsing_size": "a whole number of reasonable size",
    "float_type": "a number (written without quotes)",
    "finite_number": "a finite number",
    "bool_type": "true or false (written without quotes)",
    "string_type": 'text (written in "quotes")',
    "list_type": 'a list, in [brackets] and with text in quotes, such as ["one", "two"]',
    "tuple_type": 'a list, in [brackets] and with text in quotes, such as ["one", "two"]',
    "dict_type": "an object, in {braces}",
    "none_required": "null",
}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


def wanted(detail: Any) -> str:
    """Say what pydantic wanted, in the words of someone who writes JSON by hand."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"{words} {show(context[key])}"
    if kind == "choice":
        return "one of its choices"
    if kind == "wanted":
        return str(context["wanted"])
    if kind == "literal_error":
        return f"one of {context['expected']}"
    return _WANTED.get(kind, f"right: {detail['msg']}")


def hint(detail: Any) -> str:
    """Return the nearest valid choice."""
    kind, context, said = detail["type"], detail.get("ctx", {}), detail.get("input")
    if kind in ("choice", "wanted"):
        return str(context["hint"])
    if kind == "literal_error":
        return did_you_mean(said, [part.strip("'\"") for part in context["expected"].replace(" or ", ", ").split(", ")])
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"The nearest allowed value is {show(context[_LIMITS[kind][0]])}."
    if kind == "int_type" and isinstance(said, float) and said == said and abs(said) < 2**53:
        return f"Write {round(said)}."
    if kind in ("int_type", "float_type", "bool_type") and isinstance(said, str):
        return _unquoted(kind, said)
    if kind == "string_type" and isinstance(said, int | float | bool):
        return f'Write "{show(said)}".'
    return ""


def _unquoted(kind: str, said: str) -> str:
    """Return what to write for a quoted number or truth value, where the text is one."""
    if kind == "bool_type":
        return f"Write {said.lower()}." if said.lower() in ("true", "false") else ""
    try:
        number = int(said) if kind == "int_type" else float(said)
    except (ValueError, OverflowError):
        return ""
    return f"Write {number}." if number == number and abs(number) < 2**53 else ""


def where(detail: Any) -> str:
    """Say which element of a list is meant, for settings with several."""
    inner = [part for part in detail["loc"][1:] if isinstance(part, int)]
    return f"its element {inner[0] + 1} " if inner else "it "
