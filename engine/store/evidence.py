"""Evidence: what SendGrid's events, once they are kept, say about mails.

An event is applied once, in one transaction with all it changes, and in any order: a message becomes `accepted` and
stays so, its fate only moves forward (see `event_words.FATES`), and a suppression is never taken back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, TextClause, func, select, text

from engine.addresses import AddressError, parse_address
from engine.store import bulk
from engine.store.connect import Database, instant_text
from engine.store.event_words import Meaning, later, meaning
from engine.store.inbound_events import Settled, settle, waiting
from engine.store.outbox_sql import given
from engine.store.tables import attempt, inbound_event, install, message

APPLIED_AT_ONCE = 2000  # events; a transaction of well under a second
SOURCE = "sendgrid"

_SET_FATE = "UPDATE message SET fate = ? WHERE id = ?"
_ACCEPT = "UPDATE message SET state = 'accepted', reason = NULL, owner = NULL, lease_until = NULL WHERE id = ?"
_PROVE = (
    "UPDATE attempt SET result = 'accepted', finished_at = coalesce(finished_at, ?), detail = 'its events say so' "
    "WHERE id = ? AND (result IS NULL OR result <> 'accepted')"
)
# The earliest of our events gives the instant, in whatever order they come; another source's entry stays as it is.
_SUPPRESS = (
    "INSERT INTO suppression (address_key, kind, topic, address, source, \"at\") VALUES (?, ?, '', ?, ?, ?) "
    'ON CONFLICT (address_key, kind, topic) DO UPDATE SET "at" = excluded."at" '
    'WHERE suppression.source = excluded.source AND excluded."at" < suppression."at"'
)
_STEP_OF_MESSAGE = (
    "EXISTS (SELECT 1 FROM message m WHERE m.id = ? AND m.rule = t.rule AND m.customer_id = t.customer_id "
    "AND m.occurrence = t.occurrence AND m.step = t.step AND m.account_id = t.account_id)"
)
RECOUNT = (
    f"UPDATE exposure AS t SET counts = true WHERE {_STEP_OF_MESSAGE}",
    f"UPDATE settled_step AS t SET how = 'sent' WHERE how = 'stopped' AND {_STEP_OF_MESSAGE}",
)
_STOPPED = ("suppressed", "expired", "cancelled", "failed")
_ACCEPT_ANSWERED = (
    "UPDATE message SET state = 'accepted', reason = NULL WHERE state = 'in_doubt' AND EXISTS "
    "(SELECT 1 FROM attempt a WHERE a.message_id = message.id AND a.result = 'accepted')"
)
_MESSAGE_ID = re.compile(r"[!-~]{1,300}")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class Applied:
    """What one call applied. `orphans`: events of no message of ours."""

    events: int = 0
    orphans: int = 0
    suppressed: int = 0


@dataclass(frozen=True)
class Doubt:
    """A message in doubt, with its last attempt."""

    message_id: int
    class_: str
    channel: str
    resends: int
    expires_at: datetime | None
    attempt_id: int
    started_at: datetime
    #: An event about a later attempt of this channel has arrived: the silence about this one means something.
    is_passed: bool


@dataclass(frozen=True)
class _Found:
    """An event read, with the attempt it is about, if that is ours."""

    row: Row[Any]
    event: Mapping[str, Any]
    meaning: Meaning
    attempt: Row[Any] | None
    detail: str | None


class Evidence:
    """Events applied; the doubts they leave."""

    def __init__(self, database: Database) -> None:
        self._database = database
        on_server = database.kind == "postgresql"
        self._attempts = _among("SELECT id, message_id, result FROM attempt WHERE id", "bigint", on_server)
        self._named = _among(
            "SELECT id, message_id, result, provider_id FROM attempt WHERE provider_id", "text", on_server
        )
        self._erased = _among(
            "SELECT address_key FROM suppression WHERE kind = 'erased' AND address_key", "text", on_server
        )
        # In order of id, as everybody locks messages, so that two workers cannot deadlock.
        lock = " ORDER BY id FOR UPDATE" if on_server else ""
        self._lock = _among(
            "SELECT id, state, fate, address_key, recipient FROM message WHERE id", "bigint", on_server, lock
        )

    def apply_new(self, limit: int = APPLIED_AT_ONCE) -> Applied:
        """Apply up to `limit` events that were kept and not applied yet, oldest first, in one transaction."""
        with self._database.write() as connection:
            rows = waiting(connection, SOURCE, limit)
            if not rows:
                return Applied()
            found = self._correlate(connection, rows)
            messages = self._locked(connection, {one.attempt.message_id for one in found if one.attempt})
            _move(connection, found, messages)
            suppressed = self._suppress(connection, found, messages)
            settle(connection, map(_ended, found))
        return Applied(len(found), sum(one.attempt is None for one in found), suppressed)

    def apply_all(self) -> Applied:
        """Apply all that waits, in as many transactions as that takes."""
        whole = Applied()
        while (part := self.apply_new()).events:
            whole = Applied(*(one + other for one, other in zip(astuple(whole), astuple(part), strict=True)))
        return whole

    # Whose event it is.

    def _correlate(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[_Found]:
        own = connection.execute(select(install.c.value).where(install.c.name == "id")).scalar()
        events = [_read(row.body) for row in rows]
        ours = {row.id: row for row in self._ask(connection, self._attempts, map(_attempt_id, events))}
        unmarked = [event for event in events if "install" not in event]
        named = self._by_name(connection, {name for event in unmarked for name in _names(event)})
        found = []
        for row, event in zip(rows, events, strict=True):
            if "install" in event:
                of, detail = _by_arguments(event, own, ours)
            else:
                of, detail = _by_names(event, named)
            found.append(_Found(row, event, meaning(row.kind, event), of, detail))
        return found

    def _by_name(self, connection: Connection, names: Iterable[str]) -> dict[str, Row[Any]]:
        """Attempts by the provider's id; an id given twice names nobody."""
        attempts: dict[str, Row[Any]] = {}
        repeated = set()
        for row in self._ask(connection, self._named, names):
            if row.provider_id in attempts:
                repeated.add(row.provider_id)
            attempts[row.provider_id] = row
        return {name: row for name, row in attempts.items() if name not in repeated}

    def _locked(self, connection: Connection, ids: Iterable[int]) -> dict[int, Row[Any]]:
        return {row.id: row for row in self._ask(connection, self._lock, ids)}

    def _ask(self, connection: Connection, statement: TextClause, values: Iterable[Any]) -> Sequence[Row[Any]]:
        wanted = {value for value in values if value is not None}
        if not wanted:
            return ()
        return connection.execute(statement, given(self._database, among=sorted(wanted))).all()

    # What it changes.

    def _suppress(self, connection: Connection, found: Sequence[_Found], messages: Mapping[int, Row[Any]]) -> int:
        entries: dict[tuple[str, str], tuple[str | None, datetime]] = {}
        for one in found:
            kind = one.meaning.suppresses
            key, address = _addressee(one, messages) if kind else (None, None)
            if kind and key:
                at = one.row.happened_at or one.row.received_at
                known = entries.get((key, kind))
                if known is None or at < known[1]:
                    entries[key, kind] = (address, at)
        erased = {row.address_key for row in self._ask(connection, self._erased, (key for key, _ in entries))}
        bulk.each(
            connection,
            _SUPPRESS,
            [
                (key, kind, None if key in erased else address, SOURCE, instant_text(at))
                for (key, kind), (address, at) in sorted(entries.items())
            ],
        )
        return len(entries)

    # What is left in doubt.

    def accept_answered(self) -> int:
        """Messages in doubt one of whose attempts was answered after all become accepted; how many."""
        with self._database.write() as connection:
            return connection.execute(text(_ACCEPT_ANSWERED)).rowcount

    def doubts(self, before: datetime) -> list[Doubt]:
        """The messages in doubt whose last attempt began at `before` or earlier, oldest first."""
        last = select(func.max(attempt.c.id)).where(attempt.c.message_id == message.c.id)
        query = (
            select(message.c.id, message.c["class"], message.c.channel, message.c.resends, message.c.expires_at,
                   attempt.c.id, attempt.c.started_at)
            .join(attempt, attempt.c.id == last.correlate(message).scalar_subquery())
            .where(text("message.state = 'in_doubt'"), attempt.c.started_at <= before)
            .order_by(attempt.c.id)
        )  # fmt: skip
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            oldest = {row.channel: row[5] for row in reversed(rows)}
            heard = {channel: _heard_of(connection, channel, since) for channel, since in oldest.items()}
        return [Doubt(*row, is_passed=row[5] < heard[row.channel]) for row in rows]


