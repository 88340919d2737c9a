"""What an expression means, worked out in Python without looking at the SQL, and conditions to try it on."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any

from hypothesis import strategies as st

from engine.project.expressions import tree

AS_OF = datetime(2026, 3, 29, 7, 30, 0, 250_000)
COLUMNS = {
    "plan": "text", "country": "text", "mrr": "number", "seats": "number", "consent": "bool", "signed_up_at": "instant",
    "renews_on": "date",
}  # fmt: skip
CATALOG = {"": COLUMNS, "subscription": {}, "fact": {}}
DAYS = [date(2026, 3, 28), date(2026, 3, 29), date(2024, 2, 29)]
ROWS: list[dict[str, Any]] = [
    {"plan": "pro", "country": "DE", "mrr": 5000, "seats": 3, "consent": True,
     "signed_up_at": AS_OF, "renews_on": DAYS[0]},
    {"plan": "Team", "country": None, "mrr": None, "seats": 0, "consent": None,
     "signed_up_at": None, "renews_on": None},
    {"plan": None, "country": "", "mrr": -7, "seats": 4, "consent": False,
     "signed_up_at": AS_OF - timedelta(days=30), "renews_on": DAYS[1]},
    {"plan": "p_o", "country": "AT", "mrr": 0, "seats": None, "consent": True,
     "signed_up_at": datetime(2026, 3, 29), "renews_on": DAYS[2]},
]  # fmt: skip

_TEXTS = st.sampled_from(
    ["plan", "country", "'pro'", "''", "'DE'", "lower(plan)", "upper(country)", "coalesce(country, 'DE')", "'it''s'"]
)
_ATOMS = st.sampled_from(
    [
        "mrr",
        "seats",
        "0",
        "3",
        "5000",
        "2.5",
        "1e3",
        "length(plan)",
        "days_since(signed_up_at)",
        "days_since(renews_on)",
    ]
)
_NUMBERS = st.recursive(
    _ATOMS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner) | st.builds("-{}".format, _ATOMS)
    ),
    max_leaves=4,
)
_TIMES = st.sampled_from(["signed_up_at", "renews_on", "date '2026-03-29'", "coalesce(signed_up_at, renews_on)"])
_SIGNS = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
_NOT = st.sampled_from(["", "not "])


def _tests(values: st.SearchStrategy[str], literals: str) -> st.SearchStrategy[str]:
    return (
        st.builds("{} {} {}".format, values, _SIGNS, values)
        | st.builds("{} {}between {} and {}".format, values, _NOT, values, values)
        | st.builds("{} {}in ({})".format, values, _NOT, st.just(literals))
        | st.builds("{} is {}null".format, values, _NOT)
    )


_LEAVES = (
    _tests(_TEXTS, "'pro', 'DE'")
    | _tests(_NUMBERS, "0, -7, 5000")
    | _tests(_TIMES, "date '2026-03-29', date '2024-02-29'")
    | st.builds("{} {}like '{}'".format, _TEXTS, _NOT, st.sampled_from(["p%", "%o", "p_o", "", "%"]))
    | st.sampled_from(["consent", "true", "false", "consent = false", "consent is null"])
)  # fmt: skip
CONDITIONS = st.recursive(
    _LEAVES,
    lambda inner: (
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or", "AND"]), inner)
        | st.builds("not ({})".format, inner)
    ),
    max_leaves=5,
)


def truth(node: tree.Tree, row: dict[str, Any]) -> Any:
    """The value of a node for one person; None is SQL's unknown."""
    match node:
        case tree.Literal(value=value):
            return datetime.combine(value, time()) if isinstance(value, date) else value
        case tree.Column(name=name):
            value = row[name]
            return (
                datetime.combine(value, time())
                if isinstance(value, date) and not isinstance(value, datetime)
                else value
            )
        case tree.Logic(word=word, parts=parts):
            values = [truth(part, row) for part in parts]
            decides = word == "or"
            return decides if decides in values else None if None in values else not decides
        case tree.IsNull(value=value, negated=negated):
            return (truth(value, row) is None) != negated
        case tree.In(value=value, items=items, negated=negated):
            found = truth(value, row)
            return None if found is None else (found in [truth(item, row) for item in items]) != negated
        case tree.Between(value=value, low=low, high=high, negated=negated):
            inside = _both(
                _compare("<=", truth(low, row), truth(value, row)), _compare("<=", truth(value, row), truth(high, row))
            )
            return None if inside is None else inside != negated
        case tree.Call(name="coalesce", arguments=arguments):
            return next(
                (value for value in (truth(argument, row) for argument in arguments) if value is not None), None
            )
        case _:
            return _strict(node, [truth(child, row) for child in tree.children(node)])


def _strict(node: tree.Tree, values: list[Any]) -> Any:
    """Nodes that are unknown as soon as one of their parts is."""
    if None in values:
        return None
    match node:
        case tree.Not():
            return not values[0]
        case tree.Comparison(sign=sign):
            return _compare(sign, *values)
        case tree.Like(negated=negated):
            pattern = "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in values[1])
            return bool(re.fullmatch(pattern, values[0], re.DOTALL)) != negated
        case tree.Negative():
            return -float(values[0])
        case tree.Arithmetic(sign=sign):
            left, right = map(float, values)
            if sign == "/":
                return left / right if right else None
            return {"+": left + right, "-": left - right, "*": left * right}[sign]
        case tree.Call(name="days_since"):
            return (AS_OF - values[0]) // timedelta(days=1)
        case tree.Call(name=name):
            return {"lower": str.lower, "upper": str.upper, "length": len}[name](values[0])
    raise AssertionError(node)


def _compare(sign: str, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    return {
        "=": left == right,
        "<>": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[sign]


def _both(left: Any, right: Any) -> Any:
    return False if False in (left, right) else None if None in (left, right) else True
