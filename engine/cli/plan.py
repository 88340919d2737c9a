"""`plan`: the decisions a run would make. Nothing is written to the state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from engine.api import Project, as_if_active
from engine.cli.command import command
from engine.cli.decisions import (
    Count,
    existing,
    headline,
    ordered,
    reason_words,
    show_counts,
    show_existing,
    show_why_nothing,
)
from engine.cli.opening import AsOf, RuleOption, find_state, known_rules, open_project, read_moment
from engine.cli.plan_files import require_known_kind, write_decisions
from engine.cli.screen import Screen
from engine.cli.wording import moment_text, number_of
from engine.edits import Edit, compare, earlier_project
from engine.pipeline import Plan, Request
from engine.project.rules import Rule
from engine.store import Store
from engine.warehouse.guards import Doubt

_EXAMPLES = 3  # customers named for each rule

_EXAMPLE_CASES = (
    f"SELECT d.rule_no, list(p.customer_id ORDER BY p.customer_id)[:{_EXAMPLES}] FROM decision AS d "
    "JOIN person AS p USING (cust) WHERE d.outcome = 'send' GROUP BY 1 ORDER BY 1"
)


@dataclass
class _Found:
    """What the plans of all schedules say together."""

    as_of: dict[str, datetime] = field(default_factory=dict)
    counts: list[Count] = field(default_factory=list)
    examples: dict[str, list[str]] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)
    edit: Edit | None = None


@command
def plan(
    screen: Screen,
    as_of: AsOf = None,
    rule: RuleOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="all decisions, as .csv, .jsonl or .parquet")
    ] = None,
) -> None:
    """Show what a run would send, to how many, and why the others get nothing.

    JSON: `as_of` (by schedule), `counts` (rule, outcome, reason, count), `examples` (rule to customers who would be
    written to), `left_out_as_existing`, `doubts` (table, reason, text), `edit` (newly_due, no_longer_due,
    newly_too_late, newly_superseded: rule to count; null when nothing was edited since the last run), `out` (path,
    rows; or null).
    """
    if out is not None:
        require_known_kind(out)
    project = open_project(screen)
    names, moment = known_rules(project, rule), read_moment(as_of)
    written = None
    with screen.meter() as meter, find_state(project) as store, ExitStack() as stack:
        made = plans(project, store, moment, names, meter.stage)
        for one in made:
            stack.callback(one.close)
        found = _read(made)
        if store is not None and names is None:
            found.edit = _edit(project, store, made, meter.stage)
        if out is not None:
            meter.stage(f"writing {out}")
            written = write_decisions(out, chain.from_iterable(one.rows() for one in made))
    screen.emit(_document(found, out, written))
    _show(screen, project, found)
    if drafts := [rule.id for rule in project.rules if rule.status == "draft" and names is None]:
        screen.say(
            (
                f"{number_of(len(drafts), 'draft')} left out; holdfast plan --rule {drafts[0]} shows what it would send",
                "dim",
            )
        )
    if out is not None and written is not None:
        screen.say()
        screen.say(f"{number_of(written, 'decision')} written to ", (str(out), "bold"))


def plans(
    project: Project, store: Store | None, moment: datetime | date | None, names: Sequence[str] | None,
    tell: Callable[[str], None],
) -> list[Plan]:  # fmt: skip
    """One plan for each schedule that has rules among those asked for."""
    chosen = (
        [as_if_active(rule) for rule in project.rules if rule.id in names]
        if names
        else [rule for rule in project.rules if rule.status != "draft"]
    )
    schedules: dict[str, list[Rule]] = {}
    for rule in chosen:
        schedules.setdefault(rule.schedule, []).append(rule)
    return [
        project.decide(
            Request(project.instant(moment, schedule), schedule, tuple(rules), believe_tables=True),
            store,
            progress=tell,
        )
        for schedule, rules in (schedules or {project.default_schedule: []}).items()
    ]


def _read(plans: Sequence[Plan]) -> _Found:
    found = _Found()
    for one in plans:
        found.as_of[one.request.schedule] = one.request.as_of
        found.counts += one.counts()
        for number, customers in one.db.execute(_EXAMPLE_CASES).fetchall():
            found.examples[one.rules[int(number)].id] = [str(customer) for customer in customers]
        found.doubts += [doubt for doubt in one.doubts if doubt not in found.doubts]
    found.counts = ordered(found.counts)
    return found


def _edit(project: Project, store: Store, plans: Sequence[Plan], tell: Callable[[str], None]) -> Edit | None:
    """The plans beside the same ones with the rules of the last run; None when nothing was edited."""
    before = earlier_project(project, store)
    if before is None:
        return None
    found = Edit()
    for one in plans:
        request = one.request
        rules = tuple(rule for rule in before.rules if rule.status != "draft" and rule.schedule == request.schedule)
        tell("comparing with the rules of the last run")
        earlier = before.decide(
            Request(request.as_of, request.schedule, rules, horizon=request.horizon, believe_tables=True), store
        )
        try:
            found = found.with_another(compare(earlier, one))
        finally:
            earlier.close()
    return found


def _document(found: _Found, out: Path | None, written: int | None) -> dict[str, object]:
    names = ("rule", "outcome", "reason", "count")
    return {
        "as_of": found.as_of, "counts": [dict(zip(names, count, strict=True)) for count in found.counts],
        "examples": found.examples, "left_out_as_existing": existing(found.counts),
        "doubts": [vars(doubt) for doubt in found.doubts], "edit": found.edit,
        "out": None if written is None else {"path": out, "rows": written},
    }  # fmt: skip


def _show(screen: Screen, project: Project, found: _Found) -> None:
    zone = project.settings.workspace.timezone
    screen.say((headline(project, found.counts), "bold"))
    for schedule, instant in found.as_of.items():
        screen.say((f"as of {moment_text(instant, zone)}, schedule {schedule}", "dim"))
    screen.say()
    shown = [count for count in found.counts if count[2] != "existing"]
    show_counts(screen, shown)
    _show_examples(screen, found)
    if reasons := [count for count in shown if reason_words(count[1], count[2]) != "due"]:
        screen.title("Why the others get nothing")
        show_why_nothing(screen, reasons)
    show_existing(screen, found.counts)
    for doubt in found.doubts:
        screen.say(("! ", "yellow"), doubt.text, ("; a run would hold every rule that reads it", "yellow"))
    if found.edit is not None:
        _show_edit(screen, found.edit)


def _show_examples(screen: Screen, found: _Found) -> None:
    if not found.examples:
        return
    sends = {rule: number for rule, outcome, _, number in found.counts if outcome == "send"}
    screen.title("Who, for example")
    screen.table(
        ["rule", "customers"],
        [
            [(rule, "bold"), ", ".join(names) + (f" and {more:,} more" if (more := sends[rule] - len(names)) else "")]
            for rule, names in found.examples.items()
        ],
        indent=2,
    )
    screen.say("  ", ("holdfast explain CUSTOMER tells why", "dim"))


def _show_edit(screen: Screen, edit: Edit) -> None:
    screen.title("What your edit changes, compared with the rules of the last run")
    rows = [(words, sum(rules.values()), _per_rule(rules)) for words, rules in edit.changes() if rules]
    if rows:
        screen.table(["", "cases", "rules"], rows, indent=2)
    else:
        screen.say("  nothing")


def _per_rule(rules: dict[str, int]) -> str:
    return ", ".join(f"{rule} {number:,}" for rule, number in rules.items())
