"""Rows by the ten thousand, straight through the driver.

SQLAlchemy's own multi-row insert costs about twice as much as the driver beneath it, so bulk rows are plain tuples:
`sqlite3.executemany`, or psycopg's COPY into a temporary table followed by one INSERT … SELECT.

Dates and instants travel as text in both directions ('YYYY-MM-DD', 'YYYY-MM-DD HH:MM:SS.ffffff', naive UTC): the
databases and DuckDB read it as it is, and no Python object is made for a cell nobody looks at. Rows may also hold
`date` and `datetime` objects; turning them into text costs a little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Table

from engine.store.connect import instant_text

Row = Sequence[Any]


@dataclass(frozen=True)
class Bulk:
    """How tuples become rows of a table.

    `columns` is the order of the tuple. `derived` maps further columns to an SQL expression in which `{column}` stands
    for a value of the tuple. `on_conflict` is the clause for rows whose key exists; without it that is an error.
    """

    table: Table
    columns: tuple[str, ...]
    derived: Mapping[str, str] = field(default_factory=dict)
    on_conflict: str = ""

    @property
    def stage(self) -> str:
        """Name of the temporary table that takes the rows on PostgreSQL."""
        return f"stage_{self.table.name}"


@dataclass(frozen=True)
class Written:
    """Rows offered and rows stored; the difference met an existing key."""

    offered: int
    stored: int

    @property
    def conflicts(self) -> int:
        """Rows that met an existing key and changed nothing."""
        return self.offered - self.stored


def insert(connection: Connection, bulk: Bulk, rows: Iterable[Row], constants: Mapping[str, object]) -> Written:
    """Insert `rows`, adding the same `constants` to each."""
    offered = plain(rows, bulk.table, bulk.columns)
    if not offered:
        return Written(0, 0)
    if _sqlite(connection):
        return Written(len(offered), _executemany(connection, bulk, offered, constants))
    return Written(len(offered), _copy_and_select(connection, bulk, offered, constants))


def _executemany(connection: Connection, bulk: Bulk, rows: list[Row], constants: Mapping[str, object]) -> int:
    places = {column: f"?{number}" for number, column in enumerate(bulk.columns, start=1)}
    values = {name: _literal(value) for name, value in constants.items()}
    values |= places | {name: expression.format_map(places) for name, expression in bulk.derived.items()}
    statement = (
        f"INSERT INTO {bulk.table.name} ({names(values)}) VALUES ({', '.join(values.values())}) {bulk.on_conflict}"
    )
    return int(connection.connection.cursor().executemany(statement, rows).rowcount)


def _copy_and_select(connection: Connection, bulk: Bulk, rows: list[Row], constants: Mapping[str, object]) -> int:
    stage(connection, bulk.stage, bulk.table, bulk.columns, rows)
    places = {column: f's."{column}"' for column in bulk.columns}
    values = {name: f"%({name})s" for name in constants}
    values |= places | {name: expression.format_map(places) for name, expression in bulk.derived.items()}
    statement = (
        f"INSERT INTO {bulk.table.name} ({names(values)}) SELECT {', '.join(values.values())} FROM {bulk.stage} s "
        f"{bulk.on_conflict}"
    )
    return connection.exec_driver_sql(statement, dict(constants)).rowcount


def each(connection: Connection, statement: str, rows: Iterable[Row]) -> int:
    """Run a statement once per row, dates and instants being text; how many rows were touched.

    `?` stands for a value and for nothing else.
    """
    given = list(rows)
    if not given:
        return 0
    marked = statement if _sqlite(connection) else statement.replace("?", "%s")
    cursor = connection.connection.cursor()
    cursor.executemany(marked, given)
    return int(cursor.rowcount)


def stage(connection: Connection, name: str, like: Table, columns: Sequence[str], rows: Iterable[Row]) -> int:
    """Put `rows` into a new temporary table `name`, its columns typed as in `like`; how many there were."""
    schema = "temp." if _sqlite(connection) else "pg_temp."
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {schema}{name}")
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} AS SELECT {names(columns)} FROM {like.name} WHERE false")
    cursor = connection.connection.cursor()
    if _sqlite(connection):
        places = ", ".join("?" * len(columns))
        return int(cursor.executemany(f"INSERT INTO {name} VALUES ({places})", rows).rowcount)  # type: ignore[arg-type]
    with cursor.copy(f"COPY {name} ({names(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    staged = cursor.rowcount
    cursor.execute(f"ANALYZE {name}")  # a fresh table has no statistics, and a join with it would be planned blindly
    return staged


def plain(rows: Iterable[Row], table: Table, columns: Sequence[str]) -> list[Row]:
    """The rows with dates and instants as text; as they are when they hold none."""
    kept = list(rows)
    timed = [place for place, name in enumerate(columns) if issubclass(table.c[name].type.python_type, date)]
    kinds = {type(row[place]) for row in kept for place in timed}
    return kept if kinds <= {str, type(None)} else [tuple(map(_text, row)) for row in kept]


def _text(value: object) -> object:
    if isinstance(value, datetime):
        return instant_text(value)
    return value.isoformat() if isinstance(value, date) else value


def _literal(value: object) -> str:
    """One of our own constants (a number, an instant, a fixed word, a hash) as SQL; never a value from outside."""
    if isinstance(value, int):
        return str(int(value))
    return "'" + str(_text(value)).replace("'", "''") + "'"


def names(columns: Iterable[str]) -> str:
    """Column names, quoted and separated by commas."""
    return ", ".join(f'"{column}"' for column in columns)


def _sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"
