"""Answers for people: how things stand, and all the state knows of one customer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select

from engine.store.connect import Database
from engine.store.history import rules_with_memory
from engine.store.outbox_views import Outbox
from engine.store.runs import RunRow, Runs
from engine.store.switches import Switches
from engine.store.tables import approval, attempt, decision, exposure, message, run, run_count, settled_step


@dataclass(frozen=True)
class Held:
    """A rule that waits for a person's word."""

    run_id: int
    rule: str
    reason: str
    n: int


@dataclass(frozen=True)
class Status:
    """How things stand at an instant."""

    runs: tuple[RunRow, ...]
    outbox: dict[str, int]
    #: Since when the longest-waiting due message has been due.
    oldest_waiting: datetime | None
    held: tuple[Held, ...]
    #: Rule, or `*` for everything, and since when.
    paused: dict[str, datetime]


@dataclass(frozen=True)
class DecisionRow:
    """A stored decision."""

    id: int
    run_id: int
    rule: str
    occurrence: str
    step: str
    anchor: datetime | None
    outcome: str
    reason: str
    detail: str | None
    decided_at: datetime
    waited_s: int
    #: The run that replaced it; None while it stands.
    closed_by: int | None
    #: What the rule is about, when that is an account; else ''.
    account_id: str


@dataclass(frozen=True)
class SettledRow:
    """A settled step."""

    rule: str
    occurrence: str
    step: str
    local_date: date
    how: str
    settled_at: datetime
    anchor: datetime | None
    run_id: int
    account_id: str


@dataclass(frozen=True)
class ExposureRow:
    """An exposure, of either arm."""

    rule: str
    occurrence: str
    step: str
    topic: str
    class_: str
    arm: str
    local_date: date
    exposed_at: datetime
    counts: bool
    run_id: int
    account_id: str


@dataclass(frozen=True)
class AttemptRow:
    """One call to a provider."""

    id: int
    message_id: int
    started_at: datetime
    finished_at: datetime | None
    result: str | None
    provider_id: str | None
    detail: str | None


@dataclass(frozen=True)
class MessageRow:
    """A message and its attempts."""

    id: int
    key: str
    run_id: int
    rule: str
    occurrence: str
    step: str
    recipient: str
    channel: str
    template: str
    class_: str
    topic: str
    arm: str
    not_before: datetime
    expires_at: datetime | None
    state: str
    reason: str | None
    #: What the provider's events say became of it.
    fate: str | None
    #: Times it was sent again without knowing what became of it; above 0 it is a possible duplicate.
    resends: int
    next_attempt_at: datetime
    account_id: str
    attempts: tuple[AttemptRow, ...]


@dataclass(frozen=True)
class CustomerHistory:
    """All the state knows of a customer, oldest first."""

    decisions: tuple[DecisionRow, ...]
    settled: tuple[SettledRow, ...]
    exposures: tuple[ExposureRow, ...]
    messages: tuple[MessageRow, ...]


def status(database: Database, now: datetime) -> Status:
    """The last runs, the outbox by state, what is held in the newest run of each schedule, and what is paused."""
    outbox = Outbox(database)
    newest = select(func.max(run.c.id)).where(run.c.state == "finished").group_by(run.c.schedule)
    same_rule = (approval.c.run_id == run_count.c.run_id, approval.c.rule == run_count.c.rule)
    approved = select(approval.c.rule).where(*same_rule)
    held = (
        select(run_count.c.run_id, run_count.c.rule, run_count.c.reason, run_count.c.n)
        .where(run_count.c.outcome == "held", run_count.c.run_id.in_(newest), ~approved.exists())
        .order_by(run_count.c.run_id, run_count.c.rule, run_count.c.reason)
    )
    with database.read() as connection:
        waiting = tuple(Held(*row) for row in connection.execute(held) if row.reason != "rule_paused")
    return Status(
        runs=tuple(Runs(database).recent()),
        outbox=outbox.counts(),
        oldest_waiting=outbox.oldest_waiting(now),
        held=waiting,
        paused=Switches(database).paused(),
    )


def history_of(database: Database, customer_id: str) -> CustomerHistory:
    """Decisions, settled steps, exposures and messages with their attempts."""
    with database.read() as connection:
        # Their keys begin with the rule; every exposure has a settled step.
        rules = rules_with_memory(connection)
        settled = _of(settled_step, SettledRow, customer_id, "settled_at", "rule", "step")
        exposed = _of(exposure, ExposureRow, customer_id, "exposed_at", "rule", "step")
        return CustomerHistory(
            tuple(DecisionRow(*row) for row in connection.execute(_of(decision, DecisionRow, customer_id, "id"))),
            tuple(SettledRow(*row) for row in connection.execute(settled.where(settled_step.c.rule.in_(rules)))),
            tuple(ExposureRow(*row) for row in connection.execute(exposed.where(exposure.c.rule.in_(rules)))),
            _messages(connection, customer_id),
        )


def _messages(connection: Connection, customer_id: str) -> tuple[MessageRow, ...]:
    columns = [attempt.c[name] for name in AttemptRow.__dataclass_fields__]
    calls = select(*columns).join(message).where(message.c.customer_id == customer_id).order_by(attempt.c.id)
    made: dict[int, list[AttemptRow]] = {}
    for row in connection.execute(calls):
        made.setdefault(row.message_id, []).append(AttemptRow(*row))
    found = connection.execute(_of(message, MessageRow, customer_id, "id"))
    return tuple(MessageRow(*(*row[:-1], tuple(made.get(row.id, ())))) for row in found)


def _of(table: Table, shape: Any, customer_id: str, *order: str) -> Select[Any]:
    """A customer's rows of a table, in the order of the fields of `shape`."""
    columns = (table.c[name.rstrip("_")] for name in shape.__dataclass_fields__)
    return select(*columns).where(table.c.customer_id == customer_id).order_by(*(table.c[name] for name in order))
