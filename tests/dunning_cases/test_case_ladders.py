"""Links, days off, clocks, edits, a second time, two engines at once, and control groups."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from billing_company import HEAD, PERSON, RULES, SILENT, RowsCompany, StripeCompany
from stripe_server import StripeServer
from stripe_things import at, bought, event, failure, invoice, when

SOFT = {"soft.yaml": RULES["soft.yaml"]}


# Links.


def test_the_link_is_read_again_when_the_mail_leaves(tmp_path: Path, stripe: StripeServer) -> None:
    """Case 23."""
    company = StripeCompany(tmp_path / "company", more="dunning: {recheck: 15 minutes}\n" + stripe.config)
    company.live(*bought(), *failure(invoice(), 0))
    stripe.now = when(3, 2.5)
    stripe.holds(invoice(hosted_invoice_url="https://invoice.stripe.com/i/fresh"))
    assert company.on_day(3) == ["cus_1: soft-1"]
    assert "https://invoice.stripe.com/i/fresh" in company.text()
    assert "https://invoice.stripe.com/i/in_1" not in company.text()


def test_a_bill_without_a_link_gets_the_page_for_paying(tmp_path: Path) -> None:
    """Case 23."""
    page = SILENT.replace("}", ", pay_page: https://pay.example.com/open}")
    company = StripeCompany(tmp_path / "company", rules=SOFT, more=page)
    company.live(*bought(), *failure(invoice(hosted_invoice_url=None), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    assert "https://pay.example.com/open" in company.text()


def test_without_any_link_the_shipped_mail_says_where_to_pay(shipped: StripeCompany) -> None:
    """Case 23."""
    shipped.live(*bought(), *failure(invoice(hosted_invoice_url=None), 0))
    assert len(shipped.on_day(3)) == 1
    assert "open “Plan and billing” in your Corner Shop account" in shipped.text()
    assert "None" not in shipped.text()


@pytest.mark.parametrize(
    "linked",
    [{"from_invoice": {"action": "revision", "invoice": "in_1"}}, {"metadata": {"replaces": "in_1"}}],
    ids=["from_invoice", "metadata"],
)
def test_a_bill_issued_anew_goes_on_with_the_day_of_the_old_one(
    company: StripeCompany, linked: Mapping[str, object]
) -> None:
    """Case 23."""
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    anew = invoice("in_2", number="N-2", **linked)
    company.live(
        event("invoice.voided", {**invoice(), "status": "void"}, at(4)), event("invoice.finalized", anew, at(4))
    )
    company.live(*failure(anew, 4.01))
    assert company.on_days(5, 7) == {7: ["cus_1: soft-2"]}
    assert "N-2" in company.text()


def test_a_bill_issued_anew_without_a_link_to_the_old_one_is_a_case_of_its_own(company: StripeCompany) -> None:
    """Case 23."""
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    company.live(event("invoice.voided", {**invoice(), "status": "void"}, at(4)), *failure(invoice("in_2"), 4.01))
    assert company.on_days(6, 7) == {7: ["cus_1: soft-1"]}


# Days off.


def test_after_four_days_off_exactly_one_mail_leaves_and_the_skipped_steps_are_written_down(
    company: StripeCompany,
) -> None:
    """Case 24."""
    company.live(*bought(), *failure(invoice(), 0, "lost_card"))
    assert company.on_days(1, 7, 8) == {1: ["cus_1: card-1"], 7: ["cus_1: card-3"]}
    assert company.settled("cus_1") == {"card-1": "sent", "card-2": "superseded", "card-3": "sent"}


@pytest.mark.parametrize(("day", "sent"), [(12, ["cus_1: soft-final"]), (13, []), (14, [])])
def test_a_last_notice_is_not_sent_less_than_two_dates_before_the_day_it_names(
    company: StripeCompany, day: int, sent: list[str]
) -> None:
    """Case 24."""
    company.live(*bought(), *failure(invoice(), 0))
    company.on_day(7)
    assert company.on_day(day) == sent


def test_a_last_notice_that_was_planned_in_time_is_not_sent_too_late(company: StripeCompany) -> None:
    """Case 24."""
    company.live(*bought(), *failure(invoice(), 0))
    company.on_day(7)
    company.day(when(12, 2.5), send=False)
    assert company.send(when(13, 2.5), planned_at=when(12, 2.5)) == []


def test_the_shipped_last_notice_leaves_in_time_or_never(shipped: StripeCompany) -> None:
    """Case 24."""
    shipped.live(*bought(), *failure(invoice(), 0), *bought("cus_2", "sub_2"))
    shipped.live(*failure(invoice("in_2", "cus_2"), -1.02))
    shipped.on_day(7)
    before = len(shipped.letters)
    shipped.on_day(12)  # one has two dates left, the other one
    assert [one.customer for one in shipped.letters[before:]] == ["ann-1"]
    assert "November 26, 2026" in shipped.text()


def test_a_task_for_a_person_is_no_mail_and_uses_none_up(tmp_path: Path) -> None:
    """Case 24."""
    bills = [{**BILL, "failed_at": when(0).isoformat()}]
    tables = {"customers": [{"customer_id": "ann", "email": ""}], "invoices": bills}
    company = RowsCompany(tmp_path, tables, rules=SOFT | PERSON, more="dunning: {max_mails: 1}\n")
    company.on_day(1)
    assert company.tasks() == ["ann: no_address"]
    company.write("customers", [{"customer_id": "ann", "email": "ann@example.com"}])
    assert company.on_days(3, 7) == {3: ["ann: soft-1"]}


# Clocks.

ZONES = {"customer_id": "ann", "email": "ann@example.com"}
BILL = {"invoice_id": "in_1", "customer_id": "ann", "amount_minor": 2900, "currency": "EUR", "status": "open",
        "hosted_invoice_url": "https://pay.example.com/in_1"}  # fmt: skip


def rows(folder: Path, failed_at: datetime, zone: str = "", more: str = "") -> RowsCompany:
    bills = [{**BILL, "failed_at": failed_at.isoformat()}]
    return RowsCompany(folder, {"customers": [{**ZONES, "timezone": zone}], "invoices": bills}, rules=SOFT, more=more)


def test_days_are_local_dates_when_the_clocks_change(tmp_path: Path) -> None:
    """Case 25."""
    company = rows(tmp_path, datetime(2026, 10, 23, 7, 30))  # in London clocks go back on the 25th
    sent = {str(day): company.day(datetime(2026, 10, day, 8 if day < 25 else 9)) for day in (24, 25, 26, 27)}
    assert {day: mails for day, mails in sent.items() if mails} == {"26": ["ann: soft-1"]}


def test_a_customer_elsewhere_is_written_to_in_their_own_morning_on_their_own_date(tmp_path: Path) -> None:
    """Case 25."""
    # 03:00 on 13 November in London is still the 12th in New York, so three days later is the 15th there.
    company = rows(tmp_path, datetime(2026, 11, 13, 3), "America/New_York")
    assert company.day(datetime(2026, 11, 15, 9)) == []
    assert company.send(datetime(2026, 11, 15, 13, 59)) == []
    assert company.send(datetime(2026, 11, 15, 14)) == ["ann: soft-1"]


def test_runs_on_both_sides_of_midnight_send_one_mail(tmp_path: Path) -> None:
    """Case 25."""
    company = rows(tmp_path, datetime(2026, 11, 12, 9))
    late, early = datetime(2026, 11, 15, 23, 59), datetime(2026, 11, 16, 0, 1)
    sent = [company.day(late), company.day(early), company.day(early + timedelta(hours=9))]
    assert [mail for mails in sent for mail in mails] == ["ann: soft-1"]


def test_a_failure_in_the_future_by_skew_waits_for_its_time(tmp_path: Path) -> None:
    """Case 25."""
    company = rows(tmp_path, datetime(2026, 11, 12, 9, 5))
    assert company.day(datetime(2026, 11, 12, 9)) == []
    assert company.day(datetime(2026, 11, 15, 9)) == ["ann: soft-1"]
    assert company.day(datetime(2026, 11, 16, 9)) == []


def test_a_payment_dated_a_little_ahead_of_our_clock_stops_the_mail_all_the_same(company: StripeCompany) -> None:
    """Case 25."""
    company.live(*bought(), *failure(invoice(), 0))
    ahead = at(3, 2.5 * 3600 + 120)
    settled = {**invoice(), "status": "paid", "amount_paid": 2900, "amount_remaining": 0}
    told = event("invoice.paid", {**settled, "status_transitions": {"paid_at": ahead}}, ahead)
    company.hear([told], when(3, 2.5))
    assert company.on_day(3) == []


# Edits.


def test_an_edited_ladder_holds_from_the_next_run_and_repeats_nothing(company: StripeCompany) -> None:
    """Case 26."""
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    sooner = RULES["soft.yaml"].replace("soft-1, after: 3 days", "soft-1, after: 1 day").replace("7 days", "5 days")
    company.use(RULES | {"soft.yaml": sooner})
    assert company.on_days(4, 5, 6) == {5: ["cus_1: soft-2"]}
    company.use(RULES)
    assert company.on_days(7) == {}


def test_a_step_put_before_one_that_was_sent_is_not_sent_afterwards(company: StripeCompany) -> None:
    """Case 26."""
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    more = "steps:\n  - {id: soft-0, after: 1 day, send: note}\n"
    company.use(RULES | {"soft.yaml": RULES["soft.yaml"].replace("steps:\n", more)})
    assert company.on_days(5, 7) == {7: ["cus_1: soft-2"]}


def test_a_rule_that_gets_another_name_goes_on_where_it_stood(company: StripeCompany) -> None:
    """Case 26."""
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    company.use({"soft.yaml": RULES["soft.yaml"].replace("rule: soft\n", "rule: gentle\nwas: [soft]\n")})
    assert company.on_days(5, 7) == {7: ["cus_1: soft-2"]}


# A second time.


def test_a_failure_one_month_later_begins_a_ladder_of_its_own(company: StripeCompany) -> None:
    """Case 29."""
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    company.live(
        event("invoice.paid", {**invoice(), "status": "paid", "amount_paid": 2900, "amount_remaining": 0}, at(5))
    )
    company.live(*failure(invoice("in_2"), 30))
    assert company.on_days(31, 33) == {33: ["cus_1: soft-1"]}
    assert "in_2" in company.text()


def test_that_it_is_the_second_time_is_said_only_by_who_asks_for_it(tmp_path: Path) -> None:
    """Case 29."""
    again = "  - {id: soft-1, after: 3 days, send: first, where: fact.earlier_failures = 0}\n"
    rule = HEAD.format(id="soft") + "trigger: {payment_failed: {group: soft}}\nsteps:\n" + again
    company = StripeCompany(tmp_path / "company", rules={"soft.yaml": rule})
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    company.live(
        event("invoice.paid", {**invoice(), "status": "paid", "amount_paid": 2900, "amount_remaining": 0}, at(5))
    )
    company.live(*failure(invoice("in_2"), 30))
    assert company.on_day(33) == []


# Two engines.


def test_two_engines_at_once_send_one_mail(tmp_path: Path) -> None:
    """Case 31."""
    engines = [StripeCompany(tmp_path / "company", rules=SOFT), StripeCompany(tmp_path / "company", rules=SOFT)]
    engines[0].live(*bought(), *failure(invoice(), 0))

    def run(engine: StripeCompany) -> list[str]:
        try:
            return engine.on_day(3)
        except Exception as error:  # noqa: BLE001 - one may be told that the other is at work
            return [type(error).__name__]

    with ThreadPoolExecutor(2) as pool:
        sent = [mail for mails in pool.map(run, engines) for mail in mails]
    assert sent.count("cus_1: soft-1") <= 1
    for engine in engines:
        engine.send(when(3, 3))
    assert len(list((tmp_path / "company/outbox").glob("*.eml"))) == 1
    assert len(engines[0].store.history_of("cus_1").messages) == 1


def test_the_second_of_two_engines_finds_nothing_to_do(tmp_path: Path) -> None:
    """Case 31."""
    engines = [StripeCompany(tmp_path / "company", rules=SOFT), StripeCompany(tmp_path / "company", rules=SOFT)]
    engines[0].live(*bought(), *failure(invoice(), 0))
    assert [engine.on_day(3) for engine in engines] == [["cus_1: soft-1"], []]


# Control groups.


def test_the_control_group_is_computed_and_labelled_and_gets_nothing(tmp_path: Path) -> None:
    """Case 32."""
    rules = {"soft.yaml": RULES["soft.yaml"].replace("steps:\n", "holdout: 50%\nsteps:\n")}
    company = StripeCompany(tmp_path / "company", rules=rules)
    owners = [f"cus_{number}" for number in range(12)]
    for number, owner in enumerate(owners):
        company.live(*bought(owner, f"sub_{number}"), *failure(invoice(f"in_{number}", owner), 0))
    first = {mail.partition(":")[0] for mail in company.on_day(3)}
    arms = {owner: [one.arm for one in company.store.history_of(owner).exposures] for owner in owners}
    held = {owner for owner in owners if arms[owner] == ["control"]}
    assert 0 < len(held) < len(owners)
    assert first | held == set(owners)
    assert not first & held
    assert {mail.partition(":")[0] for mail in company.on_day(7)} == first  # the same people on every day
    assert all(not company.store.history_of(owner).messages for owner in held)

    someone = min(held)
    bill = invoice(f"in_{someone[4:]}", someone)
    company.live(event("invoice.paid", {**bill, "status": "paid", "amount_paid": 2900, "amount_remaining": 0}, at(8)))
    found = company.report(when(9))
    [lift] = found.lifts
    assert (lift.control.invoices, lift.control.recovered) == (len(held), 1)
    assert (lift.treated.invoices, lift.treated.recovered) == (len(first), 0)
    assert [(one.held_out, one.mails) for one in found.recoveries] == [(True, 0)]
