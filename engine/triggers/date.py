"""The `date` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.project.types import Line
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger
from engine.warehouse.sql import quote
from engine.warehouse.tables import TABLES
from engine.warehouse.zones import instant_of, local_span_of

_SUBJECTS = ("customers", "accounts")
"""The tables of whom a rule is about, one of them for each rule; a row there is the subject itself."""


class DateParams(TriggerParams):
    """A date or timestamp column of any table: `contract_end` of customers (or accounts), or `invoices.paid_at`."""

    column: Line
    recurs: Literal["none", "yearly"] = "none"

    @property
    def place(self) -> tuple[str, str]:
        """Table and column; a column without a table is the subjects' own, here called the customers'."""
        table, dot, column = self.column.partition(".")
        return (table, column) if dot else ("customers", table)


class Date(Trigger):
    """A date or timestamp in any table.

        trigger:
          date: {column: customers.contract_end}
        steps:
          - before: 60 days
            send: contract/ends-soon

    Holds for every row where the column is set, in any table with a `customer_id` but `events` (for those there is
    the trigger `event`); `before` and `after` count from it. With `recurs: yearly` the anchor
    is the anniversary nearest to the run, and 29 February is kept on the 28th in common years. All columns of the row
    are facts.
    """

    name = "date"
    params = DateParams
    about = "the row's id and the local date"

    def facts(self, params: DateParams) -> Mapping[str, ColumnType]:
        """The date itself, as the customer's calendar shows it."""
        return {"on": "date"}

    def row_table_of(self, params: DateParams) -> str | None:
        """The table the column is in."""
        return params.place[0]

    def defaults(self, params: Any) -> RuleDefaults:
        """The anchor may lie ahead."""
        return RuleDefaults(anchored_on_date=True)

    def needs(self, params: DateParams) -> Needs:
        """The table and the column; and whose row it is."""
        table, column = params.place
        return Needs(required={table: (column,) if table in _SUBJECTS else (column, "customer_id")})

    def find(self, params: DateParams, look: Lookup) -> Found:
        """One candidate a row."""
        table, column = params.place
        if table in _SUBJECTS:
            rows, key, alias, name = "person AS p", "p.customer_id", "p", f"c_{column}"
        else:
            rows, alias, name = f"t_{table} AS r JOIN person AS p ON p.cust = r.cust", "r", column
            key = f"coalesce({look.column('r', table, TABLES[table].key, 'VARCHAR')}, p.customer_id)"
        at, on, first = (f"{alias}.{quote(name + suffix)}" for suffix in ("", "_on", "_wall"))
        anchor, day = at, on
        conditions = [Condition(f"{params.column} is set", f"{at} IS NOT NULL", {params.column: on})]
        if params.recurs == "yearly":
            day = _anniversary(on, look)
            wall = f"(CAST({day} AS TIMESTAMP) + ({first} - CAST({on} AS TIMESTAMP)))"
            rows, anchor = f"{rows} {local_span_of(wall, 'p.zone_no', 'z')}", instant_of(wall, "z")
            conditions.append(Condition("an anniversary, not the day itself", f"{day} > {on}"))
        return Found(
            rows, tuple(conditions), f"{key} || ':' || strftime({day}, '%Y-%m-%d')", anchor, {"on": lambda: day},
            rests_at=anchor, repeats=not TABLES[table].unique,
        )  # fmt: skip


def _anniversary(on: str, look: Lookup) -> str:
    """The anniversary nearest to the run: years are counted from the first date, so nothing drifts.

    Of two equally far, the earlier: one of three that lie a year apart is at most 182 days away, or two are 183.
    """
    today = f"CAST({look.now} AS DATE)"
    years = f"(year({today}) - year({on}))"
    days = [f"CAST({on} + to_years(CAST({years} + {step} AS INTEGER)) AS DATE)" for step in (-1, 0, 1)]
    near = " ".join(f"WHEN abs({day} - {today}) <= {far} THEN {day}" for far in (182, 183) for day in days)
    return f"(CASE {near} END)"
