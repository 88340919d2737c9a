"""What a run remembers: settled steps, standing decisions and exposures, streamed as bulk rows.

Everything is bounded by what is present: pairs that the caller names, decisions that still stand, exposures of the
last days. With `before_run` the answer is the one that run got when it began: an interrupted run that is continued
must decide the rest of its customers with the memory it started with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, TableClause, and_, column, or_, select, table, text

from engine.store import bulk
from engine.store.connect import FETCH_ROWS, Database
from engine.store.tables import decision, exposure, settled_step

STEP = ("rule", "customer_id", "occurrence", "step")
KEY = (*STEP, "account_id")
"""What names a step of one recipient; the account is '' in rules about customers."""

_present = table("present", column("rule"), column("customer_id"))
_present_account = table("present_account", column("rule"), column("account_id"))


class History:
    """Reads for planning. The generators hold a connection: read them to the end, or close them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rules_with_memory(self) -> set[str]:
        """Rules with any settled step; for the others no pairs need to be asked about."""
        with self._database.read() as connection:
            return rules_with_memory(connection)

    def settled_of(self, present: Iterable[tuple[str, str]], before_run: int | None = None) -> Iterator[bulk.Row]:
        """All settled steps of these (rule, customer) pairs, each pair given once.

        Yields (rule, customer_id, occurrence, step, local_date, how, settled_at, anchor or None, account_id).
        """
        yield from self._settled(_present, "customer_id", present, before_run)

    def settled_of_accounts(
        self, present: Iterable[tuple[str, str]], before_run: int | None = None
    ) -> Iterator[bulk.Row]:
        """The same of all recipients of these (rule, account_id) pairs."""
        yield from self._settled(_present_account, "account_id", present, before_run)

    def _settled(
        self, pairs: TableClause, subject: str, present: Iterable[tuple[str, str]], before_run: int | None
    ) -> Iterator[bulk.Row]:
        same = and_(settled_step.c.rule == pairs.c.rule, settled_step.c[subject] == pairs.c[subject])
        columns = (*STEP, "local_date", "how", "settled_at", "anchor", "account_id")
        query = self._texts(settled_step, columns).select_from(pairs.join(settled_step, same))
        if subject == "account_id":
            query = query.where(text("settled_step.account_id <> ''"))  # word for word as in the partial index
        if before_run is not None:
            query = query.where(settled_step.c.run_id != before_run)
        with self._database.read() as connection:
            bulk.stage(connection, pairs.name, settled_step, ("rule", subject), present)
            yield from _stream(connection, query)

    def customers_sent(self, rule: str, before_run: int | None = None) -> Iterator[str]:
        """The customers this rule has written to, each once; a message that was stopped does not count."""
        yield from self._sent(settled_step.c.customer_id, rule, before_run)

    def accounts_sent(self, rule: str, before_run: int | None = None) -> Iterator[str]:
        """The accounts whose people this rule about accounts has written to, each once."""
        yield from (account for account in self._sent(settled_step.c.account_id, rule, before_run) if account)

    def _sent(self, subject: Column[str], rule: str, before_run: int | None) -> Iterator[str]:
        query = select(subject).distinct().where(settled_step.c.rule == rule, settled_step.c.how == "sent")
        if before_run is not None:
            query = query.where(settled_step.c.run_id != before_run)
        with self._database.read() as connection:
            for (found,) in _stream(connection, query):
                yield found

    def latest_decisions(self, rules: Iterable[str], before_run: int | None = None) -> Iterator[bulk.Row]:
        """The decisions that stand for candidates of these rules, or stood before `before_run`.

        Yields (rule, customer_id, occurrence, step, outcome, reason, decided_at, waited_s, account_id). A candidate
        that has vanished has none.
        """
        query = self._texts(decision, (*STEP, "outcome", "reason", "decided_at", "waited_s", "account_id"))
        query = query.where(decision.c.rule.in_(list(rules)))
        standing: ColumnElement[bool] = decision.c.closed_by.is_(None)
        if before_run is not None:
            standing = and_(or_(standing, decision.c.closed_by == before_run), decision.c.run_id != before_run)
        with self._database.read() as connection:
            yield from _stream(connection, query.where(standing))

    def exposures_since(self, local_date: date, before_run: int | None = None) -> Iterator[bulk.Row]:
        """Exposures of that local date and later ones, of everybody.

        Yields (rule, customer_id, occurrence, step, address_key or None, topic, class, arm, local_date, counts,
        account_id).
        """
        names = (*STEP, "address_key", "topic", "class", "arm", "local_date", "counts", "account_id")
        query = self._texts(exposure, names).where(exposure.c.local_date >= local_date)
        if before_run is not None:
            query = query.where(exposure.c.run_id != before_run)
        with self._database.read() as connection:
            yield from _stream(connection, query)

    def _texts(self, source: Any, names: Iterable[str]) -> Select[Any]:
        return select(*(self._database.as_text(source.c[name]) for name in names))


def rules_with_memory(connection: Connection) -> set[str]:
    """By a loose index scan: one probe per rule instead of a look at every settled step."""
    query = text(
        "WITH RECURSIVE known(rule) AS (SELECT min(rule) FROM settled_step UNION ALL "
        "SELECT (SELECT min(s.rule) FROM settled_step s WHERE s.rule > known.rule) FROM known "
        "WHERE known.rule IS NOT NULL) SELECT rule FROM known WHERE rule IS NOT NULL"
    )
    return set(connection.execute(query).scalars())


def _stream(connection: Connection, query: Select[Any]) -> Iterator[bulk.Row]:
    batches = connection.execution_options(yield_per=FETCH_ROWS).execute(query).partitions()
    for batch in batches:
        yield from map(tuple, batch)
