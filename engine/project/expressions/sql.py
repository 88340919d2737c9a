"""The SQL of an expression, in DuckDB's dialect, with every literal bound."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time

from engine.project.expressions import tree
from engine.project.expressions.tree import Tree

MICROSECONDS_A_DAY = 86_400_000_000


class SqlWriter:
    """Writes trees as SQL. `column`, `sent` and `bind` give the text that stands for a column, a rule, a value.

    Every part is bracketed, so nothing depends on how an engine ranks its operators. Numbers are computed as doubles
    and division by zero gives null, so that no customer's values can make a query fail.
    """

    def __init__(
        self,
        column: Callable[[str, str], str],
        sent: Callable[[str], str],
        bind: Callable[[object], str],
        as_of: datetime,
    ) -> None:
        self.column, self.sent, self.bind, self.as_of = column, sent, bind, as_of

    def write(self, node: Tree) -> str:  # noqa: PLR0911 - one arm for each kind of node
        """The node as one bracketed SQL expression."""
        match node:
            case tree.Literal(value=value):
                return self._literal(value)
            case tree.Column(namespace=namespace, name=name):
                return self.column(namespace, name)
            case tree.Sent(rule=rule):
                return f"({self.sent(rule)})"
            case tree.Call():
                return self._call(node)
            case tree.Logic(word=word, parts=parts):
                return "(" + f" {word.upper()} ".join(map(self.write, parts)) + ")"
            case tree.Not(part=part):
                return f"(NOT {self.write(part)})"
            case tree.Negative(part=part):
                return f"(-{self._number(part)})"
            case tree.Arithmetic():
                return self._arithmetic(node)
            case _:
                return self._condition(node)

    def _condition(self, node: Tree) -> str:
        match node:
            case tree.Comparison(sign=sign, left=left, right=right):
                return f"({self.write(left)} {sign} {self.write(right)})"
            case tree.Between(value=value, low=low, high=high):
                return f"({self.write(value)}{_not(node)} BETWEEN {self.write(low)} AND {self.write(high)})"
            case tree.In(value=value, items=items):
                return f"({self.write(value)}{_not(node)} IN ({', '.join(map(self.write, items))}))"
            case tree.Like(value=value, pattern=pattern):
                return f"({self.write(value)}{_not(node)} LIKE {self.write(pattern)})"
            case tree.IsNull(value=value):
                return f"({self.write(value)} IS{_not(node)} NULL)"
            case _:
                raise AssertionError(node)

    def _literal(self, value: object) -> str:
        if isinstance(value, date):  # a day stands for its midnight, UTC
            value = datetime.combine(value, time())
        return self.bind(value)

    def _number(self, node: Tree) -> str:
        return f"CAST({self.write(node)} AS DOUBLE)"

    def _arithmetic(self, node: tree.Arithmetic) -> str:
        left, right = self._number(node.left), self._number(node.right)
        return f"({left} {node.sign} {f'nullif({right}, 0)' if node.sign == '/' else right})"

    def _call(self, node: tree.Call) -> str:
        arguments = [self.write(argument) for argument in node.arguments]
        if node.name != "days_since":
            return f"{node.name}({', '.join(arguments)})"
        # Whole days of 24 hours, rounded down. Engines disagree about "days between", so it is plain arithmetic; a
        # double holds a quotient of microseconds exactly enough for some 200 years either way.
        moment, then = (f"epoch_us(CAST({text} AS TIMESTAMP))" for text in (self.bind(self.as_of), arguments[0]))
        return f"floor(({moment} - {then}) / {MICROSECONDS_A_DAY})"


def _not(node: tree.Between | tree.In | tree.Like | tree.IsNull) -> str:
    return " NOT" if node.negated else ""
