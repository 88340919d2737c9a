"""CDNOW's purchases as a company: a project folder whose tables are the public files, by configuration alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import duckdb

from tests.run.run_company import MAIL

CONFIG = """
workspace:
  name: CDNOW
  timezone: UTC
  currency: USD
  postal_address: "1 Road, Town"
  public_url: https://mail.example.com
warehouse:
  url: {url}
  max_age: {{events: off}}
  tables:
    customers: {{query: "{customers}"}}
    events:
      query: "{events}"
      columns: {{at: date, value: amount_usd}}
schedules: {{daily: "00:00"}}
quiet_hours: off
guard: off
sender: {{marketing: {{from: "Shop <hello@example.com>"}}}}
{more}
"""

CUSTOMERS = "select distinct {id} as customer_id, {id} || '@example.com' as email from {table}"
EVENTS = "select {id} as customer_id, 'purchase' as name, date, amount_usd from {table}"


def write_project(
    folder: Path, url: str, table: str, rules: Mapping[str, str], *, id_column: str, more: str = ""
) -> Path:
    """A project that reads `table` (a relation in the SQL of the warehouse) at `url`."""
    customers, events = (text.format(id=id_column, table=table) for text in (CUSTOMERS, EVENTS))
    (folder / "config.yaml").write_text(CONFIG.format(url=url, customers=customers, events=events, more=more))
    (folder / "rules").mkdir(exist_ok=True)
    for name, text in rules.items():
        (folder / "rules" / f"{name}.yaml").write_text(text)
    mail = folder / "templates" / "hello" / "mail.html"
    mail.parent.mkdir(parents=True, exist_ok=True)
    mail.write_text(MAIL)
    return folder


def gz_relation(path: Path) -> str:
    """A file in DuckDB's SQL, all text so that ids keep their zeros."""
    return f"read_csv('{path}', all_varchar = true)"


def into_sqlite(path: Path, file: Path) -> None:
    """The file's rows as table `purchases`, text and numbers."""
    rows = duckdb.sql(f"SELECT * FROM {gz_relation(path)}")
    with sqlite3.connect(file) as db:
        db.execute(f"CREATE TABLE purchases ({', '.join(rows.columns)})")
        db.executemany(f"INSERT INTO purchases VALUES ({', '.join('?' * len(rows.columns))})", rows.fetchall())
    db.close()


def into_postgres(path: Path, url: str) -> None:
    """The file's rows as table `purchases`, typed as a shop would."""
    import psycopg

    rows = duckdb.sql(f"SELECT * FROM {gz_relation(path)}")
    kinds = {"date": "date", "quantity": "integer", "amount_usd": "numeric(10,2)"}
    columns = ", ".join(f"{name} {kinds.get(name, 'text')}" for name in rows.columns)
    with psycopg.connect(url) as db:
        db.execute(f"CREATE TABLE purchases ({columns})")
        with db.cursor().copy("COPY purchases FROM STDIN") as copy:
            for row in rows.fetchall():
                copy.write_row(row)
