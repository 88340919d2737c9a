"""Every kind of value on every kind of warehouse: read exactly, or set aside and listed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from tests.warehouse.warehouse_world import AS_OF, World, adds_up, broken, report_of, staged

TEXT = "VARCHAR"
PEOPLE = {"customer_id": TEXT, "email": TEXT}

INSTANTS = {
    "2026-01-31T10:15:00Z": datetime(2026, 1, 31, 10, 15),
    "2026-01-31 10:15:00+00": datetime(2026, 1, 31, 10, 15),
    "2026-01-31T10:15:00+02:00": datetime(2026, 1, 31, 8, 15),
    "2026-01-31 10:15:00 +0530": datetime(2026, 1, 31, 4, 45),
    "2026-01-31 10:15:00-11": datetime(2026, 1, 31, 21, 15),
    "2026-01-31 10:15:00 UTC": datetime(2026, 1, 31, 10, 15),
    "2026-01-31 10:15:00 Z": datetime(2026, 1, 31, 10, 15),
    "2026-01-31T10:15": datetime(2026, 1, 31, 10, 15),
    "2026-01-31 10:15:00.123456": datetime(2026, 1, 31, 10, 15, 0, 123456),
    "2026-01-31T10:15:00,5Z": datetime(2026, 1, 31, 10, 15, 0, 500000),
    "2026-01-31T10:15:00.123456789Z": datetime(2026, 1, 31, 10, 15, 0, 123456),
    " 2026-1-5 3:00 ": datetime(2026, 1, 5, 3),
    "2026-01-31": datetime(2026, 1, 31),
    "20260131": datetime(2026, 1, 31),
    "1769854500": datetime(2026, 1, 31, 10, 15),
    "1769854500.25": datetime(2026, 1, 31, 10, 15, 0, 250000),
    "1769854500123": datetime(2026, 1, 31, 10, 15, 0, 123000),
    "999999999": datetime(2001, 9, 9, 1, 46, 39),
}

NO_INSTANTS = (
    "0000-00-00", "2026-13-01", "2026-02-30", "9999-12-31", "1969-12-31", "0001-01-01", "0", "17698545", "123",
    "1769854500123456", "31/01/2026", "January 31", "2026-01-31T25:00:00", "2026-01-31T10:61:00", "-1769854500",
    "2026-01-31T10:15:00+25:00", "2026-01-31 10:15:00 Europe/London", "infinity", "NaN", "2026-01-31T10:15:00Z; x",
)  # fmt: skip


def people(world: World, columns: dict[str, str], rows: list[list[object]], **mapping: object) -> World:
    """Customers numbered c0, c1, … with these columns."""
    numbered = [[f"c{number}", None, *row] for number, row in enumerate(rows)]
    return world.add("customers", PEOPLE | columns, numbered, **mapping)


def read(world: World, column: str, **more: object) -> tuple[list[object], set[tuple[str, str]]]:
    """A customers' column as read, by customer, and (row, value) of what was set aside in it."""
    with world.open(**more) as warehouse:
        rows = {str(row["customer_id"]): row[column] for row in staged(warehouse, "customers")}
        issues = [issue for issue in warehouse.issues("customers") if issue.column == column]
        counted = sum(n for name, _, n in report_of(warehouse, "customers").issues if name == column)
        assert counted == len(issues)
        assert adds_up(warehouse, "customers")
    return [rows[f"c{number}"] for number in range(len(rows))], {(issue.row, issue.value) for issue in issues}


# ── ids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ids_keep_their_leading_zeros(world: World) -> None:
    world.add("customers", PEOPLE, [["007", None], ["7", None], ["0", None], [" 08 ", None]])
    with world.open() as warehouse:
        assert [row["customer_id"] for row in staged(warehouse, "customers")] == ["0", "007", "08", "7"]


def test_whole_numbers_are_ids_by_their_digits(typed_world: World) -> None:
    typed_world.add("customers", {"customer_id": "BIGINT"}, [[7], [9007199254740993]])
    with typed_world.open() as warehouse:
        assert [row["customer_id"] for row in staged(warehouse, "customers")] == ["7", "9007199254740993"]


