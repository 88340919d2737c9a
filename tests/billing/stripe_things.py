"""Stripe's objects and events, as small as they can be and still be read: before basil (2025-03-31) and since."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

NOW = datetime(2026, 11, 22, 9)
Thing = dict[str, Any]
_numbers = count(1)


def at(days: float = 0.0, seconds: float = 0.0) -> int:
    """Seconds since 1970, so many days after the failure the stories begin with (ten days before NOW)."""
    moment = NOW - timedelta(days=10) + timedelta(days=days, seconds=seconds)
    return int(moment.replace(tzinfo=UTC).timestamp())


def when(days: float = 0.0, hours: float = 0.0) -> datetime:
    """The instant so many days and hours after that failure, as naive UTC."""
    return NOW - timedelta(days=10) + timedelta(days=days, hours=hours)


def event(kind: str, thing: Thing, created: int, **more: Any) -> Thing:
    """An event about an object as it was at `created`; each has an id of its own."""
    return {
        "id": f"evt_{next(_numbers)}", "object": "event", "type": kind, "created": created, "livemode": True,
        "api_version": "2026-10-28.endive", "data": {"object": thing}, **more,
    }  # fmt: skip


def customer(ident: str = "cus_1", **more: Any) -> Thing:
    return {"object": "customer", "id": ident, "email": f"{ident}@example.com", "created": at(-300), **more}


def subscription(ident: str = "sub_1", owner: str = "cus_1", **more: Any) -> Thing:
    price = {"nickname": "Team", "unit_amount": 2900, "currency": "eur", "recurring": {"interval": "month"}}
    return {
        "object": "subscription", "id": ident, "customer": owner, "status": "active", "currency": "eur",
        "created": at(-300), "start_date": at(-300), "items": {"data": [{"price": price, "quantity": 1}]}, **more,
    }  # fmt: skip


def invoice(
    ident: str = "in_1", owner: str = "cus_1", *, basil: bool = True, intent: str = "pi_1", **more: Any
) -> Thing:
    """An open renewal invoice over 29 euros; `basil` says in which shape."""
    shaped: Thing
    if basil:
        details = {"subscription_details": {"subscription": "sub_1"}}
        shaped = {"parent": {"type": "subscription_details", **details}}
    else:
        shaped = {"subscription": "sub_1", "payment_intent": intent, "charge": None, "paid": False}
    return {
        "object": "invoice", "id": ident, "customer": owner, "status": "open", "number": f"N-{ident}",
        "amount_due": 2900, "amount_paid": 0, "amount_remaining": 2900, "currency": "eur", "attempt_count": 1,
        "billing_reason": "subscription_cycle", "collection_method": "charge_automatically",
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{ident}", "next_payment_attempt": at(3),
        "status_transitions": {"paid_at": None}, **shaped, **more,
    }  # fmt: skip


def paid(thing: Thing, when: int, amount: int | None = None) -> Thing:
    """The same invoice, paid at `when`; `amount` is the money (none: all of it)."""
    money = thing["amount_due"] if amount is None else amount
    return {
        **thing, "status": "paid", "amount_paid": money, "amount_remaining": 0, "next_payment_attempt": None,
        "status_transitions": {"paid_at": when},
    }  # fmt: skip


def intent(
    ident: str = "pi_1", owner: str = "cus_1", code: str | None = "insufficient_funds", *, charge: str = "ch_1",
    last4: str = "0341", **more: Any,
) -> Thing:  # fmt: skip
    """A payment intent whose last try failed with a bank's code."""
    card = {"fingerprint": f"fp{last4}", "last4": last4, "country": "DE"}
    error = {"code": "card_declined", "decline_code": code, "charge": charge,
             "payment_method": {"object": "payment_method", "id": f"pm_{last4}", "card": card}}  # fmt: skip
    return {
        "object": "payment_intent", "id": ident, "customer": owner, "status": "requires_payment_method",
        "last_payment_error": error, "latest_charge": charge, **more,
    }  # fmt: skip


def charge(
    ident: str = "ch_1", owner: str = "cus_1", *, created: int, ok: bool = False, last4: str = "0341", **more: Any
) -> Thing:
    return {
        "object": "charge", "id": ident, "customer": owner, "created": created, "payment_intent": "pi_1",
        "status": "succeeded" if ok else "failed", "amount": 2900, "currency": "eur",
        "payment_method_details": {"card": {"fingerprint": f"fp{last4}", "last4": last4, "country": "DE"}},
        "failure_code": None if ok else "card_declined",
        "outcome": {"type": "authorized"} if ok else {"type": "issuer_declined", "reason": "insufficient_funds"},
        **more,
    }  # fmt: skip


def method(ident: str = "pm_2", owner: str | None = "cus_1", last4: str = "4242", **more: Any) -> Thing:
    card = {"brand": "visa", "last4": last4, "exp_month": 8, "exp_year": 2030, "fingerprint": f"fp{last4}"}
    return {"object": "payment_method", "id": ident, "customer": owner, "created": at(-300), "card": card, **more}


def failure(bill: Thing, days: float = 0.0, code: str | None = "insufficient_funds", **more: Any) -> list[Thing]:
    """The events of one failed charge of an invoice, so many days after the first: its own, its payment intent's, and
    since basil what links the two. `more` goes into the payment intent.
    """
    own = bill.get("payment_intent") or f"pi_{bill['id']}"
    named = {"invoice": bill["id"]} if "payment_intent" in bill else {}
    charge_id = f"ch_{bill['id']}_{days}"
    tried = intent(own, bill["customer"], code, charge=charge_id, **named, **more)
    events = [event("invoice.payment_failed", bill, at(days)), event("payment_intent.payment_failed", tried, at(days))]
    return [*events, *([] if named else [event("invoice_payment.created", link(bill["id"], own), at(days))])]


def bought(owner: str = "cus_1", ident: str = "sub_1", **more: Any) -> list[Thing]:
    """A customer and their subscription, long before the failure."""
    return [
        event("customer.created", customer(owner), at(-300)),
        event("customer.subscription.created", subscription(ident, owner, **more), at(-300)),
    ]


def link(invoice_id: str = "in_1", intent_id: str = "pi_1") -> Thing:
    """What says since basil which invoice a payment intent is for."""
    return {"object": "invoice_payment", "id": f"inpay_{intent_id}", "invoice": invoice_id,
            "payment": {"type": "payment_intent", "payment_intent": intent_id}}  # fmt: skip


def bodies(events: Sequence[Thing]) -> list[str]:
    return [json.dumps(one) for one in events]
