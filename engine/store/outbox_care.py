"""What people, and reconciliation, do about single messages: look at them, send them again, give them up."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, update

from engine.store import bulk
from engine.store.connect import Database, instant_text
from engine.store.evidence import recount
from engine.store.tables import IN_DOUBT, attempt, message

STATES = (
    "planned", "claimed", "sending", "accepted", "refused", "retry_wait", "in_doubt", "suppressed", "expired", "cancelled",
    "failed", "unknown",
)  # fmt: skip
RESENDABLE = ("in_doubt", "unknown", "refused", "failed")
DOUBTFUL = ("in_doubt", "unknown")
"""A message in these states may have been sent: a second copy is a possible duplicate."""

_RESEND = (
    "UPDATE message SET state = 'planned', reason = NULL, owner = NULL, lease_until = NULL, attempts = 0, deaths = 0, "
    "next_attempt_at = ?, resends = resends + ? WHERE id = ?"
)


@dataclass(frozen=True)
class OutboxRow:
    """A message as people look at it, with its last attempt."""

    id: int
    rule: str
    customer_id: str
    occurrence: str
    step: str
    class_: str
    channel: str
    zone: str
    state: str
    reason: str | None
    #: What the provider's events say became of it.
    fate: str | None
    #: Times it was sent again without knowing what became of it; above 0 it is a possible duplicate.
    resends: int
    next_attempt_at: datetime
    called_at: datetime | None
    provider_id: str | None
    detail: str | None


class Care:
    """Part of the outbox."""

    _database: Database

    def listed(self, state: str | None, rule: str | None, limit: int) -> list[OutboxRow]:
        """The newest messages, of one state or rule."""
        query = rows().order_by(message.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(message.c.state == state)
        if rule is not None:
            query = query.where(message.c.rule == rule)
        with self._database.read() as connection:
            return [OutboxRow(*row) for row in connection.execute(query)]

    def find(self, message_ids: Collection[int]) -> list[OutboxRow]:
        """These messages, in order of their numbers; tests and those there are not are left out."""
        query = rows().where(message.c.id.in_(list(message_ids)), message.c.is_test.is_(False)).order_by(message.c.id)
        with self._database.read() as connection:
            return [OutboxRow(*row) for row in connection.execute(query)]

    def resend(self, message_ids: Iterable[int], now: datetime, states: Collection[str] = RESENDABLE) -> dict[int, str]:
        """Plan messages once more, if they are in one of `states`; each with the state it was in.

        They pass the gate like all others and get new attempts. One that may have been sent is marked as a possible
        duplicate; one that certainly was not counts against caps again.
        """
        own = select(message.c.id, message.c.state).where(message.c.id.in_(list(message_ids)))
        with self._database.write() as connection:
            found = connection.execute(own.where(message.c.state.in_(states)).order_by(message.c.id).with_for_update())
            before = {row.id: row.state for row in found.all()}
            at = instant_text(now)
            bulk.each(connection, _RESEND, [(at, int(state in DOUBTFUL), ident) for ident, state in before.items()])
            recount(connection, [ident for ident, state in before.items() if state not in DOUBTFUL])
        return before

    def end_doubt(self, message_ids: Iterable[int], state: str, reason: str) -> int:
        """Messages in doubt end as `unknown` or `cancelled`; how many did. They may have been sent, so they count."""
        ours = update(message).where(message.c.id.in_(list(message_ids)), IN_DOUBT)
        with self._database.write() as connection:
            return connection.execute(ours.values(state=state, reason=reason)).rowcount


def rows() -> Select[Any]:
    """The columns of OutboxRow."""
    last = select(func.max(attempt.c.id)).where(attempt.c.message_id == message.c.id).correlate(message)
    calls = {"called_at": attempt.c.started_at, "provider_id": attempt.c.provider_id, "detail": attempt.c.detail}
    columns = [calls[name] if name in calls else message.c[name.rstrip("_")] for name in OutboxRow.__dataclass_fields__]
    return select(*columns).select_from(message.outerjoin(attempt, attempt.c.id == last.scalar_subquery()))
