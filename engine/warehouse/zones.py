"""Time zones as tables: every conversion between instants and local dates is a join, never an engine's zone function.

Engines carry zone tables of different age and treat gaps and overlaps differently, so the spans are worked out here
with zoneinfo once per run, for the zones that customers really have, and joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import duckdb

FIRST_YEAR = 1970
LAST_YEAR = 2070
"""Instants outside these years are quarantined when tables are read, so the spans cover all that is left."""

_PROBE = timedelta(days=6)  # shorter than any pair of changes since 1970: Recife had one week of summer time in 2000


class Span(NamedTuple):
    """Offset in force for UTC instants in [utc_from, utc_to)."""

    utc_from: datetime
    utc_to: datetime
    offset_s: int


class LocalSpan(NamedTuple):
    """How wall-clock times in [local_from, local_to) become UTC: minus the offset, or one fixed instant in a gap."""

    local_from: datetime
    local_to: datetime
    offset_s: int
    fixed_utc: datetime | None


def known_zones() -> frozenset[str]:
    """Names of all zones of the tz database."""
    return _known_zones()


@lru_cache(maxsize=1)
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def utc_spans(zone: str, first_year: int = FIRST_YEAR, last_year: int = LAST_YEAR) -> tuple[Span, ...]:
    """Spans of constant offset covering the years given, both included, in order and without holes."""
    info = ZoneInfo(zone)
    start, end = datetime(first_year, 1, 1), datetime(last_year + 1, 1, 1)
    spans, begin, offset, probe = [], start, _offset_s(info, start), start
    while probe < end:
        following = min(probe + _PROBE, end)
        after = _offset_s(info, following)
        if after != offset:
            change = _first_instant_with_other_offset(info, probe, following, offset)
            spans.append(Span(begin, change, offset))
            begin, offset, probe = change, _offset_s(info, change), change
        else:
            probe = following
    return (*spans, Span(begin, end, offset))


@lru_cache(maxsize=1024)
def local_spans(zone: str, first_year: int = FIRST_YEAR, last_year: int = LAST_YEAR) -> tuple[LocalSpan, ...]:
    """Wall-clock spans without holes or overlaps.

    A time that occurs twice means its first occurrence; a time that does not exist becomes the first valid instant
    after the gap.
    """
    spans = utc_spans(zone, first_year, last_year)
    result = [
        LocalSpan(_local(spans[0].utc_from, spans[0]), _local(spans[0].utc_to, spans[0]), spans[0].offset_s, None)
    ]
    for before, span in pairwise(spans):
        old_end, new_start = _local(span.utc_from, before), _local(span.utc_from, span)
        if new_start > old_end:
            result.append(LocalSpan(old_end, new_start, span.offset_s, span.utc_from))
        result.append(LocalSpan(max(old_end, new_start), _local(span.utc_to, span), span.offset_s, None))
    return tuple(result)


def local_to_utc(zone: str, local: datetime) -> datetime:
    """UTC instant of a wall-clock time, by the rules of `local_spans`."""
    span = next(span for span in local_spans(zone) if span.local_from <= local < span.local_to)
    return span.fixed_utc or local - timedelta(seconds=span.offset_s)


def utc_to_local(zone: str, instant: datetime) -> datetime:
    """Wall-clock time of a naive UTC instant."""
    return instant + timedelta(seconds=_offset_s(ZoneInfo(zone), instant))


def wall_from(zone: str, instant: datetime) -> datetime:
    """The least wall-clock time that, by the rules of `local_spans`, means no instant before a naive UTC `instant`."""
    for span in local_spans(zone):
        if span.fixed_utc is not None:
            if span.fixed_utc >= instant:
                return span.local_from
        elif span.local_to - timedelta(seconds=span.offset_s) > instant:
            return max(span.local_from, instant + timedelta(seconds=span.offset_s))
    raise ValueError(f"{instant} is beyond {LAST_YEAR}")


def local_span_of(wall: str, zone_no: str, alias: str) -> str:
    """SQL for the join that brings the span of a wall-clock time beside a row; one row at most."""
    return (
        f"LEFT JOIN local_span AS {alias} ON {alias}.zone_no = {zone_no} AND {alias}.year = year({wall}) "
        f"AND {alias}.local_from <= {wall} AND {wall} < {alias}.local_to"
    )


def instant_of(wall: str, alias: str) -> str:
    """SQL for the UTC instant of a wall-clock time whose span is joined as `alias`."""
    return f"coalesce({alias}.fixed_utc, {wall} - to_seconds({alias}.offset_s))"


def create_zone_tables(
    db: duckdb.DuckDBPyConnection, zones: Sequence[str], first_year: int = FIRST_YEAR, last_year: int = LAST_YEAR
) -> None:
    """Make `zone_span` and `local_span`, both cut at year ends so that they join on (zone_no, year)."""
    utc_rows = [
        (number, year, begin, end, span.offset_s)
        for number, zone in enumerate(zones)
        for span in utc_spans(zone, first_year, last_year)
        for year, begin, end in _by_year(span.utc_from, span.utc_to)
    ]
    local_rows = [
        (number, year, begin, end, span.offset_s, span.fixed_utc)
        for number, zone in enumerate(zones)
        for span in local_spans(zone, first_year, last_year)
        for year, begin, end in _by_year(span.local_from, span.local_to)
    ]
    _fill(db, "zone_span", {"utc_from": "TIMESTAMP", "utc_to": "TIMESTAMP", "offset_s": "INTEGER"}, utc_rows)
    _fill(
        db,
        "local_span",
        {"local_from": "TIMESTAMP", "local_to": "TIMESTAMP", "offset_s": "INTEGER", "fixed_utc": "TIMESTAMP"},
        local_rows,
    )


def _fill(
    db: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Rows travel as one list per column: row-wise inserts cost DuckDB a statement each."""
    typed = {"zone_no": "INTEGER", "year": "INTEGER", **columns}
    lists = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in typed]
    selected = ", ".join(f"unnest(?::{kind}[]) AS {name}" for name, kind in typed.items())
    db.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT {selected}", lists)


def _by_year(begin: datetime, end: datetime) -> Iterator[tuple[int, datetime, datetime]]:
    while begin < end:
        stop = min(end, datetime(begin.year + 1, 1, 1))
        yield begin.year, begin, stop
        begin = stop


def _local(instant: datetime, span: Span) -> datetime:
    return instant + timedelta(seconds=span.offset_s)


def _offset_s(zone: ZoneInfo, instant: datetime) -> int:
    offset = zone.fromutc(instant.replace(tzinfo=zone)).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _first_instant_with_other_offset(zone: ZoneInfo, low: datetime, high: datetime, offset: int) -> datetime:
    """Bisect to the second: offsets change on whole seconds."""
    seconds = int((high - low).total_seconds())
    begin, end = 0, seconds
    while end - begin > 1:
        middle = (begin + end) // 2
        if _offset_s(zone, low + timedelta(seconds=middle)) == offset:
            begin = middle
        else:
            end = middle
    return low + timedelta(seconds=end)
