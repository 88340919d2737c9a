"""Queries of `sql` rules: one SELECT, run read-only where the tables live, with `:as_of` bound."""

from __future__ import annotations

import re

import duckdb
import sqlglot
from sqlglot import exp

from engine.errors import Problem, SetupError
from engine.warehouse.sql import quote
from engine.warehouse.tables import TABLES
from engine.warehouse.warehouse import Warehouse

_NEEDED = ("customer_id", "occurrence", "anchor")


def run_query(warehouse: Warehouse, text: str, path: str, into: str) -> None:
    """Run a rule's query and keep its rows as table `into`, typed: customer_id and occurrence text, anchor an instant.

    Raises SetupError when the text is not a single SELECT, fails, or lacks one of the three columns.
    """
    query = text.strip().rstrip(";")
    tables = _tables_of(query, path, "postgres" if warehouse.source.in_place else "duckdb")
    try:
        if warehouse.source.in_place:
            warehouse.source.run_query(query, {"as_of": warehouse.as_of}, f"{into}_read")
        else:
            _offer_tables(warehouse, tables)
            named = re.sub(r"(?<![:\w]):as_of\b", "CAST($as_of AS TIMESTAMP)", query)
            values = {"as_of": warehouse.as_of} if named != query else {}
            warehouse.db.execute(f"CREATE OR REPLACE TABLE {into}_read AS {named}", values)
    except (duckdb.Error, RuntimeError) as error:
        raise _failed(path, error) from error
    _shape(warehouse, path, into)


def _tables_of(query: str, path: str, dialect: str) -> set[str]:
    try:
        statements = sqlglot.parse(query, read=dialect)
    except sqlglot.errors.ParseError as error:
        place = error.errors[0] if error.errors else {}
        found = f"the query cannot be read: {place.get('description', 'a syntax error')}"
        raise SetupError(Problem(path, place.get("line"), place.get("col"), "HF607", found)) from error
    except sqlglot.errors.SqlglotError as error:
        raise SetupError(Problem(path, None, None, "HF607", f"the query cannot be read: {error}")) from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SetupError(
            Problem(path, 1, 1, "HF607", "this is not a single SELECT", "expected one query that only reads")
        )
    return {table.name.lower() for table in statements[0].find_all(exp.Table)}


def _offer_tables(warehouse: Warehouse, names: set[str]) -> None:
    """Views with the contract's names and columns, for the tables a query mentions."""
    for name in sorted(names & set(TABLES) & set(warehouse.shapes)):
        if name == "events":
            view = warehouse.events.relation_for_queries()
        else:
            shape = warehouse.shapes[name]
            warehouse.staging.stage(shape, shape.columns, f"view_{name}")
            view = f"(SELECT {', '.join(quote(column) for column in shape.columns)} FROM view_{name})"
        warehouse.db.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {view}")


def _shape(warehouse: Warehouse, path: str, into: str) -> None:
    kinds = {row[0].lower(): row[1] for row in warehouse.db.execute(f"DESCRIBE {into}_read").fetchall()}
    missing = [column for column in _NEEDED if column not in kinds]
    if missing:
        found = f"the query gives no column {' and no column '.join(missing)}"
        raise SetupError(Problem(path, 1, 1, "HF608", found, f"expected {', '.join(_NEEDED)}, then any facts"))
    anchor = "make_timestamp(epoch_us(anchor))" if "ZONE" in kinds["anchor"] else "CAST(anchor AS TIMESTAMP)"
    further = "".join(f", {quote(column)}" for column in kinds if column not in _NEEDED)
    try:
        warehouse.db.execute(
            f"CREATE OR REPLACE TABLE {into} AS SELECT CAST(customer_id AS VARCHAR) AS customer_id, "
            f"CAST(occurrence AS VARCHAR) AS occurrence, {anchor} AS anchor{further} FROM {into}_read"
        )
    except duckdb.Error as error:
        raise _failed(path, error) from error
    warehouse.db.execute(f"DROP TABLE {into}_read")


def _failed(path: str, error: Exception) -> SetupError:
    return SetupError(Problem(path, None, None, "HF607", f"the query failed: {str(error).splitlines()[0]}"))
