"""The tables Holdfast reads: their columns, what kind each is, and which may not be missing in a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from engine.project.trigger_spec import ColumnType


class Kind(StrEnum):
    """How a column's values are read and what makes one broken."""

    ID = "id"
    """Text as it stands; an integer column is taken as its decimal digits."""
    TEXT = "text"
    """Text; empty text is null."""
    NAME = "name"
    """An event or feature name, compared trimmed and case-folded."""
    ADDRESS = "address"
    """One e-mail address, brought to its canonical form; anything else is quarantined."""
    ZONE = "zone"
    """An IANA zone name."""
    INSTANT = "instant"
    """A moment: offsets are converted, naive values lie in the table's zone, dates are its midnight."""
    DAY = "day"
    """Like INSTANT, but a date without a time is that local date in the customer's own zone."""
    INTEGER = "integer"
    """A whole number."""
    NUMBER = "number"
    """Any number; only columns outside the contract are of this kind."""
    MINOR = "minor"
    """Money: a whole number of the currency's minor unit, or mapped from a decimal column without `_minor`."""
    CURRENCY = "currency"
    """An ISO 4217 code, upper-cased."""
    BOOLEAN = "boolean"
    """true/false, t/f, yes/no, 1/0 in any case."""

    @property
    def type(self) -> ColumnType:
        """The type such a column has in `where`."""
        return _TYPES[self]

    @property
    def duck_type(self) -> str:
        """The DuckDB type its values have once they are read."""
        if self.type == "number":
            return "DOUBLE" if self is Kind.NUMBER else "BIGINT"
        return {"text": "VARCHAR", "bool": "BOOLEAN"}.get(self.type, "TIMESTAMP")


_TYPES: dict[Kind, ColumnType] = {
    Kind.ID: "text",
    Kind.TEXT: "text",
    Kind.NAME: "text",
    Kind.ADDRESS: "text",
    Kind.ZONE: "text",
    Kind.INSTANT: "instant",
    Kind.DAY: "instant",
    Kind.INTEGER: "number",
    Kind.NUMBER: "number",
    Kind.MINOR: "number",
    Kind.CURRENCY: "text",
    Kind.BOOLEAN: "bool",
}


