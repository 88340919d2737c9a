"""A company of a dozen people in which every condition of every trigger holds for somebody and fails for somebody."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from trigger_world import LONG_AGO, Candidate, rule, rules

from engine.evaluation import Memory

AS_OF = datetime(2026, 11, 22, 9)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def customer(name: str, signed_up: str | None, zone: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "customer_id": name,
        "email": f"{name}@example.com",
        "timezone": zone,
        "plan": "pro",
        "seats": 3,
        "signed_up_at": at(signed_up) if signed_up else None,
        "contract_end": None,
        "vip": None,
        **more,
    }


def event(name: str, what: str, when: str, **more: Any) -> dict[str, Any]:
    return {
        "customer_id": name,
        "name": what,
        "at": at(when),
        "event_id": f"{name}-{what}-{when}",
        "value_minor": None,
        "currency": "EUR",
        "cart": None,
        "items": None,
        "gift": None,
        "seen_at": None,
        **more,
    }


def subscription(name: str, **more: Any) -> dict[str, Any]:
    return {
        "subscription_id": f"s-{name}",
        "customer_id": name,
        "status": "active",
        "plan": "pro",
        "interval": "month",
        "amount_minor": 2900,
        "next_amount_minor": None,
        "currency": "EUR",
        "started_at": at("2026-02-01 10:00"),
        "trial_end": None,
        "current_period_end": None,
        "cancel_at_period_end": False,
        "cancel_requested_at": None,
        "ended_at": None,
        "cancel_reason": None,
        "collection_paused": False,
        "seats": 5,
        **more,
    }


def invoice(number: str, name: str, failed: str, amount: int, code: str | None, **more: Any) -> dict[str, Any]:
    return {
        "invoice_id": number,
        "customer_id": name,
        "subscription_id": None,
        "status": "open",
        "amount_minor": amount,
        "currency": "EUR",
        "failed_at": at(failed),
        "last_failed_at": None,
        "paid_at": None,
        "attempt_count": 2,
        "decline_code": code,
        "hosted_invoice_url": f"https://pay.example.com/{number}",
        "billing_reason": "subscription_cycle",
        "number": number.upper(),
        "product": "Boards",
        "next_attempt_at": None,
        "processing_since": None,
        "stops_on": None,
        "known_since": None,
        **more,
    }


def card(name: str, last4: str, **more: Any) -> dict[str, Any]:
    return {
        "payment_method_id": f"p-{name}",
        "customer_id": name,
        "brand": "visa",
        "last4": last4,
        "exp_month": 12,
        "exp_year": 2030,
        "is_default": True,
        "added_at": at("2026-02-01 10:00"),
        "auto_updated_at": None,
        **more,
    }


def attempt(number: str, when: str, code: str, **more: Any) -> dict[str, Any]:
    return {
        "invoice_id": number,
        "at": at(when),
        "network_advice_code": None,
        "advice_code": None,
        "outcome_reason": None,
        "decline_code": code,
        "error_code": "card_declined",
        "card_country": "DE",
        "last4": None,
        **more,
    }


def change(name: str, when: str, before: int, after: int, **more: Any) -> dict[str, Any]:
    return {
        "subscription_id": f"s-{name}",
        "at": at(when),
        "from_plan": "team",
        "to_plan": "solo",
        "from_amount_minor": before,
        "to_amount_minor": after,
        "by": "app",
        **more,
    }


def response(number: str, name: str, survey: str, score: int, reason: str | None, when: str) -> dict[str, Any]:
    return {
        "response_id": number,
        "customer_id": name,
        "survey": survey,
        "score": score,
        "reason": reason,
        "comment": "hm" if reason else None,
        "at": at(when),
        "device": "phone",
    }


def ticket(number: str, name: str, opened: str, closed: str | None, text: str | None) -> dict[str, Any]:
    return {
        "ticket_id": number,
        "customer_id": name,
        "opened_at": at(opened),
        "closed_at": at(closed) if closed else None,
        "priority": "low",
        "text": text,
        "team": "billing",
    }


TABLES: dict[str, list[dict[str, Any]]] = {
    "customers": [
        customer("ann", "2025-11-20 22:30", "America/New_York", contract_end=date(2027, 1, 31), vip=True),
        customer("bob", "2026-01-05 10:00"),
        customer("cat", "2025-11-21 12:00", "Pacific/Auckland", contract_end=date(2026, 11, 30), vip=False),
        customer("dan", "2026-01-05 10:00"),
        customer("eve", "2026-02-01 08:00"),
        customer("fay", "2026-02-01 08:00"),
        customer("gus", "2026-11-10 15:00"),
        customer("hal", None),
        customer("ivy", "2026-11-22 08:00"),
        customer("joe", "2026-11-12 08:00"),
        customer("kim", "2026-02-01 08:00"),
        customer("lea", "2026-02-01 08:00", email="KIM@example.com "),
    ],
    "events": [
        event("ann", "login", "2026-10-01 07:00"),
        event("ann", "Login", "2026-10-20 12:00"),
        event("bob", "login", "2026-11-21 09:00"),
        event("bob", "login", "2026-11-01 09:00"),
        event("cat", " LOGIN ", "2026-09-01 09:00"),
        event("dan", "login", "2026-08-01 09:00"),
        event("dan", "login", "2026-08-02 09:00"),
        event("eve", "report_shared", "2026-09-30 08:00", value_minor=700),
        event("eve", "ping", "2026-11-20 09:00"),
        event("fay", "report_shared", "2026-11-10 09:00"),
        event("fay", "ping", "2026-11-20 09:00"),
        event("gus", "ping", "2026-11-20 09:00"),
        event("hal", "ping", "2026-11-20 09:00"),
        event("joe", "project_created", "2026-11-12 09:00"),
        # A cart left twice: of the newest event every further column counts, the empty ones too.
        event("bob", "checkout_started", "2026-11-17 20:00", cart="first", items=1, gift=True),
        event(
            "bob",
            "checkout_started",
            "2026-11-18 20:00",
            cart=None,
            items=4,
            gift=False,
            value_minor=1250,
            seen_at=at("2026-11-18 20:00:05"),
        ),
        event("cat", "checkout_started", "2026-11-20 10:00"),
        event("cat", "Export", "2026-11-15 09:00"),
        event("dan", "checkout_started", "2026-11-20 10:00", cart="c"),
        event("dan", "checkout_started", "2026-11-20 11:00"),
        event("dan", "checkout_completed", "2026-11-20 11:05"),
        event("eve", "checkout_started", "2026-11-01 10:00"),
        event("eve", "checkout_started", "2026-11-02 10:00"),
        *(event("fay", "sync", f"2026-11-0{day} 10:00") for day in (1, 2, 3, 4, 5, 9)),
        *(event("fay", "sync", f"2026-11-1{day} 10:00") for day in (0,)),
        *(event("hal", "sync", f"2026-11-0{day} 10:00") for day in (2, 3, 4, 5, 9)),
        *(event("hal", "sync", f"2026-11-1{day} 10:00") for day in (0, 1, 2)),
        *(event("gus", "sync", f"2026-11-0{day} 10:00") for day in (2, 3, 4)),
        *(event("dan", "sync", f"2026-11-0{day} 10:00") for day in (2, 3, 4, 5)),
    ],
    "subscriptions": [
        subscription("ann", current_period_end=date(2026, 12, 1), next_amount_minor=3100),
        subscription(
            "bob",
            current_period_end=date(2026, 12, 5),
            cancel_at_period_end=True,
            cancel_requested_at=at("2026-11-10 12:00"),
            collection_paused=True,
        ),
        subscription("ivy", subscription_id="s-ivy-0", cancel_at_period_end=True),
        subscription("cat", interval="year", current_period_end=date(2026, 12, 9)),
        subscription(
            "dan", ended_at=date(2026, 11, 1), cancel_reason="too_expensive", current_period_end=date(2026, 12, 9)
        ),
        subscription("eve"),
        subscription("fay"),
        subscription("hal"),
        subscription("ivy"),
        subscription("joe"),
        subscription("gus", trial_end=date(2026, 11, 30), plan="team"),
        subscription("eve", subscription_id="s-eve-0", ended_at=date(2026, 1, 1), trial_end=date(2025, 12, 1)),
        subscription("kim", ended_at=date(2026, 10, 1)),
        subscription("kim", subscription_id="s-kim-0", trial_end=date(2025, 11, 20), ended_at=date(2025, 12, 1)),
        subscription("lea", ended_at=date(2026, 10, 2), cancel_reason="payment_failed"),
    ],
    "invoices": [
        invoice("i-ann-0", "ann", "2026-10-10 06:00", 2900, None, status="void"),
        invoice("i-ann-1", "ann", "2026-11-10 06:00", 2900, "expired_card", next_attempt_at=at("2026-11-23 06:00")),
        invoice("i-ann-2", "ann", "2026-11-20 06:00", 1000, None),
        invoice("i-ann-3", "ann", "2026-11-19 06:00", 99, None),
        invoice("i-bob", "bob", "2026-11-15 06:00", 2900, "lost_card", subscription_id="s-bob"),
        invoice("i-cat", "cat", "2026-11-15 06:00", 2900, None),
        invoice("i-dan", "dan", "2026-11-15 06:00", 2900, None, known_since=at("2026-11-22 06:00:01")),
        invoice("i-eve", "eve", "2026-11-15 06:00", 2900, "fraudulent", next_attempt_at=at("2026-11-23 06:00")),
        invoice("i-fay", "fay", "2026-11-15 06:00", 50, None),
        invoice("i-fay-2", "fay", "2026-11-15 06:00", 2900, None, currency="USD"),
        # Written off, before the subscription that gus has now.
        invoice("i-gus-0", "gus", "2026-01-15 06:00", 2900, None, status="uncollectible"),
        invoice("i-gus", "gus", "2026-11-15 06:00", 2900, None, paid_at=at("2026-11-16 06:00")),
        invoice("i-hal", "hal", "2026-11-15 06:00", 2900, None, status="uncollectible", stops_on=date(2026, 12, 1)),
        invoice("i-ivy", "ivy", "2026-11-15 06:00", 2900, None, processing_since=at("2026-11-18 06:00")),
        invoice("i-joe", "joe", "2026-11-15 06:00", 2900, None),
        invoice("i-kim", "kim", "2025-11-21 06:00", 2900, None, subscription_id="s-kim-0"),
        invoice("i-lea", "lea", "2026-09-18 06:00", 2900, "insufficient_funds", subscription_id="s-lea"),
    ],
    "payment_failures": [
        # The reason changed on the 12th: the ladder of the present group counts from there.
        attempt("i-ann-1", "2026-11-10 06:00", "expired_card", last4="4242"),
        attempt("i-ann-1", "2026-11-12 06:00", "insufficient_funds", last4="4242"),
        attempt("i-ann-1", "2026-11-14 06:00", "lost_card", advice_code="try_again_later", last4="0341"),
        attempt("i-eve", "2026-11-15 06:00", "fraudulent", last4="9995"),
        attempt("i-eve", "2026-11-18 06:00", "fraudulent", advice_code="do_not_try_again", last4="9995"),
        attempt("i-hal", "2026-11-15 06:00", "insufficient_funds", last4="1117"),
    ],
    "payment_methods": [
        card("ann", "4242", exp_month=11, exp_year=26),
        card("ann", "5556", payment_method_id="p-ann-2", is_default=False, added_at=at("2026-11-11 10:00")),
        card("cat", "0005", is_default=False, exp_month=11, exp_year=2026),
        card("dan", "1881", added_at=at("2026-11-16 10:00")),
        card("eve", "0077", payment_method_id="p-eve-2", is_default=False, added_at=at("2026-11-16 10:00")),
        card("fay", "3222", auto_updated_at=at("2026-11-20 06:00")),
    ],
    "subscription_changes": [
        change("ann", "2026-06-01 10:00", 2900, 5900),
        change("ann", "2026-11-01 10:00", 5900, 2900),
        change("cat", "2026-10-01 10:00", 5900, 2900),
        change("cat", "2026-11-01 10:00", 2900, 5900),
        change("dan", "2026-10-01 10:00", 5900, 2900),
    ],
    "responses": [
        response("r-1", "ann", "nps", 9, None, "2026-08-01 10:00"),
        response("r-2", "ann", "NPS", 3, "Price", "2026-11-15 10:00"),
        response("r-3", "bob", "nps", 9, "price", "2026-11-15 10:00"),
        response("r-4", "cat", "nps", 0, "price", "2026-11-15 10:00"),
        response("r-5", "dan", "nps", 4, "slow", "2026-11-15 10:00"),
        response("r-6", "dan", "csat", 3, "price", "2026-11-16 10:00"),
    ],
    "tickets": [
        ticket("t-1", "ann", "2026-11-10 10:00", None, "Bitte KÜNDIGEN!"),
        ticket("t-2", "bob", "2026-11-10 10:00", "2026-11-18 10:00", "Please cancel my account."),
        ticket("t-3", "cat", "2026-11-21 10:00", None, "kündigen"),
        ticket("t-4", "dan", "2026-11-10 10:00", None, "unkündigen"),
        ticket("t-5", "eve", "2026-11-23 10:00", None, None),
    ],
    "refunds": [
        {
            "customer_id": "dan",
            "invoice_id": "i-0",
            "amount_minor": 100,
            "at": at("2026-11-02 10:00"),
            "kind": "partial",
        },
        {"customer_id": "eve", "invoice_id": "i-1", "amount_minor": 100, "at": at("2026-11-02 10:00"), "kind": "full"},
    ],
    "disputes": [
        {
            "customer_id": "cat",
            "invoice_id": "i-cat",
            "amount_minor": 2900,
            "at": at("2026-11-16 10:00"),
            "closed_at": None,
            "status": "open",
        }
    ],
}

MEMORY = Memory(
    case_holds=lambda: ["i-joe"],
    case_mails=lambda: [("i-cat", 5), ("i-ann-1", 4)],
    refused_addresses=lambda: ["nobody@example.com"],
    first_run_at=LONG_AGO,
)

QUERY = """
select e.customer_id, 'logins' as occurrence, max(e.at) as anchor, count(*) as logins, 0.5 as share,
    'x' as label, true as seen
