"""Events in any order, any number of times, leave the same tables and lead to the same mails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from billing_company import StripeCompany
from hypothesis import given, settings
from hypothesis import strategies as st
from stripe_things import (
    NOW,
    Thing,
    at,
    charge,
    customer,
    event,
    intent,
    invoice,
    link,
    method,
    paid,
    subscription,
)  # fmt: skip

DATA = Path(__file__).parents[3] / "shared/data/billing"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the published events lie beside the repository")


def published() -> list[Thing]:
    """The 22 whole events of API version 2020-08-27, each under an id of its own, told of one customer."""
    found = []
    for number, path in enumerate(sorted((DATA / "stripe_events").glob("*.json"))):
        text = path.read_text("utf-8").replace("evt_000000000000000000000000", f"evt_old_{number}")
        found.append({**json.loads(text), "id": f"evt_old_{number}", "livemode": True})
    return found


def basil() -> list[Thing]:
    """The same kinds of events in the shape they have had since 2025-03-31, around the published example objects."""
    things: dict[str, Thing] = json.loads((DATA / "stripe_fixtures3.json").read_text("utf-8"))["resources"]
    bill = {**things["invoice"], "customer": "cus_1", "currency": "eur", "status": "open", "attempt_count": 1,
            "billing_reason": "subscription_cycle", "collection_method": "charge_automatically"}  # fmt: skip
    of_bill = {"invoice": bill["id"], "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}
    inpay = {**things["invoice_payment"], **of_bill}
    tried = {**things["payment_intent"], "id": "pi_1", **{k: v for k, v in intent().items() if k != "object"}}
    pm = {**things["payment_method"], "customer": "cus_1"}
    sub = {**things["subscription"], "customer": "cus_1", "status": "past_due", "ended_at": None}
    return [
        event("customer.created", customer(), at(-300)),
        event("customer.subscription.updated", sub, at(0)),
        event("invoice.payment_failed", bill, at(0)),
        event("invoice.payment_action_required", bill, at(0, 1)),
        event("payment_intent.payment_failed", tried, at(0)),
        event("charge.failed", charge(created=at(0, -1)), at(0)),
        event("invoice_payment.paid", inpay, at(4)),
        event("payment_method.automatically_updated", pm, at(1)),
        event("invoice.paid", paid(bill, at(4)), at(4)),
        event("charge.succeeded", charge("ch_2", created=at(4), ok=True, last4="4242"), at(4)),
        event("charge.dispute.created", {**things["dispute"], "charge": "ch_2", "payment_intent": "pi_1"}, at(5)),
        event("refund.created", {**things["refund"], "charge": "ch_2", "payment_intent": "pi_1"}, at(5, 60)),
        event("customer.subscription.paused", {**sub, "pause_collection": {"behavior": "void"}}, at(6)),
        event("invoice.voided", {**bill, "status": "void"}, at(0, -100)),
    ]


def story() -> list[Thing]:
    """Two invoices of one customer: tried twice, the card replaced in the wrong place, one paid, one still open."""
    first, second = invoice("in_1"), invoice("in_2", basil=False, intent="pi_2", amount_remaining=900, amount_due=900)
    return [
        event("customer.created", customer(), at(-300)),
        event("customer.subscription.created", subscription(default_payment_method="pm_1"), at(-300)),
        event("payment_method.attached", method("pm_1", last4="0341"), at(-300)),
        event("invoice.created", {**first, "status": "draft", "attempt_count": 0}, at(0, -3600)),
        event("invoice.payment_failed", first, at(0)),
        event("payment_intent.payment_failed", intent(), at(0)),
        event("invoice_payment.paid", link(), at(0, 2)),
        event("invoice.payment_failed", {**first, "attempt_count": 2}, at(3)),
        event("payment_intent.payment_failed", intent(code="expired_card", charge="ch_2"), at(3)),
        event("payment_method.attached", method("pm_2"), at(2)),
        event("customer.updated", customer(invoice_settings={"default_payment_method": "pm_2"}), at(2)),
        event("invoice.payment_failed", second, at(1)),
        event("payment_intent.payment_failed", intent("pi_2", charge="ch_9", invoice="in_2"), at(1)),
        event("invoice.updated", {**second, "amount_remaining": 400, "amount_paid": 500}, at(1, 7200)),
        event("invoice.paid", paid(first, at(6)), at(6)),
        event("customer.subscription.updated", subscription(status="past_due", default_payment_method="pm_1"), at(0)),
    ]  # fmt: skip


STORIES: dict[str, Callable[[], list[Thing]]] = {
    "published": published,
    "published, nobody deleted": lambda: [one for one in published() if one["type"] != "customer.deleted"],
    "basil": basil,
    "story": story,
}


@contextmanager
def told(events: Sequence[Thing], parts: int = 1) -> Iterator[StripeCompany]:
    """A company that heard these events in this order, in so many batches, two days ago."""
    with TemporaryDirectory() as folder:
        company = StripeCompany(Path(folder) / "c")
        size = max(1, -(-len(events) // parts))
        for begin in range(0, len(events), size):
            company.hear(deepcopy(list(events[begin : begin + size])), NOW - timedelta(days=2))
        yield company
        company.store.close()


def tables(events: Sequence[Thing], parts: int = 1) -> dict[str, Any]:
    with told(events, parts) as company:
        return company.tables()


def mails(events: Sequence[Thing], parts: int = 1) -> dict[str, list[str]]:
    with told(events, parts) as company:
        return {f"{days}": company.day(NOW + timedelta(days=days)) for days in (-2, -1, 2)}


def shuffled(choices: st.DataObject, events: list[Thing]) -> tuple[list[Thing], int]:
    """Any order, some events again, in any number of batches."""
    order = choices.draw(st.permutations(events))
    again = choices.draw(st.lists(st.sampled_from(events), max_size=8))
    return [*order, *again], choices.draw(st.integers(1, 5))


@needs_data
@pytest.mark.parametrize("name", STORIES)
@settings(max_examples=6, deadline=None)
@given(choices=st.data())
def test_any_order_and_repetition_of_a_story_leaves_the_same_tables(name: str, choices: st.DataObject) -> None:
    events = STORIES[name]()
    assert tables(*shuffled(choices, events)) == tables(events)


@needs_data
@settings(max_examples=2, deadline=None)
@given(choices=st.data())
def test_any_order_and_repetition_of_a_story_sends_the_same_mails(choices: st.DataObject) -> None:
    events = story()
    assert (
        mails(*shuffled(choices, events))
        == mails(events)
        == {"-2": ["cus_1: soft-2"], "-1": ["cus_1: thanks"], "2": []}
    )


@needs_data
def test_the_stories_say_something() -> None:
    """Or nothing in them could come out differently."""
    assert tables(published())["invoices"] == []
    kept = tables(STORIES["published, nobody deleted"]())
    assert [len(kept[name]) for name in ("payment_failures", "subscriptions", "refunds", "disputes")] == [1, 1, 1, 1]
    assert kept["invoices"] == []  # of all events about it the last one called the invoice a draft
    found = tables(basil())
    assert found["payment_failures"]
    assert found["disputes"][0]["customer_id"] == found["refunds"][0]["customer_id"] == "cus_1"
    codes = [row["decline_code"] for row in tables(story())["payment_failures"]]
    assert codes == ["insufficient_funds", "expired_card", "insufficient_funds"]
