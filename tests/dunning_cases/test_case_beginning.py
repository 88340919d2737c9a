"""The first day with an account that is old, and the day on which it becomes another one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from billing_company import PERSON, RULES, RowsCompany, StripeCompany
from stripe_server import StripeServer
from stripe_things import at, bought, customer, event, failure, intent, invoice, paid, subscription, when

from engine.billing import sync

ASKS = "dunning: {recheck: 15 minutes}\n"


def test_a_year_of_old_bills_is_for_a_person_and_mails_nobody(tmp_path: Path, stripe: StripeServer) -> None:
    """Case 30."""
    company = StripeCompany(tmp_path / "company", rules=RULES | PERSON, more=ASKS + stripe.config)
    for number, age in enumerate((8, 40, 360)):
        ident, owner = f"in_{number}", f"cus_{number}"
        tried = intent(f"pi_{ident}", owner, charge=f"ch_{ident}", created=at(-age))
        failed = {"object": "charge", "id": f"ch_{ident}", "customer": owner, "created": at(-age), "status": "failed",
                  "payment_intent": f"pi_{ident}", "failure_code": "card_declined",
                  "outcome": {"type": "issuer_declined", "reason": "insufficient_funds"}}  # fmt: skip
        payment = {"object": "invoice_payment", "id": f"inpay_{ident}", "invoice": ident, "created": at(-age),
                   "payment": {"type": "payment_intent", "payment_intent": f"pi_{ident}"}}  # fmt: skip
        stripe.holds(customer(owner), subscription(f"sub_{number}", owner), tried, failed, payment)
        stripe.holds(
            invoice(ident, owner, created=at(-age), parent={"subscription_details": {"subscription": f"sub_{number}"}})
        )
    stripe.now = when(0)
    done = sync(company.project.settings, company.store, when(0))
    assert done.read["open invoices"] == 3
    assert [row["failed_at"] for row in company.table("invoices", when(0))] == [when(-8), when(-40), when(-360)]
    assert company.on_days(0, 3) == {}
    assert company.tasks() == [f"cus_{number}: too_old" for number in range(3)]


def test_a_failure_of_this_week_goes_on_the_ladder_at_the_step_that_is_due(company: StripeCompany) -> None:
    """Case 30."""
    company.hear([*bought(), *failure(invoice(), 0)], when(5))
    assert company.on_day(5) == ["cus_1: soft-1"]
    assert company.tasks() == []


def test_old_bills_in_a_table_of_ones_own_are_for_a_person_too(tmp_path: Path) -> None:
    """Case 30."""
    people = [{"customer_id": name, "email": f"{name}@example.com"} for name in ("ann", "bob")]
    bills = [{"invoice_id": f"in_{name}", "customer_id": name, "amount_minor": 2900, "currency": "EUR", "failed_at": day}
             for name, day in (("ann", "2026-11-03 09:00"), ("bob", "2026-11-09 09:00"))]  # fmt: skip
    company = RowsCompany(
        tmp_path, {"customers": people, "invoices": bills}, rules={"soft.yaml": RULES["soft.yaml"]} | PERSON
    )
    assert company.day(datetime(2026, 11, 12, 9)) == ["bob: soft-1"]
    assert company.tasks() == ["ann: too_old"]


def test_after_a_change_of_account_the_old_ones_bills_are_not_mailed_about(
    tmp_path: Path, stripe: StripeServer
) -> None:
    """Case 30."""
    company = StripeCompany(tmp_path / "company", more=ASKS + stripe.config)
    company.live(*bought(), *failure(invoice(), 0))
    stripe.now = when(3, 2.5)  # whoever is asked now knows nothing of that bill
    assert company.on_day(3) == []
    assert company.why_not() == {}  # it waits: the key may be put right, and then the bill can be asked about
    assert company.on_day(5) == []
    assert company.on_day(7) == []


def test_events_of_another_account_do_not_touch_ours(company: StripeCompany) -> None:
    """Case 30."""
    company.live(*bought(), *failure(invoice(), 0))
    company.live({**event("invoice.paid", paid(invoice(), at(1)), at(1)), "account": "acct_before"})
    assert company.on_day(3) == ["cus_1: soft-1"]
