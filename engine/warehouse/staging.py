"""Reads the mapped tables into DuckDB: typed, in UTC, with broken values set aside and counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from engine.warehouse.address_columns import UNPARSED, address_among, parse_addresses, unread, with_parsed
from engine.warehouse.shapes import Column, Shape
from engine.warehouse.sources import Only, Source
from engine.warehouse.sql import csv_list, literal, quote
from engine.warehouse.tables import Kind

UNBREAKABLE = {
    (Kind.TEXT, "text"), (Kind.NAME, "text"), (Kind.ID, "text"), (Kind.ID, "integer"), (Kind.TEXT, "integer"),
    (Kind.BOOLEAN, "boolean"), (Kind.INTEGER, "integer"), (Kind.MINOR, "integer"),
}  # fmt: skip
"""(kind, physical family) pairs whose values cannot be broken, so looking for broken ones is spared."""

MISSING = "missing, so the whole row is set aside"


@dataclass(frozen=True)
class Issue:
    """One quarantined value, or a whole row when `column` is one the row cannot do without."""

    table: str
    row: str
    column: str
    value: str
    reason: str


@dataclass
class TableReport:
    """What reading one table found. `rows` = accepted + set_aside + repeated."""

    table: str
    rows: int
    """Rows the source holds, before anything is set aside."""
    newest: datetime | None = None
    """The newest fact before the run's instant."""
    future: int = 0
    """Rows dated at or after the run's instant: no facts, and suspect."""
    issues: list[tuple[str, str, int]] = field(default_factory=list)
    """(column, reason, how many) of what was quarantined."""
    set_aside: int = 0
    """Rows left out whole: a value they cannot do without is broken, or another row contradicts them."""
    repeated: int = 0
    """Rows counted once with another: exact repeats, and older rows under the same id."""
    unknown: int | None = None
    """Accepted rows of customers who are not in the customers table; None where they were not looked for."""

    @property
    def accepted(self) -> int:
        """Rows that are used."""
        return self.rows - self.set_aside - self.repeated

    @property
    def quarantined(self) -> int:
        """How many values and rows were set aside."""
        return sum(count for _, _, count in self.issues)


