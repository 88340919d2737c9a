"""The `renewal_approaching` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger


class RenewalApproachingParams(TriggerParams):
    """Which billing rhythm, any by default."""

    interval: Literal["day", "week", "month", "year"] | None = None


class RenewalApproaching(Trigger):
    """Subscriptions that will renew.

        trigger:
          renewal_approaching: {interval: year}
        steps:
          - before: 30 days
            send: renewal/in-a-month

    Holds for a subscription in service that has a coming period end and is not set to cancel. Without
    `current_period_end` the next renewal is counted from `anchor_date` and `interval`: the 31st becomes the month's
    last day, and 29 February returns in leap years. When the date moves, the old reminders cease and new ones are
    laid around the new date; a move by a single day is the same renewal.
    """

    name = "renewal_approaching"
    params = RenewalApproachingParams
    about = "the subscription and the local date of the renewal"
    survives = "near_date"
    row_table = "subscriptions"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """What renews, when and for how much."""
        return {
            "renews_on": "date", "plan": "text", "amount_minor": "number", "next_amount_minor": "number",
            "currency": "text",
        }  # fmt: skip

    def defaults(self, params: Any) -> RuleDefaults:
        """The anchor lies ahead."""
        return RuleDefaults(anchored_on_date=True)

    def needs(self, params: RenewalApproachingParams) -> Needs:
        """Subscriptions; one of the two ways to know the date must be there."""
        required = ("interval",) if params.interval else ()
        return Needs(
            required={"subscriptions": required},
            optional={"subscriptions": ("plan", "amount_minor", "next_amount_minor", "currency")},
        )

    def find(self, params: RenewalApproachingParams, look: Lookup) -> Found:
        """One candidate a subscription."""
        conditions = [
            Condition("the subscription is in service", "r.in_service"),
            Condition("it has a coming renewal date", "r.renews_at IS NOT NULL", {"renews": "r.renews_on"}),
            Condition("it is not set to cancel", "NOT r.set_to_cancel"),
        ]
        if params.interval:
            sql = f"lower(r.interval) = {look.bind(params.interval)}"
            conditions.append(Condition(f"it is billed by the {params.interval}", sql, {"interval": "r.interval"}))
        return Found(
            "t_subscriptions AS r JOIN person AS p ON p.cust = r.cust", tuple(conditions),
            "r.subscription_id || ':' || strftime(r.renews_on, '%Y-%m-%d')", "r.renews_at",
            {
                "renews_on": lambda: "r.renews_on",
                "plan": lambda: look.column("r", "subscriptions", "plan", "VARCHAR"),
                "amount_minor": lambda: look.column("r", "subscriptions", "amount_minor", "BIGINT"),
                "next_amount_minor": lambda: look.column("r", "subscriptions", "next_amount_minor", "BIGINT"),
                "currency": lambda: look.column("r", "subscriptions", "currency", "VARCHAR"),
            },
        )  # fmt: skip
