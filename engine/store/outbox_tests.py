"""Tests: mails that somebody asked for by hand, to an address of their own.

A test goes the way of every message, by itself: no delivery but its own claims it, and it is sent now or never. It
belongs to no customer, no occurrence and no run, so nothing that is remembered, capped or counted can meet it, and it
holds no value of a customer: what it shows is known to the process that sends it alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, insert, update

from engine.store.connect import Database
from engine.store.outbox_care import OutboxRow, rows
from engine.store.outbox_rows import OutboxMessage
from engine.store.outbox_sql import OutboxSql, given, lease
from engine.store.tables import IS_TEST, message

OVER = "test_over"


@dataclass(frozen=True)
class NewTest:
    """A test to be sent. `key`: new for each; `zone`: IANA; `expires_at`: nobody waits for it then."""

    key: str
    rule: str
    step: str
    recipient: str
    address_key: str
    channel: str
    template: str
    snapshot_sha: str
    class_: str
    topic: str
    zone: str
    not_before: datetime
    expires_at: datetime


class TestSends:
    """Part of the outbox."""

    _database: Database
    _sql: OutboxSql

    def plan_test(self, test: NewTest) -> int:
        """Put a test into the outbox; its number."""
        values: dict[str, Any] = {name.rstrip("_"): value for name, value in asdict(test).items()}
        values |= {"run_id": None, "customer_id": "", "account_id": "", "occurrence": "", "arm": "treated"}
        values |= {
            "values_json": "{}",
            "state": "planned",
            "attempts": 0,
            "token": 0,
            "deaths": 0,
            "resends": 0,
            "is_test": True,
        }
        values["next_attempt_at"] = test.not_before
        with self._database.write() as connection:
            return int(connection.execute(insert(message).values(values).returning(message.c.id)).scalar_one())

    def claim_test(self, message_id: int, now: datetime, owner: str, lease_s: float) -> list[OutboxMessage]:
        """A test for `owner` alone until the lease ends; empty when there is nothing left to do with it."""
        ask = given(self._database, id=message_id, owner=owner, **lease(now, lease_s))
        with self._database.write() as connection:
            return [OutboxMessage._make(row) for row in connection.execute(self._sql.claim_test, ask).all()]

    def end_test(self, message_id: int) -> OutboxRow:
        """A test as its delivery left it. What has not left by then never will."""
        with self._database.write() as connection:
            found = OutboxRow(*connection.execute(rows().where(message.c.id == message_id)).one())
            end_tests(connection, message.c.id == message_id)
        return found


def end_tests(connection: Connection, which: Any) -> None:
    """Tests that wait, or that nobody knows about, are over."""
    left = message.c.state.in_(("planned", "claimed", "retry_wait", "in_doubt"))
    ended = case((message.c.state == "in_doubt", "unknown"), else_="cancelled")
    over = update(message).where(IS_TEST, left, which)
    connection.execute(over.values(state=ended, reason=OVER, owner=None, lease_until=None))
