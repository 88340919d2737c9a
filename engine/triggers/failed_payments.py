"""Failed invoices as cases: what `payment_failed` and `payment_lost` share.

A case is a customer's open failed invoices in one currency, seen through the oldest of them. Its group is that of the
latest try, its anchor the first try since which the group has not changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from engine.project.trigger_spec import ColumnType
from engine.triggers.base import Condition, Lookup, later
from engine.triggers.decline_codes import SIGNALS, contact_sql, group_sql
from engine.warehouse.subscriptions import ENDED_STATUS

NOT_RENEWALS = ("subscription_create", "manual", "upcoming", "quote_accept", "automatic_pending_invoice_item_invoice")
"""Billing reasons of money that was not simply due again: a failed first invoice is an abandoned checkout, not a lost
customer. A reason nobody knows does not exclude."""

INVOICE_COLUMNS = (
    "subscription_id", "status", "amount_minor", "currency", "failed_at", "last_failed_at", "paid_at",
    "next_attempt_at", "attempt_count", "decline_code", "hosted_invoice_url", "billing_reason", "collection_method",
    "livemode", "number", "replaces", "product", "processing_since", "stops_on", "known_since",
)  # fmt: skip
FURTHER_TABLES = {
    "invoices": INVOICE_COLUMNS,
    "payment_failures": ("at", *SIGNALS, "card_country", "last4"),
    "payment_methods": ("last4", "is_default", "added_at", "auto_updated_at"),
    "disputes": ("status", "at", "closed_at"),
    "subscriptions": ("plan", "status", "ended_at", "cancel_reason", "collection_paused", "trial_end"),
}

_A_FEW_DAYS = timedelta(days=3)
AUTO_UPDATE_HOLDS_DAYS = 3
"""A card the network has renewed is charged again soon; waiting longer for that would lose the case."""

EARLIER_DAYS = 92
"""How far back other failed invoices count as `earlier_failures`."""

_GIVEN_UP = ("void", "uncollectible")


CASE_FACTS: Mapping[str, ColumnType] = {
    "invoice_id": "text", "amount_minor": "number", "currency": "text", "group": "text", "last4": "text",
    "pay_url": "text", "product": "text", "stops_on": "date",
}  # fmt: skip
"""What the candidates of both triggers carry."""


def case_facts(look: Lookup) -> dict[str, Callable[[], str]]:
    """SQL of `CASE_FACTS`, over `r` and `p`."""
    ahead = f"CASE WHEN {stops_on(look)} > {today()} THEN {stops_on(look)} END"
    return {
        "invoice_id": lambda: "r.invoice_id", "amount_minor": lambda: "r.total_minor",
        "currency": lambda: "r.currency", "group": lambda: "r.grp", "last4": lambda: _last4(look),
        "pay_url": lambda: _pay_url(look), "product": lambda: _product(look), "stops_on": lambda: ahead,
    }  # fmt: skip


def case_id(look: Lookup) -> str:
    """SQL for what a case is called: by the invoice that was issued anew as this one, so that the ladder goes on."""
    return f"coalesce({look.column('r', 'invoices', 'replaces', 'VARCHAR')}, r.invoice_id)"


def stops_on(look: Lookup) -> str:
    """SQL for the local date on which the billing system acts: its own word, or the end of its retries."""
    days = math.ceil(look.dunning.retry_window.elapsed / timedelta(days=1))
    ends = f"CAST(r.failed_at_on + to_days({days}) AS DATE)"
    return f"coalesce(r.stops_on_on, {ends})" if look.has("invoices", "stops_on") else ends


def today() -> str:
    """SQL for the date the customer's calendar shows at the run's instant."""
    return "(SELECT CAST(n.wall_now AS DATE) FROM zone_number AS n WHERE n.zone_no = p.zone_no)"


def _pay_url(look: Lookup) -> str:
    """The invoice's own page; one for all of them where there are several, or none of its own."""
    own = look.column("r", "invoices", "hosted_invoice_url", "VARCHAR")
    if look.dunning.pay_page is None:
        return own
    page = look.bind(look.dunning.pay_page)
    return f"CASE WHEN r.open_invoices > 1 THEN {page} ELSE coalesce({own}, {page}) END"


