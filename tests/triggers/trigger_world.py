"""One small company as rows in memory, loaded into every engine the rules must agree on.

A world is tables of plain dict rows. `Engine.load` writes them the way that engine keeps such values (text in CSV and
SQLite, typed columns in DuckDB and PostgreSQL), and `candidates` runs rules over them by configuration alone.
"""

from __future__ import annotations

import csv
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import duckdb
import pytest

from engine.channels import CHANNELS
from engine.errors import Problem
from engine.evaluation import Evaluation, Memory, queries_of
from engine.project.loading import ProjectFiles, project_from_files
from engine.triggers import triggers
from engine.warehouse.sql import execute

Row = Mapping[str, object]
Tables = Mapping[str, Sequence[Row]]

ENGINES = ("csv", "duckdb", "sqlite", "postgres")

_CONFIG = """
workspace: {{name: Test, timezone: {zone}, postal_address: "1 Road, Town", public_url: https://mail.example.com}}
channels: {{email: {{use: outbox_dir, path: outbox}}}}
sender:
  marketing: {{from: "Test <hello@example.com>", reply_to: hello@example.com}}
  service: {{from: "Test <billing@example.com>", reply_to: billing@example.com}}
schedules: {{daily: "09:00"}}
warehouse:
  url: "{url}"
  tables:
"""


@dataclass(frozen=True)
class Candidate:
    """What a rule found, as planning gets it."""

    occurrence: str
    anchor: datetime
    rests_at: datetime | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    ended: bool = False
    goal_at: datetime | None = None
    failing_steps: int = 0


Found = dict[str, list[Candidate]]
"""Candidates by customer id, sorted by occurrence."""


class Engine(ABC):
    """Keeps a world's tables; `mapping` is what config.yaml says of them."""

    name: str

    @abstractmethod
    def load(self, tables: Tables, folder: Path) -> None:
        """Write all tables."""

    @abstractmethod
    def url(self) -> str:
        """`warehouse.url`."""

    def place(self, table: str) -> str:
        """Where config.yaml finds one table."""
        return f"table: {table}"


def columns_of(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def kind_of(rows: Sequence[Row], column: str) -> str:
    """`text`, `int`, `bool`, `date` or `instant`: what a typed engine would keep the column as."""
    kinds = {_kind(row.get(column)) for row in rows} - {None}
    return kinds.pop() if len(kinds) == 1 else "text"  # type: ignore[return-value]


def _kind(value: object) -> str | None:
    if value is None:
        return None
    kinds = ((bool, "bool"), (int, "int"), (float, "number"), (datetime, "instant"), (date, "date"))
    return next((name for type_, name in kinds if isinstance(value, type_)), "text")


def _text(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="microseconds")
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


class CsvFiles(Engine):
    name = "csv"

    def load(self, tables: Tables, folder: Path) -> None:
        for table, rows in tables.items():
            with (folder / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                names = columns_of(rows)
                writer.writerow(names)
                writer.writerows([_text(row.get(name)) for name in names] for row in rows)

    def url(self) -> str:
        return "duckdb://"

    def place(self, table: str) -> str:
        return f"path: {table}.csv"


class _Typed(Engine):
    """An engine of typed columns: `types` by kind, and how to insert."""

    types: ClassVar[Mapping[str, str]]

    def statements(self, tables: Tables) -> Iterable[tuple[str, str, list[list[object]]]]:
        for table, rows in tables.items():
            kinds = {name: kind_of(rows, name) for name in columns_of(rows)}
            typed = ", ".join(f'"{name}" {self.types[kind]}' for name, kind in kinds.items())
            values = [[self.value(row.get(name), kind) for name, kind in kinds.items()] for row in rows]
            yield table, typed, values

    def value(self, value: object, kind: str) -> object:
        return _text(value) if kind == "text" else value


class DuckFile(_Typed):
    name = "duckdb"
    types: ClassVar = {
        "text": "VARCHAR",
        "int": "BIGINT",
        "number": "DOUBLE",
        "bool": "BOOLEAN",
        "date": "DATE",
        "instant": "TIMESTAMP",
    }

    def load(self, tables: Tables, folder: Path) -> None:
        with duckdb.connect(str(folder / "shop.duckdb")) as db:
            for table, typed, rows in self.statements(tables):
                db.execute(f"CREATE TABLE {table} ({typed})")
                if rows:
                    lists = ", ".join(f"unnest(?::{kind.split()[-1]}[])" for kind in typed.split(", "))
                    db.execute(f"INSERT INTO {table} SELECT {lists}", [list(c) for c in zip(*rows, strict=True)])

    def url(self) -> str:
        return "duckdb:///shop.duckdb"


class SqliteFile(_Typed):
    name = "sqlite"
    types: ClassVar = {
        "text": "TEXT",
        "int": "INTEGER",
        "number": "REAL",
        "bool": "BOOLEAN",
        "date": "DATE",
        "instant": "DATETIME",
    }

    def value(self, value: object, kind: str) -> object:
        return int(value) if isinstance(value, bool) else value if kind in {"int", "number"} else _text(value)

    def load(self, tables: Tables, folder: Path) -> None:
        db = sqlite3.connect(folder / "shop.db")
        for table, typed, rows in self.statements(tables):
            db.execute(f"CREATE TABLE {table} ({typed})")
            db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(typed.split(', ')))})", rows)
        db.commit()
        db.close()

    def url(self) -> str:
        return "sqlite:///shop.db"


