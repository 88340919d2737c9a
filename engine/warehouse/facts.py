"""Facts about events: what rules ask of the event history, shared between rules and answered in one go.

A fact is (aggregate, event names, since when, column). Equal facts of different rules are one fact. All facts are
computed together, in *slices*: facts about all history apart from those with a window, which read only the events
inside it, and facts about named events apart from those about any, since they read only those names. Adding a rule
therefore costs a column, and now and then a scan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from engine.warehouse.sql import Bound, quote

Aggregate = Literal["last", "first", "count", "sum", "distinct_days", "newest", "nth"]

_AT, _DAY = '"at"', 'CAST("at" AS DATE)'  # a word of the grammar in some dialects, so always quoted

_HORIZON_STEP = 4
"""Windows within a factor of four of each other share a slice: one more scan costs more than some more rows."""

_WIDEST = 9
"""Facts in one slice. Every row is looked at for every fact of its slice and every customer keeps 16 bytes for each
while it runs, so three scans for 25 facts take less time than one, and a third of the memory (50 million events)."""


@dataclass(frozen=True)
class Fact:
    """One question about each customer's events strictly before the run's instant.

    `events`: folded names, empty for any. `since`: only events at or after it; None for all history.
    `column`: what `sum` adds up and `newest` takes from the newest such event. `n`: which one `nth` is about.
    """

    aggregate: Aggregate
    events: tuple[str, ...] = ()
    since: datetime | None = None
    column: str | None = None
    n: int = 1

    @property
    def counts_rows(self) -> bool:
        """Whether a repeated row would change the answer."""
        return self.aggregate in {"count", "sum", "nth"}

    @property
    def type(self) -> str:
        """DuckDB type of the answer; for `newest` it is the column's own, which only its table can tell."""
        types = {
            "last": "TIMESTAMP",
            "first": "TIMESTAMP",
            "nth": "TIMESTAMP",
            "count": "BIGINT",
            "sum": "BIGINT",
            "distinct_days": "BIGINT",
        }
        return types.get(self.aggregate, "VARCHAR")


@dataclass(frozen=True)
class Slice:
    """Facts answered by one aggregation over the events from `since` on (None: all)."""

    since: datetime | None
    named: bool
    """Whether every fact names its events, so that others need not be read."""
    facts: tuple[tuple[str, Fact], ...]
    """(column name, fact) pairs."""


class FactSet:
    """Facts collected from all rules; each distinct one has one column."""

    def __init__(self) -> None:
        self._columns: dict[Fact, str] = {}

    def column(self, fact: Fact) -> str:
        """The column of `fact` in the person table, asked for as soon as somebody names it."""
        return self._columns.setdefault(fact, f"e{len(self._columns)}")

    def __bool__(self) -> bool:
        return bool(self._columns)

    @property
    def facts(self) -> Mapping[Fact, str]:
        """All facts with their columns."""
        return self._columns

    def slices(self, as_of: datetime) -> list[Slice]:
        """The aggregations to run: whole history first, then windows from the shortest on."""
        whole = [(name, fact) for fact, name in self._columns.items() if fact.since is None]
        windowed = [(name, fact) for fact, name in self._columns.items() if fact.since is not None]
        of_any = [pair for pair in whole if not pair[1].events]
        of_names = sorted((pair for pair in whole if pair[1].events), key=lambda pair: pair[1].events)
        groups = [of_any, of_names, *_by_horizon(windowed, as_of)]
        return [
            Slice(min((fact.since for _, fact in part if fact.since), default=None), _all_named(part), tuple(part))
            for group in groups for part in _evenly(group)
        ]  # fmt: skip


def _all_named(facts: Sequence[tuple[str, Fact]]) -> bool:
    return all(fact.events for _, fact in facts)


