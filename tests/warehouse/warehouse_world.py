"""One table's rows, written the way each kind of warehouse keeps them, and read back the way a run reads them."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb
import psycopg

from engine.project.settings import Settings, read_settings
from engine.project.yaml_source import load_documents
from engine.warehouse.staging import Issue, TableReport
from engine.warehouse.warehouse import Warehouse

AS_OF = datetime(2026, 6, 1, 9)

Rows = Sequence[Sequence[object]]

ENGINES = ("csv", "duckdb", "sqlite", "postgres")
TYPED = ("parquet", "duckdb", "sqlite", "postgres")
"""Parquet is read as a DuckDB file is, so that only the tests of typed columns and events have both."""


def settings_of(tables: Mapping[str, object], url: str = "duckdb://", root: Path = Path(), **more: object) -> Settings:
    """Settings with these mapped tables; `more` are further keys of config.yaml, `max_age` one of the warehouse's."""
    warehouse = {"url": url, "max_age": more.pop("max_age", {"events": "off"}), "tables": tables}
    workspace = {"name": "Shop", "timezone": "Europe/London", "currency": "EUR"} | dict(more.pop("workspace", {}))  # type: ignore[call-overload]
    text = json.dumps({"workspace": workspace, "warehouse": warehouse, **more})
    return read_settings(load_documents(text, "config.yaml")[0], "config.yaml", {}, root)


@dataclass
class World:
    """A warehouse of one kind. `url` is where it is; tables are added, then read."""

    engine: str
    root: Path
    url: str = "duckdb://"
    tables: dict[str, dict[str, object]] = field(default_factory=dict)

    def add(self, name: str, kinds: Mapping[str, str], rows: Rows, **mapping: object) -> World:
        """Write a table; `kinds` are the DuckDB types of its columns, `mapping` its keys in config.yaml."""
        getattr(self, f"_add_{self.engine}")(name, kinds, rows)
        place = {"path": f"{name}.{self.engine}"} if self.engine in {"csv", "parquet"} else {"table": name}
        self.tables[name] = place | mapping
        return self

    @contextmanager
    def open(
        self, as_of: datetime = AS_OF, customers: Sequence[str] | None = None, **more: object
    ) -> Iterator[Warehouse]:
        """The warehouse as a run at `as_of` sees it."""
        warehouse = Warehouse(settings_of(self.tables, self.url, self.root, **more), self.root, as_of, customers)
        try:
            yield warehouse
        finally:
            warehouse.close()
            warehouse.db.close()

    def _add_csv(self, name: str, columns: Mapping[str, str], rows: Rows) -> None:
        (self.root / f"{name}.csv").write_text(csv_text(columns, rows), encoding="utf-8", newline="")

    def _add_parquet(self, name: str, columns: Mapping[str, str], rows: Rows) -> None:
        with duckdb.connect() as db:
            fill(db, name, columns, rows)
            db.execute(f"COPY {name} TO '{self.root / name}.parquet'")

    def _add_duckdb(self, name: str, columns: Mapping[str, str], rows: Rows) -> None:
        self.url = "duckdb:///shop.duckdb"
        with duckdb.connect(str(self.root / "shop.duckdb")) as db:
            fill(db, name, columns, rows)

    def _add_sqlite(self, name: str, columns: Mapping[str, str], rows: Rows) -> None:
        self.url = "sqlite:///shop.db"
        declared = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        with sqlite3.connect(self.root / "shop.db") as db:
            db.execute(f'CREATE TABLE "{name}" ({declared})')
            plain = [[str(value) if isinstance(value, date) else value for value in row] for row in rows]
            db.executemany(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(columns))})', plain)
        db.close()

    def _add_postgres(self, name: str, columns: Mapping[str, str], rows: Rows) -> None:
        kinds = {"VARCHAR": "text", "DOUBLE": "double precision", "TIMESTAMPTZ": "timestamptz"}
        declared = ", ".join(f'"{column}" {kinds.get(kind, kind)}' for column, kind in columns.items())
        with psycopg.connect(self.url) as db:
            db.execute(f'CREATE TABLE "{name}" ({declared})')
            with db.cursor().copy(f'COPY "{name}" FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)


def csv_text(columns: Sequence[str] | Mapping[str, str], rows: Rows) -> str:
    """The table as RFC 4180 has it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(list(columns))
    writer.writerows(rows)
    return text.getvalue()


def fill(db: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str], rows: Rows) -> None:
    """Make a typed table in DuckDB."""
    db.execute("SET TimeZone = 'UTC'")
    db.execute(f'CREATE TABLE "{name}" ({", ".join(f"{quoted(column)} {kind}" for column, kind in columns.items())})')
    if rows:
        db.executemany(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(columns))})', [list(row) for row in rows])


def quoted(name: str) -> str:
    """A name in double quotes."""
    return f'"{name}"'


def staged(warehouse: Warehouse, table: str, order: str | None = None) -> list[dict[str, object]]:
    """Stage all columns of a table and give back its rows, by its key."""
    shape = warehouse.shapes[table]
    warehouse.stage_customers(warehouse.shapes["customers"].columns)
    if table not in {"customers", "events"}:
        warehouse.stage_rows(table, shape.columns)
    if table == "events":
        warehouse.events.report()
    reader = warehouse.db.execute(f"SELECT * FROM t_{table} ORDER BY {order or shape.table.key}")
    names = [column[0] for column in reader.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in reader.fetchall()]
    return [{name.removeprefix("c_"): value for name, value in row.items()} for row in rows]


def report_of(warehouse: Warehouse, table: str) -> TableReport:
    """What reading a staged table found."""
    report = warehouse.report(table)
    assert report is not None
    return report


def adds_up(warehouse: Warehouse, table: str) -> bool:
    """Whether every row offered is either used, set aside, repeated or of an unknown customer."""
    report = report_of(warehouse, table)
    used = warehouse.db.execute(f"SELECT count(*) FROM t_{table}").fetchall()[0][0]
    return report.rows == used + report.set_aside + report.repeated + (report.unknown or 0)


def broken(issues: Sequence[Issue]) -> set[tuple[str, str, str]]:
    """(row, column, value) of issues."""
    return {(issue.row, issue.column, issue.value) for issue in issues}
