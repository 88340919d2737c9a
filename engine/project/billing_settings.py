"""The parts of config.yaml about failed payments: where Stripe is heard, and how cases are handled."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from engine.project.durations import Duration
from engine.project.secret import Secret
from engine.project.settings_values import PublicUrl, read_off
from engine.project.types import Line, StrictModel, Window, read_list

STRIPE_TABLES = (
    "customers", "subscriptions", "invoices", "payment_failures", "payment_methods", "refunds", "disputes",
)  # fmt: skip
"""Tables that may say `source: stripe`."""

SAME_TRY_S = 300
"""Failures of one invoice this close together are one try, told by several of Stripe's objects."""


class Stripe(StrictModel):
    """How Stripe is heard and asked. Only what belongs to this account and mode is taken.

    `webhook_secret`: the endpoint's signing secret; while it is being rolled, the old and the new one. `api_key`: a
    restricted key that may read customers, invoices, subscriptions, charges, disputes and events. `account`: our own
    account's id, or of connected accounts those whose customers are ours; empty takes events that name no account.
    """

    api_key: Secret | None = None
    webhook_secret: Annotated[tuple[Secret, ...], BeforeValidator(read_list)] = ()
    account: Annotated[tuple[Line, ...], BeforeValidator(read_list)] = ()
    livemode: bool = True
    api_url: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+$")] = "https://api.stripe.com"


class Dunning(StrictModel):
    """Failed payments. Holdfast writes and watches; retries and cancellations stay in the billing system's settings.

    `recheck`: how old our knowledge of an invoice may be when a mail about it leaves; older, it is read again.
    `adopt`: failures older than this when Holdfast first hears of them are left to a person. `retry_window`: for how
    long the billing system tries before it acts. `max_mails`: about one invoice, whatever its groups. `pay_page`:
    where several invoices, or one without a link of its own, can be paid without logging in. `stripe_emails`: whether
    Stripe itself writes about failed payments, too.
    """

    recheck: Annotated[Window | None, BeforeValidator(read_off)] = Duration(15, "minutes")
    adopt: Window = Duration(7, "days")
    retry_window: Window = Duration(14, "days")
    max_mails: int = Field(default=5, ge=1, le=20)
    pay_page: PublicUrl | None = None
    stripe_emails: Literal["unknown", "on", "off"] = "unknown"
