"""The schema's version: made in an empty database, checked in any other, moved on by Alembic.

The version is one row in `holdfast_version`. Alembic is only imported to move an existing database on.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from engine.clock import new_token
from engine.errors import UnavailableError
from engine.store.connect import Database
from engine.store.tables import install, metadata

HEAD = "0001"  # the newest file in migrations/versions
VERSION_TABLE = "holdfast_version"
_MAKING_LOCK = 4_856_112_001  # PostgreSQL advisory lock: two processes that meet an empty database


def make_or_check(database: Database) -> None:
    """Create the tables in an empty database; refuse one whose version is not the code's."""
    found = version(database)
    if found is None:
        found = _make(database)
    if found < HEAD:
        raise UnavailableError(
            f"the state database {database.name} has schema {found}, this version of Holdfast needs {HEAD}: "
            "run `holdfast backup FILE` with the old version, then `holdfast db upgrade`"
        )
    if found > HEAD:
        raise UnavailableError(
            f"the state database {database.name} has schema {found}, this version of Holdfast knows up to {HEAD}: "
            "install the newer Holdfast that ran `holdfast db upgrade`"
        )


def version(database: Database) -> str | None:
    """The version found, or None in an empty database; nothing is written."""
    with database.read() as connection:
        return _version(connection, database)


def _version(connection: Connection, database: Database) -> str | None:
    present = set(inspect(connection).get_table_names())
    if VERSION_TABLE in present:
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
        if found:
            return str(found)
    if present & set(metadata.tables):
        raise UnavailableError(
            f"the database {database.name} has tables named like Holdfast's but no version of them: "
            "give `state.url` a database of its own"
        )
    return None


def _make(database: Database) -> str:
    with database.write() as connection:
        if database.kind == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MAKING_LOCK})"))
        found = _version(connection, database)
        if found is not None:
            return found  # another process made it between our look and our lock
        metadata.create_all(connection)
        connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES ('{HEAD}')"))
        connection.execute(install.insert().values(name="id", value=new_token()))
    return HEAD


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the database to the code's version in one transaction; the versions before and after."""
    from alembic import command  # noqa: PLC0415 - half a second that only this command pays
    from alembic.config import Config  # noqa: PLC0415

    before = version(database)
    if before is None:
        return None, _make(database)
    if before > HEAD:
        make_or_check(database)
    config = Config()
    config.set_main_option("script_location", "engine.store:migrations")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
    return before, HEAD
