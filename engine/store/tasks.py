"""Tasks: what people should do about a customer."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, TextIO

from sqlalchemy import Row, Select, func, select, update

from engine.store import bulk
from engine.store.bulk import Bulk
from engine.store.connect import FETCH_ROWS, Database
from engine.store.suppressions import cell_text
from engine.store.tables import message, task

STATES = ("open", "done", "dropped")
COLUMNS = (
    "id", "state", "due_on", "assignee", "customer_id", "rule", "title", "text", "context", "created_at", "closed_at",
    "closing_note",
)  # fmt: skip


@dataclass(frozen=True)
class NewTask:
    """A task to file. `context`: JSON of the values its template read, by namespace."""

    message_key: str
    rule: str
    customer_id: str
    occurrence: str
    step: str
    assignee: str | None
    due_on: date | None
    title: str
    text: str
    context: str
    created_at: datetime


@dataclass(frozen=True)
class TaskRow:
    """A task as it stands. `state`: open, done or dropped."""

    id: int
    message_key: str
    rule: str
    customer_id: str
    occurrence: str
    step: str
    assignee: str | None
    due_on: date | None
    title: str
    text: str
    context: str
    state: str
    created_at: datetime
    closed_at: datetime | None
    closing_note: str | None


_NEW = Bulk(task, tuple(NewTask.__dataclass_fields__), on_conflict="ON CONFLICT DO NOTHING")


class Tasks:
    """Tasks, unique by message key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def file(self, new: NewTask) -> bool:
        """Keep a task; False when it had been filed before, which changes nothing."""
        with self._database.write() as connection:
            return bulk.insert(connection, _NEW, [tuple(vars(new).values())], {"state": "open"}).stored > 0

    def listed(
        self, *, states: Collection[str] = STATES, assignee: str | None = None, customer_id: str | None = None
    ) -> Iterator[TaskRow]:
        """Tasks, those without a due date last, the longest due first."""
        query: Select[Any] = select(*task.c).where(task.c.state.in_(states))
        if assignee is not None:
            query = query.where(task.c.assignee == assignee)
        if customer_id is not None:
            query = query.where(task.c.customer_id == customer_id)
        query = query.order_by(task.c.due_on.is_(None), task.c.due_on, task.c.id)
        with self._database.read() as connection:
            for batch in connection.execution_options(yield_per=FETCH_ROWS).execute(query).partitions():
                yield from map(_row, batch)

    def open_count(self) -> int:
        """How many wait for somebody."""
        with self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(task).where(task.c.state == "open")).scalar_one()

    def close(self, ids: Iterable[int], state: str, note: str | None, now: datetime) -> tuple[list[int], list[int]]:
        """Close open tasks as done or dropped; the ids closed now, and those that were closed already."""
        wanted = sorted(set(ids))
        closing = update(task).where(task.c.id.in_(wanted), task.c.state == "open")
        with self._database.write() as connection:
            known = set(connection.execute(select(task.c.id).where(task.c.id.in_(wanted))).scalars())
            closed = connection.execute(
                closing.values(state=state, closed_at=now, closing_note=note).returning(task.c.id)
            )
            now_closed = set(closed.scalars())
        return sorted(now_closed), sorted(known - now_closed)

    def try_again(self, channels: Collection[str]) -> int:
        """Put messages in doubt on these channels back to be sent; only where sending twice is harmless."""
        doubtful = update(message).where(message.c.state == "in_doubt", message.c.channel.in_(channels))
        with self._database.write() as connection:
            return connection.execute(doubtful.values(state="planned")).rowcount


def _row(row: Row[Any]) -> TaskRow:
    return TaskRow(**row._mapping)


def write_csv(tasks: Iterable[TaskRow], file: TextIO) -> int:
    """Write tasks; how many. Cells a spreadsheet would run are quoted with `'`."""
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    written = 0
    for one in tasks:
        written += 1
        writer.writerow({name: cell_text(value) for name, value in asdict(one).items()})
    return written
