"""Money that comes, comes in part, comes from elsewhere, or goes back; and how it is written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from billing_company import RULES, StripeCompany
from stripe_server import StripeServer
from stripe_things import Thing, at, bought, charge, customer, event, failure, invoice, link, paid, when


@pytest.fixture
def asking(tmp_path: Path, stripe: StripeServer) -> StripeCompany:
    """A company that has every invoice confirmed before a mail about it leaves."""
    return StripeCompany(tmp_path / "asking", more="dunning: {recheck: 15 minutes}\n" + stripe.config)


@pytest.mark.parametrize("wait", [timedelta(seconds=30), timedelta(hours=5)])
def test_what_is_paid_between_planning_and_sending_is_read_again_and_not_mailed(
    asking: StripeCompany, stripe: StripeServer, wait: timedelta
) -> None:
    """Case 1."""
    bill = invoice()
    stripe.holds(bill)
    asking.live(*bought(), *failure(bill, 0))
    planned = when(3, 2.5)
    assert asking.day(planned, send=False) == []
    stripe.now = planned + wait
    stripe.holds(paid(bill, at(3, 2.5 * 3600 + 10)))  # and no event says so
    assert asking.send(planned + wait, planned_at=planned) == []
    assert asking.why_not() == {"recovered": 1}
    assert asking.outcomes(when(4)) == {"recovered": 1}


def test_what_an_event_called_paid_after_planning_is_not_mailed(company: StripeCompany) -> None:
    """Case 1."""
    bill = invoice()
    company.live(*bought(), *failure(bill, 0))
    company.on_day(3)
    company.day(when(7, 2.5), send=False)
    company.live(event("invoice.paid", paid(bill, at(7, 10_000)), at(7, 10_000)))
    assert company.send(when(7, 2.9), planned_at=when(7, 2.5)) == []
    assert company.why_not() == {"recovered": 1}


def test_every_mail_about_an_open_bill_says_what_to_do_if_it_is_paid_already(shipped: StripeCompany) -> None:
    """Case 2."""
    for number, code in enumerate(("insufficient_funds", "incorrect_number", "lost_card", "authentication_required")):
        owner = f"cus_{number}"
        shipped.live(*bought(owner, f"sub_{number}"), *failure(invoice(f"in_{number}", owner), 0, code))
    shipped.on_days(3)
    assert len(shipped.letters) == 4
    for letter in shipped.letters:
        assert "If you have paid in the meantime, please ignore this mail." in " ".join(letter.text.split())


def test_what_is_paid_while_the_provider_is_called_counts_as_recovered_before_the_mail(
    asking: StripeCompany, stripe: StripeServer
) -> None:
    """Case 2."""
    bill = invoice()
    stripe.holds(bill)
    asking.live(*bought(), *failure(bill, 0))
    planned = when(3, 2.5)
    asking.day(planned, send=False)
    settled = paid(bill, at(3, 2.5 * 3600 + 20))
    sent_at = planned + timedelta(seconds=20)
    stripe.now = sent_at - timedelta(seconds=1)
    sent = asking.send(
        sent_at, planned_at=planned, meanwhile=lambda: asking.live(event("invoice.paid", settled, at(3, 9020)))
    )
    assert sent == ["cus_1: soft-1"]
    found = asking.report(when(4))
    assert found.outcomes["recovered"].invoices == 1
    assert [(one.mails, one.invoices) for one in found.recoveries] == [(0, 1)]
    assert asking.on_day(7) == ["cus_1: thanks"]  # who got the reminder is told that all is well, and nothing else


def test_a_part_that_was_paid_goes_on_with_the_same_ladder_and_the_new_amount(company: StripeCompany) -> None:
    """Case 9."""
    bill = invoice()
    company.live(*bought(), *failure(bill, 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    assert company.letters[-1].subject == "About €29.00"
    part = {**bill, "amount_paid": 1900, "amount_remaining": 1000}
    company.live(event("invoice_payment.paid", link(), at(4)), event("invoice.updated", part, at(4)))
    assert company.on_days(5, 7) == {7: ["cus_1: soft-2"]}
    assert company.letters[-1].subject == "About €10.00"
    assert company.outcomes(when(8)) == {"open": 1}


def test_a_mail_planned_before_a_part_was_paid_leaves_with_the_rest(company: StripeCompany) -> None:
    """Case 9."""
    bill = invoice()
    company.live(*bought(), *failure(bill, 0))
    company.day(when(3, 2.5), send=False)
    company.live(event("invoice.updated", {**bill, "amount_paid": 1900, "amount_remaining": 1000}, at(3, 9060)))
    assert company.send(when(3, 2.6), planned_at=when(3, 2.5)) == ["cus_1: soft-1"]
    assert company.letters[-1].subject == "About €10.00"


def test_a_part_of_which_only_the_payment_was_told_is_read_before_the_mail_leaves(
    asking: StripeCompany, stripe: StripeServer
) -> None:
    """Case 9."""
    bill = invoice()
    asking.live(*bought(), *failure(bill, 0), event("invoice_payment.paid", link(), at(1)))
    stripe.now = when(3, 2.5)
    stripe.holds({**bill, "amount_paid": 1900, "amount_remaining": 1000})
    assert asking.on_day(3) == ["cus_1: soft-1"]
    assert asking.letters[-1].subject == "About €10.00"


@pytest.mark.parametrize(("minimum", "sent"), [(None, ["cus_1: soft-2"]), (500, [])])
def test_a_rest_below_the_minimum_is_let_go_only_where_the_rule_says_so(
    tmp_path: Path, minimum: int | None, sent: list[str]
) -> None:
    """Case 9."""
    change = "" if minimum is None else f", min_amount_minor: {minimum}"
    rules = {"soft.yaml": RULES["soft.yaml"].replace("group: soft", f"group: soft{change}")}
    company = StripeCompany(tmp_path / "company", rules=rules)
    bill = invoice()
    company.live(*bought(), *failure(bill, 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    company.live(event("invoice.updated", {**bill, "amount_paid": 2500, "amount_remaining": 400}, at(4)))
    assert company.on_day(7) == sent
    assert not company.report(when(8)).outcomes["recovered"].invoices


@pytest.mark.parametrize(
    "change",
    [
        {"amount_due": 2900, "amount_paid": 0, "ending_balance": 0, "starting_balance": -2900},
        {"amount_due": 0, "amount_paid": 0, "pre_payment_credit_notes_amount": 2900},
        {"amount_due": 2900, "amount_paid": 0, "post_payment_credit_notes_amount": 2900},
    ],
    ids=["balance", "credit note before", "credit note after"],
)
def test_a_credit_that_takes_the_amount_to_nothing_ends_the_ladder_and_is_no_money(
    company: StripeCompany, change: Thing
) -> None:
    """Case 10."""
    bill = invoice()
    company.live(*bought(), *failure(bill, 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    company.live(event("invoice.paid", {**paid(bill, at(5)), **change}, at(5)))
    assert "cus_1: soft-2" not in company.on_day(7)
    found = company.report(when(8))
    assert {name: one.invoices for name, one in found.outcomes.items() if one.invoices} == {"credit": 1}
    assert found.outcomes["recovered"].money == {}
    assert found.recoveries == ()


def test_a_refund_within_thirty_days_turns_a_recovery_around(company: StripeCompany) -> None:
    """Case 20."""
    bill = invoice()
    company.live(*bought(), *failure(bill, 0))
    money = charge("ch_ok", created=at(4), ok=True, payment_intent="pi_in_1")
    company.live(event("charge.succeeded", money, at(4)), event("invoice.paid", paid(bill, at(4)), at(4)))
    assert company.outcomes(when(5)) == {"recovered": 1}
    back = {"object": "refund", "id": "re_1", "charge": "ch_ok", "payment_intent": "pi_in_1", "amount": 2900,
            "currency": "eur", "status": "succeeded", "created": at(9)}  # fmt: skip
    company.live(event("refund.created", back, at(9)))
    found = company.report(when(10))
    assert {name: one.invoices for name, one in found.outcomes.items() if one.invoices} == {"reversed": 1}
    assert found.outcomes["recovered"].money == {}


@pytest.mark.parametrize("told_by", ["charge.refunded", "refund.created"])
def test_a_refund_of_another_bill_changes_nothing(company: StripeCompany, told_by: str) -> None:
    """Case 20."""
    other, bill = invoice("in_0"), invoice()
    money = charge("ch_0", created=at(-40), ok=True, payment_intent="pi_in_0")
    company.live(
        *bought(), event("invoice_payment.paid", link("in_0", "pi_in_0"), at(-40)),
        event("charge.succeeded", money, at(-40)), event("invoice.paid", paid(other, at(-40)), at(-40)),
        *failure(bill, 0), event("invoice.paid", paid(bill, at(4)), at(4)),
    )  # fmt: skip
    back = {"object": "refund", "id": "re_0", "charge": "ch_0", "payment_intent": "pi_in_0", "amount": 2900,
            "currency": "eur", "status": "succeeded", "created": at(5)}  # fmt: skip
    told = back if told_by == "refund.created" else {**money, "refunded": True, "refunds": {"data": [back]}}
    company.live(event(told_by, told, at(5)))
    assert [row["invoice_id"] for row in company.table("refunds", when(6))] == ["in_0"]
    assert company.outcomes(when(6)) == {"recovered": 1}


AMOUNTS = {
    # currency: (as Stripe counts, in ISO 4217's minor units, in English, in German)
    "jpy": (2900, 2900, "¥2,900", "2.900 ¥"),
    "kwd": (1250, 1250, "KWD 1.250", "1,250 KWD"),
    "isk": (290000, 2900, "ISK 2,900", "2.900 ISK"),
    "ugx": (500000, 5000, "UGX 5,000", "5.000 UGX"),
    "mga": (2900, 290000, "MGA 2,900.00", "2.900,00 MGA"),
    "huf": (290000, 290000, "HUF 2,900.00", "2.900,00 HUF"),
    "eur": (2900, 2900, "€29.00", "29,00 €"),
}


@pytest.mark.parametrize("currency", AMOUNTS)
def test_an_amount_is_stripes_and_is_written_as_its_currency_and_reader_want(tmp_path: Path, currency: str) -> None:
    """Case 13."""
    theirs, ours, english, german = AMOUNTS[currency]
    company = StripeCompany(tmp_path / "company", rules={"soft.yaml": RULES["soft.yaml"]})
    for owner, locale in (("cus_de", "de"), ("cus_en", "en")):
        bill = invoice(f"in_{owner}", owner, currency=currency, amount_due=theirs, amount_remaining=theirs)
        company.live(
            event("customer.created", customer(owner, preferred_locales=[locale]), at(-300)), *failure(bill, 0)
        )
    assert {row["amount_minor"] for row in company.table("invoices", when(1))} == {ours}
    assert company.on_day(3) == ["cus_de: soft-1", "cus_en: soft-1"]
    subjects = [one.subject.replace("\N{NO-BREAK SPACE}", " ") for one in company.letters]
    assert subjects == [f"About {german}", f"About {english}"]


@pytest.mark.parametrize("amount", [0, -2900])
def test_nothing_and_less_than_nothing_are_no_cases(company: StripeCompany, amount: int) -> None:
    """Case 13."""
    company.live(*bought(), *failure(invoice(amount_due=amount, amount_remaining=amount), 0))
    assert company.on_day(3) == []
    assert company.tasks() == []
