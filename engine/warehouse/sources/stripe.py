"""What Stripe has told, kept in the state: `source: stripe`. Read like any other database, and shaped here.

Stripe's objects lie in the state one row each. Tries told by several objects become one failure, an invoice issued
anew goes on where the one it replaces had got to, and customers are known by Stripe's ids.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import duckdb

from engine.errors import HoldfastError, SetupError, UnavailableError
from engine.project.billing_settings import SAME_TRY_S
from engine.project.settings import TableSettings
from engine.warehouse.sources.base import Only, RawColumn, Source
from engine.warehouse.sql import csv_list, literal
from engine.warehouse.tables import TABLES, Kind

_OF_CUSTOMER = "customer IN ({ids})"
_OF_INVOICES = f"invoice IN (SELECT id FROM stripe_invoice WHERE {_OF_CUSTOMER})"
_OF_TRIES = f"{_OF_CUSTOMER} OR {_OF_INVOICES} OR intent IN (SELECT intent FROM stripe_link WHERE {_OF_INVOICES})"
_RAW: Mapping[str, str] = {
    "stripe_customer": "id IN ({ids})", "stripe_subscription": _OF_CUSTOMER, "stripe_product": "",
    "stripe_invoice": _OF_CUSTOMER, "stripe_try": _OF_TRIES, "stripe_link": _OF_INVOICES,
    "stripe_method": _OF_CUSTOMER, "stripe_moment": f"method IN (SELECT id FROM stripe_method WHERE {_OF_CUSTOMER})", "stripe_dispute": "", "stripe_refund": "",
}  # fmt: skip
"""Tables of the state, and which of their rows are about some customers only; '' where there are few enough."""

_SIGNALS = ("network_advice_code", "advice_code", "outcome_reason", "decline_code", "error_code")

_VIEWS: Mapping[str, str] = {
    # Every try with the invoice it was for; one without an invoice is about something else.
    "stripe_tried": """
        SELECT coalesce(t.invoice, l.invoice) AS invoice_id, t.* EXCLUDE ("at"), CAST(t."at" AS TIMESTAMP) AS tried_at
        FROM stripe_try AS t LEFT JOIN stripe_link AS l ON l.intent = t.intent
        WHERE coalesce(t.invoice, l.invoice) IS NOT NULL""",
    "stripe_failed": f"""
        WITH own AS (SELECT * FROM stripe_tried WHERE state = 'failed'), passed_on AS (
            SELECT * FROM own UNION ALL SELECT o.* REPLACE (i.id AS invoice_id) FROM own AS o
            JOIN stripe_invoice AS i ON i.replaces = o.invoice_id
        ), apart AS (
            SELECT *, coalesce(tried_at - lag(tried_at) OVER w > to_seconds({SAME_TRY_S}), TRUE) AS is_new
            FROM passed_on WINDOW w AS (PARTITION BY invoice_id ORDER BY tried_at, id)
        ), numbered AS (
            SELECT *, sum(CAST(is_new AS INTEGER)) OVER (PARTITION BY invoice_id ORDER BY tried_at, id) AS try_no FROM apart
        )
        SELECT invoice_id, min(tried_at) AS tried_at,
            {", ".join(f"arg_max({name}, (tried_at, id)) AS {name}" for name in (*_SIGNALS, "card", "last4", "card_country"))}
        FROM numbered GROUP BY invoice_id, try_no""",
    "stripe_case": """
        SELECT f.invoice_id, min(f.tried_at) AS failed_at, max(f.tried_at) AS last_failed_at,
            arg_max(coalesce(outcome_reason, decline_code, error_code), f.tried_at) AS decline_code
        FROM stripe_failed AS f GROUP BY 1""",
    "stripe_payment": """
        SELECT invoice_id, max(tried_at) FILTER (state = 'processing') AS processing_since,
            arg_max(card, tried_at) FILTER (state = 'succeeded') AS paid_card
        FROM stripe_tried GROUP BY 1""",
    "stripe_here": "SELECT * FROM stripe_customer WHERE NOT CAST(deleted AS BOOLEAN)",
    # Stripe charges the subscription's own default where it has one, and the customer's only then.
    "stripe_default": """
        SELECT DISTINCT coalesce(s.default_method, c.default_method) AS id FROM stripe_customer AS c
        LEFT JOIN stripe_subscription AS s ON s.customer = c.id AND s.ended_at IS NULL""",
    # Which customer and invoice a charge belongs to: its own word, or its payment intent's.
    "stripe_charge": """
        SELECT t.id, t.intent, coalesce(t.customer, i.customer) AS customer, d.invoice_id FROM stripe_try AS t
        LEFT JOIN stripe_tried AS d ON d.id = t.id LEFT JOIN stripe_invoice AS i ON i.id = d.invoice_id""",
}  # fmt: skip
"""Steps on the way from Stripe's objects to our tables, each over those before it."""

