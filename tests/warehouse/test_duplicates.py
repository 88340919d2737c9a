"""Rows that occur more than once: of records under one id, and of events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.warehouse.facts import Fact
from engine.warehouse.warehouse import Warehouse
from tests.warehouse.warehouse_world import AS_OF, World, adds_up, report_of, staged

TEXT, AT = "VARCHAR", "TIMESTAMP"
DAY = timedelta(days=1)


def reasons(warehouse: Warehouse, table: str) -> list[tuple[str, str]]:
    """(id, reason) of every row listed."""
    return sorted((issue.row, issue.reason) for issue in warehouse.issues(table))


def counted(warehouse: Warehouse, table: str) -> dict[str, int]:
    """Counts by reason."""
    return {reason: count for _, reason, count in report_of(warehouse, table).issues}


# ── records under one id ────────────────────────────────────────────────────────────────────────────────────────────


def test_exact_repeats_count_once_and_are_listed(world: World) -> None:
    rows = [["a", "a@b.co", "pro"], ["a", "a@b.co", "pro"], ["a", "A@b.co ", "pro"], ["b", "b@b.co", "free"]]
    world.add("customers", {"customer_id": TEXT, "email": TEXT, "plan": TEXT}, rows)
    with world.open() as warehouse:
        assert [row["customer_id"] for row in staged(warehouse, "customers")] == ["a", "b"]
        report = report_of(warehouse, "customers")
        assert (report.rows, report.accepted, report.repeated, report.set_aside) == (4, 2, 2, 0)
        assert counted(warehouse, "customers") == {"repeats another row": 2}
        assert reasons(warehouse, "customers") == [("a", "repeats another row")] * 2
        assert adds_up(warehouse, "customers")


def test_rows_that_contradict_one_another_are_all_set_aside(world: World) -> None:
    rows = [["a", "pro"], ["a", "free"], ["a", "free"], ["b", "pro"]]
    world.add("customers", {"customer_id": TEXT, "plan": TEXT}, rows)
    with world.open() as warehouse:
        assert [row["customer_id"] for row in staged(warehouse, "customers")] == ["b"]
        report = report_of(warehouse, "customers")
        assert (report.rows, report.accepted, report.repeated, report.set_aside) == (4, 1, 0, 3)
        assert reasons(warehouse, "customers") == [("a", "contradicts another row under the same id")] * 3
        assert adds_up(warehouse, "customers")


def test_a_contradiction_counts_even_in_a_column_nobody_asked_for(world: World) -> None:
    world.add(
        "customers", {"customer_id": TEXT, "plan": TEXT, "shoe": TEXT}, [["a", "pro", "left"], ["a", "pro", "right"]]
    )
    with world.open() as warehouse:
        warehouse.stage_customers(["plan"])
        assert warehouse.db.execute("SELECT count(*) FROM t_customers").fetchall() == [(0,)]


def test_the_latest_row_is_valid_where_the_table_says_when_it_was_changed(world: World) -> None:
    first, second = datetime(2026, 1, 1), datetime(2026, 1, 2)
    rows = [
        ["a", "old", first], ["a", "new", second], ["a", "older", None], ["a", "old", first],
        ["b", "one", second], ["b", "other", second],  # both the latest
        ["c", "one", None], ["c", "other", None],
        ["d", "same", second], ["d", "same", second], ["d", "old", first],
    ]  # fmt: skip
    world.add("customers", {"customer_id": TEXT, "plan": TEXT, "updated_at": AT}, rows)
    with world.open() as warehouse:
        warehouse.stage_customers(["plan"])  # whether or not anybody asks for updated_at
        found = warehouse.db.execute("SELECT customer_id, c_plan FROM t_customers ORDER BY 1").fetchall()
        assert found == [("a", "new"), ("d", "same")]
        older, contradicts = "an older row under the same id", "contradicts another row under the same id"
        assert counted(warehouse, "customers") == {older: 4, contradicts: 4, "repeats another row": 1}
        expected = (
            [("a", older)] * 3
            + [("b", contradicts)] * 2
            + [("c", contradicts)] * 2
            + [("d", older), ("d", "repeats another row")]
        )
        assert reasons(warehouse, "customers") == sorted(expected)
        assert adds_up(warehouse, "customers")


def test_updated_at_may_have_another_name_and_be_broken(files: World) -> None:
    rows = [["a", "old", "2026-01-01"], ["a", "new", "2026-01-02"], ["a", "odd", "yesterday"]]
    files.add(
        "customers", {"customer_id": TEXT, "plan": TEXT, "changed": TEXT}, rows, columns={"updated_at": "changed"}
    )
    with files.open() as warehouse:
        assert [row["plan"] for row in staged(warehouse, "customers")] == ["new"]


def test_rows_of_other_tables_are_unique_too(world: World) -> None:
    world.add("customers", {"customer_id": TEXT}, [["a"]])
    rows = [
        ["i1", "a", "open"],
        ["i1", "a", "paid"],
        ["i2", "a", "open"],
        ["i2", "a", "open"],
        ["i3", "nobody", "open"],
    ]
    world.add("invoices", {"invoice_id": TEXT, "customer_id": TEXT, "status": TEXT}, rows)
    with world.open() as warehouse:
        assert [row["invoice_id"] for row in staged(warehouse, "invoices")] == ["i2"]
        report = report_of(warehouse, "invoices")
        assert (report.rows, report.set_aside, report.repeated, report.unknown) == (5, 2, 1, 1)
        assert adds_up(warehouse, "invoices")


def test_duplicates_none_spares_the_look_at_ids(world: World) -> None:
    world.add("customers", {"customer_id": TEXT}, [["a"]])
    rows = [["i1", "a", "open"], ["i1", "a", "paid"]]
    world.add("invoices", {"invoice_id": TEXT, "customer_id": TEXT, "status": TEXT}, rows, duplicates="none")
    with world.open() as warehouse:
        assert len(staged(warehouse, "invoices")) == 2
        assert warehouse.issues("invoices") == []


def test_a_limit_bounds_all_issues_together(files: World) -> None:
    rows = [["a", "x@@y"], ["a", "x@@z"], ["b", "b@b.co"], ["b", "b@b.co"]]
    files.add("customers", {"customer_id": TEXT, "email": TEXT}, rows)
    with files.open() as warehouse:
        assert [len(warehouse.issues("customers", limit)) for limit in (None, 1, 2, 3, 4)] == [4, 1, 2, 3, 4]


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────

COUNT, LAST, FIRST = Fact("count", ("login",)), Fact("last", ("login",)), Fact("first", ("login",))
ANY, SUM = Fact("count"), Fact("sum", (), None, "value_minor")


def facts(warehouse: Warehouse, *asked: Fact) -> dict[str, tuple[object, ...]]:
    """Each customer's answers."""
    warehouse.stage_customers([])
    columns = ", ".join(warehouse.facts.column(fact) for fact in asked)
    warehouse.join_person([])
    rows = warehouse.db.execute(f"SELECT customer_id, {columns} FROM person ORDER BY 1").fetchall()
    return {customer: answers for customer, *answers in rows}


