from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.project.durations import LONGEST, UNITS, Duration
from engine.project.faults import Fault

DURATIONS = st.sampled_from(UNITS).flatmap(
    lambda unit: st.builds(Duration, st.integers(0, LONGEST[unit]), st.just(unit))
)


@settings(max_examples=200, derandomize=True)
@given(DURATIONS)
def test_a_duration_reads_back_from_what_it_prints(duration: Duration) -> None:
    assert Duration.parse(str(duration), seconds=True) == duration


def test_one_is_singular() -> None:
    assert [str(Duration(n, "days")) for n in (0, 1, 2)] == ["0 days", "1 day", "2 days"]


@pytest.mark.parametrize(
    ("text", "elapsed"),
    [
        ("90 minutes", timedelta(minutes=90)),
        ("48 hours", timedelta(hours=48)),
        ("30 days", timedelta(hours=720)),  # 30 * 24
        ("2 weeks", timedelta(hours=336)),  # 14 * 24
    ],
)
def test_minutes_to_weeks_have_a_fixed_length(text: str, elapsed: timedelta) -> None:
    assert Duration.parse(text).elapsed == elapsed


@pytest.mark.parametrize("unit", ["months", "years"])
def test_months_and_years_have_no_fixed_length(unit: str) -> None:
    with pytest.raises(ValueError, match="no fixed length"):
        _ = Duration.parse(f"2 {unit}").elapsed


def test_days_and_longer_count_local_dates() -> None:
    assert {unit for unit in UNITS if Duration(1, unit).is_calendar} == {"days", "weeks", "months", "years"}


def test_seconds_only_where_a_field_says_so() -> None:
    assert Duration.parse("10 s", seconds=True).elapsed == timedelta(seconds=10)
    with pytest.raises(Fault, match="not a duration"):
        Duration.parse("10 s")


@pytest.mark.parametrize(
    "text", ["", "30", "days", "30days", "-3 days", "03 days", "3 days ago", "\u0661 days", "1e3 days", "3  fortnights"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Fault) as refused:
        Duration.parse(text)
    assert refused.value.code == "HF125"


@pytest.mark.parametrize(
    ("text", "longest"), [("36525 days", True), ("36526 days", False), ("100 years", True), ("1201 months", False)]
)
def test_nothing_is_longer_than_a_century(text: str, longest: bool) -> None:
    if longest:
        assert str(Duration.parse(text)) == text
    else:
        with pytest.raises(Fault, match="longer than a century"):
            Duration.parse(text)
