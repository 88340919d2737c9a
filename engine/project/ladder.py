"""Whether a rule's steps can be climbed: each has one time, and each comes after the one before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from engine.errors import Problem
from engine.project.durations import Duration
from engine.project.rule_text import StepText
from engine.project.written import WrittenRule

DAY = timedelta(days=1)
Reach = tuple[timedelta, timedelta]
"""The earliest and the latest a distance can be; they differ only for months and years."""

TIMES = ("after", "wait", "before")


def ladder_problems(rule: WrittenRule) -> Iterator[Problem]:
    """Steps with two times or none they need, at once, out of order, or later than their trigger can hold."""
    found = [problem for no, step in enumerate(rule.text.steps) for problem in _time_problems(rule, no, step)]
    yield from found
    if not found:
        yield from _order_problems(rule)


def _time_problems(rule: WrittenRule, no: int, step: StepText) -> Iterator[Problem]:
    given = [key for key in TIMES if getattr(step, key) is not None]
    dated = rule.trigger.defaults.anchored_on_date
    if len(given) > 1:
        places = sorted(rule.at_key("steps", no, key) for key in given)
        yield rule.problem(places[1], "HF306", f"both {' and '.join(given)}", "expected one of after, wait and before")
    elif dated and not given:
        found = f'a step of "{rule.trigger.name}" without before or after'
        yield rule.problem(rule.at_value("steps", no), "HF312", found, "say before: or after: the date")
    elif given == ["before"] and not dated:
        found = f'before with "{rule.trigger.name}"'
        yield rule.problem(
            rule.at_key("steps", no, "before"), "HF313", found, "its anchor is past; expected after or wait"
        )
    elif given == ["wait"] and no == 0:
        yield rule.problem(rule.at_key("steps", no, "wait"), "HF326", "wait in the first step", "expected after")
    elif no == 0 and step.after and step.after.n and rule.trigger.defaults.begins_with_step:
        expected = f'"{rule.trigger.name}" begins with its first step, so remove after'
        yield rule.problem(rule.at_value("steps", no, "after"), "HF314", f"a first step {step.after} later", expected)


def _order_problems(rule: WrittenRule) -> Iterator[Problem]:
    previous: Reach | None = None
    for no, step in enumerate(rule.text.steps):
        due = _due(step, previous)
        if previous is not None and (due == previous or due[1] <= previous[0]):
            yield _clash(rule, no, step, at_once=due == previous)
        elif _too_late(rule, step, due):
            found = f"a step {due[0] / DAY:.3g} days after the anchor"
            holds = (rule.trigger.defaults.holds_for or timedelta()) / DAY
            expected = f'"{rule.trigger.name}" holds for {holds:.3g} days at most'
            yield rule.problem(rule.at_value("steps", no, _key(step)), "HF314", found, expected)
        previous = due


def _due(step: StepText, previous: Reach | None) -> Reach:
    """When the step falls due, counted from the anchor; a wait counts from the earliest settling of the step before."""
    if step.before is not None:
        shortest, longest = reach(step.before)
        return -longest, -shortest
    if step.wait is not None and previous is not None:
        shortest, longest = reach(step.wait)
        return previous[0] + shortest, previous[1] + longest
    return reach(step.after or Duration(0, "days"))


def reach(duration: Duration) -> Reach:
    """The shortest and the longest this can be."""
    if duration.is_elapsed:
        return duration.elapsed, duration.elapsed
    months = duration.n * (12 if duration.unit == "years" else 1)
    slack = 3 * DAY if months else timedelta()
    return months * 365 * DAY / 12 - slack, months * 366 * DAY / 12 + slack


def _clash(rule: WrittenRule, no: int, step: StepText, *, at_once: bool) -> Problem:
    place = rule.at_value("steps", no, _key(step))
    above = rule.text.steps[no - 1]
    named = next((f"{key}: {getattr(above, key)}" for key in TIMES if getattr(above, key) is not None), "at the anchor")
    if at_once:
        return rule.problem(
            place,
            "HF310",
            f"due at the same time as the step above ({named})",
            "expected a later time, or a rule of its own",
        )
    return rule.problem(
        place, "HF311", f"due before the step above ({named})", "steps stand in the order of their times"
    )


def _key(step: StepText) -> str:
    return next((key for key in TIMES if getattr(step, key) is not None), "send")


def _too_late(rule: WrittenRule, step: StepText, due: Reach) -> bool:
    """Whether even the earliest sending lies beyond what the trigger can hold.

    A step counted in days may leave up to a day sooner than its distance: the anchor late, the sending early in a day.
    """
    holds_for = rule.trigger.defaults.holds_for
    if holds_for is None or due[0] <= timedelta():
        return False
    given = step.after or step.wait
    return due[0] - DAY >= holds_for if given is not None and given.is_calendar else due[0] > holds_for
