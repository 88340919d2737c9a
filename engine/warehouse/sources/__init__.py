"""Where the company's tables live. A new engine is one file here and one line in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from engine.errors import Problem, SetupError
from engine.project.settings import TableSettings
from engine.warehouse.sources.base import Only, RawColumn, Source, first_line
from engine.warehouse.sources.duck import DuckSource
from engine.warehouse.sources.postgres import PostgresSource
from engine.warehouse.sources.sqlite import SqliteSource

SOURCES: tuple[type[Source], ...] = (DuckSource, SqliteSource, PostgresSource)

__all__ = ["SOURCES", "Only", "RawColumn", "Source", "first_line", "open_source"]


def open_source(url: str, root: Path, tables: Mapping[str, TableSettings], db: duckdb.DuckDBPyConnection) -> Source:
    """The source that serves the URL's scheme, connected."""
    scheme = url.split(":", 1)[0].split("+", 1)[0]
    for source in SOURCES:
        if scheme in source.scheme:
            return source(url, root, tables, db)
    known = ", ".join(f"{name}://" for source in SOURCES for name in source.scheme)
    raise SetupError(
        Problem("config.yaml", None, None, "HF602", f'warehouse.url starts with "{scheme}://"', f"expected {known}")
    )
