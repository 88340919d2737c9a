"""A drop in usage from day to day: it begins with the first mail and is one case for as long as `repeat_after` says."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from run_company import Company

from engine.explain import explain

DROP = """rule: drop
status: active
trigger:
  usage_drop: {event: sync, window: 10 days, min_before: 4}
steps:
  - send: first
  - after: 3 days
    send: second
"""

FIRST_DAY = date(2026, 5, 1)


@pytest.fixture
def shop(company: Company) -> Company:
    """Ann has synchronised twice a day until 24 April and nothing since; runs are at 09:00 London."""
    company.rules = {"drop.yaml": DROP}
    begin = datetime(2026, 4, 11, 12)
    for half_days in range(27):
        company.event("ann", "sync", begin + timedelta(hours=12 * half_days))
    return company


def days_of_mails(shop: Company, days: int) -> list[tuple[int, str]]:
    """(day since the first run, step) of every message."""
    found: list[tuple[int, str]] = []
    for day in range(days):
        before = shop.messages()
        shop.run(FIRST_DAY + timedelta(days=day))
        found += [(day, step) for _, _, step in shop.messages()[len(before) :]]
    return found


def occurrences(shop: Company) -> set[str]:
    return {message.occurrence for message in shop.store.history_of("ann").messages}


def test_a_drop_that_goes_on_is_one_case_with_one_ladder(shop: Company) -> None:
    assert days_of_mails(shop, 8) == [(0, "first"), (3, "second")]
    assert occurrences(shop) == {"2026-05-01"}


def test_the_case_begins_on_the_day_of_the_first_mail_not_of_the_drop(shop: Company) -> None:
    """On a Friday the drop is there, and the rule writes on Mondays only."""
    shop.rules = {"drop.yaml": DROP + "days: [mon]\n"}
    assert days_of_mails(shop, 11) == [(3, "first"), (10, "second")]
    assert occurrences(shop) == {"2026-05-04"}


def back_for_a_while(shop: Company) -> None:
    """Busy again on the days 20 to 25: from day 34 on, for ten days, there is a second drop."""
    for hours in range(0, 6 * 24, 3):
        shop.event("ann", "sync", datetime(2026, 5, 21) + timedelta(hours=hours))


@pytest.mark.parametrize(("repeat_after", "second"), [(30, 34), (34, 34), (35, 35), (38, 38)])
def test_a_drop_that_comes_again_is_a_new_case_once_repeat_after_has_passed(
    shop: Company, repeat_after: int, second: int
) -> None:
    back_for_a_while(shop)
    shop.rules = {"drop.yaml": DROP + f"repeat_after: {repeat_after} days\n"}
    ladder = [(0, "first"), (3, "second")]
    assert days_of_mails(shop, second + 1) == [*ladder, (second, "first")]
    assert occurrences(shop) == {"2026-05-01", str(FIRST_DAY + timedelta(days=second))}


def test_without_repeat_after_the_first_case_is_the_only_one(shop: Company) -> None:
    back_for_a_while(shop)
    shop.rules = {"drop.yaml": DROP + "repeat_after: off\n"}
    assert days_of_mails(shop, 40) == [(0, "first"), (3, "second")]


def test_unless_the_rule_says_otherwise_the_case_lasts_as_long_as_the_window(shop: Company) -> None:
    """After ten days the drop of the first day is still one: half as much in these ten days as in those before."""
    for day in range(10):
        shop.event("ann", "sync", datetime(2026, 5, 1, 12) + timedelta(days=day))
    assert [day for day, step in days_of_mails(shop, 12) if step == "first"] == [0]


def test_corrected_events_begin_no_second_case(shop: Company) -> None:
    shop.run(FIRST_DAY)
    shop.events = [(customer, name, at + timedelta(hours=1)) for customer, name, at in shop.events[5:]]
    for day in (1, 2):
        shop.run(FIRST_DAY + timedelta(days=day))
    assert len(shop.messages()) == 1


def test_a_finished_day_run_again_sends_nothing(shop: Company) -> None:
    shop.run(FIRST_DAY)
    shop.run(FIRST_DAY, again=True)
    assert [step for _, _, step in shop.messages()] == ["first"]


def test_who_could_not_be_written_to_yet_is_when_it_is_possible(shop: Company) -> None:
    """The case is not used up by days on which nothing was settled."""
    shop.customers[0]["email"] = ""
    assert days_of_mails(shop, 2) == []
    shop.customers[0]["email"] = "ann@example.com"
    shop.run(FIRST_DAY + timedelta(days=2))
    assert occurrences(shop) == {"2026-05-03"}


def test_a_customer_who_never_used_it_can_be_explained(shop: Company) -> None:
    """Nothing before means no change in per cent, and no division by nothing."""
    shop.customer("idle")
    explained = explain(shop.project(), shop.store, "idle", FIRST_DAY)
    assert [rule.rule.id for rule in explained.rules] == ["drop"]
