"""Several bills, several subscriptions, several people; those who are gone, and those who cannot be reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from billing_company import SILENT, StripeCompany
from stripe_things import Thing, at, bought, charge, customer, event, failure, invoice, link, paid, subscription, when


def test_several_open_bills_are_one_mail_with_their_sum_and_one_link(tmp_path: Path) -> None:
    """Case 11."""
    page = SILENT.replace("}", ", pay_page: https://pay.example.com/open}")
    company = StripeCompany(tmp_path / "company", more=page)
    company.live(
        *bought(), *failure(invoice(), 0), *failure(invoice("in_2", amount_due=900, amount_remaining=900), 1),
        event("customer.subscription.created", subscription("sub_2"), at(-200)),
    )  # fmt: skip
    assert company.on_days(3, 4) == {3: ["cus_1: soft-1"]}
    assert company.letters[-1].subject == "About €38.00"
    assert "2 N-in_1, N-in_2" in company.text()
    assert company.text().count("https://") == company.text().count("https://pay.example.com/open") == 1

    company.live(event("invoice.paid", paid(invoice(), at(6)), at(6)))  # the case goes on with the younger one's ladder
    assert company.on_day(8) == ["cus_1: soft-2", "cus_1: thanks"]
    about = next(one for one in company.letters if one.step == "soft-2")
    assert about.subject == "About €9.00"
    assert "https://invoice.stripe.com/i/in_2" in about.text


def test_bills_in_two_currencies_are_two_cases_and_the_later_mail_waits_two_dates(company: StripeCompany) -> None:
    """Case 11."""
    dollars = invoice("in_2", currency="usd", amount_due=500, amount_remaining=500)
    company.live(*bought(), *failure(invoice(), 0), *failure(dollars, 0, "expired_card"))
    sent = company.on_days(1, 3, 4, 5)
    assert list(sent) == [1, 3, 5]
    assert all(len(mails) == 1 for mails in sent.values())
    assert {one.subject for one in company.letters} == {"About €29.00", "About $5.00"}


def test_the_mail_names_the_product_whose_bill_failed(company: StripeCompany) -> None:
    """Case 12."""
    solo = {"nickname": "Solo", "unit_amount": 900, "currency": "eur", "recurring": {"interval": "month"}}
    other = subscription("sub_2", items={"data": [{"price": solo, "quantity": 1}]})
    bill = invoice(parent={"subscription_details": {"subscription": "sub_2"}})
    fine = invoice("in_2")
    company.live(*bought(), event("customer.subscription.created", other, at(-200)), *failure(bill, 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    assert "Solo" in company.text()
    assert "Team" not in company.text()
    company.live(event("invoice.paid", paid(fine, at(4)), at(4)))  # the other subscription's: no matter
    assert company.on_day(7) == ["cus_1: soft-2"]
    company.live(event("invoice.paid", paid(bill, at(8)), at(8)))
    assert company.on_day(12) == []


def test_a_ladder_ends_with_the_customer(company: StripeCompany) -> None:
    """Case 22."""
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    company.live(event("customer.deleted", {"object": "customer", "id": "cus_1", "deleted": True}, at(4)))
    assert company.on_day(7) == []
    assert company.tasks() == []


def test_a_customer_deleted_after_planning_gets_no_mail(company: StripeCompany) -> None:
    """Case 22."""
    company.live(*bought(), *failure(invoice(), 0))
    company.day(when(3, 2.5), send=False)
    company.live(event("customer.deleted", {"object": "customer", "id": "cus_1", "deleted": True}, at(3, 9060)))
    assert company.send(when(3, 2.6), planned_at=when(3, 2.5)) == []


@pytest.mark.parametrize("address", [None, "", "not an address"])
def test_who_cannot_be_written_to_becomes_a_task_once(company: StripeCompany, address: str | None) -> None:
    """Case 22."""
    company.live(event("customer.created", customer(email=address), at(-300)), *failure(invoice(), 0))
    assert company.on_days(1, 3) == {}
    assert len(company.tasks()) == 1
    assert company.tasks()[0] in {"cus_1: no_address", "cus_1: address_refused"}


def test_each_of_several_billing_contacts_gets_the_mail(tmp_path: Path) -> None:
    """Case 22."""
    company = StripeCompany(tmp_path / "company", {"ann": "cus_1", "bob": "cus_1"})
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_days(3, 4) == {3: ["ann: soft-1", "bob: soft-1"]}
    assert {one.to for one in company.letters} == {"ann@shop.example", "bob@shop.example"}


def test_an_address_changed_on_the_way_gets_the_next_mail(company: StripeCompany) -> None:
    """Case 22."""
    company.live(*bought(), *failure(invoice(), 0))
    company.on_day(3)
    company.live(event("customer.updated", customer(email="new@example.com"), at(5)))
    company.on_day(7)
    assert [(one.step, one.to) for one in company.letters] == [
        ("soft-1", "cus_1@example.com"), ("soft-2", "new@example.com"),
    ]  # fmt: skip


def test_a_mail_planned_for_an_old_address_never_leaves_for_it(company: StripeCompany) -> None:
    """Case 22."""
    company.live(*bought(), *failure(invoice(), 0))
    company.day(when(3, 2.5), send=False)
    company.live(event("customer.updated", customer(email="new@example.com"), at(3, 9060)))
    company.send(when(3, 2.6), planned_at=when(3, 2.5))
    assert "cus_1@example.com" not in {one.to for one in company.letters}
    company.on_day(7)
    assert {one.to for one in company.letters} == {"new@example.com"}


# Whose mailbox refuses us.


@pytest.mark.parametrize("kind", ["bounced", "complained"])
def test_a_refused_mailbox_gets_no_further_mail_and_becomes_a_task(company: StripeCompany, kind: str) -> None:
    """Case 21."""
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    assert company.tasks() == []
    company.refuse("cus_1@example.com", kind, when(4))
    assert company.on_day(7) == []
    assert company.tasks() == ["cus_1: address_refused"]
    assert company.outcomes(when(8)) == {"open": 1}  # the money is still owed


def test_a_spam_report_after_planning_stops_the_mail(company: StripeCompany) -> None:
    """Case 21."""
    company.live(*bought(), *failure(invoice(), 0))
    company.day(when(3, 2.5), send=False)
    company.refuse("cus_1@example.com", "complained", when(3, 2.6))
    assert company.send(when(3, 2.7), planned_at=when(3, 2.5)) == []


@pytest.mark.parametrize("topic", [None, "tips"])
def test_an_unsubscription_from_marketing_does_not_stop_a_mail_about_a_bill(
    company: StripeCompany, topic: str | None
) -> None:
    """Case 21."""
    company.live(*bought(), *failure(invoice(), 0))
    company.refuse("cus_1@example.com", "unsubscribed", when(1), topic)
    assert company.on_days(3) == {3: ["cus_1: soft-1"]}
    assert company.tasks() == []


# Disputes and early fraud warnings.

DISPUTE = {"object": "dispute", "id": "dp_1", "charge": "ch_0", "payment_intent": "pi_0", "amount": 2900,
           "currency": "eur", "status": "needs_response", "created": at(4)}  # fmt: skip
WARNING = {"object": "radar.early_fraud_warning", "id": "issfr_1", "charge": "ch_0", "actionable": True,
           "created": at(4)}  # fmt: skip


def disputed(company: StripeCompany, about: Thing) -> None:
    """A ladder that has begun, then a dispute about a bill paid long before."""
    old = charge("ch_0", created=at(-40), ok=True, payment_intent="pi_0")
    company.live(
        *bought(), event("charge.succeeded", old, at(-40)), event("invoice_payment.paid", link("in_0", "pi_0"), at(-40)),
        event("invoice.paid", paid(invoice("in_0"), at(-40)), at(-40)), *failure(invoice(), 0),
    )  # fmt: skip
    assert company.on_day(3) == ["cus_1: soft-1"]
    kind = "charge.dispute.created" if about is DISPUTE else "radar.early_fraud_warning.created"
    company.live(event(kind, about, at(4)))


@pytest.mark.parametrize("about", [DISPUTE, WARNING], ids=["dispute", "early fraud warning"])
def test_a_dispute_about_another_bill_holds_all_mail_at_once(company: StripeCompany, about: Thing) -> None:
    """Case 19."""
    disputed(company, about)
    assert company.on_day(7) == []


def test_a_dispute_after_planning_stops_the_mail(company: StripeCompany) -> None:
    """Case 19."""
    disputed(company, {**DISPUTE, "status": "won"})
    company.day(when(7, 2.5), send=False)
    company.live(event("charge.dispute.created", {**DISPUTE, "id": "dp_2", "created": at(7, 9060)}, at(7, 9060)))
    assert company.send(when(7, 2.6), planned_at=when(7, 2.5)) == []
    assert company.why_not() == {"disputed": 1}


def test_after_a_dispute_that_was_won_the_ladder_goes_on_where_it_stood(company: StripeCompany) -> None:
    """Case 19."""
    disputed(company, DISPUTE)
    assert company.on_day(7) == []
    company.live(event("charge.dispute.closed", {**DISPUTE, "status": "won"}, at(8)))
    assert company.on_days(9) == {9: ["cus_1: soft-2"]}


def test_a_dispute_that_was_lost_ends_the_ladder(company: StripeCompany) -> None:
    """Case 19."""
    disputed(company, DISPUTE)
    company.live(event("charge.dispute.closed", {**DISPUTE, "status": "lost"}, at(8)))
    assert company.on_day(9) == []


# Subscriptions that end, will end, pause or become cheaper.


def test_a_ladder_ends_when_the_customer_cancels(company: StripeCompany) -> None:
    """Case 18."""
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    over = {"status": "canceled", "ended_at": at(5), "canceled_at": at(5),
            "cancellation_details": {"reason": "cancellation_requested"}}  # fmt: skip
    company.live(event("customer.subscription.deleted", subscription(**over), at(5)))
    assert company.on_day(7) == []


def test_a_cancellation_at_the_end_of_the_period_changes_nothing_about_what_is_owed(company: StripeCompany) -> None:
    """Case 18."""
    company.live(*bought(), *failure(invoice(), 0))
    company.on_day(3)
    will_end = subscription(status="past_due", cancel_at_period_end=True, canceled_at=at(5), cancel_at=at(25))
    company.live(event("customer.subscription.updated", will_end, at(5)))
    assert company.on_day(7) == ["cus_1: soft-2"]


def test_paused_collection_holds_the_ladder_until_it_goes_on(company: StripeCompany) -> None:
    """Case 18."""
    company.live(*bought(), *failure(invoice(), 0))
    company.on_day(3)
    company.live(event("customer.subscription.updated", subscription(pause_collection={"behavior": "void"}), at(5)))
    assert company.on_day(7) == []
    company.live(event("customer.subscription.updated", subscription(status="past_due"), at(8)))
    assert company.on_days(9) == {9: ["cus_1: soft-2"]}


def test_a_trial_that_ends_without_a_card_is_no_failed_payment(company: StripeCompany) -> None:
    """Case 18."""
    trial = {"status": "past_due", "trial_end": at(0, -3600), "start_date": at(-14)}
    told = failure(invoice(), 0, None)
    for one in told:
        error = one["data"]["object"].get("last_payment_error")
        if error:  # there was nothing to charge
            error.update(
                payment_method=None, charge=None, code="payment_intent_payment_attempt_failed", decline_code=None
            )
    company.live(event("customer.created", customer(), at(-14)))
    company.live(event("customer.subscription.created", subscription(**trial), at(-14)), *told)
    assert company.on_days(1, 3) == {}


def test_a_downgrade_on_the_way_goes_on_with_the_new_sum(company: StripeCompany) -> None:
    """Case 18."""
    bill = invoice()
    company.live(*bought(), *failure(bill, 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    less = {"nickname": "Solo", "unit_amount": 900, "currency": "eur", "recurring": {"interval": "month"}}
    company.live(
        event("customer.subscription.updated", subscription(items={"data": [{"price": less, "quantity": 1}]}), at(5))
    )
    company.live(event("invoice.updated", {**bill, "amount_due": 900, "amount_remaining": 900}, at(5)))
    assert company.on_days(5, 7) == {7: ["cus_1: soft-2"]}
    assert company.letters[-1].subject == "About €9.00"
