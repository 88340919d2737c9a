"""The `event` trigger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from engine.project.durations import Duration
from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.project.types import Window
from engine.triggers.base import (
    Condition,
    EventName,
    Found,
    Lookup,
    Needs,
    Trigger,
    span_text,
    utc_date,
)  # fmt: skip
from engine.warehouse.facts import Fact

EVENT_BASICS = frozenset({"customer_id", "name", "at"})
"""Columns of an event that its candidate is made of; the others are facts."""


class EventParams(TriggerParams):
    """Something that happened, and something that has not happened since."""

    name: EventName
    within: Window | None = None
    unless: EventName | None = None
    min_count: int = Field(default=1, ge=1)


class Event(Trigger):
    """Customers who did something lately.

        trigger:
          event: {name: checkout_started, within: 7 days, unless: checkout_completed}

    Holds for the newest such event, when it lies within `within` (any time by default), `unless` has not happened at
    or after it, and at least `min_count` such events lie within the window. The row's further columns are facts.
    """

    name = "event"
    params = EventParams
    about = "the UTC date of the newest such event"
    row_table = "events"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """When it happened and how often."""
        return {"event_at": "instant", "count": "number"}

    def defaults(self, params: Any) -> RuleDefaults:
        """The same thing done twice in a month is worth one ladder."""
        return RuleDefaults(repeat_after=Duration(30, "days"))

    def needs(self, params: Any) -> Needs:
        """Events only."""
        return Needs(required={"events": ("name", "at")})

    def find(self, params: EventParams, look: Lookup) -> Found:
        """One candidate a person."""
        names = (params.name,)
        since = look.as_of - params.within.elapsed if params.within else None
        at, count = look.event(Fact("last", names, since)), Fact("count", names, since)
        window = f" within {span_text(params.within.elapsed)}" if params.within else ""
        conditions = [Condition(f"{params.name}{window}", f"{at} IS NOT NULL", {"happened": at})]
        if params.min_count > 1:
            times = look.event(count)
            text = f"at least {params.min_count} times{window}"
            conditions.append(Condition(text, f"{times} >= {look.bind(params.min_count)}", {"times": times}))
        if params.unless:
            done = look.event(Fact("last", (params.unless,)))
            sql = f"({done} IS NULL OR {done} < {at})"
            conditions.append(Condition(f"no {params.unless} since", sql, {params.unless: done}))
        return Found(
            "person AS p", tuple(conditions), utc_date(at), at,
            {"event_at": lambda: at, "count": lambda: look.event(count), **_row_facts(names, since, look)}, rests_at=at,
        )  # fmt: skip


def _row_facts(names: tuple[str, ...], since: Any, look: Lookup) -> dict[str, Callable[[], str]]:
    def newest(column: str) -> Callable[[], str]:
        return lambda: look.event(Fact("newest", names, since, column))

    return {column: newest(column) for column in sorted(look.columns("events") - EVENT_BASICS)}