def _evenly(facts: Sequence[tuple[str, Fact]]) -> list[Sequence[tuple[str, Fact]]]:
    """The facts in the fewest parts of at most `_WIDEST`, all about as wide."""
    parts = -(-len(facts) // _WIDEST)
    return [facts[len(facts) * n // parts : len(facts) * (n + 1) // parts] for n in range(parts)]


def _by_horizon(facts: Sequence[tuple[str, Fact]], as_of: datetime) -> list[list[tuple[str, Fact]]]:
    groups: list[list[tuple[str, Fact]]] = []
    limit = timedelta(0)
    for name, fact in sorted(facts, key=lambda pair: pair[1].since or as_of, reverse=True):
        length = as_of - (fact.since or as_of)
        if not groups or length > limit:
            groups.append([])
            limit = length * _HORIZON_STEP
        groups[-1].append((name, fact))
    return groups


def slice_sql(part: Slice, events: str, as_of: datetime, spellings: Mapping[str, Sequence[str]], bound: Bound) -> str:
    """One row per customer with the slice's facts.

    `events` is a relation with customer_id, name, at and further columns; `spellings` maps a folded event name to the
    ways it is written there, so that names are compared as stored and never transformed row by row.
    """
    columns = [f"{_aggregate(fact, part, spellings, bound)} AS {name}" for name, fact in part.facts]
    conditions = [f'"at" < {bound(as_of)}']
    if part.since is not None:
        conditions.append(f'"at" >= {bound(part.since)}')
    if part.named:
        names = dict.fromkeys(name for _, fact in part.facts for name in fact.events)
        written = [raw for name in names for raw in spellings.get(name, ())]
        conditions.append(_is_one_of("name", written, bound))
    return (
        f"SELECT customer_id, {', '.join(columns)} FROM {events} AS ev WHERE {' AND '.join(conditions)} "
        "GROUP BY customer_id"
    )


def _aggregate(fact: Fact, part: Slice, spellings: Mapping[str, Sequence[str]], bound: Bound) -> str:
    conditions = []
    if fact.events:
        written = [raw for name in fact.events for raw in spellings.get(name, ())]
        conditions.append(_is_one_of("name", written, bound))
    if fact.since is not None and fact.since != part.since:
        conditions.append(f'"at" >= {bound(fact.since)}')
    condition = " AND ".join(conditions)
    if fact.aggregate == "nth":  # a list keeps them all; events that are counted to a milestone are not the many
        return f"(array_agg({_AT} ORDER BY {_AT}) FILTER (WHERE {condition or 'TRUE'}))[{fact.n}]"
    return _AGGREGATES[fact.aggregate](condition, quote(fact.column or "at"))


def _when(condition: str, value: str) -> str:
    return f"CASE WHEN {condition} THEN {value} END" if condition else value


_AGGREGATES: Mapping[str, Callable[[str, str], str]] = {
    "last": lambda condition, _: f"max({_when(condition, _AT)})",
    "first": lambda condition, _: f"min({_when(condition, _AT)})",
    "count": lambda condition, _: f"count({_when(condition, '1')})",
    "sum": lambda condition, column: f"CAST(coalesce(sum({_when(condition, column)}), 0) AS BIGINT)",
    "distinct_days": lambda condition, _: f"count(DISTINCT {_when(condition, _DAY)})",
    # Not arg_max: it would pass over the newest row where the column is null and answer from an older one.
    "newest": lambda condition, column: f"arg_max_null({_when(condition, column)}, {_when(condition, _AT)})",
}


def _is_one_of(column: str, values: Sequence[str], bound: Bound) -> str:
    if not values:
        return "FALSE"
    if len(values) == 1:
        return f"{column} = {bound(values[0])}"
    return f"{column} IN ({', '.join(bound(value) for value in values)})"


def deduplicated(events: str, columns: Sequence[str], by_id: bool) -> str:
    """`events` with repeated rows counted once: the earliest row of an event id, else exact repeats.

    Rows without an id are compared whole, with their names folded. DISTINCT ON is understood by DuckDB and PostgreSQL
    alike.
    """
    if not by_id:
        return f"(SELECT DISTINCT {', '.join(map(quote, columns))} FROM {events} AS raw)"
    first = ["at", "customer_id", "name"]
    rest = [*first, *sorted({*columns} - {*first, "event_id"})]
    compared = ["lower(trim(name))" if column == "name" else quote(column) for column in rest]
    keys = ", ".join(["event_id", *(f"CASE WHEN event_id IS NULL THEN {column} END" for column in compared)])
    order = ", ".join(map(quote, rest))
    return (
        f"(SELECT DISTINCT ON ({keys}) {', '.join(map(quote, columns))} FROM {events} AS raw ORDER BY {keys}, {order})"
    )
