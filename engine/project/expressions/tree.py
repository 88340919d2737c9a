"""The tree an expression is parsed into. Every node knows the stretch of text it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to before `end`, in characters of the expression's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, text, truth value or date as written."""

    value: int | float | str | bool | date
    span: Span


@dataclass(frozen=True, slots=True)
class Column:
    """A value of the subject ("" as namespace), of their account or subscription, or a fact. The name is in lower case."""

    namespace: str
    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    """One of the known functions; not `sent`."""

    name: str
    arguments: tuple[Tree, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Sent:
    """Whether a rule has ever sent this customer something."""

    rule: str
    span: Span


@dataclass(frozen=True, slots=True)
class Logic:
    """`and` or `or` over two parts or more."""

    word: str
    parts: tuple[Tree, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    part: Tree
    span: Span


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`+`, `-`, `*` or `/` on two numbers."""

    sign: str
    left: Tree
    right: Tree
    span: Span


@dataclass(frozen=True, slots=True)
class Negative:
    """A number with its sign turned round."""

    part: Tree
    span: Span


@dataclass(frozen=True, slots=True)
class Comparison:
    """`=`, `<>`, `<`, `<=`, `>` or `>=` between two values. `!=` is read as `<>`."""

    sign: str
    left: Tree
    right: Tree
    span: Span


@dataclass(frozen=True, slots=True)
class Between:
    """`value between low and high`, both inclusive."""

    value: Tree
    low: Tree
    high: Tree
    negated: bool
    span: Span


@dataclass(frozen=True, slots=True)
class In:
    """`value in (…)` over literals."""

    value: Tree
    items: tuple[Literal, ...]
    negated: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Like:
    """`value like 'pattern'`: % stands for any text, _ for one character; case matters."""

    value: Tree
    pattern: Literal
    negated: bool
    span: Span


@dataclass(frozen=True, slots=True)
class IsNull:
    """Whether there is no value."""

    value: Tree
    negated: bool
    span: Span


Tree = Literal | Column | Call | Sent | Logic | Not | Arithmetic | Negative | Comparison | Between | In | Like | IsNull


def children(tree: Tree) -> tuple[Tree, ...]:  # noqa: PLR0911 - one arm for each kind of node
    """The parts a node is made of, in the order of the text."""
    match tree:
        case Call():
            return tree.arguments
        case Logic():
            return tree.parts
        case Not() | Negative():
            return (tree.part,)
        case Arithmetic() | Comparison():
            return (tree.left, tree.right)
        case Between():
            return (tree.value, tree.low, tree.high)
        case In():
            return (tree.value, *tree.items)
        case Like():
            return (tree.value, tree.pattern)
        case IsNull():
            return (tree.value,)
        case _:
            return ()


def walk(tree: Tree) -> Iterator[Tree]:
    """The node and all beneath it, in the order of the text."""
    yield tree
    for child in children(tree):
        yield from walk(child)
