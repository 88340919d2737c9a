"""What the outbox holds: facts for the gate before each send, and figures for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from engine.store.connect import FETCH_ROWS, Database
from engine.store.outbox import Claims
from engine.store.outbox_care import Care
from engine.store.outbox_sql import given
from engine.store.outbox_tests import TestSends
from engine.store.tables import DUE, attempt, message

_REAL = message.c.queue < "2"  # as `is_test` says, and in the index that finds what is due


@dataclass(frozen=True)
class GateRow:
    """What the state knows against sending a message at an instant."""

    message_id: int
    state: str
    token: int
    #: Everything is paused.
    paused: bool
    rule_paused: bool
    #: `expires_at` is not after the instant.
    expired: bool
    #: (kind, topic, until) that hold for this address; the topic is "" (all topics) or the message's.
    suppressions: tuple[tuple[str, str, date | None], ...]


@dataclass(frozen=True)
class DoubtRow:
    """A message of which nobody knows whether the provider took it, with its last attempt."""

    message_id: int
    token: int
    class_: str
    rule: str
    customer_id: str
    attempts: int
    attempt_id: int
    started_at: datetime
    provider_id: str | None


class Outbox(Claims, Care, TestSends):
    """Claims, the views, and what people do about single messages. Tests stand in no figure."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database = database

    def gate_rows(self, message_ids: Iterable[int], now: datetime) -> dict[int, GateRow]:
        """The gate's facts for many messages at once; a message that is missing must not be sent."""
        found: dict[int, GateRow] = {}
        values = given(self._database, ids=message_ids, now=now)
        with self._database.read() as connection:
            for row in connection.execute(self._sql.gate, values).all():
                known = found[row.id].suppressions if row.id in found else ()
                against = known if row.kind is None else (*known, (row.kind, row.topic, row.until))
                found[row.id] = GateRow(row.id, row.state, row.token, row.paused, row.rule_paused, row.expired, against)
        return found

    def due_candidates(self, now: datetime) -> Iterator[tuple[Any, ...]]:
        """(message id, rule, customer_id, occurrence, step, class, channel, recipient, account_id) of all that is
        claimed, or waiting and due.
        """
        step = (message.c.rule, message.c.customer_id, message.c.occurrence, message.c.step)
        columns = (
            message.c.id,
            *step,
            message.c["class"],
            message.c.channel,
            message.c.recipient,
            message.c.account_id,
        )
        query = select(*columns).where(_REAL, or_(message.c.state == "claimed", _due(now)))
        with self._database.read() as connection:
            for batch in connection.execution_options(yield_per=FETCH_ROWS).execute(query).partitions():
                yield from map(tuple, batch)

    def in_doubt(self) -> list[DoubtRow]:
        """The messages in doubt, oldest attempt first."""
        attempts = select(func.max(attempt.c.id)).where(attempt.c.message_id == message.c.id)
        last = attempts.correlate(message).scalar_subquery()
        columns = (message.c.id, message.c.token, message.c["class"], message.c.rule, message.c.customer_id)
        query = (
            select(*columns, message.c.attempts, attempt.c.id, attempt.c.started_at, attempt.c.provider_id)
            .join(attempt, attempt.c.id == last)
            .where(message.c.state == "in_doubt")
            .order_by(attempt.c.started_at, attempt.c.id)
        )
        with self._database.read() as connection:
            return [DoubtRow(*row) for row in connection.execute(query)]

    def counts(self) -> dict[str, int]:
        """Messages per state."""
        real = select(message.c.state, func.count()).where(message.c.is_test.is_(False))
        query = real.group_by(message.c.state).order_by(message.c.state)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def due_count(self, now: datetime) -> int:
        """Messages waiting and due."""
        with self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(message).where(_due(now))).scalar_one()

    def oldest_waiting(self, now: datetime) -> datetime | None:
        """Since when the longest-waiting due message has been due."""
        with self._database.read() as connection:
            return connection.execute(select(func.min(message.c.next_attempt_at)).where(_due(now))).scalar()

    def next_due_at(self) -> datetime | None:
        """When the next waiting message is due; None when nothing waits."""
        with self._database.read() as connection:
            return connection.execute(select(func.min(message.c.next_attempt_at)).where(DUE, _REAL)).scalar()


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(DUE, _REAL, message.c.next_attempt_at <= now)
