"""The daily run: plan, write, finish. Idempotent for each schedule and local date.

An interrupted run goes on with the instant and the snapshot it was begun with; a finished one is only reported. Two
processes cannot plan at once, and no key can be written twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

from engine.api import Project
from engine.billing import catch_up
from engine.errors import SetupError
from engine.pipeline import Plan, Request
from engine.recording import Written, record, vanished_candidates
from engine.schedule import horizon_after
from engine.store import RunRow, Store
from engine.warehouse.guards import Doubt, believed_rows
from engine.warehouse.staging import TableReport

ChunkProgress = Callable[[int, int], None]

_RECENT = 200  # runs looked through for those of the same schedule or date; many schedules share the table


@dataclass
class RunReport:
    """What a run did, or what the finished one it found had done."""

    run: RunRow
    fresh: bool
    """False when the date had been run already and nothing was done."""
    counts: list[tuple[str, str, str, int]]
    """(rule, outcome, reason, how many)."""
    written: Written = field(default_factory=Written)
    doubts: list[Doubt] = field(default_factory=list)
    tables: list[TableReport] = field(default_factory=list)


def daily_run(
    project: Project,
    store: Store,
    schedule: str,
    day: date,
    as_of: datetime,
    now: datetime,
    *,
    again: bool = False,
    progress: Callable[[str], None] = lambda text: None,
    on_chunk: ChunkProgress = lambda done, of: None,
) -> RunReport:
    """Run `schedule` for the local date `day` as of `as_of`; `now` is only written down as the time of starting.

    `again` plans a finished date anew with today's data and rules: messages that no longer hold are withdrawn.
    Raises UnavailableError while another process plans, SetupError when rules and tables do not fit.
    """
    with store.run_lock():
        earlier = store.runs.latest(schedule, day)
        store.snapshots.save(project.snapshot_sha, project.files)
        horizon = horizon_after(project.settings, schedule, as_of)
        run = store.runs.begin(schedule, day, as_of, horizon, project.snapshot_sha, now, again=again)
        if run.state == "finished":
            return RunReport(run, False, store.runs.counts(run.id))
        pinned = (
            project
            if run.snapshot_sha == project.snapshot_sha
            else project.at_snapshot(store.snapshots.load(run.snapshot_sha))
        )
        if pinned.settings.from_stripe:
            progress("hearing what Stripe said")
            catch_up(pinned.settings, store, now)
        try:
            plan = pinned.decide(_request(pinned, store, run, earlier), store, progress=progress)
        except SetupError:
            store.runs.abandon(run.id)  # nothing was done, so nothing is to be continued with these files
            raise
        try:
            withdrawn = _withdraw(plan, store, run)
            progress("writing")
            written = record(plan, store, run.id, run.cursor, pinned.templates, on_chunk)
            written.withdrawn = withdrawn
            return _finish(plan, store, run, written, now)
        finally:
            plan.close()


def _request(project: Project, store: Store, run: RunRow, earlier: RunRow | None) -> Request:
    """The run's rules: those of its schedule that are not drafts. Approvals of the date's earlier runs hold."""
    rules = tuple(rule for rule in project.rules if rule.status != "draft" and rule.schedule == run.schedule)
    approvals = {rule for run_id, rule, _ in store.switches.approvals() if earlier is not None and run_id <= run.id}
    return Request(
        run.as_of, run.schedule, rules, horizon=run.horizon, before_run=run.id,
        approved=approvals & _held_lately(store, run),
    )  # fmt: skip


def _held_lately(store: Store, run: RunRow) -> set[str]:
    """Rules that the schedule's run before this one had held for review: an approval is for that case, not for ever."""
    before = [row for row in store.runs.recent(_RECENT) if row.schedule == run.schedule and row.id < run.id]
    if not before:
        return set()
    return {rule for rule, _, reason, _ in store.runs.counts(before[0].id) if reason == "held_for_review"}


def _withdraw(plan: Plan, store: Store, run: RunRow) -> int:
    """Planned messages of the date's earlier runs whose reason has gone: only when the date is planned anew."""
    if run.n == 1:
        return 0
    same_date = [
        row for row in store.runs.recent(_RECENT) if (row.schedule, row.local_date) == (run.schedule, run.local_date)
    ]
    gone = vanished_candidates(plan)
    return sum(store.ledger.withdraw(row.id, gone) for row in same_date if row.id < run.id)


def _finish(plan: Plan, store: Store, run: RunRow, written: Written, now: datetime) -> RunReport:
    reports, settings = plan.evaluation.warehouse.reports, plan.evaluation.warehouse.settings
    newest = {name: str(report.newest) for name, report in reports.items() if report.newest}
    counts = plan.counts()
    rows = believed_rows(reports, store.runs.table_rows_of_last_run(), plan.doubts, settings)
    store.runs.finish(run.id, counts, newest, rows, now)
    return RunReport(store.runs.get(run.id), True, counts, written, plan.doubts, list(reports.values()))