def _among(query: str, kind: str, on_server: bool, end: str = "") -> TextClause:
    """A query for the rows whose last-named column is one of :among."""
    listed = f"= ANY(CAST(:among AS {kind}[]))" if on_server else "IN (SELECT value FROM json_each(:among))"
    return text(f"{query} {listed}{end}")


def _read(body: str) -> dict[str, Any]:
    """An event as a mapping; empty once it was erased."""
    found = json.loads(body) if body else {}
    return found if isinstance(found, dict) else {}


def _number(value: object) -> int | None:
    written = str(value)
    return int(written) if _NUMBER.fullmatch(written) else None


def _attempt_id(event: Mapping[str, Any]) -> int | None:
    return _number(event.get("attempt")) if "install" in event else None


def _by_arguments(
    event: Mapping[str, Any], own: str | None, ours: Mapping[int, Row[Any]]
) -> tuple[Row[Any] | None, str | None]:
    if event["install"] != own:
        return None, "of another install"
    found = ours.get(_attempt_id(event) or 0)
    if found is None or found.message_id != _number(event.get("message")):
        return None, "of no attempt of ours"
    return found, None


def _names(event: Mapping[str, Any]) -> list[str]:
    """What its mail may be called, the longest first: `sg_message_id` begins with the X-Message-Id of the answer."""
    whole = event.get("sg_message_id")
    if not isinstance(whole, str) or not _MESSAGE_ID.fullmatch(whole):
        return []
    parts = whole.split(".")[:8]
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _by_names(event: Mapping[str, Any], named: Mapping[str, Row[Any]]) -> tuple[Row[Any] | None, str | None]:
    found = next((named[name] for name in _names(event) if name in named), None)
    return found, None if found else "of no attempt of ours"


