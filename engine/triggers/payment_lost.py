"""The `payment_lost` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from engine.project.trigger_spec import ColumnType, TriggerParams
from engine.project.types import read_list
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger
from engine.triggers.decline_codes import Group
from engine.triggers.failed_payments import (
    CASE_FACTS,
    FURTHER_TABLES,
    case_facts,
    grouped,
    is_failed_renewal,
    is_over,
    no_contact,
    stops_on,
    why_settled,
)
from engine.warehouse.subscriptions import INVOLUNTARY

_STOPPED_STATUS = ("unpaid", "paused")


class PaymentLostParams(TriggerParams):
    """Which kinds of failure."""

    group: Annotated[tuple[Group, ...], BeforeValidator(read_list)] = ()


class PaymentLost(Trigger):
    """Customers whose failed payment was never made good, and for whom the billing system has acted.

        trigger:
          payment_lost: {group: soft}

    Holds when the failed invoice's subscription has ended over it (`cancel_reason: payment_failed`), or stands unpaid
    or paused, or when the invoice was written off. One candidate for each customer and currency, about the loss that
    came last. For the one mail that says what happened and how to come back; none to who has subscribed anew since the
    failure, none while a dispute is open, a payment is under way, or a person has put the case on hold.
    """

    name = "payment_lost"
    params = PaymentLostParams
    about = "the invoice"
    survives = "none"
    row_table = "invoices"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """What was owed, and what became of it."""
        return {**CASE_FACTS, "ended_on": "date", "outcome": "text"}

    def needs(self, params: Any) -> Needs:
        """Invoices and subscriptions; why a payment failed where the tables tell."""
        return Needs(
            required={"invoices": ("amount_minor", "currency", "failed_at"), "subscriptions": ()},
            optional={**FURTHER_TABLES, "subscriptions": (*FURTHER_TABLES["subscriptions"], "started_at")},
            dates={"invoices": ("failed_at",)}, cases=True,
        )  # fmt: skip

    def why_gone(self, params: PaymentLostParams, occurrence: str, look: Lookup) -> str | None:
        """Paid after all, voided, disputed, put on hold, or no longer worth telling."""
        return why_settled(occurrence, look, [*no_contact(look), *_has_not_come_back(look)])

    def find(self, params: PaymentLostParams, look: Lookup) -> Found:
        """One candidate a customer and currency."""
        conditions = [
            Condition("the billing system has given up", "r.outcome IS NOT NULL", {"outcome": "r.outcome"}),
            Condition("the customer can be written to about it", "r.contact = 'mail' AND r.grp <> 'fraud'"),
        ]
        if params.group:
            groups = ", ".join(look.bind(group) for group in params.group)
            conditions.append(
                Condition(f"the failure was {' or '.join(params.group)}", f"r.grp IN ({groups})", {"group": "r.grp"})
            )
        facts = {
            **case_facts(look),
            "outcome": lambda: "r.outcome",
            "ended_on": lambda: f"coalesce(r.ended_on, {stops_on(look)})",
        }
        return Found(
            f"{look.shared(_lost(look))} AS r JOIN person AS p ON p.cust = r.cust",
            (*conditions, *no_contact(look), *_has_not_come_back(look)), "r.invoice_id", "r.lost_at", facts,
        )  # fmt: skip


def _has_not_come_back(look: Lookup) -> list[Condition]:
    """That nobody is asked back who has come back already. Over `r`, the case, and `p`."""
    if not look.has("subscriptions", "started_at"):
        return []
    own = "r.subscription_id" if look.has("invoices", "subscription_id") else "NULL"
    newer = (
        "t_subscriptions AS x WHERE x.cust = p.cust AND x.in_service AND x.started_at > r.failed_at "
        f"AND x.subscription_id IS DISTINCT FROM {own}"
    )
    return [
        Condition(
            "no newer subscription in service", f"NOT EXISTS (SELECT 1 FROM {newer})", reason="subscribed_anew"
        )
    ]  # fmt: skip


def _lost(look: Lookup) -> str:
    """Failed invoices with what became of them; of each customer and currency the one lost last."""
    reason = look.column("s", "subscriptions", "cancel_reason", "VARCHAR")
    ended, ended_on = (
        f"s.{name}" if look.has("subscriptions", "ended_at") else "NULL" for name in ("ended_at", "ended_at_on")
    )
    status = look.column("s", "subscriptions", "status", "VARCHAR")
    word = look.column("i", "invoices", "status", "VARCHAR")
    over = is_over("s", look)
    over_it = f"{over} AND lower({reason}) = '{INVOLUNTARY}'"
    stopped = ", ".join(f"'{one}'" for one in _STOPPED_STATUS)
    outcome = (
        f"CASE WHEN {over_it} THEN 'cancelled' WHEN {over} THEN NULL "
        f"WHEN lower({word}) = 'uncollectible' THEN 'written_off' WHEN lower({word}) = 'void' THEN NULL "
        f"WHEN lower({status}) IN ({stopped}) THEN lower({status}) END"
    )
    days = look.bind(look.dunning.retry_window.elapsed.total_seconds())
    # Nothing tells when a status changed, so what has no end of its own counts from the end of the retries.
    lost_at = f"coalesce(CASE WHEN {over_it} THEN {ended} END, i.failed_at + to_seconds({days}))"
    matched = "s.subscription_id = i.subscription_id" if look.has("invoices", "subscription_id") else "FALSE"
    return (
        "SELECT * EXCLUDE (recency) FROM (SELECT l.*, row_number() OVER (PARTITION BY cust, currency "
        "ORDER BY outcome IS NULL, lost_at DESC, failed_at, invoice_id) AS recency FROM ("
        f"SELECT i.*, 1 AS open_invoices, i.amount_minor AS total_minor, {outcome} AS outcome, "
        f"CASE WHEN {over_it} THEN {ended_on} END AS ended_on, {lost_at} AS lost_at "
        f"FROM ({grouped(look)}) AS i LEFT JOIN t_subscriptions AS s ON {matched} "
        f"WHERE {is_failed_renewal(look)} AND i.amount_minor >= 1) AS l) WHERE recency = 1"
    )
