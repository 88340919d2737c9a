"""The `cancelled` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from engine.project.trigger_spec import ColumnType, TriggerParams
from engine.project.types import read_list
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger, utc_date
from engine.warehouse.subscriptions import INVOLUNTARY


class CancelledParams(TriggerParams):
    """Who left and why; who had better not be asked back."""

    reason: Literal["any", "voluntary", "involuntary"] = "any"
    exclude: Annotated[tuple[Literal["refund", "dispute"], ...], BeforeValidator(read_list)] = ()


class Cancelled(Trigger):
    """Customers whose service has ended and who have no other.

        trigger:
          cancelled: {reason: voluntary, exclude: [refund, dispute]}

    Holds when a subscription has ended and neither this customer nor anyone with the same address has another one in
    service, or one that started or ended later. `exclude: refund` leaves out customers who were given or asked for a
    full refund, `exclude: dispute` those with a dispute that is open or lost.
    """

    name = "cancelled"
    params = CancelledParams
    about = "the subscription and the UTC date of its end"
    row_table = "subscriptions"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """What ended, when and why."""
        return {"ended_on": "date", "plan": "text", "cancel_reason": "text", "involuntary": "bool"}

    def needs(self, params: CancelledParams) -> Needs:
        """Subscriptions with an end; refunds and disputes where the rule excludes them."""
        required: dict[str, tuple[str, ...]] = {"subscriptions": ("ended_at",)}
        if params.reason != "any":
            required["subscriptions"] += ("cancel_reason",)
        if "refund" in params.exclude:
            required["refunds"] = ("kind", "at")
        if "dispute" in params.exclude:
            required["disputes"] = ("status", "at")
        return Needs(required, optional={"subscriptions": ("plan", "cancel_reason", "started_at")})

    def find(self, params: CancelledParams, look: Lookup) -> Found:
        """One candidate a person: the subscription that ended last."""
        reason = look.column("r", "subscriptions", "cancel_reason", "VARCHAR")
        involuntary = f"coalesce(lower({reason}) = '{INVOLUNTARY}', FALSE)"
        conditions = [
            Condition(
                "the subscription has ended", f"NOT r.in_service AND r.ended_at < {look.now}", {"ended": "r.ended_at"}
            ),
            Condition(
                "no other one is in service, for this customer or the same address",
                "NOT coalesce(o.in_service, FALSE)",
            ),
            Condition(
                "no other one started or ended later", "o.ended_last = 1 AND coalesce(o.last_start <= r.ended_at, TRUE)"
            ),
        ]
        if params.reason != "any":
            wanted = involuntary if params.reason == "involuntary" else f"NOT {involuntary}"
            conditions.append(Condition(f"the end was {params.reason}", wanted, {"reason": reason}))
        conditions += [_excluded(what, look) for what in params.exclude]
        return Found(
            f"t_subscriptions AS r JOIN person AS p ON p.cust = r.cust JOIN {look.shared(_others(look))} AS o "
            f"ON o.subscription_id = r.subscription_id",
            tuple(conditions), f"r.subscription_id || ':' || {utc_date('r.ended_at')}", "r.ended_at",
            {
                "ended_on": lambda: "r.ended_at_on",
                "plan": lambda: look.column("r", "subscriptions", "plan", "VARCHAR"),
                "cancel_reason": lambda: reason,
                "involuntary": lambda: involuntary,
            },
            rests_at="r.ended_at",
        )  # fmt: skip


def _others(look: Lookup) -> str:
    """What the other subscriptions of the same address (of the customer alone, without one) say about each.

    Of two that ended at the same instant the one with the greater id counts as the last, so that one candidate is left.
    """
    started = look.column("s", "subscriptions", "started_at", "TIMESTAMP")
    ended = f"CASE WHEN s.ended_at < {look.now} THEN s.ended_at END"
    return (
        f"SELECT s.subscription_id, bool_or(s.in_service) OVER others AS in_service, "
        f"max(CASE WHEN {started} < {look.now} THEN {started} END) OVER others AS last_start, "
        f"row_number() OVER (PARTITION BY coalesce(q.addr, -1 - q.cust) ORDER BY {ended} DESC NULLS LAST, "
        f"s.subscription_id DESC) AS ended_last FROM t_subscriptions AS s JOIN person AS q ON q.cust = s.cust "
        f"WINDOW others AS (PARTITION BY coalesce(q.addr, -1 - q.cust) "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW)"
    )


def _excluded(what: str, look: Lookup) -> Condition:
    if what == "refund":
        rows = "t_refunds AS x WHERE x.cust = p.cust AND lower(x.kind) IN ('full', 'requested_full')"
        text = "no full refund given or asked for"
    else:
        rows = "t_disputes AS x WHERE x.cust = p.cust AND lower(x.status) IN ('open', 'lost')"
        text = "no dispute open or lost"
    return Condition(text, f"NOT EXISTS (SELECT 1 FROM {rows} AND x.at < {look.now})")
