"""CSV and Parquet files, and DuckDB database files: read where they lie, never copied."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

import duckdb

from engine.errors import Problem, SetupError, UnavailableError
from engine.warehouse.sources.base import Only, RawColumn, Source
from engine.warehouse.sql import literal, quote

_CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_ATTACHED = "warehouse_file"


_LONGEST_LINE, _LONGEST_HEADING = 20_000_000, 1_000_000  # bytes; a longer line is a broken file


@dataclass(frozen=True)
class _Sniffed:
    """How a CSV file is written, and its columns with the types their values seem to have."""

    delimiter: str
    quote: str
    escape: str
    columns: dict[str, str]


class DuckSource(Source):
    """`duckdb://` for files only, `duckdb:///shop.duckdb` for a database file (opened read-only)."""

    scheme = ("duckdb",)

    def open(self) -> None:
        """Attach the database file, if the URL names one."""
        self._sniffed: dict[str, _Sniffed] = {}
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
        """Types as stored; for CSV, where everything arrives as text, as they seem to be from the first file."""
        files = self._files(table)
        if files and _is_csv(files):
            sniffed = self._sniff(table, files)
            return [RawColumn(name, "VARCHAR", kind) for name, kind in sniffed.columns.items()]
        return [RawColumn(name, kind, kind) for name, kind in self._types(table, self._whole(table)).items()]

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
            return self._csv(table, files)
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

    def _csv(self, table: str, files: Sequence[str]) -> str:
        """All columns as text, in the dialect found once: looking at every file again costs more than reading it."""
        sniffed = self._sniff(table, files)
        if len({_heading(file) for file in files}) > 1:
            return f"read_csv({_file_list(files)}, header = true, nullstr = '', all_varchar = true, union_by_name = true)"
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in sniffed.columns)
        return (
            f"read_csv({_file_list(files)}, header = true, nullstr = '', auto_detect = false, hive_partitioning = false, "
            f"delim = {literal(sniffed.delimiter)}, quote = {literal(sniffed.quote)}, escape = {literal(sniffed.escape)}, "
            f"max_line_size = {_LONGEST_LINE}, columns = {{{columns}}})"
        )

    def _sniff(self, table: str, files: Sequence[str]) -> _Sniffed:
        """Dialect and columns of a table's first file, looked at once."""
        if table not in self._sniffed:
            try:
                row = self.db.execute(
                    f"SELECT Delimiter, Quote, Escape, Columns FROM sniff_csv({literal(files[0])}, header = true)"
                ).fetchall()[0]
            except duckdb.Error as error:
                raise _unreadable(table, error) from error
            quote_mark = row[1] if row[1].strip("\x00 ()empty") else '"'
            escape = row[2] if row[2].strip("\x00 ()empty") else '"'
            self._sniffed[table] = _Sniffed(row[0], quote_mark, escape, {c["name"]: c["type"] for c in row[3]})
        return self._sniffed[table]

    def _types(self, table: str, relation: str) -> dict[str, str]:
        try:
            rows = self.db.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        except duckdb.Error as error:
            raise _unreadable(table, error) from error
        return {str(row[0]): str(row[1]) for row in rows}


def _is_csv(files: Sequence[str]) -> bool:
    return files[0].lower().endswith(_CSV_SUFFIXES)


def _heading(file: str) -> str:
    """The first line, as text: files whose first lines agree have the same columns in the same order."""
    opened = gzip.open(file, "rb") if file.endswith(".gz") else Path(file).open("rb")
    with opened as stream:
        return stream.readline(_LONGEST_HEADING).decode("utf-8", "replace").strip().lstrip("\ufeff")


def _unreadable(table: str, error: Exception) -> SetupError:
    found = f"warehouse.tables.{table} cannot be read: {_first_line(error)}"
    return SetupError(Problem("config.yaml", None, None, "HF601", found))


def _file_list(files: Sequence[str]) -> str:
    return "[" + ", ".join(literal(file) for file in files) + "]"


def _qualified(name: str) -> str:
    return ".".join(quote(part) for part in name.split("."))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
