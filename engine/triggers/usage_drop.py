"""The `usage_drop` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from engine.project.durations import Duration
from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.project.types import EventNames, Share, Window
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger, events_text, span_text
from engine.warehouse.facts import Fact
from engine.warehouse.zones import instant_of, local_span_of

_WHOLE = 10**8
"""A share in these parts is a whole number, so that nothing at the very bound is lost to rounding."""


class UsageDropParams(TriggerParams):
    """What is counted, over how long, and how far it must have fallen."""

    event: EventNames = Field(min_length=1)
    window: Window
    by: Annotated[Share, Field(gt=0)] = 0.5
    min_before: int = Field(default=4, ge=1)


class UsageDrop(Trigger):
    """Customers who do something much less than they did.

        trigger:
          usage_drop: {event: report_shared, window: 30 days, by: 60%}
        steps:
          - send: usage/can-we-help

    Holds when at least `min_before` such events lie in the window before the last one, and those in the last window
    are fewer by `by` or more; exactly `by` is enough. An event exactly `window` old belongs to the last window. The case
    begins on the day the first step is settled, so that step is due at once and has no `after`, and it lasts
    `repeat_after`: a drop that goes on, or comes again, within that time is the same.
    """

    name = "usage_drop"
    params = UsageDropParams
    about = "the date of the run that settled the first step"
    survives = "opened"
    scoped = True

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """Events in both windows, and the change in percent (-60)."""
        return {"before": "number", "now": "number", "change": "number"}

    def defaults(self, params: UsageDropParams) -> RuleDefaults:
        """After as long as the window is, none of the events that made the first case counts any more."""
        days = -(-params.window.elapsed // timedelta(days=1))
        return RuleDefaults(repeat_after=Duration(days, "days"), begins_with_step=True)

    def needs(self, params: Any) -> Needs:
        """Events only."""
        return Needs(required={"events": ("name", "at")})

    def find(self, params: UsageDropParams, look: Lookup) -> Found:
        """One candidate a person."""
        window, what = params.window.elapsed, events_text(params.event)
        now = look.event(Fact("count", params.event, since=look.as_of - window))
        before = f"({look.event(Fact('count', params.event, since=look.as_of - 2 * window))} - {now})"
        kept = _WHOLE - round(params.by * _WHOLE)
        wall = "CAST(o.today AS TIMESTAMP)"
        return Found(
            f"person AS p CROSS JOIN {look.shared(_TODAY)} AS o {local_span_of(wall, '0', 'z')}",
            (
                Condition(
                    f"at least {params.min_before} of {what} in the {span_text(window)} before the last",
                    f"{before} >= {look.bind(params.min_before)}", {"before": before},
                ),
                Condition(
                    f"fewer by {100 * params.by:.6g}% or more in the last {span_text(window)}",
                    f"{now} * {_WHOLE} <= {before} * {kept}", {"now": now},
                ),
            ),
            "strftime(o.today, '%Y-%m-%d')", instant_of(wall, "z"),
            {
                "before": lambda: before, "now": lambda: now,
                "change": lambda: f"CAST(round(({now} - {before}) * 100 / nullif({before}, 0)) AS BIGINT)",
            },
        )  # fmt: skip


_TODAY = "SELECT CAST(n.wall_now AS DATE) AS today FROM zone_number AS n WHERE n.zone_no = 0"
"""The run's local date: the workspace's zone has the number 0."""
