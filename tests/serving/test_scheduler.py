"""The scheduler: the run table decides, whoever asks and however often."""

from __future__ import annotations

import io
import json
from datetime import date, datetime, timedelta
from threading import Thread

import pytest

from engine.errors import HeldError
from engine.serving.journal import Journal
from engine.serving.scheduler import Scheduler
from engine.serving.watched import Watched
from engine.store import Store
from tests.run.run_company import Company

DUE = date(2026, 5, 1)


class Time:
    """A clock on the wall and one that only counts."""

    def __init__(self, now: datetime) -> None:
        self.now, self.seconds = now, 0.0

    def pass_by(self, **time: float) -> None:
        step = timedelta(**time)
        self.now += step
        self.seconds += step.total_seconds()


def scheduler_of(company: Company, time: Time, out: io.StringIO | None = None, store: Store | None = None) -> Scheduler:
    journal = Journal(out or io.StringIO(), lambda: time.now)
    return Scheduler(
        Watched(company.folder, journal), store or company.store, journal, clock=lambda: time.now,
        elapsed_s=lambda: time.seconds,
    )  # fmt: skip


def events(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_day_of_ticks_makes_one_run(company: Company) -> None:
    time = Time(datetime(2026, 5, 1, 0, 0))
    scheduler = scheduler_of(company, time)
    for _ in range(24 * 12):
        scheduler.tick()
        time.pass_by(minutes=5)
    runs = company.store.runs.recent()
    assert [(run.local_date, run.n, run.as_of) for run in runs] == [
        (DUE, 1, datetime(2026, 5, 1, 8))
    ]  # 09:00 in London
    assert company.messages() == [("ann", "quiet", "first")]


def test_four_schedulers_at_once_make_one_run(company: Company) -> None:
    time, failures = Time(datetime(2026, 5, 1, 9)), []
    project = company.project()

    def tick() -> None:
        try:
            with project.open_store() as store:
                scheduler = scheduler_of(company, time, store=store)
                for _ in range(3):
                    scheduler.tick()
        except Exception as fault:  # noqa: BLE001 - whatever it was, the test shows it
            failures.append(fault)

    threads = [Thread(target=tick) for _ in range(4)]
    company.store.runs.recent()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [(run.local_date, run.n) for run in company.store.runs.recent()] == [(DUE, 1)]
    assert company.messages() == [("ann", "quiet", "first")]


def test_a_clock_that_jumps_stops_the_scheduler_before_anything_is_run(company: Company) -> None:
    for jump in (timedelta(days=3650), timedelta(days=-3650)):
        time = Time(datetime(2026, 5, 1, 7))
        scheduler = scheduler_of(company, time)
        scheduler.tick()
        time.seconds += 60
        time.now += jump
        with pytest.raises(HeldError, match="the clock has jumped"):
            scheduler.tick()
    assert company.store.runs.recent() == []


def test_two_hours_forth_and_back_make_no_second_run(company: Company) -> None:
    time = Time(datetime(2026, 5, 1, 7, 30))
    scheduler = scheduler_of(company, time)
    for step in (2, -2, 2, 0):
        time.now += timedelta(hours=step)
        time.seconds += 60
        scheduler.tick()
    assert len(company.store.runs.recent()) == 1


def test_a_rule_with_a_mistake_leaves_the_last_good_version_at_work(company: Company) -> None:
    time, out = Time(datetime(2026, 5, 1, 7)), io.StringIO()
    scheduler = scheduler_of(company, time, out)
    (company.folder / "rules" / "quiet.yaml").write_text("rule: quiet\nsteps: nonsense\n")
    for _ in range(3):
        time.pass_by(hours=1)
        scheduler.tick()
    assert company.messages() == [("ann", "quiet", "first")]
    assert [event["event"] for event in events(out)].count("project_broken") == 1


def test_a_corrected_rule_is_used_at_the_next_run(company: Company) -> None:
    time = Time(datetime(2026, 5, 1, 9))
    scheduler = scheduler_of(company, time)
    path = company.folder / "rules" / "quiet.yaml"
    path.write_text(path.read_text().replace("send: first", "send: third"))
    scheduler.tick()
    (message,) = company.store.history_of("ann").messages
    assert message.template == "third"


def test_tables_that_cannot_be_read_are_told_and_the_next_tick_tries_again(company: Company) -> None:
    time, out = Time(datetime(2026, 5, 1, 9)), io.StringIO()
    scheduler = scheduler_of(company, time, out)
    away = company.folder / "away.csv"
    (company.folder / "events.csv").rename(away)
    assert scheduler.tick() == []
    assert events(out)[-1]["level"] in {"warning", "error"}
    away.rename(company.folder / "events.csv")
    time.pass_by(minutes=1)
    assert len(scheduler.tick()) == 1
    assert company.messages() == [("ann", "quiet", "first")]


def test_the_journal_names_no_address(company: Company) -> None:
    time, out = Time(datetime(2026, 5, 1, 9)), io.StringIO()
    scheduler_of(company, time, out).tick()
    Journal(out).warn("channel_down", reason="550 <ann@example.com> unknown\nsecond line")
    assert "ann@example.com" not in out.getvalue()
    assert len(events(out)) == 2
    assert events(out)[0]["outcomes"] == {"send": 1}
