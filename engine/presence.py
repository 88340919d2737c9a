"""Honest mistakes of operators: a copied state that would write to everybody again, a restored one that forgot.

Both are stopped before the first real mail and released by `holdfast adopt`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.api import Project
from engine.errors import HeldError
from engine.run import daily_run
from engine.schedule import local_date, scheduled_instant
from engine.store import Store
from engine.store.home import Home

NOTE_EVERY = timedelta(seconds=5)

_RELEASE = "`holdfast adopt` says what to do and takes this state into use"


class Presence:
    """Watches over one delivery of a live project."""

    def __init__(self, project: Project, store: Store) -> None:
        self._home = store.home(project.root)
        self._noted_at: datetime | None = None

    def check(self) -> None:
        """Raise HeldError when this state is a copy, or older than it was."""
        known, lost = self._home.known(), lost_since(self._home)
        if lost is not None:
            begin, end = lost
            raise HeldError(
                f"this state is an older copy: it ends at {begin:%Y-%m-%d %H:%M} UTC and had been at work until "
                f"{end:%Y-%m-%d %H:%M}, so it does not know what was sent in between; {_RELEASE}"
            )
        if known is not None and known != self._home.here():
            raise HeldError(
                "this state has moved: it wrote to people from another machine or database. If that one is still "
                f"at work, both would write to the same people; {_RELEASE}"
            )
        if known is None:
            self._home.settle()

    def note(self, now: datetime) -> None:
        """Say that it is at work, at most every few seconds."""
        if self._noted_at is None or now - self._noted_at >= NOTE_EVERY:
            self._noted_at = now
            self._home.note(now)

    def end(self, now: datetime) -> None:
        """Say how far it got, if it did anything."""
        if self._noted_at is not None:
            self._home.note(now)


def lost_since(home: Home) -> tuple[datetime, datetime] | None:
    """From when until when the state has forgotten what it did; None when it has not."""
    inside, outside = home.reached(), home.reached_before()
    if outside is None or (inside is not None and inside >= outside):
        return None
    return inside or outside, outside


@dataclass(frozen=True)
class Adopted:
    """What was done to take a state into use. Messages are those that will not be sent, because they may have been."""

    forgotten_from: datetime | None
    forgotten_until: datetime | None
    runs: int
    messages: int


def adopt(
    project: Project, store: Store, now: datetime, progress: Callable[[str], None] = lambda text: None
) -> Adopted:
    """Take this state into use here.

    After a step back in time, whatever was due in the time it forgot may have been sent: those days are planned once
    more, so that the memory is whole again, and none of their messages leaves. They become `unknown`, and
    `holdfast outbox resend` sends single ones. Doing it twice changes nothing.
    """
    home = store.home(project.root)
    lost = lost_since(home)
    runs, messages = 0, 0
    if lost is not None:
        until = lost[1]
        for schedule in sorted({rule.schedule for rule in project.rules if rule.status != "draft"}):
            newest = store.runs.newest(schedule)
            day = newest.local_date if newest else local_date(project.settings, lost[0])
            while scheduled_instant(project.settings, schedule, day) <= until:
                progress(f"{schedule} of {day}")
                as_of = scheduled_instant(project.settings, schedule, day)
                runs += daily_run(project, store, schedule, day, as_of, now).fresh
                day += timedelta(days=1)
        messages = store.outbox.forgo(until, "restored")
    home.settle()
    home.note(now)
    begin, end = lost or (None, None)
    return Adopted(begin, end, runs, messages)