_OF_CHARGE = """
    FROM stripe_{kind} AS x LEFT JOIN stripe_charge AS c ON c.id = x.charge
    LEFT JOIN (SELECT intent, any_value(customer) AS customer, any_value(invoice_id) AS invoice_id
        FROM stripe_charge WHERE intent IS NOT NULL GROUP BY 1) AS p ON p.intent = x.intent"""

_TABLES: Mapping[str, str] = {
    "customers": """
        SELECT id AS customer_id, email, name, first_name, locale, country, CAST(created_at AS TIMESTAMP) AS signed_up_at, currency,
            id AS stripe_customer_id, CAST(seen_at AS TIMESTAMP) AS updated_at FROM stripe_here""",
    "subscriptions": """
        SELECT s.id AS subscription_id, s.customer AS customer_id, s.status, coalesce(s.plan, p.name) AS plan,
            s."interval", CAST(s.amount_minor AS BIGINT) AS amount_minor, s.currency,
            CAST(s.started_at AS TIMESTAMP) AS started_at, CAST(s.trial_end AS TIMESTAMP) AS trial_end,
            CAST(s.current_period_end AS TIMESTAMP) AS current_period_end,
            CAST(s.cancel_at_period_end AS BOOLEAN) AS cancel_at_period_end,
            CAST(s.cancel_requested_at AS TIMESTAMP) AS cancel_requested_at, CAST(s.ended_at AS TIMESTAMP) AS ended_at,
            s.cancel_reason, CAST(s.collection_paused AS BOOLEAN) AS collection_paused,
            CAST(s.seen_at AS TIMESTAMP) AS updated_at
        FROM stripe_subscription AS s JOIN stripe_here AS c ON c.id = s.customer
        LEFT JOIN stripe_product AS p ON p.id = s.product""",
    "invoices": """
        SELECT i.id AS invoice_id, i.customer AS customer_id, i.subscription AS subscription_id,
            CASE i.status WHEN 'deleted' THEN 'void' ELSE i.status END AS status,
            CAST(i.amount_minor AS BIGINT) AS amount_minor, i.currency, f.failed_at, f.last_failed_at,
            CAST(i.paid_at AS TIMESTAMP) AS paid_at, CAST(i.next_attempt_at AS TIMESTAMP) AS next_attempt_at,
            CAST(i.attempt_count AS BIGINT) AS attempt_count, f.decline_code, i.hosted_invoice_url, i.billing_reason,
            i.collection_method, i.number, i.replaces, coalesce(p.name, s.plan) AS product,
            CAST(i.paid_minor AS BIGINT) AS paid_minor, t.paid_card, t.processing_since,
            CAST(i.known_since AS TIMESTAMP) AS known_since, CAST(i.seen_at AS TIMESTAMP) AS updated_at
        FROM stripe_invoice AS i JOIN stripe_here AS c ON c.id = i.customer
        LEFT JOIN stripe_case AS f ON f.invoice_id = i.id LEFT JOIN stripe_payment AS t ON t.invoice_id = i.id
        LEFT JOIN stripe_subscription AS s ON s.id = i.subscription LEFT JOIN stripe_product AS p ON p.id = s.product
        WHERE i.status IS DISTINCT FROM 'draft'""",
    "payment_failures": 'SELECT *, tried_at AS "at" FROM stripe_failed',
    "payment_methods": """
        WITH moments AS (
            SELECT method, max(CAST(seen_at AS TIMESTAMP)) FILTER (what = 'attached') AS added_at,
                max(CAST(seen_at AS TIMESTAMP)) FILTER (what = 'auto_updated') AS auto_updated_at
            FROM stripe_moment GROUP BY 1
        )
        SELECT m.id AS payment_method_id, m.customer AS customer_id, m.brand, m.last4,
            CAST(m.exp_month AS BIGINT) AS exp_month, CAST(m.exp_year AS BIGINT) AS exp_year,
            m.id IN (SELECT id FROM stripe_default) AS is_default, a.added_at, a.auto_updated_at,
            CAST(m.seen_at AS TIMESTAMP) AS updated_at
        FROM stripe_method AS m LEFT JOIN moments AS a ON a.method = m.id WHERE m.customer IS NOT NULL""",
    "disputes": f"""
        SELECT coalesce(x.customer, c.customer, p.customer) AS customer_id,
            coalesce(c.invoice_id, p.invoice_id) AS invoice_id, CAST(x.amount_minor AS BIGINT) AS amount_minor,
            CAST(x."at" AS TIMESTAMP) AS "at", CAST(x.closed_at AS TIMESTAMP) AS closed_at, x.kind, x.status
        {_OF_CHARGE.format(kind="dispute")}""",
    "refunds": f"""
        SELECT coalesce(x.customer, c.customer, p.customer) AS customer_id,
            coalesce(c.invoice_id, p.invoice_id) AS invoice_id, CAST(x.amount_minor AS BIGINT) AS amount_minor,
            CAST(x."at" AS TIMESTAMP) AS "at", x.kind, x.status
        {_OF_CHARGE.format(kind="refund")}""",
}  # fmt: skip
"""Our tables over those steps."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "customers": ("customer_id", "email", "name", "first_name", "locale", "country", "signed_up_at", "currency", "stripe_customer_id",
                  "updated_at"),
    "subscriptions": ("subscription_id", "customer_id", "status", "plan", "interval", "amount_minor", "currency",
                      "started_at", "trial_end", "current_period_end", "cancel_at_period_end", "cancel_requested_at",
                      "ended_at", "cancel_reason", "collection_paused", "updated_at"),
    "invoices": ("invoice_id", "customer_id", "subscription_id", "status", "amount_minor", "currency", "failed_at",
                 "last_failed_at", "paid_at", "next_attempt_at", "attempt_count", "decline_code", "hosted_invoice_url",
                 "billing_reason", "collection_method", "number", "replaces", "product", "paid_minor", "paid_card",
                 "processing_since", "known_since", "updated_at"),
    "payment_failures": ("invoice_id", "at", *_SIGNALS, "card", "last4", "card_country"),
    "payment_methods": ("payment_method_id", "customer_id", "brand", "last4", "exp_month", "exp_year", "is_default",
                        "added_at", "auto_updated_at", "updated_at"),
    "disputes": ("customer_id", "invoice_id", "amount_minor", "at", "closed_at", "kind", "status"),
    "refunds": ("customer_id", "invoice_id", "amount_minor", "at", "kind", "status"),
}  # fmt: skip
"""What each table gives."""


class StripeSource(Source):
    """The tables that say `source: stripe`, read from the state database by `reader`, the source of its own kind.

    A state that has not been made yet is empty.
    """

    scheme = ()

    def __init__(self, url: str, root: Path, db: duckdb.DuckDBPyConnection, reader: type[Source]) -> None:
        self._reader, self._copied_for = reader, ""
        super().__init__(url, root, {}, db)

    def open(self) -> None:
        """Look whether there is a state; each reading connects anew, so that it sees what was heard meanwhile."""
        try:
            inner = self._reader(
                self.url, self.root, {"stripe_customer": TableSettings(table="stripe_customer")}, self.db
            )
        except UnavailableError:
            if (self.root / self.url.removeprefix("sqlite:///")).exists() or not self.url.startswith("sqlite"):
                raise
            self._is_empty = True
            return
        self.errors = inner.errors
        try:
            inner.describe("stripe_customer")
            self._is_empty = False
        except SetupError:
            self._is_empty = True
        finally:
            inner.close()

    def describe(self, table: str, known: Container[str] = ()) -> list[RawColumn]:
        """The columns as the views give them, already of their types."""
        kinds = TABLES[table].columns
        types = {name: kinds.get(name, Kind.TEXT).duck_type for name in COLUMNS[table]}
        return [RawColumn(name, kind, kind) for name, kind in types.items()]

    def relation(self, table: str, columns: Sequence[str], only: Only | None = None) -> str:
        """Copies Stripe's objects over, once for the same customers, and shapes them. `only` holds Stripe's ids."""
        if self._is_empty:
            typed = ", ".join(
                f"CAST(NULL AS {column.arrives_as}) AS {csv_list([column.name])}" for column in self.describe(table)
            )
            return f"(SELECT {typed} WHERE FALSE)"
        ids = None if only is None else ", ".join(map(literal, only.ids["customer_id"])) or "NULL"
        self._copy(ids)
        return f"(SELECT {csv_list(columns)} FROM ({_TABLES[table]}))"

    def _copy(self, ids: str | None) -> None:
        key = "everybody" if ids is None else ids
        if key == self._copied_for:
            return
        tables = {
            name: TableSettings(query=f"SELECT * FROM {name} WHERE {where.format(ids=ids)}")
            if ids is not None and where else TableSettings(table=name)
            for name, where in _RAW.items()
        }  # fmt: skip
        inner = self._reader(self.url, self.root, tables, self.db)
        try:
            for name in _RAW:
                found = [column.name for column in inner.describe(name)]
                self.db.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {inner.relation(name, found)}")
        finally:
            inner.close()
        for name, select in _VIEWS.items():
            self.db.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
        self._copied_for = key


class WithStripe(Source):
    """The company's tables, and beside them those that come from Stripe."""

    scheme = ()

    def __init__(self, main: Source, stripe: StripeSource, from_stripe: frozenset[str]) -> None:
        self.main, self.stripe, self._from_stripe = main, stripe, from_stripe
        self.in_place, self.errors = main.in_place, (*main.errors, *stripe.errors)
        super().__init__(main.url, main.root, main.tables, main.db)

    def open(self) -> None:
        """Both are open."""

    def describe(self, table: str, known: Container[str] = ()) -> list[RawColumn]:
        """As the table's own source."""
        return self._of(table).describe(table, known)

    def relation(self, table: str, columns: Sequence[str], only: Only | None = None) -> str:
        """As the table's own source."""
        return self._of(table).relation(table, columns, only)

    def aggregate(self, *args: object, **kwargs: object) -> None:
        """Events are the company's."""
        self.main.aggregate(*args, **kwargs)  # type: ignore[arg-type]

    def own_relation(self, table: str) -> str:
        """Events are the company's."""
        return self.main.own_relation(table)

    def run_query(self, *args: object, **kwargs: object) -> None:
        """Queries run where the company's tables are."""
        self.main.run_query(*args, **kwargs)  # type: ignore[arg-type]

    def unreadable(self, table: str, error: Exception) -> HoldfastError:
        """As the table's own source."""
        return self._of(table).unreadable(table, error)

    def close(self) -> None:
        """Let go of both."""
        self.main.close()

    def _of(self, table: str) -> Source:
        return self.stripe if table in self._from_stripe else self.main
