"""Conversions between instants and local times, against zoneinfo, for every zone there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo, available_timezones

import duckdb
import pytest

from engine.warehouse.zones import (
    FIRST_YEAR,
    LAST_YEAR,
    create_zone_tables,
    known_zones,
    local_spans,
    local_to_utc,
    utc_spans,
    utc_to_local,
)

ZONES = sorted(available_timezones())
YEARS = (2010, 2028)
"""Apia skipped a day in 2011, Casablanca and El Aaiun pause for Ramadan, Volgograd and Sudan changed their minds."""

FIRST_S, LENGTH_S = datetime(YEARS[0], 1, 2), int(timedelta(days=365 * 18).total_seconds())
NEAR_S = (-7200, -3600, -1800, -1, 0, 1, 1799, 1800, 3599, 3600, 7199, 7200)


def by_zoneinfo(zone: str, instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def sampled(zone: str, count: int) -> list[datetime]:
    """Instants over the years, and those around each change of the clock."""
    random = Random(zone)
    some = [FIRST_S + timedelta(seconds=random.randrange(LENGTH_S)) for _ in range(count)]
    changes = [span.utc_from for span in utc_spans(zone, *YEARS)[1:]]
    near = [
        change + timedelta(seconds=offset)
        for change in random.sample(changes, min(3, len(changes)))
        for offset in NEAR_S
    ]
    return [instant for instant in some + near if instant >= FIRST_S]


def is_local(zone: str, wall: datetime) -> bool:
    """Whether the clock ever shows this time there."""
    there = wall.replace(tzinfo=ZoneInfo(zone))
    return there.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall


def test_every_zone_is_known() -> None:
    assert known_zones() == set(ZONES)


def test_spans_follow_one_another_without_holes() -> None:
    for zone in ZONES:
        spans = utc_spans(zone, *YEARS)
        assert (spans[0].utc_from, spans[-1].utc_to) == (datetime(YEARS[0], 1, 1), datetime(YEARS[1] + 1, 1, 1)), zone
        assert all(a.utc_to == b.utc_from and a.offset_s != b.offset_s for a, b in pairwise(spans)), zone
        assert all(
            a.local_to == b.local_from and a.local_from < a.local_to for a, b in pairwise(local_spans(zone, *YEARS))
        ), zone


def test_instants_become_local_times_as_zoneinfo_has_it() -> None:
    for zone in ZONES:
        spans = utc_spans(zone, *YEARS)
        for instant in sampled(zone, 12):
            span = next(span for span in spans if span.utc_from <= instant < span.utc_to)
            assert instant + timedelta(seconds=span.offset_s) == by_zoneinfo(zone, instant), (zone, instant)


def test_local_times_become_instants_as_zoneinfo_has_it() -> None:
    """A time that occurs twice is the first; one that does not exist is the first instant after the gap."""
    for zone in ZONES:
        spans = local_spans(zone, *YEARS)
        for instant in sampled(zone, 6):
            for wall in (by_zoneinfo(zone, instant), instant):
                span = next(span for span in spans if span.local_from <= wall < span.local_to)
                found = span.fixed_utc or wall - timedelta(seconds=span.offset_s)
                if is_local(zone, wall):
                    first = wall.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC).replace(tzinfo=None)
                    assert found == first, (zone, wall)
                else:
                    assert by_zoneinfo(zone, found) > wall, (zone, wall)
                    assert by_zoneinfo(zone, found - timedelta(seconds=1)) < wall, (zone, wall)


HARD = {
    ("Europe/London", datetime(2026, 3, 29, 1, 30)): datetime(2026, 3, 29, 1),
    ("Europe/London", datetime(2026, 10, 25, 1, 30)): datetime(2026, 10, 25, 0, 30),
    ("America/New_York", datetime(2026, 3, 8, 2, 30)): datetime(2026, 3, 8, 7),
    ("America/New_York", datetime(2026, 11, 1, 1, 30)): datetime(2026, 11, 1, 5, 30),
    ("Pacific/Apia", datetime(2011, 12, 30)): datetime(2011, 12, 30, 10),  # that day did not take place
    ("Pacific/Apia", datetime(2011, 12, 30, 23, 59)): datetime(2011, 12, 30, 10),
    ("Pacific/Apia", datetime(2011, 12, 31)): datetime(2011, 12, 30, 10),
    ("Pacific/Apia", datetime(2011, 12, 29, 23, 59)): datetime(2011, 12, 30, 9, 59),
    ("Africa/Casablanca", datetime(2026, 2, 15, 2, 30)): datetime(2026, 2, 15, 1, 30),  # back for Ramadan, the first time
    ("Australia/Lord_Howe", datetime(2026, 10, 4, 2, 15)): datetime(2026, 10, 3, 15, 30),  # half an hour is skipped
    ("Australia/Lord_Howe", datetime(2026, 4, 5, 1, 45)): datetime(2026, 4, 4, 14, 45),
    ("Asia/Kathmandu", datetime(2026, 6, 1, 12)): datetime(2026, 6, 1, 6, 15),
    ("America/Sao_Paulo", datetime(2018, 11, 4)): datetime(2018, 11, 4, 3),  # midnight did not exist
    ("Asia/Beirut", datetime(2026, 3, 29, 0, 30)): datetime(2026, 3, 28, 22),
    ("America/Recife", datetime(2000, 10, 10, 12)): datetime(2000, 10, 10, 14),  # summer time lasted one week
    ("Asia/Gaza", datetime(2040, 10, 22, 12)): datetime(2040, 10, 22, 9),  # and will, around Ramadan
    ("Antarctica/Troll", datetime(2026, 3, 29, 2)): datetime(2026, 3, 29, 1),  # two hours at once
}  # fmt: skip


@pytest.mark.parametrize(("zone", "wall"), HARD)
def test_hard_local_times(zone: str, wall: datetime) -> None:
    assert local_to_utc(zone, wall) == HARD[zone, wall]


def test_no_change_of_the_clock_is_missed() -> None:
    """Day by day through the whole range, for zones with changes close to one another."""
    for zone in (
        "America/Recife",
        "America/Boa_Vista",
        "Asia/Gaza",
        "Africa/Casablanca",
        "Africa/Cairo",
        "Asia/Hebron",
    ):
        spans = iter(utc_spans(zone))
        span, instant = next(spans), datetime(FIRST_YEAR, 1, 1)
        while instant < datetime(LAST_YEAR + 1, 1, 1):
            while instant >= span.utc_to:
                span = next(spans)
            assert instant + timedelta(seconds=span.offset_s) == by_zoneinfo(zone, instant), (zone, instant)
            instant += timedelta(days=1)


def test_local_times_of_instants() -> None:
    assert utc_to_local("Pacific/Apia", datetime(2011, 12, 30, 9, 59, 59)) == datetime(2011, 12, 29, 23, 59, 59)
    assert utc_to_local("Pacific/Apia", datetime(2011, 12, 30, 10)) == datetime(2011, 12, 31)


def test_the_tables_join_every_instant_and_every_local_time_exactly_once() -> None:
    zones = [
        "UTC",
        "Europe/London",
        "Pacific/Apia",
        "Africa/Casablanca",
        "Australia/Lord_Howe",
        "Pacific/Kiritimati",
        "Etc/GMT+12",
    ]
    instants = [(number, instant) for number, zone in enumerate(zones) for instant in sampled(zone, 200)]
    instants += [(number, datetime(year, 1, 1) + timedelta(hours=h)) for number in range(len(zones))
                 for year in (FIRST_YEAR + 1, 2000, LAST_YEAR) for h in (-14, -1, 0, 1, 14)]  # fmt: skip
    with duckdb.connect() as db:
        create_zone_tables(db, zones)
        db.execute("CREATE TABLE asked (zone_no INTEGER, moment TIMESTAMP)")
        db.execute(
            "INSERT INTO asked SELECT unnest(?::INTEGER[]), unnest(?::TIMESTAMP[])",
            [list(c) for c in zip(*instants, strict=True)],
        )
        found = db.execute(
            "SELECT a.zone_no, a.moment, a.moment + to_seconds(s.offset_s), count(*) OVER (PARTITION BY a.rowid) FROM asked AS a "
            "LEFT JOIN zone_span AS s ON s.zone_no = a.zone_no AND s.year = year(a.moment) AND s.utc_from <= a.moment AND a.moment < s.utc_to"
        ).fetchall()
        assert len(found) == len(instants)
        for number, instant, local, times in found:
            assert (local, times) == (by_zoneinfo(zones[number], instant), 1)
        back = db.execute(
            "SELECT a.zone_no, a.moment, coalesce(l.fixed_utc, a.moment - to_seconds(l.offset_s)), count(*) OVER (PARTITION BY a.rowid) "
            "FROM asked AS a LEFT JOIN local_span AS l ON l.zone_no = a.zone_no AND l.year = year(a.moment) "
            "AND l.local_from <= a.moment AND a.moment < l.local_to"
        ).fetchall()
        assert len(back) == len(instants)
        for number, wall, instant, times in back:
            assert (instant, times) == (local_to_utc(zones[number], wall), 1)
