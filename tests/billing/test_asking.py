"""Stripe asked: for what no event said, before a mail leaves, and for everything by listing it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from billing_company import PERSON, RULES, StripeCompany
from stripe_server import StripeServer
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
    paid,
    subscription,
    when,
)
from typer.testing import CliRunner, Result

from engine.billing import StripeApi, asking, stripe_api, sync
from engine.billing.stripe_api import GoneError
from engine.cli.root import app
from engine.errors import SetupError, UnavailableError

ASKS = "dunning: {recheck: 15 minutes}\n"
THIRD_DAY = when(3, 2.5)


@pytest.fixture
def stripe(monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeServer]:
    """A stand-in that is asked once and given up soon."""
    monkeypatch.setenv("STRIPE_KEY", "rk_live_1")
    monkeypatch.setattr(stripe_api, "RETRIES", 0)
    monkeypatch.setattr(stripe_api, "TIMEOUT_S", 0.5)
    with StripeServer() as server:
        server.now = THIRD_DAY
        yield server


@pytest.fixture
def company(tmp_path: Path, stripe: StripeServer) -> Iterator[StripeCompany]:
    made = StripeCompany(tmp_path / "company", rules=RULES | PERSON, more=ASKS + stripe.config)
    yield made
    made.store.close()


def declined(code: str, *, basil: bool = True, created: int | None = None) -> list[Thing]:
    """What Stripe holds of a bill whose only charge was refused with this code."""
    made = at(0) if created is None else created
    own: Thing = {} if basil else {"invoice": "in_1"}
    outcome = {"type": "issuer_declined", "reason": code}
    return [
        invoice(basil=basil, created=made), {**link(), "created": made}, intent(code=code, created=made, **own),
        charge(created=made, outcome=outcome, **own),
    ]  # fmt: skip


@pytest.mark.parametrize("basil", [True, False], ids=["basil", "before basil"])
def test_a_decline_code_that_no_event_told_is_fetched(
    company: StripeCompany, stripe: StripeServer, basil: bool
) -> None:
    stripe.now = when(1, 2.5)
    stripe.holds(*declined("lost_card", basil=basil))
    company.live(*bought(), event("invoice.payment_failed", invoice(basil=basil), at(0)))
    assert [row["decline_code"] for row in company.table("payment_failures", when(1))] == [None]
    assert company.on_day(1) == ["cus_1: card-1"]
    [row] = company.table("payment_failures", when(1, 3))
    assert (row["decline_code"], row["last4"]) == ("lost_card", "0341")
    assert company.store.billing.open_questions() == 0


@pytest.mark.parametrize("basil", [True, False], ids=["basil", "before basil"])
def test_reading_a_bill_is_no_new_failure(company: StripeCompany, stripe: StripeServer, basil: bool) -> None:
    company.live(*bought(), event("invoice.payment_failed", invoice(basil=basil), at(0)))
    stripe.holds(customer(), subscription(), *declined("lost_card", basil=basil))
    for day in (1, 2):
        stripe.now = when(day)
        sync(company.project.settings, company.store, when(day))
    assert [row["at"] for row in company.table("payment_failures", when(3))] == [when(0)]
    assert company.table("invoices", when(3))[0]["last_failed_at"] == when(0)


def test_a_sync_does_not_end_the_hold_for_a_new_card(company: StripeCompany, stripe: StripeServer) -> None:
    company.live(*bought(), *failure(invoice(), 0), event("payment_method.attached", method(), at(1)))
    chosen = customer(invoice_settings={"default_payment_method": "pm_2"})
    company.live(event("customer.updated", chosen, at(1, 2)))
    stripe.now = when(2)
    stripe.holds(chosen, subscription(), invoice(created=at(0)), {**link("in_1", "pi_in_1"), "created": at(0)})
    stripe.holds(intent("pi_in_1", charge="ch_in_1_0", created=at(0)))
    stripe.holds(charge("ch_in_1_0", created=at(0), payment_intent="pi_in_1"), method(created=at(1)))
    sync(company.project.settings, company.store, when(2))
    stripe.now = THIRD_DAY
    assert company.on_day(3) == []


def test_without_a_sync_a_new_card_holds_the_mail(company: StripeCompany, stripe: StripeServer) -> None:
    stripe.holds(*declined("insufficient_funds"))
    company.live(*bought(), *failure(invoice(), 0), event("payment_method.attached", method(), at(1)))
    company.live(event("customer.updated", customer(invoice_settings={"default_payment_method": "pm_2"}), at(1, 2)))
    assert company.on_day(3) == []


def test_a_card_added_after_planning_holds_the_mail_though_the_bill_is_read_again(
    company: StripeCompany, stripe: StripeServer
) -> None:
    stripe.holds(invoice(created=at(0)), {**link("in_1", "pi_in_1"), "created": at(0)})
    stripe.holds(intent("pi_in_1", charge="ch_in_1_0", created=at(0)))
    company.live(*bought(), *failure(invoice(), 0))
    company.day(THIRD_DAY, send=False)
    company.live(event("payment_method.attached", method(), at(3, 9060)))
    chosen = customer(invoice_settings={"default_payment_method": "pm_2"})
    company.live(event("customer.updated", chosen, at(3, 9062)))
    stripe.now = later = THIRD_DAY + timedelta(minutes=5)
    assert company.send(later, planned_at=THIRD_DAY) == []
    assert company.why_not() == {"new_card": 1}
    stripe.now = when(7, 2.5)
    assert company.on_day(7) == []  # the new card has not been tried yet


def test_the_look_before_a_mail_is_no_new_failure(company: StripeCompany, stripe: StripeServer) -> None:
    stripe.holds(*declined("insufficient_funds"))
    told = [event("invoice.payment_failed", invoice(), at(0)), event("payment_intent.payment_failed", intent(), at(0))]
    company.live(*bought(), *told, event("invoice_payment.created", link(), at(0)))
    assert company.on_day(3) == ["cus_1: soft-1"]
    assert [row["at"] for row in company.table("payment_failures", when(4))] == [when(0)]


def test_a_new_card_heard_of_after_the_look_holds_the_next_mail_until_it_fails(
    company: StripeCompany, stripe: StripeServer
) -> None:
    stripe.holds(invoice(created=at(0)), {**link("in_1", "pi_in_1"), "created": at(0)})
    stripe.holds(intent("pi_in_1", charge="ch_in_1_0", created=at(0)))
    stripe.holds(charge("ch_in_1_0", created=at(0), payment_intent="pi_in_1"))
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == ["cus_1: soft-1"]
    chosen = customer(invoice_settings={"default_payment_method": "pm_2"})
    late = [event("payment_method.attached", method(), at(3, 8980)), event("customer.updated", chosen, at(3, 8990))]
    company.hear(late, THIRD_DAY + timedelta(minutes=2))
    stripe.now = when(7, 2.5)
    assert company.on_day(7) == []
    company.live(*failure(invoice(attempt_count=2), 8, last4="4242"))
    stripe.holds(intent("pi_in_1", charge="ch_in_1_8", created=at(0), last4="4242"))
    stripe.holds(charge("ch_in_1_8", created=at(8), payment_intent="pi_in_1", last4="4242"))
    stripe.now = when(8, 2.5)
    assert company.on_day(8) == ["cus_1: soft-2"]  # it was held, not planned and lost


def test_without_a_key_to_ask_with_check_says_that_no_mail_will_leave(tmp_path: Path) -> None:
    company = StripeCompany(tmp_path / "company", more=ASKS)
    told = CliRunner().invoke(app, ["-C", str(company.folder), "check"], prog_name="holdfast").output
    assert "wait for ever" in " ".join(told.split())
    assert "stripe.api_key" in told


def test_a_key_whose_variable_is_not_set_holds_mails_and_questions_and_ends_no_run(
    company: StripeCompany, stripe: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe.now = when(1, 2.5)
    stripe.holds(*declined("lost_card"))
    company.live(*bought(), event("invoice.payment_failed", invoice(), at(0)))
    monkeypatch.delenv("STRIPE_KEY")
    assert company.on_day(1) == []
    assert [run.state for run in company.store.runs.recent(1)] == ["finished"]
    assert company.store.billing.open_questions() == 1
    monkeypatch.setenv("STRIPE_KEY", "rk_live_1")
    stripe.now = when(2, 2.5)
    assert company.on_day(2) == ["cus_1: card-1"]


def test_check_names_the_variables_of_stripe_that_are_not_set(
    company: StripeCompany, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> Result:
        return CliRunner().invoke(app, ["-C", str(company.folder), "check"], prog_name="holdfast")

    config = company.folder / "config.yaml"
    config.write_text(config.read_text().replace("stripe: {", 'stripe: {webhook_secret: "${STRIPE_SIGNS}", '))
    monkeypatch.delenv("STRIPE_KEY")
    told = check()
    assert told.exit_code == 0  # no mail reaches anybody here
    assert all(f"variable {name} is missing" in told.output for name in ("STRIPE_KEY", "STRIPE_SIGNS"))
    config.write_text(config.read_text() + "channels: {email: {use: smtp, host: mail.example.com}}\n")
    told = check()
    assert told.exit_code == 2
    assert all(f"variable {name} is missing" in told.output for name in ("STRIPE_KEY", "STRIPE_SIGNS"))


def test_what_an_event_told_meanwhile_is_not_asked_for(company: StripeCompany, stripe: StripeServer) -> None:
    stripe.holds(*declined("insufficient_funds"))
    company.live(*bought(), *failure(invoice(), 0))
    company.on_day(1)
    assert not stripe.calls


def test_an_early_fraud_warning_about_an_unknown_charge_is_asked_about(
    company: StripeCompany, stripe: StripeServer
) -> None:
    warning = {
        "object": "radar.early_fraud_warning",
        "id": "issfr_1",
        "charge": "ch_9",
        "actionable": True,
        "created": at(1),
    }
    stripe.holds(*declined("insufficient_funds"), charge("ch_9", created=at(-40), ok=True, payment_intent="pi_9"))
    company.live(*bought(), *failure(invoice(), 0), event("radar.early_fraud_warning.created", warning, at(1)))
    assert company.on_day(3) == []


@pytest.mark.parametrize("status", [500, 429, 401, 403])
def test_a_stripe_that_does_not_answer_holds_the_mail_and_loses_nothing(
    company: StripeCompany, stripe: StripeServer, status: int
) -> None:
    stripe.holds(*declined("insufficient_funds"))
    company.live(*bought(), *failure(invoice(), 0))
    stripe.unwell(status)
    assert company.on_day(3) == []
    assert not [state for state in company.why_not() if "true" in state]
    stripe.unwell(200)
    later = THIRD_DAY + timedelta(hours=1)
    stripe.now = later
    assert company.send(later) == ["cus_1: soft-1"]
    assert company.on_day(4) == []


def test_a_stripe_that_thinks_too_long_or_is_not_there_holds_the_mail(
    company: StripeCompany, stripe: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe.holds(*declined("insufficient_funds"))
    company.live(*bought(), *failure(invoice(), 0))
    stripe.slow_s = 1.5
    assert company.on_day(3) == []
    stripe.slow_s = 0.0
    later = THIRD_DAY + timedelta(hours=1)
    stripe.now = later
    assert company.send(later) == ["cus_1: soft-1"]


def test_one_fault_is_ridden_over(
    company: StripeCompany, stripe: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_api, "RETRIES", 2)
    stripe.holds(*declined("insufficient_funds"))
    company.live(*bought(), *failure(invoice(), 0))
    stripe.unwell(500, times=1)
    assert company.on_day(3) == ["cus_1: soft-1"]


def test_a_bill_is_not_read_again_within_the_quarter_of_an_hour(company: StripeCompany, stripe: StripeServer) -> None:
    stripe.holds(*declined("insufficient_funds"))
    company.live(*bought(), *failure(invoice(), 0))
    api = StripeApi(company.project.settings.stripe)
    from engine.billing import read_again

    assert read_again(api, company.store, ["in_1"], THIRD_DAY - timedelta(minutes=10)) == {}
    before = sum(stripe.calls.values())
    assert company.on_day(3) == ["cus_1: soft-1"]
    assert sum(stripe.calls.values()) == before


def test_an_answer_older_than_what_an_event_said_changes_nothing(company: StripeCompany, stripe: StripeServer) -> None:
    stripe.holds(*declined("insufficient_funds"))
    stripe.now = when(2)  # as if from a copy that lags behind
    company.live(*bought(), *failure(invoice(), 0))
    company.day(THIRD_DAY, send=False)
    company.live(event("invoice.paid", paid(invoice(), at(3, 9010)), at(3, 9010)))
    assert company.send(THIRD_DAY + timedelta(minutes=1), planned_at=THIRD_DAY) == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named(company: StripeCompany, stripe: StripeServer, status: int) -> None:
    stripe.unwell(status)
    with pytest.raises(SetupError, match=r"stripe\.api_key") as told:
        sync(company.project.settings, company.store, THIRD_DAY)
    assert "rk_live_1" not in str(told.value)


def test_without_a_key_the_setting_is_named(tmp_path: Path) -> None:
    company = StripeCompany(tmp_path / "company", more=ASKS)
    with pytest.raises(SetupError, match=r"stripe\.api_key"):
        sync(company.project.settings, company.store, THIRD_DAY)


@pytest.mark.parametrize("status", [500, 429])
def test_a_sync_that_is_cut_off_says_so_and_keeps_what_it_read(
    company: StripeCompany, stripe: StripeServer, status: int
) -> None:
    stripe.holds(customer(), subscription(), *declined("insufficient_funds"))
    done = []

    def break_after_customers(what: str, count: int) -> None:
        done.append(what)
        if what == "customers":
            stripe.unwell(status)

    with pytest.raises(UnavailableError):
        sync(company.project.settings, company.store, THIRD_DAY, progress=break_after_customers)
    assert [row["customer_id"] for row in company.table("customers", THIRD_DAY)] == ["cus_1"]
    stripe.unwell(200)
    sync(company.project.settings, company.store, THIRD_DAY)
    assert len(company.table("invoices", THIRD_DAY)) == 1


def test_what_is_not_there_is_said_to_be_gone(company: StripeCompany) -> None:
    with pytest.raises(GoneError):
        StripeApi(company.project.settings.stripe).invoice("in_unknown")


def test_bills_that_seemed_gone_come_back_with_a_sync(company: StripeCompany, stripe: StripeServer) -> None:
    company.live(*bought(), *failure(invoice(), 0))
    assert company.on_day(3) == []  # the key was another account's, where there is no such bill
    stripe.now = when(4)
    stripe.holds(customer(), subscription(), *declined("insufficient_funds"))
    sync(company.project.settings, company.store, when(4))
    stripe.now = when(7, 2.5)
    assert company.on_day(7) == ["cus_1: soft-2"]


def everything() -> list[Thing]:
    """An account with one bill that failed, and events of which none was heard."""
    told = [*bought(), *failure(invoice(), 0)]
    return [customer(), subscription(), *declined("insufficient_funds"), *told]


def test_a_second_sync_changes_nothing(company: StripeCompany, stripe: StripeServer) -> None:
    stripe.holds(*everything())
    first = sync(company.project.settings, company.store, THIRD_DAY)
    tables = company.tables(THIRD_DAY)
    stripe.now = THIRD_DAY + timedelta(minutes=5)
    second = sync(company.project.settings, company.store, stripe.now)
    assert (first.new_events > 0, second.new_events) == (True, 0)
    assert company.tables(THIRD_DAY) == tables
    assert [row["at"] for row in tables["payment_failures"]] == [when(0)]


def test_events_and_a_sync_give_the_same_tables_as_the_events_alone(
    company: StripeCompany, stripe: StripeServer
) -> None:
    told = [*bought(), *failure(invoice(), 0)]
    company.live(*told)
    heard = company.tables(THIRD_DAY)
    stripe.holds(
        customer(), subscription(), invoice(created=at(0)), intent("pi_in_1", charge="ch_in_1_0", created=at(0))
    )
    stripe.holds({**link("in_1", "pi_in_1"), "created": at(0)}, *told)
    sync(company.project.settings, company.store, THIRD_DAY)
    assert company.tables(THIRD_DAY) == heard


def test_a_sync_repairs_a_payment_that_was_never_heard_of(company: StripeCompany, stripe: StripeServer) -> None:
    company.live(*bought(), *failure(invoice(), 0))
    stripe.holds(customer(), subscription(), {**paid(invoice(), at(2)), "created": at(0)})
    sync(company.project.settings, company.store, THIRD_DAY)
    [row] = company.table("invoices", THIRD_DAY)
    assert (row["status"], row["paid_at"]) == ("paid", when(2))
    assert company.on_day(3) == []


def test_a_sync_finds_a_failure_that_was_never_heard_of(company: StripeCompany, stripe: StripeServer) -> None:
    stripe.now = when(1)
    stripe.holds(customer(), subscription(), *declined("lost_card"))
    sync(company.project.settings, company.store, when(1))
    [row] = company.table("invoices", when(1))
    assert (row["failed_at"], row["decline_code"]) == (when(0), "lost_card")
    stripe.now = when(1, 2.5)
    assert company.on_day(1) == ["cus_1: card-1"]


def test_a_year_of_old_open_bills_becomes_tasks_and_no_mail(company: StripeCompany, stripe: StripeServer) -> None:
    for number, age in enumerate((20, 100, 365)):
        owner, bill = f"cus_{number}", f"in_{number}"
        named = {"subscription_details": {"subscription": f"sub_{number}"}}
        stripe.holds(customer(owner), subscription(f"sub_{number}", owner, created=at(-400)))
        stripe.holds(
            invoice(bill, owner, created=at(-age), parent=named), {**link(bill, f"pi_{number}"), "created": at(-age)}
        )
        tried = charge(f"ch_{number}", owner, created=at(-age), payment_intent=f"pi_{number}")
        stripe.holds(intent(f"pi_{number}", owner, charge=f"ch_{number}", created=at(-age)), tried)
    sync(company.project.settings, company.store, THIRD_DAY)
    assert company.on_day(3) == []
    assert company.tasks() == [f"cus_{number}: too_old" for number in range(3)]


def test_a_sync_reads_every_page(company: StripeCompany, stripe: StripeServer) -> None:
    for number in range(201):
        owner = f"cus_{number}"
        bill = paid({**invoice(f"in_{number}", owner), "created": at(0) + number}, at(1))
        stripe.holds(customer(owner), bill)
    for number in range(100):
        stripe.holds(subscription(f"sub_{number}", f"cus_{number}"))
    done = sync(company.project.settings, company.store, THIRD_DAY)
    assert (done.read["customers"], done.read["invoices"], done.read["subscriptions"]) == (201, 201, 100)
    assert company.store.billing.counts()["invoice"] == 201
    assert stripe.calls["customers"] == 3


def test_many_bills_that_failed_are_all_asked_about(company: StripeCompany, stripe: StripeServer) -> None:
    for number in range(230):  # more than are asked for in one go
        owner, bill = f"cus_{number}", f"in_{number}"
        stripe.holds(customer(owner), invoice(bill, owner, created=at(0)))
        stripe.holds({**link(bill, f"pi_{number}"), "created": at(0)})
        stripe.holds(intent(f"pi_{number}", owner, "lost_card", charge=f"ch_{number}", created=at(0)))
    done = sync(company.project.settings, company.store, THIRD_DAY)
    assert (done.read["payments"], done.unanswered) == (230, 0)
    assert {row["decline_code"] for row in company.table("payment_failures", THIRD_DAY)} == {"lost_card"}


@pytest.mark.parametrize(("status", "unanswered"), [(404, 0), (500, 3)], ids=["gone", "put off"])
def test_questions_that_have_no_answer_do_not_keep_a_sync_from_asking_the_others(
    company: StripeCompany, stripe: StripeServer, monkeypatch: pytest.MonkeyPatch, status: int, unanswered: int
) -> None:
    monkeypatch.setattr(asking, "MOST_AT_A_TIME", 2)
    warnings = [{"object": "radar.early_fraud_warning", "id": f"issfr_{number}", "charge": f"ch_{number}",
                 "actionable": True, "created": at(1)} for number in (7, 8, 9)]  # fmt: skip
    company.live(*(event("radar.early_fraud_warning.created", one, at(1)) for one in warnings))
    stripe.holds(customer(), subscription(), *declined("lost_card"))
    stripe.faults = {f"charges/ch_{number}": status for number in (7, 8, 9)}
    done = sync(company.project.settings, company.store, THIRD_DAY)
    assert (done.read["payments"], done.unanswered, bool(done.problem)) == (1, unanswered, bool(unanswered))
    assert [row["decline_code"] for row in company.table("payment_failures", THIRD_DAY)] == ["lost_card"]


def test_questions_that_events_have_answered_do_not_hide_those_behind_them(company: StripeCompany) -> None:
    company.live(*bought(), event("invoice.payment_failed", invoice(), at(0)), *failure(invoice(), 0))
    company.live(*bought("cus_2", "sub_2"), event("invoice.payment_failed", invoice("in_2", "cus_2"), at(1)))
    assert company.store.billing.open_questions() == 2
    assert [one.id for one in company.store.billing.questions(THIRD_DAY, 1)] == ["in_2"]
