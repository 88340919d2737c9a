"""A YAML tree in which every scalar is text and everything knows its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

Place = tuple[int, int]
Run = tuple[int, int, int]


@dataclass(eq=False)
class Node:
    """One value as written: a text, None (nothing after the colon, `~` or `null`), a list or a mapping.

    Lines and columns count from 1. `keys` holds the place of each key of a mapping. `raw` is the scalar as it stands
    in the file where that differs from its value (quotes, several lines), else empty.
    """

    value: str | list[Node] | dict[str, Node] | None
    line: int
    column: int
    keys: dict[str, Place] = field(default_factory=dict)
    raw: str = ""

    @property
    def place(self) -> Place:
        """Line and column of the value's first character (its quote or bracket, if it has one)."""
        return self.line, self.column

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Where the characters of a scalar's value stand: (offset in the value, line, column) for each unbroken run."""
        if not self.raw or not isinstance(self.value, str):
            return ((0, self.line, self.column),)
        return tuple(_align(self.value, self.raw, self.line, self.column))


def without(node: Node, *keys: str) -> Node:
    """A mapping without some of its keys; anything else as it is."""
    if not isinstance(node.value, dict):
        return node
    return Node({key: value for key, value in node.value.items() if key not in keys}, node.line, node.column, node.keys)


class Placed(str):
    """A scalar's text on its way through validation, still knowing its node."""

    __slots__ = ("node",)
    node: Node


def placed(node: Node) -> Placed:
    """The text of a scalar node, with its node attached."""
    text = Placed(node.value)
    text.node = node
    return text


def position(runs: tuple[Run, ...], offset: int) -> Place:
    """Line and column of the character at `offset` of a text laid out in `runs`."""
    run = runs[0]
    for candidate in runs:
        if candidate[0] > offset:
            break
        run = candidate
    return run[1], run[2] + offset - run[0]


def _align(value: str, raw: str, line: int, column: int) -> list[Run]:
    """Walk the value and the raw scalar side by side. White space folds in many ways, so only the rest is matched."""
    cursor = _Cursor(raw, line, column)
    runs: list[Run] = []
    for offset, character in enumerate(value):
        if character.isspace():
            continue
        cursor.to_next_character()
        last = runs[-1] if runs else None
        if last is None or (last[1], last[2] + offset - last[0]) != (cursor.line, cursor.column):
            runs.append((offset, cursor.line, cursor.column))
        cursor.step(cursor.width())
    return runs or [(0, line, column)]


class _Cursor:
    """A reading position inside a raw scalar."""

    def __init__(self, raw: str, line: int, column: int) -> None:
        self.raw, self.line, self.column, self.index = raw, line, column, 0
        self.style = raw[0] if raw[0] in "'\"|>" else ""
        self.step(raw.find("\n") + 1 if self.style in {"|", ">"} else len(self.style))

    def step(self, characters: int) -> None:
        for character in self.raw[self.index : self.index + characters]:
            self.line, self.column = (self.line + 1, 1) if character == "\n" else (self.line, self.column + 1)
        self.index += characters

    def to_next_character(self) -> None:
        while self.index < len(self.raw):
            if self.raw[self.index].isspace():
                self.step(1)
            elif self.style == '"' and self.raw[self.index] == "\\" and self.raw[self.index + 1] in "nrtvNLP_ \t\n\r":
                self.step(2)
            else:
                return

    def width(self) -> int:
        """How many raw characters stand for the one at the cursor."""
        here = self.raw[self.index : self.index + 2]
        if self.style == "'" and here == "''":
            return 2
        if self.style == '"' and here[:1] == "\\":
            return 2 + {"x": 2, "u": 4, "U": 8}.get(here[1:], 0)
        return 1
