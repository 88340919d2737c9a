"""The `cancellation_scheduled` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger, utc_date


class CancellationScheduledParams(TriggerParams):
    """Whether the ladder counts from the request or from the end of service."""

    anchor: Literal["request", "end"] = "request"


class CancellationScheduled(Trigger):
    """Customers who have cancelled and are still served.

        trigger:
          cancellation_scheduled: {anchor: end}
        steps:
          - before: 7 days
            send: leaving/last-week

    Holds for a subscription in service that is set to cancel; taking the cancellation back ends the ladder. Steps count
    from the request, or with `anchor: end` from the end of service: its `ended_at` when that lies ahead, else the
    coming period end. Where nobody knows when a cancellation was asked for, a subscription has one such case only.
    """

    name = "cancellation_scheduled"
    params = CancellationScheduledParams
    about = "the subscription and the UTC date of the request, or `unknown`"
    row_table = "subscriptions"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """When service ends, and which plan."""
        return {"ends_on": "date", "plan": "text"}

    def defaults(self, params: CancellationScheduledParams) -> RuleDefaults:
        """The end of service lies ahead, the request does not."""
        return RuleDefaults(anchored_on_date=params.anchor == "end")

    def needs(self, params: CancellationScheduledParams) -> Needs:
        """Subscriptions; the instant of the request where steps count from it."""
        required = ("cancel_requested_at",) if params.anchor == "request" else ()
        return Needs(
            required={"subscriptions": required},
            optional={"subscriptions": ("plan", "cancel_requested_at", "started_at", "ended_at")},
        )

    def find(self, params: CancellationScheduledParams, look: Lookup) -> Found:
        """One candidate a subscription."""
        requested = look.column("r", "subscriptions", "cancel_requested_at", "TIMESTAMP")
        started = look.column("r", "subscriptions", "started_at", "TIMESTAMP")
        ends_at, ends_on = "r.renews_at", "r.renews_on"
        if look.has("subscriptions", "ended_at"):  # in service, so an end that is set lies ahead
            ends_at, ends_on = f"coalesce(r.ended_at, {ends_at})", f"coalesce(r.ended_at_on, {ends_on})"
        conditions = [
            Condition("the subscription is in service", "r.in_service"),
            Condition("it is set to cancel", "r.set_to_cancel", {"requested": requested}),
        ]
        if params.anchor == "end":
            conditions.append(Condition("the end of service is known", f"{ends_at} IS NOT NULL", {"ends": ends_on}))
        else:
            conditions.append(Condition("the instant of the request is known", f"{requested} IS NOT NULL"))
        return Found(
            "t_subscriptions AS r JOIN person AS p ON p.cust = r.cust", tuple(conditions),
            f"r.subscription_id || ':' || coalesce({utc_date(requested)}, 'unknown')",
            ends_at if params.anchor == "end" else requested,
            {"ends_on": lambda: ends_on, "plan": lambda: look.column("r", "subscriptions", "plan", "VARCHAR")},
            rests_at=f"coalesce({requested}, {started})",
        )  # fmt: skip