@pytest.mark.parametrize("kind", ["DOUBLE", "DECIMAL(38,0)", "HUGEINT", "UBIGINT"])
def test_numbers_that_are_whole_are_ids_too(tmp_path: Path, kind: str) -> None:
    world = World("duckdb", tmp_path).add("customers", {"customer_id": kind}, [[7], [12]])
    world.add("invoices", {"invoice_id": TEXT, "customer_id": kind}, [["i1", 12]])
    with world.open() as warehouse:
        assert [row["customer_id"] for row in staged(warehouse, "customers")] == ["12", "7"]
        warehouse.stage_rows("invoices", [])
        assert report_of(warehouse, "invoices").unknown == 0


def test_a_broken_number_is_no_id(tmp_path: Path) -> None:
    rows = [[1.0], [1.5], [float("nan")], [float("inf")], [None]]
    world = World("parquet", tmp_path).add("customers", {"customer_id": "DOUBLE"}, rows)
    with world.open() as warehouse:
        assert [row["customer_id"] for row in staged(warehouse, "customers")] == ["1"]
        assert report_of(warehouse, "customers").set_aside == 4
        assert {issue.value for issue in warehouse.issues("customers")} == {"1.5", "nan", "inf", ""}


def test_uuids_and_other_types_are_read_as_text(tmp_path: Path) -> None:
    one = "6ecd8c99-4036-403d-bf84-cf8400f67836"
    world = World("duckdb", tmp_path).add("customers", {"customer_id": "UUID", "tags": "VARCHAR[]"}, [[one, ["a"]]])
    with world.open() as warehouse:
        assert staged(warehouse, "customers")[0]["customer_id"] == one
        assert staged(warehouse, "customers")[0]["tags"] == "[a]"


def test_a_further_column_with_leading_zeros_or_very_long_numbers_stays_text(files: World) -> None:
    people(files, {"zip": TEXT, "client": TEXT, "seats": TEXT}, [["01234", "12345678901234567890", 3], ["9", "1", ""]])
    assert read(files, "zip")[0] == ["01234", "9"]
    assert read(files, "client")[0] == ["12345678901234567890", "1"]
    assert read(files, "seats")[0] == [3, None]


# ── instants ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_instants_written_as_text(world: World) -> None:
    people(world, {"signed_up_at": TEXT}, [[text] for text in INSTANTS])
    assert read(world, "signed_up_at") == (list(INSTANTS.values()), set())


def test_what_is_no_instant_is_set_aside(world: World) -> None:
    people(world, {"signed_up_at": TEXT}, [[text] for text in NO_INSTANTS])
    values, issues = read(world, "signed_up_at")
    assert values == [None] * len(NO_INSTANTS)
    assert issues == {(f"c{number}", text) for number, text in enumerate(NO_INSTANTS)}


def test_typed_instants(typed_world: World) -> None:
    new_york = timezone(timedelta(hours=-5))
    rows = [
        [datetime(2026, 1, 31, 10, 15, 0, 123456), datetime(2026, 1, 31, 10, 15, tzinfo=new_york), date(2026, 1, 31)]
    ]
    people(typed_world, {"signed_up_at": "TIMESTAMP", "consent_at": "TIMESTAMPTZ", "seen_on": "DATE"}, rows)
    with typed_world.open(workspace={"timezone": "UTC"}) as warehouse:
        row = staged(warehouse, "customers")[0]
    assert row["signed_up_at"] == datetime(2026, 1, 31, 10, 15, 0, 123456)
    assert row["consent_at"] == datetime(2026, 1, 31, 15, 15)
    assert row["seen_on"] == datetime(2026, 1, 31)


@pytest.mark.parametrize("kind", ["TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"])
def test_instants_of_other_precision(tmp_path: Path, kind: str) -> None:
    world = people(World("parquet", tmp_path), {"signed_up_at": kind}, [[datetime(2026, 1, 31, 10, 15)], [None]])
    assert read(world, "signed_up_at") == ([datetime(2026, 1, 31, 10, 15), None], set())


