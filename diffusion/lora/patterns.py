"""PEFT's patterns of module names (`alpha_pattern`), matched in bounded time.

A pattern is a regular expression that a module's name, or what follows one of its dots, must match as a whole
(`peft.utils.get_pattern_key`). Headers come from strangers, and with Python's `re` a pattern of a few characters can
run for years. Here sets of places are followed instead of one place after another, so that nothing is tried twice,
and what is more than names, alternatives, classes and repetitions (look-arounds, back-references) is refused.

    >>> patterns = Patterns({"^transformer_blocks.0.attn.to_q": 1.0, r"attn\\.(to_q|to_k)": 2.0})
    >>> patterns.find("transformer_blocks.0.attn.to_q"), patterns.find("transformer_blocks.7.attn.to_k")
    (1.0, 2.0)
    >>> print(patterns.find("transformer_blocks.7.attn.to_v"))
    None
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_STEPS = 2_000_000
"""So many places are looked at for all names of a file together."""
MOST_REPEATS = 1000

_LITERAL = re.compile(r"\^?[\w.-]+")
_COUNT = re.compile(r"\{(\d{0,4})(,?)(\d{0,4})\}")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_SPECIAL = frozenset("()[]{}|*+?.^$\\")


class Patterns:
    """Values by pattern, looked up by name; the first pattern that matches counts.

    Raises:
        ValueError, TypeError, AttributeError: not a table of patterns and numbers, or a pattern that can't be read.
    """

    def __init__(self, values: Mapping[str, object]) -> None:
        # plain names, which nearly all are, are looked up and not tried one by one
        self._literal: dict[str, tuple[int, float]] = {}
        self._others: list[tuple[int, float, _Node]] = []
        self._budget = _Budget()
        for place, (text, value) in enumerate(values.items()):
            number = float(value)  # type: ignore[arg-type]
            if _LITERAL.fullmatch(text):
                self._literal.setdefault(text, (place, number))
            else:
                self._others.append((place, number, _Parser(text).whole()))

    def find(self, name: str) -> float | None:
        """Return the value of the first pattern that a name matches, None where none does."""
        starts = frozenset({0, *(place + 1 for place, letter in enumerate(name) if letter == ".")})
        plain = (self._literal.get(f"^{name}"), *(self._literal.get(name[start:]) for start in starts))
        best = min((found for found in plain if found is not None), default=None)
        for place, value, pattern in self._others:
            if best is not None and best[0] < place:
                break
            if len(name) in pattern.ends(name, starts, self._budget):
                return value
        return None if best is None else best[1]


@dataclass
class _Budget:
    steps: int = 0

    def spend(self, steps: int) -> None:
        self.steps += steps + 1
        if self.steps > MOST_STEPS:
            raise ValueError("its patterns take too long to match")


Places = frozenset[int]


@dataclass(frozen=True)
class _Node:
    """A piece of a pattern: from the places where it may begin to those where it may end."""

    def ends(self, text: str, starts: Places, budget: _Budget) -> Places:
        raise NotImplementedError


@dataclass(frozen=True)
class _Text(_Node):
    text: str

    def ends(self, text: str, starts: Places, budget: _Budget) -> Places:
        budget.spend(len(starts))
        return frozenset(start + len(self.text) for start in starts if text.startswith(self.text, start))


@dataclass(frozen=True)
class _Letter(_Node):
    """One letter out of a class; `re` decides, on that letter alone."""

    kind: re.Pattern[str]

    def ends(self, text: str, starts: Places, budget: _Budget) -> Places:
        budget.spend(len(starts))
        return frozenset(start + 1 for start in starts if start < len(text) and self.kind.fullmatch(text[start]))


@dataclass(frozen=True)
class _Edge(_Node):
    first: bool

    def ends(self, text: str, starts: Places, budget: _Budget) -> Places:
        return starts & {0 if self.first else len(text)}


@dataclass(frozen=True)
class _Row(_Node):
    parts: list[_Node] = field(default_factory=list)

    def ends(self, text: str, starts: Places, budget: _Budget) -> Places:
        for part in self.parts:
            starts = part.ends(text, starts, budget)
        return starts


@dataclass(frozen=True)
class _Either(_Node):
    choices: list[_Node]

    def ends(self, text: str, starts: Places, budget: _Budget) -> Places:
        return frozenset().union(*(choice.ends(text, starts, budget) for choice in self.choices))


@dataclass(frozen=True)
class _Repeated(_Node):
    part: _Node
    least: int
    most: int | None

    def ends(self, text: str, starts: Places, budget: _Budget) -> Places:
        for _ in range(self.least):
            budget.spend(0)
            starts = self.part.ends(text, starts, budget)
        reached, new, count = starts, starts, self.least
        while new and (self.most is None or count < self.most):
            budget.spend(0)
            new = self.part.ends(text, new, budget) - reached
            reached, count = reached | new, count + 1
        return reached


class _Parser:
    """Takes a pattern apart, from the left."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def whole(self) -> _Node:
        node = self._either()
        if self.at < len(self.text):
            raise self._unreadable()
        return node

    def _either(self) -> _Node:
        choices = [self._row()]
        while self._next("|"):
            choices.append(self._row())
        return choices[0] if len(choices) == 1 else _Either(choices)

    def _row(self) -> _Node:
        parts: list[_Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.append(self._repeated(self._one()))
        return _Row(parts)

    def _one(self) -> _Node:
        letter = self.text[self.at]
        if self._next("("):
            if self._next("?") and not self._next(":"):
                raise self._unreadable()
            node = self._either()
            if not self._next(")"):
                raise self._unreadable()
            return node
        if letter == "[" and (found := _CLASS.match(self.text, self.at)):
            return self._letter(found[0])
        if letter in ".^$":
            self.at += 1
            return _Letter(re.compile(".")) if letter == "." else _Edge(letter == "^")
        if letter == "\\" and (escaped := self.text[self.at + 1 : self.at + 2]):
            if escaped in "dDwWsS":
                return self._letter(letter + escaped)
            if escaped.isalnum():
                raise self._unreadable()
            self.at += 2
            return _Text(escaped)
        if letter in _SPECIAL:
            raise self._unreadable()
        self.at += 1
        return _Text(letter)

    def _letter(self, text: str) -> _Node:
        try:
            kind = re.compile(text)
        except re.error as error:
            raise self._unreadable() from error
        self.at += len(text)
        return _Letter(kind)

    def _repeated(self, part: _Node) -> _Node:
        if self._next("*"):
            least, most = 0, None
        elif self._next("+"):
            least, most = 1, None
        elif self._next("?"):
            least, most = 0, 1
        elif found := _COUNT.match(self.text, self.at):
            least = int(found[1] or 0)
            most = least if not found[2] else int(found[3]) if found[3] else None
            if max(least, most or 0) > MOST_REPEATS or (most is not None and most < least):
                raise self._unreadable()
            self.at = found.end()
        else:
            return part
        self._next("?")  # the shortest or the longest: whether the whole matches is the same
        return _Repeated(part, least, most)

    def _next(self, letter: str) -> bool:
        if self.text.startswith(letter, self.at):
            self.at += 1
            return True
        return False

    def _unreadable(self) -> ValueError:
        return ValueError(f"the pattern {self.text[:80]!r} is not understood at its character {self.at + 1}")
