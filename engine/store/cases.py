"""What the state remembers about failed payments: what a person has put on hold, and how often was written already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import and_, delete, distinct, exists, func, or_, select

from engine.store import bulk
from engine.store.billing_tables import case_hold
from engine.store.connect import FETCH_ROWS, Database, instant_text
from engine.store.history import KEY
from engine.store.tables import UtcDateTime, attempt, exposure, message, run, suppression

LONGEST_CASE = timedelta(days=180)
"""Mails older than this are about no case that is still open."""

_WRITTEN = ("accepted", "in_doubt")


@dataclass(frozen=True)
class CaseHold:
    """An invoice nobody is written to about."""

    invoice_id: str
    note: str
    at: datetime


class Cases:
    """Holds, and what was sent about invoices."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hold(self, invoice_id: str, note: str, now: datetime) -> bool:
        """Put an invoice on hold; False when it was already."""
        statement = "INSERT INTO case_hold (invoice_id, note, at) VALUES (?, ?, ?) ON CONFLICT (invoice_id) DO NOTHING"
        with self._database.write() as connection:
            return bool(bulk.each(connection, statement, [(invoice_id, note, instant_text(now))]))

    def release(self, invoice_id: str) -> bool:
        """Let mails about it go again; False when it was not on hold."""
        with self._database.write() as connection:
            return bool(connection.execute(delete(case_hold).where(case_hold.c.invoice_id == invoice_id)).rowcount)

    def holds(self) -> list[CaseHold]:
        """All holds, the newest first."""
        query = select(case_hold.c.invoice_id, case_hold.c.note, case_hold.c.at).order_by(case_hold.c.at.desc())
        with self._database.read() as connection:
            return [CaseHold(*row) for row in connection.execute(query)]

    def mails(self, rules: Collection[str], as_of: datetime) -> Iterator[tuple[str, int]]:
        """(invoice, mails that left about it by these rules); a held-out customer's count as theirs would have.

        An invoice's id is the part of an occurrence before its last colon. A mail that is only planned does not count:
        asked about just before it leaves, it would stand in its own way. A step counts once, however many people of an
        account it went to.
        """
        same = and_(*(message.c[name] == exposure.c[name] for name in KEY))
        query = (
            select(exposure.c.occurrence, func.count(distinct(exposure.c.rule + "/" + exposure.c.step)))
            .select_from(exposure.outerjoin(message, same))
            .where(
                exposure.c.local_date >= (as_of - LONGEST_CASE).date(),
                exposure.c.rule.in_(sorted(rules)),
                or_(message.c.state.in_(_WRITTEN), exposure.c.arm == "control"),
            )
            .group_by(exposure.c.occurrence)
        )
        counts: Counter[str] = Counter()
        with self._database.read() as connection:
            for occurrence, count in connection.execute(query):
                counts[occurrence.rpartition(":")[0]] += count
        yield from sorted(counts.items())

    def exposures(self, rules: Collection[str], since: date, as_of: datetime) -> Iterator[bulk.Row]:
        """Who was written to about invoices by these rules, or held out, from the local date `since` until `as_of`.

        Yields (rule, customer, occurrence, step, arm, exposed_at, message's state or None, address key or None, whether
        that address has complained since). Whoever reads it decides which states mean that a mail left.
        """
        same = and_(*(message.c[name] == exposure.c[name] for name in KEY))
        complained = exists().where(
            suppression.c.address_key == exposure.c.address_key, suppression.c.kind == "complained",
            suppression.c.at >= exposure.c.exposed_at, suppression.c.at < as_of,
        )  # fmt: skip
        # What counts is when the mail had left: who pays while the provider is being called was not yet written to.
        accepted = select(func.max(attempt.c.finished_at)).where(
            attempt.c.message_id == message.c.id, attempt.c.result == "accepted"
        )
        left_at = func.coalesce(
            accepted.correlate(message).scalar_subquery(), exposure.c.exposed_at, type_=UtcDateTime()
        )
        query = (
            select(
                exposure.c.rule, exposure.c.customer_id, exposure.c.occurrence, exposure.c.step, exposure.c.arm,
                self._database.as_text(left_at.label("exposed_at")), message.c.state, exposure.c.address_key, complained,
            )
            .select_from(exposure.outerjoin(message, same))
            .where(
                exposure.c.local_date >= since, exposure.c.rule.in_(sorted(rules)), exposure.c.exposed_at < as_of
            )
        )  # fmt: skip
        with self._database.read() as connection:
            for batch in connection.execution_options(yield_per=FETCH_ROWS).execute(query).partitions():
                yield from map(tuple, batch)

    def refused_addresses(self) -> Iterator[str]:
        """Addresses that bounced or complained; nothing can be sent there."""
        query = select(suppression.c.address).where(
            suppression.c.kind.in_(("bounced", "complained")), suppression.c.address.is_not(None)
        )
        with self._database.read() as connection:
            yield from connection.execute(query.distinct()).scalars()

    def first_run_at(self) -> datetime | None:
        """The earliest instant anything was ever decided for."""
        with self._database.read() as connection:
            return connection.execute(select(func.min(run.c.as_of))).scalar()
