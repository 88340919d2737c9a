"""Which dates are due: exactly one run per existing local date, in every zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from serving_settings import settings_of

from engine.serving.due import MOST_CAUGHT_UP, due_dates

FIRST, LAST = datetime(2023, 1, 1), datetime(2027, 1, 1)


def run_of(day: date, state: str = "finished") -> Any:
    return SimpleNamespace(local_date=day, state=state)


def simulate(zone: str, at: time, moments: list[datetime], catch_up: str = "latest") -> list[date]:
    """The dates run when somebody looks at these moments."""
    settings, newest, ran = settings_of(zone, at, catch_up), None, []
    for moment in moments:
        for day in due_dates(settings, "daily", newest, moment):
            ran.append(day)
            newest = run_of(day)
    return ran


def existing_dates(zone: str, first: datetime, last: datetime) -> list[date]:
    """Dates that a clock in the zone showed at some half-hour, found by looking at all of them."""
    found: dict[date, None] = {}
    moment = first
    while moment < last:
        found[moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date()] = None
        moment += timedelta(minutes=30)
    return list(found)


ODD = [
    "America/Nuuk",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "America/Scoresbysund",
]


@pytest.mark.parametrize("zone", ODD)
def test_whoever_looks_every_half_hour_runs_each_date_once(zone: str) -> None:
    for at in (time(0), time(23, 45)):
        year = [FIRST.replace(year=2024) + timedelta(minutes=30 * n) for n in range(2 * 24 * 366)]
        ran = simulate(zone, at, year)
        assert len(ran) == len(set(ran))
        assert set(ran) >= set(existing_dates(zone, year[0], year[-1])[1:-1])


def test_every_zone_runs_once_on_each_date_of_four_years() -> None:
    """Looked at every six hours; zones that share their rules are one case."""
    hours = [FIRST + timedelta(hours=n) for n in range(0, int((LAST - FIRST).total_seconds() // 3600), 6)]
    rules: dict[tuple[object, ...], str] = {}
    for zone in sorted(available_timezones() - {"localtime", "Factory"}):
        offsets = tuple(moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).utcoffset() for moment in hours[::4])
        rules.setdefault(offsets, zone)
    for zone in rules.values():
        ran = simulate(zone, time(2, 30), hours)
        expected = [ran[0] + timedelta(days=n) for n in range((ran[-1] - ran[0]).days + 1)]
        assert ran == expected, zone
        assert len(ran) >= (LAST - FIRST).days - 1


def test_a_date_the_zone_left_out_is_not_run() -> None:
    """Samoa had no 30 December 2011."""
    moments = [datetime(2011, 12, 28) + timedelta(hours=n) for n in range(120)]
    for policy in ("latest", "each"):
        ran = simulate("Pacific/Apia", time(9), moments, policy)
        assert date(2011, 12, 30) not in ran
        assert {date(2011, 12, 29), date(2011, 12, 31)} <= set(ran)


def test_before_the_first_run_only_today_is_due() -> None:
    settings = settings_of("Europe/London", time(9))
    assert due_dates(settings, "daily", None, datetime(2026, 3, 1, 8, 59)) == []
    assert due_dates(settings, "daily", None, datetime(2026, 3, 1, 15)) == [date(2026, 3, 1)]


def test_after_three_days_away_one_run_covers_the_gap() -> None:
    settings = settings_of("Europe/London", time(9))
    newest = run_of(date(2026, 3, 30))
    assert due_dates(settings, "daily", newest, datetime(2026, 4, 3, 7)) == [date(2026, 4, 2)]


def test_each_makes_good_every_date_and_not_without_end() -> None:
    settings = settings_of("Europe/London", time(9), "each")
    newest = run_of(date(2026, 3, 30))
    assert due_dates(settings, "daily", newest, datetime(2026, 4, 2, 12)) == [
        date(2026, 3, 31), date(2026, 4, 1), date(2026, 4, 2),
    ]  # fmt: skip
    assert len(due_dates(settings, "daily", newest, datetime(2028, 4, 2, 12))) == MOST_CAUGHT_UP


def test_none_runs_on_time_or_not_at_all() -> None:
    settings = settings_of("Europe/London", time(9), "none")
    newest = run_of(date(2026, 3, 1))
    assert due_dates(settings, "daily", newest, datetime(2026, 3, 2, 9, 10)) == [date(2026, 3, 2)]
    assert due_dates(settings, "daily", newest, datetime(2026, 3, 2, 10)) == []


def test_an_interrupted_run_is_finished_first() -> None:
    settings = settings_of("Europe/London", time(9))
    newest = run_of(date(2026, 3, 1), "planning")
    assert due_dates(settings, "daily", newest, datetime(2026, 3, 3, 10)) == [date(2026, 3, 1), date(2026, 3, 3)]
    assert due_dates(settings, "daily", newest, datetime(2026, 3, 1, 10)) == [date(2026, 3, 1)]


def test_a_clock_set_back_runs_nothing() -> None:
    settings = settings_of("Europe/London", time(9), "each")
    newest = run_of(date(2026, 3, 10))
    for now in (datetime(2026, 3, 9, 12), datetime(1971, 1, 1)):
        assert due_dates(settings, "daily", newest, now) == []
