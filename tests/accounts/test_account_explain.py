"""What is said to people about rules about accounts: why somebody got a mail, and what is known of them."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from hashlib import sha256

import pytest
from accounts_company import DAY, QUIET, AccountsCompany
from typer.testing import CliRunner

from engine.cli.root import app
from engine.explain import RuleExplanation, explain, explain_account
from engine.privacy import DataProtection

MORNING = datetime(2026, 5, 2, 8)


def told(company: AccountsCompany, customer_id: str) -> RuleExplanation:
    (rule,) = explain(company.project(), company.store, customer_id, company.project().instant(DAY), None).rules
    return rule


def checked(rule: RuleExplanation) -> dict[str, bool | None]:
    (row,) = rule.rows
    return {one.text: one.held for one in row.conditions}


def protection(company: AccountsCompany) -> DataProtection:
    project = company.project()
    return DataProtection(project.settings, project.root, company.store)


def test_a_recipient_is_told_what_holds_of_their_account(company: AccountsCompany) -> None:
    rule = told(company, "ann")
    assert rule.account_id == "acme"
    assert checked(rule)["recipients: role = 'owner'"]
    assert rule.rows[0].about["occurrence"] == "2026-04-01"
    assert rule.rows[0].decision is not None
    assert rule.rows[0].decision["reason"] == "due"


def test_somebody_of_the_account_is_told_that_they_are_no_recipient(company: AccountsCompany) -> None:
    rule = told(company, "cyd")
    (row,) = rule.rows
    assert not row.found
    assert [one.text for one in row.conditions if not one.held] == ["recipients: role = 'owner'"]
    assert row.conditions[-1].values == {"role": "member"}


def test_somebody_of_another_account_is_told_about_that_one(company: AccountsCompany) -> None:
    rule = told(company, "dan")
    assert rule.account_id == "busy"
    assert not rule.rows[0].found


def test_somebody_without_an_account_has_nothing_to_be_told(company: AccountsCompany) -> None:
    company.person("fay", None)
    assert (told(company, "fay").account_id, told(company, "fay").rows) == (None, ())


def test_colleagues_do_not_mix_into_rules_about_customers(company: AccountsCompany) -> None:
    company.rules["own.yaml"] = QUIET.replace(
        "rule: quiet\nabout: account\nrecipients: {where: role = 'owner'}", "rule: own"
    )
    found = explain(company.project(), company.store, "ann", company.project().instant(DAY), None)
    (row,) = next(one for one in found.rules if one.rule.id == "own").rows
    assert row.about["occurrence"] == "2026-03-01"
    assert found.person is not None
    assert found.person["customer_id"] == "ann"


def test_the_command_says_which_account_it_is_about(company: AccountsCompany) -> None:
    company.run()
    said = CliRunner().invoke(
        app, ["-C", str(company.folder), "explain", "ann", "--as-of", "2026-05-02"], prog_name="holdfast"
    )
    assert said.exit_code == 0, said.output
    assert "about the account acme" in said.output


def test_an_account_is_told_with_all_its_recipients(company: AccountsCompany) -> None:
    company.change("ann", email="")
    found = explain_account(company.project(), company.store, "acme", company.project().instant(DAY))
    assert found.account is not None
    assert found.account["name"] == "Acme Ltd"
    (rule,) = found.rules
    assert [one.text for one in rule.rows[0].conditions if not one.held] == []
    decided = [(row["customer_id"], row["outcome"], row["reason"]) for row in found.decisions[0]]
    assert decided == [("ann", "skip", "no_address"), ("bob", "send", "due")]


def test_an_account_without_recipients_is_told_so(company: AccountsCompany) -> None:
    company.rules["quiet.yaml"] = QUIET.replace("'owner'", "'nobody'")
    said = explained(company, "--account", "acme")
    assert "no_recipient" in said
    assert "applies" in said


def test_an_account_that_is_at_work_is_told_what_does_not_hold(company: AccountsCompany) -> None:
    said = explained(company, "--account", "busy")
    assert "does not apply" in said
    assert "recipient " not in said


@pytest.mark.parametrize(
    ("words", "answer"),
    [(["--account", "nowhere"], 'There is no account "nowhere"'), ([], "Explain one CUSTOMER"),
     (["ann", "--account", "acme"], "Explain one CUSTOMER")],
)  # fmt: skip
def test_what_cannot_be_explained_is_refused(company: AccountsCompany, words: list[str], answer: str) -> None:
    assert answer in explained(company, *words, code=2)


def explained(company: AccountsCompany, *words: str, code: int = 0) -> str:
    company.write()
    asked = ["-C", str(company.folder), "explain", *words, "--as-of", "2026-05-02"]
    said = CliRunner().invoke(app, asked, prog_name="holdfast")
    assert said.exit_code == code, said.output
    return said.output


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_file_of_decisions_names_account_and_recipient(company: AccountsCompany, kind: str) -> None:
    company.write()
    file = company.folder / f"plan.{kind}"
    words = ["-C", str(company.folder), "plan", "--as-of", "2026-05-02", "--out", str(file)]
    said = CliRunner().invoke(app, words, prog_name="holdfast")
    assert said.exit_code == 0, said.output
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened)) if kind == "csv" else [json.loads(line) for line in opened]
    assert [(row["account_id"], row["customer_id"]) for row in rows] == [("acme", "ann"), ("acme", "bob")]


def test_a_mail_of_a_rule_about_customers_has_the_key_it_always_had(company: AccountsCompany) -> None:
    company.rules = {"own.yaml": QUIET.replace("about: account\nrecipients: {where: role = 'owner'}\n", "")}
    company.run()
    (cyd,) = company.store.history_of("cyd").messages
    words = ("quiet", "1", "cyd", "2026-04-01", "first", "cyd@example.com")
    assert cyd.key == sha256("\x1f".join(words).encode()).hexdigest()
    assert (cyd.account_id, company.store.history_of("cyd").settled[0].account_id) == ("", "")


def test_what_was_sent_to_a_person_about_their_account_is_exported(company: AccountsCompany) -> None:
    company.run()
    found = protection(company).export("ann", at=MORNING)
    (message,) = found["message"]
    assert message["account_id"] == "acme"


def test_an_erased_owner_is_gone_and_the_other_climbs_on(company: AccountsCompany) -> None:
    company.run()
    company.deliver()
    done, _ = protection(company).erase("ann", now=MORNING)
    assert done.rows["message"] == 1
    assert company.store.history_of("ann").messages == ()
    company.run_days(DAY.replace(day=3), 4)
    assert [row[0] for row in company.planned() if row[2] == "second"] == ["bob"]
    reasons = {one.reason for one in company.store.history_of("ann").decisions}
    assert reasons <= {"erased", "superseded", "too_late"}
