"""What people decide: pauses, approvals, and what environment the state belongs to."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from engine.clock import new_token
from engine.errors import HeldError
from engine.store.connect import Database
from engine.store.tables import approval, install, metadata, pause, suppression

Environment = Literal["folder", "live"]
EVERYTHING = "*"


class Switches:
    """Pauses and approvals; setting one twice keeps the first instant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pause(self, rule: str, now: datetime) -> None:
        """Stop a rule, or everything with `*`, from being planned and delivered."""
        with self._database.write() as connection:
            _insert_new(connection, pause, {"rule": rule}, {"at": now})

    def resume(self, rule: str) -> bool:
        """Lift that pause; False when there was none."""
        with self._database.write() as connection:
            return connection.execute(delete(pause).where(pause.c.rule == rule)).rowcount > 0

    def paused(self) -> dict[str, datetime]:
        """Rule (or `*`) and since when."""
        with self._database.read() as connection:
            return {row.rule: row.at for row in connection.execute(select(pause).order_by(pause.c.rule))}

    def approve(self, run_id: int, rule: str, now: datetime) -> None:
        """Release a rule that the guard held in that run."""
        with self._database.write() as connection:
            _insert_new(connection, approval, {"run_id": run_id, "rule": rule}, {"at": now})

    def approvals(self, run_id: int | None = None) -> list[tuple[int, str, datetime]]:
        """(run, rule, when), of one run or of all."""
        query = select(approval.c.run_id, approval.c.rule, approval.c.at).order_by(approval.c.run_id, approval.c.rule)
        if run_id is not None:
            query = query.where(approval.c.run_id == run_id)
        with self._database.read() as connection:
            return [tuple(row) for row in connection.execute(query)]


def _insert_new(connection: Connection, table: Table, key: dict[str, object], rest: dict[str, object]) -> None:
    """Insert the row unless its key exists; two processes may try at the same moment."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(table).values(**key, **rest).on_conflict_do_nothing())


class Install:
    """This state's identity, and whether it has written to a folder or to real people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def id(self) -> str:
        """Random, made with the schema; travels with each message so that events find their way home."""
        found = self.value("id")
        if found is None:
            raise LookupError("the state has no install id")
        return found

    def environment(self) -> Environment | None:
        """Where it has delivered so far; None before the first delivery."""
        found = self.value("environment")
        return None if found is None else ("live" if found == "live" else "folder")

    def bind(self, kind: Environment) -> None:
        """Remember the kind at the first delivery; HeldError when the state belongs to the other kind."""
        with self._database.write() as connection:
            _insert_new(connection, install, {"name": "environment"}, {"value": kind})
        if self.environment() != kind:
            tried = "a folder of .eml files, or testers only" if kind == "live" else "real recipients"
            raise HeldError(
                f"this state has delivered to {tried}; run `holdfast go-live` to begin a new state that keeps the "
                "suppressions, or put the old channel or test mode back into config.yaml"
            )

    def value(self, name: str) -> str | None:
        """What is kept under a name."""
        with self._database.read() as connection:
            return connection.execute(select(install.c.value).where(install.c.name == name)).scalar()

    def set(self, name: str, value: str) -> None:
        """Keep a value under a name, in place of the one before."""
        with self._database.write() as connection:
            _insert_new(connection, install, {"name": name}, {"value": value})
            connection.execute(update(install).where(install.c.name == name).values(value=value))

    def go_live(self) -> None:
        """Begin a new state: everything goes but suppressions and pauses, and the install gets a new id."""
        with self._database.write() as connection:
            for table in reversed(metadata.sorted_tables):
                if table not in (suppression, pause):
                    connection.execute(table.delete())
            connection.execute(install.insert().values(name="id", value=new_token()))
