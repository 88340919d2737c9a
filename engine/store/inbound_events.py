"""What providers tell us, kept word for word before it means anything: one table for all of them.

An event is kept once, however often it comes. Who applies a provider's events reads those that wait and says what
became of each, in the transaction that makes the changes they call for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select

from engine.store import bulk
from engine.store.connect import Database, instant_text
from engine.store.tables import inbound_event

_COLUMNS = (
    "source", "received_at", "event_id", "kind", "happened_at", "body", "address_key", "about", "state", "detail",
)  # fmt: skip
_KEEP = (
    f"INSERT INTO inbound_event ({bulk.names(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    "ON CONFLICT (source, event_id) DO NOTHING"
)
_SETTLE = "UPDATE inbound_event SET state = ?, message_id = ?, attempt_id = ?, detail = ? WHERE id = ?"
_FIRST_STATES = ("new", "ignored", "quarantined")


@dataclass(frozen=True)
class RawEvent:
    """One event as it came."""

    #: Theirs; the same event sent twice has it twice.
    event_id: str
    #: Their word for what happened.
    kind: str
    happened_at: datetime | None
    #: JSON.
    body: str
    #: The keyed hash of its address; None when it has none that can be read.
    address_key: str | None = None
    #: Their id of the customer it is about.
    about: str | None = None
    #: `new` waits to be applied, `ignored` is understood and none of our business, `quarantined` is malformed.
    state: Literal["new", "ignored", "quarantined"] = "new"
    #: Why it is ignored or in quarantine.
    detail: str | None = None


@dataclass(frozen=True)
class Kept:
    """What one call stored, by the state it begins in: `stored` is to be applied. Those known already are in none."""

    stored: int
    ignored: int
    quarantined: int


@dataclass(frozen=True)
class Settled:
    """What became of an event that waited: `applied`, or `orphan` when it is about nothing of ours."""

    id: int
    state: Literal["applied", "orphan", "ignored", "quarantined"]
    message_id: int | None = None
    attempt_id: int | None = None
    detail: str | None = None


class InboundEvents:
    """Events as they came, from every source."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, source: str, events: Iterable[RawEvent], received_at: datetime) -> Kept:
        """Store events as they came, those that are known left out. On disk when it returns."""
        now = instant_text(received_at)
        ordered = sorted(events, key=lambda one: one.event_id)  # two requests with the same events must not deadlock
        with self._database.write() as connection:
            return Kept(*(_insert(connection, source, now, ordered, state) for state in _FIRST_STATES))

    def counts(self) -> dict[tuple[str, str], int]:
        """Events by source and state: new, applied, orphan, ignored, quarantined."""
        keys = (inbound_event.c.source, inbound_event.c.state)
        with self._database.read() as connection:
            rows = connection.execute(select(*keys, func.count()).group_by(*keys).order_by(*keys))
            return {(source, state): number for source, state, number in rows}


def waiting(connection: Connection, source: str, limit: int) -> Sequence[Row[Any]]:
    """Up to `limit` events of a source that were not applied yet, oldest first, each for one transaction only."""
    mine = (inbound_event.c.source == source, inbound_event.c.state == "new")
    query = select(inbound_event).where(*mine).order_by(inbound_event.c.id).limit(limit)
    return connection.execute(query.with_for_update(skip_locked=True)).all()


def settle(connection: Connection, settled: Iterable[Settled]) -> None:
    """Write down what became of events."""
    rows = [(one.state, one.message_id, one.attempt_id, one.detail, one.id) for one in settled]
    bulk.each(connection, _SETTLE, rows)


def _insert(connection: Connection, source: str, now: str, events: Sequence[RawEvent], state: str) -> int:
    """Insert those that begin in a state; how many were not known."""
    rows = [
        (source, now, one.event_id, one.kind, one.happened_at and instant_text(one.happened_at), one.body,
         one.address_key, one.about, one.state, one.detail)
        for one in events if one.state == state
    ]  # fmt: skip
    return bulk.each(connection, _KEEP, rows)
