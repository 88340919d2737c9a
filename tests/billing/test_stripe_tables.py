"""What rules see of Stripe, whatever database the state is; what `check` says; what is forgotten."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from billing_company import StripeCompany
from stripe_things import NOW, Thing, at, charge, customer, event, intent, invoice, link, method, paid, subscription

from engine.errors import SetupError
from engine.fit import fit_problems
from engine.privacy import DataProtection
from engine.warehouse.warehouse import Warehouse

THEN = NOW - timedelta(days=10)


def story(owner: str = "cus_1", number: str = "1") -> list[Thing]:
    """A renewal tried twice, a new card, the money, and a dispute about it."""
    bill = invoice(f"in_{number}", owner)
    bill["parent"] = {"subscription_details": {"subscription": f"sub_{number}"}}
    tried = intent(f"pi_{number}", owner, charge=f"ch_{number}")
    later = charge(f"ch_{number}b", owner, created=at(2), ok=True, last4="4242", payment_intent=f"pi_{number}")
    dispute = {"object": "dispute", "id": f"dp_{number}", "charge": f"ch_{number}b", "amount": 2900, "currency": "eur",
               "status": "needs_response", "created": at(3)}  # fmt: skip
    return [
        event("customer.created", customer(owner), at(-300)),
        event("customer.subscription.created", subscription(f"sub_{number}", owner), at(-300)),
        event("invoice.payment_failed", bill, at(0)),
        event("payment_intent.payment_failed", tried, at(0)),
        event("invoice_payment.paid", link(f"in_{number}", f"pi_{number}"), at(2)),
        event("payment_method.attached", method(f"pm_{number}", owner), at(1)),
        event("charge.succeeded", later, at(2)),
        event("invoice.paid", paid(bill, at(2)), at(2)),
        event("charge.dispute.created", dispute, at(3)),
    ]  # fmt: skip


def test_postgresql_gives_the_same_tables_as_sqlite(company: StripeCompany, tmp_path: Path, postgres_url: str) -> None:
    other = StripeCompany(tmp_path / "other", more=f"state: {{url: '{postgres_url}'}}\n")
    events = story() + story("cus_2", "2")
    for one in (company, other):
        one.hear(events, THEN + timedelta(days=4))
    assert other.tables() == company.tables()
    assert other.tables()["disputes"][0]["customer_id"] == "cus_1"
    other.store.close()


def test_a_look_at_one_customer_reads_the_same_rows_as_a_look_at_all(company: StripeCompany) -> None:
    company.hear(story() + story("cus_2", "2"), THEN + timedelta(days=4))
    everybody = company.tables()
    warehouse = Warehouse(company.project.settings, company.folder, NOW, ["cus_2"])
    warehouse.stage_customers([])
    for table in ("invoices", "payment_failures", "payment_methods", "disputes"):
        names = [name for name in warehouse.shapes[table].columns if name != "updated_at"]
        warehouse.stage_rows(table, names)
        listed = ", ".join(f'"{name}"' for name in names)
        found = warehouse.db.execute(f"SELECT {listed} FROM t_{table}").fetchall()
        whole = [
            tuple(row.values()) for row in everybody[table] if "2" in json.dumps(row, default=str) and _is_of_two(row)
        ]
        mine = [row for row in found if "in_2" in row or "cus_2" in row]
        assert sorted(map(str, mine)) == sorted(map(str, whole))
        assert not any("cus_1" in row for row in found)
    warehouse.close()


def _is_of_two(row: Thing) -> bool:
    return row.get("customer_id") == "cus_2" or row.get("invoice_id") == "in_2"


def test_customers_of_ones_own_are_joined_by_their_stripe_id(tmp_path: Path) -> None:
    made = StripeCompany(tmp_path / "c", {"ann": "cus_1", "office": "cus_1", "bob": "cus_9"})
    made.hear([event("customer.created", customer(), at(-300)), event("invoice.payment_failed", invoice(), at(0)),
               event("payment_intent.payment_failed", intent(invoice="in_1"), at(0))], THEN)  # fmt: skip
    assert made.day(THEN + timedelta(days=3)) == ["ann: soft-1", "office: soft-1"]
    made.store.close()


def test_without_the_column_for_stripes_ids_the_tables_are_refused(tmp_path: Path) -> None:
    made = StripeCompany(tmp_path / "c", {"ann": "cus_1"})
    (made.folder / "customers.csv").write_text("customer_id,email\nann,ann@shop.example\n")
    with pytest.raises(SetupError, match='need the column "stripe_customer_id"'):
        made.table("invoices")
    made.store.close()


def test_a_state_that_does_not_exist_yet_is_empty(company: StripeCompany) -> None:
    company.store.close()
    for path in company.folder.glob("holdfast.db*"):
        path.unlink()
    assert company.tables() == {name: [] for name in company.tables()}


def test_check_warns_of_long_ladders_and_of_stripes_own_mails(tmp_path: Path) -> None:
    made = StripeCompany(tmp_path / "c", more="dunning: {recheck: off, stripe_emails: off}\n")
    made.hear(story(), THEN)
    assert fit_problems(made.project, NOW) == []
    config = (made.folder / "config.yaml").read_text()
    asked = config.replace("stripe_emails: off", "stripe_emails: unknown, retry_window: 10 days")
    (made.folder / "config.yaml").write_text(asked)
    weekly = subscription("sub_9")
    weekly["items"]["data"][0]["price"]["recurring"]["interval"] = "week"
    made.hear([event("customer.subscription.created", weekly, at(0))], THEN)
    said = [str(problem) for problem in fit_problems(type(made.project).load(made.folder), NOW)]
    assert [text for text in said if "HF612" in text and "nobody has said whether Stripe itself writes" in text]
    assert [
        text
        for text in said
        if "its last step comes 12 days after the failure, when the billing system has acted" in text
    ]
    assert [text for text in said if "and some pay every week" in text]
    asked = config.replace("recheck: off", "recheck: 15 minutes")
    (made.folder / "config.yaml").write_text(asked)
    (waiting,) = fit_problems(type(made.project).load(made.folder), NOW)[:1]
    assert "mails about failed payments will wait for ever" in str(waiting)
    made.store.close()


def test_forgetting_a_customer_leaves_nothing_that_stripe_told_of_them(company: StripeCompany) -> None:
    company.hear(story() + story("cus_2", "2"), THEN + timedelta(days=4))
    before = company.store.billing.counts()
    protection = DataProtection(company.project.settings, company.folder, company.store)
    exported = protection.export("cus_1", at=NOW)
    assert {"stripe_customer", "stripe_invoice", "stripe_try", "stripe_dispute"} <= exported.keys()
    protection.erase("cus_1", now=NOW)
    left = company.store.billing.rows_of(["cus_1"])
    assert left == {}
    after = company.store.billing.counts()
    assert {kind: 2 * number for kind, number in after.items()} == before
    with company.store._database.read() as connection:
        bodies = [row[0] for row in connection.exec_driver_sql("SELECT body FROM inbound_event")]
    assert not any("cus_1" in body for body in bodies)
    assert any("cus_2" in body for body in bodies)
