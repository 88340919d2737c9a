"""From tokens to a tree: a Pratt parser over a fixed list of words and signs.

Binding, weakest first: or, and, not, comparisons (which do not chain), + and -, * and /, the sign of a number.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

from engine.errors import did_you_mean
from engine.project.expressions import tree
from engine.project.expressions.tokens import Token, tokens
from engine.project.expressions.tree import Span, Tree
from engine.project.faults import Fault

MAX_DEPTH = 30
MAX_NODES = 400
NAMESPACES = ("subscription", "fact", "account")
FUNCTIONS = {"lower": (1, 1), "upper": (1, 1), "length": (1, 1), "days_since": (1, 1), "coalesce": (2, 20)}
"""The least and the largest number of arguments of each function."""

_CALLS = (*FUNCTIONS, "sent")
_QUERIES = frozenset(("select", "exists", "case", "cast"))
_SYNTAX = _QUERIES | {"and", "or", "in", "is", "null", "like", "between"}
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT = range(1, 7)
_STRENGTHS = {"or": _OR, "and": _AND, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT}
_STRENGTHS |= dict.fromkeys(("=", "<>", "!=", "<", "<=", ">", ">=", "in", "like", "between", "is", "not"), _COMPARE)
_LARGEST = 2**63 - 1


def parse_tree(text: str) -> Tree:
    """The tree of a whole expression. Raises `Fault` with the offset of the first thing that cannot be read."""
    parser = _Parser(text)
    found = parser.expression(0)
    parser.expect_end()
    _refuse_depth(found)
    return found


def _refuse_depth(root: Tree) -> None:
    """Long sums lean to the left and grow deep without a bracket. Measured without recursion."""
    waiting = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise Fault(
                "HF413", f"nested more than {MAX_DEPTH} deep", "a flatter one is expected", offset=node.span.start
            )
        waiting += [(child, depth + 1) for child in tree.children(node)]


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(tokens(text))
        self.index = 0
        self.depth = 0
        self.nodes = 0

    @property
    def here(self) -> Token:
        return self.tokens[self.index]

    def take(self) -> Token:
        token = self.here
        self.index = min(self.index + 1, len(self.tokens) - 1)
        return token

    def sees(self, *values: str) -> bool:
        return self.here.kind in {"word", "sign"} and self.here.value in values

    def takes(self, value: str) -> bool:
        if self.sees(value):
            self.take()
            return True
        return False

    def expect(self, value: str, why: str = "") -> Token:
        if not self.sees(value):
            raise self.unexpected(f'expected "{value}"{why}')
        return self.take()

    def expect_end(self) -> None:
        if self.here.kind != "end":
            raise self.unexpected('expected "and", "or" or the end')

    def unexpected(self, expected: str, token: Token | None = None) -> Fault:
        token = token or self.here
        found = f'"{self.text[token.start : token.end][:60]}"' if token.kind != "end" else "the end of the expression"
        return Fault("HF406", found, expected, offset=token.start)

    def count(self, start: int) -> Span:
        """The span from `start` to the last token taken, for one more node."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Fault("HF414", f"more than {MAX_NODES} parts", "a shorter expression is expected", offset=start)
        return Span(start, self.tokens[max(self.index - 1, 0)].end)

    def expression(self, binding: int) -> Tree:
        """What binds tighter than `binding`, from here on."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Fault(
                "HF413", f"nested more than {MAX_DEPTH} deep", "a flatter one is expected", offset=self.here.start
            )
        left = self.prefix()
        while (strength := self.strength()) > binding:
            left = self.infix(left, strength)
        self.depth -= 1
        return left

    def strength(self) -> int:
        """How tightly the operator at hand binds; 0 for what is no operator."""
        token = self.here
        return _STRENGTHS.get(token.value, 0) if token.kind in {"sign", "word"} else 0

    def infix(self, left: Tree, strength: int) -> Tree:
        operator = self.here
        if strength in {_OR, _AND}:
            return self.logic(left, operator.value, strength)
        self.take()
        if strength == _COMPARE:
            found = self.comparison(left, operator)
            if self.strength() == _COMPARE:
                raise self.unexpected("comparisons do not chain; join two of them with and")
            return found
        right = self.expression(strength)
        return tree.Arithmetic(operator.value, left, right, self.count(left.span.start))

    def logic(self, left: Tree, word: str, strength: int) -> Tree:
        parts = [left]
        while self.takes(word):
            parts.append(self.expression(strength))
        return tree.Logic(word, tuple(parts), self.count(left.span.start))

    def comparison(self, left: Tree, operator: Token) -> Tree:
        start = left.span.start
        if operator.value == "is":
            negated = self.takes("not")
            if not self.sees("null"):
                raise self.unexpected("expected null or not null; equality is written with =")
            self.take()
            return tree.IsNull(left, negated, self.count(start))
        negated = operator.value == "not"
        word = self.take() if negated else operator
        if word.value == "in":
            return tree.In(left, self.items(), negated, self.count(start))
        if word.value == "like":
            return tree.Like(left, self.literal("text", "a pattern in single quotes"), negated, self.count(start))
        if word.value == "between":
            low = self.expression(_COMPARE)
            self.expect("and", " and the upper bound")
            high = self.expression(_COMPARE)
            return tree.Between(left, low, high, negated, self.count(start))
        if negated:
            raise self.unexpected("expected in, like or between after not", word)
        right = self.expression(_COMPARE)
        return tree.Comparison("<>" if operator.value == "!=" else operator.value, left, right, self.count(start))

    def items(self) -> tuple[tree.Literal, ...]:
        opening = self.expect("(", " and the values")
        if self.sees(")"):
            raise Fault("HF410", "an empty list", "expected at least one value", offset=opening.start)
        if self.sees("select"):
            raise self.query()
        found = [self.literal()]
        while self.takes(","):
            found.append(self.literal())
        self.expect(")", ' or ","')
        return tuple(found)

    def literal(self, kind: str | None = None, what: str = "a fixed value") -> tree.Literal:
        token = self.here
        if token.kind == "end":
            raise self.unexpected(f"expected {what}")
        found = self.expression(_COMPARE)
        if isinstance(found, tree.Negative) and isinstance(found.part, tree.Literal):
            found = _negative(found.part.value, found)
        if not isinstance(found, tree.Literal) or (kind == "text" and not isinstance(found.value, str)):
            shown = self.text[found.span.start : found.span.end][:60]
            raise Fault("HF423", f'"{shown}"', f"expected {what}", offset=token.start)
        return found

    def prefix(self) -> Tree:
        token = self.take()
        if token.kind == "number":
            return tree.Literal(_number(token), self.count(token.start))
        if token.kind == "text":
            return tree.Literal(token.value, self.count(token.start))
        if token.kind == "word":
            return self.word(token)
        if token.value == "(":
            return self.bracket(token)
        if token.value != "-":
            raise self.unexpected("expected a column, a value or a condition", token)
        part = self.expression(_PRODUCT)
        return tree.Negative(part, self.count(token.start))

    def bracket(self, opening: Token) -> Tree:
        if self.sees("select"):
            raise self.query()
        if self.sees(")"):
            raise self.unexpected("expected a condition between the brackets")
        inner = self.expression(0)
        if self.sees(","):
            raise self.unexpected('expected ")"; a list of values follows the word in')
        closing = self.expect(")", f" for the one at character {opening.start + 1}")
        return replace(inner, span=Span(opening.start, closing.end))

    def query(self) -> Fault:
        return Fault("HF408", "a query", "expressions read one customer's values", offset=self.here.start)

    def word(self, token: Token) -> Tree:
        if token.value in _SYNTAX:
            raise self.misplaced(token)
        if token.value == "not":
            part = self.expression(_NOT)
            return tree.Not(part, self.count(token.start))
        if token.value in {"true", "false"}:
            return tree.Literal(token.value == "true", self.count(token.start))
        if token.value == "date" and self.here.kind == "text":
            return tree.Literal(_date(self.take()), self.count(token.start))
        return self.call(token) if self.sees("(") else self.column(token)

    def misplaced(self, token: Token) -> Fault:
        if token.value == "null":
            expected = "nothing equals it; write is null or is not null"
            return Fault("HF411", "null as a value", expected, offset=token.start)
        if token.value in _QUERIES:
            return Fault("HF408", f'"{token.value}"', "expressions read one customer's values only", offset=token.start)
        return self.unexpected("expected a column, a value or a condition", token)

    def call(self, token: Token) -> Tree:
        if token.value not in _CALLS:
            known = ", ".join(_CALLS[:-1]) + f" or {_CALLS[-1]}"
            guess = did_you_mean(token.value, _CALLS)
            raise Fault("HF407", f'unknown function "{token.value}"', f"expected {known}", guess, token.start)
        self.take()
        arguments: list[Tree] = []
        while arguments or not self.sees(")"):
            arguments.append(self.expression(0))
            if not self.takes(","):
                break
        self.expect(")", ' or ","')
        if token.value == "sent":
            return self.sent(arguments, token)
        least, most = FUNCTIONS[token.value]
        if not least <= len(arguments) <= most:
            expected = f"{least} argument{'s' * (least > 1)}" if least == most else f"{least} to {most} arguments"
            raise Fault("HF416", f"{token.value}() with {len(arguments)}", f"expected {expected}", offset=token.start)
        return tree.Call(token.value, tuple(arguments), self.count(token.start))

    def sent(self, arguments: list[Tree], token: Token) -> Tree:
        if len(arguments) != 1 or not isinstance(arguments[0], tree.Literal) or not isinstance(arguments[0].value, str):
            raise Fault("HF416", "sent() without a rule", "expected sent('rule-id')", offset=token.start)
        return tree.Sent(arguments[0].value, self.count(token.start))

    def column(self, token: Token) -> Tree:
        if not self.takes("."):
            return tree.Column("", token.value, self.count(token.start))
        if token.value not in NAMESPACES:
            guess = did_you_mean(token.value, NAMESPACES)
            expected = "a customer's columns stand alone, others begin with subscription., fact. or account."
            raise Fault("HF422", f'unknown prefix "{token.value}"', expected, guess, token.start)
        if self.here.kind != "word":
            raise self.unexpected("expected the name of a column")
        name = self.take().value
        return tree.Column(token.value, name, self.count(token.start))


def _negative(value: object, whole: tree.Negative) -> Tree:
    """`-5` as one literal; anything else as it is."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return tree.Literal(-value, whole.span)
    return whole


def _number(token: Token) -> int | float:
    whole = token.value.isdigit()
    value = int(token.value) if whole and len(token.value) < 30 else float(token.value)
    if not math.isfinite(value) or (whole and value > _LARGEST):
        raise Fault("HF409", f'"{token.value[:40]}" is too large', "expected a number of 64 bits", offset=token.start)
    return value


def _date(token: Token) -> date:
    try:
        if len(token.value) == len("2026-01-31"):
            return date.fromisoformat(token.value)
    except ValueError:
        pass
    raise Fault(
        "HF415",
        f"'{token.value[:40]}' is not a date",
        "expected a day that exists, date '2026-01-31'",
        offset=token.start,
    )
