"""CSV and Parquet files, and DuckDB database files: read where they lie, never copied."""

from __future__ import annotations

from collections.abc import Container, Sequence
from glob import glob, has_magic
from pathlib import Path

import duckdb

from engine.errors import HoldfastError, UnavailableError
from engine.warehouse.sources.base import Only, RawColumn, Source, first_line
from engine.warehouse.sources.csv_files import SUFFIXES, Heading, fault_in_rows, read_heading, rows_of, sample_of
from engine.warehouse.sources.looks import types_of
from engine.warehouse.sql import literal, quote

_ATTACHED = "warehouse_file"


class DuckSource(Source):
    """`duckdb://` for files only, `duckdb:///shop.duckdb` for a database file (opened read-only)."""

    scheme = ("duckdb",)

    def open(self) -> None:
        """Attach the database file, if the URL names one."""
        self._csv_files: dict[str, list[tuple[Path, Heading]]] = {}
        self._file = self.url.removeprefix("duckdb://").removeprefix("/")
        self.db.execute(f"SET file_search_path = {literal(str(self.root))}")  # for files that queries name
        if not self._file:
            return
        path = self.root / self._file if not self.url.startswith("duckdb:////") else Path("/" + self._file)
        if not path.is_file():
            raise UnavailableError(f"warehouse.url: there is no database file {self._file!r}")
        try:
            self.db.execute(f"ATTACH {literal(str(path))} AS {_ATTACHED} (READ_ONLY)")
        except duckdb.Error as error:
            raise UnavailableError(f"warehouse.url: cannot open {self._file!r}: {first_line(error)}") from error

    def describe(self, table: str, known: Container[str] = ()) -> list[RawColumn]:
        """Types as stored; for CSV, where everything arrives as text, as a sample of the files looks."""
        if not self._is_csv(table):
            whole = self._whole(table)
            with self.reading(table):
                rows = self.db.execute(f"DESCRIBE SELECT * FROM {whole}").fetchall()
            return [RawColumn(str(name), str(kind), str(kind)) for name, kind, *_ in rows]
        types: dict[str, str] = {}
        for heading, path in self._largest(table).items():
            asked = [column for column in heading.columns if column not in known and column not in types]
            with self.reading(table):
                found = types_of(self.db, sample_of(path, heading), asked) if asked else {}
            types |= {column: found.get(column, "VARCHAR") for column in heading.columns if column not in types}
        return [RawColumn(name, "VARCHAR", kind) for name, kind in types.items()]

    def relation(self, table: str, columns: Sequence[str], only: Only | None = None) -> str:
        """Files and attached tables are scanned in place; DuckDB reads only the columns a statement uses."""
        whole = self._whole(table)
        return f"(SELECT * FROM {whole} WHERE {only.condition})" if only else whole

    def _whole(self, table: str) -> str:
        settings = self.tables[table]
        if settings.query:
            return f"({settings.query})"
        if not settings.path:
            return f"{_ATTACHED}.{_qualified(settings.table or table)}"
        if self._is_csv(table):
            return rows_of(self._csv(table))
        files = self._files(table)
        listed = ", ".join(literal(file) for file in files)
        return f"read_parquet([{listed}], hive_partitioning = false, union_by_name = {len(files) > 1})"

    def changed_since(self) -> str | None:
        """Sizes and change times of all files behind the mapped tables; None when a query hides which they are."""
        if any(settings.query for settings in self.tables.values()):
            return None
        paths = [Path(file) for table in self.tables for file in self._files(table)]
        if self._file:
            paths.append(self.root / self._file)
        return "|".join(f"{path}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in sorted(paths))

    def _files(self, table: str) -> list[str]:
        pattern = self.tables[table].path
        if not pattern:
            return []
        whole = str(self.root / pattern)
        # Not Path.glob: patterns may be absolute.
        named = sorted(glob(whole, recursive=True)) if has_magic(whole) else [whole]  # noqa: PTH207
        found = [file for file in named if Path(file).is_file()]
        if not found:
            raise UnavailableError(f"warehouse.tables.{table}: no file matches {pattern!r}")
        return found

    def _is_csv(self, table: str) -> bool:
        return bool(self.tables[table].path) and self._files(table)[0].lower().endswith(SUFFIXES)

    def _csv(self, table: str) -> list[tuple[Path, Heading]]:
        """A table's files with their headings, read once."""
        if table not in self._csv_files:
            paths = [Path(file) for file in self._files(table)]
            self._csv_files[table] = [(path, read_heading(path, self._name_of(path))) for path in paths]
        return self._csv_files[table]

    def _largest(self, table: str) -> dict[Heading, Path]:
        """The largest file of each heading: the one to take a sample from."""
        largest: dict[Heading, Path] = {}
        for path, heading in self._csv(table):
            if heading not in largest or path.stat().st_size > largest[heading].stat().st_size:
                largest[heading] = path
        return largest

    def unreadable(self, table: str, error: Exception) -> HoldfastError:
        """File and line, where the fault lies in a row of a CSV file."""
        names = {str(path): self._name_of(path) for path, _ in self._csv_files.get(table, ())}
        return fault_in_rows(error, names) or super().unreadable(table, error)

    def _name_of(self, path: Path) -> str:
        """The file as the project names it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def _qualified(name: str) -> str:
    return ".".join(quote(part) for part in name.split("."))