def test_counted_instants_in_numeric_columns(tmp_path: Path) -> None:
    rows: list[list[object]] = [[1769854500, 1769854500.25], [1769854500123, float("nan")], [20260131, float("inf")],
                                [0, 0.0], [2**62, 1e300], [-5, -5.0]]  # fmt: skip
    world = people(World("duckdb", tmp_path), {"signed_up_at": "BIGINT", "consent_at": "DOUBLE"}, rows)
    values, issues = read(world, "signed_up_at")
    assert values[:3] == [
        datetime(2026, 1, 31, 10, 15),
        datetime(2026, 1, 31, 10, 15, 0, 123000),
        datetime(2026, 1, 31),
    ]
    assert {row for row, _ in issues} == {"c3", "c4", "c5"}
    values, issues = read(world, "consent_at")
    assert values == [datetime(2026, 1, 31, 10, 15, 0, 250000), None, None, None, None, None]
    assert {row for row, _ in issues} == {"c1", "c2", "c3", "c4", "c5"}


LONDON = {
    "2026-03-29 00:59:59": datetime(2026, 3, 29, 0, 59, 59),
    "2026-03-29 01:00:00": datetime(2026, 3, 29, 1),  # does not exist: the first instant after the gap
    "2026-03-29 01:59:59": datetime(2026, 3, 29, 1),
    "2026-03-29 02:00:00": datetime(2026, 3, 29, 1),
    "2026-03-29 02:30:00": datetime(2026, 3, 29, 1, 30),
    "2026-10-25 00:59:59": datetime(2026, 10, 24, 23, 59, 59),
    "2026-10-25 01:30:00": datetime(2026, 10, 25, 0, 30),  # occurs twice: the first time
    "2026-10-25 02:00:00": datetime(2026, 10, 25, 2),
    "2026-07-01": datetime(2026, 6, 30, 23),
}
"""Wall-clock times of London and their instants, with both days on which the clocks change."""


def test_text_without_an_offset_is_in_the_tables_zone(world: World) -> None:
    offsets = {"2026-07-01T10:00:00Z": datetime(2026, 7, 1, 10), "1769854500": datetime(2026, 1, 31, 10, 15)}
    texts = LONDON | offsets
    people(world, {"signed_up_at": TEXT}, [[text] for text in texts], timezone="Europe/London")
    assert read(world, "signed_up_at") == (list(texts.values()), set())


def test_typed_instants_without_an_offset_are_in_the_tables_zone(typed_world: World) -> None:
    rows = [[datetime.fromisoformat(text), datetime(2026, 7, 1, 10, tzinfo=UTC)] for text in LONDON]
    people(typed_world, {"signed_up_at": "TIMESTAMP", "consent_at": "TIMESTAMPTZ"}, rows, timezone="Europe/London")
    assert read(typed_world, "signed_up_at") == (list(LONDON.values()), set())
    assert read(typed_world, "consent_at") == ([datetime(2026, 7, 1, 10)] * len(LONDON), set())


def test_a_date_in_a_date_like_column_is_local_to_the_customer(world: World) -> None:
    zones = {"a": "Pacific/Auckland", "b": "America/New_York", "c": "Nowhere/Atall", "d": None}
    world.add("customers", PEOPLE | {"timezone": TEXT}, [[key, None, zone] for key, zone in zones.items()])
    columns = {
        "subscription_id": TEXT,
        "customer_id": TEXT,
        "current_period_end": "DATE",
        "started_at": "DATE",
        "ended_at": TEXT,
    }
    day = date(2026, 7, 1)
    rows = [[f"s{key}", key, day, day, "2026-07-01T10:00:00Z" if key == "b" else "2026-07-01"] for key in zones]
    world.add("subscriptions", columns, rows)
    with world.open() as warehouse:
        found = {str(row["customer_id"]): row for row in staged(warehouse, "subscriptions")}
        assert broken(warehouse.issues("customers")) == {("c", "timezone", "Nowhere/Atall")}
    ends = {key: row["current_period_end"] for key, row in found.items()}
    assert ends == {
        "a": datetime(2026, 6, 30, 12), "b": datetime(2026, 7, 1, 4),
        "c": datetime(2026, 6, 30, 23), "d": datetime(2026, 6, 30, 23),  # the workspace's zone, London
    }  # fmt: skip
    assert {row["current_period_end_on"] for row in found.values()} == {day}
    assert {row["started_at"] for row in found.values()} == {datetime(2026, 7, 1)}  # not date-like: the table's zone
    assert found["b"]["ended_at"] == datetime(2026, 7, 1, 10)  # an instant stays one
    assert found["b"]["ended_at_on"] == day


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

