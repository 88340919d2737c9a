"""The ledger: decisions, settled steps, exposures and messages, written chunk by chunk and taken back where safe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, select, text, update

from engine.store import bulk
from engine.store.bulk import Bulk
from engine.store.connect import Database
from engine.store.history import KEY, STEP, History
from engine.store.tables import WITHDRAWN, decision, exposure, message, run, settled_step

DECISIONS = Bulk(decision, (*STEP, "anchor", "outcome", "reason", "detail", "waited_s", "account_id"))
SETTLINGS = Bulk(
    settled_step, (*STEP, "local_date", "how", "anchor", "account_id"), on_conflict="ON CONFLICT DO NOTHING"
)
EXPOSURES = Bulk(
    exposure,
    (*STEP, "address_key", "topic", "class", "arm", "local_date", "exposed_at", "account_id"),
    on_conflict="ON CONFLICT DO NOTHING",
)
MESSAGES = Bulk(
    message,
    ("key", *STEP, "recipient", "address_key", "channel", "template", "class", "topic", "arm", "zone", "not_before",
     "expires_at", "values_json", "account_id"),
    derived={"next_attempt_at": "{not_before}"},
    on_conflict="ON CONFLICT DO NOTHING",
)  # fmt: skip
_CASE = ("rule", "customer_id", "occurrence", "account_id")
_NEW = {"state": "planned", "attempts": 0, "token": 0, "deaths": 0, "resends": 0, "is_test": False}
_SAME_STEP = " AND ".join(f"d.{name} = s.{name}" for name in KEY)


@dataclass(frozen=True)
class ChunkResult:
    """Rows a chunk stored per table, and how many met an existing key (tables without any are left out)."""

    decisions: int
    settlings: int
    exposures: int
    messages: int
    conflicts: dict[str, int]


class Ledger(History):
    """What was decided, and what the next run must remember of it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database = database

    def write_chunk(
        self,
        run_id: int,
        cursor: str,
        decisions: Iterable[bulk.Row],
        settlings: Iterable[bulk.Row],
        exposures: Iterable[bulk.Row],
        messages: Iterable[bulk.Row],
        closing: Iterable[bulk.Row] | None = None,
    ) -> ChunkResult:
        """Store a part of a run in one transaction: all of it and the new cursor, or nothing.

        Tuples in the order of DECISIONS, SETTLINGS, EXPOSURES and MESSAGES `.columns`. A decision closes the one that
        stood for the same step; `closing` names the steps (rule, customer_id, occurrence, step, account_id) for
        which one may stand, None: look for every decision's. A settled step, exposure or message whose key exists changes nothing and is counted.
        ValueError when the cursor does not go forward: the chunk was written before.
        """
        decisions, messages = list(decisions), list(messages)
        with self._database.write() as connection:
            current = _advance(connection, run_id, cursor)
            origin = {"run_id": run_id}
            _close(connection, run_id, [(*row[:4], row[-1]) for row in decisions] if closing is None else list(closing))
            decided = bulk.insert(connection, DECISIONS, decisions, origin | {"decided_at": current.as_of})
            settled = bulk.insert(connection, SETTLINGS, settlings, origin | {"settled_at": current.as_of})
            exposed = bulk.insert(connection, EXPOSURES, exposures, origin | {"counts": True})
            _forget_withdrawn(connection, messages)
            new = _NEW | {"snapshot_sha": current.snapshot_sha}
            planned = bulk.insert(connection, MESSAGES, messages, origin | new)
        tables = {"settled_step": settled, "exposure": exposed, "message": planned}
        conflicts = {name: written.conflicts for name, written in tables.items() if written.conflicts}
        return ChunkResult(decided.stored, settled.stored, exposed.stored, planned.stored, conflicts)

    def vanish(self, run_id: int, rows: Iterable[bulk.Row]) -> int:
        """Record that candidates are gone: their standing decisions, (rule, customer_id, occurrence, step, account_id) each, are
        closed by a last one, skip / no_longer_matches. How many stood; doing it twice changes nothing.
        """
        with self._database.write() as connection:
            bulk.stage(connection, "closing", decision, KEY, rows)
            gone = connection.execute(
                text(
                    "INSERT INTO decision (run_id, rule, customer_id, occurrence, step, anchor, outcome, reason, "
                    "decided_at, waited_s, closed_by, account_id) SELECT run.id, d.rule, d.customer_id, d.occurrence, d.step, "
                    "d.anchor, 'skip', 'no_longer_matches', run.as_of, 0, run.id, d.account_id "
                    f"FROM closing s JOIN decision d ON {_SAME_STEP} AND d.closed_by IS NULL JOIN run ON run.id = :run"
                ),
                {"run": run_id},
            ).rowcount
            _close_staged(connection, run_id)
        return gone

    def withdraw(self, run_id: int, candidates: Iterable[tuple[str, str, str, str]] | None = None) -> int:
        """Take back what a run planned and nobody has begun to send, so that its date can be planned again.

        Concerns the whole run, or the (rule, customer_id, occurrence, account_id) given. Messages still planned and never
        attempted become cancelled (planning the same key again revives them), the steps the run settled and its
        exposures are deleted. A candidate with a message that has gone further keeps everything. Returns the number of
        messages cancelled; doing it twice changes nothing.
        """
        with self._database.write() as connection:
            only = "" if candidates is None else " AND " + _exists("withdrawing", "t")
            if candidates is not None:
                bulk.stage(connection, "withdrawing", message, _CASE, candidates)
            cancelled = connection.execute(
                text(f"UPDATE message AS t SET state = 'cancelled', reason = 'withdrawn' WHERE {_WITHDRAWABLE}{only}"),
                {"run": run_id},
            ).rowcount
            for name in ("settled_step", "exposure"):
                kept = _exists("message", "t", _KEPT)
                gone = text(f"DELETE FROM {name} AS t WHERE t.run_id = :run AND NOT {kept}{only}")
                connection.execute(gone, {"run": run_id})
        return cancelled


