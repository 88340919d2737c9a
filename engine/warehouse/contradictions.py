"""Rows that contradict themselves or one another: every value can be read, and not all of them can be true.

They are used as they are, instants before status words, because nobody but the company can tell which side is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
