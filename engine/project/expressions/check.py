"""What an expression's parts are, and what is wrong with them, as far as the columns are known.

Types are text, number, bool, instant and date; a column nobody has described yet could be any of them and fits
everywhere, so the same check runs when rules are loaded and again when the tables are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from engine.errors import did_you_mean
from engine.project.expressions import tree
from engine.project.expressions.tree import Tree
from engine.project.faults import Fault
from engine.project.trigger_spec import Catalog

_ANY = "any"
_TIMES = {"instant", "date"}
_SIGNATURES = {"lower": ("text", "text"), "upper": ("text", "text"), "length": ("text", "number")}
_NAMES = {"": "column", "account": "column of accounts", "subscription": "column of subscriptions", "fact": "fact"}
_SHOWN = {"text": "text", "number": "a number", "bool": "true or false", "instant": "an instant", "date": "a date"}


def faults(root: Tree, text: str, catalog: Catalog) -> list[Fault]:
    """Every error, each with its offset. A namespace the catalog lacks is not checked."""
    checker = _Checker(text, catalog)
    found = checker.type_of(root)
    if found not in {"bool", _ANY}:
        shown = _SHOWN[found]
        checker.note(
            "HF419", root, f"{shown} where a condition belongs", "expected a comparison or a true-or-false column"
        )
    return checker.faults


class _Checker:
    def __init__(self, text: str, catalog: Catalog) -> None:
        self.text, self.catalog = text, catalog
        self.faults: list[Fault] = []

    def note(self, code: str, node: Tree, found: str, expected: str, suggestion: str | None = None) -> None:
        self.faults.append(Fault(code, found, expected, suggestion, node.span.start))

    def shown(self, node: Tree) -> str:
        part = self.text[node.span.start : node.span.end]
        return part if len(part) <= 40 else part[:39] + "…"

    def type_of(self, node: Tree) -> str:
        match node:
            case tree.Literal():
                return _literal_type(node.value)
            case tree.Column():
                return self.column(node)
            case tree.Call():
                return self.call(node)
            case tree.Arithmetic(left=left, right=right):
                self.want("number", left, right)
                return "number"
            case tree.Negative(part=part):
                self.want("number", part)
                return "number"
            case _:
                self.condition(node)
                return "bool"

    def condition(self, node: Tree) -> None:
        match node:
            case tree.Logic(parts=parts):
                self.want("bool", *parts)
            case tree.Not(part=part):
                self.want("bool", part)
            case tree.Comparison(sign=sign):
                self.comparison(node, ordered=sign not in {"=", "<>"})
            case tree.Between(value=value, low=low, high=high):
                self.alike(value, low, high)
            case tree.In(value=value, items=items):
                self.alike(value, *items)
            case tree.Like(value=value):
                self.want("text", value)
            case tree.IsNull(value=value):
                self.type_of(value)

    def column(self, node: tree.Column) -> str:
        known = self.catalog.get(node.namespace)
        if known is None:
            return _ANY
        found = _folded(known).get(node.name)
        if found is None:
            what = f'unknown {_NAMES.get(node.namespace, "column")} "{node.name}"'
            self.note("HF417", node, what, _expected(known), did_you_mean(node.name, known))
        return found or _ANY

    def call(self, node: tree.Call) -> str:
        if node.name == "coalesce":
            return self.alike(*node.arguments)
        argument = node.arguments[0]
        if node.name == "days_since":
            found = self.type_of(argument)
            if not isinstance(argument, tree.Column):
                self.note("HF418", argument, f"days_since({self.shown(argument)})", "expected the name of a column")
            elif found not in {*_TIMES, _ANY}:
                self.note(
                    "HF418",
                    argument,
                    f"{self.shown(argument)} is {_SHOWN[found]}",
                    "days_since() takes a date or instant",
                )
            return "number"
        wanted, result = _SIGNATURES[node.name]
        self.want(wanted, argument)
        return result

    def want(self, wanted: str, *nodes: Tree) -> None:
        for node in nodes:
            found = self.type_of(node)
            if found in {wanted, _ANY}:
                continue
            code = "HF419" if wanted == "bool" else "HF418"
            hint = (
                "; days between two times come from days_since(column)"
                if wanted == "number" and found in _TIMES
                else ""
            )
            expected = "expected a condition" if wanted == "bool" else f"expected {_SHOWN[wanted]}{hint}"
            self.note(code, node, f"{self.shown(node)} is {_SHOWN[found]}", expected)

    def comparison(self, node: tree.Comparison, *, ordered: bool) -> None:
        found = self.alike(node.left, node.right)
        if ordered and found == "bool":
            self.note("HF418", node, f"{node.sign} between true and false", "expected = or <>")

    def alike(self, *nodes: Tree) -> str:
        """The common type of the nodes; the first that differs is noted."""
        common = _ANY
        for node in nodes:
            found = self.type_of(node)
            if common == _ANY or (common == "date" and found == "instant"):
                common = found
            elif found not in {common, _ANY} and not {found, common} <= _TIMES:
                expected = "both sides must be of one type"
                if "text" in {found, common} and {found, common} & _TIMES:
                    expected = "a day is written date '2026-01-31'"
                self.note("HF418", node, f"{self.shown(node)} is {_SHOWN[found]}, not {_SHOWN[common]}", expected)
                return common
        return common


def _literal_type(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "text"
    return "date" if isinstance(value, date) else "number"


def _folded(known: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): kind for name, kind in known.items()}


def _expected(known: Mapping[str, str]) -> str:
    if not known:
        return "there are none here"
    names = sorted(known)
    return "expected " + ", ".join(names[:30]) + (" and others" if len(names) > 30 else "")


def losses(root: Tree, text: str) -> list[Fault]:
    """Comparisons that would silently leave out customers without a value, with how to write what is meant.

    Only "is not" comparisons: in `country = 'DE'` nobody expects those without a country. A column whose emptiness
    the expression tests itself, or that stands in coalesce(), is not mentioned.
    """
    tested = {_key(c) for node in tree.walk(root) if isinstance(node, tree.IsNull) for c in _columns(node)}
    found = []
    for node, values, inside_not in _exclusions(root, inside_not=False):
        untested = [column for value in values for column in _columns(value) if _key(column) not in tested]
        if untested:
            found.append(_loss(node, untested[0], text, inside_not=inside_not))
    return found


def _key(column: tree.Column) -> tuple[str, str]:
    return column.namespace, column.name


def _exclusions(node: Tree, *, inside_not: bool) -> Iterator[tuple[Tree, tuple[Tree, ...], bool]]:
    """The comparisons that exclude, with the values they compare and whether they stand inside a `not`."""
    match node:
        case tree.Not(part=part):
            yield from _exclusions(part, inside_not=not inside_not)
        case tree.Comparison(sign=sign):
            if (sign == "<>") != inside_not:
                yield node, (node.left, node.right), inside_not
        case tree.In() | tree.Like() | tree.Between():
            if node.negated != inside_not:
                yield node, (node.value,), inside_not
        case tree.Logic(parts=parts):
            for part in parts:
                yield from _exclusions(part, inside_not=inside_not)
        case _:
            return


def _columns(node: Tree) -> Iterator[tree.Column]:
    """The columns whose emptiness makes this part empty."""
    if isinstance(node, tree.Column):
        yield node
    elif not (isinstance(node, tree.Call) and node.name == "coalesce"):
        for child in tree.children(node):
            yield from _columns(child)


def _loss(node: Tree, column: tree.Column, text: str, *, inside_not: bool) -> Fault:
    written = text[node.span.start : node.span.end]
    name = text[column.span.start : column.span.end]
    kept = f"({name} is not null and {written})" if inside_not else f"({name} is null or {written})"
    if any(isinstance(value, tree.Literal) and isinstance(value.value, str) for value in tree.children(node)):
        before, after = text[node.span.start : column.span.start], text[column.span.end : node.span.end]
        kept = f"{before}coalesce({name}, ''){after}"
    found = f"customers without {name} are left out by {written[:60]}"
    expected = f"write {kept} to keep them, or add {name} is not null to say so"
    return Fault("HF420", found, expected if len(kept) < 120 else f"test {name} with is null", offset=node.span.start)