def shop(world: World, rows: Sequence[Sequence[object]], *, with_id: bool = True, **mapping: object) -> World:
    """Customers a and b, and events (id, customer, name, at, value)."""
    world.add("customers", {"customer_id": TEXT}, [["a"], ["b"]])
    kinds = {"event_id": TEXT, "customer_id": TEXT, "name": TEXT, "at": AT, "value_minor": "BIGINT"}
    if not with_id:
        kinds, rows = {name: kinds[name] for name in list(kinds)[1:]}, [row[1:] for row in rows]
    return world.add("events", kinds, rows, **mapping)


def test_the_earliest_event_of_an_id_counts(world: World) -> None:
    rows = [
        ["e1", "a", "login", AS_OF - 3 * DAY, 1], ["e1", "a", "login", AS_OF - 2 * DAY, 5], ["e1", "a", "login", AS_OF - DAY, 7],
        ["e2", "a", "login", AS_OF - 9 * DAY, 1], ["e3", "b", "login", AS_OF - DAY, 2], ["e3", "b", "login", AS_OF - DAY, 2],
    ]  # fmt: skip
    with shop(world, rows).open() as warehouse:
        assert facts(warehouse, COUNT, LAST, FIRST, SUM) == {
            "a": [2, AS_OF - 3 * DAY, AS_OF - 9 * DAY, 2], "b": [1, AS_OF - DAY, AS_OF - DAY, 2],
        }  # fmt: skip