class Staging:
    """Stages tables of one source for one evaluation at `as_of`."""

    def __init__(
        self, db: duckdb.DuckDBPyConnection, source: Source, as_of: datetime, currency: str,
        customer_ids: tuple[str, ...] | None = None,
    ) -> None:  # fmt: skip
        self.db, self.source, self.as_of, self.currency = db, source, as_of, currency
        self.customer_ids = customer_ids
        self.account_ids: tuple[str, ...] | None = None
        """The accounts of these customers, where rules are about accounts: all of their rows are read too."""
        self.stripe_ids: tuple[str, ...] | None = None
        """Stripe's ids of these customers, where they are known by other ones here."""
        self.reports: dict[str, TableReport] = {}

    def stage(self, shape: Shape, columns: Iterable[str], into: str, distinct: bool = False) -> None:
        """Make table `into` with the columns asked for, the key and what a row cannot do without.

        Broken values become NULL; rows without a required value are left out; both are counted in `reports`. With
        `distinct`, rows that are alike in every column of the source are kept once.
        """
        wanted = self._columns(shape, columns)
        read = list(shape.columns.values()) if distinct else wanted
        with self.source.reading(shape.name):
            relation = self.source.relation(shape.name, [column.raw for column in read], self.only(shape))
            copies = f"SELECT *, count(*) AS copies_ FROM {relation} GROUP BY ALL"
            rows = f"({copies})" if distinct else f"(SELECT *, 1 AS copies_ FROM {relation})"
            self._fill(shape, wanted, rows, into)
            self.reports[shape.name] = self._report(shape, wanted, into, relation)
        self.db.execute(f"ALTER TABLE {quote(into)} DROP COLUMN broken_")
        self.db.execute(f"ALTER TABLE {quote(into)} DROP COLUMN copies_")

    def _fill(self, shape: Shape, columns: Sequence[Column], rows: str, into: str) -> None:
        """Make the typed table; addresses that need parsing are filled in once it stands, to read the rows once."""
        address, further = address_among(columns), ["copies_"]
        if address:
            rows = f"(SELECT *, {UNPARSED} FROM {rows})"
            further.append(f"{unread(address)} AS address_unread_")
        self.db.execute(f"CREATE OR REPLACE TABLE {quote(into)} AS {self._select(shape, columns, rows, further)}")
        if address and parse_addresses(self.db, "address_unread_", quote(into)):
            self.db.execute(
                f"UPDATE {quote(into)} SET {quote(address.name)} = a.address_parsed_ FROM address_read AS a "
                "WHERE address_unread_ = a.address_given_"
            )
        if address:
            self.db.execute(f"ALTER TABLE {quote(into)} DROP COLUMN address_unread_")

    def stage_whole(self, shape: Shape, into: str, where: str = "TRUE") -> None:
        """Make table `into` with all columns of the rows that can be used and for which `where` holds."""
        columns = list(shape.columns.values())
        with self.source.reading(shape.name):
            rows = self._select(shape, columns, self._relation(shape, columns))
            usable = f"SELECT * EXCLUDE (broken_) FROM ({rows}) WHERE NOT ({_row_is_broken(shape)}) AND {where}"
            self.db.execute(f"CREATE OR REPLACE TABLE {quote(into)} AS {usable}")

    def issues(self, shape: Shape, limit: int | None = None) -> list[Issue]:
        """Every quarantined value of a table, in the table's own order."""
        wanted = self._columns(shape, shape.columns)
        with self.source.reading(shape.name):
            select = self._issue_select(shape, wanted, self._relation(shape, wanted))
            rows = self.db.execute(f"{select}{f' LIMIT {limit}' if limit else ''}").fetchall()
        return [Issue(shape.name, *row) for row in rows]

    def _relation(self, shape: Shape, columns: Sequence[Column]) -> str:
        """The raw rows, with the addresses beside them that needed parsing."""
        relation = self.source.relation(shape.name, [column.raw for column in columns], self.only(shape))
        address = address_among(columns)
        if address:
            parse_addresses(self.db, unread(address), f"{relation} AS r")
        return with_parsed(relation, columns)

    def _columns(self, shape: Shape, names: Iterable[str]) -> list[Column]:
        wanted = dict.fromkeys([*shape.required, *shape.owners, shape.table.key, *names])
        columns = [shape.columns[name] for name in wanted if name in shape.columns]
        if any(column.decimal for column in columns) and shape.has("currency") and "currency" not in wanted:
            columns.append(shape.columns["currency"])
        return columns

    def only(self, shape: Shape) -> Only | None:
        """The restriction to this evaluation's customers, where the table names them."""
        if self.customer_ids is not None and shape.settings.source == "stripe":
            return Only({"customer_id": self.customer_ids if self.stripe_ids is None else self.stripe_ids})
        if self.customer_ids is None:
            return None
        wanted = {"customer_id": self.customer_ids, "account_id": self.account_ids}
        named = {shape.columns[name].raw: ids for name, ids in wanted.items() if ids is not None and shape.has(name)}
        return Only(named) if named else None

    def _select(self, shape: Shape, columns: Sequence[Column], relation: str, further: Sequence[str] = ()) -> str:
        """The typed rows, with `broken_`; values are worked out below it, so that asking for NULLs reads none twice."""
        values, present = list(further), []
        for column in columns:
            reading = column.reading(shape.settings.timezone)
            values.append(f"{self._bounded(shape, column, reading.value)} AS {quote(column.name)}")
            if column.kind is Kind.DAY and reading.date_only != "FALSE":
                values.append(f"{reading.date_only} AS {quote(column.name + '_is_date')}")
            if column.kind is Kind.ADDRESS:
                values.append(f"{_present(column)} AS {quote(column.name + '_given')}")
            if self._breakable(shape, column):
                present.append(column)
        flags = [f"{_present(column)} AS {quote(column.name + '_present_')}" for column in present]
        broken = [f"({quote(column.name + '_present_')} AND {quote(column.name)} IS NULL)" for column in present]
        missing = _missing(shape)
        kept = f"* EXCLUDE ({csv_list(column.name + '_present_' for column in present)})" if present else "*"
        rows = f"SELECT {', '.join([*values, *flags])} FROM {self._stepped(shape, columns, relation)}"
        return f"SELECT {kept}, {' OR '.join([*broken, *missing])} AS broken_ FROM ({rows})"

    def _stepped(self, shape: Shape, columns: Sequence[Column], relation: str) -> str:
        """The raw relation with the intermediate columns that readings need."""
        readings = [column.reading(shape.settings.timezone) for column in columns]
        early = {name: sql for reading in readings for name, sql in reading.steps.items()}
        if any(column.decimal for column in columns):
            early["currency_digits"] = self._digits(shape)
        late = {name: sql for reading in readings for name, sql in reading.late_steps.items()}
        rows = f"{relation} AS r"
        for steps in (early, late):
            if steps:
                rows = f"(SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in steps.items())} FROM {rows}) AS r"
        return rows

    def _digits(self, shape: Shape) -> str:
        own = f"upper(trim(r.{quote(shape.columns['currency'].raw)}))" if shape.has("currency") else "NULL"
        code = f"coalesce(nullif({own}, ''), {literal(self.currency)})"
        return f"(SELECT max(d.digits) FROM currency_digits d WHERE d.currency = {code})"

    def _bounded(self, shape: Shape, column: Column, value: str) -> str:
        bounds = shape.table.ranges.get(column.name)
        return f"CASE WHEN {value} BETWEEN {bounds[0]} AND {bounds[1]} THEN {value} END" if bounds else value

    def _breakable(self, shape: Shape, column: Column) -> bool:
        return column.name in shape.table.ranges or (column.kind, column.family) not in UNBREAKABLE

    def _broken(self, shape: Shape, column: Column) -> str:
        value = self._bounded(shape, column, column.reading(shape.settings.timezone).value)
        return f"({_present(column)} AND ({value}) IS NULL)"

    def _issue_select(self, shape: Shape, columns: Sequence[Column], relation: str) -> str:
        """One row per broken value: row key, column, raw value, reason."""
        key = next(shape.columns[name] for name in (shape.table.key, *shape.table.required) if shape.has(name))
        cases = []
        for column in columns:
            raw, reading = f"CAST({quote(column.raw)} AS VARCHAR)", column.reading(shape.settings.timezone)
            bounds = shape.table.ranges.get(column.name)
            reason = f"{reading.reason}{f' from {bounds[0]} to {bounds[1]}' if bounds else ''}"
            if self._breakable(shape, column):
                cases.append(_case(self._broken(shape, column), column.name, raw, reason))
            if column.name in shape.required:
                cases.append(_case(f"NOT {_present(column)}", column.name, "''", MISSING))
        owners = [column for column in columns if column.name in shape.owners]
        if owners:
            nobody = " AND ".join(f"NOT {_present(column)}" for column in owners)
            cases.append(_case(nobody, owners[0].name, "''", MISSING))
        found = f"unnest([{', '.join(cases)}])"
        rows = self._stepped(shape, columns, relation)
        inner = f"SELECT coalesce(CAST({quote(key.raw)} AS VARCHAR), '') AS k, {found} AS f FROM {rows}"
        return f"SELECT k, f.c, coalesce(f.v, ''), f.r FROM ({inner}) WHERE f IS NOT NULL"

    def _report(self, shape: Shape, columns: Sequence[Column], into: str, relation: str) -> TableReport:
        """Count what is there, and take the rows out that cannot be used."""
        left_out = _row_is_broken(shape)
        rows, broken, set_aside, kept = self.db.execute(
            f"SELECT coalesce(sum(copies_), 0), count(*) FILTER (WHERE broken_), "
            f"coalesce(sum(copies_) FILTER (WHERE {left_out}), 0), count(*) FILTER (WHERE NOT ({left_out})) "
            f"FROM {quote(into)}"
        ).fetchall()[0]
        report = TableReport(shape.name, int(rows), set_aside=int(set_aside), repeated=int(rows - set_aside - kept))
        if broken:
            issues = self._issue_select(shape, columns, with_parsed(relation, columns))
            report.issues = self.db.execute(
                f"SELECT c, r, count(*) FROM ({issues}) AS i(k, c, v, r) GROUP BY ALL ORDER BY ALL"
            ).fetchall()
            self.db.execute(f"DELETE FROM {quote(into)} WHERE {left_out}")
        freshest = shape.table.freshest
        if freshest and freshest in {column.name for column in columns}:
            newest = f"max({quote(freshest)}) FILTER (WHERE {quote(freshest)} < $as_of)"
            future = f"count(*) FILTER (WHERE {quote(freshest)} >= $as_of)"
            found = self.db.execute(f"SELECT {newest}, {future} FROM {quote(into)}", {"as_of": self.as_of}).fetchall()
            report.newest, report.future = found[0]
        return report


def _present(column: Column) -> str:
    raw = quote(column.raw)
    return f"(nullif(trim({raw}), '') IS NOT NULL)" if column.family == "text" else f"({raw} IS NOT NULL)"


def _case(condition: str, column: str, raw: str, reason: str) -> str:
    return f"CASE WHEN {condition} THEN {{'c': {literal(column)}, 'v': {raw}, 'r': {literal(reason)}}} END"


def _row_is_broken(shape: Shape) -> str:
    return " OR ".join(_missing(shape))


def _missing(shape: Shape) -> list[str]:
    """Conditions under which a row lacks what it cannot do without."""
    missing = [f"{quote(column)} IS NULL" for column in shape.required]
    owners = [f"{quote(column)} IS NULL" for column in shape.owners if shape.has(column)]
    return [*missing, f"({' AND '.join(owners)})"] if owners else missing
