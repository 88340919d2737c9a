"""The relations a report is counted from, as SQL over the staged tables.

`failed_invoice` has one row for each invoice that ever failed, with what became of it: exactly one outcome. `mail` has
one row for each mail that left about one of them. `open_case` has one row for each customer and currency with an
invoice still open, as the ladders see it.
"""

from __future__ import annotations

import duckdb

from engine.triggers.base import Lookup
from engine.triggers.failed_payments import grouped, is_failed_renewal, is_over
from engine.triggers.payment_failed import PaymentFailed, PaymentFailedParams
from engine.warehouse.sql import Bound, execute
from engine.warehouse.subscriptions import INVOLUNTARY

OUTCOMES = ("recovered", "credit", "reversed", "lost", "voided", "open")
"""What becomes of a failed invoice. `credit`: paid, but not with money. `reversed`: paid and given back."""

REVERSED_WITHIN_DAYS = 30
SOON_DAYS = 7
"""A recovery so soon after a mail is counted apart: the mail may have had something to do with it."""

EXPOSURE = {
    "rule": "VARCHAR", "customer_id": "VARCHAR", "occurrence": "VARCHAR", "step": "VARCHAR", "arm": "VARCHAR",
    "exposed_at": "TIMESTAMP", "state": "VARCHAR", "address_key": "VARCHAR", "complained": "BOOLEAN",
}  # fmt: skip
"""Columns of `exposure_read`, in the order in which the state gives them."""

_LEFT = "('accepted', 'in_doubt')"

# An exposure whose message was planned anew for another address has several messages: it is still one.
_EXPOSED = f"""
CREATE OR REPLACE TABLE case_exposure AS
SELECT regexp_replace(occurrence, ':[^:]*$', '') AS invoice_id, rule, step, held_out, exposed_at,
    is_mail, address_key, complained
FROM (
    SELECT occurrence, rule, step, arm = 'control' AS held_out, exposed_at, address_key,
        coalesce(bool_or(state IN {_LEFT}), FALSE) AS is_mail, coalesce(bool_or(complained), FALSE) AS complained
    FROM exposure_read GROUP BY ALL)
"""

_MAIL = """
CREATE OR REPLACE TABLE mail AS SELECT invoice_id, rule, step, exposed_at, address_key, complained
FROM case_exposure WHERE is_mail
"""

_OF_CASE = """
CREATE OR REPLACE TABLE case_memory AS
SELECT invoice_id, count(*) FILTER (is_mail) AS mails, count(*) FILTER (is_mail OR held_out) AS rungs,
    bool_or(held_out) AS held_out
FROM case_exposure GROUP BY 1
"""

# Attributed to the last mail that left before the money came.
_FAILED = """
CREATE OR REPLACE TABLE failed_invoice AS
WITH last_mail AS (
    SELECT s.invoice_id, count(*) AS mails_before,
        arg_max({{'rule': m.rule, 'step': m.step, 'at': m.exposed_at}}, (m.exposed_at, m.rule, m.step)) AS last_mail
    FROM settled AS s JOIN mail AS m ON m.invoice_id = s.invoice_id AND m.exposed_at < s.paid_at GROUP BY 1
)
SELECT s.cust, s.invoice_id, s.currency, s.grp, s.failed_at, s.outcome, s.paid_at, s.card,
    coalesce(CASE WHEN s.is_paid THEN s.paid_minor ELSE s.amount_minor END, 0) AS money_minor,
    CASE WHEN s.is_paid AND s.paid_at IS NOT NULL THEN coalesce(l.mails_before, 0) END AS mails_before,
    l.last_mail.rule AS last_rule, l.last_mail.step AS last_step,
    coalesce(s.paid_at < l.last_mail.at + to_days({soon}), FALSE) AS soon,
    coalesce(c.held_out, FALSE) AS held_out, coalesce(c.mails, 0) AS mails
FROM settled AS s LEFT JOIN last_mail AS l USING (invoice_id) LEFT JOIN case_memory AS c USING (invoice_id)
"""


