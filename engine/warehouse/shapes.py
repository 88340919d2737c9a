"""Which of the source's columns stands for which of ours, and how each is read."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from engine.errors import Problem, SetupError, did_you_mean
from engine.project.settings import TableSettings
from engine.warehouse.reading import Reading, decimal_money, physical, read
from engine.warehouse.sources import RawColumn
from engine.warehouse.sql import quote
from engine.warehouse.tables import MONEY_ALIASES, OWNERS, TABLES, Kind, Table

_FURTHER_KINDS = {
    "integer": Kind.INTEGER, "decimal": Kind.NUMBER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN, "date": Kind.DAY,
    "naive": Kind.INSTANT, "aware": Kind.INSTANT,
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column of ours and the raw column it is read from."""

    name: str
    source: RawColumn
    kind: Kind
    decimal: bool = False
    """A decimal amount that becomes minor units of the row's currency."""

    @property
    def raw(self) -> str:
        """The raw column's name."""
        return self.source.name

    @property
    def family(self) -> str:
        """Family of the type its values arrive in."""
        return physical(self.source.arrives_as)

    def reading(self, zone: str, source: str = "") -> Reading:
        """The SQL that reads it; `source` is a table alias with its dot."""
        if self.decimal:
            return decimal_money(source + quote(self.raw), self.family, "currency_digits")
        return read(self.kind, source + quote(self.raw), self.family, zone)


@dataclass(frozen=True)
class Shape:
    """A mapped table: the contract's columns that are there, then every further column."""

    table: Table
    settings: TableSettings
    columns: Mapping[str, Column]

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def duplicates_possible(self) -> bool:
        """Whether repeated rows have to be looked for."""
        return self.settings.duplicates != "none"

    @property
    def required(self) -> tuple[str, ...]:
        """Columns a row cannot do without, each by itself."""
        return tuple(column for column in self.table.required if column not in self.owners)

    @property
    def owners(self) -> tuple[str, ...]:
        """Columns of which a row needs one, where rows may belong to accounts; else none."""
        return _owners(self.table, self.columns)

    def has(self, *columns: str) -> bool:
        """Whether all of `columns` are there."""
        return all(column in self.columns for column in columns)


def shape_of(name: str, settings: TableSettings, raw: Sequence[RawColumn]) -> Shape:
    """The shape of one mapped table. Raises SetupError for renames to columns that are not there."""
    by_name = {column.name: column for column in raw}
    problems = [
        _no_such_column(name, ours, theirs, by_name)
        for ours, theirs in settings.columns.items()
        if theirs not in by_name
    ]
    if problems:
        raise SetupError(problems)
    table, renamed = TABLES[name], set(settings.columns.values())
    columns = {column.name: column for column in (_mapped(table, *pair, by_name) for pair in settings.columns.items())}
    for column in raw:
        if column.name not in columns and column.name not in renamed:
            columns[column.name] = _plain(table, column)
    owners = _owners(table, columns)
    missing = [column for column in table.required if column not in columns and column not in owners]
    if missing:
        raise SetupError([_missing(name, column, by_name) for column in missing])
    return Shape(table, settings, columns)


def _owners(table: Table, columns: Container[str]) -> tuple[str, ...]:
    may_be_of_accounts = "account_id" in columns and table.key not in OWNERS
    return OWNERS if may_be_of_accounts and set(OWNERS) <= table.columns.keys() else ()


def _mapped(table: Table, ours: str, theirs: str, raw: Mapping[str, RawColumn]) -> Column:
    minor = MONEY_ALIASES.get(ours)
    if minor in table.columns and ours not in table.columns:
        return Column(minor, raw[theirs], Kind.MINOR, decimal=True)
    return Column(ours, raw[theirs], table.columns.get(ours) or _further_kind(raw[theirs]))


def _plain(table: Table, column: RawColumn) -> Column:
    return Column(column.name, column, table.columns.get(column.name) or _further_kind(column))


def of_known_kind(name: str, settings: TableSettings) -> set[str]:
    """Raw columns whose kind the contract says, so that nobody has to look at their values to tell."""
    table = TABLES[name]
    known = {ours for ours in table.columns if ours not in settings.columns.values()}
    known |= {theirs for ours, theirs in settings.columns.items() if ours in {*table.columns, *MONEY_ALIASES}}
    return known


def _further_kind(column: RawColumn) -> Kind:
    return _FURTHER_KINDS.get(physical(column.looks_like), Kind.TEXT)


def _no_such_column(table: str, ours: str, theirs: str, raw: Mapping[str, RawColumn]) -> Problem:
    return Problem(
        "config.yaml", None, None, "HF603",
        f'warehouse.tables.{table}.columns maps {ours} to "{theirs}", which is not there',
        "expected one of " + ", ".join(sorted(raw)), did_you_mean(theirs, raw),
    )  # fmt: skip


def _missing(table: str, column: str, raw: Mapping[str, RawColumn]) -> Problem:
    return Problem(
        "config.yaml", None, None, "HF604", f'table {table} has no column "{column}"',
        f"expected it among {', '.join(sorted(raw))}, or renamed with warehouse.tables.{table}.columns: "
        f"{{{column}: theirs}}", did_you_mean(column, raw),
    )  # fmt: skip
