"""A small company with every outcome; the figures are worked out by hand in the comments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from dunning_company import AS_OF, Company, Sent, invoice, make_company, on, remember

from engine.dunning import OpenCase, Report
from engine.dunning.report import Recovery, StepFigures, Tally

INVOICES = [
    # Recovered with money: EUR 1000 + 2000 + 3000 + 700 + 1100 + 1300, USD 500 + 800.
    invoice("early", on("06-01"), paid_at=on("06-03"), paid_card="a"),  # 2 days
    invoice("one", on("06-01"), amount=2000, paid_at=on("06-05"), paid_card="b"),  # 4 days
    invoice("slow", on("06-01"), amount=3000, paid_at=on("06-12")),  # 11 days
    invoice("two", on("06-02"), amount=500, group="hard", currency="USD", paid_at=on("06-07"), paid_card="b"),  # 5 days
    invoice("stopped", on("06-01"), amount=700, paid_at=on("06-06"), paid_card="a"),  # 5 days
    invoice("part-refund", on("06-01"), amount=1100, paid_at=on("06-02"), paid_card="a"),  # 1 day
    invoice("won", on("06-01"), amount=1300, paid_at=on("06-04"), paid_card="a"),  # 3 days
    invoice("late-refund", on("04-20"), amount=800, currency="USD", paid_at=on("04-21"), paid_card="a"),  # 1 day
    # Not money, or not for long.
    invoice("credit", on("06-01"), amount=0, paid_at=on("06-03")),
    invoice("refunded", on("06-01"), amount=900, paid_at=on("06-03")),
    invoice("in-parts", on("06-01"), amount=600, paid_at=on("06-03")),
    invoice("disputed-after", on("06-01"), amount=1200, paid_at=on("06-03")),
    # Never paid.
    invoice("void", on("06-01"), amount=250, status="void"),
    invoice("written-off", on("05-01"), amount=400, status="uncollectible"),
    invoice("ended", on("05-10"), amount=600),
    # Open.
    invoice("soon", on("06-28"), amount=5000, number="N-1"),
    invoice("soon-2", on("06-29"), amount=100, customer_id="c-soon"),
    invoice("climbing", on("06-25"), amount=1500),
    invoice("done", on("06-15"), amount=1400),
    invoice("hold", on("06-26"), amount=900, currency="JPY"),
    invoice("quarrel", on("06-26"), amount=90),
    invoice("card", on("06-26"), amount=80),
    invoice("renewed", on("06-29"), amount=75),
    invoice("underway", on("06-26"), amount=70, processing_since=on("06-27")),
    invoice("paused", on("06-26"), amount=60),
    invoice("left", on("06-26"), amount=50),
    invoice("trial", on("06-26"), amount=45),
    invoice("old", on("05-20"), amount=40),
    invoice("thief", on("06-26"), amount=30, group="fraud"),
    invoice("mailless", on("06-26"), amount=20),
    invoice("control", on("06-26"), amount=15),
    invoice("unruled", on("06-26"), amount=10, group="authentication"),
    invoice("tomorrow", on("06-20"), amount=5, paid_at=on("06-30", "12:00")),  # after the instant of the report
    # No cases at all.
    invoice("fine", None, paid_at=on("06-01")),
    invoice("first-bill", on("06-01"), billing_reason="subscription_create"),
    invoice("by-hand", on("06-01"), collection_method="send_invoice"),
    invoice("test", on("06-01"), livemode="false"),
    invoice("ours", on("06-01"), group="nobody"),
    invoice("before", on("06-05"), paid_at=on("06-04")),
    invoice("ahead", on("07-02")),
    invoice("nothing-due", on("06-01"), amount=0),
    # Before the period.
    invoice("last-year", on("01-10"), amount=7000, paid_at=on("01-11")),
]

SENT = [
    Sent("one", "soft", "first", on("06-04", "09:00")),
    Sent("slow", "soft", "first", on("06-04", "09:00")),  # 7 days and 23 hours before the money
    Sent("two", "hard", "first", on("06-02", "09:00"), state="in_doubt"),
    Sent("two", "hard", "second", on("06-05", "09:00")),
    Sent("stopped", "soft", "first", on("06-04", "09:00"), state="cancelled"),
    Sent("early", "soft", "first", on("06-04", "09:00")),  # after the money: the answer to the call came late
    Sent("climbing", "soft", "first", on("06-28", "09:00")),
    Sent("done", "soft", "first", on("06-18", "09:00")),
    Sent("done", "soft", "second", on("06-22", "09:00")),
    Sent("control", "soft", "first", on("06-29", "09:00"), arm="control"),
    Sent("unheard", "soft", "first", on("06-29", "09:00")),  # an invoice the tables do not have
    Sent("soon", "soft", "first", on("06-29", "09:00"), rule="something-else"),
]


def further_tables(invoices: list[str]) -> dict[str, list[dict[str, object]]]:
    def subscription(name: str) -> dict[str, object]:
        ends = {
            "ended": (on("05-24"), "payment_failed"), "left": (on("06-27"), "customer_request"),
            "part-refund": (on("06-20"), "payment_failed"),
        }  # fmt: skip
        ended_at, reason = ends.get(name, (None, None))
        return {
            "subscription_id": f"s-{name}", "customer_id": f"c-{name}", "ended_at": ended_at, "cancel_reason": reason,
            "collection_paused": "true" if name == "paused" else "false",
            "trial_end": on("06-26", "07:00") if name == "trial" else None,
        }  # fmt: skip

    def refund(name: str, day: str, amount: int, kind: str | None, status: str = "succeeded") -> dict[str, object]:
        return {
            "customer_id": f"c-{name}", "invoice_id": name, "amount_minor": amount, "at": on(day), "kind": kind, "status": status
        }  # fmt: skip

    def dispute(name: str, status: str) -> dict[str, object]:
        closed = on("06-20") if status != "open" else None
        return {
            "customer_id": f"c-{name}",
            "invoice_id": name,
            "at": on("06-10"),
            "closed_at": closed,
            "status": status,
        }

    def method(name: str, added: str, **more: object) -> dict[str, object]:
        return {
            "payment_method_id": f"m-{name}", "customer_id": f"c-{name}", "is_default": "true", "added_at": on(added), **more
        }  # fmt: skip

    return {
        "subscriptions": [subscription(name) for name in invoices],
        "refunds": [
            refund("refunded", "06-20", 900, "full"), refund("late-refund", "06-01", 800, "full"),
            refund("part-refund", "06-05", 500, "partial"), refund("won", "06-05", 1300, "full", "failed"),
            refund("in-parts", "06-05", 400, None), refund("in-parts", "06-06", 200, None),
            refund("one", "06-04", 2000, "full"),  # before the payment: of an earlier try
        ],
        "disputes": [dispute("disputed-after", "open"), dispute("won", "won"), dispute("quarrel", "open")],
        "payment_failures": [
            {"invoice_id": one["invoice_id"], "at": one["failed_at"], "card": "a", "decline_code": one["decline_code"]}
            for one in INVOICES if one["failed_at"] is not None
        ],
        "payment_methods": [
            *(method(name, "01-01") for name in invoices if name not in {"card", "trial"}), method("card", "06-27"),
            {**method("renewed", "01-01", auto_updated_at=on("06-29", "20:00")), "payment_method_id": "m-new"},
        ],
    }  # fmt: skip


def company_of_everything(folder: Path) -> Company:
    names = [str(one["invoice_id"]) for one in INVOICES]
    customers = [
        {"customer_id": f"c-{name}", "email": "" if name == "mailless" else f"c-{name}@example.com"} for name in names
    ]
    tables = {"customers": customers, "invoices": INVOICES, **further_tables(names)}
    made = make_company(folder, tables)
    remember(made, *SENT, complained=["one", "two", "unheard"])
    with made.store() as store:
        store.cases.hold("hold", "=calls us back", on("06-27"))
    return made


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    return company_of_everything(tmp_path_factory.mktemp("dunning") / "shop")


@pytest.fixture(scope="module")
def looked(company: Company) -> tuple[Report, dict[str, OpenCase]]:
    return company.look()


@pytest.fixture(scope="module")
def found(looked: tuple[Report, dict[str, OpenCase]]) -> Report:
    return looked[0]


@pytest.fixture(scope="module")
def open_now(looked: tuple[Report, dict[str, OpenCase]]) -> dict[str, OpenCase]:
    return looked[1]


def test_every_failed_invoice_of_the_period_has_its_outcome(found: Report) -> None:
    assert found.outcomes == {
        "recovered": Tally(8, {"EUR": 9100, "USD": 1300}),
        "credit": Tally(1, {}),
        "reversed": Tally(3, {"EUR": 900 + 600 + 1200}),
        "lost": Tally(2, {"EUR": 400 + 600}),
        "voided": Tally(1, {"EUR": 250}),
        "open": Tally(18, {"EUR": 5000 + 100 + 1500 + 1400 + 90 + 80 + 75 + 70 + 60 + 50 + 45 + 40 + 30 + 20 + 15 + 10 + 5,
                           "JPY": 900}),
    }  # fmt: skip
    assert found.opened == Tally(33, {"EUR": 9100 + 2700 + 1000 + 250 + 8590, "JPY": 900, "USD": 1300})


def test_recoveries_are_told_apart_by_the_mails_before_the_money(found: Report) -> None:
    # `early`, `stopped`, `part-refund`, `won`; `one` and `slow`; `two`.
    assert found.recoveries == (
        Recovery(0, False, 5, 0, {"EUR": 1000 + 700 + 1100 + 1300, "USD": 800}),
        Recovery(1, False, 2, 1, {"EUR": 5000}),
        Recovery(2, False, 1, 1, {"USD": 500}),
    )
    assert found.median_days == pytest.approx(3.5)  # 1 1 2 3 4 5 5 11


def test_card_that_paid_is_compared_with_the_one_that_failed_last(found: Report) -> None:
    assert found.cards == {
        "same": Tally(5, {"EUR": 4100, "USD": 800}), "new": Tally(2, {"EUR": 2000, "USD": 500}),
        "unknown": Tally(1, {"EUR": 3000}),
    }  # fmt: skip


def test_mails_are_counted_about_the_invoices_of_the_period_and_only_those_that_left(found: Report) -> None:
    assert found.mails == 8  # one, slow, two twice, early, climbing, done twice
    assert found.mails_per_recovery == 1.0
    assert found.complaints == 2


def test_steps_carry_what_was_recovered_after_their_mail(found: Report) -> None:
    assert found.steps == (
        StepFigures("payment-hard", "first", 1, 0, 0, {}),
        StepFigures("payment-hard", "second", 1, 1, 1, {"USD": 500}),
        StepFigures("payment-soft", "first", 5, 2, 1, {"EUR": 5000}),
        StepFigures("payment-soft", "second", 1, 0, 0, {}),
    )


def test_groups_hold_all_invoices_between_them(found: Report) -> None:
    groups = {one.group: one for one in found.groups}
    assert sum(sum(one.outcomes.values()) for one in found.groups) == 33
    assert groups["hard"].outcomes["recovered"] == 1
    assert groups["hard"].recovered == {"USD": 500}
    assert groups["fraud"].outcomes["open"] == groups["authentication"].outcomes["open"] == 1


def test_no_rule_with_a_holdout_means_no_control_group(found: Report) -> None:
    assert found.lifts == ()


@pytest.mark.parametrize(
    ("name", "waits"),
    {
        "soon": None, "climbing": None, "done": "all_sent", "hold": "on_hold", "quarrel": "disputed", "card": "new_card",
        "renewed": "new_card", "underway": "processing", "paused": "collection_paused", "left": "subscription_ended",
        "trial": "trial_ended", "old": "too_old", "thief": "fraud_suspected", "mailless": "no_address",
        "control": "held_out", "unruled": "no_rule",
    }.items(),
)  # fmt: skip
def test_open_case_says_why_it_waits(open_now: dict[str, OpenCase], name: str, waits: str | None) -> None:
    assert open_now[name].waits == waits


def test_open_cases_are_all_invoices_still_open_by_customer_and_currency(
    found: Report, open_now: dict[str, OpenCase]
) -> None:
    assert found.open.cases == len(open_now) == 17
    assert found.open.invoices == found.outcomes["open"].invoices
    assert found.open.money == found.outcomes["open"].money
    assert (open_now["soon"].invoices, open_now["soon"].amount_minor) == (2, 5100)


def test_lost_invoices_are_not_open_though_the_billing_system_keeps_them(open_now: dict[str, OpenCase]) -> None:
    assert "ended" not in open_now


def test_next_step_is_what_the_ladder_would_do(open_now: dict[str, OpenCase]) -> None:
    assert (open_now["soon"].next_step, open_now["soon"].next_on, open_now["soon"].mails) == (
        "first",
        date(2026, 7, 1),
        0,
    )
    assert (open_now["climbing"].next_step, open_now["climbing"].next_on) == ("second", date(2026, 7, 2))
    assert open_now["climbing"].mails == 1
    assert (open_now["soon"].days, open_now["old"].days) == (2, 41)


def test_held_out_case_climbs_its_ladder_without_mails(open_now: dict[str, OpenCase]) -> None:
    assert (open_now["control"].mails, open_now["control"].next_step) == (0, "second")


def test_case_that_waits_has_no_next_step(open_now: dict[str, OpenCase]) -> None:
    for name in ("hold", "quarrel", "card", "old", "thief", "unruled"):
        assert (open_now[name].next_step, open_now[name].next_on) == (None, None), name


def test_period_leaves_out_what_failed_outside_it(company: Company) -> None:
    found = company.report(on("06-02"), on("06-03"))
    assert found.opened == Tally(1, {"USD": 500})
    assert found.open.cases == 17  # whatever the period
    assert company.report(on("01-01"), on("02-01")).outcomes["recovered"] == Tally(1, {"EUR": 7000})


def test_nothing_is_written(company: Company) -> None:
    before = {path: path.read_bytes() for path in company.folder.rglob("*") if path.is_file() and path.suffix != ".db"}
    with company.store() as store:
        history = store.history_of("c-climbing")
    company.report()
    assert {path: path.read_bytes() for path in before} == before
    with company.store() as store:
        assert store.history_of("c-climbing") == history


def test_figures_are_those_of_the_instant_they_are_asked_for(found: Report) -> None:
    assert found.as_of == AS_OF
    assert found.outcomes["open"].money["EUR"] == 8590  # `tomorrow` is paid three hours later
