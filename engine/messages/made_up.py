"""Values for a customer who does not exist, to look at a mail with: plausible by their names and types.

Texts hold signs that go wrong where something is not escaped or set apart: `<`, `&`, quotes and brackets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from engine.messages.grammar import CUSTOMER_NAMESPACES, Name

#: By the end of a name; the first that fits counts.
_BY_NAME: tuple[tuple[str, object], ...] = (
    ("first_name", "Ann"), ("last_name", "O'Neill"), ("email", "ann@example.com"), ("url", "https://example.com/page"),
    ("page", "https://example.com/page"), ("currency", "EUR"), ("last4", "4242"), ("brand", "Visa"),
    ("locale", "en"), ("timezone", "Europe/Berlin"), ("country", "GB"), ("interval", "month"), ("numbers", "R-1042"),
    ("invoice_id", "in_1042"), ("_id", "x-1042"), ("amount_minor", 2_900), ("clv_minor", 290_000), ("_minor", 2_900),
    ("score", 9), ("years", 2), ("months", 24), ("count", 3), ("invoices", 1), ("days_inactive", 30), ("from_plan", "Team (large)"),
    ("plan", "Pro (team)"), ("product", "Pro (team)"), ("feature", "reports"), ("comment", "Too few < templates & colours"),
    ("name", "Ann O'Neill"),
)  # fmt: skip


def made_up(
    names: Collection[Name], types: Mapping[str, Mapping[str, str]], today: datetime, locale: str
) -> dict[str, dict[str, object]]:
    """A value for each name, as a message row stores it. `types`: namespace -> name -> number, text, date, instant, bool.

    Names in `_at` lie a week back from `today` (naive UTC), dates in `_on` a week ahead.
    """
    values: dict[str, dict[str, object]] = {"customer": {"locale": locale}, "fact": {}}
    for space, name in names:
        if space in CUSTOMER_NAMESPACES and (space, name) != ("customer", "locale"):
            values.setdefault(space, {})[name] = _value(name, types.get(space, {}).get(name, ""), today)
    return values


def _value(name: str, kind: str, today: datetime) -> object:
    if kind == "bool":
        return True
    if kind == "date" or name.endswith(("_on", "_until")):
        return (today + timedelta(days=7)).date().isoformat()
    if kind == "instant" or name.endswith("_at"):
        return (today - timedelta(days=7)).replace(microsecond=0).isoformat()
    found = next((value for ending, value in _BY_NAME if name.endswith(ending)), None)
    if kind == "number":
        return found if isinstance(found, int) else 3
    if kind == "text":
        return found if isinstance(found, str) else name.replace("_", " ")
    return 3 if found is None else found
