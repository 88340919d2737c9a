"""The `sql` trigger."""

from __future__ import annotations

from typing import Any

from engine.project.trigger_spec import RuleDefaults, TriggerParams
from engine.project.types import RuleFileName
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger

QUERY_NEEDS = frozenset({"customer_id", "occurrence", "anchor"})
"""Columns of a query that has been run, its subject in the customer's place; the others are facts."""


class SqlParams(TriggerParams):
    """The file that holds the query, under `rules/`."""

    query: RuleFileName


class Sql(Trigger):
    """Whatever a query finds, for conditions no other trigger can say.

        trigger:
          sql: {query: near-limit.sql}

    The query gives `customer_id` (`account_id` in a rule about accounts), `occurrence` (text) and `anchor` (a date or
    timestamp, UTC); its further columns are facts. `:as_of` is the run's instant: compare with it instead of asking the
    database for the time, so that a plan for another day works. With files or SQLite the tables have the names and
    columns of the table contract; with PostgreSQL the query runs on the server against your own tables, in a read-only
    transaction. Choose an occurrence that stays the same as long as the reason to write does, or the same people are
    written to every day.
    """

    name = "sql"
    params = SqlParams
    about = "the query's own column"
    survives = "none"

    def defaults(self, params: Any) -> RuleDefaults:
        """The anchor may lie ahead or behind; the query decides."""
        return RuleDefaults()

    def needs(self, params: Any) -> Needs:
        """What the query names; the database says when something is missing."""
        return Needs()

    def find(self, params: SqlParams, look: Lookup) -> Found:
        """One candidate a row of the query's result, which the evaluation has already fetched."""
        columns = look.columns(f"query_{look.number}") - QUERY_NEEDS
        return Found(
            f"query_{look.number} AS r JOIN person AS p ON p.customer_id = r.customer_id",
            (Condition(f"found by {params.query}", "TRUE"),), "r.occurrence", "r.anchor",
            {column: _fact(column) for column in sorted(columns)},
        )  # fmt: skip


def _fact(column: str) -> Any:
    return lambda: f'r."{column}"'
