"""`run`, `deliver` and `approve`: the day's work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

import typer

from engine.api import Project
from engine.cli.command import DONE, HELD, SOME_FAILED, RequestError, command
from engine.cli.decisions import headline, ordered, show_by_rule, show_existing
from engine.cli.opening import AsOf, open_project, open_state, read_date, read_moment, require_known
from engine.cli.screen import Screen
from engine.cli.sent import deliver_with_progress, delivery_code, delivery_document, show_delivery
from engine.cli.wording import day_text, moment_text, number_of
from engine.clock import utc_now
from engine.run import RunReport, daily_run
from engine.schedule import default_as_of, local_date, scheduled_instant
from engine.store import Store

NOT_NOW = timedelta(minutes=10)
"""An instant farther from now than this is a rehearsal, and is kept away from real people."""

_WAITS_FOR_A_PERSON = {"held_for_review", "stale_table", "empty_table", "shrunk_table"}

NoDeliver = Annotated[bool, typer.Option("--no-deliver", help="decide and write down, but send nothing yet")]
Force = Annotated[bool, typer.Option("--force", help="real mail even though T is not now")]


@dataclass(frozen=True)
class _Day:
    """One schedule's run: for which local date, as of when."""

    schedule: str
    day: date
    as_of: datetime


@command
def run(
    screen: Screen,
    day: Annotated[
        str | None, typer.Option("--date", metavar="D", help="the run of this local date, however late")
    ] = None,
    as_of: AsOf = None,
    schedule: Annotated[str | None, typer.Option("--schedule", metavar="S", help="only this schedule")] = None,
    no_deliver: NoDeliver = False,
    again: Annotated[
        bool, typer.Option("--again", help="plan a finished date anew, with today's rules and data")
    ] = False,
    force: Force = False,
) -> int:
    """Decide for today, write it down, send what is due. Running it twice sends nothing twice.

    JSON: `runs` (id, schedule, date, n, as_of, fresh, counts: rule, outcome, reason, count; written, doubts), and
    `delivery` (sent, failed, stopped, waiting, next_due_at, failures, down, interrupted, test_mode; null with --no-deliver).
    """
    if day and as_of:
        raise RequestError("--date and --as-of say the same thing in two ways; give one of them")
    project, moment, now = open_project(screen), read_moment(as_of), utc_now()
    days = _days(project, schedule, read_date(day, "--date"), moment, now)
    at = max(one.as_of for one in days) if moment is not None else None
    _refuse_rehearsal(project, max(one.as_of for one in days) if day else at, now, force, future_only=bool(day))
    with open_state(screen, project.settings, create=True) as store:
        reports = [_run_one(screen, project, store, one, now, again) for one in days]
        return finish(screen, project, store, reports, no_deliver=no_deliver, at=at)


@command
def deliver(screen: Screen, as_of: AsOf = None, force: Force = False) -> int:
    """Send what is waiting and due, in the order it was planned.

    JSON: `delivery` (sent, failed, stopped, waiting, next_due_at, failures, down, interrupted, test_mode).
    """
    project, moment, now = open_project(screen), read_moment(as_of), utc_now()
    at = project.instant(moment) if moment is not None else None
    _refuse_rehearsal(project, at, now, force)
    with open_state(screen, project.settings) as store:
        report = deliver_with_progress(screen, project, store, _clock(at))
    screen.emit({"delivery": delivery_document(project, report)})
    show_delivery(screen, project, report)
    return delivery_code(report)


@command
def approve(
    screen: Screen,
    run_id: Annotated[int, typer.Argument(metavar="RUN", help="the number of the run, as `holdfast status` shows it")],
    rule: Annotated[str, typer.Argument(metavar="RULE")],
    no_deliver: NoDeliver = False,
) -> int:
    """Release a rule that a run held for review: that date is planned anew with the rule let through.

    JSON: as `run`.
    """
    project = open_project(screen)
    with open_state(screen, project.settings) as store:
        held = _held_run(store, run_id, rule)
        now = utc_now()
        store.switches.approve(run_id, rule, now)
        report = _run_one(screen, project, store, held, now, again=True)
        return finish(screen, project, store, [report], no_deliver=no_deliver, at=None)


def _held_run(store: Store, run_id: int, rule: str) -> _Day:
    recent = store.runs.recent(100)
    found = next((row for row in recent if row.id == run_id), None)
    if found is None:
        raise RequestError(f"there is no run {run_id} among the last 100; `holdfast status` lists the latest")
    newest = next(row for row in recent if row.schedule == found.schedule)
    if newest.id != run_id:
        raise RequestError(
            f"run {run_id} is over: run {newest.id} has decided afresh; `holdfast status` shows what it held"
        )
    held = {name for name, _, reason, _ in store.runs.counts(run_id) if reason == "held_for_review"}
    if not held:
        raise RequestError(f"run {run_id} held no rule for review")
    require_known(rule, held, "held rule")
    return _Day(found.schedule, found.local_date, found.as_of)


