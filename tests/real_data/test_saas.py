"""saas_a (a synthetic SaaS company, dirty on purpose): loaded by configuration alone, its warts told and not hidden.

The expected counts are those of the data set's README.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from engine import Project
from engine.cli.root import app
from engine.fit import Look, look_at_tables
from tests.run.run_company import MAIL

CONFIG = """
workspace:
  name: RavenStack
  timezone: UTC
  currency: USD
  postal_address: "1 Road, Town"
  public_url: https://mail.example.com
warehouse:
  url: duckdb://
  tables:
    customers:
      path: "{data}/accounts.csv.gz"
      columns: {{customer_id: account_id, signed_up_at: signup_date, plan: plan_tier}}
    subscriptions:
      query: >-
        select s.*, case s.billing_frequency when 'annual' then 'year' else 'month' end as "interval",
          case when a.churn_flag then 'canceled' else 'active' end as status
        from read_csv('{data}/subscriptions.csv.gz') s join read_csv('{data}/accounts.csv.gz') a using (account_id)
      columns: {{customer_id: account_id, plan: plan_tier, started_at: start_date, ended_at: end_date, amount: mrr_amount}}
    events:
      query: >-
        select s.account_id, u.subscription_id, u.usage_id, u.usage_date, u.feature_name, u.is_beta_feature
        from read_csv('{data}/feature_usage.csv.gz') u join read_csv('{data}/subscriptions.csv.gz') s using (subscription_id)
      columns: {{customer_id: account_id, name: feature_name, at: usage_date, event_id: usage_id}}
    tickets:
      path: "{data}/support_tickets.csv.gz"
      columns: {{customer_id: account_id, opened_at: submitted_at}}
schedules: {{daily: "09:00"}}
sender: {{marketing: {{from: "Raven <hello@example.com>"}}}}
"""

RULES = {
    "silent": "trigger: {inactivity: {for: 30 days}}",
    "unused": "trigger: {unused_feature: {feature: feature_40, for: 60 days}}",
    "left": "trigger: {cancelled: {}}",
}
AS_OF = date(2025, 1, 1)


@pytest.fixture
def folder(shared_data: Path, tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG.format(data=shared_data / "saas_a"))
    (tmp_path / "rules").mkdir()
    for name, trigger in RULES.items():
        (tmp_path / "rules" / f"{name}.yaml").write_text(
            f"rule: {name}\nstatus: active\n{trigger}\nsteps: [{{send: hello}}]\n"
        )
    mail = tmp_path / "templates" / "hello" / "mail.html"
    mail.parent.mkdir(parents=True)
    mail.write_text(MAIL)
    return tmp_path


def silent_accounts(data: Path) -> set[str]:
    """Accounts without use for 30 days before `AS_OF` that pay, worked out from the files without the engine."""
    rows = duckdb.sql(f"""
        SELECT s.account_id FROM read_csv('{data}/subscriptions.csv.gz') AS s
        LEFT JOIN read_csv('{data}/feature_usage.csv.gz') AS u USING (subscription_id)
        JOIN read_csv('{data}/accounts.csv.gz') AS a USING (account_id)
        GROUP BY s.account_id
        HAVING max(u.usage_date) <= DATE '{AS_OF}' - 30 AND bool_or(s.end_date IS NULL AND NOT a.churn_flag)""")
    return {account for (account,) in rows.fetchall()}


@pytest.fixture
def look(folder: Path) -> Look:
    project = Project.load(folder)
    return look_at_tables(project, project.instant(AS_OF), None)


def test_every_row_is_read(look: Look) -> None:
    assert {finding.table: finding.report.rows for finding in look.findings} == {
        "customers": 250, "subscriptions": 2_443, "events": 12_271, "tickets": 996,
    }  # fmt: skip


def test_usage_ids_used_twice_count_once_and_are_counted(look: Look) -> None:
    events = next(finding.report for finding in look.findings if finding.table == "events")
    assert (events.repeated, events.accepted) == (3, 12_268)


def test_usage_outside_its_subscription_is_told(look: Look, folder: Path) -> None:
    found = {(one.table, one.text): one.count for one in look.contradictions}
    assert found["events", "lie before their subscription's start"] == 9_267
    assert found["events", "lie after their subscription's end"] == 155
    assert ("subscriptions", "end before they start") not in found


def test_flags_in_two_spellings_are_truth_values(look: Look) -> None:
    kinds = {finding.table: finding.columns for finding in look.findings}
    assert (
        kinds["customers"]["churn_flag"]
        == kinds["subscriptions"]["is_trial"]
        == kinds["events"]["is_beta_feature"]
        == "bool"
    )


def test_flags_that_deny_the_dates_are_told(look: Look) -> None:
    found = {one.text: one.count for one in look.contradictions if one.table == "subscriptions"}
    assert found == {
        "are over by their status and have no end": 506,
        "have ended and are not over by their status": 181,
    }


def test_plan_finds_the_silent_and_writes_to_nobody_without_an_address(folder: Path, shared_data: Path) -> None:
    project = Project.load(folder)
    plan = project.plan(AS_OF)
    found = plan.db.execute(
        "SELECT p.customer_id FROM candidate JOIN person AS p USING (cust) WHERE rule_no = $silent",
        {"silent": [rule.id for rule in plan.rules].index("silent")},
    ).fetchall()
    counts = plan.counts()
    plan.close()
    assert {customer for (customer,) in found} == silent_accounts(shared_data / "saas_a")
    assert {rule for rule, _, _, _ in counts} == set(RULES)
    assert {(outcome, reason) for _, outcome, reason, _ in counts} == {("skip", "existing"), ("skip", "no_address")}


def test_data_check_says_it_all_in_words(folder: Path) -> None:
    said = CliRunner().invoke(app, ["-C", str(folder), "data", "check", "--as-of", "2025-01-01"])
    assert said.exit_code == 0
    assert "lie before their subscription's start" in said.output
    document = json.loads(
        CliRunner()
        .invoke(app, ["-C", str(folder), "data", "check", "--as-of", "2025-01-01", "--format", "json"])
        .output
    )
    assert {row["table"]: row["repeated"] for row in document["tables"]}["events"] == 3
