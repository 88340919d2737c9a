"""What type the values of a text column seem to be of: for columns outside the contract, whose type nobody says."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from engine.warehouse.sql import quote

_LOOKS = {
    "integer": r"[+-]?(0|[1-9]\d{0,17})",
    "number": r"[+-]?(0|[1-9]\d{0,17})?(\.\d*)?([eE][+-]?\d{1,3})?|nan|NaN|-?inf",
    "boolean": r"(?i)true|false",
    "date": r"\d{4}-\d{1,2}-\d{1,2}",
    "instant": r"\d{4}-\d{1,2}-\d{1,2}[T ]\d{1,2}:\d{2}.*",
}
"""Digits behind a zero and more than eighteen digits are text: as numbers they would not stay what they are."""

_TYPES = {
    frozenset({"integer"}): "BIGINT", frozenset({"number"}): "DOUBLE", frozenset({"integer", "number"}): "DOUBLE",
    frozenset({"boolean"}): "BOOLEAN", frozenset({"date"}): "DATE", frozenset({"instant"}): "TIMESTAMP",
    frozenset({"date", "instant"}): "TIMESTAMP",
}  # fmt: skip


def types_of(db: duckdb.DuckDBPyConnection, rows: str, columns: Sequence[str]) -> dict[str, str]:
    """The DuckDB type that all values in `rows` (SQL of a relation of text columns) look like, VARCHAR in doubt."""
    selects = ", ".join(f"list(DISTINCT {_look(quote(column))})" for column in columns)
    db.execute("SET preserve_insertion_order = true")  # so that a sample is the same rows each time
    try:
        found = db.execute(f"SELECT {selects} FROM {rows} AS s").fetchall()[0]
    finally:
        db.execute("SET preserve_insertion_order = false")
    looks = [frozenset(look for look in values or () if look) for values in found]
    return {column: _TYPES.get(look, "VARCHAR") for column, look in zip(columns, looks, strict=True)}


def _look(column: str) -> str:
    value = f"nullif(trim({column}), '')"
    cases = " ".join(f"WHEN regexp_full_match({value}, '{pattern}') THEN '{look}'" for look, pattern in _LOOKS.items())
    return f"CASE WHEN {value} IS NULL THEN NULL {cases} ELSE 'text' END"