def _product(look: Lookup) -> str:
    own = look.column("r", "invoices", "product", "VARCHAR")
    if not (look.has("subscriptions", "plan") and look.has("invoices", "subscription_id")):
        return own
    plan = "(SELECT any_value(s.plan) FROM t_subscriptions AS s WHERE s.subscription_id = r.subscription_id)"
    return f"coalesce({own}, {plan})"


def _last4(look: Lookup) -> str:
    """The last four digits of the card that failed; where that is unknown, of the newest default card."""
    if not look.has("payment_methods", "last4", "is_default"):
        return "r.tried_last4"
    added = look.column("m", "payment_methods", "added_at", "TIMESTAMP")
    default = (
        f"(SELECT arg_max_null({_digits('m.last4')}, (coalesce({added}, TIMESTAMP '1970-01-01'), m.payment_method_id)) "
        f"FROM t_payment_methods AS m WHERE m.cust = p.cust AND m.is_default AND coalesce({added} < {look.now}, TRUE))"
    )
    return f"coalesce(r.tried_last4, {default})"


def _digits(last4: str) -> str:
    """SQL for at most four digits, whatever the column holds: mails show no more of a card."""
    return f"right(trim({last4}), 4)"


def is_failed_renewal(look: Lookup) -> str:
    """SQL over `i`: an automatically collected invoice that has failed and is not paid, as of the run."""
    conditions = [f"i.failed_at < {look.now}", "i.currency IS NOT NULL"]
    paid = look.column("i", "invoices", "paid_at", "TIMESTAMP")
    conditions.append(f"({paid} IS NULL OR {paid} >= {look.now})")
    if look.has("invoices", "status"):
        conditions.append(f"NOT ({paid} IS NULL AND coalesce(lower(i.status) = 'paid', FALSE))")
    if look.has("invoices", "billing_reason"):
        reasons = ", ".join(f"'{reason}'" for reason in NOT_RENEWALS)
        conditions.append(f"coalesce(lower(i.billing_reason) NOT IN ({reasons}), TRUE)")
    if look.has("invoices", "collection_method"):
        conditions.append("coalesce(lower(i.collection_method) <> 'send_invoice', TRUE)")
    if look.has("invoices", "livemode"):
        conditions.append("coalesce(i.livemode, TRUE)")
    return " AND ".join(conditions)


def is_open(look: Lookup) -> str:
    """SQL over `i`: such an invoice that nobody has given up."""
    if not look.has("invoices", "status"):
        return is_failed_renewal(look)
    words = ", ".join(f"'{word}'" for word in _GIVEN_UP)
    return f"{is_failed_renewal(look)} AND coalesce(lower(i.status) NOT IN ({words}), TRUE)"


def oldest_open(look: Lookup, min_amount_minor: int) -> str:
    """The oldest open failed invoice of each customer and currency, with the sum and number of all of them."""
    same = "PARTITION BY i.cust, i.currency"
    return (
        f"SELECT i.*, count(*) OVER ({same}) AS open_invoices, "
        f"CAST(sum(i.amount_minor) OVER ({same}) AS BIGINT) AS total_minor FROM ({grouped(look)}) AS i "
        f"WHERE {is_open(look)} AND i.amount_minor >= {look.bind(min_amount_minor)} "
        f"QUALIFY row_number() OVER ({same} ORDER BY i.failed_at, i.invoice_id) = 1"
    )


