"""A consistent copy of the state while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from engine.errors import UnavailableError
from engine.store.connect import Database


def backup(database: Database, path: Path) -> None:
    """Copy a SQLite state to `path` (mode 0600), replacing an older copy only when the new one is complete.

    Uses SQLite's backup interface: copying the file itself would miss what is still in the write-ahead log.
    """
    if database.path is None:
        raise UnavailableError(
            f"the state {database.name} is on PostgreSQL, which copies itself: pg_dump --format=custom --file={path} …"
        )
    if path.resolve() == database.path.resolve():
        raise UnavailableError(f"{path} is the state itself; name another file for its copy")
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(database.path)) as source, closing(sqlite3.connect(unfinished)) as copy:
            source.backup(copy)
        unfinished.replace(path)
    except (OSError, sqlite3.Error) as error:
        unfinished.unlink(missing_ok=True)
        raise UnavailableError(f"cannot copy {database.path} to {path}: {error}") from None
