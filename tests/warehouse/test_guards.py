"""Tables that are not believed: they hold the rules that read them in a run, and are only reported elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from engine.run import RunReport
from engine.warehouse.guards import Doubt, believed_rows, doubts
from engine.warehouse.staging import TableReport
from tests.run.run_company import CONFIG, QUIET, Company
from tests.warehouse.warehouse_world import AS_OF, settings_of

EVENTS = {"customers": {"path": "c.csv"}, "events": {"path": "e.csv"}}


def judged(rows: int, before: int | None, *, age_h: float = 0, **settings: object) -> list[str]:
    """Reasons to doubt an events table of so many usable rows."""
    tables = EVENTS | {"events": EVENTS["events"] | settings}
    report = TableReport("events", rows, newest=AS_OF - timedelta(hours=age_h) if rows else None)
    given = settings_of(tables, max_age={"events": "48 hours"})
    return [
        doubt.reason for doubt in doubts({"events": report}, {} if before is None else {"events": before}, given, AS_OF)
    ]


@pytest.mark.parametrize(
    ("rows", "before", "reasons"),
    [
        (0, None, []), (0, 0, []), (0, 1, ["empty_table"]), (0, 5_000, ["empty_table"]), (1, 999, []),
        (800, 1_000, []), (799, 1_000, ["shrunk_table"]), (8_000, 10_000, []), (7_999, 10_000, ["shrunk_table"]),
        (5_000, None, []), (20_000, 10_000, []),
    ],
)  # fmt: skip
def test_a_table_that_lost_rows_is_not_believed(rows: int, before: int | None, reasons: list[str]) -> None:
    assert judged(rows, before) == reasons


def test_shrink_off_allows_fewer_rows_but_not_none() -> None:
    assert judged(10, 10_000, shrink="off") == []
    assert judged(0, 10_000, shrink="off") == ["empty_table"]


@pytest.mark.parametrize(("age_h", "reasons"), [(0.1, []), (48, []), (48.001, ["stale_table"])])
def test_a_table_without_new_facts_is_not_believed(age_h: float, reasons: list[str]) -> None:
    assert judged(5, 5, age_h=age_h) == reasons


def test_a_table_can_be_doubted_twice() -> None:
    assert judged(100, 10_000, age_h=100) == ["shrunk_table", "stale_table"]


def test_rows_that_cannot_be_used_do_not_count() -> None:
    report = TableReport("events", 5_000, set_aside=5_000)
    (doubt,) = doubts({"events": report}, {"events": 5_000}, settings_of(EVENTS), AS_OF)
    assert doubt.reason == "empty_table"
    assert "none of its 5,000 rows can be used" in doubt.text


@pytest.mark.parametrize(
    ("rows", "before", "shrink", "kept"),
    [
        (100, 5_000, None, 5_000),
        (0, 5_000, None, 5_000),
        (0, 5, None, 0),
        (0, 5_000, "off", 0),
        (4_500, 5_000, None, 4_500),
    ],
)
def test_a_large_table_stays_in_doubt_until_its_rows_are_back(
    rows: int, before: int, shrink: str | None, kept: int
) -> None:
    tables = EVENTS | {"events": EVENTS["events"] | ({"shrink": shrink} if shrink else {})}
    reports, given = {"events": TableReport("events", rows)}, settings_of(tables)
    found = doubts(reports, {"events": before}, given, AS_OF)
    assert believed_rows(reports, {"events": before}, found, given) == {"events": kept}


# ── in a run ────────────────────────────────────────────────────────────────────────────────────────────────────────

BIRTHDAY = """rule: hello
status: active
trigger:
  date: {column: signed_up_at}
steps:
  - {after: 0 days, send: first}
