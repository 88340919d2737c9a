"""Strict YAML: every scalar stays text, everything has a position, and nothing YAML 1.1 guesses is guessed.

Accepted is what people write by hand: mappings, lists, plain, quoted and block text, comments. Refused, each with its
own words: anchors, aliases, merge keys, tags, directives, duplicate keys, keys that are not plain words, deep nesting,
large files. `load_documents` reads; `validate` turns a node into a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from engine.errors import Problem, SetupError
from engine.project.nodes import Node, Place, Placed
from engine.project.validation import validate
from engine.project.yaml_words import explain_syntax, opens_here

__all__ = ["MAX_CHARACTERS", "MAX_DEPTH", "Node", "Placed", "load_documents", "validate"]

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 20

_Loader = yaml.SafeLoader | yaml.CSafeLoader
_FAST: type[_Loader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # five times the speed, where libyaml is there
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff")
_NOTHING = {"", "~", "null", "Null", "NULL"}


def load_documents(text: str, path: str, first_line: int = 1) -> list[Node]:
    """The documents of a file, empty ones left out. Raises `SetupError` with every problem found.

    `first_line` is the line of `text`'s first line in the file it was cut from (front matter).
    """
    return _Reader(text.removeprefix("\ufeff"), path, first_line).documents()


class _Stop(Exception):  # noqa: N818 - a signal between two functions of this file
    """Reading on makes no sense after the problem just noted."""


class _Reader:
    """Builds nodes from the parser's events and notes what is not allowed."""

    def __init__(self, text: str, path: str, first_line: int) -> None:
        self.text, self.path, self.shift = text, path, first_line
        self.problems: list[Problem] = []
        self.events: Iterator[Event] = iter(())

    def documents(self) -> list[Node]:
        try:
            self._refuse_unreadable()
            found = self._parsed()
        except _Stop:
            found = []
        if self.problems:
            raise SetupError(self.problems)
        return [node for node in found if node.value is not None]

    def _parsed(self) -> list[Node]:
        """The documents. Only the parser written in Python words its errors well, so a faulty file is read again."""
        try:
            return self._built(_FAST)
        except (yaml.MarkedYAMLError, ValueError, OverflowError):
            self.problems.clear()
        try:
            return self._built(yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            self._note_syntax(error)
        except (ValueError, OverflowError):  # chr() of the number behind \U
            self._note(None, "HF103", "a \\U escape beyond the last character", "remove it")
        raise _Stop

    def _built(self, loader: type[_Loader]) -> list[Node]:
        self.events = iter(yaml.parse(self.text, Loader=loader))
        found = []
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if event.version or event.tags:
                    self._refuse_directive(_at(event))
                found.append(self._node(next(self.events), 1))
        return found

    def _note(self, at: Place | None, code: str, found: str, expected: str, suggestion: str | None = None) -> None:
        line, column = (at[0] + self.shift, at[1] + 1) if at else (None, None)
        self.problems.append(Problem(self.path, line, column, code, found, expected, suggestion))

    def _refuse_unreadable(self) -> None:
        if len(self.text) > MAX_CHARACTERS:
            self._note(None, "HF110", f"{len(self.text):,} characters", f"a file may hold {MAX_CHARACTERS:,}; split it")
            raise _Stop
        strange = _CONTROL.search(self.text)
        if strange:
            found = f"the character U+{ord(strange[0]):04X}"
            self._note(self._counted(strange.start()), "HF103", found, "it cannot stand in YAML; remove it")
            raise _Stop

    def _counted(self, index: int) -> Place:
        """Line and column, from 0, of a character of the text."""
        return self.text.count("\n", 0, index), index - self.text.rfind("\n", 0, index) - 1

    def _refuse_directive(self, at: Place) -> None:
        self._note(at, "HF115", "a line that begins with %", "YAML directives are not needed here; remove or quote it")

    def _note_syntax(self, error: yaml.MarkedYAMLError) -> None:
        problem, context = str(error.problem or ""), str(error.context or "")
        mark = (error.context_mark if opens_here(context, problem) else None) or error.problem_mark
        line, column, index = (mark.line, mark.column, mark.index) if mark else (0, 0, 0)
        if any(noted.line == line + self.shift for noted in self.problems):
            return  # the line has been explained already
        directive = re.search("^%", self.text[:index], re.MULTILINE) if "document start" in problem else None
        if directive:
            self._refuse_directive(self._counted(directive.start()))
        else:
            self._note((line, column), *explain_syntax(problem, self.text[index:], self.text[index - column : index]))

    def _new(self, value: str | list[Node] | dict[str, Node] | None, at: Place) -> Node:
        return Node(value, at[0] + self.shift, at[1] + 1)

    def _node(self, event: Event, depth: int) -> Node:
        at = _at(event)
        if isinstance(event, AliasEvent):
            expected = "write the value out, or quote it if * is part of the text"
            self._note(at, "HF105", f'the alias "*{event.anchor}"', expected)
            return self._new(None, at)
        self._refuse_properties(event)
        if isinstance(event, ScalarEvent):
            return self._scalar(event, at)
        if depth > MAX_DEPTH:
            self._note(at, "HF109", f"nested more than {MAX_DEPTH} deep", "a flatter file is expected")
            raise _Stop
        if isinstance(event, SequenceStartEvent):
            return self._new(list(self._items(depth)), at)
        return self._unquoted_braces(at, depth) if self._is_braces(event) else self._mapping(at, depth)

    def _refuse_properties(self, event: Event) -> None:
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor is not None:
            expected = "write the value out where it is needed, or quote it if & is part of the text"
            self._note(_at(event), "HF105", f'the anchor "&{anchor}"', expected)
        if tag is not None:
            expected = "values are read by their key's own type; remove it, or quote it if ! is part of the text"
            self._note(_at(event), "HF106", "a ! tag", expected)

    def _scalar(self, event: ScalarEvent, at: Place) -> Node:
        node = self._new(event.value, at)
        strange = _CONTROL.search(event.value) if event.style == '"' else None
        if strange:
            self._note(at, "HF103", f"an escape for U+{ord(strange[0]):04X}", "this character cannot stand in a text")
        start, end = event.start_mark, event.end_mark
        if not event.style and event.value in _NOTHING:
            node.value = None
        elif start and end and (event.style or start.line != end.line):
            node.raw = self.text[start.index : end.index]
        return node

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self.events), SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _mapping(self, at: Place, depth: int) -> Node:
        values: dict[str, Node] = {}
        node = self._new(values, at)
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self._key(event, depth, node.keys)
            value = self._node(next(self.events), depth + 1)
            if key is not None:
                values[key] = value
                line, column = _at(event)
                node.keys[key] = (line + self.shift, column + 1)
        return node

    def _key(self, event: Event, depth: int, known: dict[str, Place]) -> str | None:
        """The key's text, or None when it was refused."""
        if not isinstance(event, ScalarEvent):
            self._strange_key(event, depth)
            return None
        self._refuse_properties(event)
        at, key = _at(event), event.value
        if key == "<<":
            self._note(at, "HF107", 'the merge key "<<"', "write the keys out")
        elif not key.strip():
            self._note(at, "HF113", "an empty key", "a key is a single word")
        elif key in known:
            expected = f"it is already on line {known[key][0]}; keep one of the two"
            self._note(at, "HF108", f'the key "{key}" again', expected)
        else:
            return key
        return None

    def _strange_key(self, event: Event, depth: int) -> None:
        count = len(self.problems)
        self._node(event, depth + 1)
        if len(self.problems) == count:
            self._note(_at(event), "HF113", "a list or mapping as a key", "a key is a single word")

    def _is_braces(self, event: Event) -> bool:
        return bool(event.start_mark and self.text.startswith("{{", event.start_mark.index))

    def _unquoted_braces(self, at: Place, depth: int) -> Node:
        """`{{ x }}` without quotes is a mapping with a mapping for its key; nobody means that."""
        self._note(at, "HF104", 'a value that begins with "{{"', 'in YAML it needs quotes: "{{ … }}"')
        count = len(self.problems)
        try:
            self._mapping(at, depth)
        finally:
            del self.problems[count:]
        return self._new("", at)


def _at(event: Event) -> Place:
    """Line and column, from 0, of an event's first character."""
    return (event.start_mark.line, event.start_mark.column) if event.start_mark else (0, 0)
