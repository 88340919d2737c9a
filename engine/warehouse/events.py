"""Events: aggregated where they lie when their source can do it, copied and typed first when it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.warehouse.facts import Fact, Slice, deduplicated, slice_sql
from engine.warehouse.reading import EARLIEST, LATEST, physical, read
from engine.warehouse.shapes import Shape
from engine.warehouse.sources import Source
from engine.warehouse.sql import Bound, execute, quote
from engine.warehouse.staging import MISSING, Staging, TableReport
from engine.warehouse.tables import OWNERS, Kind

_WHEN = {"naive", "aware", "date"}
_WHOLE_IDS = r"DECIMAL\(\d+,0\)|HUGEINT|UBIGINT"
_BROKEN = (
    f'{{nobody}} OR name IS NULL OR "at" IS NULL OR "at" < TIMESTAMP \'{EARLIEST}\' OR "at" >= TIMESTAMP \'{LATEST}\''
)
_BLANK = "trim(name) = ''"


@dataclass(frozen=True)
class _Opened:
    """The relation facts are computed from, and how many of its rows lack an id of their own."""

    relation: str
    on_server: bool = False
    settled: bool = False
    """True when repeated rows have been taken out already."""
    rows_without_id: int = 0


class Events:
    """The events table of one evaluation as of `as_of`."""

    def __init__(self, shape: Shape | None, source: Source, staging: Staging, as_of: datetime) -> None:
        self._shape, self._source, self._staging, self._as_of = shape, source, staging, as_of
        self._written: dict[str, list[str]] | None = None
        self._opened: _Opened | None = None

    @property
    def names(self) -> set[str]:
        """Folded names of all events that ever happened."""
        return set(self._spellings())

    @property
    def copied(self) -> bool:
        """Whether the rows have been copied, so that a look at all of them costs little."""
        return self._opened is not None and self._opened.settled

    def report(self) -> TableReport | None:
        """Rows, freshness and rows set aside; answered from zone maps where events are read in place."""
        if self._shape is None:
            return None
        self._open(self._shape)
        return self._staging.reports["events"]

    def count_further(self, customers: str) -> None:
        """Count what takes a look at every row: those of customers who are not in the table `customers`, and repeats."""
        if self._shape is None:
            return
        opened = self._open(self._shape)
        if not opened.settled and self._shape.duplicates_possible:
            self._staging.reports["events"].repeated = self._repeats(self._shape, opened)
        mine = " WHERE customer_id IS NOT NULL" if self._shape.owners else ""  # the others are accounts'
        statement = f"SELECT customer_id, count(*) AS n FROM {opened.relation} AS e{mine} GROUP BY customer_id"
        counted = f"({statement})"
        if opened.on_server:
            self._source.aggregate(statement, {}, "event_counts", {"customer_id": "VARCHAR", "n": "BIGINT"})
            counted = "event_counts"
        self._staging.reports["events"].unknown = self._one(
            f"SELECT coalesce(sum(n), 0)::BIGINT FROM {counted} AS e ANTI JOIN {customers} AS c "
            "ON c.customer_id = CAST(e.customer_id AS VARCHAR)"
        )

    def _repeats(self, shape: Shape, opened: _Opened) -> int:
        once = deduplicated(opened.relation, _names(shape), by_id=self._by_id)
        statement = f"SELECT (SELECT count(*) FROM {opened.relation} AS e) - (SELECT count(*) FROM {once} AS o) AS n"
        if opened.on_server:
            self._source.aggregate(statement, {}, "event_repeats", {"n": "BIGINT"})
            statement = "SELECT n FROM event_repeats"
        return self._one(statement)

    def slice_relation(self, part: Slice, number: int, bound: Bound, members: str | None = None) -> str:
        """A relation in DuckDB with one row per customer: the slice's facts by `customer_id`.

        With `members`, a relation of customer_id and account_id, one row per account, and `customer_id` is the account.
        """
        if self._shape is None:
            raise ValueError("facts about events need an events table")
        opened = self._open(self._shape)
        events = opened.relation
        if self._dedupe_needed(part):
            events = deduplicated(events, self._columns(self._shape, part), by_id=self._by_id)
        if members is not None:
            events = self._of_accounts(self._shape, part, events, members)
        statement = slice_sql(part, events, self._as_of, self._spellings(), bound)
        if not opened.on_server:
            return f"({statement})"
        table = f"facts_{number}"
        kinds = {"customer_id": "VARCHAR"} | {name: self._type(self._shape, fact) for name, fact in part.facts}
        self._source.aggregate(statement, bound.used_in(statement), table, kinds)
        return quote(table)

    @staticmethod
    def _of_accounts(shape: Shape, part: Slice, events: str, members: str) -> str:
        """`events` with the account in the place of the customer: the row's own, or else its customer's."""
        own = "nullif(CAST(e.account_id AS VARCHAR), '')" if shape.has("account_id") else "NULL"
        further = {fact.column: None for _, fact in part.facts if fact.column}
        columns = ", ".join(f"e.{quote(name)}" for name in dict.fromkeys(["name", "at", *further]))
        return (
            f"(SELECT coalesce({own}, m.account_id) AS customer_id, {columns} FROM {events} AS e "
            f"LEFT JOIN {members} AS m ON m.customer_id = CAST(e.customer_id AS VARCHAR))"
        )

    def relation_for_queries(self) -> str:
        """Events as a rule's own query sees them: repeated rows counted once, names as they are written."""
        if self._shape is None:
            raise ValueError("a query about events needs an events table")
        opened = self._open(self._shape)
        if opened.settled or not self._shape.duplicates_possible:
            return opened.relation
        return deduplicated(opened.relation, _names(self._shape), by_id=self._by_id)

    @property
    def _by_id(self) -> bool:
        return self._shape is not None and self._shape.has("event_id")

    def _dedupe_needed(self, part: Slice) -> bool:
        """Exact repeats change counts only; a repeated id may carry another time, which changes everything."""
        if self._shape is None or self._opened is None or self._opened.settled or not self._shape.duplicates_possible:
            return False
        return self._by_id or any(fact.counts_rows for _, fact in part.facts)

    def _type(self, shape: Shape, fact: Fact) -> str:
        """DuckDB type in which an answer arrives from a server; that of its column for the newest row's value."""
        if fact.aggregate != "newest":
            return fact.type
        return shape.columns[str(fact.column)].kind.duck_type

    def _columns(self, shape: Shape, part: Slice) -> list[str]:
        """What tells rows apart: the id where every row has one, else everything."""
        if not self._by_id or (self._opened and self._opened.rows_without_id):
            return _names(shape)
        extra = [fact.column for _, fact in part.facts if fact.column]
        return list(dict.fromkeys(["customer_id", *shape.owners, "name", "at", "event_id", *extra]))

    def _open(self, shape: Shape) -> _Opened:
        """The relation with customer_id, name, at (UTC) and every further column, without broken rows."""
        if self._opened is None:
            with self._source.reading("events"):
                exposed = self._exposed(shape)
                self._opened = self._in_place(shape, exposed) if exposed else self._staged(shape)
        return self._opened

    def _exposed(self, shape: Shape) -> dict[str, str] | None:
        """Our columns as SQL over the source's own relation, or None where rows have to be read one by one."""
        types = self._types(shape)
        when, value = physical(types["at"]), shape.columns.get("value_minor")
        if when not in _WHEN or (when != "aware" and shape.settings.timezone not in {"UTC", "Etc/UTC"}):
            return None
        ids = [types[name] for name in OWNERS if name in types]
        if physical(types["name"]) != "text" or not (self._source.in_place or all(map(_is_id, ids))):
            return None
        if value and (value.decimal or physical(types["value_minor"]) != "integer"):
            return None
        columns = {name: quote(column.raw) for name, column in shape.columns.items()}
        if self._source.in_place:  # some types of servers, JSON among them, have no equality
            further = [name for name in columns if name not in shape.table.columns and types[name] == "VARCHAR"]
            columns |= {name: f"CAST({columns[name]} AS VARCHAR)" for name in further}
        columns["at"] = self._instant(columns["at"], types["at"])
        return {"customer_id": "CAST(NULL AS VARCHAR)", **columns}

    def _types(self, shape: Shape) -> dict[str, str]:
        """On a server a column's own type; in DuckDB the one it arrives in, which for CSV is text."""
        return {
            name: column.source.looks_like if self._source.in_place else column.source.arrives_as
            for name, column in shape.columns.items()
        }

    def _instant(self, column: str, kind: str) -> str:
        if kind == "TIMESTAMP":
            return column
        if physical(kind) == "aware" and not self._source.in_place:
            return next(iter(read(Kind.INSTANT, column, "aware").steps.values()))
        return f"CAST({column} AS TIMESTAMP)"

    def _in_place(self, shape: Shape, exposed: dict[str, str]) -> _Opened:
        on_server, only = self._source.in_place, self._staging.only(shape)
        own = self._source.own_relation("events") if on_server else self._source.relation("events", (), only)
        rows = f"(SELECT * FROM {own} AS e WHERE {only.condition})" if on_server and only else own
        relation = _select(exposed, rows)
        names = self._distinct_names(relation, on_server)
        self._written = _by_folded_name(name for name in names if name.strip(" "))
        owners = [name for name in shape.owners or ("customer_id",) if shape.has(name)]
        broken = _BROKEN.format(nobody=f"({' AND '.join(f'{name} IS NULL' for name in owners)})")
        if any(not name.strip(" ") for name in names):
            broken = f"{broken} OR {_BLANK}"
        text_ids = shape.has("event_id") and physical(self._types(shape)["event_id"]) == "text"
        report, rows_without_id = self._look(relation, broken, _without_id(shape, text_ids), on_server)
        self._staging.reports["events"] = report
        # Only where there are such rows: each condition costs a look at every row.
        if rows_without_id and text_ids:
            relation = _select(exposed | {"event_id": f"nullif({exposed['event_id']}, '')"}, rows)
        if report.set_aside:
            relation = f"(SELECT * FROM {relation} AS w WHERE NOT ({broken}))"
        return _Opened(relation, on_server, False, rows_without_id)

    def _look(self, relation: str, broken: str, without_id: str, on_server: bool) -> tuple[TableReport, int]:
        """Counts of a relation: one scan on a server; in DuckDB one question each, which zone maps answer unread."""
        bound = Bound()
        now = bound(self._as_of)
        asked = {
            "whole": ("count(*)", "TRUE"), "newest": ('max("at")', f'"at" < {now} AND NOT ({broken})'),
            "future": ("count(*)", f'"at" >= {now} AND NOT ({broken})'), "broken": ("count(*)", broken),
            "without_id": ("count(*)", without_id),
        }  # fmt: skip
        if on_server:
            columns = ", ".join(f"{what} FILTER (WHERE {where}) AS {name}" for name, (what, where) in asked.items())
            kinds = {name: "TIMESTAMP" if name == "newest" else "BIGINT" for name in asked}
            statement = f"SELECT {columns} FROM {relation} AS e"
            self._source.aggregate(statement, bound.used_in(statement), "events_look", kinds)
            found = self._staging.db.execute("SELECT * FROM events_look").fetchall()[0]
        else:
            parts = [f"SELECT {what} FROM {relation} AS e WHERE {where}" for what, where in asked.values()]
            found = tuple(execute(self._staging.db, part, bound).fetchall()[0][0] for part in parts)
        whole, newest, future, set_aside, rows_without_id = found
        report = TableReport("events", whole, newest, future, set_aside=set_aside)
        if set_aside:
            report.issues = [("customer_id, name or at", MISSING, set_aside)]
        return report, rows_without_id

    def _staged(self, shape: Shape) -> _Opened:
        distinct = shape.duplicates_possible and not shape.has("event_id")
        self._staging.stage(shape, shape.columns, "t_events", distinct=distinct)
        if not shape.has("customer_id"):
            self._staging.db.execute("ALTER TABLE t_events ADD COLUMN customer_id VARCHAR")
        if shape.duplicates_possible and shape.has("event_id"):
            before = self._one("SELECT count(*) FROM t_events")
            kept = deduplicated("t_events", _names(shape), by_id=True)
            self._staging.db.execute(f"CREATE OR REPLACE TABLE t_events AS SELECT * FROM {kept}")
            self._staging.reports["events"].repeated += before - self._one("SELECT count(*) FROM t_events")
        return _Opened("t_events", settled=True)

    def _one(self, statement: str) -> int:
        return int(self._staging.db.execute(statement).fetchall()[0][0])

    def _spellings(self) -> dict[str, list[str]]:
        """Folded event name to its spellings in the table; one look at the names instead of folding every row."""
        if self._written is None:
            opened = self._open(self._shape) if self._shape else None
            if self._written is None:
                names = self._distinct_names(opened.relation, opened.on_server) if opened else ()
                self._written = _by_folded_name(names)
        return self._written

    def _distinct_names(self, relation: str, on_server: bool) -> Sequence[str]:
        statement = f"SELECT DISTINCT name FROM {relation} AS e WHERE name IS NOT NULL"
        if on_server:
            self._source.aggregate(statement, {}, "event_names", {"name": "VARCHAR"})
            statement = "SELECT name FROM event_names"
        return [row[0] for row in self._staging.db.execute(f"{statement} ORDER BY 1").fetchall()]


def _select(columns: Mapping[str, str], rows: str) -> str:
    return f"(SELECT {', '.join(f'{sql} AS {quote(name)}' for name, sql in columns.items())} FROM {rows} AS r)"


def _names(shape: Shape) -> list[str]:
    """All columns of the relation: the shape's, and the customer where every event is an account's."""
    return list(dict.fromkeys([*shape.columns, "customer_id"]))


def _without_id(shape: Shape, text_ids: bool) -> str:
    if not shape.has("event_id"):
        return "FALSE"
    return "event_id IS NULL OR event_id = ''" if text_ids else "event_id IS NULL"


def _by_folded_name(names: Iterable[str]) -> dict[str, list[str]]:
    written: dict[str, list[str]] = {}
    for name in names:
        written.setdefault(name.strip().casefold(), []).append(name)
    return written


def _is_id(kind: str) -> bool:
    return physical(kind) in {"text", "integer"} or re.fullmatch(_WHOLE_IDS, kind) is not None
