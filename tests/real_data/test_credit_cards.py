"""30,000 real payment histories, April to September 2005, mapped to invoices by configuration and lived through.

A row says for each month how many months its holder is overdue. Consecutive overdue months are one invoice: it failed
when the first of them began and was paid when the first month without arrears did. The figures are the data set's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from engine import Project
from engine.run import RunReport, daily_run

OVERDUE = {4: 3_079, 5: 2_968, 6: 3_510, 7: 4_213, 8: 4_438, 9: 6_818}
"""Customers at least one month overdue, by month of 2005."""

DAYS = [date(2005, month, day) for month in OVERDUE for day in (2, 4, 9, 14, 23)]

CONFIG = """
workspace: {{name: Bank, timezone: UTC, postal_address: "1 Road, Town", public_url: "https://mail.example.com", currency: TWD}}
schedules: {{daily: "00:00"}}
warehouse:
  tables:
    customers: {{query: "select ID as customer_id, ID || '@example.com' as email from read_csv('{path}')"}}
    invoices:
      query: >-
        with months as (
          select ID, unnest([4, 5, 6, 7, 8, 9]) as month, unnest([PAY_6, PAY_5, PAY_4, PAY_3, PAY_2, PAY_0]) as overdue,
            unnest([BILL_AMT6, BILL_AMT5, BILL_AMT4, BILL_AMT3, BILL_AMT2, BILL_AMT1]) as bill from read_csv('{path}')),
        begun as (select *, overdue >= 1 and coalesce(lag(overdue) over (partition by ID order by month), 0) < 1 as is_first
          from months),
        stretches as (select *, sum(is_first::int) over (partition by ID order by month) as stretch from begun)
        select ID || '-' || stretch as invoice_id, ID as customer_id, make_timestamp(2005, min(month), 1, 0, 0, 0) as failed_at,
          case when max(month) < 9 then make_timestamp(2005, max(month) + 1, 1, 0, 0, 0) end as paid_at,
          greatest(arg_min(bill, month), 1) as amount, 'TWD' as currency
        from stretches where overdue >= 1 group by ID, stretch
      columns: {{amount: amount}}
sender: {{service: {{from: "Bank <billing@example.com>"}}, marketing: {{from: "Bank <hello@example.com>"}}}}
quiet_hours: off
guard: off
"""
RULE = """rule: overdue
status: active
class: service
ground: contract
topic: payment
trigger: {payment_failed: {}}
steps:
  - {id: first, after: 3 days, send: mail}
  - {id: second, after: 7 days, send: mail}
  - {id: last, after: 12 days, send: mail, where: fact.days_left >= 2, send_within: 5 days}
"""
MAIL = """---
subject: '{{ fact.amount_minor | money(fact.currency) }} is open'
preheader: 'Your bill'
---
<html lang="{{ lang }}" dir="{{ dir }}"><body><p>Hello</p><p>{{ workspace.postal_address }}</p></body></html>
"""


class HalfYear:
    """The days run once, in order, against one state."""

    def __init__(self, folder: Path, data: Path) -> None:
        (folder / "config.yaml").write_text(CONFIG.format(path=data))
        (folder / "rules").mkdir()
        (folder / "rules/overdue.yaml").write_text(RULE)
        (folder / "templates/mail").mkdir(parents=True)
        (folder / "templates/mail/mail.html").write_text(MAIL)
        self.project = Project.load(folder)
        self.store = self.project.open_store()
        self.reports = {day: self.run(day) for day in DAYS}

    def run(self, day: date) -> RunReport:
        as_of = self.project.instant(day)
        return daily_run(self.project, self.store, "daily", day, as_of, as_of)

    def exposures(self) -> list[tuple[str, str, str, date]]:
        """(customer, occurrence, step, date) of every mail planned."""
        return [(str(row[1]), str(row[2]), str(row[3]), date.fromisoformat(str(row[8])[:10]))
                for row in self.store.ledger.exposures_since(date(2005, 1, 1))]  # fmt: skip


@pytest.fixture(scope="module")
def half_year(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HalfYear]:
    folder = tmp_path_factory.mktemp("cards")
    lived = HalfYear(folder, shared_data / "credit_card_payments" / "credit_card_payments.csv.gz")
    yield lived
    lived.store.close()


def test_each_month_finds_the_published_number_of_customers_overdue(half_year: HalfYear) -> None:
    found = {month: sum(number for *_, number in half_year.reports[date(2005, month, 2)].counts) for month in OVERDUE}
    assert found == OVERDUE


def test_no_bill_gets_a_step_twice_nor_two_mails_within_two_days(half_year: HalfYear) -> None:
    sent = half_year.exposures()
    assert len(sent) > 20_000
    assert len({(customer, occurrence, step) for customer, occurrence, step, _ in sent}) == len(sent)
    dates: dict[str, list[date]] = defaultdict(list)
    for customer, _, _, day in sent:
        dates[customer].append(day)
    gaps = [
        later - earlier
        for days in dates.values()
        for earlier, later in zip(sorted(days), sorted(days)[1:], strict=False)
    ]
    assert min(gaps) >= timedelta(days=2)


def test_nobody_is_written_to_about_a_bill_that_was_paid(half_year: HalfYear) -> None:
    warehouse = half_year.project.plan(datetime(2005, 9, 30))
    try:
        rows = warehouse.db.execute("SELECT invoice_id, failed_at, paid_at FROM t_invoices").fetchall()
    finally:
        warehouse.close()
    bills = {invoice: (failed.date(), paid.date() if paid else date.max) for invoice, failed, paid in rows}
    for _, occurrence, _, day in half_year.exposures():
        failed, paid = bills[occurrence.rpartition(":")[0]]
        assert failed <= day < paid
