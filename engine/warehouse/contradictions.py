"""Rows that contradict themselves or one another: every value can be read, and not all of them can be true.

They are used as they are, instants before status words, because nobody but the company can tell which side is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from engine.warehouse.sql import Bound, execute
from engine.warehouse.subscriptions import ENDED_STATUS
from engine.warehouse.warehouse import Warehouse

_HAS_ENDED = "s.ended_at IS NOT NULL AND s.ended_at < {now}"
_EVENTS = "{events} AS e"
_OF_SUBSCRIPTION = f"{_EVENTS} JOIN t_subscriptions AS s ON s.subscription_id = CAST(e.subscription_id AS VARCHAR)"
_OF_CUSTOMER = f"{_EVENTS} JOIN t_customers AS c ON c.customer_id = CAST(e.customer_id AS VARCHAR)"


@dataclass(frozen=True)
class Contradiction:
    """How many rows of one table say something that another value denies."""

    table: str
    text: str
    count: int


@dataclass(frozen=True)
class _Check:
    """`needs` are the columns of each table without which there is nothing to compare."""

    table: str
    text: str
    needs: Mapping[str, tuple[str, ...]]
    rows: str
    holds: str


def _subscriptions(text: str, needs: tuple[str, ...], holds: str) -> _Check:
    return _Check("subscriptions", text, {"subscriptions": needs}, "t_subscriptions AS s", holds)


def _invoices(text: str, holds: str) -> _Check:
    needs = {"invoices": ("status", "paid_at")}
    return _Check("invoices", text, needs, "t_invoices AS i", holds)


_SPAN = {"events": ("subscription_id",), "subscriptions": ("started_at",)}

_CHECKS = (
    _subscriptions("end before they start", ("started_at", "ended_at"), "s.ended_at < s.started_at"),
    _subscriptions("are over by their status and have no end", ("status", "ended_at"),
                   f"lower(s.status) IN {ENDED_STATUS} AND s.ended_at IS NULL"),
    _subscriptions("have ended and are not over by their status", ("status", "ended_at"),
                   f"lower(s.status) NOT IN {ENDED_STATUS} AND {_HAS_ENDED}"),
    _invoices("are called paid and have no paid_at", "lower(i.status) = 'paid' AND i.paid_at IS NULL"),
    _invoices("have a paid_at and are called open", "lower(i.status) = 'open' AND i.paid_at < {now}"),
    _Check("events", "lie before their customer's sign-up", {"events": (), "customers": ("signed_up_at",)},
           _OF_CUSTOMER, 'e."at" < c.c_signed_up_at'),
    _Check("events", "lie before their subscription's start", _SPAN, _OF_SUBSCRIPTION, 'e."at" < s.started_at'),
    _Check("events", "lie after their subscription's end", {**_SPAN, "subscriptions": ("ended_at",)},
           _OF_SUBSCRIPTION, 'e."at" > s.ended_at'),
)  # fmt: skip


def contradictions(warehouse: Warehouse) -> list[Contradiction]:
    """What the staged tables deny of one another, where it occurs at all; all columns must have been staged.

    Events that stay on a server are not looked at: it would take a copy of every row.
    """
    return [found for check in _CHECKS if _possible(warehouse, check) for found in _count(warehouse, check)]


_CODES = {"payment_failures": ("outcome_reason", "decline_code", "error_code"), "invoices": ("decline_code",)}
"""What says why a payment failed; an invoice does only where there is no table of its tries."""


def unknown_codes(warehouse: Warehouse, known: Iterable[str]) -> list[Contradiction]:
    """Failed payments with a code that is none of `known`, and the commonest three; all columns must have been staged.

    Nothing contradicts them, and yet nobody knows what they mean: what the customer is told is a guess.
    """
    table = next((table for table in _CODES if table in warehouse.shapes), None)
    columns = [name for name in _CODES[table] if warehouse.shapes[table].has(name)] if table else []
    if not table or not columns:
        return []
    bound = Bound()
    said = ", ".join(f"lower(trim({name}))" for name in columns)
    listed = ", ".join(bound(code) for code in known)
    statement = (
        f"WITH said AS (SELECT row_no, unnest([{said}]) AS code FROM (SELECT *, row_number() OVER () AS row_no FROM t_{table})), "
        f"unlisted AS (SELECT * FROM said WHERE code <> '' AND code NOT IN ({listed})) "
        "SELECT (SELECT count(DISTINCT row_no) FROM unlisted), left(code, 40) FROM unlisted "
        "GROUP BY code ORDER BY count(*) DESC, code LIMIT 3"
    )
    with warehouse.source.reading(table):
        rows = execute(warehouse.db, statement, bound).fetchall()
    if not rows:
        return []
    commonest = ", ".join(str(code) for _, code in rows)
    text = f"carry a code that is not listed (soft, unless another signal says more): {commonest}"
    return [Contradiction(table, text, int(rows[0][0]))]


def _possible(warehouse: Warehouse, check: _Check) -> bool:
    if "events" in check.needs and ("events" not in warehouse.shapes or warehouse.source.in_place):
        return False
    return all(
        table in warehouse.shapes and warehouse.shapes[table].has(*names) for table, names in check.needs.items()
    )


def _count(warehouse: Warehouse, check: _Check) -> Iterator[Contradiction]:
    bound = Bound()
    events = warehouse.events.relation_for_queries() if "events" in check.needs else ""
    statement = f"SELECT count(*) FROM {check.rows} WHERE {check.holds}".format(
        events=events, now=bound(warehouse.as_of)
    )
    with warehouse.source.reading(check.table):
        count = int(execute(warehouse.db, statement, bound).fetchall()[0][0])
    if count:
        yield Contradiction(check.table, check.text, count)
