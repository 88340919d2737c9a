"""When runs are due: a schedule's time of day on a local date of the workspace, as an instant."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from engine.project.settings import Settings
from engine.warehouse.zones import local_to_utc, utc_to_local


def scheduled_instant(settings: Settings, schedule: str, day: date) -> datetime:
    """UTC instant of a schedule on a local date; a time skipped by a clock change is the first one after it."""
    return local_to_utc(settings.workspace.timezone, datetime.combine(day, settings.schedules[schedule]))


def horizon_after(settings: Settings, schedule: str, as_of: datetime) -> datetime:
    """The instant of the schedule's next run after `as_of`: steps due before it are planned now."""
    day = local_date(settings, as_of)
    today = scheduled_instant(settings, schedule, day)
    return today if today > as_of else scheduled_instant(settings, schedule, day + timedelta(days=1))


def local_date(settings: Settings, instant: datetime) -> date:
    """The workspace's local date at an instant."""
    return utc_to_local(settings.workspace.timezone, instant).date()


def local_date_exists(settings: Settings, day: date) -> bool:
    """Whether the workspace's calendar has that date; zones that crossed the date line left one out."""
    noon = local_to_utc(settings.workspace.timezone, datetime.combine(day, time(12)))
    return local_date(settings, noon) == day


def default_as_of(settings: Settings, schedule: str, now: datetime) -> datetime:
    """What a run started now takes as its instant: today's scheduled one, or now when that is still to come."""
    return min(now, scheduled_instant(settings, schedule, local_date(settings, now)))


def send_time(settings: Settings, schedule: str) -> time:
    """The local sending time where no rule or step names one."""
    return settings.send_at or settings.schedules[schedule]