from {events} as e where lower(trim(e.name)) = 'login' and e.at < :as_of group by e.customer_id having count(*) >= 2
"""

RULES = rules(
    rule("quiet", "inactivity: {for: 30 days, event: login, min_events: 2}"),
    rule("unused", "unused_feature: {feature: Report_Shared, for: 30 days, active_within: 14 days, min_age: 21 days}"),
    rule(
        "busy",
        "unused_feature: {feature: export, for: 30 days, active_within: 30 days, active_event: login, "
        "min_active_events: 2}",
    ),
    rule(
        "new", "onboarding: {event: project_created, for: 1 day, within: 14 days}", steps="[{after: 3 days, send: m}]"
    ),
    rule("renewal", "renewal_approaching: {interval: month}", steps="[{before: 3 days, send: m}]"),
    rule("card", "card_expiring: {}", steps="[{before: 7 days, send: m}]"),
    rule("trial", "trial_ending: {}", steps="[{before: 3 days, send: m}]"),
    rule("leaving", "cancellation_scheduled: {}"),
    rule("leaving-end", "cancellation_scheduled: {anchor: end}", steps="[{before: 7 days, send: m}]"),
    rule("down", "downgrade: {}"),
    rule("drop", "usage_drop: {event: sync, window: 14 days, by: 60%}"),
    rule("years", "milestone: {every: 1 year}", steps="[{after: 0 days, send: m}]"),
    rule("second-login", "milestone: {event: login, count: 2}"),
    rule("detractor", "survey_score: {survey: nps, at_least: 1, at_most: 6, reason: price}"),
    rule("open-ticket", "ticket: {open_for: 3 days, words: [Kundigen, cancel my account]}"),
    rule("closed-ticket", "ticket: {closed_within: 7 days}", steps="[{after: 1 day, send: m}]"),
    rule("any-ticket", "ticket: {words: account}"),
    rule("unpaid", "payment_failed: {group: soft, min_amount_minor: 100}"),
    rule("unpaid-for-a-person", "payment_failed: {handled_by: person}"),
    rule("lost", "payment_lost: {group: soft}"),
    rule("left", "cancelled: {reason: voluntary, exclude: [refund, dispute]}"),
    rule("abandoned", "event: {name: checkout_started, within: 7 days, unless: checkout_completed, min_count: 2}"),
    rule("contract", "date: {column: customers.contract_end}", steps="[{before: 30 days, send: m}]"),
    rule("yearly", "date: {column: signed_up_at, recurs: yearly}", steps="[{after: 0 days, send: m}]"),
    rule("bill-paid", "date: {column: invoices.paid_at}", steps="[{after: 0 days, send: m}]"),
    rule("asked", "sql: {query: logins.sql}"),
)

DAY = timedelta(days=1)

EXPECTED: dict[str, dict[str, Candidate]] = {
    "quiet": {
        "ann": Candidate(
            "2026-10-20",
            at("2026-11-19 12:00"),
            at("2026-10-20 12:00"),
            {"last_event_at": at("2026-10-20 12:00"), "days_inactive": 32, "events_before": 2},
        ),
    },
    "unused": {
        "bob": Candidate("never", at("2026-01-26 10:00"), None, {"feature": "report_shared", "last_used_at": None}),
        "cat": Candidate("never", at("2025-12-12 12:00"), None, {"feature": "report_shared", "last_used_at": None}),
        "eve": Candidate(
            "2026-09-30",
            at("2026-10-30 08:00"),
            at("2026-09-30 08:00"),
            {"feature": "report_shared", "last_used_at": at("2026-09-30 08:00")},
        ),
    },
    "busy": {"bob": Candidate("never", at("2026-01-05 10:00"), None, {"feature": "export", "last_used_at": None})},
    "new": {
        "gus": Candidate(
            "project_created:2026-11-10",
            at("2026-11-11 15:00"),
            at("2026-11-10 15:00"),
            {"event": "project_created", "signed_up_at": at("2026-11-10 15:00")},
        ),
    },
    "renewal": {
        "ann": Candidate(
            "s-ann:2026-12-01",
            at("2026-12-01 05:00"),
            None,
            {
                "renews_on": date(2026, 12, 1),
                "plan": "pro",
                "amount_minor": 2900,
                "next_amount_minor": 3100,
                "currency": "EUR",
            },
        ),
    },
    "trial": {
        "gus": Candidate(
            "s-gus:2026-11-30", at("2026-11-30 00:00"), None, {"trial_ends_on": date(2026, 11, 30), "plan": "team"}
        ),
    },
    "card": {
        # Midnight in New York.
        "ann": Candidate(
            "p-ann:2026-11",
            at("2026-11-30 05:00"),
            None,
            {
                "brand": "visa",
                "last4": "4242",
                "expires_on": date(2026, 11, 30),
                "next_charge_on": date(2026, 12, 1),
            },
        ),
    },
    "leaving": {
        "bob": Candidate(
            "s-bob:2026-11-10",
            at("2026-11-10 12:00"),
            at("2026-11-10 12:00"),
            {"ends_on": date(2026, 12, 5), "plan": "pro"},
        ),
    },
    "leaving-end": {
        "bob": Candidate(
            "s-bob:2026-11-10",
            at("2026-12-05 00:00"),
            at("2026-11-10 12:00"),
            {"ends_on": date(2026, 12, 5), "plan": "pro"},
        ),
    },
    "down": {
        "ann": Candidate(
            "s-ann:2026-11-01",
            at("2026-11-01 10:00"),
            at("2026-11-01 10:00"),
            {"from_plan": "team", "to_plan": "solo", "from_amount_minor": 5900, "to_amount_minor": 2900},
        ),
    },
    "drop": {
        "fay": Candidate("2026-11-22", at("2026-11-22 00:00"), None, {"before": 5, "now": 2, "change": -60}),
    },
    "years": {
        "ann": Candidate("12 months", at("2026-11-20 05:00"), None, {"years": 1, "months": 12}),
        "cat": Candidate("12 months", at("2026-11-21 11:00"), None, {"years": 1, "months": 12}),
        **{
            name: Candidate("12 months", at(f"{day} 00:00"), None, {"years": 1, "months": 12})
            for day, names in (("2027-01-05", ("bob", "dan")), ("2027-02-01", ("eve", "fay", "kim", "lea")))
            for name in names
        },
    },
    "second-login": {
        name: Candidate("login:2", at(when), None, {"count": 2})
        for name, when in (("ann", "2026-10-20 12:00"), ("bob", "2026-11-21 09:00"), ("dan", "2026-08-02 09:00"))
    },
    "detractor": {
        "ann": Candidate(
            "r-2",
            at("2026-11-15 10:00"),
            None,
            {"score": 3, "reason": "Price", "comment": "hm", "answered_at": at("2026-11-15 10:00")},
        ),
    },
    "open-ticket": {
        "ann": Candidate("t-1", at("2026-11-13 10:00"), None, {"ticket_id": "t-1", "days_open": 11}),
    },
    "closed-ticket": {
        "bob": Candidate("t-2", at("2026-11-18 10:00"), None, {"ticket_id": "t-2", "days_open": 8}),
    },
    "any-ticket": {
        "bob": Candidate("t-2", at("2026-11-10 10:00"), None, {"ticket_id": "t-2", "days_open": 8}),
    },
    "unpaid": {
        "ann": Candidate(
            "i-ann-1:soft",
            at("2026-11-12 06:00"),
            None,
            {
                "invoice_id": "i-ann-1",
                "amount_minor": 3900,
                "currency": "EUR",
                "group": "soft",
                "last4": "0341",
                "pay_url": "https://pay.example.com/i-ann-1",
                "product": "Boards",
                "stops_on": date(2026, 11, 24),
                "open_invoices": 2,
                "invoice_numbers": "I-ANN-1, I-ANN-2",
                "attempt_count": 2,
                "next_attempt_at": at("2026-11-23 06:00"),
                "new_card_last4": "5556",
                "days_left": 2,
                "earlier_failures": 1,
            },
        ),
    },
    "unpaid-for-a-person": {
        "eve": Candidate(
            "i-eve:fraud_suspected",
            at("2026-11-15 06:00"),
            None,
            {
                "invoice_id": "i-eve",
                "group": "fraud",
                "why": "fraud_suspected",
                "new_card_last4": "0077",
                "days_left": 7,
            },
        ),
    },
    "lost": {
        "hal": Candidate(
            "i-hal",
            at("2026-11-29 06:00"),
            None,
            {
                "invoice_id": "i-hal",
                "amount_minor": 2900,
                "currency": "EUR",
                "group": "soft",
                "last4": "1117",
                "pay_url": "https://pay.example.com/i-hal",
                "product": "Boards",
                "stops_on": date(2026, 12, 1),
                "ended_on": date(2026, 12, 1),
                "outcome": "written_off",
            },
        ),
        "lea": Candidate(
            "i-lea",
            at("2026-10-02 00:00"),
            None,
            {
                "invoice_id": "i-lea",
                "stops_on": None,
                "ended_on": date(2026, 10, 2),
                "outcome": "cancelled",
            },
        ),
    },
    "left": {
        "dan": Candidate(
            "s-dan:2026-11-01",
            at("2026-11-01 00:00"),
            at("2026-11-01 00:00"),
            {"ended_on": date(2026, 11, 1), "plan": "pro", "cancel_reason": "too_expensive", "involuntary": False},
        ),
    },
    "abandoned": {
        "bob": Candidate(
            "2026-11-18",
            at("2026-11-18 20:00"),
            at("2026-11-18 20:00"),
            {
                "event_at": at("2026-11-18 20:00"),
                "count": 2,
                "cart": None,
                "items": 4,
                "gift": False,
                "value_minor": 1250,
                "currency": "EUR",
                "seen_at": at("2026-11-18 20:00:05"),
                "event_id": "bob-checkout_started-2026-11-18 20:00",
            },
        ),
    },
    "contract": {
        "ann": Candidate("ann:2027-01-31", at("2027-01-31 05:00"), at("2027-01-31 05:00"), {"on": date(2027, 1, 31)}),
        "cat": Candidate("cat:2026-11-30", at("2026-11-29 11:00"), at("2026-11-29 11:00"), {"on": date(2026, 11, 30)}),
    },
    "yearly": {
        "ann": Candidate("ann:2026-11-20", at("2026-11-20 22:30"), at("2026-11-20 22:30"), {"on": date(2026, 11, 20)}),
        "bob": Candidate("bob:2027-01-05", at("2027-01-05 10:00"), at("2027-01-05 10:00"), {"on": date(2027, 1, 5)}),
        # Half past noon UTC on the 21st was 01:00 on the 22nd in Auckland.
        "cat": Candidate("cat:2026-11-22", at("2026-11-21 12:00"), at("2026-11-21 12:00"), {"on": date(2026, 11, 22)}),
        "dan": Candidate("dan:2027-01-05", at("2027-01-05 10:00"), at("2027-01-05 10:00"), {"on": date(2027, 1, 5)}),
        **{
            name: Candidate(
                f"{name}:2027-02-01", at("2027-02-01 08:00"), at("2027-02-01 08:00"), {"on": date(2027, 2, 1)}
            )
            for name in ("eve", "fay", "kim", "lea")
        },
    },
    "bill-paid": {
        "gus": Candidate(
            "i-gus:2026-11-16", at("2026-11-16 06:00"), at("2026-11-16 06:00"), {"on": date(2026, 11, 16)}
        ),
    },
    "asked": {
        "ann": Candidate(
            "logins", at("2026-10-20 12:00"), None, {"logins": 2, "share": 0.5, "label": "x", "seen": True}
        ),
        "bob": Candidate(
            "logins", at("2026-11-21 09:00"), None, {"logins": 2, "share": 0.5, "label": "x", "seen": True}
        ),
        "dan": Candidate(
            "logins", at("2026-08-02 09:00"), None, {"logins": 2, "share": 0.5, "label": "x", "seen": True}
        ),
    },
}