def write_failed_invoices(db: duckdb.DuckDBPyConnection, look: Lookup, blind: Lookup, bound: Bound) -> None:
    """Make `failed_invoice` and `mail` from the staged tables and `exposure_read`.

    `blind` is `look` without what tells that an invoice is settled: seen through it, every failed one looks open.
    """
    for statement in (_EXPOSED, _MAIL, _OF_CASE):
        db.execute(statement)
    execute(db, f"CREATE OR REPLACE TABLE settled AS {_settled(look, blind)}", bound)
    db.execute(_FAILED.format(soon=SOON_DAYS))


def _settled(look: Lookup, blind: Lookup) -> str:
    """Failed invoices with their outcome, except what nobody would call a customer's failed payment."""
    paid_at = look.column("i", "invoices", "paid_at", "TIMESTAMP")
    status = f"lower({look.column('i', 'invoices', 'status', 'VARCHAR')})"
    given = look.column("i", "invoices", "paid_minor", "BIGINT")
    is_paid = f"coalesce({paid_at} < {look.now} OR {paid_at} IS NULL AND {status} = 'paid', FALSE)"
    failed = (
        f"SELECT i.cust, i.invoice_id, i.currency, i.grp, i.failed_at, i.amount_minor, {is_paid} AS is_paid, "
        f"CASE WHEN {paid_at} < {look.now} THEN {paid_at} END AS paid_at, coalesce({given}, i.amount_minor) AS paid_minor, "
        f"{given} = 0 AS is_credit, {status} AS status, "
        f"{look.column('i', 'invoices', 'subscription_id', 'VARCHAR')} AS subscription_id, "
        f"{look.column('i', 'invoices', 'paid_card', 'VARCHAR')} AS paid_card FROM ({grouped(look)}) AS i "
        f"WHERE {is_failed_renewal(blind)} AND i.contact <> 'nobody' AND NOT coalesce({paid_at} < i.failed_at, FALSE)"
    )
    outcome = (
        f"CASE WHEN f.is_paid AND f.is_credit IS TRUE THEN 'credit' WHEN f.is_paid AND ({_given_back(look)}) THEN 'reversed' "
        "WHEN f.is_paid THEN 'recovered' WHEN f.status = 'void' THEN 'voided' WHEN f.status = 'uncollectible' THEN 'lost' "
        f"WHEN {_ended_over_it(look)} THEN 'lost' ELSE 'open' END"
    )
    return (
        f"WITH failed AS ({failed}), tried AS ({_last_cards(look)}) "
        f"SELECT f.*, {outcome} AS outcome, CASE WHEN f.paid_card = t.card THEN 'same' WHEN f.paid_card <> t.card THEN 'new' "
        "END AS card FROM failed AS f LEFT JOIN tried AS t USING (invoice_id) "
        "WHERE CASE WHEN f.is_paid THEN f.paid_minor >= 0 ELSE f.amount_minor >= 1 END"
    )


def _given_back(look: Lookup) -> str:
    """Over `f`, of `failed`: refunded in full, or disputed and not won, within some days of the payment."""
    in_time = f"x.at >= q.paid_at AND x.at < q.paid_at + to_days({REVERSED_WITHIN_DAYS}) AND x.at < {look.now}"
    either = []
    if look.has("refunds", "invoice_id", "at"):
        kind = f"lower({look.column('x', 'refunds', 'kind', 'VARCHAR')})"
        status = f"lower({look.column('x', 'refunds', 'status', 'VARCHAR')})"
        amount = look.column("x", "refunds", "amount_minor", "BIGINT")
        came = f"coalesce({status} NOT IN ('failed', 'canceled', 'cancelled'), TRUE)"
        either.append(
            f"f.invoice_id IN (SELECT x.invoice_id FROM t_refunds AS x JOIN failed AS q ON q.invoice_id = x.invoice_id "
            f"WHERE {in_time} AND {came} GROUP BY 1 HAVING bool_or({kind} = 'full') OR sum({amount}) >= any_value(q.paid_minor))"
        )
    if look.has("disputes", "invoice_id", "at"):
        won = f"lower({look.column('x', 'disputes', 'status', 'VARCHAR')}) = 'won'"
        closed = look.column("x", "disputes", "closed_at", "TIMESTAMP")
        still = f"NOT coalesce({won} AND coalesce({closed} < {look.now}, TRUE), FALSE)"
        either.append(
            "f.invoice_id IN (SELECT x.invoice_id FROM t_disputes AS x JOIN failed AS q ON q.invoice_id = x.invoice_id "
            f"WHERE {in_time} AND {still})"
        )
    return " OR ".join(either) or "FALSE"


