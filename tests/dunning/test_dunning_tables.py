"""The report with hardly any tables, without a state, and with a control group."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from dunning_company import AS_OF, Company, Sent, invoice, make_company, on, remember

from engine.dunning.report import Arm, Tally
from engine.errors import SetupError

PLAIN = [
    {"invoice_id": "a", "customer_id": "c-a", "amount_minor": 1000, "currency": "EUR", "failed_at": on("06-28")},
    {"invoice_id": "b", "customer_id": "c-b", "amount_minor": 500, "currency": "KWD", "failed_at": on("06-27")},
]


def test_three_columns_of_invoices_are_enough(tmp_path: Path) -> None:
    found, cases = make_company(tmp_path, {"invoices": PLAIN}).look()
    assert found.opened == Tally(2, {"EUR": 1000, "KWD": 500})
    assert found.outcomes["open"] == found.opened
    assert (found.median_days, found.mails_per_recovery, found.recoveries, found.steps) == (None, None, (), ())
    assert {one.group for one in cases.values()} == {"soft"}
    assert cases["a"].number is None


def test_before_the_first_run_nothing_was_sent_and_the_ladder_is_told_all_the_same(tmp_path: Path) -> None:
    company = make_company(tmp_path, {"invoices": [*PLAIN, invoice("paid", on("06-01"), paid_at=on("06-02"))]})
    found, cases = company.look()
    assert (found.mails, found.complaints) == (0, 0)
    assert [(one.mails, one.invoices) for one in found.recoveries] == [(0, 1)]
    assert (cases["a"].next_step, cases["a"].waits) == ("first", None)
    assert not (tmp_path / "holdfast.db").exists()


def test_without_failures_or_paid_cards_nobody_knows_which_card_paid(tmp_path: Path) -> None:
    paid = invoice("a", on("06-01"), paid_at=on("06-02"), paid_card="a")
    assert make_company(tmp_path / "x", {"invoices": [paid]}).report().cards["unknown"].invoices == 1
    failures = [{"invoice_id": "a", "at": on("06-01"), "card": "a"}]
    known = make_company(tmp_path / "y", {"invoices": [paid], "payment_failures": failures}).report()
    assert known.cards["same"].invoices == 1
    bare = {name: value for name, value in paid.items() if name != "paid_card"}
    blind = make_company(tmp_path / "z", {"invoices": [bare], "payment_failures": failures}).report()
    assert blind.cards["unknown"].invoices == 1


def test_empty_tables_give_an_empty_report(tmp_path: Path) -> None:
    company = make_company(tmp_path, {"invoices": PLAIN})
    (tmp_path / "invoices.csv").write_text("invoice_id,customer_id,amount_minor,currency,failed_at\n")
    found, cases = company.look()
    assert (found.open.cases, found.open.money, found.opened, cases) == (0, {}, Tally(), {})
    assert "no failed payment is open" in company.text()
    assert "no payment failed in this time" in company.text()


def test_no_table_of_invoices_is_said_in_words(tmp_path: Path) -> None:
    company = make_company(tmp_path, {}, groups={})
    with pytest.raises(SetupError, match="there is no table of invoices"):
        company.report()
    assert company.run("dunning").exit_code == 2


def test_missing_column_is_named(tmp_path: Path) -> None:
    rows = [{name: value for name, value in row.items() if name != "failed_at"} for row in PLAIN]
    company = make_company(tmp_path, {"invoices": rows}, groups={})
    with pytest.raises(SetupError, match='no column "failed_at"'):
        company.report()


def test_paid_without_a_date_is_recovered_and_nobody_knows_when(tmp_path: Path) -> None:
    company = make_company(tmp_path, {"invoices": [invoice("a", on("06-01"), status="paid", paid_minor=1000)]})
    remember(company, Sent("a", "soft", "first", on("06-04")))
    found = company.report()
    assert found.outcomes["recovered"] == Tally(1, {"EUR": 1000})
    assert [(one.mails, one.invoices) for one in found.recoveries] == [(None, 1)]
    assert found.median_days is None
    assert "nobody knows when" in company.text()


@pytest.mark.parametrize(
    ("plan", "outcome"),
    [
        ({"status": "canceled", "ended_at": ""}, "lost"), ({"status": "canceled"}, "lost"),
        ({"ended_at": on("06-20")}, "lost"), ({"status": "canceled", "ended_at": on("07-20")}, "open"),
        ({"status": "past_due"}, "open"),
    ],
)  # fmt: skip
def test_bill_whose_plan_is_over_by_its_end_or_else_by_its_word_is_lost(
    tmp_path: Path, plan: dict[str, object], outcome: str
) -> None:
    named = {"subscription_id": "s", "customer_id": "c-a", "cancel_reason": "payment_failed"}
    bills = [invoice("a", on("06-01"), subscription_id="s")]
    company = make_company(tmp_path, {"invoices": bills, "subscriptions": [named | plan]})
    assert company.report().outcomes[outcome].invoices == 1


def test_project_without_a_rule_about_failed_payments_still_sees_its_cases(tmp_path: Path) -> None:
    _, cases = make_company(tmp_path, {"invoices": PLAIN}, groups={}).look()
    assert {one.waits for one in cases.values()} == {"no_rule"}


def test_drafts_write_to_nobody_and_rules_in_shadow_only_watch(tmp_path: Path) -> None:
    company = make_company(tmp_path, {"invoices": PLAIN})
    rule = tmp_path / "rules/soft.yaml"
    rule.write_text(rule.read_text().replace("status: active", "status: draft"))
    assert {one.waits for one in company.look()[1].values()} == {"no_rule"}
    rule.write_text(rule.read_text().replace("status: draft", "status: shadow"))
    assert {(one.waits, one.next_step) for one in company.look()[1].values()} == {("shadow", "first")}


def test_mails_of_a_rule_count_under_its_present_name(tmp_path: Path) -> None:
    company = make_company(
        tmp_path, {"invoices": [invoice("a", on("06-01"), paid_at=on("06-06"))]}, groups={"soft": "was: old-name\n"}
    )
    remember(company, Sent("a", "soft", "first", on("06-04"), rule="old-name"))
    assert [(one.rule, one.recovered) for one in company.report().steps] == [("payment-soft", 1)]


def test_case_that_had_all_its_mails_gets_no_more(tmp_path: Path) -> None:
    company = make_company(tmp_path, {"invoices": [invoice("a", on("06-20"), group="hard")]})
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("28 days}", "28 days, max_mails: 1}"))
    remember(company, Sent("a", "soft", "first", on("06-23")))
    assert company.look()[1]["a"].waits == "enough_mails"


def half_recovered(folder: Path) -> Company:
    """70 cases written to, 56 of them recovered; 80 held out, 48 recovered: Newcombe's own example."""
    invoices, sent = [], []
    for number in range(150):
        name, held_out = f"i{number:03}", number >= 70
        recovered = number < 56 or 70 <= number < 118
        paid = {"paid_at": on("06-06")} if recovered else {"status": "uncollectible"}
        invoices.append(invoice(name, on("06-01"), group="details", **paid))
        arm = "control" if held_out else "treated"
        # Where the money came first the mail was stopped; the case stays in its arm all the same.
        state = "cancelled" if number % 5 == 0 else "accepted"
        sent.append(Sent(name, "details", "first", on("06-04"), arm=arm, state=state))
    company = make_company(folder, {"invoices": invoices}, groups={"details": "holdout: 50%\n"})
    remember(company, *sent)
    return company


