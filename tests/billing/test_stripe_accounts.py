"""A company that is Stripe's customer, and its people who are told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from billing_company import RULES, StripeCompany
from stripe_things import at, customer, event, intent, invoice
from test_stripe_tables import THEN

from engine.warehouse.warehouse import Warehouse

OF_ACCOUNTS = {
    "soft.yaml": RULES["soft.yaml"].replace("status:", "about: account\nrecipients: {where: role = 'billing'}\nstatus:")
}


def office(folder: Path, customers: str, accounts: str | None = None) -> StripeCompany:
    """Acme with two people for its bills and one who is not."""
    made = StripeCompany(folder, {"x": "cus_x"}, rules=OF_ACCOUNTS)
    (folder / "customers.csv").write_text(customers)
    if accounts:
        (folder / "accounts.csv").write_text(accounts)
        config = (folder / "config.yaml").read_text()
        (folder / "config.yaml").write_text(
            config.replace("  tables:\n", "  tables:\n    accounts: {path: accounts.csv}\n")
        )
    made.use(OF_ACCOUNTS)
    made.hear([event("customer.created", customer(), at(-300)), event("invoice.payment_failed", invoice(), at(0)),
               event("payment_intent.payment_failed", intent(invoice="in_1"), at(0))], THEN)  # fmt: skip
    return made


PEOPLE = "ann,ann@x.example,acme,billing\nbob,bob@x.example,acme,billing\ncyd,cyd@x.example,acme,user\n"
HEADING = "customer_id,email,account_id,role"


@pytest.mark.parametrize("on", ["accounts", "one", "all"])
def test_the_people_for_bills_are_told_about_their_accounts_bill(tmp_path: Path, on: str) -> None:
    people = PEOPLE.splitlines()
    if on == "accounts":
        made = office(tmp_path / "c", f"{HEADING}\n{PEOPLE}", "account_id,stripe_customer_id\nacme,cus_1\n")
    else:
        ids = ["cus_1" if on == "all" or row.startswith("cyd") else "" for row in people]
        rows = "\n".join(f"{row},{id_}" for row, id_ in zip(people, ids, strict=True))
        made = office(tmp_path / "c", f"{HEADING},stripe_customer_id\n{rows}\n")
    assert made.day(THEN + timedelta(days=3)) == ["ann: soft-1", "bob: soft-1"]
    assert made.day(THEN + timedelta(days=7)) == ["ann: soft-2", "bob: soft-2"]
    made.store.close()


def test_a_look_at_one_person_reads_the_bills_of_their_account(tmp_path: Path) -> None:
    made = office(tmp_path / "c", f"{HEADING}\n{PEOPLE}", "account_id,stripe_customer_id\nacme,cus_1\nother,cus_2\n")
    warehouse = Warehouse(made.project.settings, made.folder, THEN, ["ann"], accounts=True)
    warehouse.stage_customers([])
    warehouse.stage_accounts([])
    warehouse.stage_rows("invoices", [])
    assert warehouse.db.execute("SELECT invoice_id FROM of_account.t_invoices").fetchall() == [("in_1",)]
    assert warehouse.staging.stripe_ids == ("cus_1",)
    warehouse.close()
    made.store.close()
