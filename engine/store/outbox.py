"""The outbox: who may send which message now, and what came of it.

    planned ─ claim ─> claimed ─ record(start) ─> sending ─ record(outcome) ─> accepted, refused, retry_wait, …
       ^                  │ release, lease over      │ lease over
       └──────────────────┘                          └────────────────────────> in_doubt

A claim gives a lease and a fencing token that grows each time; whatever comes back with an older token changes no
message. Ends: accepted, refused, suppressed, expired, cancelled, failed, unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from itertools import chain, zip_longest
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Update,
    and_,
    bindparam,
    case,
    func,
    insert,
    select,
    text,
    true,
    update,
)

from engine.store.connect import Database
from engine.store.outbox_rows import OutboxMessage, Outcome, Recorded, Start, Stop, Wait
from engine.store.tables import DUE, LEASED, attempt, exposure, message, settled_step

_CLAIMED = [message.c[one.name.rstrip("_")] for one in fields(OutboxMessage)]
Before = dict[int, Row[Any]]
_FREE: dict[str, Any] = {"owner": None, "lease_until": None}
_STOPPABLE = ("planned", "claimed", "retry_wait")


@dataclass(frozen=True)
class _Ask:
    """Who claims, when, for how long, and of which channels (None: all)."""

    now: datetime
    owner: str
    lease_s: float
    channels: Collection[str] | None


class Claims:
    """Claiming, recording and stopping; each method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def recover(self, now: datetime) -> None:
        """Take over from workers that died: what they claimed is free again, what they were sending is in doubt.

        PostgreSQL: once their leases are over. SQLite: at once, for the caller holds the only delivery lock.
        """
        with self._database.write() as connection:
            self._end_leases(connection, true() if self._database.kind == "sqlite" else self._overdue(now))

    def claim(
        self,
        now: datetime,
        limit: int,
        owner: str,
        lease_s: float,
        *,
        channels: Collection[str] | None = None,
        without_rules: Collection[str] = (),
    ) -> list[OutboxMessage]:
        """Up to `limit` messages due at `now`, for `owner` alone until the lease ends.

        Service and legal mail first; within either, the rules take turns, so that a rule with a million messages does
        not starve the others. Leases are measured by the server's clock on PostgreSQL, by `now` on SQLite.
        `channels`: only messages of these (None: of all); `without_rules`: none of these, paused ones.
        """
        ask = _Ask(now, owner, lease_s, channels)
        with self._database.write() as connection:
            self._end_leases(connection, self._overdue(now))
            queues = [queue for queue in _queues(connection) if queue[2:] not in without_rules]
            claimed: list[OutboxMessage] = []
            for lane in ("0", "1"):
                open_queues = [queue for queue in queues if queue.startswith(lane)]
                claimed += self._take_turns(connection, open_queues, limit - len(claimed), ask)
        return claimed

    def _take_turns(self, connection: Connection, queues: list[str], room: int, ask: _Ask) -> list[OutboxMessage]:
        taken: dict[str, list[OutboxMessage]] = {}
        while queues and room > 0:
            share = max(1, room // len(queues))
            rest = []
            for queue in queues:
                portion = min(share, room)
                found = self._claim_from(connection, queue, portion, ask) if portion else []
                taken.setdefault(queue, []).extend(found)
                room -= len(found)
                if len(found) == portion:
                    rest.append(queue)
            queues = rest
        rounds = zip_longest(*taken.values())
        return [found for found in chain.from_iterable(rounds) if found is not None]

    def _claim_from(self, connection: Connection, queue: str, limit: int, ask: _Ask) -> list[OutboxMessage]:
        due = and_(DUE, message.c.queue == queue, message.c.next_attempt_at <= ask.now)
        if ask.channels is not None:
            due = and_(due, message.c.channel.in_(sorted(ask.channels)))
        oldest = select(message.c.id).where(due).order_by(message.c.next_attempt_at).limit(limit)
        # A common table expression with FOR UPDATE runs once; as a plain subquery PostgreSQL might repeat it.
        chosen = oldest.with_for_update(skip_locked=True).cte("chosen")
        claim = update(message).where(message.c.id.in_(select(chosen.c.id)))
        claim = claim.values(
            state="claimed",
            owner=ask.owner,
            token=message.c.token + 1,
            lease_until=self._database.later(ask.now, ask.lease_s),
        )
        found = [OutboxMessage(*row) for row in connection.execute(claim.returning(*_CLAIMED))]
        return sorted(found, key=lambda one: (one.not_before, one.id))

    def record(
        self, outcomes: Sequence[Outcome], starts: Sequence[Start], owner: str, now: datetime, lease_s: float
    ) -> Recorded:
        """Store how attempts ended and open the next ones, in one transaction.

        When it returns, the new attempts are on disk: only then may their calls be made. An outcome is taken while its
        message is `sending` or `in_doubt` under the same token; otherwise the attempt row still keeps the evidence. A
        start needs a message claimed by this owner under this token.
        """
        asked = {one.message_id for one in outcomes} | {one.message_id for one in starts}
        with self._database.write() as connection:
            before = _locked(connection, asked)
            ended = [one for one in outcomes if _is(before, one, ("sending", "in_doubt"))]
            begun = [one for one in starts if _is(before, one, ("claimed",)) and before[one.message_id].owner == owner]
            _finish_attempts(connection, outcomes, now)
            _apply_outcomes(connection, ended, now)
            attempts = self._begin(connection, begun, now, lease_s)
        stored = {one.message_id for one in ended} | attempts.keys()
        return Recorded(attempts, frozenset(asked - stored))

    def _begin(self, connection: Connection, begun: Sequence[Start], now: datetime, lease_s: float) -> dict[int, int]:
        if not begun:
            return {}
        sending = update(message).where(message.c.id.in_([one.message_id for one in begun]))
        connection.execute(
            sending.values(
                state="sending", attempts=message.c.attempts + 1, lease_until=self._database.later(now, lease_s)
            )
        )
        rows = [{"message_id": one.message_id, "token": one.token, "started_at": now} for one in begun]
        opened = connection.execute(insert(attempt).returning(attempt.c.message_id, attempt.c.id), rows)
        return {row.message_id: row.id for row in opened}

    def stop(self, stops: Sequence[Stop]) -> int:
        """Give up messages that are not being sent, and take their exposures back; how many were stopped.

        The step stays settled (how `stopped`), so it is not planned again; the exposure counts for no cap.
        """
        with self._database.write() as connection:
            before = _locked(connection, {one.message_id for one in stops})
            stopped = [
                one for one in stops
                if (found := before.get(one.message_id)) is not None
                and found.state in _STOPPABLE
                and one.token in (None, found.token)
            ]  # fmt: skip
            for one in stopped:
                connection.execute(_stopping(one))
                _take_back(connection, before[one.message_id], one.local_date)
        return len(stopped)

    def postpone(self, waits: Sequence[Wait]) -> int:
        """Put claimed messages back until a later instant, without an attempt; how many were."""
        with self._database.write() as connection:
            before = _locked(connection, {one.message_id for one in waits})
            held = [one for one in waits if _is(before, one, ("claimed",))]
            for one in held:
                change = update(message).where(message.c.id == one.message_id)
                connection.execute(change.values(state="planned", next_attempt_at=one.until, **_FREE))
        return len(held)

    def release(self, owner: str, message_ids: Iterable[int] | None = None) -> int:
        """Give back what this owner claimed and did not begin to send: all of it, or the messages named."""
        mine = and_(message.c.owner == owner, message.c.state == "claimed")
        if message_ids is not None:
            mine = and_(mine, message.c.id.in_(list(message_ids)))
        with self._database.write() as connection:
            return connection.execute(update(message).where(mine, LEASED).values(state="planned", **_FREE)).rowcount

    def _overdue(self, now: datetime) -> ColumnElement[bool]:
        return message.c.lease_until < self._database.clock(now)

    def _end_leases(self, connection: Connection, over: ColumnElement[bool]) -> None:
        after = case((message.c.state == "claimed", "planned"), else_="in_doubt")
        ended = update(message).where(LEASED, over).values(state=after, **_FREE)
        changed = connection.execute(ended.returning(message.c.id, message.c.state))
        lost = [message_id for message_id, state in changed if state == "in_doubt"]
        if lost:
            open_attempts = and_(attempt.c.message_id.in_(lost), attempt.c.result.is_(None))
            connection.execute(
                update(attempt).where(open_attempts).values(result="in_doubt", detail="the sending process ended")
            )


def _queues(connection: Connection) -> list[str]:
    """The queues with anything waiting, by a loose index scan: one probe per rule, not per message."""
    query = text(
        f"WITH RECURSIVE waiting(queue) AS (SELECT min(queue) FROM message WHERE {DUE.text} UNION ALL "
        f"SELECT (SELECT min(m.queue) FROM message m WHERE {DUE.text} AND m.queue > waiting.queue) FROM waiting "
        "WHERE waiting.queue IS NOT NULL) SELECT queue FROM waiting WHERE queue IS NOT NULL"
    )
    return list(connection.execute(query).scalars())


def _locked(connection: Connection, message_ids: Collection[int]) -> Before:
    """The messages as they are, held until the transaction ends; locked in order of id, against deadlocks."""
    names = ("id", "token", "state", "owner", "attempts", "rule", "customer_id", "occurrence", "step")
    query = select(*(message.c[name] for name in names)).where(message.c.id.in_(message_ids)).order_by(message.c.id)
    return {row.id: row for row in connection.execute(query.with_for_update())}


def _is(before: Before, word: Outcome | Start | Wait, states: tuple[str, ...]) -> bool:
    found = before.get(word.message_id)
    return found is not None and found.token == word.token and found.state in states


def _finish_attempts(connection: Connection, outcomes: Sequence[Outcome], now: datetime) -> None:
    rows = [
        {
            "attempt": one.attempt_id,
            "of_message": one.message_id,
            "a_result": one.result,
            "a_provider_id": one.provider_id,
            "a_detail": one.detail,
        }
        for one in outcomes
    ]
    if rows:
        finish = update(attempt).where(
            attempt.c.id == bindparam("attempt"), attempt.c.message_id == bindparam("of_message")
        )
        connection.execute(
            finish.values(
                finished_at=func.coalesce(attempt.c.finished_at, now),
                result=bindparam("a_result"),
                provider_id=func.coalesce(bindparam("a_provider_id"), attempt.c.provider_id),
                detail=bindparam("a_detail"),
            ),
            rows,
        )


def _apply_outcomes(connection: Connection, ended: Sequence[Outcome], now: datetime) -> None:
    rows = [
        {
            "of_message": one.message_id,
            "o_state": one.state,
            "o_spared": 0 if one.counts else 1,
            "o_next": one.next_attempt_at or now,
        }
        for one in ended
    ]
    if rows:
        change = update(message).where(message.c.id == bindparam("of_message"))
        connection.execute(
            change.values(
                state=bindparam("o_state"),
                attempts=message.c.attempts - bindparam("o_spared"),
                next_attempt_at=bindparam("o_next"),
                **_FREE,
            ),
            rows,
        )


def _stopping(one: Stop) -> Update:
    return update(message).where(message.c.id == one.message_id).values(state=one.state, reason=one.reason, **_FREE)


def _take_back(connection: Connection, found: Row[Any], local_date: date) -> None:
    step = {name: getattr(found, name) for name in ("rule", "customer_id", "occurrence", "step")}
    connection.execute(update(exposure).filter_by(**step).values(counts=False))
    connection.execute(update(settled_step).filter_by(**step).values(how="stopped", local_date=local_date))
