"""Random companies: whatever the tables say, every failed invoice is counted once, and money adds up."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dunning_company import AS_OF, SINCE, Sent, invoice, make_company, on, remember
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GROUPS = ("soft", "hard", "details", "fraud", "nobody")
MOMENTS = st.integers(0, 200).map(lambda half_days: datetime(2026, 3, 25) + timedelta(hours=12 * half_days))

CASES = st.fixed_dictionaries({
    "failed_at": MOMENTS, "paid_at": st.none() | MOMENTS, "amount": st.integers(0, 5000),
    "status": st.sampled_from(["paid", "open", "void", "uncollectible", None]),
    "currency": st.sampled_from(["EUR", "JPY", "KWD"]), "group": st.sampled_from(GROUPS),
    "paid_minor": st.none() | st.just(0) | st.integers(1, 5000), "ended_over_it": st.booleans(),
    "reason": st.sampled_from([None, "subscription_cycle", "subscription_create"]),
    "refund": st.none() | st.tuples(MOMENTS, st.sampled_from([1, 2500, 5000])), "disputed_at": st.none() | MOMENTS,
    "mails": st.lists(st.tuples(MOMENTS, st.sampled_from(["accepted", "cancelled"])), max_size=2),
    "held_out": st.booleans(), "shares_customer": st.booleans(),
})  # fmt: skip


def outcome(case: Mapping[str, Any]) -> str | None:
    """What became of an invoice, case by case, as a person would say it; None: no failed payment of a customer's."""
    failed, paid_at = case["failed_at"], case["paid_at"]
    if failed >= AS_OF or case["reason"] == "subscription_create" or case["group"] == "nobody":
        return None
    if paid_at is not None and paid_at < failed:
        return None
    if (paid_at is not None and paid_at < AS_OF) or (paid_at is None and case["status"] == "paid"):
        money = case["amount"] if case["paid_minor"] is None else case["paid_minor"]
        if case["paid_minor"] == 0:
            return "credit"
        return "reversed" if paid_at and _came_back(case, paid_at, money) else "recovered"
    if case["amount"] == 0:
        return None
    ended = "lost" if case["ended_over_it"] else "open"
    return {"void": "voided", "uncollectible": "lost"}.get(case["status"], ended)


def _came_back(case: Mapping[str, Any], paid_at: datetime, money: int) -> bool:
    def in_time(at: datetime) -> bool:
        return paid_at <= at < min(paid_at + timedelta(days=30), AS_OF)

    refund, disputed_at = case["refund"], case["disputed_at"]
    return bool((refund and in_time(refund[0]) and refund[1] >= money) or (disputed_at and in_time(disputed_at)))


def money_of(case: Mapping[str, Any]) -> int:
    if outcome(case) in {"recovered", "reversed", "credit"}:
        return int(case["amount"] if case["paid_minor"] is None else case["paid_minor"])
    return int(case["amount"])


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CASES, min_size=1, max_size=25))
def test_every_failed_invoice_is_counted_in_exactly_one_outcome_and_money_adds_up(world: list[dict[str, Any]]) -> None:
    invoices, tables, sent = [], {"refunds": [], "disputes": [], "subscriptions": []}, []
    for number, case in enumerate(world):
        name = f"i{number}"
        customer = "c-i0" if case["shares_customer"] else f"c-{name}"
        invoices.append(invoice(
            name, case["failed_at"], group=case["group"], amount=case["amount"], paid_at=case["paid_at"],
            status=case["status"], currency=case["currency"], paid_minor=case["paid_minor"],
            billing_reason=case["reason"], customer_id=customer,
        ))  # fmt: skip
        tables["subscriptions"].append({
            "subscription_id": f"s-{name}", "customer_id": customer,
            "ended_at": on("03-26") if case["ended_over_it"] else None,
            "cancel_reason": "payment_failed" if case["ended_over_it"] else None,
        })  # fmt: skip
        if case["refund"]:
            tables["refunds"].append(
                {
                    "customer_id": customer,
                    "invoice_id": name,
                    "at": case["refund"][0],
                    "amount_minor": case["refund"][1],
                }
            )
        if case["disputed_at"]:
            tables["disputes"].append(
                {"customer_id": customer, "invoice_id": name, "at": case["disputed_at"], "status": "open"}
            )
        arm = "control" if case["held_out"] else "treated"
        sent += [
            Sent(name, "soft", step, at, arm=arm, state=state)
            for step, (at, state) in zip(("first", "second"), case["mails"], strict=False)
        ]
    with tempfile.TemporaryDirectory() as folder:
        company = make_company(
            Path(folder), {"invoices": invoices, **{name: rows for name, rows in tables.items() if rows}}
        )
        remember(company, *sent)
        found, cases = company.look()

    counted = [case for case in world if outcome(case) and SINCE <= case["failed_at"] < AS_OF]
    assert {name: tally.invoices for name, tally in found.outcomes.items() if tally.invoices} == Counter(
        map(outcome, counted)
    )
    money: dict[str, Counter[str]] = {}
    for case in counted:
        money.setdefault(str(outcome(case)), Counter())[case["currency"]] += money_of(case)
    for name, tally in found.outcomes.items():
        assert dict(tally.money) == {code: n for code, n in money.get(name, {}).items() if n}, name
    assert sum((Counter(tally.money) for tally in found.outcomes.values()), Counter()) == Counter(found.opened.money)
    assert sum(tally.invoices for tally in found.outcomes.values()) == found.opened.invoices
    for parts in (found.recoveries, found.cards.values()):
        assert sum(one.invoices for one in parts) == found.outcomes["recovered"].invoices
        assert sum((Counter(one.money) for one in parts), Counter()) == Counter(found.outcomes["recovered"].money)
    assert sum(sum(one.outcomes.values()) for one in found.groups) == found.opened.invoices
    assert sum(one.recovered for one in found.steps) == sum(one.invoices for one in found.recoveries if one.mails)
    assert sum(one.mails for one in found.steps) == found.mails
    still = [case for case in world if outcome(case) == "open"]
    assert sum(one.invoices for one in cases.values()) == len(still)
    owed: Counter[str] = Counter()
    for case in still:
        owed[case["currency"]] += case["amount"]
    assert Counter(found.open.money) == owed
