"""Addresses that SQL cannot read: not ASCII, or in `xn--` form. They are parsed one by one, each text once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import duckdb

from engine.addresses import AddressError, parse_address
from engine.warehouse.reading import clean, needs_parsing
from engine.warehouse.shapes import Column
from engine.warehouse.sql import load_rows, quote
from engine.warehouse.tables import Kind

UNPARSED = "CAST(NULL AS VARCHAR) AS address_parsed_"
"""What a reading finds beside a row before anything is parsed."""


def address_among(columns: Sequence[Column]) -> Column | None:
    """The address column, if there is one; no table has two."""
    return next((column for column in columns if column.kind is Kind.ADDRESS), None)


def unread(column: Column) -> str:
    """SQL for the text of an address that SQL cannot read, else NULL."""
    bare = clean(quote(column.raw), column.family)
    return f"CASE WHEN {needs_parsing(quote(column.raw) if column.family == 'text' else bare)} THEN {bare} END"


def parse_addresses(db: duckdb.DuckDBPyConnection, texts: str, rows: str) -> int:
    """Make the table `address_read` of those texts (SQL over the relation `rows`) that are addresses; how many."""
    found = db.execute(f"SELECT DISTINCT {texts} AS text FROM {rows} WHERE text IS NOT NULL").fetchall()
    columns = {"address_given_": "VARCHAR", "address_parsed_": "VARCHAR"}
    return load_rows(db, "address_read", columns, _parsed(text for (text,) in found))


def with_parsed(relation: str, columns: Sequence[Column]) -> str:
    """The relation with what was parsed beside each row."""
    address = address_among(columns)
    if address is None:
        return relation
    bare = clean(quote(address.raw), address.family)
    return f"(SELECT * FROM {relation} AS r LEFT JOIN address_read AS a ON a.address_given_ = {bare})"


def _parsed(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        try:
            yield text, parse_address(text)
        except AddressError:
            continue  # without a parsed form it is broken
