"""The `onboarding` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
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
    events_text,
    later,
    span_text,
    utc_date,
)  # fmt: skip
from engine.warehouse.facts import Fact


class OnboardingParams(TriggerParams):
    """The step a new customer has not taken, and how new a customer is new."""

    event: EventNames = Field(min_length=1)
    for_: Window = Field(alias="for")
    within: Window = Duration(30, "days")


class Onboarding(Trigger):
    """New customers who have not yet done the thing that makes them stay.

        trigger:
          onboarding: {event: project_created, for: 1 day, within: 14 days}

    Holds when a customer signed up at least `for` and at most `within` ago and has never done `event` (none of them,
    for a list). Doing it ends the ladder, since the trigger no longer finds the customer.
    """

    name = "onboarding"
    params = OnboardingParams
    about = "the event and the UTC date of the sign-up"
    scoped = True

    def facts(self, params: OnboardingParams) -> Mapping[str, ColumnType]:
        """What is missing and since when the customer is there."""
        return {"event": "text", "signed_up_at": "instant"}

    def defaults(self, params: Any) -> RuleDefaults:
        """A candidate is gone once the sign-up is older than `within`, so no step may come later than that."""
        length: timedelta = params.within.elapsed - params.for_.elapsed
        return RuleDefaults(holds_for=length)

    def needs(self, params: OnboardingParams) -> Needs:
        """Events and sign-up dates."""
        return Needs(required={"events": ("name", "at"), "customers": ("signed_up_at",)})

    def find(self, params: OnboardingParams, look: Lookup) -> Found:
        """One candidate a person."""
        signed_up, done = look.customer("signed_up_at"), look.event(Fact("last", params.event))
        least, most, what = params.for_.elapsed, params.within.elapsed, events_text(params.event)
        return Found(
            "person AS p",
            (
                Condition(
                    f"signed up at least {span_text(least)} ago",
                    f"{signed_up} <= {look.ago(least)}",
                    {"signed up": signed_up},
                ),
                Condition(f"signed up at most {span_text(most)} ago", f"{signed_up} >= {look.ago(most)}"),
                Condition(f"{what} never done", f"{done} IS NULL", {"done": done}),
            ),
            f"{look.bind('+'.join(params.event) + ':')} || {utc_date(signed_up)}",
            later(signed_up, least),
            {"event": lambda: look.bind(what), "signed_up_at": lambda: signed_up},
            rests_at=signed_up,
        )
