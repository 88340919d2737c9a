"""What every source of tables offers. One file per engine; `engine.warehouse.sources` holds the registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import duckdb

from engine.errors import HoldfastError, Problem, SetupError, UnavailableError
from engine.project.settings import TableSettings
from engine.warehouse.sql import Bindable, literal, quote


@dataclass(frozen=True)
class RawColumn:
    """A column as the source has it: the DuckDB type it arrives in, and the type its values seem to be of."""

    name: str
    arrives_as: str
    looks_like: str


@dataclass(frozen=True)
class Only:
    """Restricts a reading to some customers or accounts: for `explain` and for the check just before sending."""

    ids: Mapping[str, tuple[str, ...]]
    """By column; one of them is enough."""

    @property
    def condition(self) -> str:
        """SQL that DuckDB, SQLite and PostgreSQL all understand."""
        return " OR ".join(
            f"CAST({quote(column)} AS VARCHAR) IN ({', '.join(map(literal, ids)) or 'NULL'})"
            for column, ids in self.ids.items()
        )


class Source(ABC):
    """An open connection to the company's tables. Used by one thread, for one evaluation, and closed after it."""

    scheme: ClassVar[tuple[str, ...]]
    """URL schemes this source serves."""

    in_place: bool = False
    """True when event facts are aggregated by the source's own engine instead of being read into DuckDB."""

    errors: tuple[type[Exception], ...] = (duckdb.Error,)
    """What reading rows may raise."""

    def __init__(
        self, url: str, root: Path, tables: Mapping[str, TableSettings], db: duckdb.DuckDBPyConnection
    ) -> None:
        self.url, self.root, self.tables, self.db = url, root, tables, db
        self.open()

    @abstractmethod
    def open(self) -> None:
        """Connect read-only, in UTC. Raises UnavailableError when the source cannot be reached."""

    @abstractmethod
    def describe(self, table: str, known: Container[str] = ()) -> list[RawColumn]:
        """The columns of a mapped table, in its own order. Raises SetupError when there is no such table.

        What columns among `known` look like need not be found out.
        """

    @abstractmethod
    def relation(self, table: str, columns: Sequence[str], only: Only | None = None) -> str:
        """SQL text of a relation in DuckDB with at least `columns`; copies the rows over when they live elsewhere."""

    def aggregate(
        self, statement: str, values: Mapping[str, Bindable | None], into: str, columns: Mapping[str, str]
    ) -> None:
        """Run a statement written for DuckDB in the source's own engine and keep its result as table `into`."""
        raise TypeError(f"{type(self).__name__} has its events in DuckDB already")

    def own_relation(self, table: str) -> str:
        """A relation that stands for the mapped table in statements for `aggregate`."""
        raise TypeError(f"{type(self).__name__} has its events in DuckDB already")

    def run_query(self, query: str, values: Mapping[str, Bindable | None], into: str) -> None:
        """Run a read-only query of a `sql` rule where the tables live and keep its result as table `into`."""
        raise TypeError(f"{type(self).__name__} runs queries in DuckDB")

    def changed_since(self) -> str | None:
        """A text that changes whenever the tables may have changed, or None when the source cannot know."""
        return None

    @contextmanager
    def reading(self, table: str) -> Iterator[None]:
        """Around every statement that touches a table's rows: what fails in it names the table."""
        try:
            yield
        except self.errors as error:
            raise self.unreadable(table, error) from error

    def unreadable(self, table: str, error: Exception) -> HoldfastError:
        """The error for a table whose rows cannot be read."""
        found = f"warehouse.tables.{table} cannot be read: {first_line(error)}"
        if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException):
            return UnavailableError(found)
        return SetupError(Problem("config.yaml", None, None, "HF601", found))

    def close(self) -> None:  # noqa: B027 - most sources have nothing to let go of
        """Let go of the connection; harmless when called twice."""


def first_line(error: Exception) -> str:
    """The first line of an engine's message: those below show its own syntax, or customers' rows."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
