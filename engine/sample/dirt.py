"""What real exports contain besides good rows. Each fault sits on a known row, so `data issues` can be compared.

| fault | rows |
|---|---|
| one customer id twice | 1 |
| an address that is none | 3 |
| no address | 2 |
| a zone nobody knows | 1 |
| an empty name | 4 |
| a sign-up in month 13 | 1 |
| a card that expires in month 13 | 1 |
| a negative amount due | 1 |
| an event in the future | 1 |
| an event delivered twice | 5 |
"""

from __future__ import annotations

from datetime import datetime, timedelta

from engine.sample.records import Customer, Event, Invoice, PaymentMethod

BROKEN_ADDRESSES = {11: "kim@@example.com", 23: "robin.example.com", 37: "sam field@example.com"}
"""Position in the customers' file (from 0) and what stands there instead of an address."""
WITHOUT_ADDRESS = (41, 59)
WITHOUT_NAME = (13, 29, 43, 61)
UNKNOWN_ZONE = 17
MONTH_13_SIGN_UP = 31
TWICE = 7
REPEATED_EVENTS = 5
FEWEST_CUSTOMERS = 100
"""With fewer customers the rows above would not all exist."""


def soil_customers(rows: list[Customer]) -> None:
    """Break the documented customers in place, and append one of them again under another name."""
    for position, address in BROKEN_ADDRESSES.items():
        rows[position] = rows[position]._replace(email=address)
    for position in WITHOUT_ADDRESS:
        rows[position] = rows[position]._replace(email=None)
    for position in WITHOUT_NAME:
        rows[position] = rows[position]._replace(name=None, first_name=None)
    rows[UNKNOWN_ZONE] = rows[UNKNOWN_ZONE]._replace(timezone="Europe/Atlantis")
    signed_up_at = rows[MONTH_13_SIGN_UP].signed_up_at
    rows[MONTH_13_SIGN_UP] = rows[MONTH_13_SIGN_UP]._replace(signed_up_at=f"{str(signed_up_at)[:4]}-13-04T09:00:00Z")
    rows.append(rows[TWICE]._replace(name="Test Entry", first_name="Test"))


def soil_invoices(rows: list[Invoice]) -> None:
    """Turn the newest bill into one that owes the customer money."""
    rows[-1] = rows[-1]._replace(amount_minor=-rows[-1].amount_minor)


def soil_cards(rows: list[PaymentMethod]) -> None:
    """Give the last card an expiry month that does not exist."""
    rows[-1] = rows[-1]._replace(exp_month=13)


def soil_events(rows: list[Event], now: datetime) -> None:
    """Repeat the last few events as a flaky queue would, and add one from a device whose clock runs a month ahead."""
    rows += rows[-REPEATED_EVENTS:]
    rows.append(rows[-1]._replace(event_id="E-ahead", name="login", occurred_at=now + timedelta(days=30)))