def test_events_without_an_id_of_their_own_are_compared_whole(world: World) -> None:
    at = AS_OF - DAY
    rows = [
        [None, "a", "login", at, 1], [None, "a", "login", at, 1], [None, "a", "login", at, 2], ["", "a", "login", at, 2],
        ["e1", "a", "login", at, 1], ["", "b", "login", at, 1], ["", "b", "login", at - DAY, 1],
    ]  # fmt: skip
    with shop(world, rows).open() as warehouse:
        assert facts(warehouse, COUNT, LAST, SUM) == {"a": [3, at, 4], "b": [2, at, 2]}


def test_exact_repeats_of_events_count_once(world: World) -> None:
    at = AS_OF - DAY
    rows = [["", "a", "login", at, 1]] * 3 + [
        ["", "a", "login", at, 2],
        ["", "b", "Login ", at, 1],
        ["", "b", "login", at, 1],
    ]
    with shop(world, rows, with_id=False).open() as warehouse:
        assert facts(warehouse, COUNT, LAST, SUM) == {"a": [2, at, 3], "b": [2, at, 2]}


@pytest.mark.parametrize("with_id", [True, False])
def test_duplicates_none_counts_every_event(world: World, with_id: bool) -> None:
    rows = [["e1", "a", "login", AS_OF - DAY, 1]] * 3
    with shop(world, rows, with_id=with_id, duplicates="none").open() as warehouse:
        assert facts(warehouse, COUNT)["a"] == [3]


def test_an_event_before_the_instant_hides_its_repeat_after_it(world: World) -> None:
    rows = [
        ["e1", "a", "login", AS_OF, 1],
        ["e1", "a", "login", AS_OF + DAY, 1],
        ["e2", "b", "login", AS_OF - DAY, 1],
        ["e2", "b", "login", AS_OF, 1],
    ]
    with shop(world, rows).open() as warehouse:
        assert facts(warehouse, COUNT, ANY) == {"a": [0, 0], "b": [1, 1]}


def test_broken_events_are_set_aside_and_no_event_of_any_kind(world: World) -> None:
    at = AS_OF - DAY
    rows = [
        ["e1", "a", "login", at, 1], ["e2", "a", None, at, 1], ["e3", "a", " ", at, 1], ["e4", "a", "login", None, 1],
        ["e5", None, "login", at, 1], ["e6", "b", "login", datetime(1, 1, 1), 1], ["e7", "b", "login", datetime(9999, 12, 31), 1],
        ["e1", "a", None, at - DAY, 1],  # the earliest under its id, and broken
    ]  # fmt: skip
    with shop(world, rows).open() as warehouse:
        assert facts(warehouse, COUNT, ANY, FIRST, LAST) == {"a": [1, 1, at, at], "b": [0, 0, None, None]}
        report = report_of(warehouse, "events")
        assert (report.rows, report.set_aside, report.future, report.newest) == (8, 7, 0, at)
        assert report.accepted - report.repeated <= 1
        assert sum(count for *_, count in report.issues) == 7
        assert len(warehouse.issues("events")) == 7


def test_events_of_strangers_are_counted(world: World) -> None:
    rows = [
        ["e1", "a", "login", AS_OF - DAY, 1],
        ["e2", "x", "login", AS_OF - DAY, 1],
        ["e3", "y", "login", AS_OF - DAY, 1],
    ]
    with shop(world, rows).open() as warehouse:
        warehouse.stage_customers([])
        report = warehouse.report("events", thorough=True)
        assert report is not None
        assert report.unknown == 2


@pytest.mark.parametrize("engine", ["duckdb", "parquet"])
def test_events_in_place_are_filtered_only_where_some_are_broken(tmp_path: Path, engine: str) -> None:
    whole = ["e1", "a", "login", AS_OF - DAY, 1]
    for folder, rows, filtered in (
        ("whole", [whole], False),
        ("broken", [whole, ["e2", "a", None, AS_OF - DAY, 1]], True),
    ):
        (tmp_path / folder).mkdir()
        with shop(World(engine, tmp_path / folder), rows, duplicates="none").open() as warehouse:
            assert ("IS NULL" in warehouse.events.relation_for_queries()) is filtered
