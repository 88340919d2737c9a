"""Rows under one id that must be unique: repeats count once, contradictions are set aside, the newest row may win."""

from __future__ import annotations

from engine.warehouse.shapes import Shape
from engine.warehouse.sql import csv_list, quote
from engine.warehouse.staging import Issue, Staging

_REPEATED = "repeats another row"
_OLDER = "an older row under the same id"
_CONTRADICTS = "contradicts another row under the same id"


def settle_duplicates(staging: Staging, shape: Shape, table: str) -> None:
    """Leave one row an id in the staged `table`.

    Rows that are alike in every column count once. Of rows that differ, the one with the latest `updated_at` is valid;
    without that column, or where the latest is not one row, all are set aside. What counts is the whole row, whichever
    columns were asked for.
    """
    if not _find_repeated(staging, shape, table):
        return
    key = quote(shape.table.key)
    staging.stage_whole(shape, "rows_whole", f"{key} IN (SELECT {key} FROM repeated)")
    _judge(staging, shape)
    columns = csv_list(row[0] for row in staging.db.execute(f"DESCRIBE {table}").fetchall())
    staging.db.execute(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM repeated)")
    staging.db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM judged WHERE verdict_ IS NULL")
    report = staging.reports[shape.name]
    for verdict, count in staging.db.execute(f"SELECT verdict, count(*) FROM ({_listed(key)}) GROUP BY ALL").fetchall():
        report.issues.append((shape.table.key, verdict, count))
        if verdict == _CONTRADICTS:
            report.set_aside += count
        else:
            report.repeated += count


def duplicate_issues(staging: Staging, shape: Shape, limit: int | None = None) -> list[Issue]:
    """Every row that another one stands for or against, by id."""
    key = quote(shape.table.key)
    staging.stage_whole(shape, "rows_whole")
    if not _find_repeated(staging, shape, "rows_whole"):
        return []
    staging.db.execute(f"DELETE FROM rows_whole WHERE {key} NOT IN (SELECT {key} FROM repeated)")
    _judge(staging, shape)
    rows = staging.db.execute(f"{_listed(key)} ORDER BY ALL{f' LIMIT {limit}' if limit else ''}").fetchall()
    return [Issue(shape.name, str(row), shape.table.key, str(row), verdict) for row, verdict in rows]


def _find_repeated(staging: Staging, shape: Shape, table: str) -> bool:
    if not shape.table.unique or not shape.duplicates_possible:
        return False
    key = quote(shape.table.key)
    staging.db.execute(
        f"CREATE OR REPLACE TABLE repeated AS SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) > 1"
    )
    return bool(staging.db.execute("SELECT count(*) FROM repeated").fetchall()[0][0])


def _judge(staging: Staging, shape: Shape) -> None:
    """Make `judged` of `rows_whole`: each different row, its number and its verdict, NULL for the valid."""
    key = quote(shape.table.key)
    dated = shape.has("updated_at")
    latest = f"updated_at IS NOT DISTINCT FROM max(updated_at) OVER (PARTITION BY {key})" if dated else "TRUE"
    alone = f"count(*) FILTER (WHERE latest_) OVER (PARTITION BY {key}) = 1"
    staging.db.execute(f"""
        CREATE OR REPLACE TABLE judged AS
        WITH counted AS (SELECT *, count(*) AS copies_ FROM rows_whole GROUP BY ALL),
            dated AS (SELECT *, {latest} AS latest_ FROM counted)
        SELECT *, CASE WHEN NOT {alone} THEN '{_CONTRADICTS}' WHEN NOT latest_ THEN '{_OLDER}' END AS verdict_ FROM dated
    """)


def _listed(key: str) -> str:
    """SQL of (id, verdict), one row for each row that is not used."""
    times = "copies_ - CASE WHEN verdict_ IS NULL THEN 1 ELSE 0 END"
    return f"SELECT {key} AS id, coalesce(verdict_, '{_REPEATED}') AS verdict FROM judged, range({times})"
