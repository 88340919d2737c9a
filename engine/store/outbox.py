"""The outbox: who may send which message now, and what came of it.

    planned ─ claim ─> claimed ─ record(start) ─> sending ─ record(outcome) ─> accepted, refused, retry_wait, …
       ^                  │ release, lease over      │ lease over
       └──────────────────┘                          └────────────────────────> in_doubt

A claim gives a lease and a fencing token that grows each time; whatever comes back with an older token changes no
message. Ends: accepted, refused, suppressed, expired, cancelled, failed, unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import chain, zip_longest
from typing import Any

from sqlalchemy import Connection, Row, and_, update

from engine.store import bulk, outbox_sql
from engine.store.connect import Database, instant_text
from engine.store.outbox_rows import OutboxMessage, Outcome, Recorded, Start, Stop, Wait
from engine.store.outbox_sql import OutboxSql, given, lease
from engine.store.outbox_tests import end_tests
from engine.store.tables import LEASED, message

Before = dict[int, Row[Any]]
_STOPPABLE = ("planned", "claimed", "retry_wait")


class Claims:
    """Claiming, recording and stopping; each method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = OutboxSql.of(database)

    def recover(self, now: datetime) -> None:
        """Take over from workers that died: what they claimed is free again, what they were sending is in doubt.

        PostgreSQL: once their leases are over. SQLite: at once, for the caller holds the only delivery lock. Tests that
        nobody waits for any more are given up.
        """
        with self._database.write() as connection:
            self._end_leases(connection, now, everyone=self._database.kind == "sqlite")
            end_tests(connection, message.c.expires_at <= now)

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
        ask = {"now": now, "owner": owner, **lease(now, lease_s)}
        if channels is not None:
            ask["channels"] = sorted(channels)
        with self._database.write() as connection:
            self._end_leases(connection, now)
            waiting = connection.execute(self._sql.queues).scalars()
            queues = [queue for queue in waiting if queue[2:] not in without_rules]
            claimed: list[OutboxMessage] = []
            for lane in ("0", "1"):
                open_queues = [queue for queue in queues if queue.startswith(lane)]
                claimed += self._take_turns(connection, open_queues, limit - len(claimed), ask)
        return claimed

    def _take_turns(
        self, connection: Connection, queues: list[str], room: int, ask: dict[str, Any]
    ) -> list[OutboxMessage]:
        """The same number from each queue, and what is left of the room from those that have more."""
        taken: dict[str, list[OutboxMessage]] = {}
        while queues and room > 0:
            asked, unasked = queues[:room], queues[room:]
            share = room // len(asked)
            found = self._claim_from(connection, asked, share, ask)
            for one in found:
                taken.setdefault(one.rule, []).append(one)
            counts = Counter(one.rule for one in found)
            queues = unasked + [queue for queue in asked if counts[queue[2:]] == share]
            room -= len(found)
        rounds = zip_longest(*(taken[rule] for rule in sorted(taken)))
        return [one for one in chain.from_iterable(rounds) if one is not None]

    def _claim_from(
        self, connection: Connection, queues: list[str], share: int, ask: dict[str, Any]
    ) -> list[OutboxMessage]:
        sentence = self._sql.claim_channels if "channels" in ask else self._sql.claim
        rows = connection.execute(sentence, given(self._database, queues=queues, share=share, **ask)).all()
        return sorted((OutboxMessage._make(row) for row in rows), key=lambda one: (one.not_before, one.id))

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
            before = self._lock(connection, asked)
            ended = [one for one in outcomes if _is(before, one, ("sending", "in_doubt"))]
            begun = [one for one in starts if _is(before, one, ("claimed",)) and before[one.message_id].owner == owner]
            _end(connection, outcomes, ended, now)
            attempts = self._begin(connection, [one.message_id for one in begun], now, lease_s)
        stored = {one.message_id for one in ended} | attempts.keys()
        return Recorded(attempts, frozenset(asked - stored))

    def _begin(self, connection: Connection, ids: list[int], now: datetime, lease_s: float) -> dict[int, int]:
        if not ids:
            return {}
        values = given(self._database, ids=ids, now=now, **lease(now, lease_s))
        connection.execute(self._sql.send, values)
        return {row.message_id: row.id for row in connection.execute(self._sql.open_attempts, values).all()}

    def stop(self, stops: Sequence[Stop]) -> int:
        """Give up messages that are not being sent, and take their exposures back; how many were stopped.

        The step stays settled (how `stopped`), so it is not planned again; the exposure counts for no cap.
        """
        with self._database.write() as connection:
            before = self._lock(connection, {one.message_id for one in stops})
            found = [
                (one, row)
                for one in stops
                if (row := before.get(one.message_id)) and row.state in _STOPPABLE and one.token in {None, row.token}
            ]
            steps = [(row.rule, row.customer_id, row.occurrence, row.step, row.account_id) for _, row in found]
            dates = [one.local_date.isoformat() for one, _ in found]
            bulk.each(connection, outbox_sql.STOP, [(one.state, one.reason, one.message_id) for one, _ in found])
            bulk.each(connection, outbox_sql.UNCOUNT, steps)
            bulk.each(connection, outbox_sql.UNSETTLE, [(day, *step) for day, step in zip(dates, steps, strict=True)])
        return len(found)

    def forgo(self, due_by: datetime, reason: str) -> int:
        """Leave unsent what is waiting and due by an instant: it may have been sent. It becomes `unknown`; how many."""
        waiting = and_(message.c.state.in_(_STOPPABLE), message.c.next_attempt_at <= due_by)
        gone = update(message).where(waiting).values(state="unknown", reason=reason, owner=None, lease_until=None)
        with self._database.write() as connection:
            return connection.execute(gone).rowcount

    def postpone(self, waits: Sequence[Wait]) -> int:
        """Put claimed messages back until a later instant, without an attempt; how many were."""
        with self._database.write() as connection:
            before = self._lock(connection, {one.message_id for one in waits})
            held = [(instant_text(one.until), one.message_id) for one in waits if _is(before, one, ("claimed",))]
            bulk.each(connection, outbox_sql.POSTPONE, held)
        return len(held)

    def suspect(self, message_id: int, token: int, deaths: int) -> None:
        """Note how many workers a claimed message may have killed, before it is given another chance to."""
        with self._database.write() as connection:
            bulk.each(connection, outbox_sql.SUSPECT, [(deaths, message_id, token)])

    def release(self, owner: str, message_ids: Iterable[int] | None = None) -> int:
        """Give back what this owner claimed and did not begin to send: all of it, or the messages named."""
        mine = and_(LEASED, message.c.owner == owner, message.c.state == "claimed")
        if message_ids is not None:
            mine = and_(mine, message.c.id.in_(list(message_ids)))
        back = update(message).where(mine).values(state="planned", owner=None, lease_until=None)
        with self._database.write() as connection:
            return connection.execute(back).rowcount

    def _lock(self, connection: Connection, ids: Collection[int]) -> Before:
        return {row.id: row for row in connection.execute(self._sql.lock, given(self._database, ids=ids)).all()}

    def _end_leases(self, connection: Connection, now: datetime, everyone: bool = False) -> None:
        sentence = self._sql.end_all if everyone else self._sql.end_overdue
        ended = connection.execute(sentence, given(self._database, now=now)).all()
        if lost := [row.id for row in ended if row.state == "in_doubt"]:
            connection.execute(self._sql.doubt_attempts, given(self._database, ids=lost))


def _end(connection: Connection, outcomes: Sequence[Outcome], ended: Sequence[Outcome], now: datetime) -> None:
    """Every outcome finishes its attempt; those that are `ended` move their message too."""
    at = instant_text(now)
    finished = [(at, one.result, one.provider_id, one.detail, one.attempt_id, one.message_id) for one in outcomes]
    moved = [
        (one.state, int(not one.counts), instant_text(one.next_attempt_at or now), one.message_id) for one in ended
    ]
    bulk.each(connection, outbox_sql.FINISH_ATTEMPT, finished)
    bulk.each(connection, outbox_sql.END_SENDING, moved)


def _is(before: Before, word: Outcome | Start | Wait, states: tuple[str, ...]) -> bool:
    found = before.get(word.message_id)
    return found is not None and found.token == word.token and found.state in states
