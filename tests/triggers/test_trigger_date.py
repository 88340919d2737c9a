"""The `date` trigger over columns of every kind, and what it cannot count from."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from trigger_world import Answer, CsvFiles, Engine, Found, problems, project, rule

AS_OF = datetime(2026, 11, 22, 9)

TABLES: dict[str, list[dict[str, Any]]] = {
    "customers": [
        {"customer_id": "ann", "timezone": "Pacific/Auckland", "plan": "pro", "seats": 3, "vip": True,
         "contract_end": "2026-12-01", "born_on": date(2000, 2, 29), "checked_at": datetime(2026, 1, 15, 11, 30)},
        {"customer_id": "bob", "timezone": None, "plan": "pro", "seats": 4, "vip": False,
         "contract_end": "next week", "born_on": None, "checked_at": None},
        {"customer_id": "cat", "timezone": "Europe/London", "plan": "pro", "seats": None, "vip": None,
         "contract_end": None, "born_on": None, "checked_at": datetime(2026, 3, 28, 12)},
    ],
    "events": [{"customer_id": "ann", "name": "login", "at": datetime(2026, 11, 1), "expires_at": datetime(2026, 12, 1)}],
    "refunds": [
        {"customer_id": "ann", "at": datetime(2026, 11, 1, 5), "kind": "full"},
        {"customer_id": "ann", "at": datetime(2026, 11, 1, 4), "kind": "partial"},
        {"customer_id": "ann", "at": datetime(2026, 11, 3), "kind": "partial"},
    ],
    "payment_failures": [{"invoice_id": "i", "at": datetime(2026, 11, 1)}],
}  # fmt: skip


def found(tmp_path: Path, parameters: str, as_of: datetime = AS_OF, engine: Engine | None = None) -> Found:
    engine = engine or CsvFiles()
    engine.load(TABLES, tmp_path)
    text = rule("r", f"date: {{{parameters}}}", steps="[{before: 1 day, send: m}]")
    return Answer(project(engine, TABLES, text, tmp_path), as_of)["r"]


def test_a_column_of_text_is_read_as_dates_and_what_is_none_is_set_aside(engine: Engine, tmp_path: Path) -> None:
    """One broken cell makes a whole CSV column look like text; the rule says what it holds."""
    ((customer, (one,)),) = found(tmp_path, "column: contract_end", engine=engine).items()
    assert (customer, one.occurrence, one.anchor) == ("ann", "ann:2026-12-01", datetime(2026, 11, 30, 11))


def test_rows_without_an_id_of_their_own_are_one_candidate_a_day(tmp_path: Path) -> None:
    """Both of the 1st are the same occurrence: the earlier counts."""
    ones = found(tmp_path, "column: refunds.at")["ann"]
    assert [(one.occurrence, one.anchor) for one in ones] == [
        ("ann:2026-11-01", datetime(2026, 11, 1, 4)),
        ("ann:2026-11-03", datetime(2026, 11, 3)),
    ]


@pytest.mark.parametrize(
    ("as_of", "day"),
    [
        (datetime(2026, 11, 22), date(2027, 2, 28)),
        (datetime(2027, 11, 22), date(2028, 2, 29)),
        (datetime(2026, 8, 29), date(2026, 2, 28)),  # 182 days ago; the next is 183 ahead
        (datetime(2026, 8, 30), date(2027, 2, 28)),  # 183 days ago; the next is 182 ahead
        (datetime(2027, 8, 29), date(2027, 2, 28)),  # 182 days ago; the next is 184 ahead
        (datetime(2027, 8, 30), date(2027, 2, 28)),  # 183 either way: the earlier
        (datetime(2027, 8, 31), date(2028, 2, 29)),
    ],
)
def test_the_nearest_anniversary_counts_and_29_february_comes_back(tmp_path: Path, as_of: datetime, day: date) -> None:
    assert found(tmp_path, "column: born_on, recurs: yearly", as_of)["ann"][0].occurrence == f"ann:{day}"


def test_an_anniversary_keeps_the_time_on_the_customers_clock(tmp_path: Path) -> None:
    """Noon in London: a day before the clocks went forward, and the year after, on that day."""
    (one,) = found(tmp_path, "column: checked_at, recurs: yearly", datetime(2027, 3, 10))["cat"]
    assert (one.occurrence, one.anchor) == ("cat:2027-03-28", datetime(2027, 3, 28, 11))


def test_the_day_itself_is_no_anniversary(tmp_path: Path) -> None:
    assert found(tmp_path, "column: checked_at, recurs: yearly", datetime(2026, 3, 30)) == {}


def test_its_date_is_the_one_the_customer_sees(tmp_path: Path) -> None:
    """Half past eleven on the 15th, UTC, is the 16th in Auckland."""
    assert found(tmp_path, "column: checked_at")["ann"][0].occurrence == "ann:2026-01-16"


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("plan", '"plan" of customers is text'),
        ("customers.seats", '"seats" of customers is a number'),
        ("vip", '"vip" of customers is true or false'),
        ("contract_ends", '"contract_ends" of customers, which is not there'),
        ("events.expires_at", "does not count from events"),
        ("payment_failures.at", 'the column "customer_id" of payment_failures'),
        ("bills.paid_at", 'there is no table "bills"'),
        ("invoices.paid_at", "the table invoices, which is not mapped"),
    ],
)
def test_what_it_cannot_count_from_is_refused(tmp_path: Path, column: str, words: str) -> None:
    engine = CsvFiles()
    engine.load(TABLES, tmp_path)
    text = rule("r", f"date: {{column: {column}}}", steps="[{before: 1 day, send: m}]")
    (problem,) = problems(project(engine, TABLES, text, tmp_path), AS_OF)
    assert problem.code in {"HF605", "HF606"}
    assert words in problem.found
