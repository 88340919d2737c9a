"""Starts runs. APScheduler only wakes it every minute: what is due, the run table says."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from threading import Event

from apscheduler.schedulers.background import BackgroundScheduler

from engine.clock import utc_now
from engine.errors import HeldError, HoldfastError, UnavailableError
from engine.run import RunReport, daily_run
from engine.schedule import scheduled_instant
from engine.serving.due import due_dates
from engine.serving.journal import Journal
from engine.serving.watched import Watched
from engine.store import Store

EVERY_S = 60
LARGEST_JUMP = timedelta(hours=24)
"""A clock that moves farther than this while we watch is broken, and dates decided by it would be wrong."""

_WAITS_FOR_A_PERSON = frozenset({"held_for_review", "stale_table", "empty_table", "shrunk_table"})


class Scheduler:
    """Asks every minute what is due, and runs it. Two of them, on one host or two, start each run once."""

    def __init__(
        self,
        watched: Watched,
        store: Store,
        journal: Journal,
        *,
        clock: Callable[[], datetime] = utc_now,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watched, self._store, self._journal = watched, store, journal
        self._clock, self._elapsed_s = clock, elapsed_s
        self._last_looked: tuple[datetime, float] | None = None

    def run(self, stop: Event) -> None:
        """Until `stop` is set; a run under way is let finish. Raises HeldError when the clock has jumped."""
        failed: list[HeldError] = []

        def tick() -> None:
            try:
                self.tick()
            except HeldError as error:
                failed.append(error)
                stop.set()
            except Exception as fault:  # noqa: BLE001 - APScheduler would swallow it; the next tick may do better
                self._journal.alarm("run_failed", reason=f"{type(fault).__name__}: {fault}")

        ticker = BackgroundScheduler(timezone="UTC")
        ticker.add_job(
            tick, "interval", seconds=EVERY_S, coalesce=True, max_instances=1, misfire_grace_time=None,
            next_run_time=utc_now().replace(tzinfo=UTC),
        )  # fmt: skip
        ticker.start()
        stop.wait()
        ticker.shutdown(wait=True)
        if failed:
            raise failed[0]

    def tick(self) -> list[RunReport]:
        """Run what is due now. Trouble is told and left to the next tick; only a jumped clock raises (HeldError)."""
        now = self._clock()
        self._check_clock(now)
        project = self._watched.project()
        used = {rule.schedule for rule in project.rules if rule.status != "draft"}
        reports: list[RunReport] = []
        for schedule in sorted(used, key=lambda name: (project.settings.schedules[name], name)):
            try:
                newest = self._store.runs.newest(schedule)
                days = due_dates(project.settings, schedule, newest, now)
                reports.extend(self._run(schedule, day, now) for day in days)
            except UnavailableError as error:  # another host is running it, or a database is away
                self._journal.warn("run_put_off", schedule=schedule, reason=error)
            except HoldfastError as error:
                self._journal.alarm("run_failed", schedule=schedule, reason=error)
        return reports

    def _run(self, schedule: str, day: date, now: datetime) -> RunReport:
        project = self._watched.project()
        begun_s = self._elapsed_s()
        as_of = scheduled_instant(project.settings, schedule, day)
        report = daily_run(project, self._store, schedule, day, as_of, now)
        totals: dict[str, int] = {}
        for _, outcome, _, count in report.counts:
            totals[outcome] = totals.get(outcome, 0) + count
        self._journal.say(
            "run_finished", run=report.run.id, schedule=schedule, date=day, seconds=round(self._elapsed_s() - begun_s, 1),
            outcomes=totals, messages=report.written.messages,
        )  # fmt: skip
        for doubt in report.doubts:
            self._journal.alarm("table_doubted", table=doubt.table, reason=doubt.reason, text=doubt.text)
        for rule in sorted({rule for rule, _, reason, _ in report.counts if reason in _WAITS_FOR_A_PERSON}):
            self._journal.alarm("rule_held", run=report.run.id, rule=rule)
        if report.written.conflicts:
            self._journal.alarm("key_conflicts", run=report.run.id, **report.written.conflicts)
        return report

    def _check_clock(self, now: datetime) -> None:
        """Compare the clock on the wall with the one that only counts."""
        elapsed_s, before = self._elapsed_s(), self._last_looked
        self._last_looked = (now, elapsed_s)
        if before is None:
            return
        jump = (now - before[0]) - timedelta(seconds=elapsed_s - before[1])
        if abs(jump) > LARGEST_JUMP:
            raise HeldError(f"the clock has jumped by {jump}; set it right and start again, nothing was run by it")
