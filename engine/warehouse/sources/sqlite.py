"""SQLite files: read by Python's own driver and copied into DuckDB, because DuckDB's extension needs the network."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import duckdb

from engine.errors import HoldfastError, UnavailableError
from engine.warehouse.sources.base import Only, RawColumn, Source
from engine.warehouse.sources.looks import types_of
from engine.warehouse.sql import csv_list, load_rows, quote

_BATCH = 10_000
_SAMPLE_ROWS = 1_000


class SqliteSource(Source):
    """`sqlite:///shop.db`, opened read-only; one read transaction for all tables, so they belong together."""

    scheme = ("sqlite",)
    errors = (duckdb.Error, sqlite3.Error)

    def open(self) -> None:
        """Open the file and fix the state of all tables for this evaluation."""
        name = self.url.removeprefix("sqlite:///")
        path = Path("/" + name.removeprefix("/")) if self.url.startswith("sqlite:////") else self.root / name
        if not path.is_file():
            raise UnavailableError(f"warehouse.url: there is no database file {name!r}")
        self._path = path
        try:
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
            self._connection.execute("BEGIN")
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            raise UnavailableError(f"warehouse.url: cannot read {name!r}: {error}") from error

    def describe(self, table: str, known: Container[str] = ()) -> list[RawColumn]:
        """Everything arrives as text; the declared type says what it looks like."""
        with self.reading(table):
            cursor = self._connection.execute(f"SELECT * FROM {self._from(table)} LIMIT 0")
            names = [name for name, *_ in cursor.description]
            declared = self._declared(table) or self._found(table, names)
            texts = [name for name in names if declared[name] == "VARCHAR" and name not in known]
            looks = self._looks(table, texts) if texts else {}
        return [RawColumn(name, "VARCHAR", looks.get(name) or declared[name]) for name in names]

    def relation(self, table: str, columns: Sequence[str], only: Only | None = None) -> str:
        """Copies the columns asked for into a temporary table of text columns and names it."""
        target = f"raw_{table}"
        where = f" WHERE {only.condition}" if only else ""
        cursor = self._connection.execute(f"SELECT {csv_list(columns)} FROM {self._from(table)}{where}")
        load_rows(self.db, target, dict.fromkeys(columns, "VARCHAR"), _rows(cursor))
        return quote(target)

    def unreadable(self, table: str, error: Exception) -> HoldfastError:
        """Text that is not UTF-8 is told without the text: it is a customer's."""
        undecoded = re.match(r"Could not decode to UTF-8 column '(.*?)'", str(error))
        if undecoded:
            error = ValueError(f'the column "{undecoded[1]}" holds bytes that are not UTF-8')
        return super().unreadable(table, error)

    def changed_since(self) -> str | None:
        """Size and change time of the file and of its write-ahead log."""
        parts = [self._path, self._path.with_name(self._path.name + "-wal")]
        return "|".join(f"{part.stat().st_size}:{part.stat().st_mtime_ns}" for part in parts if part.exists())

    def close(self) -> None:
        """End the read transaction."""
        self._connection.close()

    def _from(self, table: str) -> str:
        settings = self.tables[table]
        return f"({settings.query})" if settings.query else quote(settings.table or table)

    def _declared(self, table: str) -> dict[str, str]:
        settings = self.tables[table]
        if settings.query:
            return {}
        rows = self._connection.execute(f"PRAGMA table_info({quote(settings.table or table)})")
        return {str(name): _affinity(str(kind).upper()) for _, name, kind, *_ in rows}

    def _found(self, table: str, names: Sequence[str]) -> dict[str, str]:
        """Types of a query's columns, by the values of its first rows."""
        sample = self._connection.execute(f"SELECT * FROM {self._from(table)} LIMIT {_SAMPLE_ROWS}").fetchall()
        kinds = [{type(value) for value in column if value is not None} for column in zip(*sample, strict=True)]
        types = [
            "BIGINT" if kind == {int} else "DOUBLE" if kind and kind <= {int, float} else "VARCHAR" for kind in kinds
        ]
        return dict(zip(names, types or ["VARCHAR"] * len(names), strict=True))

    def _looks(self, table: str, names: Sequence[str]) -> dict[str, str]:
        """Columns of text that hold dates, which SQLite has no type for."""
        select = f"SELECT {csv_list(names)} FROM {self._from(table)} LIMIT {_SAMPLE_ROWS}"
        load_rows(self.db, "sample", dict.fromkeys(names, "VARCHAR"), _rows(self._connection.execute(select)))
        found = types_of(self.db, "sample", names)
        return {name: kind for name, kind in found.items() if kind in {"DATE", "TIMESTAMP"}}


def _affinity(declared: str) -> str:
    if declared == "DATE":
        return declared
    families = (("BOOL", "BOOLEAN"), ("DATE", "TIMESTAMP"), ("TIME", "TIMESTAMP"), ("INT", "BIGINT"))
    numbers = (("REAL", "DOUBLE"), ("FLOA", "DOUBLE"), ("DOUB", "DOUBLE"), ("NUM", "DOUBLE"), ("DEC", "DOUBLE"))
    return next((kind for part, kind in (*families, *numbers) if part in declared), "VARCHAR")


def _rows(cursor: sqlite3.Cursor) -> Iterator[tuple[object, ...]]:
    while batch := cursor.fetchmany(_BATCH):
        for row in batch:
            if any(isinstance(value, bytes) for value in row):
                yield tuple(_text(value) if isinstance(value, bytes) else value for value in row)
            else:
                yield row


def _text(value: bytes) -> str:
    """Bytes that are no text are taken by their hexadecimal digits, so that different ones stay different."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.hex()
