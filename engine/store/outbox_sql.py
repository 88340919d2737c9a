"""The outbox's own SQL, written out because it runs for every message.

SQLAlchemy's expression language costs several hundred microseconds per statement before the database sees it; these
texts cost a tenth of that. They differ between the databases in three places only: how a list is passed, whose clock
measures leases, and that PostgreSQL's workers step around each other's rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, TextClause, TextualSelect, column, text

from engine.store.connect import Database, instant_text
from engine.store.outbox_rows import OutboxMessage
from engine.store.tables import DUE, LEASED, message, suppression

_CLAIMED = [message.c[name.rstrip("_")] for name in OutboxMessage._fields]
_SETS = "UPDATE message SET state = 'claimed', owner = :owner, token = token + 1, lease_until = {until} WHERE id IN "
_RETURNING = f" RETURNING {', '.join(str(column) for column in _CLAIMED)}"
_OLDEST = (
    f"SELECT d.id FROM message d WHERE {DUE.text} AND queue = q.value AND next_attempt_at <= :now{{channels}} "
    "ORDER BY next_attempt_at LIMIT :share"
)
# The rows are locked in a common table expression, which runs once; a plain subquery PostgreSQL might repeat.
_CLAIM_POSTGRES = (
    "WITH chosen AS MATERIALIZED (SELECT o.id FROM unnest(CAST(:queues AS text[])) AS q(value) CROSS JOIN LATERAL "
    f"({_OLDEST} FOR UPDATE SKIP LOCKED) AS o) {_SETS} (SELECT id FROM chosen){_RETURNING}"
)
_CLAIM_SQLITE = f"{_SETS} (SELECT m.id FROM json_each(:queues) q JOIN message m ON m.id IN ({_OLDEST})){_RETURNING}"
_CLAIM_TEST = f"{_SETS} (SELECT id FROM message WHERE is_test AND {DUE.text} AND id = :id){_RETURNING}"
# A loose index scan: one probe per rule with anything waiting, not one look at each message.
_QUEUES = (
    f"WITH RECURSIVE waiting(queue) AS (SELECT min(queue) FROM message WHERE {DUE.text} UNION ALL "
    f"SELECT (SELECT min(m.queue) FROM message m WHERE {DUE.text} AND m.queue > waiting.queue) FROM waiting "
    "WHERE waiting.queue IS NOT NULL) SELECT queue FROM waiting WHERE queue IS NOT NULL"
)
_END = (
    "UPDATE message SET state = CASE state WHEN 'claimed' THEN 'planned' ELSE 'in_doubt' END, owner = NULL, "
    "deaths = CASE WHEN state = 'claimed' AND deaths = 0 THEN 1 ELSE deaths END, "
    f"lease_until = NULL WHERE {LEASED.text}{{over}} RETURNING id, state"
)
_GATE = (
    "SELECT m.id, m.state, m.token, EXISTS (SELECT 1 FROM pause WHERE rule = '*'), "
    "EXISTS (SELECT 1 FROM pause WHERE rule = m.rule), coalesce(m.expires_at <= :now, false), s.kind, s.topic, s.until "
    "FROM message m LEFT JOIN suppression s ON s.address_key = m.address_key AND s.topic IN ('', m.topic) "
    "WHERE m.id {ids} ORDER BY m.id, s.kind, s.topic"
)
_GATE_COLUMNS = (
    message.c.id,
    message.c.state,
    message.c.token,
    column("paused", Boolean),
    column("rule_paused", Boolean),
    column("expired", Boolean),
    suppression.c.kind,
    suppression.c.topic,
    suppression.c.until,
)

# Once per row, through the driver: see `bulk.each`. What evidence has proven accepted, no late answer takes back.
FINISH_ATTEMPT = (
    "UPDATE attempt SET finished_at = coalesce(finished_at, ?), "
    "result = CASE WHEN result = 'accepted' THEN result ELSE ? END, provider_id = coalesce(?, provider_id), "
    "detail = ? WHERE id = ? AND message_id = ?"
)
END_SENDING = (
    "UPDATE message SET state = ?, attempts = attempts - ?, next_attempt_at = ?, owner = NULL, lease_until = NULL "
    "WHERE id = ?"
)
STOP = "UPDATE message SET state = ?, reason = ?, owner = NULL, lease_until = NULL WHERE id = ?"
SUSPECT = "UPDATE message SET deaths = ? WHERE id = ? AND token = ?"
POSTPONE = "UPDATE message SET state = 'planned', next_attempt_at = ?, owner = NULL, lease_until = NULL WHERE id = ?"
_STEP = "rule = ? AND customer_id = ? AND occurrence = ? AND step = ? AND account_id = ?"
UNCOUNT = f"UPDATE exposure SET counts = false WHERE {_STEP}"
UNSETTLE = f"UPDATE settled_step SET how = 'stopped', local_date = ? WHERE {_STEP}"


@dataclass(frozen=True)
class OutboxSql:
    """The statements for one of the two databases."""

    #: Takes :queues, :now, :share, :owner and the lease; gives the columns of OutboxMessage.
    claim: TextualSelect
    #: The same for messages of some :channels only.
    claim_channels: TextualSelect
    #: The same for the test :id alone.
    claim_test: TextualSelect
    queues: TextClause
    #: Ends the leases that are over at :now; gives id and new state.
    end_overdue: TextClause
    end_all: TextClause
    #: The messages of :ids as they are, locked in order of id, so that two workers cannot deadlock.
    lock: TextClause
    #: Claimed messages of :ids become `sending`.
    send: TextClause
    #: One attempt row each; gives id and message_id.
    open_attempts: TextClause
    #: What speaks against the messages of :ids at :now; a row for each suppression, or one without.
    gate: TextualSelect
    #: The open attempts of :ids are in doubt.
    doubt_attempts: TextClause

    @classmethod
    def of(cls, database: Database) -> OutboxSql:
        """For this database."""
        on_server = database.kind == "postgresql"
        clock = "timezone('UTC', clock_timestamp())"
        until = f"{clock} + make_interval(secs => :lease_s)" if on_server else ":lease_until"
        ids = "= ANY(CAST(:ids AS bigint[]))" if on_server else "IN (SELECT value FROM json_each(:ids))"
        channels = " AND channel = ANY(CAST(:channels AS text[]))" if on_server else (
            " AND channel IN (SELECT value FROM json_each(:channels))"
        )  # fmt: skip
        now = "CAST(:now AS timestamp)" if on_server else ":now"
        claim = _CLAIM_POSTGRES if on_server else _CLAIM_SQLITE
        over = f" AND lease_until < {clock if on_server else ':now'}"
        return cls(
            claim=text(claim.format(until=until, channels="")).columns(*_CLAIMED),
            claim_channels=text(claim.format(until=until, channels=channels)).columns(*_CLAIMED),
            claim_test=text(_CLAIM_TEST.format(until=until)).columns(*_CLAIMED),
            queues=text(_QUEUES),
            end_overdue=text(_END.format(over=over)),
            end_all=text(_END.format(over="")),
            lock=text(
                "SELECT id, token, state, owner, rule, customer_id, occurrence, step, account_id FROM message "
                f"WHERE id {ids} ORDER BY id{' FOR UPDATE' if on_server else ''}"
            ),
            send=text(
                f"UPDATE message SET state = 'sending', attempts = attempts + 1, lease_until = {until} WHERE id {ids}"
            ),
            open_attempts=text(
                f"INSERT INTO attempt (message_id, token, started_at) SELECT id, token, {now} FROM message "
                f"WHERE id {ids} RETURNING id, message_id"
            ),
            gate=text(_GATE.format(ids=ids)).columns(*_GATE_COLUMNS),
            doubt_attempts=text(
                "UPDATE attempt SET result = 'in_doubt', detail = 'the sending process ended' "
                f"WHERE result IS NULL AND message_id {ids}"
            ),
        )


def given(database: Database, **values: Any) -> dict[str, Any]:
    """Values as the statements above take them: lists, instants."""
    return {name: _given(database.kind == "sqlite", value) for name, value in values.items()}


def _given(as_text: bool, value: Any) -> Any:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return json.dumps(list(value)) if as_text else list(value)
    return instant_text(value) if as_text and isinstance(value, datetime) else value


def lease(now: datetime, lease_s: float) -> dict[str, Any]:
    """A lease in both measures: by our clock, and as seconds of the server's."""
    return {"lease_s": lease_s, "lease_until": now + timedelta(seconds=lease_s)}
