"""Which ladders can be climbed, told by an oracle that lays every step on a calendar day by day."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project_world import load_rule

from engine.errors import SetupError

HOURS = {"hours": 1, "days": 24, "weeks": 168}
DISTANCES = st.tuples(st.integers(0, 6), st.sampled_from(sorted(HOURS)))
STEPS = st.lists(st.tuples(st.sampled_from(["after", "wait", "before"]), DISTANCES), min_size=1, max_size=4)


def ladder(steps: list[tuple[str, tuple[int, str]]], trigger: str) -> str:
    lines = [f"  - {{id: s{no}, {key}: {n} {unit}, send: hello}}" for no, (key, (n, unit)) in enumerate(steps)]
    return f"rule: l\ntrigger: {trigger}\nsteps:\n" + "\n".join(lines) + "\n"


def codes(text: str) -> set[str]:
    try:
        load_rule(text)
    except SetupError as error:
        return {problem.code for problem in error.problems}
    return set()


def climbs(steps: list[tuple[str, tuple[int, str]]]) -> bool:
    """Whether each step is due strictly after the one before it, when each is settled the moment it is due."""
    due: list[int] = []
    for key, (n, unit) in steps:
        distance = n * HOURS[unit]
        due.append({"after": distance, "before": -distance, "wait": (due or [0])[-1] + distance}[key])
    return all(earlier < later for earlier, later in pairwise(due))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(STEPS)
def test_a_ladder_is_refused_exactly_when_a_step_is_not_after_the_one_above(
    steps: list[tuple[str, tuple[int, str]]],
) -> None:
    steps = [step for step in steps if step[0] != "before"] or [("after", (1, "days"))]
    if steps[0][0] == "wait":
        assert codes(ladder(steps, "unused")) == {"HF326"}
    else:
        assert bool(codes(ladder(steps, "unused")) & {"HF310", "HF311"}) == (not climbs(steps))


@settings(max_examples=100, derandomize=True, deadline=None)
@given(STEPS)
def test_steps_around_a_date_are_held_to_the_same_order(steps: list[tuple[str, tuple[int, str]]]) -> None:
    steps = [
        ("before", distance) if key == "wait" and not no else (key, distance)
        for no, (key, distance) in enumerate(steps)
    ]
    found = codes(ladder(steps, "renewal"))
    assert bool(found & {"HF310", "HF311"}) == (not climbs(steps))


@pytest.mark.parametrize(
    ("first", "second", "fine"),
    [
        ("after: 1 month", "after: 30 days", True),  # later in February, earlier in March: nobody can say
        ("after: 1 month", "after: 2 weeks", False),
        ("after: 1 month", "after: 5 weeks", True),
        ("after: 1 month", "after: 1 month", False),
        ("after: 11 months", "after: 1 year", True),
        ("after: 1 year", "after: 11 months", False),
        ("after: 2 hours", "after: 1 day", True),
        ("after: 0 days", "wait: 1 minutes", True),
    ],
)
def test_months_are_refused_only_where_the_order_is_clear(first: str, second: str, fine: bool) -> None:
    text = f"rule: l\ntrigger: unused\nsteps:\n  - {{{first}, send: hello}}\n  - {{{second}, send: bill}}\n"
    assert (codes(text) == set()) == fine


@pytest.mark.parametrize(
    ("step", "reachable"),
    [
        # Found from 3 to 14 days after sign-up, that is for 11 days after the anchor.
        ("after: 11 days", True),
        ("after: 12 days", False),  # at the very earliest 11 days and a moment after the anchor
        ("after: 264 hours", True),  # 11 * 24
        ("after: 265 hours", False),
        ("wait: 11 days", True),
        ("wait: 2 weeks", False),
    ],
)
def test_a_step_beyond_its_triggers_reach_is_refused(step: str, reachable: bool) -> None:
    steps = f"steps: [{{send: hello}}, {{{step}, send: bill}}]\n"
    text = f"rule: l\ntrigger:\n  onboarding: {{for: 3 days, within: 14 days}}\n{steps}"
    assert codes(text) == (set() if reachable else {"HF314"})


def test_a_dated_trigger_takes_steps_before_and_on_the_day() -> None:
    times = [("before", (30, "days")), ("before", (3, "days")), ("after", (0, "days"))]
    assert codes(ladder(times, "renewal")) == set()
