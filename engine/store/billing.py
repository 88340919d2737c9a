"""What Stripe has told, kept so that the order in which it was told does not matter.

A row replaces the one under its id only if it was said later (see `billing_tables`); tries and links are added. What
an event left open is a question, and goes when it was answered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Table, delete, func, or_, select, update

from engine.project.billing_settings import SAME_TRY_S
from engine.store import billing_tables as tables
from engine.store import bulk
from engine.store.connect import Database, instant_text
from engine.store.inbound_events import Settled, settle, waiting

SOURCE = "stripe"
KINDS: Mapping[str, Table] = {
    "customer": tables.stripe_customer,
    "subscription": tables.stripe_subscription,
    "product": tables.stripe_product,
    "invoice": tables.stripe_invoice,
    "try": tables.stripe_try,
    "method": tables.stripe_method,
    "moment": tables.stripe_moment,
    "dispute": tables.stripe_dispute,
    "refund": tables.stripe_refund,
}
"""The table of each kind of row."""

_FIRST_PATIENCE = timedelta(seconds=30)
_LONGEST_PATIENCE = timedelta(hours=1)
_KNOWN = ("known_since", "checked_at")


class BillingRow(Protocol):
    """One row of one kind: what was said about the object `id` at `seen_at` (naive UTC).

    Of two rows of one instant the greater `rank` counts, then the greater `digest`.
    """

    @property
    def kind(self) -> str: ...  # noqa: D102 - see above
    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def seen_at(self) -> datetime: ...  # noqa: D102
    @property
    def rank(self) -> int: ...  # noqa: D102
    @property
    def values(self) -> Mapping[str, object]: ...  # noqa: D102
    @property
    def digest(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class OpenQuestion:
    """An object to be asked for: `invoice` or `charge`."""

    kind: str
    id: str
    failures: int


class Billing:
    """Stripe's objects in the state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def waiting(self, limit: int) -> Sequence[tuple[int, str, datetime]]:
        """(our id, body, received at) of events that were not applied yet, oldest first."""
        with self._database.read() as connection:
            return [(row.id, row.body, row.received_at) for row in waiting(connection, SOURCE, limit)]

    def take_in(
        self,
        rows: Iterable[BillingRow],
        links: Iterable[tuple[str, str]],
        questions: Iterable[tuple[str, str]],
        heard_at: datetime,
        *,
        settled: Iterable[Settled] = (),
        checked: Iterable[tuple[str, datetime]] = (),
        answered: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Keep what objects say, in one transaction with what that settles. Doing it twice changes nothing.

        `links`: (payment intent, invoice). `heard_at`: when this reached us. `checked`: (invoice, when it was read
        through the API). `questions`, `answered`: (kind, id).
        """
        by_kind: dict[str, list[BillingRow]] = {}
        for row in rows:
            by_kind.setdefault(row.kind, []).append(row)
        now = instant_text(heard_at)
        with self._database.write() as connection:
            for kind in sorted(by_kind):  # one order for everybody, so that two writers cannot deadlock
                in_order = sorted(by_kind[kind], key=lambda row: row.id)
                bulk.each(connection, _upsert(kind), [_tuple(KINDS[kind], row, now) for row in in_order])
            invoices = sorted({row.id for row in by_kind.get("invoice", ())})
            bulk.each(connection, _KNOWN_SINCE, [(now, ident, now) for ident in invoices])
            bulk.each(connection, _CHECKED, [(at, ident, at) for ident, at in _texts(checked)])
            bulk.each(connection, _LINK, sorted(set(links)))
            bulk.each(connection, _ASK, [(*one, now, now) for one in sorted(set(questions))])
            bulk.each(connection, _ANSWERED, sorted(set(answered)))
            settle(connection, settled)

    # What has to be asked for.

    def questions(self, now: datetime, limit: int) -> list[OpenQuestion]:
        """Questions that may be asked now and that nothing heard since has answered, the oldest first.

        None only when none is due: those that were answered are forgotten, and the next ones looked at.
        """
        question = tables.stripe_question
        query = (
            select(question.c.kind, question.c.id, question.c.failures)
            .where(question.c.next_try_at <= now)
            .order_by(question.c.next_try_at, question.c.kind, question.c.id)
            .limit(limit)
        )
        while True:
            with self._database.write() as connection:
                found = [OpenQuestion(*row) for row in connection.execute(query)]
                known = [one for one in found if _is_answered(connection, one)]
                bulk.each(connection, _ANSWERED, [(one.kind, one.id) for one in known])
            if len(known) < len(found) or not found:
                return [one for one in found if one not in known]

    def put_off(self, question: OpenQuestion, problem: str, now: datetime) -> None:
        """A question could not be answered: ask again after 30 s, 1 min, 2 min … at most an hour."""
        patience = min(_FIRST_PATIENCE * 2 ** min(question.failures, 10), _LONGEST_PATIENCE)
        table = tables.stripe_question
        with self._database.write() as connection:
            connection.execute(
                update(table)
                .where(table.c.kind == question.kind, table.c.id == question.id)
                .values(next_try_at=now + patience, failures=table.c.failures + 1, problem=problem[:300])
            )

    def drop(self, kind: str, ident: str) -> None:
        """Forget a question: what it asked for is not there."""
        table = tables.stripe_question
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.kind == kind, table.c.id == ident))

    def open_questions(self) -> int:
        """How many questions wait for an answer."""
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(tables.stripe_question)).scalar_one())

    # What the guard asks.

    def unchecked(self, invoices: Collection[str], since: datetime) -> dict[str, set[str]]:
        """For each of these invoices those to be read again: all open ones of its customer, itself among them, that
        were last read through the API before `since`. Invoices without any are left out.
        """
        own, other = tables.stripe_invoice.alias("own"), tables.stripe_invoice.alias("other")
        query = (
            select(own.c.id, other.c.id)
            .join(other, other.c.customer == own.c.customer)
            .where(other.c.status == "open", (other.c.checked_at.is_(None)) | (other.c.checked_at < since))
        )
        found: dict[str, set[str]] = {}
        ids = sorted(invoices)
        with self._database.read() as connection:
            for begin in range(0, len(ids), 500):
                for invoice, beside in connection.execute(query.where(own.c.id.in_(ids[begin : begin + 500]))):
                    found.setdefault(invoice, set()).add(beside)
        return found

    def rows_of(self, customers: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        """All rows about these customers (Stripe's ids), by table; tables without any are left out."""
        found: dict[str, list[dict[str, Any]]] = {}
        with self._database.read() as connection:
            for table, where in _about(customers):
                rows = [dict(row) for row in connection.execute(select(table).where(where)).mappings()]
                if rows:
                    found.setdefault(table.name, []).extend(rows)
        return found

    def forget(self, customers: Collection[str]) -> dict[str, int]:
        """Delete all rows about these customers (Stripe's ids); how many, by table."""
        gone: dict[str, int] = {}
        with self._database.write() as connection:
            for table, where in _about(customers):
                count = connection.execute(delete(table).where(where)).rowcount
                gone[table.name] = gone.get(table.name, 0) + count
        return {name: count for name, count in gone.items() if count}

    def counts(self) -> dict[str, int]:
        """Rows by kind."""
        with self._database.read() as connection:
            return {
                kind: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
                for kind, table in KINDS.items()
            }


def _about(customers: Collection[str]) -> list[tuple[Table, ColumnElement[bool]]]:
    """Each table with the rows of it that are about these customers; what hangs on others comes before them."""
    ids = sorted(customers)
    invoices = select(tables.stripe_invoice.c.id).where(tables.stripe_invoice.c.customer.in_(ids))
    methods = select(tables.stripe_method.c.id).where(tables.stripe_method.c.customer.in_(ids))
    tried = or_(tables.stripe_try.c.invoice.in_(invoices), tables.stripe_try.c.customer.in_(ids))
    charges, intents = (select(tables.stripe_try.c[name]).where(tried) for name in ("id", "intent"))
    went_back = [
        (table, or_(table.c.customer.in_(ids), table.c.charge.in_(charges), table.c.intent.in_(intents)))
        for table in (tables.stripe_dispute, tables.stripe_refund)
    ]
    by_customer = [tables.stripe_subscription, tables.stripe_invoice, tables.stripe_method]
    return [
        *went_back,
        (tables.stripe_link, tables.stripe_link.c.invoice.in_(invoices)),
        (tables.stripe_moment, tables.stripe_moment.c.method.in_(methods)),
        (tables.stripe_question, tables.stripe_question.c.id.in_(invoices)),
        (tables.stripe_try, tried),
        *((table, table.c.customer.in_(ids)) for table in by_customer),
        (tables.stripe_customer, tables.stripe_customer.c.id.in_(ids)),
    ]


_LINK = "INSERT INTO stripe_link (intent, invoice) VALUES (?, ?) ON CONFLICT (intent) DO NOTHING"
_ASK = (
    "INSERT INTO stripe_question (kind, id, asked_at, next_try_at, failures) VALUES (?, ?, ?, ?, 0) "
    "ON CONFLICT (kind, id) DO NOTHING"
)
_ANSWERED = "DELETE FROM stripe_question WHERE kind = ? AND id = ?"
_KNOWN_SINCE = "UPDATE stripe_invoice SET known_since = ? WHERE id = ? AND known_since > ?"
_CHECKED = "UPDATE stripe_invoice SET checked_at = ? WHERE id = ? AND (checked_at IS NULL OR checked_at < ?)"


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.name != "checked_at"]


def _upsert(kind: str) -> str:
    """Insert a row, or replace the one under its id if that was said earlier."""
    table = KINDS[kind]
    columns = _columns(table)
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in {"id", *_KNOWN})
    places = ", ".join("?" * len(columns))
    return (
        f"INSERT INTO {table.name} ({bulk.names(columns)}) VALUES ({places}) ON CONFLICT (id) DO UPDATE SET {changed} "
        f'WHERE (excluded.seen_at, excluded."rank", excluded.digest) > '
        f'({table.name}.seen_at, {table.name}."rank", {table.name}.digest)'
    )