def _exists(source: str, target: str, further: str = "") -> str:
    same = " AND ".join(f"o.{name} = {target}.{name}" for name in _CASE)
    return f"EXISTS (SELECT 1 FROM {source} o WHERE {same}{further})"


_KEPT = " AND o.run_id = :run AND NOT (o.state = 'cancelled' AND o.reason = 'withdrawn')"
_BEGUN = (
    " AND o.run_id = :run AND (o.state NOT IN ('planned', 'cancelled') "
    "OR EXISTS (SELECT 1 FROM attempt a WHERE a.message_id = o.id))"
)
_WITHDRAWABLE = f"t.run_id = :run AND t.state = 'planned' AND NOT {_exists('message', 't', _BEGUN)}"


def _advance(connection: Connection, run_id: int, cursor: str) -> Row[datetime, str]:
    """Move the run's cursor forward; its instant and snapshot."""
    # Compared here: a server may order text by the rules of a language.
    before = connection.execute(select(run.c.cursor).where(run.c.id == run_id, run.c.state == "planning")).scalar()
    if before is None or before >= cursor:
        raise ValueError(f'run {run_id} is finished or already past "{cursor}"')
    connection.execute(update(run).where(run.c.id == run_id).values(cursor=cursor))
    return connection.execute(select(run.c.as_of, run.c.snapshot_sha).where(run.c.id == run_id)).one()


def _close(connection: Connection, run_id: int, steps: Sequence[bulk.Row]) -> None:
    """Mark the decisions that stand for these steps as replaced by the run."""
    if steps:
        bulk.stage(connection, "closing", decision, KEY, steps)
        _close_staged(connection, run_id)


def _close_staged(connection: Connection, run_id: int) -> None:
    connection.execute(
        text(f"UPDATE decision AS d SET closed_by = :run FROM closing s WHERE {_SAME_STEP} AND d.closed_by IS NULL"),
        {"run": run_id},
    )


def _forget_withdrawn(connection: Connection, messages: Sequence[bulk.Row]) -> None:
    """Make room for planning again what was withdrawn. An upsert would do it too, at half the speed of the insert."""
    if messages and connection.execute(select(message.c.key).where(WITHDRAWN).limit(1)).first():
        bulk.stage(connection, "again", message, ("key",), [row[:1] for row in messages])
        connection.execute(text(f"DELETE FROM message WHERE {WITHDRAWN.text} AND key IN (SELECT key FROM again)"))
