"""Rows of our tables from Stripe's objects, as events carry them or the API returns them.

Nothing here knows the time or the state: an object and the instant it was said give rows, always the same. Objects of
every API version are read: before 2025-03-31 an invoice names its payment intent, charge and subscription itself;
since then they hang below `payments` and `parent`. What cannot be read is None, never a fault: all of Stripe's words
are open sets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from engine.billing.stripe_money import iso_minor

Object = Mapping[str, Any]
"""One of Stripe's objects as plain JSON."""


@dataclass(frozen=True)
class Row:
    """One row of the table `stripe_<kind>`; `rank` and the values' digest decide between things said in one second."""

    kind: str
    id: str
    seen_at: datetime
    rank: int
    values: Mapping[str, object]

    @property
    def digest(self) -> str:
        """The same for the same values, whatever their order."""
        return sha256(json.dumps(self.values, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Link:
    """The invoice a payment intent is for."""

    intent: str
    invoice: str


@dataclass(frozen=True)
class Question:
    """An object to ask for: `invoice` (with its payments) or `charge`."""

    kind: str
    id: str


Finding = Row | Link | Question

_FAILED_NOTICES = {"invoice.payment_failed": None, "invoice.payment_action_required": "authentication_required"}
"""Events that say a try has failed, with the error they stand for themselves."""

_RANKS = {
    "invoice": ("draft", "open", "uncollectible", "paid", "void", "deleted"),
    "subscription": (
        "incomplete", "trialing", "active", "past_due", "unpaid", "paused", "canceled", "incomplete_expired",
    ),
    "try": ("processing", "failed", "succeeded"),
    "dispute": ("open", "won", "lost"),
}  # fmt: skip
"""How far an object has got. Of two states said in the same second the later one counts."""


def of_event(event: Object) -> Iterator[Finding]:
    """What one webhook event says. `event`: the whole envelope; an event about nothing of ours gives nothing."""
    kind = str(event.get("type") or "")
    seen_at = instant(event.get("created"))
    thing = _mapping(_mapping(event.get("data")).get("object"))
    if seen_at is None or not thing:
        return
    if thing.get("object") == "invoice" and kind == "invoice.deleted":
        thing = {**thing, "status": "deleted"}
    if kind == "payment_method.automatically_updated":
        thing = {**thing, "auto_updated": seen_at}
    if kind == "payment_method.attached":
        thing = {**thing, "attached": seen_at}
    if thing.get("object") == "payment_intent":
        thing = {**thing, "told_at": seen_at}
    if kind == "payment_method.detached":
        thing = {**thing, "customer": None}
    yield from of_object(thing, seen_at)
    if kind in _FAILED_NOTICES:
        yield from _notice(thing, seen_at, _FAILED_NOTICES[kind])


def of_object(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    """What one object says as of `seen_at` (naive UTC, whole seconds), with everything nested in it."""
    read = _READERS.get(str(thing.get("object")))
    if read is not None:
        yield from read(thing, seen_at)


def instant(seconds: object) -> datetime | None:
    """Naive UTC of Stripe's seconds since 1970; None for what is none, or outside the calendar."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=0)
    except (ValueError, OverflowError, OSError):
        return None


# ── what a payment was for ──────────────────────────────────────────────────────────────────────────────────────────


def _invoice(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    ident = _id(thing)
    if ident is None:  # a preview, as in invoice.upcoming
        return
    currency = _text(thing.get("currency")) or ""
    status = _text(thing.get("status"))
    times = _mapping(thing.get("status_transitions"))
    paid_at = instant(times.get("paid_at")) or (seen_at if status == "paid" else None)
    yield Row("invoice", ident, seen_at, _rank("invoice", status), {
        "customer": _ref(thing.get("customer")), "subscription": _subscription_of(thing), "status": status,
        "number": _text(thing.get("number")), "amount_minor": _open_amount(thing, currency),
        "paid_minor": _money(thing.get("amount_paid"), currency), "currency": currency.upper() or None,
        "paid_at": paid_at if status == "paid" else None,
        "next_attempt_at": instant(thing.get("next_payment_attempt")), "attempt_count": _whole(thing.get("attempt_count")),
        "hosted_invoice_url": _text(thing.get("hosted_invoice_url")),
        "billing_reason": _text(thing.get("billing_reason")),
        "collection_method": _text(thing.get("collection_method")), "replaces": _replaced_by(thing),
    })  # fmt: skip
    intent = _ref(thing.get("payment_intent"))
    if intent:
        yield Link(intent, ident)
    for payment in _list(thing.get("payments")):
        yield from of_object(payment, seen_at)
    yield from _nested(thing, seen_at, "payment_intent", "charge", "customer", "subscription")


def _open_amount(thing: Object, currency: str) -> int | None:
    """What is still due; older objects and stand-ins do not say it themselves."""
    remaining, due, paid = (_whole(thing.get(name)) for name in ("amount_remaining", "amount_due", "amount_paid"))
    if remaining is None and due is not None:
        remaining = due - (paid or 0)
    return None if remaining is None else max(iso_minor(remaining, currency), 0)


def _subscription_of(thing: Object) -> str | None:
    parent = _mapping(thing.get("parent"))
    found = _ref(thing.get("subscription")) or _ref(_mapping(parent.get("subscription_details")).get("subscription"))
    if found:
        return found
    for line in _list(thing.get("lines")):
        details = _mapping(_mapping(line.get("parent")).get("subscription_item_details"))
        found = _ref(line.get("subscription")) or _ref(details.get("subscription"))
        if found:
            return found
    return None


def _replaced_by(thing: Object) -> str | None:
    """The invoice this one was issued for anew: Stripe's own word, or the company's in `metadata.replaces`."""
    return _ref(_mapping(thing.get("from_invoice")).get("invoice")) or _text(
        _mapping(thing.get("metadata")).get("replaces")
    )


def _notice(thing: Object, seen_at: datetime, error: str | None) -> Iterator[Finding]:
    """The invoice's own word that a try has failed. It does not say why, so that is asked for."""
    ident = _id(thing)
    if ident is None:
        return
    intent = _ref(thing.get("payment_intent"))
    yield Row("try", f"{ident}:{_seconds(seen_at)}{':confirm' if error else ''}", seen_at, _rank("try", "failed"), {
        "at": seen_at, "state": "failed", "customer": _ref(thing.get("customer")), "invoice": ident, "intent": intent,
        "error_code": error,
    })  # fmt: skip
    yield Question("invoice", ident)


def _invoice_payment(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    invoice, payment = _ref(thing.get("invoice")), _mapping(thing.get("payment"))
    intent = _ref(payment.get("payment_intent"))
    if invoice and intent:
        yield Link(intent, invoice)
    yield from _nested(payment, seen_at, "payment_intent", "charge")


# ── tries ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _payment_intent(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    ident = _id(thing)
    if ident is None:
        return
    invoice, error = _ref(thing.get("invoice")), _mapping(thing.get("last_payment_error"))
    status = _text(thing.get("status"))
    if invoice:
        yield Link(ident, invoice)
    charges = list(_list(thing.get("charges")))
    charge = _ref(error.get("charge")) or _ref(thing.get("latest_charge")) or (_id(charges[0]) if charges else None)
    state = {"succeeded": "succeeded", "processing": "processing"}.get(status or "")
    if state is None and error:
        state = "failed"
    if state:
        method = _mapping(error.get("payment_method")) or _mapping(error.get("source"))
        name, tried_at = _try_of(thing, charge, [*charges, _mapping(thing.get("latest_charge"))], seen_at)
        yield Row("try", name, seen_at, _rank("try", state), {
            "at": tried_at, "state": state, "customer": _ref(thing.get("customer")), "invoice": invoice,
            "intent": ident, **_card(method), **(_error(error) if state == "failed" else {}),
        })  # fmt: skip
    for one in charges:
        yield from of_object(one, seen_at)
    yield from _nested(thing, seen_at, "latest_charge", "customer", "payment_method")


def _try_of(thing: Object, charge: str | None, charges: list[Object], seen_at: datetime) -> tuple[str, datetime]:
    """Name and instant of an intent's last try: its charge's, where one came along; else when an event told of it.

    An intent that was read, and not told of, does not say when it was tried. Reading it must not look like a new try.
    """
    told_at = thing.get("told_at")
    made_at = next((instant(one.get("created")) for one in charges if _id(one) == charge), None)
    at = made_at or (told_at if isinstance(told_at, datetime) else instant(thing.get("created")) or seen_at)
    return f"{_id(thing)}:{charge or (_seconds(at) if isinstance(told_at, datetime) else 'read')}", at


def _error(error: Object) -> dict[str, object]:
    return {
        "network_advice_code": _text(error.get("network_advice_code")), "advice_code": _text(error.get("advice_code")),
        "decline_code": _text(error.get("decline_code")), "error_code": _text(error.get("code")),
    }  # fmt: skip


def _charge(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    ident = _id(thing)
    if ident is None:
        return
    outcome, invoice = _mapping(thing.get("outcome")), _ref(thing.get("invoice"))
    intent = _ref(thing.get("payment_intent"))
    state = {"succeeded": "succeeded", "failed": "failed"}.get(_text(thing.get("status")) or "", "processing")
    if invoice and intent:
        yield Link(intent, invoice)
    details = _mapping(thing.get("payment_method_details"))
    signals: dict[str, object] = {}
    if state == "failed":
        blocked = outcome.get("type") == "blocked"
        signals = {
            "network_advice_code": _text(outcome.get("network_advice_code")),
            "advice_code": _text(outcome.get("advice_code")),
            "outcome_reason": _text(outcome.get("reason")) if blocked else None,
            # Before the outcome had its own codes, its reason was the bank's decline code.
            "decline_code": None if blocked else _text(outcome.get("reason")),
            "error_code": _text(thing.get("failure_code")),
        }
    yield Row("try", ident, seen_at, _rank("try", state), {
        "at": instant(thing.get("created")) or seen_at, "state": state, "customer": _ref(thing.get("customer")),
        "invoice": invoice, "intent": intent, **_card(details), **signals,
    })  # fmt: skip
    for refund in _list(thing.get("refunds")):
        yield from _refund(
            {**refund, "charge": ident, "customer": thing.get("customer"), "whole": thing.get("amount")}, seen_at
        )
    yield from _nested(thing, seen_at, "customer", "payment_intent")


def _card(method: Object) -> dict[str, object]:
    """What tells a card from others, and what may be shown of it. `method`: a payment method, its details, or a card."""
    card = _mapping(method.get("card")) or (method if method.get("object") == "card" else {})
    last4 = _text(card.get("last4"))
    named = _text(card.get("fingerprint")) or _id(method)
    return {"card": named, "last4": last4, "card_country": _text(card.get("country"))}


# ── customers and what they bought ──────────────────────────────────────────────────────────────────────────────────


def _customer(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    ident = _id(thing)
    if ident is None:
        return
    settings = _mapping(thing.get("invoice_settings"))
    locales = thing.get("preferred_locales")
    yield Row("customer", ident, seen_at, int(bool(thing.get("deleted"))), {
        "email": _text(thing.get("email")), "name": _text(thing.get("name")),
        "first_name": _text(_mapping(thing.get("metadata")).get("first_name")),
        "locale": _text(locales[0]) if isinstance(locales, list) and locales else None,
        "country": _text(_mapping(thing.get("address")).get("country")),
        "currency": (_text(thing.get("currency")) or "").upper() or None, "created_at": instant(thing.get("created")),
        "default_method": _ref(settings.get("default_payment_method")) or _ref(thing.get("default_source")),
        "deleted": bool(thing.get("deleted")),
    })  # fmt: skip
    yield from _nested(settings, seen_at, "default_payment_method")


def _subscription(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    ident = _id(thing)
    if ident is None:
        return
    items = list(_list(thing.get("items")))
    first = items[0] if items else {}
    price = _mapping(first.get("price")) or _mapping(first.get("plan")) or _mapping(thing.get("plan"))
    recurring = _mapping(price.get("recurring")) or price
    currency = _text(thing.get("currency")) or _text(price.get("currency")) or ""
    status = _text(thing.get("status"))
    details = _mapping(thing.get("cancellation_details"))
    canceled_at, cancel_at = instant(thing.get("canceled_at")), instant(thing.get("cancel_at"))
    yield Row("subscription", ident, seen_at, _rank("subscription", status), {
        "customer": _ref(thing.get("customer")), "status": status, "plan": _text(price.get("nickname")),
        "product": _ref(price.get("product")), "interval": _text(recurring.get("interval")),
        "amount_minor": _charged(items, currency), "currency": currency.upper() or None,
        "started_at": instant(thing.get("start_date")) or instant(thing.get("created")),
        "trial_end": instant(thing.get("trial_end")),
        "current_period_end": instant(thing.get("current_period_end")) or instant(first.get("current_period_end")),
        "cancel_at_period_end": bool(thing.get("cancel_at_period_end")) or cancel_at is not None,
        "cancel_requested_at": canceled_at, "ended_at": instant(thing.get("ended_at")),
        "cancel_reason": _text(details.get("reason")),
        "collection_paused": bool(_mapping(thing.get("pause_collection"))),
        "default_method": _ref(thing.get("default_payment_method")) or _ref(thing.get("default_source")),
    })  # fmt: skip
    yield from _nested(thing, seen_at, "default_payment_method", "customer")
    yield from _nested(price, seen_at, "product")


def _charged(items: list[Object], currency: str) -> int | None:
    """What a period costs: the sum of the items that have a fixed price."""
    amounts = []
    for item in items:
        price = _mapping(item.get("price")) or _mapping(item.get("plan"))
        unit = _whole(price.get("unit_amount"))
        unit = _whole(price.get("amount")) if unit is None else unit
        quantity = _whole(item.get("quantity"))
        if unit is not None:
            amounts.append(unit * (1 if quantity is None else quantity))
    return iso_minor(sum(amounts), currency) if amounts else None


def _product(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    ident = _id(thing)
    if ident is not None:
        yield Row("product", ident, seen_at, 0, {"name": _text(thing.get("name"))})


def _method(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    ident = _id(thing)
    if ident is None:
        return
    card = _mapping(thing.get("card")) or (thing if thing.get("object") == "card" else {})
    yield Row("method", ident, seen_at, int(thing.get("customer") is None), {
        "customer": _ref(thing.get("customer")), "brand": _text(card.get("brand")), "last4": _text(card.get("last4")),
        "exp_month": _whole(card.get("exp_month")), "exp_year": _whole(card.get("exp_year")),
        "card": _text(card.get("fingerprint")) or ident,
    })  # fmt: skip
    attached = thing.get("attached") or instant(thing.get("created"))
    for name, at in (("attached", attached), ("auto_updated", thing.get("auto_updated"))):
        if isinstance(at, datetime):
            yield Row("moment", f"{ident} {name}", at, 0, {"method": ident, "what": name})


# ── money that went back ────────────────────────────────────────────────────────────────────────────────────────────

_DISPUTE_STATES = {"won": "won", "lost": "lost", "warning_closed": "won", "prevented": "won"}


def _dispute(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    ident = _id(thing)
    if ident is None:
        return
    status = _DISPUTE_STATES.get(_text(thing.get("status")) or "", "open")
    charge = thing.get("charge")
    yield Row("dispute", ident, seen_at, _rank("dispute", status), {
        "charge": _ref(charge), "intent": _ref(thing.get("payment_intent")),
        "customer": _ref(_mapping(charge).get("customer")), "amount_minor": _money(thing.get("amount"), _text(thing.get("currency")) or ""),
        "kind": "dispute", "status": status, "at": instant(thing.get("created")) or seen_at,
        "closed_at": seen_at if status != "open" else None,
    })  # fmt: skip
    yield from _of_charge(charge, seen_at)


def _fraud_warning(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    """An early fraud warning counts as a dispute while something can still be done about it; a real one holds itself."""
    ident = _id(thing)
    if ident is None:
        return
    status = "open" if thing.get("actionable", True) else "won"
    charge = thing.get("charge")
    yield Row("dispute", ident, seen_at, _rank("dispute", status), {
        "charge": _ref(charge), "intent": _ref(thing.get("payment_intent")),
        "customer": _ref(_mapping(charge).get("customer")), "amount_minor": None, "kind": "early_fraud_warning",
        "status": status, "at": instant(thing.get("created")) or seen_at,
        "closed_at": seen_at if status != "open" else None,
    })  # fmt: skip
    yield from _of_charge(charge, seen_at)


def _refund(thing: Object, seen_at: datetime) -> Iterator[Finding]:
    ident = _id(thing)
    if ident is None:
        return
    charge = thing.get("charge")
    whole, amount = thing.get("whole") or _mapping(charge).get("amount"), thing.get("amount")
    yield Row("refund", ident, seen_at, 0, {
        "charge": _ref(charge), "intent": _ref(thing.get("payment_intent")),
        "customer": _ref(thing.get("customer")) or _ref(_mapping(charge).get("customer")),
        "amount_minor": _money(amount, _text(thing.get("currency")) or ""),
        "kind": "full" if whole is not None and whole == amount else "partial",
        "status": _text(thing.get("status")), "at": instant(thing.get("created")) or seen_at,
    })  # fmt: skip
    yield from _of_charge(charge, seen_at)


def _of_charge(charge: object, seen_at: datetime) -> Iterator[Finding]:
    """The charge itself where it came along; else it is asked for, because only it knows the customer."""
    if isinstance(charge, Mapping):
        yield from of_object(charge, seen_at)
    elif isinstance(charge, str):
        yield Question("charge", charge)


_READERS: Mapping[str, Callable[[Object, datetime], Iterator[Finding]]] = {
    "invoice": _invoice, "invoice_payment": _invoice_payment, "payment_intent": _payment_intent, "charge": _charge,
    "customer": _customer, "subscription": _subscription, "product": _product, "payment_method": _method,
    "card": _method, "dispute": _dispute, "radar.early_fraud_warning": _fraud_warning, "refund": _refund,
}  # fmt: skip


# ── pieces ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _nested(thing: Object, seen_at: datetime, *names: str) -> Iterator[Finding]:
    """Objects that were sent along whole in place of their ids."""
    for name in names:
        if isinstance(thing.get(name), Mapping):
            yield from of_object(thing[name], seen_at)


def _mapping(value: object) -> Object:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Iterator[Object]:
    """The objects of one of Stripe's lists."""
    items = value if isinstance(value, list) else _mapping(value).get("data")
    yield from (item for item in items if isinstance(item, Mapping)) if isinstance(items, list) else ()


def _id(thing: Object) -> str | None:
    return _text(thing.get("id"))


def _ref(value: object) -> str | None:
    """An id, given as it is or as the whole object."""
    return _id(value) if isinstance(value, Mapping) else _text(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _money(value: object, currency: str) -> int | None:
    amount = _whole(value)
    return None if amount is None else iso_minor(amount, currency)


def _rank(kind: str, word: str | None) -> int:
    return _RANKS[kind].index(word) if word in _RANKS[kind] else 0


def _seconds(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp())
