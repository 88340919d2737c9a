"""What a rule adds to its trigger: `where`, steps' `where`, `facts`, `exit_when`, `goal`, `scope`, `sent()`."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from trigger_world import Answer, CsvFiles, Engine, project, rule, rules

from engine.evaluation import Memory

AS_OF = datetime(2026, 11, 22, 9)


def ago(days: float) -> datetime:
    return AS_OF - timedelta(days=days)


def person(name: str, **more: Any) -> dict[str, Any]:
    return {
        "customer_id": name,
        "plan": "pro",
        "country": "GB",
        "mrr_minor": 1000,
        "tags": None,
        "joined": ago(100),
        **more,
    }


def plan(number: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "subscription_id": number,
        "customer_id": name,
        "plan": "team",
        "amount_minor": 2900,
        "seats": 5,
        "status": "active",
        "started_at": ago(100),
        "ended_at": None,
        **more,
    }


TABLES: dict[str, list[dict[str, Any]]] = {
    "customers": [
        person("ann"),
        person("bob", plan="free", country="DE", joined=ago(30) + timedelta(microseconds=1)),
        person("nil", plan=None, country=None, mrr_minor=None, joined=None),
        person("two"),
        person("out"),
        person("pct", tags="50%_off"),
        person("day", joined=ago(30)),
    ],
    "events": [
        *(
            {"customer_id": name, "name": "login", "at": ago(40), "value_minor": 100, "currency": "EUR", "page": "home"}
            for name in ("ann", "bob", "nil", "two", "out", "pct", "day")
        ),
        {"customer_id": "ann", "name": "Order", "at": ago(20), "value_minor": 500, "currency": "EUR", "page": "shop"},
        {"customer_id": "ann", "name": "order", "at": ago(10), "value_minor": 250, "currency": "EUR", "page": None},
        {"customer_id": "bob", "name": "order", "at": ago(35), "value_minor": 250, "currency": "EUR", "page": "shop"},
        {"customer_id": "bob", "name": "stop", "at": ago(10), "value_minor": None, "currency": None, "page": None},
        {
            "customer_id": "two",
            "name": "stop",
            "at": ago(10) - timedelta(microseconds=1),
            "value_minor": None,
            "currency": None,
            "page": None,
        },
        {"customer_id": "pct", "name": "stop", "at": AS_OF, "value_minor": None, "currency": None, "page": None},
    ],
    "subscriptions": [
        plan("s-ann", "ann"),
        plan("s-bob", "bob", plan="solo", seats=1, amount_minor=None),
        # The newest has no plan: null is its plan, not the older one's.
        plan("s-two-1", "two", started_at=ago(300), plan="old", seats=9),
        plan("s-two-2", "two", started_at=ago(2), plan=None, seats=2),
        plan("s-out", "out", ended_at=ago(3)),
        plan("s-nil", "nil", started_at=None, plan="ancient"),
        plan("s-nil-2", "nil", plan="dated"),
    ],
    "invoices": [
        {
            "invoice_id": "i-ann",
            "customer_id": "ann",
            "amount_minor": 900,
            "currency": "EUR",
            "failed_at": ago(5),
            "paid_at": None,
            "billing_reason": "subscription_cycle",
            "product": "Boards",
            "due_on": date(2026, 12, 1),
        },
        {
            "invoice_id": "i-bob",
            "customer_id": "bob",
            "amount_minor": 900,
            "currency": "EUR",
            "failed_at": ago(5),
            "paid_at": None,
            "billing_reason": None,
            "product": None,
            "due_on": None,
        },
        {
            "invoice_id": "i-bob-0",
            "customer_id": "bob",
            "amount_minor": 0,
            "currency": "EUR",
            "failed_at": None,
            "paid_at": ago(7),
            "billing_reason": "manual",
            "product": None,
            "due_on": None,
        },
        {
            "invoice_id": "i-ann-0",
            "customer_id": "ann",
            "amount_minor": 0,
            "currency": "EUR",
            "failed_at": None,
            "paid_at": ago(8),
            "billing_reason": "subscription_cycle",
            "product": None,
            "due_on": None,
        },
        {
            "invoice_id": "i-ann-9",
            "customer_id": "ann",
            "amount_minor": 0,
            "currency": "EUR",
            "failed_at": None,
            "paid_at": AS_OF,
            "billing_reason": "subscription_cycle",
            "product": None,
            "due_on": None,
        },
    ],
}

QUIET = "inactivity: {for: 30 days, event: login}"
EVERYBODY = {"ann", "bob", "nil", "two", "out", "pct", "day"}

WHERE: dict[str, tuple[str, set[str]]] = {
    "plan = 'pro'": ("an unknown plan is not 'pro'", EVERYBODY - {"bob", "nil"}),
    "plan <> 'pro'": ("and not something else either", {"bob"}),
    "not plan = 'pro'": ("`not` of unknown is unknown", {"bob"}),
    "plan is null": ("only `is null` finds it", {"nil"}),
    "plan is not null": ("and `is not null` the others", EVERYBODY - {"nil"}),
    "coalesce(country, '') <> 'DE'": ("coalesce gives it a value", EVERYBODY - {"bob"}),
    "country in ('DE', 'GB')": ("unknown is in no list", EVERYBODY - {"nil"}),
    "country not in ('DE')": ("and outside of none", EVERYBODY - {"bob", "nil"}),
    "plan = 'pro' or mrr_minor is null": ("one true side is enough", EVERYBODY - {"bob"}),
    "plan = 'pro' or country = 'DE'": ("two unknown sides are not", EVERYBODY - {"nil"}),
    "mrr_minor between 500 and 1000": ("bounds belong to between", EVERYBODY - {"nil"}),
    "mrr_minor / 0 > 1": ("division by zero is unknown", set()),
    "tags like '50\\%%'": ("a pattern is a pattern", set()),
    "tags like '50%'": ("and matches from the start", {"pct"}),
    "upper(lower(plan)) = 'PRO' and length(country) = 2": ("functions of text", EVERYBODY - {"bob", "nil"}),
    "days_since(joined) >= 30": (
        "whole days of 24 hours: a microsecond less than 30 days is 29",
        EVERYBODY - {"bob", "nil"},
    ),
    "days_since(joined) = 29": ("which it is", {"bob"}),
    "joined < date '2026-10-23'": ("a date is its midnight", EVERYBODY - {"bob", "nil", "day"}),
    "subscription.plan = 'team'": ("the subscription in service", {"ann"}),
    "subscription.plan is null": ("none, or the newest has none", {"two", "out", "pct", "day"}),
    "subscription.seats = 2": ("the newest of several", {"two"}),
    "subscription.plan = 'dated'": ("one with a start counts as newer than one without", {"nil"}),
    "subscription.in_service": ("what is worked out about it", {"ann", "bob", "nil", "two"}),
    "subscription.subscription_id is null": ("null without a subscription", {"out", "pct", "day"}),
    "fact.days_inactive = 40": ("a fact of the trigger", EVERYBODY),
    "fact.events_before > 1": ("another", set()),
    "fact.last_event_at < date '2026-10-14'": ("an instant", EVERYBODY),
    "sent('other')": ("whom another rule has written to", {"ann", "bob"}),
    "not sent('other')": ("and whom not", EVERYBODY - {"ann", "bob"}),
    "sent('nobody')": ("a rule that wrote to nobody", set()),
    "fact.orders = 2": ("a count of its own", {"ann"}),
    "fact.orders = 0": ("which is 0 for those without any", EVERYBODY - {"ann"}),
    "fact.spent = 750": ("a sum", {"ann"}),
    "fact.spent = 0": ("0 as well", EVERYBODY - {"ann"}),
    "fact.first_order < date '2026-11-03' and fact.last_order >= date '2026-11-12'": ("first and last", {"ann"}),
    "fact.first_order is null": ("null for those without", EVERYBODY - {"ann", "bob"}),
    "fact.order_days = 2": ("different days", {"ann"}),
}

FACTS = """scope: everyone
facts:
  orders: {count: ORDER, within: 30 days}
  spent: {sum: order, within: 30 days}
  first_order: {first: order}
  last_order: {last: order, within: 30 days}
  order_days: {distinct_days: order, within: 30 days}
