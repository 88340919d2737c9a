"""What `data check` says of accounts and of rows that belong to them, and what rules may ask of them."""

from __future__ import annotations

from datetime import datetime

import pytest
from accounts_company import DAY, QUIET, AccountsCompany

from engine.errors import SetupError
from engine.fit import TableFinding, broken_values, fit_problems, look_at_tables

NOW = datetime(2026, 5, 2, 8)


def finding(company: AccountsCompany, table: str) -> TableFinding:
    found = look_at_tables(company.project(), NOW, None).findings
    return next(one for one in found if one.table == table)


def said(company: AccountsCompany) -> str:
    return "\n".join(map(str, fit_problems(company.project(), NOW)))


def test_accounts_are_a_table_like_any_other(company: AccountsCompany) -> None:
    company.account("")
    company.account("odd", timezone="Middle-earth")
    report = finding(company, "accounts").report
    assert (report.rows, report.set_aside) == (4, 1)
    reasons = {(one.row, one.column) for one in broken_values(company.project(), NOW, ["accounts"], 10)}
    assert reasons == {("", "account_id"), ("odd", "timezone")}


def test_a_repeated_account_counts_once_and_a_contradiction_is_set_aside(company: AccountsCompany) -> None:
    company.account("acme", name="Acme Ltd", plan="team", mrr_minor=90000)
    company.account("busy", name="Another name")
    report = finding(company, "accounts").report
    assert (report.rows, report.repeated, report.set_aside) == (4, 1, 2)
    company.rules["quiet.yaml"] = QUIET + "where: name is not null\n"
    company.run()
    assert {row[0] for row in company.planned()} == {"ann", "bob"}


def test_customers_of_accounts_that_are_not_in_the_table_are_counted(company: AccountsCompany) -> None:
    company.person("eve", "elsewhere")
    company.person("fay", None)
    assert finding(company, "customers").report.unknown == 1


def test_a_row_needs_a_customer_or_an_account(company: AccountsCompany) -> None:
    company.event("acme", datetime(2026, 4, 1), of_account=True)
    company.tables["events"].append({"customer_id": None, "account_id": None, "name": "login", "at": "2026-04-01"})
    assert finding(company, "events").report.set_aside == 1
    company.row("tickets", ticket_id="t1", customer_id=None, account_id="acme", opened_at="2026-04-01")
    company.row("tickets", ticket_id="t2", customer_id=None, account_id=None, opened_at="2026-04-01")
    company.row("tickets", ticket_id="t3", customer_id="stranger", account_id=None, opened_at="2026-04-01")
    company.row("tickets", ticket_id="t4", customer_id=None, account_id="nobody's", opened_at="2026-04-01")
    report = finding(company, "tickets").report
    assert (report.rows, report.set_aside, report.unknown) == (4, 1, 2)
    (issue,) = broken_values(company.project(), NOW, ["tickets"], 10)
    assert (issue.row, issue.column) == ("t2", "customer_id")


def test_rows_may_have_no_customer_at_all(company: AccountsCompany) -> None:
    company.row("tickets", ticket_id="t1", account_id="acme", opened_at="2026-04-20", closed_at="")
    company.rules["quiet.yaml"] = QUIET.replace(
        "inactivity: {for: 30 days, event: login}", "ticket: {open_for: 12 days}"
    )
    company.run()
    assert [row[0] for row in company.planned()] == ["ann", "bob"]


def test_rows_need_name_no_account(company: AccountsCompany) -> None:
    company.tables["events"] = [
        {name: value for name, value in row.items() if name != "account_id"} for row in company.tables["events"]
    ]
    company.run()
    assert [row[0] for row in company.planned()] == ["ann", "bob"]


def test_events_may_be_of_accounts_alone(company: AccountsCompany) -> None:
    company.tables["events"] = [{"account_id": "acme", "name": "login", "at": "2026-04-01 10:00:00"}]
    company.rules["own.yaml"] = (
        "rule: own\nstatus: active\ntrigger: {inactivity: {for: 1 day}}\nsteps: [{send: third}]\n"
    )
    company.run()
    assert [row[:2] for row in company.planned()] == [("ann", "quiet"), ("bob", "quiet")]


def test_a_rule_about_customers_sees_no_row_of_an_account(company: AccountsCompany) -> None:
    company.row("tickets", ticket_id="t1", customer_id=None, account_id="acme", opened_at="2026-04-20", closed_at="")
    company.row("tickets", ticket_id="t2", customer_id="cyd", account_id="acme", opened_at="2026-04-20", closed_at="")
    company.rules = {
        "own.yaml": "rule: own\nstatus: active\ntrigger: {ticket: {open_for: 12 days}}\nsteps: [{send: third}]\n"
    }
    company.run()
    assert company.planned() == [("cyd", "own", "third")]


def test_the_row_of_an_account_wins_over_its_customer(company: AccountsCompany) -> None:
    company.row("tickets", ticket_id="t1", customer_id="dan", account_id="acme", opened_at="2026-04-20", closed_at="")
    company.rules["quiet.yaml"] = QUIET.replace(
        "inactivity: {for: 30 days, event: login}", "ticket: {open_for: 12 days}"
    )
    company.run()
    assert [row[0] for row in company.planned()] == ["ann", "bob"]