def grouped(look: Lookup) -> str:
    """The invoices with their present group, its anchor, whom to turn to, and the instant and card of the last try."""
    again = look.column("i", "invoices", "last_failed_at", "TIMESTAMP")
    own = {"decline_code": "i.decline_code"} if look.has("invoices", "decline_code") else {}
    plain = (
        f"SELECT i.*, {group_sql(own)} AS grp, {contact_sql(own)} AS contact, i.failed_at AS anchored_at, "
        f"greatest(i.failed_at, CASE WHEN {again} < {look.now} THEN {again} END) AS last_try_at, "
        f"CAST(NULL AS VARCHAR) AS tried_last4 FROM t_invoices AS i"
    )
    if not look.has("payment_failures", "at"):
        return plain
    signals = {name: f"f.{name}" for name in (*SIGNALS, "card_country") if look.has("payment_failures", name)}
    last4 = _digits(look.column("f", "payment_failures", "last4", "VARCHAR"))
    tries = (
        f"SELECT f.invoice_id, f.at, {group_sql(signals)} AS grp, {contact_sql(signals)} AS contact, "
        f"{last4} AS last4 FROM t_payment_failures AS f WHERE f.at < {look.now}"
    )
    # One try may be told twice, with one instant: the order of rows must not matter.
    latest = (
        "SELECT invoice_id, max(grp) AS grp, max(last4) AS last4, "
        "CASE WHEN bool_or(contact = 'nobody') THEN 'nobody' ELSE max(contact) END AS contact FROM (SELECT *, "
        'rank() OVER (PARTITION BY invoice_id ORDER BY "at" DESC) AS age FROM tries) WHERE age = 1 GROUP BY invoice_id'
    )
    changed = (
        "SELECT o.invoice_id, max((o.at, o.grp)) AS place FROM tries AS o JOIN latest AS l "
        "ON l.invoice_id = o.invoice_id AND l.grp <> o.grp GROUP BY 1"
    )
    since = (
        "SELECT l.invoice_id, l.grp, l.contact, l.last4, min(t.at) AS anchored_at, max(t.at) AS last_at "
        "FROM latest AS l JOIN tries AS t ON t.invoice_id = l.invoice_id AND t.grp = l.grp LEFT JOIN changed AS c "
        "ON c.invoice_id = l.invoice_id WHERE c.place IS NULL OR (t.at, t.grp) > c.place GROUP BY ALL"
    )
    return (
        f"WITH tries AS ({tries}), latest AS ({latest}), changed AS ({changed}), since AS ({since}) "
        f"SELECT i.* REPLACE (coalesce(s.grp, i.grp) AS grp, coalesce(s.contact, i.contact) AS contact, "
        f"coalesce(s.anchored_at, i.anchored_at) AS anchored_at, greatest(i.last_try_at, s.last_at) AS last_try_at, "
        f"s.last4 AS tried_last4) FROM ({plain}) AS i LEFT JOIN since AS s ON s.invoice_id = i.invoice_id"
    )


def no_contact(look: Lookup) -> list[Condition]:
    """What forbids any mail about a case. Over `r`, the case, and `p`."""
    waits = [
        Condition(
            "not put on hold by a person", "r.invoice_id NOT IN (SELECT invoice_id FROM case_hold)", reason="on_hold"
        ),
    ]
    if look.has("disputes", "status", "at"):
        closed = look.column("x", "disputes", "closed_at", "TIMESTAMP")
        # A dispute won or lost after the run's instant was still open then. A lost one ends what had failed before it.
        disputed = (
            f"t_disputes AS x WHERE x.cust = p.cust AND x.at < {look.now} AND ("
            f"lower(x.status) = 'open' OR {closed} >= {look.now} "
            f"OR lower(x.status) = 'lost' AND r.failed_at < coalesce({closed}, {look.now}))"
        )
        waits.append(Condition("no dispute open or lost", f"NOT EXISTS (SELECT 1 FROM {disputed})", reason="disputed"))
    if look.has("invoices", "processing_since"):
        under_way = f"r.processing_since > r.last_try_at AND r.processing_since < {look.now}"
        waits.append(Condition("no payment under way", f"NOT coalesce({under_way}, FALSE)", reason="processing"))
    if look.has("subscriptions", "trial_end") and look.has("payment_methods", "added_at"):
        trial = f"x.trial_end <= r.failed_at AND {later('x.trial_end', _A_FEW_DAYS)} > r.failed_at"
        card = f"SELECT 1 FROM t_payment_methods AS m WHERE m.cust = p.cust AND coalesce(m.added_at < {look.now}, TRUE)"
        waits.append(
            Condition("not a trial that ended without a card",
                      f"(EXISTS ({card}) OR {_no_subscription(look, trial)})", reason="trial_ended")
        )  # fmt: skip
    return waits