def _move(connection: Connection, found: Sequence[_Found], messages: Mapping[int, Row[Any]]) -> None:
    """Messages and attempts move forward, as far as the events carry them."""
    fates = {ident: row.fate for ident, row in messages.items()}
    proven: dict[int, tuple[str, int]] = {}
    accepted: set[int] = set()
    for one in found:
        if one.attempt is None:
            continue
        ident = one.attempt.message_id
        fates[ident] = later(fates[ident], one.meaning.fate)
        if one.meaning.is_evidence:
            if one.attempt.result != "accepted":
                proven.setdefault(one.attempt.id, (instant_text(one.row.received_at), one.attempt.id))
            if messages[ident].state != "accepted":
                accepted.add(ident)
    bulk.each(connection, _SET_FATE, [(fate, ident) for ident, fate in fates.items() if fate != messages[ident].fate])
    bulk.each(connection, _PROVE, proven.values())
    bulk.each(connection, _ACCEPT, [(ident,) for ident in sorted(accepted)])
    recount(connection, [ident for ident in sorted(accepted) if messages[ident].state in _STOPPED])


def recount(connection: Connection, message_ids: Iterable[int]) -> None:
    """Messages that were stopped count as sent again, against caps and for their ladders."""
    ids = [(ident,) for ident in message_ids]
    for statement in RECOUNT:
        bulk.each(connection, statement, ids)


def _addressee(one: _Found, messages: Mapping[int, Row[Any]]) -> tuple[str | None, str | None]:
    """The keyed hash of the address an event is about, and the address: its own; else that of its message."""
    if one.row.address_key is not None:
        try:
            return one.row.address_key, parse_address(str(one.event.get("email")))
        except AddressError:
            return one.row.address_key, None
    if one.attempt is None:
        return None, None
    known = messages[one.attempt.message_id]
    return known.address_key, known.recipient or None


def _ended(one: _Found) -> Settled:
    if one.attempt is None:
        return Settled(one.row.id, "orphan", detail=one.detail)
    return Settled(one.row.id, "applied", one.attempt.message_id, one.attempt.id)


def _heard_of(connection: Connection, channel: str, since: int) -> int:
    """The newest attempt of a channel, after `since`, that an event was about; `since` when there is none."""
    same = inbound_event.c.message_id == message.c.id
    query = select(inbound_event.c.attempt_id).join(message, same).where(message.c.channel == channel)
    later_ones = query.where(inbound_event.c.attempt_id > since).order_by(inbound_event.c.attempt_id.desc()).limit(1)
    return connection.execute(later_ones).scalar() or since
