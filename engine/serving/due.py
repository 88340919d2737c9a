"""Which runs are due: the run table is the truth, the clock only asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from engine.project.settings import CatchUp, Settings
from engine.schedule import local_date, local_date_exists, scheduled_instant
from engine.store import RunRow

MOST_CAUGHT_UP = 31
"""Runs made good at most after a long downtime with `catch_up: each`."""

JUST_NOW = timedelta(hours=1)
"""A first run may still be last night's: one scheduled shortly before midnight would else never begin."""

ON_TIME = timedelta(minutes=15)
"""With `catch_up: none`, a run that could not begin within this time of its hour is left out."""


def due_dates(settings: Settings, schedule: str, newest: RunRow | None, now: datetime) -> list[date]:
    """The local dates of `schedule` to run at `now` (naive UTC), oldest first; `newest` is the run of the latest date.

    A run that was begun is always finished first. Dates that a zone jumped over do not exist and are never run; before
    the first run nothing but today is, or last night.
    """
    current = _latest_date(settings, schedule, now)
    if newest is None:
        late = now - scheduled_instant(settings, schedule, current)
        return [current] if current == local_date(settings, now) or late <= JUST_NOW else []
    begun = [newest.local_date] if newest.state == "planning" else []
    missed = _missed(settings, newest.local_date, current)
    return begun + _caught_up(settings.catch_up, missed, scheduled_instant(settings, schedule, current), now)


def _caught_up(policy: CatchUp, missed: Sequence[date], current_at: datetime, now: datetime) -> list[date]:
    if policy == "each":
        return list(missed)
    if policy == "none" and now - current_at > ON_TIME:
        return []
    return list(missed[-1:])


def _latest_date(settings: Settings, schedule: str, now: datetime) -> date:
    """The newest local date whose hour has come."""
    day = local_date(settings, now)
    while scheduled_instant(settings, schedule, day) > now or not local_date_exists(settings, day):
        day -= timedelta(days=1)
    return day


def _missed(settings: Settings, after: date, last: date) -> list[date]:
    """The dates after `after` up to `last`, the newest `MOST_CAUGHT_UP` of them."""
    days = (last - timedelta(days=n) for n in range(min((last - after).days, MOST_CAUGHT_UP)))
    return sorted(day for day in days if local_date_exists(settings, day))
