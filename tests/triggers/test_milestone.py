"""`milestone: {every: …}`: the dates, counted from the sign-up without drift, in the customer's own calendar."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from trigger_world import Answer, CsvFiles, project, rule

MICROSECOND = timedelta(microseconds=1)


def milestone(
    tmp_path: Path, as_of: datetime, signed_up: datetime | None, every: str, zone: str = "UTC"
) -> tuple[str, datetime] | None:
    """(occurrence, anchor) of one customer."""
    engine = CsvFiles()
    tables = {"customers": [{"customer_id": "ann", "timezone": zone, "signed_up_at": signed_up}]}
    engine.load(tables, tmp_path)
    text = rule("r", f"milestone: {{every: {every}}}", steps="[{after: 0 days, send: m}]")
    found = Answer(project(engine, tables, text, tmp_path), as_of)["r"].get("ann", [])
    return (found[0].occurrence, found[0].anchor) if found else None


@pytest.mark.parametrize(
    ("as_of", "found"),
    [
        ("2026-02-20", ("1 months", datetime(2026, 2, 28))),
        ("2026-03-05", ("1 months", datetime(2026, 2, 28))),
        ("2026-03-20", ("2 months", datetime(2026, 3, 31))),
        ("2026-04-28", ("3 months", datetime(2026, 4, 30))),
        ("2027-01-31", ("12 months", datetime(2027, 1, 31))),
        ("2028-02-25", ("25 months", datetime(2028, 2, 29))),
        ("2028-03-28", ("26 months", datetime(2028, 3, 31))),
    ],
)
def test_the_31st_comes_back_after_short_months(tmp_path: Path, as_of: str, found: tuple[str, datetime]) -> None:
    assert milestone(tmp_path, datetime.fromisoformat(as_of), datetime(2026, 1, 31, 15), "1 month") == found


@pytest.mark.parametrize(
    ("as_of", "found"),
    [
        (datetime(2025, 3, 1), ("12 months", datetime(2025, 2, 28))),
        (datetime(2027, 12, 1), ("48 months", datetime(2028, 2, 29))),
        (datetime(2029, 2, 1), ("60 months", datetime(2029, 2, 28))),
    ],
)
def test_29_february_comes_back_in_leap_years(tmp_path: Path, as_of: datetime, found: tuple[str, datetime]) -> None:
    assert milestone(tmp_path, as_of, datetime(2024, 2, 29, 12), "1 year") == found


@pytest.mark.parametrize("every", ["1 year", "12 months"])
def test_a_year_is_twelve_months(tmp_path: Path, every: str) -> None:
    """Writing it in other words makes no case new."""
    found = milestone(tmp_path, datetime(2026, 6, 1), datetime(2025, 6, 1), every)
    assert found == ("12 months", datetime(2026, 6, 1))


@pytest.mark.parametrize(
    ("as_of", "found"),
    [
        (datetime(2026, 1, 16), None),  # the sign-up itself is as near
        (datetime(2026, 1, 17), "1 months"),
        (datetime(2026, 2, 15), "1 months"),  # of two equally far, the earlier
        (datetime(2026, 2, 16), "2 months"),
    ],
)
def test_the_nearest_one_counts(tmp_path: Path, as_of: datetime, found: str | None) -> None:
    one = milestone(tmp_path, as_of, datetime(2026, 1, 1), "1 month")
    assert (one and one[0]) == found


@pytest.mark.parametrize(
    ("signed_up", "zone", "anchor"),
    [
        (datetime(2025, 6, 30, 23), "Pacific/Auckland", datetime(2026, 6, 30, 12)),  # signed up on 1 July there
        (datetime(2025, 7, 1, 3), "America/New_York", datetime(2026, 6, 30, 4)),  # still 30 June there
        (datetime(2025, 9, 6, 15), "America/Santiago", datetime(2026, 9, 6, 4)),  # that day begins at 01:00
        (datetime(2025, 11, 1, 15), "America/Havana", datetime(2026, 11, 1, 4)),  # that day has two midnights
    ],
)
def test_the_anchor_is_the_beginning_of_the_local_date(
    tmp_path: Path, signed_up: datetime, zone: str, anchor: datetime
) -> None:
    assert milestone(tmp_path, anchor, signed_up, "1 year", zone) == ("12 months", anchor)


@pytest.mark.parametrize("signed_up", [None, datetime(2027, 1, 1), datetime(2026, 6, 1)])
def test_who_has_not_signed_up_has_no_milestone(tmp_path: Path, signed_up: datetime | None) -> None:
    assert milestone(tmp_path, datetime(2026, 6, 1), signed_up, "1 month") is None
