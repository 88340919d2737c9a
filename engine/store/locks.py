"""Locks that die with their process: one run at a time, and on SQLite one deliverer.

SQLite: a lock on a file beside the database. PostgreSQL: a session's advisory lock, which the server drops
when the connection ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from engine.errors import UnavailableError
from engine.store.connect import Database

_RUN_LOCK = 4_856_112_002


@contextmanager
def run_lock(database: Database) -> Iterator[None]:
    """Hold the right to plan; UnavailableError at once while another process has it."""
    refusal = f"another run is in progress on {database.name}; try again when it is done"
    with _file_lock(database, "run", refusal) if database.kind == "sqlite" else _server_lock(database, refusal):
        yield


@contextmanager
def delivery_lock(database: Database) -> Iterator[None]:
    """Hold the right to deliver from a SQLite file. On PostgreSQL leases keep deliverers apart, any number of them."""
    if database.kind == "postgresql":
        yield
        return
    with _file_lock(database, "deliver", f"another process is delivering from {database.name}"):
        yield


@contextmanager
def _file_lock(database: Database, name: str, refusal: str) -> Iterator[None]:
    path = Path(f"{database.path}.{name}.lock")
    # A soft lock would outlive a killed process.
    lock = FileLock(path, timeout=0, mode=0o600, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise UnavailableError(refusal) from None
    except OSError as error:
        raise UnavailableError(f"cannot lock {path}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _server_lock(database: Database, refusal: str) -> Iterator[None]:
    # A connection of its own, outside any transaction, so that holding it for hours blocks no vacuum.
    with database.engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        if not connection.execute(text(f"SELECT pg_try_advisory_lock({_RUN_LOCK})")).scalar():
            raise UnavailableError(refusal)
        try:
            yield
        finally:
            with suppress(DBAPIError):  # a connection that was cut has let go of it already
                connection.execute(text(f"SELECT pg_advisory_unlock({_RUN_LOCK})"))
