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
from engine.warehouse.sources.stripe import StripeSource, WithStripe

SOURCES: tuple[type[Source], ...] = (DuckSource, SqliteSource, PostgresSource)

__all__ = ["SOURCES", "Only", "RawColumn", "Source", "first_line", "open_source"]


def open_source(
    url: str, root: Path, tables: Mapping[str, TableSettings], db: duckdb.DuckDBPyConnection, state_url: str = ""
) -> Source:
    """The source that serves the URL's scheme, connected; tables from Stripe are read at `state_url`."""
    from_stripe = frozenset(name for name, settings in tables.items() if settings.source == "stripe")
    own = {name: settings for name, settings in tables.items() if name not in from_stripe}
    main = _source_for(url)(url, root, own, db)
    if not from_stripe:
        return main
    return WithStripe(main, StripeSource(state_url, root, db, _source_for(state_url)), from_stripe)


def _source_for(url: str) -> type[Source]:
    scheme = url.split(":", 1)[0].split("+", 1)[0]
    for source in SOURCES:
        if scheme in source.scheme:
            return source
    known = ", ".join(f"{name}://" for source in SOURCES for name in source.scheme)
    raise SetupError(
        Problem("config.yaml", None, None, "HF602", f'warehouse.url starts with "{scheme}://"', f"expected {known}")
    )
