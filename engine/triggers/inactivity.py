"""The `inactivity` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from engine.project.durations import Duration
from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.project.types import EventNames, Window
from engine.triggers.base import (
    Condition,
    Found,
    Lookup,
    Needs,
    Trigger,
    elapsed_days,
    events_text,
    later,
    span_text,
    utc_date,
)  # fmt: skip
from engine.warehouse.facts import Fact


class InactivityParams(TriggerParams):
    """How long the silence is, and what counts as a sign of life."""

    for_: Window = Field(alias="for")
    event: EventNames = ()
    min_events: int = Field(default=1, ge=1)


class Inactivity(Trigger):
    """Customers who used to do something and have not done it for a while.

        trigger:
          inactivity: {for: 30 days, event: login, min_events: 3}

    Holds when the last matching event is at least `for` old; exactly `for` old is old enough. Without `event` any
    event is a sign of life. Who never did it is not inactive: `min_events` asks for more than one earlier event.
    A new event ends the silence; the next silence is another occurrence with a ladder of its own.
    """

    name = "inactivity"
    params = InactivityParams
    about = "the UTC date of the last event"
    scoped = True

    def facts(self, params: InactivityParams) -> Mapping[str, ColumnType]:
        """When it was last seen, how long ago, how often before."""
        return {"last_event_at": "instant", "days_inactive": "number", "events_before": "number"}

    def defaults(self, params: Any) -> RuleDefaults:
        """Two silences soon after one another are worth one ladder."""
        return RuleDefaults(repeat_after=Duration(30, "days"))

    def needs(self, params: InactivityParams) -> Needs:
        """Events only."""
        return Needs(required={"events": ("name", "at")})

    def find(self, params: InactivityParams, look: Lookup) -> Found:
        """One candidate a person."""
        silence = params.for_.elapsed
        last = look.event(Fact("last", params.event))
        what = events_text(params.event) if params.event else "event at all"
        conditions = [
            Condition(f"no {what} for {span_text(silence)}", f"{last} <= {look.ago(silence)}", {"last": last})
        ]
        if params.min_events > 1:
            count = look.event(Fact("count", params.event))
            text = f"at least {params.min_events} such events in all"
            conditions.append(Condition(text, f"{count} >= {look.bind(params.min_events)}", {"events": count}))
        return Found(
            "person AS p", tuple(conditions), utc_date(last), later(last, silence), {
                "last_event_at": lambda: last,
                "days_inactive": lambda: elapsed_days(last, look.now),
                "events_before": lambda: look.event(Fact("count", params.event)),
            }, rests_at=last,
        )  # fmt: skip