@dataclass(frozen=True)
class Table:
    """One table of the contract."""

    name: str
    columns: dict[str, Kind]
    required: tuple[str, ...]
    """Columns the table must have; a row where one is null or broken is quarantined whole."""
    key: str
    """The column that names a row in `data issues`."""
    unique: bool = False
    """Whether `key` may occur once only; of rows under one key the latest `updated_at` is valid, if there is one."""
    freshest: str | None = None
    """The column whose newest past value says how fresh the table is."""
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Whole-number columns with a lowest and highest allowed value."""


_ID, _TEXT, _NAME, _AT, _DAY = Kind.ID, Kind.TEXT, Kind.NAME, Kind.INSTANT, Kind.DAY
_NUMBER, _MINOR, _CURRENCY, _FLAG = Kind.INTEGER, Kind.MINOR, Kind.CURRENCY, Kind.BOOLEAN

_NOT_NEGATIVE = (0, 2**53)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "customers",
            {
                "customer_id": _ID,
                "account_id": _ID,
                "role": _TEXT,
                "email": Kind.ADDRESS,
                "name": _TEXT,
                "locale": _TEXT,
                "timezone": Kind.ZONE,
                "country": _TEXT,
                "plan": _TEXT,
                "signed_up_at": _AT,
                "mrr_minor": _MINOR,
                "currency": _CURRENCY,
                "clv_minor": _MINOR,
                "consent": _FLAG,
                "consent_at": _AT,
                "consent_source": _TEXT,
                "stripe_customer_id": _ID,
                "updated_at": _AT,
            },
            required=("customer_id",),
            key="customer_id",
            unique=True,
            freshest="signed_up_at",
        ),
        Table(
            "accounts",
            {
                "account_id": _ID,
                "name": _TEXT,
                "timezone": Kind.ZONE,
                "country": _TEXT,
                "plan": _TEXT,
                "signed_up_at": _AT,
                "mrr_minor": _MINOR,
                "currency": _CURRENCY,
                "clv_minor": _MINOR,
                "stripe_customer_id": _ID,
                "updated_at": _AT,
            },
            required=("account_id",),
            key="account_id",
            unique=True,
            freshest="signed_up_at",
        ),
        Table(
            "events",
            {
                "customer_id": _ID,
                "account_id": _ID,
                "name": _NAME,
                "at": _AT,
                "event_id": _ID,
                "value_minor": _MINOR,
                "currency": _CURRENCY,
            },
            required=("customer_id", "name", "at"),
            key="event_id",
            freshest="at",
        ),
        Table(
            "subscriptions",
            {
                "subscription_id": _ID,
                "customer_id": _ID,
                "account_id": _ID,
                "status": _TEXT,
                "plan": _TEXT,
                "interval": _TEXT,
                "amount_minor": _MINOR,
                "next_amount_minor": _MINOR,
                "currency": _CURRENCY,
                "started_at": _AT,
                "trial_end": _DAY,
                "current_period_end": _DAY,
                "cancel_at_period_end": _FLAG,
                "cancel_requested_at": _AT,
                "ended_at": _DAY,
                "cancel_reason": _TEXT,
                "anchor_date": _DAY,
                "collection_paused": _FLAG,
                "updated_at": _AT,
            },
            required=("subscription_id", "customer_id"),
            key="subscription_id",
            unique=True,
            freshest="started_at",
            ranges={"amount_minor": _NOT_NEGATIVE, "next_amount_minor": _NOT_NEGATIVE},
        ),
        Table(
            "subscription_changes",
            {
                "subscription_id": _ID,
                "at": _AT,
                "from_plan": _TEXT,
                "to_plan": _TEXT,
                "from_amount_minor": _MINOR,
                "to_amount_minor": _MINOR,
            },
            required=("subscription_id", "at"),
            key="subscription_id",
            freshest="at",
        ),
        Table(
            "invoices",
            {
                "invoice_id": _ID,
                "customer_id": _ID,
                "account_id": _ID,
                "subscription_id": _ID,
                "status": _TEXT,
                "amount_minor": _MINOR,
                "currency": _CURRENCY,
                "failed_at": _AT,
                "last_failed_at": _AT,
                "paid_at": _AT,
                "next_attempt_at": _AT,
                "attempt_count": _NUMBER,
                "decline_code": _TEXT,
                "hosted_invoice_url": _TEXT,
                "billing_reason": _TEXT,
                "collection_method": _TEXT,
                "livemode": _FLAG,
                "number": _TEXT,
                "replaces": _ID,
                "product": _TEXT,
                "paid_minor": _MINOR,
                "paid_card": _TEXT,
                "processing_since": _AT,
                "stops_on": _DAY,
                "known_since": _AT,
                "updated_at": _AT,
            },
            required=("invoice_id", "customer_id"),
            key="invoice_id",
            unique=True,
            freshest="failed_at",
            ranges={"amount_minor": _NOT_NEGATIVE, "paid_minor": _NOT_NEGATIVE},
        ),
        Table(
            "payment_failures",
            {
                "invoice_id": _ID,
                "at": _AT,
                "network_advice_code": _TEXT,
                "advice_code": _TEXT,
                "outcome_reason": _TEXT,
                "decline_code": _TEXT,
                "error_code": _TEXT,
                "card": _TEXT,
                "last4": _TEXT,
                "card_country": _TEXT,
            },
            required=("invoice_id", "at"),
            key="invoice_id",
            freshest="at",
        ),
        Table(
            "payment_methods",
            {
                "payment_method_id": _ID,
                "customer_id": _ID,
                "account_id": _ID,
                "brand": _TEXT,
                "last4": _TEXT,
                "exp_month": _NUMBER,
                "exp_year": _NUMBER,
                "is_default": _FLAG,
                "added_at": _AT,
                "auto_updated_at": _AT,
                "updated_at": _AT,
            },
            required=("payment_method_id", "customer_id"),
            key="payment_method_id",
            unique=True,
            freshest="added_at",
            ranges={"exp_month": (1, 12), "exp_year": (0, 2099)},
        ),
        Table(
            "refunds",
            {
                "customer_id": _ID,
                "account_id": _ID,
                "invoice_id": _ID,
                "amount_minor": _MINOR,
                "at": _AT,
                "kind": _TEXT,
                "status": _TEXT,
            },
            required=("customer_id", "at"),
            key="invoice_id",
            freshest="at",
        ),
        Table(
            "disputes",
            {
                "customer_id": _ID,
                "account_id": _ID,
                "invoice_id": _ID,
                "amount_minor": _MINOR,
                "at": _AT,
                "closed_at": _AT,
                "kind": _TEXT,
                "status": _TEXT,
            },
            required=("customer_id", "at"),
            key="invoice_id",
            freshest="at",
        ),
        Table(
            "responses",
            {
                "response_id": _ID,
                "customer_id": _ID,
                "account_id": _ID,
                "survey": _TEXT,
                "score": _NUMBER,
                "reason": _TEXT,
                "comment": _TEXT,
                "at": _AT,
                "updated_at": _AT,
            },
            required=("response_id", "customer_id", "score", "at"),
            key="response_id",
            unique=True,
            freshest="at",
            ranges={"score": (0, 10)},
        ),
        Table(
            "tickets",
            {
                "ticket_id": _ID,
                "customer_id": _ID,
                "account_id": _ID,
                "opened_at": _AT,
                "closed_at": _AT,
                "priority": _TEXT,
                "text": _TEXT,
                "updated_at": _AT,
            },
            required=("ticket_id", "customer_id", "opened_at"),
            key="ticket_id",
            unique=True,
            freshest="opened_at",
        ),
    )
}

OWNERS = ("customer_id", "account_id")
"""Whose a row is: a customer's, or an account's as a whole. A row of a table with both needs one of them."""

MONEY_ALIASES = {
    column.removesuffix("_minor"): column
    for table in TABLES.values()
    for column, kind in table.columns.items()
    if kind is Kind.MINOR
}
"""`amount: price_eur` maps a decimal column; it is converted exactly by the row's currency into `amount_minor`."""
