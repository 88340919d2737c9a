"""The rows of the sample tables. Field names are the CSV headers, in order; None is written as an empty cell."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple


class Customer(NamedTuple):
    """One account holder. `first_name` is a column of the company's own: any further column can be used in rules."""

    customer_id: str
    email: str | None
    name: str | None
    first_name: str | None
    locale: str
    timezone: str
    country: str
    plan: str
    signed_up_at: datetime | str
    mrr_minor: int
    currency: str
    clv_minor: int
    consent: bool | None
    consent_at: datetime | None
    consent_source: str | None


class Subscription(NamedTuple):
    """One subscription, from its trial to its end. Period and trial ends are local dates."""

    subscription_id: str
    customer_id: str
    status: str
    plan: str
    interval: str
    amount_minor: int
    next_amount_minor: int
    currency: str
    started_at: datetime
    trial_end: date | None
    current_period_end: date | None
    cancel_at_period_end: bool
    cancel_requested_at: datetime | None
    ended_at: datetime | None
    cancel_reason: str | None
    anchor_date: date


class SubscriptionChange(NamedTuple):
    """A move to another plan, and what a period costs before and after it."""

    subscription_id: str
    at: datetime
    from_plan: str
    to_plan: str
    from_amount_minor: int
    to_amount_minor: int


class Invoice(NamedTuple):
    """One bill. `failed_at` and `last_failed_at` are the first and the latest failed charge.

    `number` is what the customer knows it by. The export calls the day on which the plan stops if the bill stays open
    `access_until`; `config.yaml` maps it to `stops_on`.
    """

    invoice_id: str
    number: str
    customer_id: str
    subscription_id: str
    product: str
    status: str
    amount_minor: int
    currency: str
    failed_at: datetime | None
    last_failed_at: datetime | None
    paid_at: datetime | None
    next_attempt_at: datetime | None
    attempt_count: int
    decline_code: str | None
    hosted_invoice_url: str
    billing_reason: str
    collection_method: str
    access_until: date | None


class PaymentFailure(NamedTuple):
    """One failed charge of an invoice."""

    invoice_id: str
    at: datetime
    decline_code: str
    advice_code: str | None


class PaymentMethod(NamedTuple):
    """One card."""

    payment_method_id: str
    customer_id: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    is_default: bool
    added_at: datetime


class Refund(NamedTuple):
    """Money given back, or asked for."""

    customer_id: str
    invoice_id: str
    amount_minor: int
    at: datetime
    kind: str
    status: str


class Dispute(NamedTuple):
    """A charge contested at the bank."""

    customer_id: str
    invoice_id: str
    amount_minor: int
    at: datetime
    kind: str
    status: str


class Response(NamedTuple):
    """An answer to the question how likely the customer is to recommend the company, from 0 to 10."""

    response_id: str
    customer_id: str
    survey: str
    score: int
    reason: str | None
    comment: str | None
    at: datetime


class Ticket(NamedTuple):
    """A question to the support desk."""

    ticket_id: str
    customer_id: str
    opened_at: datetime
    closed_at: datetime | None
    priority: str
    text: str


class Event(NamedTuple):
    """Something a customer did. The export calls the instant `occurred_at`; `config.yaml` maps it to `at`."""

    customer_id: str
    name: str
    occurred_at: datetime
    event_id: str
    value_minor: int | None
    currency: str | None
