"""The `payment_failed` trigger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from engine.project.trigger_spec import ColumnType, TriggerParams
from engine.project.types import read_list
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger
from engine.triggers.decline_codes import Group
from engine.triggers.failed_payments import (
    CASE_FACTS,
    EARLIER_DAYS,
    FURTHER_TABLES,
    case_facts,
    case_id,
    holds,
    is_open,
    oldest_open,
    stops_on,
    today,
    why_settled,
)


class PaymentFailedParams(TriggerParams):
    """Which kinds of failure, from what amount on, and whether it is for mail or for a person."""

    group: Annotated[tuple[Group, ...], BeforeValidator(read_list)] = ()
    min_amount_minor: int = Field(default=1, ge=1)
    handled_by: Literal["mail", "person"] = "mail"


class PaymentFailed(Trigger):
    """Customers with a failed payment that is still open.

        trigger:
          payment_failed: {group: soft}

    One candidate for each customer and currency, about the oldest open failed invoice: it ends as soon as that is
    paid, voided or written off. `group` is what the customer can do about it: `soft` (wait, or see to the balance),
    `details` (enter the card again), `hard` (use another card), `authentication` (confirm with the bank),
    `wish-to-stop` (told the bank to stop). The ladder counts from the first failure since which the group has not
    changed. Test cards and faults of our own are never found. `fact.next_attempt_at` is empty once it is past.

    As far as the tables tell, a case waits while a dispute is open, a payment is under way, collection is paused, the
    card has just been replaced or renewed, or a person has put it on hold; it goes on with the next failure where it
    stood. It ends when the subscription does, after `dunning.max_mails` mails, and with a lost dispute.

    `handled_by: person` finds instead what nobody may be mailed about, for steps with `channel: task`: `fact.why` is
    `fraud_suspected`, `needs_a_look`, `too_old` (see `dunning.adopt`), `no_address` or `address_refused`.
    """

    name = "payment_failed"
    params = PaymentFailedParams
    about = "the oldest open failed invoice and the group, or why it is for a person"
    survives = "none"
    row_table = "invoices"

    def facts(self, params: PaymentFailedParams) -> Mapping[str, ColumnType]:
        """What is owed, why it failed, and where to pay it."""
        why: Mapping[str, ColumnType] = {"why": "text"} if params.handled_by == "person" else {}
        return {**CASE_FACTS, "open_invoices": "number", "invoice_numbers": "text", "attempt_count": "number",
                "next_attempt_at": "instant", "new_card_last4": "text", "days_left": "number",
                "earlier_failures": "number", **why}  # fmt: skip

    def needs(self, params: Any) -> Needs:
        """Invoices; the other billing tables are used when they are mapped."""
        return Needs(
            required={"invoices": ("amount_minor", "currency", "failed_at")}, optional=FURTHER_TABLES,
            dates={"invoices": ("failed_at",)}, cases=True,
        )  # fmt: skip

    def why_gone(self, params: PaymentFailedParams, occurrence: str, look: Lookup) -> str | None:
        """Paid, voided, disputed, or whatever else keeps the case from being written about."""
        return why_settled(f"regexp_replace({occurrence}, ':[^:]*$', '')", look, holds(look))

    def find(self, params: PaymentFailedParams, look: Lookup) -> Found:
        """One candidate a customer and currency."""
        conditions = [
            Condition(
                "an open failed invoice", f"r.amount_minor >= {look.bind(params.min_amount_minor)}",
                {"invoice": "r.invoice_id", "failed": "r.failed_at", "amount": "r.amount_minor"},
            ),
        ]  # fmt: skip
        if params.group:
            groups = ", ".join(look.bind(group) for group in params.group)
            conditions.append(
                Condition(f"the failure is {' or '.join(params.group)}", f"r.grp IN ({groups})", {"group": "r.grp"})
            )
        about = "r.grp"
        facts = {**case_facts(look), **_further_facts(look, params)}
        if params.handled_by == "person":
            about = _why(look)
            facts["why"] = lambda: about
            conditions.append(Condition("somebody has to look at it", f"{about} IS NOT NULL", {"why": about}))
        else:
            conditions += _for_mail(look)
        return Found(
            f"{look.shared(oldest_open(look, params.min_amount_minor))} AS r JOIN person AS p ON p.cust = r.cust",
            (*conditions, *holds(look)), f"{case_id(look)} || ':' || {about}", "r.anchored_at", facts,
        )  # fmt: skip


def _for_mail(look: Lookup) -> list[Condition]:
    most = look.bind(look.dunning.max_mails)
    sent = "(SELECT mails FROM case_mail AS m WHERE m.invoice_id = " + case_id(look) + ")"
    return [
        Condition(
            "the customer can be written to about it", "r.contact = 'mail' AND r.grp <> 'fraud'", {"group": "r.grp"}
        ),
        Condition(f"not older than {look.dunning.adopt} when first heard of", f"NOT {_too_old(look)}"),
        Condition(
            f"fewer than {look.dunning.max_mails} mails about it", f"coalesce({sent}, 0) < {most}", {"mails": sent}
        ),
    ]


def _too_old(look: Lookup) -> str:
    known = look.column("r", "invoices", "known_since", "TIMESTAMP")
    heard = f"coalesce({known}, {look.bind(look.first_run_at)})"
    days = look.bind(look.dunning.adopt.elapsed.total_seconds())
    return f"(r.failed_at < {heard} - to_seconds({days}))"


def _why(look: Lookup) -> str:
    """Why a person has to look at a case; NULL when a mail will do."""
    return (
        "(CASE WHEN r.contact = 'nobody' THEN NULL WHEN r.grp = 'fraud' THEN 'fraud_suspected' "
        f"WHEN r.contact = 'person' THEN 'needs_a_look' WHEN {_too_old(look)} THEN 'too_old' "
        "WHEN p.address_state = 'none' THEN 'no_address' "
        "WHEN p.address_state = 'invalid' OR p.address IN (SELECT address FROM refused_address) "
        "THEN 'address_refused' END)"
    )


def _further_facts(look: Lookup, params: PaymentFailedParams) -> dict[str, Callable[[], str]]:
    attempts = look.column("r", "invoices", "attempt_count", "BIGINT")
    coming = look.column("r", "invoices", "next_attempt_at", "TIMESTAMP")
    earlier = (
        "(SELECT count(*) FROM t_invoices AS e WHERE e.cust = p.cust AND e.invoice_id <> r.invoice_id "
        f"AND e.failed_at < r.failed_at AND e.failed_at >= r.failed_at - to_days({EARLIER_DAYS}))"
    )
    return {
        "open_invoices": lambda: "r.open_invoices",
        "invoice_numbers": lambda: _numbers(look, params.min_amount_minor), "attempt_count": lambda: attempts,
        # One that is past is not promised: the billing system may have given up without a word.
        "next_attempt_at": lambda: f"CASE WHEN {coming} > {look.now} THEN {coming} END",
        "new_card_last4": lambda: _new_card(look),
        "days_left": lambda: f"({stops_on(look)} - {today()})", "earlier_failures": lambda: earlier,
    }  # fmt: skip


def _numbers(look: Lookup, min_amount_minor: int) -> str:
    """What the invoices of the sum are called, oldest first, as the customer knows them."""
    if not look.has("invoices", "number"):
        return "CAST(NULL AS VARCHAR)"
    return (
        f"(SELECT string_agg(i.number, ', ' ORDER BY i.failed_at, i.invoice_id) FROM t_invoices AS i "
        f"WHERE i.cust = p.cust AND i.currency = r.currency AND {is_open(look)} "
        f"AND i.amount_minor >= {look.bind(min_amount_minor)})"
    )


def _new_card(look: Lookup) -> str:
    """The card added since the first failure that was not the one charged last: it lies in the wrong place."""
    if not look.has("payment_methods", "last4", "added_at"):
        return "CAST(NULL AS VARCHAR)"
    return (
        "(SELECT arg_max(x.last4, (x.added_at, x.payment_method_id)) FROM t_payment_methods AS x "
        "WHERE x.cust = p.cust AND x.added_at > r.failed_at AND x.added_at <= r.last_try_at "
        "AND x.last4 <> r.tried_last4)"
    )
