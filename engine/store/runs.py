"""Runs: one row per schedule, local date and n; what they counted, and what the next one learns from it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, case, delete, func, insert, select, update

from engine.store.connect import Database
from engine.store.tables import run, run_count

_LATELY = 100  # runs; a table that none of them read has nothing to be compared with

Count = tuple[str, str, str, int]


@dataclass(frozen=True)
class RunRow:
    """One evaluation for one local date, pinned to its instant and its snapshot."""

    id: int
    schedule: str
    local_date: date
    #: 1 for the date's first run, one more for each `--again`.
    n: int
    #: Facts are strictly before this instant.
    as_of: datetime
    #: The instant of the schedule's next run; steps due before it are planned.
    horizon: datetime
    state: Literal["planning", "finished"]
    snapshot_sha: str
    #: Rows of all customers up to this id are written (compared by code point); "" before the first chunk.
    cursor: str
    started_at: datetime
    finished_at: datetime | None
    #: Table to its newest fact.
    newest: dict[str, str]
    #: Table to its number of rows.
    table_rows: dict[str, int]


class Runs:
    """The `run` table; its unique (schedule, local date, n) is what makes a run happen once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self,
        schedule: str,
        local_date: date,
        as_of: datetime,
        horizon: datetime,
        snapshot_sha: str,
        now: datetime,
        *,
        again: bool = False,
    ) -> RunRow:
        """The run to work on: a new one, an interrupted one with what it pinned, or the finished one.

        A finished run is returned as it is, unless `again` asks for the next n. An interrupted one (state `planning`)
        is always continued first; one that had written nothing yet is begun anew, with this snapshot. Call it while
        holding the run lock; the snapshot must have been saved.
        """
        with self._database.write() as connection:
            latest = _one(connection, _of_date(schedule, local_date))
            if latest is not None and latest.state == "planning" and not latest.cursor:
                anew = {"snapshot_sha": snapshot_sha, "as_of": as_of, "horizon": horizon, "started_at": now}
                renewed = update(run).where(run.c.id == latest.id).values(anew).returning(run)
                return _row(connection.execute(renewed).one())
            if latest is not None and (latest.state == "planning" or not again):
                return latest
            values = {
                "schedule": schedule,
                "local_date": local_date,
                "n": latest.n + 1 if latest else 1,
                "as_of": as_of,
                "horizon": horizon,
                "state": "planning",
                "snapshot_sha": snapshot_sha,
                "cursor": "",
                "started_at": now,
            }
            return _row(connection.execute(insert(run).values(values).returning(run)).one())

    def abandon(self, run_id: int) -> None:
        """Take back a run that was begun and has written nothing; any other stays."""
        unwritten = delete(run).where(run.c.id == run_id, run.c.state == "planning", run.c.cursor == "")
        with self._database.write() as connection:
            connection.execute(unwritten)

    def finish(
        self,
        run_id: int,
        counts: Iterable[Count],
        newest: Mapping[str, str],
        table_rows: Mapping[str, int],
        now: datetime,
    ) -> None:
        """Store the counts per rule, outcome and reason and mark the run finished; doing it twice changes nothing."""
        rows = [
            {"run_id": run_id, "rule": rule, "outcome": outcome, "reason": reason, "n": n}
            for rule, outcome, reason, n in counts
        ]
        with self._database.write() as connection:
            connection.execute(delete(run_count).where(run_count.c.run_id == run_id))
            if rows:
                connection.execute(insert(run_count), rows)
            ending = {
                "state": "finished",
                "finished_at": func.coalesce(run.c.finished_at, now),
                "newest": json.dumps(dict(newest)),
                "table_rows": json.dumps(dict(table_rows)),
            }
            connection.execute(update(run).where(run.c.id == run_id).values(ending))

    def get(self, run_id: int) -> RunRow:
        """That run; KeyError when there is none."""
        with self._database.read() as connection:
            found = _one(connection, select(run).where(run.c.id == run_id))
        if found is None:
            raise KeyError(run_id)
        return found

    def latest(self, schedule: str, local_date: date) -> RunRow | None:
        """The date's run with the highest n."""
        with self._database.read() as connection:
            return _one(connection, _of_date(schedule, local_date))

    def newest(self, schedule: str) -> RunRow | None:
        """The latest run of the latest local date of a schedule."""
        query = select(run).where(run.c.schedule == schedule).order_by(run.c.local_date.desc(), run.c.n.desc()).limit(1)
        with self._database.read() as connection:
            return _one(connection, query)

    def recent(self, limit: int = 10) -> list[RunRow]:
        """The newest runs, newest first."""
        with self._database.read() as connection:
            return [_row(found) for found in connection.execute(select(run).order_by(run.c.id.desc()).limit(limit))]

    def counts(self, run_id: int) -> list[Count]:
        """(rule, outcome, reason, n), sorted."""
        columns = (run_count.c.rule, run_count.c.outcome, run_count.c.reason, run_count.c.n)
        query = select(*columns).where(run_count.c.run_id == run_id).order_by(*columns[:3])
        with self._database.read() as connection:
            return [(rule, outcome, reason, n) for rule, outcome, reason, n in connection.execute(query)]

    def table_rows_of_last_run(self) -> dict[str, int]:
        """Rows per table as the last finished run that read the table counted them; empty before the first."""
        query = select(run.c.table_rows).where(run.c.state == "finished").order_by(run.c.id.desc()).limit(_LATELY)
        with self._database.read() as connection:
            newest_first = [json.loads(rows) for rows in connection.execute(query).scalars()]
        return {table: rows for counts in reversed(newest_first) for table, rows in counts.items()}

    def rule_sends_history(self, rules: Iterable[str], runs: int = 14) -> list[tuple[str, int, int]]:
        """(rule, run id, sends) of each rule's newest finished runs in which it counted anything, newest first."""
        sends = func.sum(case((run_count.c.outcome == "send", run_count.c.n), else_=0)).label("sends")
        newest_first = func.row_number().over(partition_by=run_count.c.rule, order_by=run_count.c.run_id.desc())
        per_run = (
            select(run_count.c.rule, run_count.c.run_id, sends, newest_first.label("place"))
            .join(run, run.c.id == run_count.c.run_id)
            .where(run.c.state == "finished", run_count.c.rule.in_(list(rules)))
            .group_by(run_count.c.rule, run_count.c.run_id)
            .subquery()
        )
        query = (
            select(per_run.c.rule, per_run.c.run_id, per_run.c.sends)
            .where(per_run.c.place <= runs)
            .order_by(per_run.c.rule, per_run.c.place)
        )
        with self._database.read() as connection:
            return [(rule, run_id, int(n)) for rule, run_id, n in connection.execute(query)]


def _of_date(schedule: str, local_date: date) -> Select[Any]:
    same = (run.c.schedule == schedule, run.c.local_date == local_date)
    return select(run).where(*same).order_by(run.c.n.desc()).limit(1)


def _one(connection: Connection, query: Select[Any]) -> RunRow | None:
    found = connection.execute(query).first()
    return None if found is None else _row(found)


def _row(found: Row[Any]) -> RunRow:
    values = dict(found._mapping)
    values["newest"], values["table_rows"] = json.loads(values["newest"]), json.loads(values["table_rows"])
    return RunRow(**values)
