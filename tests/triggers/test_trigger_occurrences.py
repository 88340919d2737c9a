"""Golden occurrences. They are part of every message key and of what the state remembers.

CHANGING A LINE OF THIS TABLE IS A DATA MIGRATION: without one, every customer a rule has written to is new to it and is
written to again.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from trigger_world import Answer, CsvFiles, project, rule, rules

AS_OF = datetime(2026, 11, 22, 9)
LATE = datetime(2026, 10, 1, 23, 59, 59, 999999)  # already the 2nd in Auckland, where the customer lives

TABLES: dict[str, list[dict[str, Any]]] = {
    "customers": [
        {
            "customer_id": "Ann 7",
            "timezone": "Pacific/Auckland",
            "signed_up_at": LATE,
            "contract_end": date(2027, 2, 28),
            "seen_at": datetime(2026, 12, 1, 20),
            "born_on": date(2000, 2, 29),
        },
    ],
    "events": [
        {"customer_id": "Ann 7", "name": "Login", "at": LATE},
        {"customer_id": "Ann 7", "name": "cart", "at": LATE},
    ],
    "subscriptions": [
        {
            "subscription_id": "sub_X:1",
            "customer_id": "Ann 7",
            "interval": "month",
            "trial_end": datetime(2026, 12, 1, 20),
            "current_period_end": datetime(2026, 12, 31, 20),
            "ended_at": None,
            "cancel_reason": None,
            "started_at": None,
            "cancel_requested_at": None,
            "cancel_at_period_end": False,
        },
        {"subscription_id": "sub_Y", "customer_id": "Ann 7", "cancel_requested_at": LATE},
        {
            "subscription_id": "sub_Z",
            "customer_id": "Ann 7",
            "cancel_at_period_end": True,
            "current_period_end": datetime(2026, 12, 31, 20),
        },
    ],
    "subscription_changes": [
        {"subscription_id": "sub_X:1", "at": LATE, "from_amount_minor": 900, "to_amount_minor": 500},
    ],
    "responses": [{"response_id": "r 1", "customer_id": "Ann 7", "survey": "nps", "score": 3, "at": LATE}],
    "tickets": [
        {"ticket_id": "T-9", "customer_id": "Ann 7", "opened_at": LATE, "closed_at": None},
        {"ticket_id": "T-10", "customer_id": "Ann 7", "opened_at": LATE, "closed_at": datetime(2026, 11, 21)},
    ],
    "invoices": [
        {
            "invoice_id": "in_1",
            "customer_id": "Ann 7",
            "amount_minor": 100,
            "currency": "EUR",
            "failed_at": LATE,
            "decline_code": "insufficient_funds",
            "paid_at": None,
        },
        {
            "invoice_id": "in_2",
            "customer_id": "Ann 7",
            "amount_minor": 100,
            "currency": "USD",
            "failed_at": LATE,
            "decline_code": "stop_payment_order",
            "paid_at": None,
        },
        {
            "invoice_id": "in_3",
            "customer_id": "Ann 7",
            "amount_minor": 100,
            "currency": "EUR",
            "failed_at": LATE,
            "decline_code": "expired_card",
            "paid_at": datetime(2026, 11, 1, 20),
        },
        {
            "invoice_id": "in_4",
            "customer_id": "Ann 7",
            "amount_minor": 100,
            "currency": "GBP",
            "failed_at": LATE,
            "decline_code": "insufficient_funds",
            "paid_at": None,
            "status": "uncollectible",
        },
    ],
    "payment_methods": [
        {"payment_method_id": "pm_1", "customer_id": "Ann 7", "exp_month": 12, "exp_year": 26, "is_default": True},
    ],
}

GOLDEN = [
    # trigger with its parameters, occurrences
    ("inactivity: {for: 30 days, event: login}", ["2026-10-01"]),
    ("inactivity: {for: 4 weeks}", ["2026-10-01"]),
    ("unused_feature: {feature: login, for: 30 days}", ["2026-10-01"]),
    ("unused_feature: {feature: export, for: 30 days}", ["never"]),
    ("onboarding: {event: Project Created, for: 1 day, within: 60 days}", ["project created:2026-10-01"]),
    ("onboarding: {event: [b, A], for: 1 day, within: 60 days}", ["b+a:2026-10-01"]),
    ("renewal_approaching: {}", ["sub_X:1:2027-01-01"]),
    ("renewal_approaching: {interval: month}", ["sub_X:1:2027-01-01"]),
    ("trial_ending: {}", ["sub_X:1:2026-12-02"]),
    ("card_expiring: {}", ["pm_1:2026-12"]),
    ("cancellation_scheduled: {}", ["sub_Y:2026-10-01"]),
    ("cancellation_scheduled: {anchor: end}", ["sub_Z:unknown"]),
    ("downgrade: {}", ["sub_X:1:2026-10-01"]),
    ("usage_drop: {event: [login, cart], window: 30 days, min_before: 2}", ["2026-11-22"]),
    ("milestone: {every: 2 months}", ["2 months"]),
    ("milestone: {event: login, count: 1}", ["login:1"]),
    ("milestone: {event: [Cart, Login], count: 2}", ["cart+login:2"]),
    ("survey_score: {survey: nps}", ["r 1"]),
    ("ticket: {open_for: 3 days}", ["T-9"]),
    ("ticket: {closed_within: 7 days}", ["T-10"]),
    ("payment_failed: {}", ["in_1:soft", "in_2:wish-to-stop"]),
    ("payment_failed: {group: soft}", ["in_1:soft"]),
    ("payment_failed: {handled_by: person}", ["in_1:no_address", "in_2:no_address"]),
    ("payment_lost: {}", ["in_4"]),
    ("event: {name: login}", ["2026-10-01"]),
    ("event: {name: login, within: 60 days, unless: export}", ["2026-10-01"]),
    ("date: {column: customers.contract_end}", ["Ann 7:2027-02-28"]),
    ("date: {column: contract_end, recurs: none}", ["Ann 7:2027-02-28"]),
    ("date: {column: seen_at}", ["Ann 7:2026-12-02"]),
    ("date: {column: born_on, recurs: yearly}", ["Ann 7:2027-02-28"]),
    ("date: {column: invoices.paid_at}", ["in_3:2026-11-02"]),
    ("sql: {query: q.sql}", ["as the query says"]),
]

DATED = (
    "card_expiring",
    "cancellation_scheduled: {anchor",
    "milestone: {every",
    "renewal_approaching",
    "trial_ending",
    "date",
)


def written(number: int, trigger: str) -> str:
    steps = "[{before: 1 day, send: m}]" if trigger.startswith(DATED) else "[{send: m}]"
    return rule(f"r{number}", trigger, "scope: everyone", steps=steps)


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    folder, engine = tmp_path_factory.mktemp("golden"), CsvFiles()
    engine.load(TABLES, folder)
    query = {"rules/q.sql": "select customer_id, 'as the query says' as occurrence, :as_of as anchor from customers"}
    text = rules(*(written(number, trigger) for number, (trigger, _) in enumerate(GOLDEN)))
    return Answer(project(engine, TABLES, text, folder, files=query), AS_OF)


@pytest.mark.parametrize(("number", "expected"), [(n, expected) for n, (_, expected) in enumerate(GOLDEN)])
def test_occurrences_are_written_as_they_always_were(answer: Answer, number: int, expected: list[str]) -> None:
    assert [one.occurrence for one in answer[f"r{number}"]["Ann 7"]] == expected


def test_the_occurrence_of_an_end_is_the_utc_date(tmp_path: Path) -> None:
    engine, tables = CsvFiles(), {**TABLES}
    tables["subscriptions"] = [{**TABLES["subscriptions"][0], "ended_at": LATE}]
    engine.load(tables, tmp_path)
    found = Answer(project(engine, tables, rule("r", "cancelled: {}"), tmp_path), AS_OF)["r"]
    assert [one.occurrence for one in found["Ann 7"]] == ["sub_X:1:2026-10-01"]
