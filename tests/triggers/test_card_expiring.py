"""`card_expiring`: which card, which charge, and the last valid day in every calendar there is."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from trigger_world import Answer, CsvFiles, Engine, project, rule

AS_OF = datetime(2026, 11, 22, 9)
MICROSECOND = timedelta(microseconds=1)

Row = dict[str, Any]


def card(name: str, month: int | None = 11, year: int | None = 26, **more: Any) -> Row:
    return {
        "payment_method_id": f"p-{name}",
        "customer_id": name,
        "exp_month": month,
        "exp_year": year,
        "is_default": True,
        "added_at": datetime(2026, 1, 1),
        **more,
    }


def plan(name: str, charge: date | datetime | None = date(2026, 12, 1), **more: Any) -> Row:
    return {
        "subscription_id": f"s-{name}",
        "customer_id": name,
        "status": "active",
        "started_at": datetime(2026, 1, 1),
        "ended_at": None,
        "current_period_end": charge,
        "cancel_requested_at": None,
        "cancel_at_period_end": None,
        **more,
    }


CASES: list[tuple[str, list[Row], list[Row], bool]] = [
    # what, cards, subscriptions, found
    ("charged-on-the-last-valid-day", [card("a")], [plan("a", date(2026, 11, 30))], False),
    ("charged-on-the-day-after", [card("a")], [plan("a", date(2026, 12, 1))], True),
    ("expired-last-month", [card("a", 10)], [plan("a")], True),
    ("valid-for-another-month", [card("a", 12)], [plan("a")], False),
    ("a-year-of-four-digits", [card("a", 11, 2026)], [plan("a")], True),
    ("a-year-of-one-digit-is-of-this-century", [card("a", 11, 0)], [plan("a")], True),
    ("a-year-of-three-digits-is-none", [card("a", 11, 150)], [plan("a")], False),
    ("month-13", [card("a", 13)], [plan("a")], False),
    ("no-month", [card("a", None)], [plan("a")], False),
    ("no-year", [card("a", 11, None)], [plan("a")], False),
    ("not-the-default", [card("a", is_default=False)], [plan("a")], False),
    ("nobody-knows-whether-it-is-the-default", [card("a", is_default=None)], [plan("a")], False),
    ("replaced", [card("a"), card("a", 12, 30, payment_method_id="new", added_at=datetime(2026, 2, 1))], [plan("a")], False),
    ("replaced-by-one-without-expiry", [card("a"), card("a", None, payment_method_id="new", added_at=AS_OF - MICROSECOND)], [plan("a")], False),
    ("replaced-tomorrow", [card("a"), card("a", 12, 30, payment_method_id="new", added_at=AS_OF)], [plan("a")], True),
    ("one-of-unknown-age-is-the-older", [card("a"), card("a", 12, 30, payment_method_id="q", added_at=None)], [plan("a")], True),
    ("the-only-one-of-unknown-age", [card("a", added_at=None)], [plan("a")], True),
    ("told-twice", [card("a"), card("a")], [plan("a"), plan("a")], True),
    ("no-subscription", [card("a")], [plan("other")], False),
    ("no-coming-charge", [card("a")], [plan("a", None)], False),
    ("charged-this-instant", [card("a", 10)], [plan("a", AS_OF)], True),
    ("charged-just-before", [card("a", 10)], [plan("a", AS_OF - MICROSECOND)], False),
    ("set-to-cancel", [card("a")], [plan("a", cancel_at_period_end=True)], False),
    ("set-to-cancel-this-instant", [card("a")], [plan("a", cancel_requested_at=AS_OF)], True),
    ("ended", [card("a")], [plan("a", ended_at=AS_OF - MICROSECOND)], False),
    ("ends-this-instant", [card("a")], [plan("a", ended_at=AS_OF)], True),
    ("starts-this-instant", [card("a")], [plan("a", started_at=AS_OF)], False),
    ("another-subscription-is-charged-later", [card("a")], [plan("a", date(2026, 11, 25)), plan("a", date(2027, 3, 1), subscription_id="2")], True),
]  # fmt: skip


def world(cards: list[Row], plans: list[Row], zone: str = "UTC") -> dict[str, list[Row]]:
    names = dict.fromkeys(row["customer_id"] for row in (*cards, *plans))
    return {
        "customers": [{"customer_id": name, "timezone": zone} for name in names],
        "payment_methods": cards,
        "subscriptions": plans,
    }


def everybody() -> dict[str, list[Row]]:
    """Each case as a customer of its own."""

    def mine(rows: list[Row], name: str) -> list[Row]:
        keys = ("customer_id", "payment_method_id", "subscription_id")
        return [{**row, **{key: f"{name}-{row[key]}" for key in keys if key in row}} for row in rows]

    return world(*([row for name, *ones, _ in CASES for row in mine(ones[place], name)] for place in (0, 1)))


@pytest.fixture(scope="module")
def answer(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    folder = tmp_path_factory.mktemp(engine.name)
    engine.load(everybody(), folder)
    text = rule("r", "card_expiring: {}", steps="[{before: 7 days, send: m}]")
    return Answer(project(engine, everybody(), text, folder), AS_OF)


@pytest.mark.parametrize(("name", "found"), [pytest.param(case[0], case[-1], id=case[0]) for case in CASES])
def test_a_card_is_found_when_it_expires_before_the_charge(answer: Answer, name: str, found: bool) -> None:
    assert len(answer["r"].get(f"{name}-a", [])) == found


def expiring(
    tmp_path: Path, month: int, year: int, charge: date | datetime, zone: str, **more: Any
) -> tuple[str, datetime]:
    engine, tables = CsvFiles(), world([card("ann", month, year)], [plan("ann", charge, **more)], zone)
    engine.load(tables, tmp_path)
    text = rule("r", "card_expiring: {}", steps="[{before: 7 days, send: m}]")
    ((one,),) = Answer(project(engine, tables, text, tmp_path), AS_OF)["r"].values()
    return one.occurrence, one.anchor


@pytest.mark.parametrize(
    ("month", "year", "zone", "anchor"),
    [
        (2, 28, "UTC", datetime(2028, 2, 29)),
        (2, 27, "UTC", datetime(2027, 2, 28)),
        (12, 26, "Pacific/Auckland", datetime(2026, 12, 30, 11)),
        (4, 27, "Africa/Cairo", datetime(2027, 4, 29, 22)),  # its clocks jump from midnight to 01:00 that day
        (10, 27, "Atlantic/Azores", datetime(2027, 10, 31, 0)),  # midnight comes twice that day
    ],
)
def test_the_anchor_is_the_beginning_of_the_last_valid_day(
    tmp_path: Path, month: int, year: int, zone: str, anchor: datetime
) -> None:
    found = expiring(tmp_path, month, year, date(2029, 1, 1), zone)
    assert found == (f"p-ann:20{year}-{month:02}", anchor)


def test_the_charge_falls_on_the_date_the_customer_sees(tmp_path: Path) -> None:
    """20:00 UTC on the last of November is the first of December in Auckland."""
    charge = datetime(2026, 11, 30, 20)
    assert expiring(tmp_path, 11, 26, charge, "Pacific/Auckland") == ("p-ann:2026-11", datetime(2026, 11, 29, 11))


def test_own_columns_named_like_facts_do_not_get_in_the_way(tmp_path: Path) -> None:
    tables = world([card("ann", expires_on="soon", next_charge_on="later")], [plan("ann")])
    engine = CsvFiles()
    engine.load(tables, tmp_path)
    text = rule("r", "card_expiring: {}", steps="[{before: 7 days, send: m}]")
    ((one,),) = Answer(project(engine, tables, text, tmp_path), AS_OF, further="all")["r"].values()
    assert (one.facts["expires_on"], one.facts["next_charge_on"]) == (date(2026, 11, 30), date(2026, 12, 1))
