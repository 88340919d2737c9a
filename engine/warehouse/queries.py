"""Queries of `sql` rules: one SELECT, run read-only where the tables live, with `:as_of` bound."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import duckdb
import sqlglot
from sqlglot import TokenType, exp

from engine.errors import HoldfastError, Problem, SetupError, UnavailableError, did_you_mean
from engine.warehouse.sources import Source, first_line
from engine.warehouse.sql import quote
from engine.warehouse.tables import TABLES
from engine.warehouse.warehouse import Warehouse

_NEEDED = ("occurrence", "anchor")

_Place: TypeAlias = tuple[int, int]
"""A stretch of a text: its first character, and the one after its last."""


def run_query(warehouse: Warehouse, text: str, path: str, into: str, subject: str = "customer_id") -> None:
    """Run a rule's query and keep its rows as table `into`, typed: customer_id and occurrence text, anchor an instant.

    `subject` is the column that says whom a row is about; it is kept as customer_id. Of rows about the same subject and
    occurrence the one with the earliest anchor is kept. Raises SetupError when the text is not a single SELECT, names a
    table that is not mapped, fails, or lacks one of the three columns.
    """
    source = warehouse.source
    dialect = "postgres" if source.in_place else "duckdb"
    query, places = _parameters(text, path, dialect)
    tables = _tables_of(_put(query, places, "_as_of"), path, dialect)
    failures: tuple[type[Exception], ...] = (RuntimeError, *source.errors)
    try:
        if source.in_place:
            marked = _put(query, places, "\0").replace("%", "%%").replace("\0", "%(as_of)s")
            source.run_query(marked, {"as_of": warehouse.as_of}, f"{into}_read")
        else:
            _offer_tables(warehouse, tables, path)
            bound = _quote_at(_put(query, places, "CAST($as_of AS TIMESTAMP)"))
            values = {"as_of": warehouse.as_of} if places else {}
            warehouse.db.execute(f"CREATE OR REPLACE TABLE {into}_read AS {bound}", values)
    except failures as error:
        raise _failed(source, path, error) from error
    _shape(warehouse, path, into, subject)


def _parameters(text: str, path: str, dialect: str) -> tuple[str, list[_Place]]:
    """The query without a last semicolon, and where `:as_of` stands in it, outside of texts and comments."""
    try:
        tokens = sqlglot.tokenize(text, read=dialect)
    except sqlglot.errors.SqlglotError as error:
        raise _unreadable(path, error) from error
    if tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        text = text[: tokens.pop().start]
    places = []
    for colon, name in pairwise(tokens):
        marks = colon.token_type is TokenType.COLON and colon.end + 1 == name.start and name.text.isidentifier()
        if not marks or re.search(r"[\w\])\"']$", text[: colon.start]):  # the latter a slice such as [1:n]
            continue
        if name.text.lower() != "as_of":
            found, suggestion = f'there is no parameter ":{name.text}"', did_you_mean(name.text, ["as_of"])
            raise SetupError(Problem(path, colon.line, None, "HF607", found, "expected :as_of", suggestion))
        places.append((colon.start, name.end + 1))
    return text, places


def _put(query: str, places: Sequence[_Place], text: str) -> str:
    """`text` at each of the places."""
    for begin, end in reversed(places):
        query = query[:begin] + text + query[end:]
    return query


def _quote_at(query: str) -> str:
    """DuckDB takes a bare `at` for the beginning of AT (VERSION …); in our tables it is a column."""
    tokens = sqlglot.tokenize(query, read="duckdb")
    bare = [
        (one.start, one.end + 1)
        for one, after in zip(tokens, [*tokens[1:], None], strict=True)
        if query[one.start : one.end + 1].lower() == "at" and (not after or after.text.lower() not in {"time", "("})
    ]
    return _put(query, bare, '"at"')


def _tables_of(query: str, path: str, dialect: str) -> set[str]:
    """Names of the tables a query reads, but for those it makes itself."""
    try:
        statements = sqlglot.parse(query, read=dialect)
    except sqlglot.errors.SqlglotError as error:
        raise _unreadable(path, error) from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SetupError(
            Problem(path, 1, 1, "HF607", "this is not a single SELECT", "expected one query that only reads")
        )
    own = {common.alias.lower() for common in statements[0].find_all(exp.CTE)}
    return {table.name.lower() for table in statements[0].find_all(exp.Table)} - own


def _unreadable(path: str, error: sqlglot.errors.SqlglotError) -> SetupError:
    places = getattr(error, "errors", None) or [{}]
    found = f"the query cannot be read: {places[0].get('description') or first_line(error)}"
    return SetupError(Problem(path, places[0].get("line"), places[0].get("col"), "HF607", found))


def _offer_tables(warehouse: Warehouse, names: set[str], path: str) -> None:
    """Views with the contract's names and columns, for the tables a query mentions."""
    known = names & set(TABLES)
    missing = [
        Problem(path, None, None, "HF605", f"the query reads the table {name}, which is not mapped",
                f"expected it under warehouse.tables.{name} in config.yaml")
        for name in sorted(known - set(warehouse.shapes))
    ]  # fmt: skip
    if missing:
        raise SetupError(missing)
    for name in sorted(known):
        if name == "events":
            view = warehouse.events.relation_for_queries()
        else:
            shape = warehouse.shapes[name]
            warehouse.staging.stage(shape, shape.columns, f"view_{name}")
            view = f"(SELECT {', '.join(quote(column) for column in shape.columns)} FROM view_{name})"
        warehouse.db.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {view}")


def _shape(warehouse: Warehouse, path: str, into: str, subject: str) -> None:
    kinds = {row[0].lower(): row[1] for row in warehouse.db.execute(f"DESCRIBE {into}_read").fetchall()}
    needed = (subject, *_NEEDED)
    missing = [column for column in needed if column not in kinds]
    if missing:
        found = f"the query gives no column {' and no column '.join(missing)}"
        raise SetupError(Problem(path, 1, 1, "HF608", found, f"expected {', '.join(needed)}, then any facts"))
    anchor = "make_timestamp(epoch_us(anchor))" if "ZONE" in kinds["anchor"] else "CAST(anchor AS TIMESTAMP)"
    further = "".join(f", {quote(column)}" for column in kinds if column not in {*needed, "customer_id"})
    try:
        warehouse.db.execute(
            f"CREATE OR REPLACE TABLE {into} AS SELECT DISTINCT ON (customer_id, occurrence) * FROM ("
            f"SELECT CAST({subject} AS VARCHAR) AS customer_id, CAST(occurrence AS VARCHAR) AS occurrence, "
            f"{anchor} AS anchor{further} FROM {into}_read) ORDER BY ALL"
        )
    except duckdb.Error as error:
        raise _failed(warehouse.source, path, error) from error
    warehouse.db.execute(f"DROP TABLE {into}_read")


def _failed(source: Source, path: str, error: Exception) -> HoldfastError:
    """A server that has gone away is not a wrong query."""
    gone = source.unreadable(path, error)
    if source.in_place and isinstance(gone, UnavailableError):
        return gone
    return SetupError(Problem(path, None, None, "HF607", f"the query failed: {first_line(error)}"))
