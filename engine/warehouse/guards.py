"""Guards before any decision: a table that is empty, has shrunk or has gone stale holds the rules that read it.

A dead click feed must not make everybody look inactive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from engine.project.settings import Settings
from engine.warehouse.staging import TableReport

SHRINK_FROM_ROWS = 1_000
SHRINK_SHARE = 0.2
"""A table of a thousand usable rows or more that lost over a fifth of them since the last run is not believed."""

Held = Literal["empty_table", "shrunk_table", "stale_table"]


@dataclass(frozen=True)
class Doubt:
    """One table that is not believed, and why."""

    table: str
    reason: Held
    text: str


def doubts(
    reports: Mapping[str, TableReport], last_rows: Mapping[str, int], settings: Settings, as_of: datetime
) -> list[Doubt]:
    """What is wrong with each table; `last_rows` are the usable rows that were believed last, empty before any run."""
    found = []
    for table, report in sorted(reports.items()):
        lost = _lost_rows(report, last_rows.get(table, 0), settings)
        stale = _stale(report, settings, as_of)
        found += [doubt for doubt in (lost, stale) if doubt]
    return found


def believed_rows(
    reports: Mapping[str, TableReport], last_rows: Mapping[str, int], found: Sequence[Doubt], settings: Settings
) -> dict[str, int]:
    """The usable rows of each table for the next run to compare with.

    A large table that lost its rows keeps the number from before: it stays in doubt until the rows are back or the
    project says `shrink: off`. A small one is held for one run only; it may well have emptied by itself.
    """
    lost = {doubt.table for doubt in found if doubt.reason != "stale_table"}
    kept = {table for table in lost if last_rows[table] >= SHRINK_FROM_ROWS and not _may_shrink(table, settings)}
    return {name: last_rows[name] if name in kept else report.accepted for name, report in reports.items()}


def _lost_rows(report: TableReport, before: int, settings: Settings) -> Doubt | None:
    had = f"and had {before:,} at the last run that was believed"
    if report.accepted == 0 and before > 0:
        rows = f"none of its {report.rows:,} rows can be used" if report.rows else "it has no rows"
        return Doubt(report.table, "empty_table", f"{report.table} is empty: {rows}, {had}")
    shrunk = before >= SHRINK_FROM_ROWS and report.accepted < before * (1 - SHRINK_SHARE)
    if shrunk and not _may_shrink(report.table, settings):
        return Doubt(report.table, "shrunk_table", f"{report.table} has {report.accepted:,} usable rows {had}")
    return None


def _may_shrink(table: str, settings: Settings) -> bool:
    mapped = settings.warehouse.tables.get(table)
    return mapped is not None and mapped.shrink == "off"


def _stale(report: TableReport, settings: Settings, as_of: datetime) -> Doubt | None:
    limit = settings.warehouse.max_age.get(report.table)
    if limit is None or report.newest is None or as_of - report.newest <= limit.elapsed:
        return None
    hours = (as_of - report.newest).total_seconds() / 3600
    text = f"the newest fact of {report.table} is {hours:,.0f} hours old; allowed are {limit}"
    return Doubt(report.table, "stale_table", text)
