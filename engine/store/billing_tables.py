"""The tables of the state that know about billing: what a person has put on hold, and what Stripe has told.

A row from Stripe stands for what was last said about one object, in the order of (`seen_at`, `rank`, `digest`): the
instant it was said, how far the object had got, and its content. The greatest wins, so that the same events in any
order, any number of times, leave the same rows. Tries and links between objects are only ever added to.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from engine.store.tables import UtcDateTime, metadata

# Invoices nobody is to be written to about, until a person releases them.
case_hold = Table(
    "case_hold",
    metadata,
    Column("invoice_id", Text, primary_key=True),
    Column("note", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)


def _version() -> tuple[Column[object], ...]:
    return (
        Column("seen_at", UtcDateTime, nullable=False),
        Column("rank", Integer, nullable=False),
        Column("digest", Text, nullable=False),
    )


stripe_customer = Table(
    "stripe_customer",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text),
    Column("name", Text),
    Column("first_name", Text),  # the company's own word in `metadata.first_name`; Stripe has none
    Column("locale", Text),
    Column("country", Text),
    Column("currency", Text),
    Column("created_at", UtcDateTime),
    Column("default_method", Text),
    Column("deleted", Boolean, nullable=False),
    *_version(),
)

stripe_subscription = Table(
    "stripe_subscription",
    metadata,
    Column("id", Text, primary_key=True),
    Column("customer", Text),
    Column("status", Text),
    Column("plan", Text),
    Column("product", Text),
    Column("interval", Text),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("started_at", UtcDateTime),
    Column("trial_end", UtcDateTime),
    Column("current_period_end", UtcDateTime),
    Column("cancel_at_period_end", Boolean),
    Column("cancel_requested_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("cancel_reason", Text),
    Column("collection_paused", Boolean),
    Column("default_method", Text),
    *_version(),
    Index("ix_stripe_subscription_customer", "customer"),
)

stripe_product = Table(
    "stripe_product",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text),
    *_version(),
)

stripe_invoice = Table(
    "stripe_invoice",
    metadata,
    Column("id", Text, primary_key=True),
    Column("customer", Text),
    Column("subscription", Text),
    Column("status", Text),
    Column("number", Text),
    Column("amount_minor", BigInteger),
    Column("paid_minor", BigInteger),
    Column("currency", Text),
    Column("paid_at", UtcDateTime),
    Column("next_attempt_at", UtcDateTime),
    Column("attempt_count", Integer),
    Column("hosted_invoice_url", Text),
    Column("billing_reason", Text),
    Column("collection_method", Text),
    Column("replaces", Text),
    *_version(),
    # What must not go back with an older snapshot: since when we know it, and when it was last read through the API.
    Column("known_since", UtcDateTime, nullable=False),
    Column("checked_at", UtcDateTime),
    Index("ix_stripe_invoice_customer", "customer"),
    Index("ix_stripe_invoice_replaces", "replaces"),
)

# One row a try: a charge, a payment intent's last error, or an invoice's own word that a try failed.
stripe_try = Table(
    "stripe_try",
    metadata,
    Column("id", Text, primary_key=True),  # ch_…, pi_…:seconds, or in_…:seconds
    Column("at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),  # failed, succeeded, processing
    Column("customer", Text),
    Column("invoice", Text),  # where the object itself names it
    Column("intent", Text),
    Column("network_advice_code", Text),
    Column("advice_code", Text),
    Column("outcome_reason", Text),
    Column("decline_code", Text),
    Column("error_code", Text),
    Column("card", Text),
    Column("last4", Text),
    Column("card_country", Text),
    *_version(),
    Index("ix_stripe_try_invoice", "invoice"),
    Index("ix_stripe_try_intent", "intent"),
    Index("ix_stripe_try_customer", "customer"),
)

# Which invoice a payment intent is for. Since API version 2025-03-31 the two no longer name each other.
stripe_link = Table(
    "stripe_link",
    metadata,
    Column("intent", Text, primary_key=True),
    Column("invoice", Text, nullable=False),
    Index("ix_stripe_link_invoice", "invoice"),
)

stripe_method = Table(
    "stripe_method",
    metadata,
    Column("id", Text, primary_key=True),
    Column("customer", Text),
    Column("brand", Text),
    Column("last4", Text),
    Column("exp_month", Integer),
    Column("exp_year", Integer),
    Column("card", Text),
    *_version(),
    Index("ix_stripe_method_customer", "customer"),
)

# When a payment method was last attached, or renewed by its card network: `seen_at` is that instant.
stripe_moment = Table(
    "stripe_moment",
    metadata,
    Column("id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("what", Text, nullable=False),  # attached, auto_updated
    *_version(),
)

stripe_dispute = Table(
    "stripe_dispute",
    metadata,
    Column("id", Text, primary_key=True),
    Column("charge", Text),
    Column("intent", Text),
    Column("customer", Text),
    Column("amount_minor", BigInteger),
    Column("kind", Text, nullable=False),  # dispute, early_fraud_warning
    Column("status", Text),  # open, won, lost
    Column("at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    *_version(),
)

stripe_refund = Table(
    "stripe_refund",
    metadata,
    Column("id", Text, primary_key=True),
    Column("charge", Text),
    Column("intent", Text),
    Column("customer", Text),
    Column("amount_minor", BigInteger),
    Column("kind", Text, nullable=False),  # full, partial
    Column("status", Text),
    Column("at", UtcDateTime, nullable=False),
    *_version(),
)

# What has to be asked for because no event said it. A row goes when it was answered.
stripe_question = Table(
    "stripe_question",
    metadata,
    Column("kind", Text, primary_key=True),  # invoice, charge
    Column("id", Text, primary_key=True),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("problem", Text),
)