def _tuple(table: Table, row: BillingRow, heard_at: str) -> tuple[Any, ...]:
    given = {**row.values, "id": row.id, "seen_at": row.seen_at, "rank": row.rank, "digest": row.digest,
             "known_since": heard_at}  # fmt: skip
    values = (given.get(name) for name in _columns(table))
    return tuple(instant_text(value) if isinstance(value, datetime) else value for value in values)


def _texts(checked: Iterable[tuple[str, datetime]]) -> list[tuple[str, str]]:
    return sorted((ident, instant_text(at)) for ident, at in checked)


def _is_answered(connection: Connection, question: OpenQuestion) -> bool:
    """Whether what was asked for has been heard meanwhile."""
    tries = tables.stripe_try
    if question.kind == "charge":
        query = select(tries.c.id).where(tries.c.id == question.id, tries.c.customer.is_not(None))
        return connection.execute(query).first() is not None
    link = tables.stripe_link
    linked = select(link.c.intent).where(link.c.invoice == question.id)
    rows = connection.execute(
        select(tries.c.id, tries.c["at"]).where(
            (tries.c.invoice == question.id) | tries.c.intent.in_(linked), tries.c.state == "failed"
        )
    ).all()
    told = [row.at for row in rows if not row.id.startswith(question.id)]
    notices = [row.at for row in rows if row.id.startswith(question.id)]
    return bool(told) and max(told) >= max(notices, default=max(told)) - timedelta(seconds=SAME_TRY_S)
