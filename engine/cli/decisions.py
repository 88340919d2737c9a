"""A plan in words: how many get what, and why the others get nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from engine.api import Project
from engine.cli.screen import Cell, Part, Screen
from engine.cli.wording import number_of
from engine.planning.reasons import Outcome, Reason

Count = tuple[str, str, str, int]
"""(rule, outcome, reason, how many)."""

_MERELY_WAITING = {reason.value for reason in Reason if reason.outcome == Outcome.WAIT}

OUTCOMES: dict[str, tuple[str, str]] = {
    "send": ("send", "green"), "hold_out": ("hold out", "cyan"), "shadow": ("shadow", "cyan"),
    "held": ("held", "red"), "defer": ("later", "yellow"), "skip": ("skip", ""), "wait": ("not yet", "dim"),
}  # fmt: skip
"""Outcomes in the order of a report, with their word and colour."""


def ordered(given: Iterable[Count]) -> list[Count]:
    """By rule as given, what is sent first, larger numbers before smaller ones."""
    counts = list(given)
    places = {outcome: place for place, outcome in enumerate(OUTCOMES)}
    rules = {rule: place for place, rule in enumerate(dict.fromkeys(count[0] for count in counts))}
    return sorted(counts, key=lambda count: (rules[count[0]], places[count[1]], -count[3], count[2]))


def total(counts: Iterable[Count], outcome: str) -> int:
    """How many decisions have that outcome."""
    return sum(number for _, found, _, number in counts if found == outcome)


def show_counts(screen: Screen, counts: Sequence[Count]) -> None:
    """One line for each rule, outcome and reason; the rule is named once."""
    rows: list[list[Cell]] = []
    shown = ""
    for rule, outcome, reason, number in ordered(counts):
        word, style = OUTCOMES[outcome]
        name: Part = (rule, "bold") if rule != shown else ""
        rows.append([name, (word, style), number, (reason_words(outcome, reason), style)])
        shown = rule
    screen.table(["rule", "", "customers", "why"], rows)


def show_by_rule(screen: Screen, counts: Sequence[Count]) -> None:
    """One line for each rule: how many in each outcome; empty columns are left out."""
    rules: dict[str, Counter[str]] = {}
    for rule, outcome, _, number in counts:
        rules.setdefault(rule, Counter())[outcome] += number
    used = [outcome for outcome in OUTCOMES if any(numbers[outcome] for numbers in rules.values())]
    rows = [[(rule, "bold"), *(numbers[outcome] or None for outcome in used)] for rule, numbers in rules.items()]
    screen.table(["rule", *(OUTCOMES[outcome][0] for outcome in used)], rows)


def existing(counts: Iterable[Count]) -> int:
    """How many cases are older than their rule and left alone."""
    return sum(number for _, _, reason, number in counts if reason == Reason.EXISTING)


def show_existing(screen: Screen, counts: Iterable[Count]) -> None:
    """Cases that are counted only: telling them one by one would bury the rest."""
    if number := existing(counts):
        screen.say()
        screen.say(
            f"{number_of(number, 'old case')} left out: too late before the rule could begin (existing). "
            "`existing: include` in a rule takes them in."
        )


def reason_words(outcome: str, reason: str) -> str:
    """A reason as a report shows it: `due` goes without saying but for the control group."""
    if reason == "due":
        return "control group" if outcome == Outcome.HOLD_OUT else "due"
    return reason


def why_nothing(counts: Iterable[Count]) -> list[tuple[str, int, str]]:
    """(reason, how many, its sentence) of everybody who gets nothing; the most frequent first, mere waiting last."""
    numbers: Counter[str] = Counter()
    for _, outcome, reason, number in counts:
        if outcome not in {Outcome.SEND, Outcome.SHADOW}:
            numbers["hold_out" if outcome == Outcome.HOLD_OUT else reason] += number
    frequent = sorted(numbers.most_common(), key=lambda entry: entry[0] in _MERELY_WAITING)
    return [(reason, number, sentence(reason)) for reason, number in frequent]


def sentence(reason: str) -> str:
    """The one sentence that explains a reason."""
    bare = reason.partition(":")[0]
    return Outcome(bare).doc if bare == Outcome.HOLD_OUT else Reason(bare).doc


def show_why_nothing(screen: Screen, counts: Iterable[Count]) -> None:
    """The reasons, each with its sentence."""
    rows: list[list[Cell]] = [[(reason, "bold"), number, text] for reason, number, text in why_nothing(counts)]
    screen.table(["reason", "cases", "what it means"], rows, indent=2)


def headline(project: Project, counts: Sequence[Count]) -> str:
    """`412 mails to send, 3 tasks for people, 37 held out as control group`; rules that also write count as mail."""
    reaches = project.settings.reaches_customer
    inward = {rule.id for rule in project.rules if rule.steps and not any(reaches(step.channel) for step in rule.steps)}
    tasks = total((count for count in counts if count[0] in inward), "send")
    sends, held_out = total(counts, "send") - tasks, total(counts, "hold_out")
    parts = [number_of(sends, "mail") + " to send"]
    if tasks:
        parts.append(f"{number_of(tasks, 'task')} for people")
    if held_out:
        parts.append(f"{held_out:,} held out as control group")
    if later := total(counts, "defer"):
        parts.append(f"{later:,} put off")
    if held := total(counts, "held"):
        parts.append(f"{held:,} held")
    return ", ".join(parts)
