"""Random companies on every engine: the SQL and the row-by-row evaluator must find the same, to the microsecond."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from random_world import MOMENTS, RandomWorld
from trigger_oracle import Answer as Expected
from trigger_oracle import Oracle
from trigger_world import Answer, Engine, project, rule, rules

from engine.evaluation import Memory

WORLDS = int(os.environ.get("HOLDFAST_WORLDS", str(len(MOMENTS))))
BEFORE, AFTER = "[{before: 3 days, send: m}]", "[{after: 3 days, send: m}]"
EVERYONE = "scope: everyone"

CASES: dict[str, tuple[str, str, str, Callable[[Oracle], Expected]]] = {
    # rule: (trigger, further lines, steps, what it must find)
    "quiet-any": ("inactivity: {for: 30 days}", "", "", lambda o: o.inactivity(for_="30 days")),
    "quiet-login": (
        "inactivity: {for: 7 days, event: LogIn, min_events: 2}",
        EVERYONE,
        "",
        lambda o: o.inactivity(for_="7 days", event=["login"], min_events=2, everyone=True),
    ),
    "quiet-list": (
        "inactivity: {for: 2 weeks, event: [login, report_shared], min_events: 3}",
        EVERYONE,
        "",
        lambda o: o.inactivity(for_="2 weeks", event=["login", "report_shared"], min_events=3, everyone=True),
    ),
    "quiet-hours": (
        "inactivity: {for: 24 hours, event: ping}",
        EVERYONE,
        "",
        lambda o: o.inactivity(for_="24 hours", event=["ping"], everyone=True),
    ),
    "unused": (
        "unused_feature: {feature: report_shared, for: 30 days}",
        "",
        "",
        lambda o: o.unused_feature(feature="report_shared", for_="30 days"),
    ),
    "unused-active": (
        "unused_feature: {feature: report_shared, for: 7 days, active_within: 14 days, min_age: 21 days}",
        EVERYONE,
        "",
        lambda o: o.unused_feature(
            feature="report_shared", for_="7 days", active_within="14 days", min_age="21 days", everyone=True
        ),
    ),
    "unused-busy": (
        "unused_feature: {feature: ping, for: 14 days, active_within: 30 days, active_event: login, "
        "min_active_events: 2}",
        EVERYONE,
        "",
        lambda o: o.unused_feature(
            feature="ping",
            for_="14 days",
            active_within="30 days",
            active_event=["login"],
            min_active_events=2,
            everyone=True,
        ),
    ),
    "new": (
        "onboarding: {event: report_shared, for: 1 day, within: 14 days}",
        EVERYONE,
        AFTER,
        lambda o: o.onboarding(event=["report_shared"], for_="1 day", within="14 days", everyone=True),
    ),
    "new-default": (
        "onboarding: {event: [ping, Report_Shared], for: 7 days}",
        "",
        AFTER,
        lambda o: o.onboarding(event=["ping", "report_shared"], for_="7 days"),
    ),
    "renewal": ("renewal_approaching: {}", "", BEFORE, lambda o: o.renewal_approaching()),
    "renewal-yearly": (
        "renewal_approaching: {interval: year}",
        "",
        BEFORE,
        lambda o: o.renewal_approaching(interval="year"),
    ),
    "trial": ("trial_ending: {}", "", BEFORE, lambda o: o.trial_ending()),
    "card": ("card_expiring: {}", "", BEFORE, lambda o: o.card_expiring()),
    "left": ("cancelled: {}", "", AFTER, lambda o: o.cancelled()),
    "left-by-choice": (
        "cancelled: {reason: voluntary, exclude: [refund, dispute]}",
        "",
        AFTER,
        lambda o: o.cancelled(reason="voluntary", exclude=["refund", "dispute"]),
    ),
    "left-by-accident": (
        "cancelled: {reason: involuntary, exclude: refund}",
        "",
        AFTER,
        lambda o: o.cancelled(reason="involuntary", exclude=["refund"]),
    ),
    "did": ("event: {name: login}", "", "", lambda o: o.event(name="login")),
    "abandoned": (
        "event: {name: Checkout_Started, within: 7 days, unless: checkout_completed}",
        "",
        "",
        lambda o: o.event(name="checkout_started", within="7 days", unless="checkout_completed"),
    ),
    "often": (
        "event: {name: login, within: 30 days, min_count: 3}",
        "",
        "",
        lambda o: o.event(name="login", within="30 days", min_count=3),
    ),
    "born": (
        "date: {column: customers.born_on}",
        "",
        AFTER,
        lambda o: o.date(table="customers", column="born_on", key="customer_id"),
    ),
    "birthday": (
        "date: {column: born_on, recurs: yearly}",
        "",
        AFTER,
        lambda o: o.date(table="customers", column="born_on", key="customer_id", yearly=True),
    ),
    "checked": (
        "date: {column: checked_at}",
        "",
        BEFORE,
        lambda o: o.date(table="customers", column="checked_at", key="customer_id"),
    ),
    "checked-yearly": (
        "date: {column: checked_at, recurs: yearly}",
        "",
        BEFORE,
        lambda o: o.date(table="customers", column="checked_at", key="customer_id", yearly=True),
    ),
    "bill-paid": (
        "date: {column: invoices.paid_at}",
        "",
        AFTER,
        lambda o: o.date(table="invoices", column="paid_at", key="invoice_id"),
    ),
    "unpaid": ("payment_failed: {}", "", "", lambda o: o.payment_failed()),
    "unpaid-soft": ("payment_failed: {group: soft}", "", "", lambda o: o.payment_failed(group=["soft"])),
    "unpaid-large": (
        "payment_failed: {group: [hard, details, authentication, wish-to-stop], min_amount_minor: 900}",
        "",
        "",
        lambda o: o.payment_failed(group=["hard", "details", "authentication", "wish-to-stop"], min_amount_minor=900),
    ),
    "unpaid-person": (
        "payment_failed: {handled_by: person, min_amount_minor: 400}",
        "",
        "",
        lambda o: o.payment_failed(handled_by="person", min_amount_minor=400),
    ),
    "unpaid-person-soft": (
        "payment_failed: {handled_by: person, group: soft}",
        "",
        "",
        lambda o: o.payment_failed(handled_by="person", group=["soft"]),
    ),
    "lost": ("payment_lost: {}", "", "", lambda o: o.payment_lost()),
    "lost-hard": (
        "payment_lost: {group: [hard, details]}",
        "",
        "",
        lambda o: o.payment_lost(group=["hard", "details"]),
    ),
    "leaving": ("cancellation_scheduled: {}", "", "", lambda o: o.cancellation_scheduled()),
    "leaving-end": (
        "cancellation_scheduled: {anchor: end}",
        "",
        BEFORE,
        lambda o: o.cancellation_scheduled(anchor="end"),
    ),
    "down": ("downgrade: {}", "", "", lambda o: o.downgrade()),
    "drop": (
        "usage_drop: {event: login, window: 7 days, min_before: 1}",
        "",
        "",
        lambda o: o.usage_drop(event=["login"], window="7 days", min_before=1),
    ),
    "drop-far": (
        "usage_drop: {event: [ping, Login, report_shared], window: 30 days, by: 33%, min_before: 2}",
        EVERYONE,
        "",
        lambda o: o.usage_drop(
            event=["ping", "login", "report_shared"], window="30 days", by="33%", min_before=2, everyone=True
        ),
    ),
    "months-since": ("milestone: {every: 1 month}", "", AFTER, lambda o: o.milestone(months=1)),
    "quarters-since": ("milestone: {every: 3 months}", "", BEFORE, lambda o: o.milestone(months=3)),
    "years-since": ("milestone: {every: 1 year}", "", AFTER, lambda o: o.milestone(months=12)),
    "third": ("milestone: {event: login, count: 3}", "", "", lambda o: o.milestone(event=["login"], count=3)),
    "fourth": (
        "milestone: {event: [Ping, login], count: 4}",
        "",
        "",
        lambda o: o.milestone(event=["ping", "login"], count=4),
    ),
    "detractor": ("survey_score: {survey: NPS, at_most: 6}", "", "", lambda o: o.survey_score(survey="nps", at_most=6)),
    "promoter": (
        "survey_score: {survey: nps, at_least: 9}",
        "",
        "",
        lambda o: o.survey_score(survey="nps", at_least=9),
    ),
    "reasoned": (
        "survey_score: {survey: csat, at_least: 1, at_most: 7, reason: [Price, too slow]}",
        "",
        "",
        lambda o: o.survey_score(survey="csat", at_least=1, at_most=7, reason=["price", "too slow"]),
    ),
    "open-ticket": ("ticket: {open_for: 3 days}", "", "", lambda o: o.ticket(open_for="3 days")),
    "closed-ticket": ("ticket: {closed_within: 7 days}", "", AFTER, lambda o: o.ticket(closed_within="7 days")),
    "words": (
        "ticket: {words: [kündigen, too slow, straße, σίσυφος]}",
        "",
        "",
        lambda o: o.ticket(words=["kündigen", "too slow", "straße", "σίσυφος"]),
    ),
    "open-words": (
        "ticket: {open_for: 1 day, words: [Crème brulee, refund]}",
        "",
        "",
        lambda o: o.ticket(open_for="1 day", words=["Crème brulee", "refund"]),
    ),
}

FACTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "logins": ("{count: login, within: 30 days}", ("count", ["login"], "30 days")),
    "both": ("{count: [login, ping], within: 7 days}", ("count", ["login", "ping"], "7 days")),
    "spent": ("{sum: [login, checkout_started], within: 90 days}", ("sum", ["login", "checkout_started"], "90 days")),
    "busy_days": ("{distinct_days: login, within: 14 days}", ("distinct_days", ["login"], "14 days")),
    "first_ping": ("{first: ping}", ("first", ["ping"])),
    "last_ping": ("{last: ping, within: 21 days}", ("last", ["ping"], "21 days")),
}

ALL_RULES = rules(
    *(rule(name, trigger, more, steps=steps or "[{send: m}]") for name, (trigger, more, steps, _) in CASES.items()),
    rule(
        "facts",
        "inactivity: {for: 1 minute}",
        f"{EVERYONE}\nfacts:\n" + "\n".join(f"  {name}: {text}" for name, (text, _) in FACTS.items()),
    ),
)


@dataclass(frozen=True)
class Judged:
    """A world, and what the row-by-row evaluator says of it."""

    world: RandomWorld
    oracle: Oracle
    expected: dict[str, dict[str, list[tuple[Any, ...]]]]


@cache
def judged(seed: int) -> Judged:
    world = RandomWorld(seed)
    oracle = Oracle(world.tables, world.as_of, world.workspace_zone, world.remembered)
    return Judged(world, oracle, {name: in_order(expected(oracle)) for name, (*_, expected) in CASES.items()})


def in_order(expected: Expected) -> dict[str, list[tuple[Any, ...]]]:
    return {customer: sorted(ones, key=lambda one: one[0]) for customer, ones in expected.items()}


def plain(found: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Candidates in the oracle's form."""
    return {
        customer: sorted((one.occurrence, one.anchor, one.rests_at, dict(one.facts)) for one in ones)
        for customer, ones in found.items()
    }


