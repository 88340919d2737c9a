"""Parameters that could never find anybody, or that leave open what is meant, are refused where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from trigger_world import CsvFiles, project, rule

from engine.errors import SetupError

REFUSED = [
    # trigger, steps, code, part of what is said
    ("milestone: {}", "[{send: m}]", "HF322", "expected every, or event with count"),
    ("milestone: {event: login}", "[{send: m}]", "HF322", "expected every, or event with count"),
    ("milestone: {count: 3}", "[{send: m}]", "HF322", "expected every, or event with count"),
    ("milestone: {every: 1 year, event: login, count: 3}", "[{after: 0 days, send: m}]", "HF322", "both every"),
    ("milestone: {every: 30 days}", "[{after: 0 days, send: m}]", "HF131", "months or years"),
    ("milestone: {every: 0 months}", "[{after: 0 days, send: m}]", "HF129", "at least 1 month"),
    ("milestone: {event: login, count: 0}", "[{send: m}]", "HF129", "at least 1"),
    ("milestone: {every: 1 year}", "[{send: m}]", "HF312", "before: or after:"),
    ("milestone: {every: 1 month}", "[{after: 20 days, send: m}]", "HF314", "holds for 15.5 days"),
    ("milestone: {event: login, count: 3}", "[{before: 1 day, send: m}]", "HF313", "its anchor is past"),
    ("cancellation_scheduled: {anchor: start}", "[{send: m}]", "HF128", "end or request"),
    ("cancellation_scheduled: {}", "[{before: 1 day, send: m}]", "HF313", "its anchor is past"),
    ("cancellation_scheduled: {anchor: end}", "[{send: m}]", "HF312", "before: or after:"),
    ("card_expiring: {}", "[{send: m}]", "HF312", "before: or after:"),
    ("card_expiring: {brand: visa}", "[{before: 1 day, send: m}]", "HF120", "brand"),
    ("usage_drop: {window: 7 days}", "[{send: m}]", "HF121", "event"),
    ("usage_drop: {event: login}", "[{send: m}]", "HF121", "window"),
    ("usage_drop: {event: [], window: 7 days}", "[{send: m}]", "HF130", "without entries"),
    ("usage_drop: {event: login, window: 1 month}", "[{send: m}]", "HF131", "no fixed length"),
    ("usage_drop: {event: login, window: 7 days, by: 0%}", "[{send: m}]", "HF129", "more than 0"),
    ("usage_drop: {event: login, window: 7 days, by: 101%}", "[{send: m}]", "HF129", "0% to 100%"),
    ("usage_drop: {event: login, window: 7 days, by: 0.5}", "[{send: m}]", "HF127", "50%"),
    ("usage_drop: {event: login, window: 7 days, min_before: 0}", "[{send: m}]", "HF129", "at least 1"),
    ("usage_drop: {event: login, window: 7 days}", "[{after: 3 days, send: m}]", "HF314", "begins with its first step"),
    ("survey_score: {at_most: 6}", "[{send: m}]", "HF121", "survey"),
    ("survey_score: {survey: nps, at_least: 7, at_most: 6}", "[{send: m}]", "HF129", "no score can be both"),
    ("survey_score: {survey: nps, at_most: 6.5}", "[{send: m}]", "HF123", "6.5"),
    ("ticket: {open_for: 1 day, closed_within: 1 day}", "[{send: m}]", "HF322", "expected one of them"),
    ("ticket: {words: '!?'}", "[{send: m}]", "HF132", "no letter or digit"),
    ("ticket: {closed_within: 7 days}", "[{after: 9 days, send: m}]", "HF314", "holds for 7 days"),
    ("downgrade: {by: 50%}", "[{send: m}]", "HF120", "by"),
]


@pytest.mark.parametrize(("trigger", "steps", "code", "said"), REFUSED, ids=[f"{one[0]} {one[1]}" for one in REFUSED])
def test_it_is_refused(tmp_path: Path, trigger: str, steps: str, code: str, said: str) -> None:
    with pytest.raises(SetupError) as caught:
        project(CsvFiles(), ["customers"], rule("r", trigger, steps=steps), tmp_path)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert said in str(problem)


@pytest.mark.parametrize(
    ("trigger", "steps"),
    [
        ("milestone: {every: 1 month}", "[{before: 3 days, send: m}, {after: 14 days, send: n}]"),
        ("cancellation_scheduled: {anchor: end}", "[{before: 7 days, send: m}]"),
        ("usage_drop: {event: login, window: 36 hours}", "[{after: 0 days, send: m}, {after: 3 days, send: n}]"),
        ("survey_score: {survey: nps, at_least: 6, at_most: 6}", "[{send: m}]"),
        ("ticket: {}", "[{send: m}]"),
    ],
)
def test_it_is_accepted(tmp_path: Path, trigger: str, steps: str) -> None:
    assert project(CsvFiles(), ["customers"], rule("r", trigger, steps=steps), tmp_path).rules


def test_a_window_in_hours_is_kept_apart_for_whole_days(tmp_path: Path) -> None:
    loaded = project(CsvFiles(), ["customers"], rule("r", "usage_drop: {event: x, window: 36 hours}"), tmp_path)
    assert str(loaded.rules[0].repeat_after) == "2 days"
