"""Guards before any decision: a table that is empty, has shrunk or has gone stale holds the rules that read it.

A dead click feed must not make everybody look inactive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from engine.project.settings import Settings
from engine.warehouse.staging import TableReport

SHRINK_FROM_ROWS = 1_000
SHRINK_SHARE = 0.2
"""A table of a thousand rows or more that lost a fifth of them since the last run is not believed."""

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
    """What is wrong with each table; `last_rows` are the row counts of the last finished run, empty before the first."""
    found = []
    for table, report in sorted(reports.items()):
        before = last_rows.get(table, 0)
        limit = settings.warehouse.max_age.get(table)
        mapped = settings.warehouse.tables.get(table)
        if report.rows == 0 and before > 0:
            found.append(Doubt(table, "empty_table", f"{table} is empty and had {before:,} rows at the last run"))
        elif (
            before >= SHRINK_FROM_ROWS
            and report.rows < before * (1 - SHRINK_SHARE)
            and not (mapped and mapped.shrink == "off")
        ):
            found.append(
                Doubt(table, "shrunk_table", f"{table} has {report.rows:,} rows and had {before:,} at the last run")
            )
        if limit and report.newest is not None and as_of - report.newest > limit.elapsed:
            age = as_of - report.newest
            hours = age.total_seconds() / 3600
            found.append(
                Doubt(
                    table, "stale_table", f"the newest fact of {table} is {hours:,.0f} hours old; allowed are {limit}"
                )
            )
    return found