def holds(look: Lookup) -> list[Condition]:
    """What keeps a case waiting, or ends it, although its invoice is open. Over `r`, the case, and `p`."""
    held = no_contact(look)
    if look.has("payment_methods", "is_default", "added_at"):
        newer = (
            "t_payment_methods AS x WHERE x.cust = p.cust AND x.is_default AND x.added_at > r.last_try_at "
            f"AND x.added_at < {look.now}"
        )
        held.append(
            Condition(
                "no new default card since the last failure", f"NOT EXISTS (SELECT 1 FROM {newer})", reason="new_card"
            )
        )
    if look.has("payment_methods", "auto_updated_at"):
        renewed = (
            "t_payment_methods AS x WHERE x.cust = p.cust AND x.auto_updated_at > r.last_try_at "
            f"AND x.auto_updated_at < {look.now} "
            f"AND x.auto_updated_at + to_days({AUTO_UPDATE_HOLDS_DAYS}) > {look.now}"
        )
        held.append(
            Condition("no card just renewed by its network", f"NOT EXISTS (SELECT 1 FROM {renewed})", reason="new_card")
        )
    if look.has("subscriptions", "collection_paused"):
        held.append(
            Condition(
                "collection is not paused", _no_subscription(look, "x.collection_paused"), reason="collection_paused"
            )
        )
    if look.has("subscriptions", "ended_at") or look.has("subscriptions", "status"):
        held.append(
            Condition(
                "its subscription goes on", _no_subscription(look, is_over("x", look)), reason="subscription_ended"
            )
        )
    return held


def is_over(alias: str, look: Lookup) -> str:
    """SQL for whether a subscription has ended: by its end or, where it has none, by its status word."""
    ended = look.column(alias, "subscriptions", "ended_at", "TIMESTAMP")
    status = look.column(alias, "subscriptions", "status", "VARCHAR")
    return f"coalesce({ended} < {look.now}, lower({status}) IN {ENDED_STATUS}, FALSE)"


def _no_subscription(look: Lookup, condition: str) -> str:
    """That no row of the invoice's own subscription meets `condition`."""
    if not look.has("invoices", "subscription_id"):
        return "TRUE"
    return (
        f"NOT EXISTS (SELECT 1 FROM t_subscriptions AS x WHERE x.subscription_id = r.subscription_id AND {condition})"
    )


def why_settled(invoice_id: str, look: Lookup, further: Sequence[Condition] = ()) -> str:
    """SQL over `p` for the reason why an invoice is no case any more: paid, given up, or a condition that fails."""
    paid = look.column("r", "invoices", "paid_at", "TIMESTAMP")
    status = f"lower({look.column('r', 'invoices', 'status', 'VARCHAR')})"
    reasons = [
        (f"{paid} < {look.now} OR {paid} IS NULL AND {status} = 'paid'", "recovered"),
        (f"{status} = 'void'", "voided"), (f"{status} = 'uncollectible'", "written_off"),
        *((f"NOT ({condition.sql})", condition.reason) for condition in further if condition.reason),
    ]  # fmt: skip
    branches = " ".join(f"WHEN {sql} THEN '{reason}'" for sql, reason in reasons)
    return f"(SELECT CASE {branches} END FROM ({grouped(look)}) AS r WHERE r.cust = p.cust AND r.invoice_id = {invoice_id})"
