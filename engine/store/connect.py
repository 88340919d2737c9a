"""Connections to the state database: one engine, short transactions, one kind of error.

SQLite: WAL and `synchronous=FULL` (a committed attempt survives power loss), writers begin with `BEGIN IMMEDIATE`
so that two of them queue up instead of failing half-way. PostgreSQL: psycopg 3, session zone UTC.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import URL, ColumnElement, Connection, Engine, Text, create_engine, event, func, type_coerce
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from engine.errors import Problem, SetupError, UnavailableError
from engine.store.tables import UtcDateTime

Kind = Literal["sqlite", "postgresql"]
BUSY_TIMEOUT_S = 30.0  # a writer waits this long for another one; chunks take well under a second
FETCH_ROWS = 10_000
CACHE_KIB = 65_536  # SQLite's own 2 MB are too few for a large outbox, whose keys are scattered by nature
INSTANT_FORMAT = "%Y-%m-%d %H:%M:%S.%f"


def instant_text(moment: datetime) -> str:
    """`moment` (naive UTC) as the 26 characters SQLite stores and bulk rows carry."""
    return moment.isoformat(" ", "microseconds")


def parse_url(url: str, folder: Path | None = None) -> URL:
    """The database's address; a relative SQLite path is taken from `folder` (default: the current one)."""
    try:
        address = make_url(url)
    except ArgumentError:
        raise _wrong_url("an address that cannot be read") from None
    if address.drivername in ("sqlite", "sqlite+pysqlite") and address.database not in (None, "", ":memory:"):
        return URL.create("sqlite", database=str((folder or Path()).resolve() / str(address.database)))
    if address.drivername in ("postgresql", "postgresql+psycopg", "postgres"):
        return address.set(drivername="postgresql+psycopg")
    raise _wrong_url(f'"{address.render_as_string(hide_password=True)}"')


def _wrong_url(found: str) -> SetupError:
    expected = "expected sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    return SetupError(Problem("config.yaml", None, None, "HF701", f"state.url is {found}", expected))


class Database:
    """An engine with the two kinds of transaction the store uses. Safe to share between threads."""

    def __init__(self, address: URL) -> None:
        self.kind: Kind = "sqlite" if address.drivername == "sqlite" else "postgresql"
        self.name = address.render_as_string(hide_password=True)
        self.path = Path(str(address.database)) if self.kind == "sqlite" else None
        self.engine = self._sqlite(address) if self.kind == "sqlite" else self._postgres(address)

    def _sqlite(self, address: URL) -> Engine:
        engine = create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _postgres(self, address: URL) -> Engine:
        try:
            engine = create_engine(address, pool_pre_ping=True)
        except (NoSuchModuleError, ModuleNotFoundError):
            raise UnavailableError(
                "the state is on PostgreSQL, whose driver is not installed: pip install 'holdfast[postgres]'"
            ) from None
        event.listen(engine, "connect", _prepare_postgres)
        return engine

    def make_file(self) -> None:
        """Create the SQLite file, readable by its owner only; its journal files inherit the mode."""
        if self.path is None or self.path.exists():
            return
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return  # another process was faster
        except OSError as error:
            raise UnavailableError(f"cannot create {self.path}: {error.strerror}") from None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that may write: all of it is stored, or nothing."""
        with self._unavailable(), self.engine.connect() as connection:
            writer = connection.execution_options(begins="IMMEDIATE")
            with writer.begin():
                yield writer

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; temporary tables may be written."""
        with self._unavailable(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        """Trouble of the database itself becomes one sentence; a broken constraint is ours and passes through."""
        driver: Any = self.engine.dialect.dbapi
        try:
            yield
        except (DBAPIError, driver.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            # sqlite3 tells a damaged or foreign file by its plain DatabaseError.
            if (
                isinstance(cause, driver.OperationalError | driver.InterfaceError)
                or type(cause) is driver.DatabaseError
            ):
                first = next(iter(str(cause).strip().splitlines()), "no reason given")
                raise UnavailableError(f"the state database {self.name} cannot be used: {first}") from error
            raise

    def as_text(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """A date or instant column as bulk rows carry it; other columns unchanged."""
        if not isinstance(column.type, UtcDateTime) and column.type.python_type is not date:
            return column
        if self.kind == "sqlite":
            return type_coerce(column, Text).label(column.key)
        shape = "YYYY-MM-DD HH24:MI:SS.US" if isinstance(column.type, UtcDateTime) else "YYYY-MM-DD"
        return func.to_char(column, shape, type_=Text).label(column.key)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, see _begin_sqlite
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=FAST")  # what is erased shall not lie about in the file
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on. SQLite does not wait for others while it changes the mode, so we do."""
    give_up_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_s:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begins', 'DEFERRED')}")


def _prepare_postgres(connection: Any, _record: object) -> None:
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()
