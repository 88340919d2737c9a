"""SQL for the step between instants and a customer's local time: joins on the zone tables, never zone functions.

`zone_span` and `local_span` are cut at year ends, so they join on (zone_no, year). A moment outside their years is
taken as UTC rather than dropping its row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, time


def instant(moment: datetime) -> str:
    """A naive UTC instant as a SQL literal."""
    return f"TIMESTAMP '{moment.isoformat(sep=' ')}'"


def time_of_day(moment: time) -> str:
    """A local time as a SQL literal."""
    return f"TIME '{moment.isoformat()}'"


def at_instant(alias: str, zone_no: str, moment: str) -> str:
    """Join clause that finds the offset in force at a UTC `moment`; NULL moments find none."""
    return (
        f"LEFT JOIN zone_span {alias} ON {alias}.zone_no = {zone_no} AND {alias}.year = year({moment}) "
        f"AND {moment} >= {alias}.utc_from AND {moment} < {alias}.utc_to"
    )


def local(alias: str, moment: str) -> str:
    """Local time of a UTC `moment`, after `at_instant`."""
    return f"({moment} + to_seconds(coalesce({alias}.offset_s, 0)))"


def at_local(alias: str, zone_no: str, moment: str) -> str:
    """Join clause that finds how a local `moment` becomes UTC; NULL moments find nothing."""
    return (
        f"LEFT JOIN local_span {alias} ON {alias}.zone_no = {zone_no} AND {alias}.year = year({moment}) "
        f"AND {moment} >= {alias}.local_from AND {moment} < {alias}.local_to"
    )


def utc(alias: str, moment: str) -> str:
    """UTC instant of a local `moment`, after `at_local`: in a gap the first valid instant, of two the first."""
    return f"coalesce({alias}.fixed_utc, {moment} - to_seconds(coalesce({alias}.offset_s, 0)))"
