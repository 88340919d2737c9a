"""Events: aggregated where they lie when their source can do it, copied and typed first when it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from engine.warehouse.facts import Slice, deduplicated, slice_sql
from engine.warehouse.reading import physical, read
from engine.warehouse.shapes import Shape
from engine.warehouse.sources import Source
from engine.warehouse.sql import Bound, quote
from engine.warehouse.staging import Staging, TableReport
from engine.warehouse.tables import Kind

_TYPED = {"naive", "aware", "date"}


class Events:
    """The events table of one evaluation."""

    def __init__(self, shape: Shape | None, source: Source, staging: Staging) -> None:
        self._shape, self._source, self._staging = shape, source, staging
        self._spellings: dict[str, list[str]] | None = None
        self._relation: str | None = None

    @property
    def names(self) -> set[str]:
        """Folded names of all events that ever happened."""
        return set(self._spell())

    def report(self, as_of: datetime) -> TableReport | None:
        """Rows, freshness and rows set aside; answered from zone maps where events are read in place."""
        if self._shape is None:
            return None
        self._open()
        if "events" not in self._staging.reports:
            self._staging.reports["events"] = self._count(self._shape, as_of)
        return self._staging.reports["events"]

    def slice_relation(self, part: Slice, number: int, as_of: datetime, bound: Bound) -> str:
        """A relation in DuckDB with one row per customer: the slice's facts by `customer_id`."""
        events = self._open()
        if self._dedupe_needed(part):
            columns = self._columns(part)
            events = deduplicated(events, columns, by_id=self._by_id)
        statement = slice_sql(part, events, as_of, self._spell(), bound)
        if not self._on_server:
            return f"({statement})"
        table = f"facts_{number}"
        kinds = {"customer_id": "VARCHAR"} | {name: fact.type for name, fact in part.facts}
        self._source.aggregate(statement, bound.used_in(statement), table, kinds)
        return quote(table)

    def relation_for_queries(self) -> str:
        """Events as a rule's own query sees them: repeated rows counted once, names as they are written."""
        events = self._open()
        if self._shape is None or not self._shape.duplicates_possible or events == "t_events":
            return events
        return deduplicated(events, list(self._exposed()), by_id=self._by_id)

    @property
    def _by_id(self) -> bool:
        return self._shape is not None and self._shape.has("event_id")

    @property
    def _on_server(self) -> bool:
        return self._source.in_place and self._relation is not None and self._relation != "t_events"

    def _dedupe_needed(self, part: Slice) -> bool:
        """Exact repeats change counts only; a repeated id may carry another time, which changes everything."""
        if self._shape is None or not self._shape.duplicates_possible or self._relation == "t_events":
            return False
        return self._by_id or any(fact.counts_rows for _, fact in part.facts)

    def _columns(self, part: Slice) -> list[str]:
        if not self._by_id:
            return list(self._exposed())
        extra = [fact.column for _, fact in part.facts if fact.column]
        return list(dict.fromkeys(["customer_id", "name", "at", "event_id", *extra]))

    def _open(self) -> str:
        """The relation facts are computed from: customer_id, name, at (UTC) and every further column."""
        if self._relation is None:
            assert self._shape is not None
            self._relation = self._in_place(self._shape) or self._staged(self._shape)
        return self._relation

    def _in_place(self, shape: Shape) -> str | None:
        """The source's own relation where its columns are typed, so that no row has to be checked."""
        at = shape.columns["at"]
        raw = {column.name: column for column in self._source.describe("events")}
        family = physical(raw[at.raw].looks_like if self._source.in_place else raw[at.raw].arrives_as)
        if family not in _TYPED or (family != "aware" and shape.settings.timezone not in {"UTC", "Etc/UTC"}):
            return None
        relation = (
            self._source.own_relation("events")
            if self._source.in_place
            else self._source.relation("events", (), self._staging.only(shape))
        )
        if self._source.in_place and self._staging.only(shape):
            relation = f"(SELECT * FROM {relation} AS e WHERE {self._staging.only(shape).condition})"  # type: ignore[union-attr]
        columns = ", ".join(f"{sql} AS {quote(name)}" for name, sql in self._exposed(family).items())
        return f"(SELECT {columns} FROM {relation} AS r)"

    def _exposed(self, family: str = "naive") -> dict[str, str]:
        assert self._shape is not None
        columns = {name: quote(column.raw) for name, column in self._shape.columns.items()}
        columns["at"] = f"CAST({columns['at']} AS TIMESTAMP)" if family != "naive" else columns["at"]
        if family == "aware" and not self._source.in_place:
            columns["at"] = read(Kind.INSTANT, quote(self._shape.columns["at"].raw), family).steps.popitem()[1]
        return columns

    def _staged(self, shape: Shape) -> str:
        distinct = shape.duplicates_possible and not shape.has("event_id")
        self._staging.stage(shape, shape.columns, "t_events", distinct=distinct)
        if shape.duplicates_possible and shape.has("event_id"):
            columns = [column for column in shape.columns if column != "event_id"]
            kept = deduplicated("t_events", ["event_id", *columns], by_id=True)
            self._staging.db.execute(f"CREATE OR REPLACE TABLE t_events AS SELECT * FROM {kept}")
        return "t_events"

    def _count(self, shape: Shape, as_of: datetime) -> TableReport:
        events = self._open()
        missing = " OR ".join(f"{quote(column)} IS NULL" for column in shape.table.required)
        whole, newest, future, broken = (
            self._one(f"SELECT {what} FROM {events} AS e {where}", as_of)
            for what, where in (
                ("count(*)", ""), ('max("at")', 'WHERE "at" < $b0'), ('count(*)', 'WHERE "at" >= $b0'),
                ("count(*)", f"WHERE {missing}"),
            )
        )  # fmt: skip
        report = TableReport(
            "events", int(str(whole)), newest if isinstance(newest, datetime) else None, int(str(future))
        )
        if broken:
            report.issues = [("customer_id, name or at", "missing, so the whole row is set aside", int(str(broken)))]
        return report

    def _one(self, statement: str, as_of: datetime) -> object:
        bound = Bound()
        placed = statement.replace("$b0", bound(as_of))
        if self._on_server:
            kind = "TIMESTAMP" if 'max("at")' in statement else "BIGINT"
            self._source.aggregate(placed, bound.used_in(placed), "one_value", {"v": kind})
            return self._staging.db.execute("SELECT v FROM one_value").fetchall()[0][0]
        return self._staging.db.execute(placed, bound.used_in(placed)).fetchall()[0][0]

    def _spell(self) -> dict[str, list[str]]:
        """Folded event name to its spellings in the table; one look at the names instead of folding every row."""
        if self._spellings is None:
            self._spellings = {}
            for name in self._distinct_names() if self._shape else []:
                self._spellings.setdefault(name.strip().casefold(), []).append(name)
        return self._spellings

    def _distinct_names(self) -> Sequence[str]:
        statement = f"SELECT DISTINCT name FROM {self._open()} AS e WHERE name IS NOT NULL"
        if self._on_server:
            self._source.aggregate(statement, {}, "event_names", {"name": "VARCHAR"})
            statement = "SELECT name FROM event_names"
        return [row[0] for row in self._staging.db.execute(f"{statement} ORDER BY 1").fetchall()]
