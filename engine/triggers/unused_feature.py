"""The `unused_feature` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import Field

from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.project.types import EventNames, Window
from engine.triggers.base import (
    Condition,
    EventName,
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


class UnusedFeatureParams(TriggerParams):
    """Which feature, and how active a customer must be for its absence to mean something."""

    feature: EventName
    for_: Window = Field(alias="for")
    active_within: Window | None = None
    active_event: EventNames = ()
    min_active_events: int = Field(default=1, ge=1)
    min_age: Window | None = None


class UnusedFeature(Trigger):
    """Active customers who do not use one feature.

        trigger:
          unused_feature: {feature: report_shared, for: 30 days, active_within: 14 days, min_age: 21 days}

    Holds when the feature was not used within `for`, or never; a use exactly `for` ago is still within it. With
    `active_within`, at least `min_active_events` of `active_event` (any event by default) must lie within that time,
    and with `min_age` the customer must have signed up at least that long ago.
    """

    name = "unused_feature"
    params = UnusedFeatureParams
    about = "the UTC date of the last use, or `never`"
    scoped = True

    def facts(self, params: UnusedFeatureParams) -> Mapping[str, ColumnType]:
        """The feature and when it was last used."""
        return {"feature": "text", "last_used_at": "instant"}

    def defaults(self, params: Any) -> RuleDefaults:
        """Who has lacked the feature for long is just whom the rule is for, so existing cases are included."""
        return RuleDefaults(existing="include")

    def needs(self, params: UnusedFeatureParams) -> Needs:
        """Events, and the sign-up date that anchors those who never used it."""
        return Needs(required={"events": ("name", "at"), "customers": ("signed_up_at",)})

    def find(self, params: UnusedFeatureParams, look: Lookup) -> Found:
        """One candidate a person."""
        absence = params.for_.elapsed
        last, signed_up = look.event(Fact("last", (params.feature,))), look.customer("signed_up_at")
        conditions = [
            Condition(
                f"{params.feature} not used for {span_text(absence)}, or never",
                f"({last} IS NULL OR {last} < {look.ago(absence)})", {"last used": last},
            ),
            *_active(params, look), *_old_enough(params, look, signed_up),
        ]  # fmt: skip
        conditions.append(Condition(
            "a known sign-up date or an earlier use", f"({last} IS NOT NULL OR {signed_up} < {look.now})",
            {"signed up": signed_up},
        ))  # fmt: skip
        since_sign_up = later(signed_up, params.min_age.elapsed if params.min_age else timedelta(0))
        return Found(
            "person AS p", tuple(conditions), f"coalesce({utc_date(last)}, 'never')",
            f"coalesce({later(last, absence)}, {since_sign_up})",
            {"feature": lambda: look.bind(params.feature), "last_used_at": lambda: last}, rests_at=last,
        )  # fmt: skip


def _active(params: UnusedFeatureParams, look: Lookup) -> list[Condition]:
    if params.active_within is None:
        return []
    window, text = params.active_within.elapsed, events_text(params.active_event)
    since = look.as_of - window
    if params.min_active_events == 1:
        last = look.event(Fact("last", params.active_event))
        return [Condition(f"{text} within {span_text(window)}", f"{last} >= {look.bind(since)}", {"last": last})]
    count = look.event(Fact("count", params.active_event, since=since))
    text = f"at least {params.min_active_events} of {text} within {span_text(window)}"
    return [Condition(text, f"{count} >= {look.bind(params.min_active_events)}", {"events": count})]


def _old_enough(params: UnusedFeatureParams, look: Lookup, signed_up: str) -> list[Condition]:
    if params.min_age is None:
        return []
    age = params.min_age.elapsed
    text = f"signed up at least {span_text(age)} ago"
    return [Condition(text, f"{signed_up} <= {look.ago(age)}", {"signed up": signed_up})]
