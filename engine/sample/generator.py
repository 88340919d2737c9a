"""Writes the tables of the sample company as CSV files.

The same `today` gives the same bytes. Seen from another day the same people do the same things, shifted, so the
sample always ends on the eve of the day it is made for.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from engine.sample import dirt
from engine.sample.activity import Deed, deeds
from engine.sample.billing import Account, live_through
from engine.sample.company import BILLING_ZONE, local_of
from engine.sample.people import Person, person
from engine.sample.records import (
    Customer,
    Dispute,
    Event,
    Invoice,
    PaymentFailure,
    PaymentMethod,
    Refund,
    Response,
    Subscription,
    SubscriptionChange,
    Ticket,
)
from engine.sample.voice import responses, tickets

Progress = Callable[[int, int], None]
"""Called with the customers done and their number."""

Instants = Callable[[datetime], str]


def write_sample(folder: Path, today: date, customers: int = 5000, progress: Progress | None = None) -> None:
    """Write `customers.csv`, the billing tables, `responses.csv`, `tickets.csv` and `events/YYYY-MM.csv` under `folder`.

    The export ends at 00:00 UTC of `today`; nothing but the documented faults of `dirt` lies later. At least
    `dirt.FEWEST_CUSTOMERS` customers are made.
    """
    now = datetime.combine(today, time(0))
    total = max(customers, dirt.FEWEST_CUSTOMERS)
    people: list[Customer] = []
    accounts: list[Account] = []
    answers: list[Response] = []
    asked: list[Ticket] = []
    done: list[Deed] = []
    for number in range(1, total + 1):
        somebody = person(number, today)
        account = live_through(somebody, now)
        people.append(_customer(somebody, account))
        accounts.append(account)
        answers += responses(somebody, account, now)
        asked += tickets(somebody, account, now)
        done += deeds(somebody, account, now)
        if progress:
            progress(number, total)
    dirt.soil_customers(people)
    _write(folder / "customers.csv", Customer, _cells(people, _utc))
    _write_billing(folder, accounts)
    _write(folder / "responses.csv", Response, _cells(answers, _utc))
    _write(folder / "tickets.csv", Ticket, _cells(asked, _utc))
    _write_events(folder / "events", done, now)


def _customer(somebody: Person, account: Account) -> Customer:
    """The row of the customers' table, with today's plan and value."""
    current = account.current
    pays = current is not None and current.status != "trialing"
    mrr_minor = current.amount_minor // (12 if current.interval == "year" else 1) if current and pays else 0
    paid = sum(invoice.amount_minor for invoice in account.invoices if invoice.paid_at)
    return Customer(
        customer_id=somebody.customer_id,
        email=somebody.email,
        name=somebody.name,
        first_name=somebody.first_name,
        locale=somebody.locale,
        timezone=somebody.market.timezone,
        country=somebody.market.country,
        plan=current.plan if current else "free",
        signed_up_at=somebody.signed_up_at,
        mrr_minor=mrr_minor,
        currency=somebody.market.currency,
        clv_minor=paid + 12 * mrr_minor,
        consent=somebody.consent,
        consent_at=somebody.signed_up_at if somebody.consent else None,
        consent_source=somebody.consent_source if somebody.consent else None,
    )


def _write_billing(folder: Path, accounts: Sequence[Account]) -> None:
    invoices = [row for account in accounts for row in account.invoices]
    cards = [row for account in accounts for row in account.cards]
    dirt.soil_invoices(invoices)
    dirt.soil_cards(cards)
    subscriptions = (row for account in accounts for row in account.subscriptions)
    changes = (row for account in accounts for row in account.changes)
    failures = (row for account in accounts for row in account.failures)
    refunds = (row for account in accounts for row in account.refunds)
    disputes = (row for account in accounts for row in account.disputes)
    _write(folder / "subscriptions.csv", Subscription, _cells(subscriptions, _utc))
    _write(folder / "subscription_changes.csv", SubscriptionChange, _cells(changes, _utc))
    _write(folder / "invoices.csv", Invoice, _cells(invoices, _office))
    _write(folder / "payment_failures.csv", PaymentFailure, _cells(failures, _office))
    _write(folder / "payment_methods.csv", PaymentMethod, _cells(cards, _utc))
    _write(folder / "refunds.csv", Refund, _cells(refunds, _utc))
    _write(folder / "disputes.csv", Dispute, _cells(disputes, _utc))


def _write_events(folder: Path, done: list[Deed], now: datetime) -> None:
    done.sort(key=lambda deed: deed[:3])
    rows = [
        Event(customer_id, name, at, f"E{number:07d}", value_minor, currency)
        for number, (at, customer_id, name, value_minor, currency) in enumerate(done, start=1)
    ]
    dirt.soil_events(rows, now)
    rows.sort(key=lambda row: (row.occurred_at, row.event_id))
    # The event from the future lies in the newest file, as it would in an export by arrival.
    months = groupby(rows, key=lambda row: (min(row.occurred_at, now).year, min(row.occurred_at, now).month))
    for (year, month), found in months:
        # csv writes a datetime as `YYYY-MM-DD HH:MM:SS`, just what is wanted here, and so spares a pass over the rows.
        _write(folder / f"{year}-{month:02d}.csv", Event, found)


def _write(path: Path, kind: type[NamedTuple], rows: Iterable[Iterable[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        sink = csv.writer(file, lineterminator="\n")
        sink.writerow(kind._fields)
        sink.writerows(rows)


def _cells(rows: Iterable[Iterable[object]], instants: Instants) -> Iterator[list[object]]:
    return ([_cell(value, instants) for value in row] for row in rows)


def _cell(value: object, instants: Instants) -> object:
    if isinstance(value, datetime):
        return instants(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _utc(instant: datetime) -> str:
    return f"{instant.isoformat(timespec='seconds')}Z"


def _office(instant: datetime) -> str:
    return local_of(BILLING_ZONE, instant).isoformat(" ", timespec="seconds")