def _ended_over_it(look: Lookup) -> str:
    """Over `f`: its subscription has ended because nobody paid."""
    if not (look.has("subscriptions", "cancel_reason") and look.has("invoices", "subscription_id")):
        return "FALSE"
    return (
        "EXISTS (SELECT 1 FROM t_subscriptions AS s WHERE s.subscription_id = f.subscription_id "
        f"AND {is_over('s', look)} AND lower(s.cancel_reason) = '{INVOLUNTARY}')"
    )


def _last_cards(look: Lookup) -> str:
    """The card that failed last before each payment, as far as the tables tell."""
    if not look.has("payment_failures", "card", "at"):
        return "SELECT CAST(NULL AS VARCHAR) AS invoice_id, CAST(NULL AS VARCHAR) AS card"
    return (
        "SELECT x.invoice_id, arg_max(x.card, x.at) AS card FROM t_payment_failures AS x JOIN failed AS q "
        "ON q.invoice_id = x.invoice_id AND x.at <= q.paid_at GROUP BY 1"
    )


def write_open_cases(db: duckdb.DuckDBPyConnection, look: Lookup, bound: Bound, max_mails: int) -> None:
    """Make `open_case` from `failed_invoice` and `next_step`, with the condition that keeps each case waiting.

    The trigger that finds cases for people finds all that are open: what it says of each is read, not required.
    """
    found = PaymentFailed().find(PaymentFailedParams(handled_by="person"), look)
    for name, select in look.shared.tables.items():
        execute(db, f"CREATE OR REPLACE TABLE {name} AS {select}", bound)
    held = [f"WHEN ({one.sql}) IS NOT TRUE THEN '{one.reason}'" for one in found.conditions if one.reason]
    hold = f"CASE {' '.join(held)} END"
    number = look.column("r", "invoices", "number", "VARCHAR")
    waits = (
        f"CASE WHEN {hold} IS NOT NULL THEN {hold} WHEN r.contact = 'nobody' THEN 'not_theirs' "
        f"WHEN {found.facts['why']()} IS NOT NULL THEN {found.facts['why']()} "
        "WHEN coalesce(c.held_out, n.held_out, FALSE) THEN 'held_out' "
        f"WHEN coalesce(c.rungs, 0) >= {look.bind(max_mails)} THEN 'enough_mails' WHEN n.reason IS NULL THEN 'no_rule' "
        "WHEN n.reason = 'already_sent' THEN 'all_sent' WHEN n.shadow THEN 'shadow' "
        "WHEN n.reason NOT IN ('due', 'not_due') THEN n.reason END"
    )
    owed = (
        "SELECT cust, currency, count(*) AS invoices, CAST(sum(money_minor) AS BIGINT) AS amount_minor "
        "FROM failed_invoice WHERE outcome = 'open' GROUP BY ALL"
    )
    cases = (
        f'SELECT p.customer_id, r.invoice_id, {number} AS number, r.grp AS "group", r.failed_at, '
        f"CAST((epoch_us({look.now}) - epoch_us(r.failed_at)) // 86400000000 AS INTEGER) AS days, r.currency, "
        f"o.amount_minor, CAST(o.invoices AS INTEGER) AS invoices, CAST(coalesce(c.mails, 0) AS INTEGER) AS mails, "
        f"n.step AS next_step, n.next_on, {waits} AS waits FROM {found.rows} "
        f"JOIN ({owed}) AS o ON o.cust = r.cust AND o.currency = r.currency "
        "LEFT JOIN case_memory AS c ON c.invoice_id = r.invoice_id LEFT JOIN next_step AS n ON n.invoice_id = r.invoice_id"
    )
    execute(db, f"CREATE OR REPLACE TABLE open_case AS {cases}", bound)
    # Who is held out, or only watched, still climbs the ladder; whatever else keeps a case waiting has no date.
    db.execute(
        "UPDATE open_case SET next_step = NULL, next_on = NULL WHERE waits IS NOT NULL AND waits NOT IN ('held_out', 'shadow')"
    )