def difference(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Each customer whose candidates differ, in words."""
    return [
        f"{customer}: found {found.get(customer)}\n   expected {expected.get(customer)}"
        for customer in sorted({*found, *expected})
        if found.get(customer) != expected.get(customer)
    ]


@pytest.mark.parametrize("seed", range(WORLDS))
def test_engines_find_what_the_row_by_row_evaluator_finds(engine: Engine, seed: int, tmp_path: Path) -> None:
    if seed and len(MOMENTS) >= WORLDS and engine.name == "sqlite":
        pytest.skip("read as text like CSV, which has every world")
    one = judged(seed)
    engine.load(one.world.tables, tmp_path)
    known = one.world.remembered
    page = f"dunning: {{pay_page: '{known.pay_page}'}}" if known.pay_page else ""
    loaded = project(engine, one.world.tables, ALL_RULES, tmp_path, zone=one.world.workspace_zone, settings=page)
    memory = Memory(
        case_holds=lambda: known.on_hold, case_mails=known.mails.items, refused_addresses=lambda: known.refused,
        first_run_at=known.first_run_at,
    )  # fmt: skip
    answer = Answer(loaded, one.world.as_of, memory=memory)
    faults = [f"{name} {line}" for name in CASES for line in difference(plain(answer[name]), one.expected[name])]
    for customer, (candidate,) in answer["facts"].items():
        for name, (_, question) in FACTS.items():
            expected = one.oracle.fact(customer, *question)
            if candidate.facts[name] != expected:
                faults.append(f"fact {name} of {customer}: {candidate.facts[name]}, expected {expected}")
    assert not faults, f"{len(faults)} differ:\n" + "\n".join(faults[:8])


@pytest.mark.parametrize("name", CASES)
def test_the_worlds_are_varied_enough_to_tell(name: str) -> None:
    """Every rule finds somebody and leaves somebody out, over all worlds together."""
    found = [set(judged(seed).expected[name]) for seed in range(WORLDS)]
    assert any(found)
    assert any(len(one) < len(judged(seed).world.ids) for seed, one in enumerate(found))
