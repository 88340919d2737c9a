"""Just before a mail leaves, the tables are asked once more."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from run_company import Company

from engine.sending import send_due

DUE = date(2026, 5, 2)


def sent_after(company: Company) -> dict[str, int]:
    """Plan, let the company's tables change as they were changed, and deliver; why messages were stopped."""
    project = company.project()
    report = send_due(project, company.store, clock=lambda: project.instant(DUE))
    return dict(report.stopped) | ({"sent": report.sent} if report.sent else {})


def planned(company: Company) -> Company:
    company.run(DUE)
    assert company.messages() == [("ann", "quiet", "first")]
    return company


def test_nothing_changed_and_the_mail_leaves(company: Company) -> None:
    assert sent_after(planned(company)) == {"sent": 1}


def test_whoever_came_back_gets_nothing(company: Company) -> None:
    planned(company).event("ann", "login", datetime(2026, 5, 2, 7, 30))
    assert sent_after(company) == {"no_longer_true": 1}


def test_whoever_is_no_longer_a_customer_gets_nothing(company: Company) -> None:
    planned(company).customers = [row for row in company.customers if row["customer_id"] != "ann"]
    assert sent_after(company) == {"no_longer_true": 1}


@pytest.mark.parametrize("address", ["ann@new.example.com", "", "two@@signs"])
def test_an_old_address_is_not_written_to(company: Company, address: str) -> None:
    planned(company).customers[0]["email"] = address
    assert sent_after(company) == {"address_changed": 1}


def test_marketing_stops_when_consent_is_withdrawn_in_the_table(company: Company) -> None:
    for row in company.customers:
        row["consent"] = "true"
    planned(company).customers[0]["consent"] = "false"
    assert sent_after(company) == {"no_consent": 1}


def test_service_mail_needs_no_consent(company: Company) -> None:
    company.rules["quiet.yaml"] += "class: service\nground: contract\n"
    for row in company.customers:
        row["consent"] = "true"
    planned(company).customers[0]["consent"] = "false"
    assert sent_after(company) == {"sent": 1}
