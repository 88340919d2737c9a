"""What Stripe's events mean, however they come: twice, in any order, of another account, in words nobody knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from billing_company import StripeCompany
from stripe import WebhookSignature
from stripe_things import (
    Thing,
    at,
    bought,
    charge,
    customer,
    event,
    failure,
    intent,
    invoice,
    link,
    method,
    paid,
    subscription,
    when,
)
from typer.testing import CliRunner

from engine.cli.root import app
from engine.inbound.stripe_events import StripeWebhook

SECRET = "whsec_test"


def failures(company: StripeCompany) -> list[dict[str, Any]]:
    return company.table("payment_failures", when(20))


@pytest.mark.parametrize("basil", [True, False], ids=["basil", "before basil"])
def test_one_failure_told_by_three_events_and_each_of_them_twice_is_one_row(
    company: StripeCompany, basil: bool
) -> None:
    """Case 3."""
    bill = invoice(basil=basil)
    named = {} if basil else {"invoice": "in_1"}
    told = [
        event("charge.failed", charge(created=at(0, -2), **named), at(0, -2)),
        event("payment_intent.payment_failed", intent(**named), at(0, -1)),
        event("invoice.payment_failed", bill, at(0)),
        *([event("invoice_payment.created", link(), at(0))] if basil else []),
    ]
    company.live(*bought(), *told, *told, *reversed(told))
    assert [(row["invoice_id"], row["decline_code"]) for row in failures(company)] == [("in_1", "insufficient_funds")]
    assert company.on_days(2, 3, 4) == {3: ["cus_1: soft-1"]}


def test_a_failure_heard_after_the_payment_that_followed_it_opens_nothing(company: StripeCompany) -> None:
    """Case 4."""
    bill = invoice()
    company.live(*bought(), event("invoice.paid", paid(bill, at(1)), at(1)), *failure(bill, 0))
    assert company.table("invoices", when(2))[0]["status"] == "paid"
    assert company.on_days(2, 3, 4) == {}


def test_a_failure_and_the_payment_in_one_second_open_nothing_in_either_order(tmp_path: Path) -> None:
    """Case 4."""
    bill = invoice()
    told = [event("invoice.paid", paid(bill, at(0)), at(0)), *failure(bill, 0)]
    for number, order in enumerate((told, list(reversed(told)))):
        company = StripeCompany(tmp_path / str(number))
        company.live(*bought(), *order)
        assert company.on_day(3) == []


@pytest.mark.parametrize("failed_after_the_end", [True, False])
def test_a_subscription_that_ended_before_its_last_failure_was_heard_of_gets_no_ladder(
    company: StripeCompany, failed_after_the_end: bool
) -> None:
    """Case 5."""
    over = subscription(
        status="canceled", ended_at=at(0), canceled_at=at(0),
        cancellation_details={"reason": "cancellation_requested"},
    )  # fmt: skip
    company.live(*bought(), event("customer.subscription.deleted", over, at(0)))
    company.live(*failure(invoice(), 0.01 if failed_after_the_end else -0.01, "lost_card"))
    assert company.on_days(1, 3) == {}


def test_an_older_event_that_comes_later_is_kept_and_changes_nothing(company: StripeCompany) -> None:
    """Case 6."""
    bill = invoice()
    company.live(*bought(), *failure(bill, 0))
    part = {**bill, "amount_remaining": 1000, "amount_paid": 1900}
    company.live(event("invoice.updated", part, at(2)))
    before = company.tables(when(3))
    company.live(
        event("invoice.updated", bill, at(1)), event("customer.updated", customer(email="old@example.com"), at(-301))
    )
    assert company.tables(when(3)) == before
    assert before["invoices"][0]["amount_minor"] == 1000
    assert company.store.inbound.counts()["stripe", "applied"] == 8


def test_two_words_of_one_second_leave_the_later_state_in_either_order(tmp_path: Path) -> None:
    """Case 6."""
    bill = invoice()
    told = [event("invoice.updated", bill, at(4)), event("invoice.voided", {**bill, "status": "void"}, at(4))]
    for number, order in enumerate(permutations(told)):
        company = StripeCompany(tmp_path / str(number))
        company.live(*bought(), *failure(bill, 0), *order)
        assert company.table("invoices", when(5))[0]["status"] == "void"


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"livemode": False}, "of test mode"),
        ({"account": "acct_other"}, "of an account that stripe.account does not name"),
    ],
)
def test_an_event_of_the_other_mode_or_account_is_accepted_counted_and_left_alone(
    company: StripeCompany, change: Thing, detail: str
) -> None:
    """Case 7."""
    webhook = StripeWebhook([SECRET], ["acct_ours"], livemode=True)
    told = [{**one, **change} for one in [*bought(), *failure(invoice(), 0)]]
    for one in told:
        body = json.dumps(one)
        header = WebhookSignature.generate_signature_header(body, SECRET, timestamp=at(0))
        [raw] = webhook.read(body.encode(), {"stripe-signature": header}, when(0))  # not refused: Stripe gets its 200
        assert (raw.state, raw.detail) == ("ignored", detail)
        company.store.inbound.keep("stripe", [raw], when(0))
    company.hear([], when(0))
    assert company.store.inbound.counts() == {("stripe", "ignored"): len(told)}
    assert not any(company.tables(when(4)).values())
    assert company.on_day(4) == []


def test_both_shapes_of_the_same_story_give_the_same_tables_and_mails(tmp_path: Path) -> None:
    """Case 8."""
    ends = []
    for basil in (True, False):
        company = StripeCompany(tmp_path / str(basil))
        bill = invoice(basil=basil, intent="pi_in_1")
        version = {"api_version": "2025-03-31.basil" if basil else "2025-02-24.acacia"}
        money = {"invoice": "in_1"} if not basil else {}
        told = [
            *bought(), *failure(bill, 0), *failure({**bill, "attempt_count": 2}, 5, "expired_card"),
            event("invoice.paid", paid(bill, at(8)), at(8)),
            event("charge.succeeded", charge("ch_paid", created=at(8), ok=True, last4="4242", payment_intent="pi_in_1", **money), at(8)),
        ]  # fmt: skip
        tables = []
        for one in told:
            company.live({**one, **version})
        tables.append(company.tables(when(9)))
        ends.append((tables, company.on_days(3, 6, 9)))
    assert ends[0] == ends[1]
    assert [row["decline_code"] for row in ends[0][0][0]["payment_failures"]] == ["insufficient_funds", "expired_card"]


def test_a_manual_retry_is_a_failure_of_its_own_though_attempt_count_stands_still(company: StripeCompany) -> None:
    """Case 27."""
    bill = invoice(attempt_count=1)
    company.live(*bought(), *failure(bill, 0), *failure(bill, 1.2))
    assert [row["at"] for row in failures(company)] == [when(0), when(1.2)]
    [row] = company.table("invoices", when(2))
    assert (row["failed_at"], row["last_failed_at"], row["attempt_count"]) == (when(0), when(1.2), 1)
    assert company.on_days(3, 4, 7) == {3: ["cus_1: soft-1"], 7: ["cus_1: soft-2"]}  # the clock is the first failure


def test_counting_on_without_charging_is_no_new_failure(company: StripeCompany) -> None:
    """Case 28."""
    bill = invoice()
    company.live(*bought(), *failure(bill, 0, "lost_card"))
    sent = {1: company.on_day(1)}
    for number in (2, 3, 4):
        counted = {**bill, "attempt_count": number, "next_payment_attempt": at(2 * number)}
        company.live(event("invoice.updated", counted, at(2 * number - 2)))
    assert len(failures(company)) == 1
    [row] = company.table("invoices", when(7))
    assert (row["attempt_count"], row["last_failed_at"]) == (4, when(0))
    assert sent | company.on_days(3, 5, 7) == {1: ["cus_1: card-1"], 3: ["cus_1: card-2"], 7: ["cus_1: card-3"]}


def test_an_event_from_the_far_future_is_kept_and_not_applied(company: StripeCompany) -> None:
    """Case 33."""
    company.live(*bought(), *failure(invoice(), 0))
    before = company.tables(when(3))
    settled = event("invoice.paid", paid(invoice(), at(9000)), at(9000))
    company.hear([settled, {**settled, "id": "evt_9", "created": 10**14}], when(3))
    assert company.store.inbound.counts()["stripe", "quarantined"] == 2
    assert company.tables(when(3)) == before
    assert company.on_day(3) == ["cus_1: soft-1"]


def test_times_nobody_can_read_inside_an_object_do_no_harm(company: StripeCompany) -> None:
    """Case 33."""
    company.live(*bought(), *failure(invoice(next_payment_attempt=10**15, due_date=-(10**15)), 0))
    assert company.table("invoices", when(3))[0]["next_attempt_at"] is None
    assert company.on_day(3) == ["cus_1: soft-1"]


def test_a_preview_without_an_id_is_kept_and_left_alone(company: StripeCompany) -> None:
    """Case 33."""
    preview = {name: value for name, value in invoice(attempt_count=0).items() if name != "id"}
    company.live(*bought(), event("invoice.upcoming", preview, at(0)))
    counts = company.store.inbound.counts()
    assert sum(counts.values()) == 3
    assert company.table("invoices", when(1)) == []


@pytest.mark.parametrize("code", ["brand_new_code", "", None, "Ünicode\N{RIGHT-TO-LEFT OVERRIDE}'; --"])
def test_an_unknown_decline_code_counts_as_soft(company: StripeCompany, code: str | None) -> None:
    """Case 34."""
    company.live(*bought(), *failure(invoice(), 0, code))
    assert company.on_days(0, 3) == {3: ["cus_1: soft-1"]}
    assert "soft" in company.text()


def test_an_unknown_decline_code_is_told_of_as_not_understood_and_contradicts_nothing(company: StripeCompany) -> None:
    """Case 34."""
    company.live(*bought(), *failure(invoice(), 0, "brand_new_code"))
    told = CliRunner().invoke(app, ["-C", str(company.folder), "data", "check"], prog_name="holdfast").output
    assert "brand_new_code" in told.partition("Not understood")[2]
    assert "Contradict one another" not in told


def unheard_of(told: Sequence[Thing]) -> list[Thing]:
    """The same events with every word from an open set replaced, where the word decides nothing."""
    words = {"collection_method", "billing_reason", "type", "funding", "brand"}

    def changed(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: changed(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [changed(one) for one in value]
        return "something_new" if name in words and isinstance(value, str) else value

    return [{**one, "data": changed(one["data"])} for one in told]


def test_unknown_words_of_open_sets_fall_to_the_default_row(company: StripeCompany) -> None:
    """Case 34."""
    told = unheard_of([*bought(), event("payment_method.attached", method("pm_1"), at(-299)), *failure(invoice(), 0)])
    company.live(*told)
    assert company.on_days(0, 3) == {3: ["cus_1: soft-1"]}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda thing: {**thing, "status": "half_open"},
        lambda thing: {**thing, "object": "invoice_of_a_new_kind"},
        lambda thing: {**thing, "currency": "zzz"},
        lambda thing: {**thing, "currency": None, "amount_remaining": "2900"},
        lambda thing: {**thing, "customer": 7, "parent": [], "status_transitions": "none"},
        lambda thing: {"object": "invoice", "id": "in_1"},
        lambda thing: [],
    ],
)  # fmt: skip
def test_an_object_nobody_understands_never_stops_the_others(
    company: StripeCompany, spoil: Callable[[Thing], Any]
) -> None:
    """Case 34."""
    odd = event("invoice.payment_failed", spoil(invoice()), at(0))
    company.live(*bought(), odd, event("invoice.reimagined", spoil(invoice()), at(0)), *bought("cus_2", "sub_2"))
    company.live(*failure(invoice("in_2", "cus_2"), 0))
    assert "cus_2: soft-1" in company.on_day(3)
