"""Figures about the state for a monitoring system: counts and instants, nobody's address or id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from engine.store.connect import Database
from engine.store.inbound_events import InboundEvents
from engine.store.outbox_views import Outbox
from engine.store.tables import IS_TEST, attempt, message, run, run_count


@dataclass(frozen=True)
class Figures:
    """How things stand, in numbers."""

    #: (schedule, state) to runs.
    runs: dict[tuple[str, str], int]
    #: Schedule to the end of its last finished run.
    last_finished: dict[str, datetime]
    #: Outcome to decisions of all finished runs.
    decisions: dict[str, int]
    #: State to messages.
    outbox: dict[str, int]
    #: Since when the longest-waiting due message has been due.
    oldest_waiting: datetime | None
    #: Result to attempts; `under_way` for those without one.
    deliveries: dict[str, int]
    #: (source, state) to events of providers that are still kept.
    inbound: dict[tuple[str, str], int]


def figures(database: Database, now: datetime) -> Figures:
    """The figures at an instant."""
    outbox = Outbox(database)
    runs = select(run.c.schedule, run.c.state, func.count()).group_by(run.c.schedule, run.c.state)
    ends = select(run.c.schedule, func.max(run.c.finished_at)).where(run.c.state == "finished").group_by(run.c.schedule)
    decisions = select(run_count.c.outcome, func.sum(run_count.c.n)).group_by(run_count.c.outcome)
    tests = select(message.c.id).where(IS_TEST)
    deliveries = select(attempt.c.result, func.count()).where(attempt.c.message_id.not_in(tests))
    deliveries = deliveries.group_by(attempt.c.result)
    with database.read() as connection:
        return Figures(
            runs={(row[0], row[1]): row[2] for row in connection.execute(runs)},
            last_finished={row[0]: row[1] for row in connection.execute(ends)},
            decisions={row[0]: int(row[1]) for row in connection.execute(decisions)},
            outbox=outbox.counts(),
            oldest_waiting=outbox.oldest_waiting(now),
            deliveries={row[0] or "under_way": row[1] for row in connection.execute(deliveries)},
            inbound=InboundEvents(database).counts(),
        )