"""
DAY = date(2026, 5, 5)


@pytest.fixture
def shop(tmp_path: Path) -> Company:
    """Ann, Di and Ed become silent a day apart; Cy has 1,500 events; each day somebody signs up."""
    company = Company(tmp_path, rules={"quiet.yaml": QUIET, "hello.yaml": BIRTHDAY})
    for name, silent_since in (("ann", 1), ("cy", None), ("di", 5), ("ed", 6)):
        company.customer(name, signed_up_at="")
        if silent_since:
            company.event(name, "login", datetime(2026, 4, silent_since, 20))
    for number in range(1_500):
        company.event("cy", "login", datetime(2026, 5, 1) + timedelta(minutes=number))
    return company


def run(shop: Company, day: date) -> tuple[RunReport, dict[str, set[tuple[str, str]]]]:
    """The day's run, and each rule's outcomes with their reasons."""
    shop.customer(f"new{day:%d}", signed_up_at=str(day - timedelta(days=1)))
    report = shop.run(day)
    found: dict[str, set[tuple[str, str]]] = {}
    for rule, outcome, reason, _ in report.counts:
        found.setdefault(rule, set()).add((outcome, reason))
    return report, found


def held_by(found: Mapping[str, set[tuple[str, str]]], rule: str) -> set[str]:
    """Why a rule was held."""
    return {reason for _, reason in found.get(rule, ()) if reason.endswith("_table")}


def test_a_run_holds_exactly_the_rules_that_read_a_shrunken_table(shop: Company) -> None:
    report, found = run(shop, DAY)
    assert (report.doubts, held_by(found, "quiet"), held_by(found, "hello")) == ([], set(), set())
    assert [(rule, step) for _, rule, step in shop.messages()] == [("quiet", "first"), ("hello", "first")]
    whole, shop.events = shop.events, shop.events[:300]

    for days in (1, 2):  # and not for one day only
        report, found = run(shop, DAY + timedelta(days=days))
        assert [(doubt.table, doubt.reason) for doubt in report.doubts] == [("events", "shrunk_table")]
        assert held_by(found, "quiet") == {"shrunk_table"}
        assert held_by(found, "hello") == set()
        assert "send" in {outcome for outcome, _ in found["hello"]}
    shop.events = whole
    assert ("di", "quiet", "first") not in shop.messages()
    report, found = run(shop, DAY + timedelta(days=3))
    assert (report.doubts, held_by(found, "quiet")) == ([], set())
    assert {("di", "quiet", "first"), ("ed", "quiet", "first")} <= set(shop.messages())  # waiting was not lateness


def test_shrink_off_makes_the_smaller_table_the_believed_one(shop: Company) -> None:
    run(shop, DAY)
    shop.events = shop.events[:300]
    shop.config = CONFIG.replace("{path: events.csv}", "{path: events.csv, shrink: off}")
    report, found = run(shop, DAY + timedelta(days=1))
    assert (report.doubts, held_by(found, "quiet")) == ([], set())
    shop.config = CONFIG
    assert run(shop, DAY + timedelta(days=2))[0].doubts == []


def test_an_empty_or_wholly_broken_table_holds_its_rules(shop: Company) -> None:
    run(shop, DAY)
    shop.events = []
    report, found = run(shop, DAY + timedelta(days=1))
    assert [(doubt.table, doubt.reason) for doubt in report.doubts] == [("events", "empty_table")]
    assert held_by(found, "hello") == set()


def test_a_stale_table_holds_the_rules_that_read_it(shop: Company) -> None:
    shop.config = CONFIG.replace("{events: off}", "{events: 48 hours}")
    report, found = run(shop, DAY)
    assert [(doubt.table, doubt.reason) for doubt in report.doubts] == [("events", "stale_table")]
    assert held_by(found, "quiet") == {"stale_table"}
    assert held_by(found, "hello") == set()
    assert "hello" in {rule for _, rule, _ in shop.messages()}
    assert "quiet" not in {rule for _, rule, _ in shop.messages()}


def test_a_plan_reports_the_doubt_and_holds_nothing(shop: Company) -> None:
    run(shop, DAY)
    shop.events, shop.config = shop.events[:300], CONFIG.replace("{events: off}", "{events: 48 hours}")
    plan = shop.project().plan(DAY + timedelta(days=1), store=shop.store)
    assert [doubt.reason for doubt in plan.doubts] == ["shrunk_table", "stale_table"]
    assert not {reason for _, _, reason, _ in plan.counts()} & {"shrunk_table", "stale_table"}
    plan.close()


def test_a_schedule_that_does_not_read_a_table_does_not_forget_its_rows(shop: Company) -> None:
    shop.config = CONFIG + 'schedules: {daily: "09:00", noon: "12:00"}\n'
    shop.rules["hello.yaml"] = BIRTHDAY + "schedule: noon\n"
    run(shop, DAY)
    from engine.run import daily_run

    project = shop.project()
    at_noon = project.instant(DAY, "noon")
    daily_run(project, shop.store, "noon", DAY, at_noon, at_noon)
    shop.events = shop.events[:300]
    report, _ = run(shop, DAY + timedelta(days=1))
    assert [(doubt.table, doubt.reason) for doubt in report.doubts] == [("events", "shrunk_table")]


def test_every_doubt_says_what_is_wrong() -> None:
    report = TableReport("events", 100, newest=AS_OF - timedelta(days=3))
    given = settings_of(EVENTS, max_age={"events": "48 hours"})
    texts = {doubt.reason: doubt.text for doubt in doubts({"events": report}, {"events": 2_000}, given, AS_OF)}
    assert texts == {
        "shrunk_table": "events has 100 usable rows and had 2,000 at the last run that was believed",
        "stale_table": "the newest fact of events is 72 hours old; allowed are 48 hours",
    }
    assert Doubt("events", "stale_table", "x").table == "events"
