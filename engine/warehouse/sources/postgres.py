"""PostgreSQL: small tables are copied over, event facts are aggregated on the server by translated SQL."""

from __future__ import annotations

import tempfile
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import sqlglot
from sqlglot import exp

from engine.errors import HoldfastError, UnavailableError
from engine.warehouse.sources.base import Only, RawColumn, Source, first_line
from engine.warehouse.sql import Bindable, literal, quote

if TYPE_CHECKING:
    import psycopg

_TYPES = {
    "bool": "BOOLEAN", "int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT", "numeric": "DOUBLE",
    "float4": "DOUBLE", "float8": "DOUBLE", "date": "DATE", "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip


class PostgresSource(Source):
    """`postgresql://user@host/database`: one read-only REPEATABLE READ transaction, so all tables belong together."""

    scheme = ("postgresql", "postgres")
    in_place = True

    def open(self) -> None:
        """Connect, in UTC whatever the server's zone, and fix the state of all tables for this evaluation."""
        try:
            import psycopg  # noqa: PLC0415 - an extra: needed only where the tables are there
        except ImportError as error:
            message = "warehouse.url: PostgreSQL needs another package; pip install 'holdfast[postgres]'"
            raise UnavailableError(message) from error
        self.errors = (duckdb.Error, psycopg.Error)
        self._lost = psycopg.OperationalError
        try:
            self._connection: psycopg.Connection[Any] = psycopg.connect(self.url, connect_timeout=10)
            self._connection.execute("SET TIME ZONE 'UTC'")
            self._connection.execute("SET DateStyle TO ISO")
            self._connection.commit()
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
        except psycopg.Error as error:
            raise UnavailableError(f"warehouse.url: PostgreSQL cannot be reached: {first_line(error)}") from error

    def describe(self, table: str, known: Container[str] = ()) -> list[RawColumn]:
        """Columns are copied as text; events stay on the server in their own types."""
        with self.reading(table), self._connection.transaction():
            cursor = self._connection.execute(f"SELECT * FROM {self._from(table)} AS t LIMIT 0")
        columns = cursor.description or ()
        kinds = {column.name: _TYPES.get(column.type_display.split("(")[0], "VARCHAR") for column in columns}
        return [RawColumn(name, "VARCHAR", kind) for name, kind in kinds.items()]

    def relation(self, table: str, columns: Sequence[str], only: Only | None = None) -> str:
        """Copies the columns asked for into a temporary table of text columns and names it."""
        target = f"raw_{table}"
        texts = ", ".join(f"CAST({quote(name)} AS text) AS {quote(name)}" for name in columns)
        where = f" WHERE {only.condition}" if only else ""
        select = f"SELECT {texts} FROM {self._from(table)} AS t{where}"
        self._copy(select, None, target, dict.fromkeys(columns, "VARCHAR"))
        return quote(target)

    def own_relation(self, table: str) -> str:
        """A name that `aggregate` replaces after translating: a query of the company's is in its own dialect."""
        return quote(f"the company's {table}")

    def aggregate(
        self, statement: str, values: Mapping[str, Bindable | None], into: str, columns: Mapping[str, str]
    ) -> None:
        """Translate one statement, run it on the server and copy its rows."""
        translated = translate(statement)
        for table in self.tables:
            translated = translated.replace(self.own_relation(table), self._from(table).replace("%", "%%"))
        self._copy(translated, values, into, columns)

    def run_query(self, query: str, values: Mapping[str, Bindable | None], into: str) -> None:
        """Run a rule's own query as it stands, in the server's dialect, with psycopg's marks for its values."""
        cursor = self._connection.cursor()
        cursor.execute(f"SELECT * FROM ({query}\n) AS q LIMIT 0", dict(values))
        kinds = {
            column.name: _TYPES.get(column.type_display.split("(")[0], "VARCHAR") for column in cursor.description or ()
        }
        naive = {name: "TIMESTAMP" if kind.endswith("ZONE") else kind for name, kind in kinds.items()}
        casts = ", ".join(
            f"CAST({quote(name)} AS timestamp) AS {quote(name)}" if kinds[name].endswith("ZONE") else quote(name)
            for name in kinds
        )
        self._copy(f"SELECT {casts} FROM ({query}\n) AS q", values, into, naive)

    def unreadable(self, table: str, error: Exception) -> HoldfastError:
        """A lost connection is not a wrong table."""
        if isinstance(error, self._lost):
            return UnavailableError(f"warehouse.url: PostgreSQL has gone away: {first_line(error)}")
        return super().unreadable(table, error)

    def close(self) -> None:
        """End the transaction and the connection."""
        self._connection.close()

    def _from(self, table: str) -> str:
        """The mapped table or query on the server."""
        settings = self.tables[table]
        if settings.query:
            return f"({settings.query})"
        return ".".join(quote(part) for part in (settings.table or table).split("."))

    def _copy(
        self, select: str, values: Mapping[str, Bindable | None] | None, into: str, columns: Mapping[str, str]
    ) -> None:
        """The result as table `into`; without `values`, per cent signs in `select` stand for themselves."""
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            with self._connection.cursor().copy(
                f"COPY ({select}) TO STDOUT (FORMAT csv)", None if values is None else dict(values)
            ) as copy:
                for block in copy:
                    file.write(block)
            file.flush()
            self._read_back(Path(file.name), into, columns)

    def _read_back(self, path: Path, into: str, columns: Mapping[str, str]) -> None:
        typed = ", ".join(f"{quote(name)} {kind}" for name, kind in columns.items())
        self.db.execute(f"CREATE OR REPLACE TABLE {quote(into)} ({typed})")
        if path.stat().st_size == 0:
            return
        types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns)
        self.db.execute(
            f"INSERT INTO {quote(into)} SELECT * FROM read_csv({literal(str(path))}, header = false, "
            f"auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', new_line = '\\n', "
            f"max_line_size = 20000000, columns = {{{types}}})"
        )


def translate(statement: str) -> str:
    """PostgreSQL text of a DuckDB statement; `$name` parameters become psycopg's `%(name)s`."""
    tree = sqlglot.parse_one(statement.replace("%", "%%"), read="duckdb")
    return tree.transform(_translated).sql(dialect="postgres")


def _translated(node: exp.Expr) -> exp.Expr:
    """What sqlglot passes on as it stands."""
    if not isinstance(node, exp.Anonymous) or node.name.lower() != "arg_max_null":
        return node
    value, by = (part.sql(dialect="duckdb") for part in node.expressions)
    newest = f"(array_agg({value} ORDER BY {by} DESC) FILTER (WHERE {by} IS NOT NULL))[1]"
    return sqlglot.parse_one(newest, read="duckdb")