def test_lift_compares_the_arms_with_newcombes_interval(tmp_path: Path) -> None:
    company = half_recovered(tmp_path)
    found = company.report()
    (lift,) = found.lifts
    assert (lift.rule, lift.treated, lift.control) == ("payment-details", Arm(70, 56), Arm(80, 48))
    assert (lift.difference, lift.low, lift.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert "80 % of 70 recovered with mails, 60 % of 80 without: +20 points" in company.text()
    assert [(one.mails, one.held_out, one.invoices) for one in found.recoveries] == [
        (0, False, 12), (0, True, 48), (1, False, 44),
    ]  # fmt: skip


def test_lift_waits_for_somebody_in_both_arms(tmp_path: Path) -> None:
    company = make_company(
        tmp_path, {"invoices": [invoice("a", on("06-01"), group="details", paid_at=on("06-06"))]},
        groups={"details": "holdout: 50%\n"},
    )  # fmt: skip
    remember(company, Sent("a", "details", "first", on("06-04")))
    (lift,) = company.report().lifts
    assert (lift.treated, lift.control, lift.difference, lift.low) == (Arm(1, 1), Arm(0, 0), None, None)
    assert "1 case written to, 0 held out; too few to compare" in company.text()


def test_a_case_held_out_next_time_says_so(tmp_path: Path) -> None:
    invoices = [invoice(f"i{number}", AS_OF - timedelta(days=3, hours=2), group="details") for number in range(20)]
    _, cases = make_company(tmp_path, {"invoices": invoices}, groups={"details": "holdout: 50%\n"}).look()
    assert {one.waits for one in cases.values()} == {"held_out", None}
    assert {one.next_step for one in cases.values()} == {"first"}


def test_where_two_rules_write_about_a_case_the_one_with_something_left_to_say_counts(tmp_path: Path) -> None:
    company = make_company(tmp_path, {"invoices": [invoice("a", on("06-20"))]})
    more = (tmp_path / "rules/soft.yaml").read_text().replace("rule: payment-soft", "rule: a-further-word")
    (tmp_path / "rules/further.yaml").write_text(more.replace("after: 7 days", "after: 14 days"))
    remember(
        company, Sent("a", "soft", "first", on("06-23")), Sent("a", "soft", "second", on("06-27")),
        Sent("a", "soft", "first", on("06-23"), rule="a-further-word"),
    )  # fmt: skip
    case = company.look()[1]["a"]
    assert (case.waits, case.next_step, case.next_on) == (None, "second", date(2026, 7, 4))


def test_task_for_somebody_in_the_company_is_no_mail(tmp_path: Path) -> None:
    company = make_company(tmp_path, {"invoices": [invoice("a", on("06-01"), paid_at=on("06-10"))]})
    rule = tmp_path / "rules/soft.yaml"
    rule.write_text(rule.read_text() + "  - {id: call, after: 8 days, send: call, channel: task}\n")
    (tmp_path / "templates/call").mkdir()
    (tmp_path / "templates/call/note.txt").write_text("---\ntitle: Call them\n---\nPlease.\n")
    remember(company, Sent("a", "soft", "first", on("06-04")), Sent("a", "soft", "call", on("06-09")))
    found = company.report()
    assert (found.mails, [one.mails for one in found.recoveries]) == (1, [1])
