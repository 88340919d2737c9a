"""CSV and Parquet files, and DuckDB database files: read where they lie, never copied."""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path

import duckdb

from engine.errors import Problem, SetupError, UnavailableError
from engine.warehouse.sources.base import Only, RawColumn, Source
from engine.warehouse.sql import literal, quote

_CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_ATTACHED = "warehouse_file"


class DuckSource(Source):
    """`duckdb://` for files only, `duckdb:///shop.duckdb` for a database file (opened read-only)."""

    scheme = ("duckdb",)

    def open(self) -> None:
        """Attach the database file, if the URL names one."""
        self._file = self.url.removeprefix("duckdb://").removeprefix("/")
        if not self._file:
            return
        path = self.root / self._file if not self.url.startswith("duckdb:////") else Path("/" + self._file)
        if not path.is_file():
            raise UnavailableError(f"warehouse.url: there is no database file {self._file!r}")
        try:
            self.db.execute(f"ATTACH {literal(str(path))} AS {_ATTACHED} (READ_ONLY)")
        except duckdb.Error as error:
            raise UnavailableError(f"warehouse.url: cannot open {self._file!r}: {_first_line(error)}") from error

    def describe(self, table: str) -> list[RawColumn]:
        """Types as stored; for CSV, where everything arrives as text, also as DuckDB's sniffer reads them."""
        arrives = self._types(table, self.relation(table, ()))
        files = self._files(table)
        looks = self._types(table, _csv(files, typed=True)) if files and _is_csv(files) else arrives
        return [RawColumn(name, kind, looks.get(name, kind)) for name, kind in arrives.items()]

    def relation(self, table: str, columns: Sequence[str], only: Only | None = None) -> str:
        """Files and attached tables are scanned in place; DuckDB reads only the columns a statement uses."""
        whole = self._whole(table)
        return f"(SELECT * FROM {whole} WHERE {only.condition})" if only else whole

    def _whole(self, table: str) -> str:
        settings = self.tables[table]
        if settings.query:
            return f"({settings.query})"
        files = self._files(table)
        if not files:
            return f"{_ATTACHED}.{_qualified(settings.table or table)}"
        if _is_csv(files):
            return _csv(files, typed=False)
        return f"read_parquet({_file_list(files)}, hive_partitioning = false, union_by_name = {len(files) > 1})"

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
        found = sorted(glob(whole, recursive=True)) if has_magic(whole) else [whole] if Path(whole).is_file() else []
        if not found:
            raise UnavailableError(f"warehouse.tables.{table}: no file matches {pattern!r}")
        return found

    def _types(self, table: str, relation: str) -> dict[str, str]:
        try:
            rows = self.db.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        except duckdb.Error as error:
            problem = Problem(
                "config.yaml", None, None, "HF601", f"warehouse.tables.{table} cannot be read: {_first_line(error)}"
            )
            raise SetupError(problem) from error
        return {str(row[0]): str(row[1]) for row in rows}


def _is_csv(files: Sequence[str]) -> bool:
    return files[0].lower().endswith(_CSV_SUFFIXES)


def _csv(files: Sequence[str], typed: bool) -> str:
    kind = "" if typed else ", all_varchar = true"
    union = ", union_by_name = true" if len(files) > 1 else ""
    return f"read_csv({_file_list(files)}, header = true, nullstr = '', hive_partitioning = false{kind}{union})"


def _file_list(files: Sequence[str]) -> str:
    return "[" + ", ".join(literal(file) for file in files) + "]"


def _qualified(name: str) -> str:
    return ".".join(quote(part) for part in name.split("."))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
