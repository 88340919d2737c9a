"""The `where` language: a boolean subset of SQL over a customer's columns, their subscription and facts.

Parsed by our own tokenizer and Pratt parser, because messages and exact places are the point of it; written as SQL
with every literal bound, because nothing a person writes may reach an engine as text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from engine.errors import Problem, SetupError, Severity, did_you_mean
from engine.project.expressions import tree
from engine.project.expressions.check import faults, losses
from engine.project.expressions.parser import parse_tree
from engine.project.expressions.sql import SqlWriter
from engine.project.expressions.tree import Tree
from engine.project.faults import Fault
from engine.project.nodes import Run, position
from engine.project.trigger_spec import Catalog

__all__ = ["Expression", "parse", "parse_placed"]


@dataclass(frozen=True)
class Expression:
    """A condition that reads, with the place it came from. Equal when text and place are equal."""

    source: str
    path: str
    runs: tuple[Run, ...]
    root: Tree = field(repr=False, hash=False, compare=False)
    start: int = 0
    end: int = 0

    @property
    def is_word(self) -> bool:
        """Whether it is nothing but a column's name."""
        return isinstance(self.root, tree.Column)

    @cached_property
    def text(self) -> str:
        """The condition as written."""
        return self.source[self.start : self.end]

    @cached_property
    def columns(self) -> frozenset[tuple[str, str]]:
        """(namespace, name in lower case) of every column it reads; "" is whom the rule is about."""
        return frozenset((node.namespace, node.name) for node in tree.walk(self.root) if isinstance(node, tree.Column))

    @cached_property
    def sent(self) -> frozenset[str]:
        """The rules it asks about with sent()."""
        return frozenset(node.rule for node in tree.walk(self.root) if isinstance(node, tree.Sent))

    def check(self, catalog: Catalog) -> list[Problem]:
        """Unknown columns and unlike types, as far as `catalog` knows them, and the warning about lost NULLs."""
        errors = [self._problem(fault) for fault in faults(self.root, self.source, catalog)]
        return errors + [self._problem(fault, warning=True) for fault in losses(self.root, self.source)]

    def check_sent(self, rules: Collection[str]) -> list[Problem]:
        """A problem for each sent() about a rule that is not among `rules`."""
        expected = "expected the id of a rule of this project"
        return [
            self._problem(
                Fault("HF421", f"unknown rule '{node.rule}'", expected, did_you_mean(node.rule, rules), node.span.start)
            )
            for node in tree.walk(self.root)
            if isinstance(node, tree.Sent) and node.rule not in rules
        ]

    def to_sql(
        self,
        column: Callable[[str, str], str],
        sent: Callable[[str], str],
        bind: Callable[[object], str],
        as_of: datetime,
    ) -> str:
        """The condition in DuckDB's SQL; see `SqlWriter`. `bind` gets int, float, str, bool or naive UTC datetime."""
        return SqlWriter(column, sent, bind, as_of).write(self.root)

    def conjuncts(self) -> list[Expression]:
        """The conditions that must all hold: the parts joined by top-level `and`, or the whole."""
        return [
            Expression(self.source, self.path, self.runs, part, part.span.start, part.span.end)
            for part in _conjuncts(self.root)
        ]

    def _problem(self, fault: Fault, *, warning: bool = False) -> Problem:
        line, column = position(self.runs, fault.offset or 0)
        severity: Severity = "warning" if warning else "error"
        return Problem(self.path, line, column, fault.code, fault.found, fault.expected, fault.suggestion, severity)


def parse(text: str, path: str, line: int, column: int) -> Expression:
    """The expression in `text`, whose first character stands at `line` and `column` of `path`. Raises `SetupError`."""
    runs = _lines(text, line, column)
    try:
        return parse_placed(text, path, runs)
    except Fault as fault:
        place = position(runs, fault.offset or 0)
        raise SetupError(Problem(path, *place, fault.code, fault.found, fault.expected, fault.suggestion)) from None


def parse_placed(text: str, path: str, runs: tuple[Run, ...]) -> Expression:
    """The expression in a text whose characters stand in `path` as `runs` says. Raises `Fault`."""
    root = parse_tree(text)
    return Expression(text, path, runs, root, len(text) - len(text.lstrip()), len(text.rstrip()))


def _lines(text: str, line: int, column: int) -> tuple[Run, ...]:
    """Runs of a text that stands in its file as it is."""
    runs = [(0, line, column)]
    for offset, character in enumerate(text):
        if character == "\n":
            runs.append((offset + 1, runs[-1][1] + 1, 1))
    return tuple(runs)


def _conjuncts(node: Tree) -> list[Tree]:
    if isinstance(node, tree.Logic) and node.word == "and":
        return [part for child in node.parts for part in _conjuncts(child)]
    return [node]
