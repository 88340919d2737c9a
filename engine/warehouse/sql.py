"""Small pieces every statement is built from: quoting, bound values and rows that travel in bulk."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import duckdb

Bindable = str | int | float | bool | datetime | date


def quote(identifier: str) -> str:
    """`identifier` in double quotes, safe for DuckDB and PostgreSQL."""
    return '"' + identifier.replace('"', '""') + '"'


class Bound:
    """Values bound to one statement. The same value gets the same parameter, so equal texts stay equal."""

    def __init__(self) -> None:
        self.values: dict[str, Bindable | None] = {}
        self._names: dict[tuple[type, Bindable | None], str] = {}

    def __call__(self, value: object) -> str:
        """The placeholder for `value`; instants and dates are typed, so that no engine has to guess."""
        if not isinstance(value, Bindable | None):
            raise TypeError(f"{type(value).__name__} cannot be bound")
        key = (type(value), value)
        if key not in self._names:
            name = f"b{len(self._names)}"
            self._names[key], self.values[name] = name, value
        return _typed(f"${self._names[key]}", value)

    def used_in(self, statement: str) -> dict[str, Bindable | None]:
        """Just the values `statement` mentions: DuckDB refuses parameters that a statement does not use."""
        return {name: value for name, value in self.values.items() if _mentions(statement, name)}


def _typed(placeholder: str, value: object) -> str:
    if isinstance(value, datetime):
        return f"CAST({placeholder} AS TIMESTAMP)"
    if isinstance(value, date):
        return f"CAST({placeholder} AS DATE)"
    return placeholder


def _mentions(statement: str, name: str) -> bool:
    start = statement.find(f"${name}")
    while start >= 0:
        end = start + len(name) + 1
        if end == len(statement) or not statement[end].isdigit():
            return True
        start = statement.find(f"${name}", end)
    return False


def execute(db: duckdb.DuckDBPyConnection, statement: str, bound: Bound | None = None) -> duckdb.DuckDBPyConnection:
    """Run one statement with the bound values it mentions."""
    return db.execute(statement, bound.used_in(statement)) if bound else db.execute(statement)


def csv_list(names: Iterable[str]) -> str:
    """Quoted identifiers, comma separated."""
    return ", ".join(quote(name) for name in names)


def load_rows(
    db: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    rows: Iterable[Sequence[object]],
) -> int:
    """Create `table` (columns: name to DuckDB type) and fill it with `rows`; returns how many there were.

    Rows pass through a temporary CSV file, which DuckDB reads hundreds of times faster than it takes single inserts;
    memory stays bounded whatever the number of rows. None and empty text both arrive as NULL.
    """
    typed = ", ".join(f"{quote(name)} {kind}" for name, kind in columns.items())
    db.execute(f"CREATE OR REPLACE TABLE {quote(table)} ({typed})")
    with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="", encoding="utf-8") as file:
        count = _write_rows(file, rows)
        file.flush()
        if count:
            db.execute(f"INSERT INTO {quote(table)} SELECT * FROM {read_csv_text(Path(file.name), list(columns))}")
    return count


def _write_rows(file: object, rows: Iterable[Sequence[object]]) -> int:
    writer, count = csv.writer(file, quoting=csv.QUOTE_MINIMAL), 0  # type: ignore[arg-type]
    for row in rows:
        writer.writerow(row)
        count += 1
    return count


def read_csv_text(path: Path, columns: Sequence[str]) -> str:
    """A relation over a CSV file without header that we wrote ourselves: all columns text, empty is NULL."""
    types = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in columns)
    return (
        f"read_csv({_literal(str(path))}, header = false, auto_detect = false, delim = ',', quote = '\"', "
        f"escape = '\"', nullstr = '', new_line = '\\r\\n', max_line_size = 20000000, columns = {{{types}}})"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literal(text: str) -> str:
    """`text` as a SQL string literal; for our own constants and file names, never for users' values."""
    return _literal(text)