class PostgresServer(_Typed):
    """Instants with a zone, in a schema of their own; the server's session zone is not UTC."""

    name = "postgres"
    types: ClassVar = {
        "text": "text",
        "int": "bigint",
        "number": "double precision",
        "bool": "boolean",
        "date": "date",
        "instant": "timestamptz",
    }

    def __init__(self, url: str, schema: str) -> None:
        self._url, self.schema = url, schema

    def load(self, tables: Tables, folder: Path) -> None:
        import psycopg

        with psycopg.connect(self._url, autocommit=True) as db:
            db.execute("SET TIME ZONE 'UTC'")
            db.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
            db.execute(f"CREATE SCHEMA {self.schema}")
            for table, typed, rows in self.statements(tables):
                db.execute(f"CREATE TABLE {self.schema}.{table} ({typed})")
                with db.cursor().copy(f"COPY {self.schema}.{table} FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)

    def url(self) -> str:
        return self._url

    def place(self, table: str) -> str:
        return f"table: {self.schema}.{table}"


def make_engine(name: str, request: pytest.FixtureRequest) -> Engine:
    """An engine by name; on PostgreSQL each test module has a schema of its own."""
    if name == "postgres":
        schema = request.module.__name__.rsplit(".", 1)[-1]
        return PostgresServer(request.getfixturevalue("trigger_database"), schema)
    return {"csv": CsvFiles, "duckdb": DuckFile, "sqlite": SqliteFile}[name]()


def project(
    engine: Engine,
    tables: Iterable[str],
    rules: str,
    folder: Path,
    *,
    mapping: Mapping[str, str] = {},
    zone: str = "UTC",
    files: Mapping[str, str] = {},
    settings: str = "",
) -> ProjectFiles:
    """The project that maps `tables` on `engine`. `mapping` adds to a table's settings: {"events": "timezone: …"}.

    `settings` are further lines of config.yaml.
    """
    lines = [f"    {table}: {{{engine.place(table)}{_more(mapping, table)}}}" for table in tables]
    config = _CONFIG.format(zone=zone, url=engine.url()) + "\n".join(lines) + f"\n{settings}\n"
    texts = {"config.yaml": config, "rules/r.yaml": rules, "templates/m/mail.html": "x", "templates/n/mail.html": "x"}
    models: dict[str, Any] = {name: channel.Settings for name, channel in CHANNELS.items()}
    return project_from_files({**texts, **files}, folder, triggers(), models)


def _more(mapping: Mapping[str, str], table: str) -> str:
    return f", {mapping[table]}" if table in mapping else ""


def rule(name: str, trigger: str, more: str = "", *, steps: str = "[{send: m}]") -> str:
    """One rule's YAML document; `more` are further lines at the top level."""
    return f"rule: {name}\nstatus: active\ntrigger: {{{trigger}}}\nsteps: {steps}\n{more}\n"


def rules(*documents: str) -> str:
    return "---\n".join(documents)


LONG_AGO = datetime(2020, 1, 1)
"""When the engine began, so that no failed payment is older than what it took over."""


class Answer:
    """One evaluation that has run: what every rule found, with all the facts its trigger and itself declare."""

    def __init__(
        self, loaded: ProjectFiles, as_of: datetime, *, further: Literal["all"] | None = None, **given: Any
    ) -> None:
        self._found: dict[str, Found] = {}
        self._open(loaded, as_of, further, given)
        try:  # an open transaction would keep the next world from replacing this one
            problems = [problem for problem in self.evaluation.check() if problem.severity == "error"]
            assert not problems, "\n".join(map(str, problems))
            self.evaluation.run()
        finally:
            self.evaluation.close()

    def _open(self, loaded: ProjectFiles, as_of: datetime, further: str | None, given: Any) -> None:
        queries = queries_of(loaded.files)
        names = {rule.id: [*rule.trigger.facts, *rule.facts] for rule in loaded.rules}
        given.setdefault("memory", Memory(first_run_at=LONG_AGO))
        if further == "all":  # the row's further columns too, which only the tables tell
            looked = Evaluation(loaded.settings, loaded.root, loaded.rules, as_of, queries=queries)
            try:
                names = {rule.id: list(looked.fact_types(rule)) for rule in loaded.rules}
            finally:
                looked.close()
        values = {rule_id: [("fact", name) for name in names] for rule_id, names in names.items()}
        self.names = names
        self.evaluation = Evaluation(
            loaded.settings, loaded.root, loaded.rules, as_of, queries=queries, values=values, **given
        )

    def fact_types(self, rule_id: str) -> Mapping[str, str]:
        """The facts a rule's candidates carry, with their types."""
        return self.evaluation.fact_types(next(rule for rule in self.evaluation.rules if rule.id == rule_id))

    def __getitem__(self, rule_id: str) -> Found:
        if rule_id not in self._found:
            self._found[rule_id] = self._find(rule_id)
        return self._found[rule_id]

    def _find(self, rule_id: str) -> Found:
        number = next(n for n, one in enumerate(self.evaluation.rules) if one.id == rule_id)
        facts = self._facts(number)
        found: Found = {}
        for customer, occurrence, *rest in self._rows(number):
            values = facts.get((customer, occurrence), {})
            anchor, rests_at, ended, goal_at, failing = rest
            one = Candidate(occurrence, anchor, rests_at, values, ended, goal_at, failing)
            found.setdefault(customer, []).append(one)
        return found

    def _rows(self, number: int) -> list[tuple[Any, ...]]:
        return self.evaluation.db.execute(
            "SELECT p.customer_id, c.occurrence, c.anchor, c.rests_at, c.ended, c.goal_at, c.failing_steps "
            f"FROM candidate AS c JOIN person AS p USING (cust) WHERE c.rule_no = {number} ORDER BY 1, 2, 3"
        ).fetchall()

    def _facts(self, number: int) -> dict[tuple[str, str], dict[str, object]]:
        compiled = self.evaluation.compiled[number]
        names = self.names[compiled.rule.id]
        columns = "".join(f", {compiled.facts[name]()}" for name in names)
        holds = " AND ".join(f"({condition.sql})" for condition in compiled.conditions)
        select = f"SELECT p.customer_id, {compiled.found.occurrence}{columns} FROM {compiled.found.rows} WHERE {holds}"
        rows = execute(self.evaluation.db, select, self.evaluation.bound).fetchall()
        return {(row[0], row[1]): dict(zip(names, row[2:], strict=True)) for row in rows}

    def held(self, rule_id: str) -> dict[str, list[int]]:
        """For each condition of a rule, by its words: how many of the rows looked at satisfy it, and how many not."""
        compiled = next(one for one in self.evaluation.compiled if one.rule.id == rule_id)
        counts = {}
        for condition in compiled.conditions:
            select = f"SELECT coalesce({condition.sql}, FALSE) AS yes FROM {compiled.found.rows}"
            rows = execute(self.evaluation.db, select, self.evaluation.bound).fetchall()
            counts[condition.text] = [sum(yes for (yes,) in rows), sum(not yes for (yes,) in rows)]
        return counts


def problems(loaded: ProjectFiles, as_of: datetime) -> list[Problem]:
    """What `check` finds once the tables are there."""
    evaluation = Evaluation(loaded.settings, loaded.root, loaded.rules, as_of, queries=queries_of(loaded.files))
    try:
        return evaluation.check()
    finally:
        evaluation.close()