"""


def named(number: int, where: str) -> str:
    return rule(f"w{number}", QUIET, f'{FACTS}where: "{where}"'.replace("\\", "\\\\"))


RULES = rules(
    *(named(number, where) for number, where in enumerate(WHERE)),
    rule("other", QUIET, FACTS),
    rule("nobody", QUIET, FACTS),
    rule("scoped", QUIET),
    rule(
        "steps",
        QUIET,
        "scope: everyone",
        steps="[{send: m, where: \"plan = 'pro'\"}, {after: 2 days, send: n}, "
        "{id: third, after: 4 days, send: n, where: \"country <> 'DE'\"}]",
    ),
    rule("stopped", QUIET, "scope: everyone\nexit_when: {event: STOP}"),
    rule("stopped-by-words", QUIET, "scope: everyone\nexit_when: \"plan = 'free'\""),
    rule("goal-event", QUIET, "scope: everyone\ngoal: {event: [order, stop], within: 7 days}"),
    rule("goal-paid", QUIET, "scope: everyone\ngoal: {paid: true, within: 7 days}"),
    rule("goal-renewed", QUIET, "scope: everyone\ngoal: {renewed: true, within: 7 days}"),
    rule("goal-service", QUIET, "scope: everyone\ngoal: {in_service: true, within: 7 days}"),
    rule(
        "bill",
        "payment_failed: {}",
        "where: \"fact.product = 'Boards' and fact.amount_minor >= 900 and fact.due_on > date '2026-11-30'\"",
    ),
    rule("bill-else", "payment_failed: {}", "where: fact.product is null"),
    rule("shop", "event: {name: order}", "where: fact.page is null"),
    rule("shop-older", "event: {name: order}", "where: fact.page = 'shop' and fact.value_minor = 250"),
)


@pytest.fixture(scope="module")
def answer(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    folder = tmp_path_factory.mktemp(engine.name)
    engine.load(TABLES, folder)
    loaded = project(engine, TABLES, RULES, folder)
    return Answer(loaded, AS_OF, memory=Memory(lambda rule_id: {"other": ["ann", "bob", "stranger"]}.get(rule_id, ())))


@pytest.mark.parametrize("number", [pytest.param(n, id=why) for n, (why, _) in enumerate(WHERE.values())])
def test_where(answer: Answer, number: int) -> None:
    where, (_, expected) = list(WHERE.items())[number]
    assert set(answer[f"w{number}"]) == expected, where


def test_only_customers_in_service_are_found_unless_the_rule_says_everyone(answer: Answer) -> None:
    assert set(answer["scoped"]) == {"ann", "bob", "nil", "two"}
    assert set(answer["other"]) == EVERYBODY


def test_a_step_fails_where_its_condition_is_not_true(answer: Answer) -> None:
    """Bit k for step k; unknown is not true, a step without a condition never fails."""
    bits = {customer: one.failing_steps for customer, (one,) in answer["steps"].items()}
    assert bits == {**dict.fromkeys(EVERYBODY, 0b000), "bob": 0b101, "nil": 0b101}


def test_an_event_at_or_after_the_anchor_ends_the_ladder(answer: Answer) -> None:
    """The anchor is ten days ago; one stopped then, one a microsecond before, one only now."""
    assert {customer for customer, (one,) in answer["stopped"].items() if one.ended} == {"bob"}


def test_an_expression_ends_the_ladder(answer: Answer) -> None:
    assert {customer for customer, (one,) in answer["stopped-by-words"].items() if one.ended} == {"bob"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("goal-event", {"ann": ago(10), "bob": ago(10), "two": ago(10) - timedelta(microseconds=1)}),
        ("goal-paid", {"ann": ago(8), "bob": ago(7)}),
        ("goal-renewed", {"ann": ago(8)}),
        ("goal-service", {"ann": ago(100), "bob": ago(100), "two": ago(2), "nil": ago(100)}),
        ("other", {}),
    ],
)
def test_goals_are_dated_by_the_last_time_they_were_reached(
    answer: Answer, name: str, expected: dict[str, datetime]
) -> None:
    assert {customer: one.goal_at for customer, (one,) in answer[name].items() if one.goal_at} == expected


def test_every_further_column_of_the_row_is_a_fact(answer: Answer) -> None:
    assert set(answer["bill"]) == {"ann"}
    assert set(answer["bill-else"]) == {"bob"}


def test_columns_of_an_event_are_those_of_the_newest_one(answer: Answer) -> None:
    """An empty column of the newest event stays empty; an older event does not lend its value."""
    assert set(answer["shop"]) == {"ann"}
    assert set(answer["shop-older"]) == {"bob"}


def test_a_rule_may_ask_about_one_customer_only(tmp_path: Path) -> None:
    engine = CsvFiles()
    engine.load(TABLES, tmp_path)
    answer = Answer(project(engine, TABLES, rule("r", QUIET, FACTS), tmp_path), AS_OF, customer_ids=["ann"])
    assert set(answer["r"]) == {"ann"}
    assert answer["r"]["ann"][0].facts["orders"] == 2
