"""Cards that are renewed, replaced or put in the wrong place, payments under way, and banks that ask for a confirmation."""

from __future__ import annotations

from pathlib import Path

import pytest
from billing_company import RULES, StripeCompany
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
    when,
)  # fmt: skip


def begun(company: StripeCompany, **more: object) -> None:
    """A soft failure with its first mail sent."""
    company.live(*bought(**more), event("payment_method.attached", method("pm_1", last4="0341"), at(-299)))
    company.live(*failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]


def test_a_card_its_network_renewed_holds_the_mail_until_the_next_failure_which_goes_on(company: StripeCompany) -> None:
    """Case 14."""
    begun(company)
    company.live(event("payment_method.automatically_updated", method("pm_1", last4="1111"), at(6)))
    assert company.on_day(7) == []
    company.live(*failure(invoice(attempt_count=2), 8, last4="1111"))
    assert company.on_days(8, 9) == {8: ["cus_1: soft-2"]}
    assert "1111" in company.text()


def test_a_renewed_card_that_nobody_charges_holds_the_mail_for_three_days_only(company: StripeCompany) -> None:
    """Case 14."""
    begun(company)
    company.live(event("payment_method.automatically_updated", method("pm_1", last4="1111"), at(6)))
    assert company.on_days(8, 9) == {9: ["cus_1: soft-2"]}


def test_a_new_default_card_holds_the_mail_until_the_next_failure_which_goes_on(company: StripeCompany) -> None:
    """Case 14."""
    begun(company)
    company.live(event("payment_method.attached", method("pm_2"), at(6)))
    company.live(event("customer.updated", customer(invoice_settings={"default_payment_method": "pm_2"}), at(6, 2)))
    assert company.on_day(7) == []
    company.live(*failure(invoice(attempt_count=2), 8, last4="4242"))
    assert company.on_day(8) == ["cus_1: soft-2"]


def test_after_a_new_card_in_the_wrong_place_the_text_says_which_was_not_charged(company: StripeCompany) -> None:
    """Case 15."""
    begun(company, default_payment_method="pm_1")
    company.live(event("payment_method.attached", method("pm_2", last4="4242"), at(4)))
    company.live(event("customer.updated", customer(invoice_settings={"default_payment_method": "pm_2"}), at(4, 2)))
    company.live(*failure(invoice(attempt_count=2), 5, last4="0341"))
    assert company.on_day(7) == ["cus_1: soft-2"]
    assert "not 4242" in company.text()
    assert "0341" in company.text()


def test_the_shipped_mail_tells_of_the_card_in_the_wrong_place(shipped: StripeCompany) -> None:
    """Case 15."""
    shipped.live(
        *bought(default_payment_method="pm_1"), event("payment_method.attached", method("pm_1", last4="0341"), at(-299))
    )
    shipped.live(*failure(invoice(), 0), event("payment_method.attached", method("pm_2", last4="4242"), at(1)))
    shipped.live(event("customer.updated", customer(invoice_settings={"default_payment_method": "pm_2"}), at(1, 2)))
    shipped.live(*failure(invoice(attempt_count=2), 2, last4="0341"))
    assert len(shipped.on_day(3)) == 1
    assert "Last digits of the card: 0341" in shipped.text()
    assert "You have since added another card" in shipped.text()


def processing(days: float) -> list[Thing]:
    """A debit that was asked for and takes days to come, or not."""
    under_way = {**intent("pi_in_1", charge="py_1"), "status": "processing", "last_payment_error": None}
    debit = {**charge("py_1", created=at(days), ok=True, payment_intent="pi_in_1"), "status": "pending"}
    return [event("payment_intent.processing", under_way, at(days)), event("charge.pending", debit, at(days))]


def test_a_payment_under_way_holds_the_ladder_and_its_failure_goes_on_with_it(company: StripeCompany) -> None:
    """Case 16."""
    begun(company)
    company.live(*processing(5))
    assert company.on_day(7) == []
    debit = charge("py_1", created=at(5), payment_intent="pi_in_1")  # the same, days later: it has failed
    company.live(event("charge.failed", debit, at(8)))
    company.live(event("payment_intent.payment_failed", intent("pi_in_1", charge="py_1"), at(8)))
    company.live(event("invoice.payment_failed", invoice(attempt_count=2), at(8)))
    assert company.on_day(8) == ["cus_1: soft-2"]


def test_a_payment_begun_after_planning_stops_the_mail(company: StripeCompany) -> None:
    """Case 16."""
    company.live(*bought(), *failure(invoice(), 0))
    company.day(when(3, 2.5), send=False)
    company.live(*processing(3.105))
    assert company.send(when(3, 2.6), planned_at=when(3, 2.5)) == []
    assert company.why_not() == {"processing": 1}


def test_a_payment_under_way_for_the_first_time_is_no_case(company: StripeCompany) -> None:
    """Case 16."""
    company.live(
        *bought(),
        event("invoice.finalized", invoice(), at(0)),
        event("invoice_payment.created", link("in_1", "pi_in_1"), at(0)),
    )
    company.live(*processing(0))
    assert company.on_days(1, 3) == {}


def test_a_confirmation_and_a_failure_for_it_are_one_case_and_one_mail_in_any_order(tmp_path: Path) -> None:
    """Case 17."""
    bill = invoice()
    asked = {**intent("pi_in_1", code="authentication_required"), "status": "requires_action"}
    told = [
        event("invoice.payment_action_required", bill, at(0)),
        event("invoice.payment_failed", bill, at(0, 1)),
        event("payment_intent.payment_failed", asked, at(0, 1)),
    ]
    for number, order in enumerate((told, list(reversed(told)))):
        company = StripeCompany(tmp_path / str(number), rules={"card.yaml": RULES["card.yaml"]})
        company.live(*bought(), event("invoice_payment.created", link("in_1", "pi_in_1"), at(0)), *order)
        assert len(company.table("payment_failures", when(1))) == 1
        assert company.on_day(1) == ["cus_1: card-1"]
        assert "authentication" in company.text()


@pytest.mark.parametrize("gap_s", [-1, 0, 1])
def test_without_a_word_from_the_bank_a_confirmation_asked_for_still_decides(tmp_path: Path, gap_s: int) -> None:
    """Case 17."""
    company = StripeCompany(tmp_path / "company", rules=RULES)
    for number in range(5):
        owner, bill = f"cus_{number}", invoice(f"in_{number}", f"cus_{number}")
        told = [
            event("invoice.payment_action_required", bill, at(0)),
            event("invoice.payment_failed", bill, at(0, gap_s)),
        ]
        company.live(*bought(owner, f"sub_{number}"), *(told if number % 2 else reversed(told)))
    assert company.on_day(1) == [f"cus_{number}: card-1" for number in range(5)]
