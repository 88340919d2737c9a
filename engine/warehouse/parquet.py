"""Rows into a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb

from engine.warehouse.sql import literal, load_rows


def write_parquet(path: Path, columns: Mapping[str, str], rows: Iterable[Sequence[object]]) -> None:
    """Write `rows` with these columns (name to DuckDB type) to `path`; memory stays bounded.

    None and empty text are both null.
    """
    with duckdb.connect() as db:
        load_rows(db, "row", columns, rows)
        db.execute(f'COPY "row" TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)')