def test_dates_of_an_account_lie_in_its_own_zone(company: AccountsCompany) -> None:
    company.tables["accounts"][0]["timezone"] = "Pacific/Auckland"
    for one in company.tables["accounts"]:
        one["contract_end"] = "2026-05-05"
    company.rules["quiet.yaml"] = QUIET.replace(
        "inactivity: {for: 30 days, event: login}", "date: {column: accounts.contract_end}"
    ).replace("- send: first\n  - wait: 3 days\n    send: second", "- before: 3 days\n    send: first")
    anchors = {row["account_id"]: row["anchor"] for row in company.plan()}
    assert anchors == {"acme": datetime(2026, 5, 4, 12), "busy": datetime(2026, 5, 4, 23)}


def test_a_query_names_accounts(company: AccountsCompany) -> None:
    company.write()
    (company.folder / "rules" / "near.sql").write_text(
        "SELECT account_id, 'near' AS occurrence, CAST('2026-05-01' AS TIMESTAMP) AS anchor, plan AS is_on FROM accounts"
    )
    trigger = "sql: {query: near.sql}"
    text = QUIET.replace("inactivity: {for: 30 days, event: login}", trigger) + "where: fact.is_on = 'team'\n"
    company.rules = {"quiet.yaml": text, "near.sql": (company.folder / "rules" / "near.sql").read_text()}
    company.run()
    assert [row[0] for row in company.planned()] == ["ann", "bob"]


# ---- what is refused ----


def test_accounts_need_the_column_that_says_who_belongs_to_them(company: AccountsCompany) -> None:
    for row in company.tables["customers"]:
        del row["account_id"]
    assert 'rules/quiet.yaml:1: rule quiet: a rule about accounts needs the column "account_id" of customers' in said(
        company
    )
    with pytest.raises(SetupError, match="HF606"):
        company.run()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("where: role = 'owner'\n", 'unknown column "role"'),
        ("where: account.size > 3\n", 'unknown column of accounts "size"'),
        ("steps: [{send: first, where: consent}]\n", 'unknown column "consent"'),
    ],
)
def test_where_is_about_the_account(company: AccountsCompany, more: str, words: str) -> None:
    text = QUIET.split("steps:")[0] + more if more.startswith("steps") else QUIET + more
    company.rules["quiet.yaml"] = text
    assert words in said(company)


def test_recipients_are_chosen_by_their_own_columns(company: AccountsCompany) -> None:
    company.rules["quiet.yaml"] = QUIET.replace("role = 'owner'", "mrr_minor > 3 and rol = 'owner'")
    found = said(company)
    assert 'unknown column "mrr_minor"' in found
    assert 'rules/quiet.yaml:3:39: unknown column "rol"' in found
    assert 'Did you mean "role"?' in found


def test_a_rule_about_customers_cannot_name_an_account_nobody_belongs_to(company: AccountsCompany) -> None:
    company.rules = {
        "own.yaml": QUIET.replace("about: account\nrecipients: {where: role = 'owner'}\n", "")
        + "where: account.plan = 'x'\n"
    }
    for row in company.tables["customers"]:
        del row["account_id"]
    assert 'unknown column of accounts "plan"' in said(company)


def test_a_mail_may_not_name_a_column_accounts_do_not_have(company: AccountsCompany) -> None:
    company.says = "{{ account.owner_name }}"
    assert "account.owner_name" in said(company)


@pytest.mark.parametrize(
    ("about", "column", "words"),
    [("account", "customers.signed_up_at", "and the rule is about accounts"),
     ("customer", "accounts.signed_up_at", "and the rule is about customers")],
)  # fmt: skip
def test_a_date_is_of_whom_the_rule_is_about(company: AccountsCompany, about: str, column: str, words: str) -> None:
    company.tables["accounts"][0]["signed_up_at"] = company.tables["customers"][0]["signed_up_at"] = "2026-01-01"
    company.rules = {
        "d.yaml": f"rule: d\nabout: {about}\ntrigger: {{date: {{column: {column}}}}}\n"
        "steps: [{after: 1 day, send: first}]\n"
    }
    assert words in said(company)


def test_a_trigger_that_needs_a_column_needs_it_of_accounts(company: AccountsCompany) -> None:
    company.rules["quiet.yaml"] = QUIET.replace(
        "inactivity: {for: 30 days, event: login}", "onboarding: {event: login, for: 1 day}"
    ).replace("- send: first\n", "- after: 1 day\n    send: first\n")
    assert 'onboarding needs the column "signed_up_at" of accounts' in said(company)
    company.tables["accounts"].clear()
    assert "onboarding needs the table accounts, which is not mapped" in said(company)


def test_a_feed_of_accounts_that_runs_dry_holds_its_rules(company: AccountsCompany) -> None:
    company.run()
    company.tables["accounts"] = [{"account_id": ""}]
    company.event("ann", datetime(2026, 5, 2))
    report = company.run(DAY.replace(day=3))
    assert [(doubt.table, doubt.reason) for doubt in report.doubts] == [("accounts", "empty_table")]
