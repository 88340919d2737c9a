"""The `payment_failed` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from engine.project.trigger_spec import ColumnType, TriggerParams
from engine.project.types import read_list
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger
from engine.triggers.decline_codes import Group, contact_sql, group_sql

NOT_RENEWALS = ("subscription_create", "manual", "upcoming", "quote_accept", "automatic_pending_invoice_item_invoice")
"""Billing reasons of money that was not simply due again: a failed first invoice is an abandoned checkout, not a lost
customer. A reason nobody knows does not exclude."""

_UNPAYABLE = ("void", "uncollectible")
_INVOICE_COLUMNS = (
    "subscription_id", "status", "amount_minor", "currency", "failed_at", "last_failed_at", "paid_at",
    "next_attempt_at", "attempt_count", "decline_code", "hosted_invoice_url", "billing_reason", "collection_method",
    "livemode",
)  # fmt: skip


class PaymentFailedParams(TriggerParams):
    """Which kinds of failure, and from what amount on."""

    group: Annotated[tuple[Group, ...], BeforeValidator(read_list)] = ()
    min_amount_minor: int = Field(default=1, ge=1)


class PaymentFailed(Trigger):
    """Customers with a failed payment that is still open.

        trigger:
          payment_failed: {group: soft}

    One candidate for each customer and currency, about the oldest open failed invoice: it ends as soon as that is
    paid, voided or written off. `group` is what the customer can do about it: `soft` (wait, or see to the balance),
    `details` (enter the card again), `hard` (use another card), `authentication` (confirm with the bank),
    `wish-to-stop` (told the bank to stop). The ladder counts from the first failure since which the group has not
    changed. Suspected fraud, test cards and faults of our own are never found. Where disputes or payment methods are
    mapped, an open dispute or a newer default card holds the ladder back until the next failure.
    """

    name = "payment_failed"
    params = PaymentFailedParams
    about = "the oldest open failed invoice and the group"
    survives = "none"
    row_table = "invoices"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """What is owed, why it failed, and where to pay it."""
        return {
            "invoice_id": "text", "amount_minor": "number", "currency": "text", "open_invoices": "number",
            "attempt_count": "number", "group": "text", "last4": "text", "pay_url": "text",
        }  # fmt: skip

    def needs(self, params: Any) -> Needs:
        """Invoices; the other billing tables are used when they are mapped."""
        return Needs(
            required={"invoices": ("amount_minor", "currency", "failed_at")},
            optional={
                "invoices": _INVOICE_COLUMNS, "payment_failures": ("at", "decline_code", "advice_code"),
                "payment_methods": ("last4", "is_default", "added_at"), "disputes": ("status", "at"),
            },
        )  # fmt: skip

    def find(self, params: PaymentFailedParams, look: Lookup) -> Found:
        """One candidate a customer and currency."""
        groups = ", ".join(look.bind(group) for group in params.group)
        conditions = [
            Condition(
                "an open failed invoice", f"r.amount_minor >= {look.bind(params.min_amount_minor)}",
                {"invoice": "r.invoice_id", "failed": "r.failed_at", "amount": "r.amount_minor"},
            ),
            Condition(
                "the customer can be written to about it", "r.contact = 'mail' AND r.grp <> 'fraud'", {"group": "r.grp"}
            ),
        ]  # fmt: skip
        if params.group:
            conditions.append(
                Condition(f"the failure is {' or '.join(params.group)}", f"r.grp IN ({groups})", {"group": "r.grp"})
            )
        conditions += _holds(look)
        link = look.column("r", "invoices", "hosted_invoice_url", "VARCHAR")
        attempts = look.column("r", "invoices", "attempt_count", "BIGINT")
        return Found(
            f"{look.shared(_oldest(look, params.min_amount_minor))} AS r JOIN person AS p ON p.cust = r.cust",
            tuple(conditions),
            "r.invoice_id || ':' || r.grp", "r.anchored_at",
            {
                "invoice_id": lambda: "r.invoice_id", "amount_minor": lambda: "r.total_minor",
                "currency": lambda: "r.currency", "open_invoices": lambda: "r.open_invoices",
                "attempt_count": lambda: attempts, "group": lambda: "r.grp", "last4": lambda: _last4(look),
                "pay_url": lambda: link,
            },
        )  # fmt: skip


def _oldest(look: Lookup, min_amount_minor: int) -> str:
    """The oldest open failed invoice of each customer and currency, with the sum and number of all of them."""
    same = "PARTITION BY i.cust, i.currency"
    return (
        f"SELECT i.*, count(*) OVER ({same}) AS open_invoices, "
        f"CAST(sum(i.amount_minor) OVER ({same}) AS BIGINT) AS total_minor FROM ({_grouped(look)}) AS i "
        f"WHERE {_is_open(look)} AND i.amount_minor >= {look.bind(min_amount_minor)} "
        f"QUALIFY row_number() OVER ({same} ORDER BY i.failed_at, i.invoice_id) = 1"
    )


def _is_open(look: Lookup) -> str:
    """An automatically collected invoice that has failed and is neither paid nor given up, as of the run."""
    conditions = [f"i.failed_at < {look.now}", "i.currency IS NOT NULL"]
    paid = look.column("i", "invoices", "paid_at", "TIMESTAMP")
    conditions.append(f"({paid} IS NULL OR {paid} >= {look.now})")
    if look.has("invoices", "status"):
        words = ", ".join(f"'{word}'" for word in _UNPAYABLE)
        conditions.append(f"coalesce(lower(i.status) NOT IN ({words}), TRUE)")
        conditions.append(f"NOT ({paid} IS NULL AND coalesce(lower(i.status) = 'paid', FALSE))")
    if look.has("invoices", "billing_reason"):
        reasons = ", ".join(f"'{reason}'" for reason in NOT_RENEWALS)
        conditions.append(f"coalesce(lower(i.billing_reason) NOT IN ({reasons}), TRUE)")
    if look.has("invoices", "collection_method"):
        conditions.append("coalesce(lower(i.collection_method) <> 'send_invoice', TRUE)")
    if look.has("invoices", "livemode"):
        conditions.append("coalesce(i.livemode, TRUE)")
    return " AND ".join(conditions)


def _grouped(look: Lookup) -> str:
    """The invoices, each with its present group and its first failure since which that has not changed."""
    code = look.column("i", "invoices", "decline_code", "VARCHAR")
    plain = (
        f"SELECT i.*, {group_sql(code, 'CAST(NULL AS VARCHAR)')} AS grp, {contact_sql(code)} AS contact, "
        f"i.failed_at AS anchored_at, CAST(NULL AS TIMESTAMP) AS last_try_at FROM t_invoices AS i"
    )
    if not look.has("payment_failures", "at"):
        return plain
    code = look.column("f", "payment_failures", "decline_code", "VARCHAR")
    advice = look.column("f", "payment_failures", "advice_code", "VARCHAR")
    tries = (
        f"SELECT f.invoice_id, f.at, {group_sql(code, advice)} AS grp, {contact_sql(code)} AS contact "
        f"FROM t_payment_failures AS f WHERE f.at < {look.now}"
    )
    latest = (
        'SELECT invoice_id, arg_max(grp, ("at", grp)) AS grp, arg_max(contact, ("at", grp)) AS contact '
        "FROM tries GROUP BY invoice_id"
    )
    changed = (
        "SELECT o.invoice_id, max((o.at, o.grp)) AS place FROM tries AS o JOIN latest AS l "
        "ON l.invoice_id = o.invoice_id AND l.grp <> o.grp GROUP BY 1"
    )
    since = (
        "SELECT l.invoice_id, l.grp, l.contact, min(t.at) AS anchored_at, max(t.at) AS last_at FROM latest AS l "
        "JOIN tries AS t ON t.invoice_id = l.invoice_id AND t.grp = l.grp LEFT JOIN changed AS c "
        "ON c.invoice_id = l.invoice_id WHERE c.place IS NULL OR (t.at, t.grp) > c.place GROUP BY ALL"
    )
    return (
        f"WITH tries AS ({tries}), latest AS ({latest}), changed AS ({changed}), since AS ({since}) "
        f"SELECT i.* REPLACE (coalesce(s.grp, i.grp) AS grp, coalesce(s.contact, i.contact) AS contact, "
        f"coalesce(s.anchored_at, i.anchored_at) AS anchored_at, s.last_at AS last_try_at) "
        f"FROM ({plain}) AS i LEFT JOIN since AS s ON s.invoice_id = i.invoice_id"
    )


def _holds(look: Lookup) -> list[Condition]:
    """What keeps a ladder waiting although the invoice is open."""
    held = []
    if look.has("disputes", "status", "at"):
        open_dispute = (
            f"t_disputes AS x WHERE x.cust = p.cust AND lower(x.status) IN ('open', 'lost') AND x.at < {look.now}"
        )
        held.append(Condition("no dispute open or lost", f"NOT EXISTS (SELECT 1 FROM {open_dispute})"))
    if look.has("payment_methods", "is_default", "added_at"):
        again = look.column("r", "invoices", "last_failed_at", "TIMESTAMP")
        last = f"greatest(r.failed_at, r.last_try_at, CASE WHEN {again} < {look.now} THEN {again} END)"
        newer = (
            f"t_payment_methods AS x WHERE x.cust = p.cust AND x.is_default AND x.added_at > {last} "
            f"AND x.added_at < {look.now}"
        )
        held.append(Condition("no new default card since the last failure", f"NOT EXISTS (SELECT 1 FROM {newer})"))
    return held


def _last4(look: Lookup) -> str:
    """The default card's; the newest one's where several are called so."""
    if not look.has("payment_methods", "last4", "is_default"):
        return "CAST(NULL AS VARCHAR)"
    added = look.column("m", "payment_methods", "added_at", "TIMESTAMP")
    return (
        f"(SELECT arg_max(m.last4, (coalesce({added}, TIMESTAMP '1970-01-01'), m.payment_method_id)) "
        f"FROM t_payment_methods AS m WHERE m.cust = p.cust AND m.is_default AND coalesce({added} < {look.now}, TRUE))"
    )