MONEY = [
    ("19.99", "EUR", 1999), ("19.9", "eur", 1990), ("20", "USD", 2000), ("-5.00", "USD", -500), (".5", "USD", 50),
    ("1234567.89", "EUR", 123456789), ("500", "JPY", 500), ("500.00", "JPY", 500), ("1.234", "KWD", 1234),
    ("1.2", "KWD", 1200), ("0.00", "EUR", 0), ("12.50", None, 1250), ("90071992547409.91", "EUR", 9007199254740991),
]  # fmt: skip
NO_MONEY = [
    ("19.999", "EUR"), ("0.5", "JPY"), ("1.2345", "KWD"), ("NaN", "EUR"), ("inf", "EUR"), ("1,234.50", "EUR"),
    ("€5", "EUR"), ("5.00", "XQX"), ("", "EUR"), ("0.129999999999999", "EUR"), ("1e2", "EUR"),
    ("99999999999999999999", "EUR"),
]  # fmt: skip

BILLS = {"invoice_id": TEXT, "customer_id": TEXT, "price": TEXT, "currency": TEXT}


def test_decimal_amounts_become_minor_units_exactly(world: World) -> None:
    people(world, {}, [[]])
    offered = [(amount, currency) for amount, currency, _ in MONEY] + NO_MONEY
    rows = [[f"i{number:02}", "c0", amount, currency] for number, (amount, currency) in enumerate(offered)]
    negative = next(number for number, (amount, _) in enumerate(offered) if amount.startswith("-"))
    world.add("invoices", BILLS, rows, columns={"amount": "price"})
    with world.open() as warehouse:
        found = [row["amount_minor"] for row in staged(warehouse, "invoices")]
        issues = {issue.row for issue in warehouse.issues("invoices") if issue.column == "amount_minor"}
        currencies = {issue.value for issue in warehouse.issues("invoices") if issue.column == "currency"}
    expected = [minor if minor >= 0 else None for *_, minor in MONEY]  # what is still due is never negative
    assert found == expected + [None] * len(NO_MONEY)
    set_aside = {f"i{len(MONEY) + number:02}" for number, (amount, _) in enumerate(NO_MONEY) if amount}
    assert issues == set_aside | {f"i{negative:02}"}
    assert currencies == {"XQX"}


def test_typed_decimal_amounts_become_minor_units_exactly(tmp_path: Path) -> None:
    columns = {
        "subscription_id": TEXT,
        "customer_id": TEXT,
        "price": "DECIMAL(18,8)",
        "currency": TEXT,
        "next": "DOUBLE",
    }
    rows: list[list[object]] = [
        ["i0", "c0", Decimal("19.99"), "EUR", 0.1 + 0.2], ["i1", "c0", Decimal("19.99000001"), "EUR", 123456789.01],
        ["i2", "c0", Decimal(500), "JPY", float("nan")], ["i3", "c0", Decimal("1.234"), "KWD", 1.005],
        ["i4", "c0", None, "EUR", 59.96999999999999],
    ]  # fmt: skip
    for engine in ("parquet", "duckdb"):
        folder = tmp_path / engine
        folder.mkdir()
        world = people(World(engine, folder), {}, [[]])
        world.add("subscriptions", columns, rows, columns={"amount": "price", "next_amount": "next"})
        with world.open() as warehouse:
            found = [(row["amount_minor"], row["next_amount_minor"]) for row in staged(warehouse, "subscriptions")]
        assert found == [(1999, 30), (None, 12345678901), (500, None), (1234, 1005), (None, 5997)]


def test_minor_units_are_whole_and_not_negative(world: World) -> None:
    people(world, {}, [[]])
    values = ["1999", "0", "1999.0", "-1", "19.99", "x", "NaN", "1e3", None]
    rows = [[f"i{number}", "c0", value] for number, value in enumerate(values)]
    world.add("invoices", {"invoice_id": TEXT, "customer_id": TEXT, "amount_minor": TEXT}, rows)
    with world.open() as warehouse:
        assert [row["amount_minor"] for row in staged(warehouse, "invoices")] == [1999, 0, 1999] + [None] * 6
        assert {issue.value for issue in warehouse.issues("invoices")} == {"-1", "19.99", "x", "NaN", "1e3"}


