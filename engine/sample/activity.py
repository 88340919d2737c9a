"""What customers did in the product: a year of events, from habits and the features each one has taken up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from engine.sample.billing import Account
from engine.sample.company import FREE_REPORTS, price_minor, utc_of
from engine.sample.people import Person
from engine.sample.stream import Stream

Deed = tuple[datetime, str, str, int | None, str | None]
"""Instant, customer, event name, value in the minor unit, currency; in the order events are sorted by."""

Spell = tuple[date, date]
"""Days on which somebody uses the product: first included, last excluded."""

EVENT_DAYS = 365

HABITS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((1, 1, 1, 2, 1, 3), 14),
    ((2, 3, 1, 4, 3, 7), 28),
    ((7, 6, 8, 7, 11, 5), 33),
    ((13, 9, 18, 12, 26), 18),
    ((30, 41, 24, 36), 7),
)
"""Days from one visit to the next, and how common the habit is."""

FEATURES: tuple[tuple[str, int, int], ...] = (
    ("project_created", 82, 28),
    ("report_shared", 46, 24),
    ("invite_sent", 40, 10),
    ("export_used", 52, 22),
    ("api_called", 12, 60),
)
"""Feature, percent of customers who ever take it up, percent of their visits that include it."""


def deeds(person: Person, account: Account, now: datetime) -> Iterator[Deed]:
    """Everything one customer did in the year before `now` (exclusive)."""
    draws = person.stream("activity")
    gaps = draws.weighted(HABITS)
    adopted = [(name, often) for name, taken_up, often in FEATURES if draws.chance(taken_up)]
    since = now - timedelta(days=EVENT_DAYS)
    capped = person.course != "paying"
    reports = 0
    for at, name in _visits(person, _spells(person, account, draws, now.date()), gaps, adopted, draws):
        reports += name == "report_shared"
        # The product itself refuses a free account's report beyond the plan's share.
        refused = capped and name == "report_shared" and reports > FREE_REPORTS
        if since <= at < now and not refused:
            yield at, person.customer_id, name, None, None
    for deed in _checkouts(person, account, draws):
        if since <= deed[0] < now:
            yield deed


def _spells(person: Person, account: Account, draws: Stream, today: date) -> list[Spell]:
    """One stretch of use from the sign-up on; some drift away, and a few of those come back for a while."""
    begin, stays, returns = person.signed_up_on, draws.between(0, 99), draws.chance(14)
    left_after, back_after, back_for = draws.between(1, 240), draws.between(20, 120), draws.between(2, 25)
    quiet_before = draws.between(5, 90)
    plan = account.subscriptions[-1] if account.subscriptions else None
    if person.course == "paying" and plan and plan.ended_at:
        end = plan.ended_at.date() - timedelta(days=left_after % 21)
    elif person.course == "paying":
        end = today if stays < 88 else today - timedelta(days=quiet_before)
    else:
        end = today if stays < 38 else begin + timedelta(days=1 if stays < 52 else left_after)
    spells = [(begin, end)]
    if returns:
        back = end + timedelta(days=back_after)
        spells.append((back, back + timedelta(days=back_for)))
    oldest = today - timedelta(days=EVENT_DAYS)
    return [(max(first, oldest + timedelta(days=stays % 20)), min(last, today)) for first, last in spells]


def _visits(
    person: Person, spells: list[Spell], gaps: tuple[int, ...], adopted: list[tuple[str, int]], draws: Stream
) -> Iterator[tuple[datetime, str]]:
    zone = person.market.timezone
    yield person.signed_up_at + timedelta(minutes=1), "login"
    for begin, end in spells:
        day = begin
        while day < end:
            # Most of the work is done from Monday to Friday.
            if day.weekday() < 5 or draws.chance(30) or day == begin:
                at = person.signed_up_at if day == person.signed_up_on else utc_of(zone, day, draws.between(420, 1200))
                yield at + timedelta(seconds=90 + draws.below(50)), "login"
                for name, often in adopted:
                    if draws.chance(often):
                        at += timedelta(seconds=draws.between(120, 1500))
                        yield at, name
            day += timedelta(days=draws.pick(gaps))


def _checkouts(person: Person, account: Account, draws: Stream) -> Iterator[Deed]:
    """Looking at the till: those who buy do so before their trial ends; others turn back, now and then."""
    currency = person.market.currency
    first = account.subscriptions[0] if account.subscriptions else None
    if person.course == "paying" and first and first.trial_end:
        at = utc_of(person.market.timezone, first.trial_end - timedelta(days=draws.between(1, 9)), 600)
        value = account.bought_minor
        yield at, person.customer_id, "checkout_started", value, currency
        yield at + timedelta(minutes=4), person.customer_id, "checkout_completed", value, currency
        return
    if draws.chance(45):
        for _ in range(draws.between(1, 3)):
            day = person.signed_up_on + timedelta(days=draws.between(2, 300))
            plan = draws.weighted((("pro", 7), ("team", 3)))
            at = utc_of(person.market.timezone, day, draws.between(480, 1200))
            yield at, person.customer_id, "checkout_started", price_minor(plan, "month", currency), currency
