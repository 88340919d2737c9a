"""The rules and mails that come with Holdfast, where everything comes from Stripe."""

from __future__ import annotations

from pathlib import Path

from billing_company import StripeCompany
from stripe_things import bought, failure, invoice


def test_the_shipped_mails_need_nothing_that_stripes_customers_do_not_have(tmp_path: Path) -> None:
    company = StripeCompany(tmp_path / "company", shipped=True)
    company.live(*bought(), *failure(invoice(), 0))
    assert len(company.on_day(3)) == 1
    facts = "Amount: €29.00 Product: Team Invoice: N-in_1 Last digits of the card: 0341"
    assert facts in company.text()
    company.store.close()
