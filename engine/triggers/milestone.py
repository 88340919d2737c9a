"""The `milestone` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from engine.project.durations import Duration
from engine.project.faults import Fault
from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.project.types import EventNames
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger, events_text
from engine.warehouse.facts import Fact
from engine.warehouse.zones import instant_of, local_span_of


def _months_or_years(duration: Duration) -> Duration:
    if duration.unit not in {"months", "years"}:
        raise Fault("HF131", f'"{duration}" is not whole months', "milestones since sign-up count months or years")
    if duration.n == 0:
        raise Fault("HF129", f'"{duration}" is out of range', "expected at least 1 month")
    return duration


class MilestoneParams(TriggerParams):
    """A time since sign-up that comes again and again, or the nth of some events."""

    every: Annotated[Duration, AfterValidator(_months_or_years)] | None = None
    event: EventNames = ()
    count: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_kind(self) -> MilestoneParams:
        if self.every and (self.event or self.count):
            raise Fault("HF322", "both every and event or count", "expected every, or event with count")
        if not self.every and not (self.event and self.count):
            raise Fault("HF322", "no whole milestone", "expected every, or event with count")
        return self


class Milestone(Trigger):
    """Customers who have been there for a round time, or have done something for the nth time.

        trigger:
          milestone: {every: 1 year}
        steps:
          - after: 0 days
            send: thanks/another-year

    Holds with `every` for everybody who has signed up: the milestone is the one nearest to the run, counted from the
    local date of the sign-up, so that the 31st becomes a shorter month's last day and comes back after it. With
    `{event: report_shared, count: 100}` it holds as soon as that many such events have happened, and the ladder counts
    from the hundredth.
    """

    name = "milestone"
    params = MilestoneParams
    about = "the months since sign-up, or the event and the count"
    survives = "none"

    def facts(self, params: MilestoneParams) -> Mapping[str, ColumnType]:
        """How many months, and whole years, or how many events."""
        return {"years": "number", "months": "number"} if params.every else {"count": "number"}

    def defaults(self, params: MilestoneParams) -> RuleDefaults:
        """A date may lie ahead, and half-way to the next one it is no longer the nearest."""
        if params.every is None:
            return RuleDefaults()
        return RuleDefaults(anchored_on_date=True, holds_for=_months(params.every) * timedelta(days=31) / 2)

    def needs(self, params: MilestoneParams) -> Needs:
        """Sign-up dates, or events."""
        return Needs(required={"customers": ("signed_up_at",)} if params.every else {"events": ("name", "at")})

    def find(self, params: MilestoneParams, look: Lookup) -> Found:
        """One candidate a person."""
        return _since_sign_up(params.every, look) if params.every else _of_events(params, look)


def _months(every: Duration) -> int:
    return every.n * (12 if every.unit == "years" else 1)


def _since_sign_up(every: Duration, look: Lookup) -> Found:
    wall = "CAST(m.day AS TIMESTAMP)"
    return Found(
        f"person AS p JOIN {look.shared(_nearest(_months(every), look))} AS m ON m.cust = p.cust "
        f"{local_span_of(wall, 'p.zone_no', 'z')}",
        (Condition("a milestone, not the sign-up itself", "m.months > 0", {"signed up": look.customer("signed_up_at")}),),
        "m.months || ' months'", instant_of(wall, "z"),
        {"years": lambda: "m.months // 12", "months": lambda: "m.months"},
    )  # fmt: skip


def _nearest(every: int, look: Lookup) -> str:
    """The milestone nearest to the run, for each customer who has signed up. Of two equally far, the earlier.

    Every one is counted from the sign-up itself, never from the one before.
    """
    at = look.customer("signed_up_at")
    signed_up = (
        f"SELECT p.cust, CAST({at} + to_seconds(u.offset_s) AS DATE) AS first, CAST({look.now} AS DATE) AS today "
        f"FROM person AS p JOIN zone_span AS u ON u.zone_no = p.zone_no AND u.year = year({at}) "
        f"AND u.utc_from <= {at} AND {at} < u.utc_to WHERE {at} < {look.now}"
    )
    guessed = f"SELECT *, date_diff('month', first, today) // {every} * {every} AS guess FROM ({signed_up})"
    last = f"SELECT *, CASE WHEN {_day('guess')} > today THEN guess - {every} ELSE guess END AS last FROM ({guessed})"
    following = f"last + {every}"
    nearest = (
        f"SELECT *, CASE WHEN {_day(following)} - today < today - {_day('last')} THEN {following} ELSE last END "
        f"AS months FROM ({last})"
    )
    return f"SELECT cust, months, {_day('months')} AS day FROM ({nearest})"


def _day(months: str) -> str:
    return f"CAST(first + to_months(CAST({months} AS INTEGER)) AS DATE)"


def _of_events(params: MilestoneParams, look: Lookup) -> Found:
    count = params.count or 0
    reached = look.event(Fact("nth", params.event, n=count))
    return Found(
        "person AS p",
        (Condition(f"{events_text(params.event)} happened {count} times", f"{reached} IS NOT NULL", {"reached": reached}),),
        look.bind(f"{'+'.join(params.event)}:{count}"), reached, {"count": lambda: look.bind(count)},
    )  # fmt: skip