def _days(
    project: Project, schedule: str | None, day: date | None, moment: datetime | date | None, now: datetime
) -> list[_Day]:
    """The runs asked for. Of several schedules those whose hour has come; if none has, all that were meant.

    A date as `moment` stands for each schedule's own instant on that date.
    """
    settings = project.settings
    wanted = _schedules(project, schedule)
    at = project.instant(moment) if isinstance(moment, datetime) else now
    if moment is not None and not isinstance(moment, datetime):
        day, due = moment, wanted
    else:
        on = day or local_date(settings, at)
        due = [name for name in wanted if scheduled_instant(settings, name, on) <= at] or (
            wanted if day else wanted[:1]
        )
    if day is not None:
        return [_Day(name, day, scheduled_instant(settings, name, day)) for name in due]
    if moment is not None:
        return [_Day(name, local_date(settings, at), at) for name in due]
    return [_Day(name, local_date(settings, now), default_as_of(settings, name, now)) for name in due]


def _schedules(project: Project, only: str | None) -> Sequence[str]:
    """The schedules that have rules, in the order of their hour; the default one where no rule is switched on."""
    settings = project.settings
    if only is not None:
        require_known(only, settings.schedules, "schedule")
        return [only]
    used = {rule.schedule for rule in project.rules if rule.status != "draft"} or {project.default_schedule}
    return sorted(used, key=lambda name: (settings.schedules[name], name))


def _refuse_rehearsal(
    project: Project, at: datetime | None, now: datetime, force: bool, *, future_only: bool = False
) -> None:
    """A T that is not now must not reach real people. A past date's run may: it is late, and is sent now."""
    if at is None or force or not project.live:
        return
    if at - now > NOT_NOW or (now - at > NOT_NOW and not future_only):
        raise RequestError(
            f"{at:%Y-%m-%d %H:%M} UTC is not now, and this project sends real mail; --force does it all the same, "
            "`holdfast plan --as-of` looks without sending"
        )


def _run_one(screen: Screen, project: Project, store: Store, day: _Day, now: datetime, again: bool) -> RunReport:
    with screen.meter() as meter:
        return daily_run(
            project, store, day.schedule, day.day, day.as_of, now, again=again, progress=meter.stage,
            on_chunk=lambda done, of: meter.part("writing", done, of),
        )  # fmt: skip


def _clock(at: datetime | None) -> Callable[[], datetime]:
    return utc_now if at is None else lambda: at


def finish(
    screen: Screen,
    project: Project,
    store: Store,
    reports: Sequence[RunReport],
    *,
    no_deliver: bool,
    at: datetime | None,
) -> int:
    """Show the runs, deliver, and give the exit code."""
    for report in reports:
        _show_run(screen, project, store, report)
    delivery = None
    if not no_deliver:
        fresh = [report.run.as_of for report in reports if report.fresh]
        delivery = deliver_with_progress(screen, project, store, _clock(at), max(fresh, default=None))
        show_delivery(screen, project, delivery)
    screen.emit({
        "runs": [run_document(report) for report in reports],
        "delivery": None if delivery is None else delivery_document(project, delivery),
    })  # fmt: skip
    return max(*(_code(store, report) for report in reports), delivery_code(delivery) if delivery else DONE)


def run_document(report: RunReport) -> dict[str, object]:
    """One run for programs."""
    row = report.run
    names = ("rule", "outcome", "reason", "count")
    return {
        "id": row.id, "schedule": row.schedule, "date": row.local_date, "n": row.n, "as_of": row.as_of,
        "fresh": report.fresh, "counts": [dict(zip(names, count, strict=True)) for count in report.counts],
        "written": vars(report.written), "doubts": [vars(doubt) for doubt in report.doubts],
    }  # fmt: skip


def _code(store: Store, report: RunReport) -> int:
    if _held(store, report):
        return HELD
    return SOME_FAILED if report.written.conflicts else DONE


def _held(store: Store, report: RunReport) -> list[tuple[str, str, int]]:
    """(rule, reason, how many) of what waits for a person, approvals taken off."""
    approved = {rule for _, rule, _ in store.switches.approvals(report.run.id)}
    return [
        (rule, reason, number)
        for rule, _, reason, number in report.counts
        if reason in _WAITS_FOR_A_PERSON and rule not in approved
    ]


def _show_run(screen: Screen, project: Project, store: Store, report: RunReport) -> None:
    row = report.run
    name = f"Run {row.id}, {row.schedule} of {day_text(row.local_date)}"
    screen.say((name, "bold"), f" as of {moment_text(row.as_of, project.settings.workspace.timezone)}")
    if not report.fresh:
        screen.say("It had been run already; nothing was changed. --again plans it anew.")
    else:
        screen.say(headline(project, report.counts))
        screen.say()
        show_by_rule(screen, ordered(count for count in report.counts if count[2] != "existing"))
        show_existing(screen, report.counts)
        screen.say()
    written = report.written
    if written.withdrawn:
        screen.say(f"{number_of(written.withdrawn, 'planned mail')} withdrawn: no longer called for")
    for table, number in written.conflicts.items():
        screen.say(
            ("! ", "red"), f"{number_of(number, 'row')} of {table} met a key that was there already; please report this"
        )
    for doubt in report.doubts:
        screen.say(("! ", "yellow"), doubt.text, "; rules that read it are held")
    for rule, reason, number in _held(store, report):
        if reason == "held_for_review":
            screen.say(("! ", "yellow"), (rule, "bold"), f" would send {number:,}, far more than usual, and is held. "
                       f"`holdfast approve {row.id} {rule}` releases it.")  # fmt: skip