def test_month_thirteen_and_scores_out_of_range(world: World) -> None:
    people(world, {}, [[]])
    cards = [["p1", "c0", 12, 27], ["p2", "c0", 13, 2027], ["p3", "c0", 0, 2027], ["p4", "c0", None, 2027]]
    world.add(
        "payment_methods",
        {"payment_method_id": TEXT, "customer_id": TEXT, "exp_month": "INTEGER", "exp_year": "INTEGER"},
        cards,
    )
    answers = [["r1", "c0", 10], ["r2", "c0", 11], ["r3", "c0", -1], ["r4", "c0", None]]
    world.add("responses", {"response_id": TEXT, "customer_id": TEXT, "score": "INTEGER", "at": "TIMESTAMP"},
              [[*answer, AS_OF] for answer in answers])  # fmt: skip
    with world.open() as warehouse:
        assert [row["exp_month"] for row in staged(warehouse, "payment_methods")] == [12, None, None, None]
        assert broken(warehouse.issues("payment_methods")) == {("p2", "exp_month", "13"), ("p3", "exp_month", "0")}
        assert [row["response_id"] for row in staged(warehouse, "responses")] == ["r1"]  # a score is not left out
        assert {issue.row for issue in warehouse.issues("responses")} == {"r2", "r3", "r4"}
        assert report_of(warehouse, "responses").set_aside == 3
        assert adds_up(warehouse, "responses")


def test_booleans(world: World) -> None:
    words = {"true": True, "T": True, "Yes": True, "1": True, "FALSE": False, "n": False, "0": False, "": None}
    people(world, {"consent": TEXT}, [*([word] for word in words), ["maybe"], ["2"]])
    with world.open() as warehouse:
        shown = {str(row["customer_id"]): row["consent"] for row in staged(warehouse, "customers")}
        assert broken(warehouse.issues("customers")) == {("c8", "consent", "maybe"), ("c9", "consent", "2")}
    assert [shown[f"c{number}"] for number in range(10)] == [*words.values(), None, None]


def test_typed_booleans_and_further_numbers(typed_world: World) -> None:
    people(
        typed_world, {"consent": "BOOLEAN", "seats": "INTEGER", "score": "DOUBLE"}, [[True, 3, 0.5], [False, None, 2.0]]
    )
    with typed_world.open() as warehouse:
        found = sorted((row["consent"], row["seats"], row["score"]) for row in staged(warehouse, "customers"))
        types = warehouse.catalog()[""]
    assert found == [(False, None, 2.0), (True, 3, 0.5)]
    assert (types["consent"], types["seats"], types["score"]) == ("bool", "number", "number")


def test_numbers_that_are_none_are_set_aside_in_further_columns(tmp_path: Path) -> None:
    rows: list[list[object]] = [[1.5], [float("nan")], [float("inf")], [None]]
    world = people(World("parquet", tmp_path), {"score": "DOUBLE"}, rows)
    assert read(world, "score") == ([1.5, None, None, None], {("c1", "nan"), ("c2", "inf")})


def test_integers_beyond_64_bits_are_set_aside(tmp_path: Path) -> None:
    people(World("duckdb", tmp_path), {}, [[]])
    columns = {"invoice_id": TEXT, "customer_id": TEXT, "attempt_count": "HUGEINT", "amount_minor": "UBIGINT"}
    world = World("duckdb", tmp_path, tables={"customers": {"table": "customers"}})
    world.add("invoices", columns, [["i1", "c0", 2**100, 2**64 - 1], ["i2", "c0", 3, 5]])
    with world.open() as warehouse:
        found = [(row["attempt_count"], row["amount_minor"]) for row in staged(warehouse, "invoices")]
    assert found == [(None, None), (3, 5)]


def test_text_is_kept_as_it_is(world: World) -> None:
    names = [
        "{{7*7}}",
        "<script>",
        "=cmd|'x'",
        "a\u202eb",
        "👩‍👩‍👧",
        "x" * 10_000,
        "two\nlines",
        'say "hi"',
        "semi;colon,comma",
        "\\N",
        "\\.",
    ]
    people(world, {"name": TEXT}, [[name] for name in names])
    assert read(world, "name") == (names, set())
