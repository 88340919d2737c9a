"""The open cases one by one, the most money first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime

import duckdb


@dataclass(frozen=True)
class OpenCase:
    """What one customer owes in one currency, seen through the oldest open invoice."""

    customer_id: str
    invoice_id: str
    number: str | None
    """What the customer knows the invoice as."""
    group: str
    failed_at: datetime
    days: int
    """Whole days since the first failure."""
    currency: str
    amount_minor: int
    """Of all open invoices of the case."""
    invoices: int
    mails: int
    next_step: str | None
    next_on: date | None
    waits: str | None
    """In one word, why nothing is sent although the invoice is open; a held-out case climbs its ladder all the same."""


def open_cases(db: duckdb.DuckDBPyConnection, limit: int | None = None) -> Iterator[OpenCase]:
    """The cases of the relation `open_case`, at most `limit`. Amounts compare by what they are worth on paper: whole
    units of their currency, because nobody here knows exchange rates."""
    names = ", ".join(f'c."{field.name}"' for field in fields(OpenCase))
    reader = db.cursor().execute(
        f"SELECT {names} FROM open_case AS c LEFT JOIN currency_digits AS d ON d.currency = c.currency "
        "ORDER BY c.amount_minor / power(10, coalesce(d.digits, 2)) DESC, c.failed_at, c.customer_id, c.currency "
        f"{f'LIMIT {limit}' if limit is not None else ''}"
    )
    while batch := reader.fetchmany(10_000):
        for row in batch:
            yield OpenCase(*row)
