"""`check`, `schema` and `data`: mistakes found before anything runs."""

from __future__ import annotations

import json

import duckdb
from cli_shop import CONFIG, QUIET, Shop


def test_a_sound_project_is_told_so(shop: Shop) -> None:
    result = shop.run("check")
    assert result.exit_code == 0
    assert result.stdout == "Corner Shop: 2 rules (2 active), 2 mails, 2 tables\n✓ no mistakes, 1 warning\n"
    assert "HOLDFAST_SECRET" in result.stderr


def test_an_event_nobody_has_done_is_a_warning_with_a_guess(shop: Shop) -> None:
    shop.write("rules/quiet.yaml", QUIET.replace("event: login", "event: logn"))
    document = shop.json("check")
    warning = next(one for one in document["warnings"] if "logn" in one["found"])
    assert warning["path"] == "rules/quiet.yaml"
    assert warning["suggestion"] == '"login"'
    assert warning["severity"] == "warning"


def test_a_column_that_is_not_there_is_a_mistake_with_its_place(shop: Shop) -> None:
    shop.write("rules/quiet.yaml", QUIET.replace("plan = 'pro'", "plann = 'pro'"))
    result = shop.run("check")
    assert result.exit_code == 2
    assert "rules/quiet.yaml:6:8: " in result.stderr
    assert 'Did you mean "plan"?' in result.stderr
    assert shop.run("check", "--no-tables").exit_code == 0


def test_a_name_no_table_has_is_found_in_a_mail(shop: Shop) -> None:
    mail = shop.folder / "templates/hello/mail.html"
    mail.write_text(mail.read_text().replace("customer.name", "customer.nickname"))
    result = shop.run("check")
    assert result.exit_code == 2
    assert "nickname" in result.stderr


def test_a_rule_that_vanished_since_the_last_run_is_a_warning(ran: Shop) -> None:
    (ran.folder / "rules/fresh.yaml").unlink()
    assert any('"fresh" is gone' in warning["found"] for warning in ran.json("check")["warnings"])


def test_the_schema_is_json_for_editors(shop: Shop) -> None:
    schema = json.loads(shop.run("schema").stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "inactivity" in json.dumps(schema["properties"]["trigger"])


def test_the_tables_are_shown_with_their_newest_fact_and_columns(shop: Shop) -> None:
    document = shop.json("data", "check", "--as-of", "2026-05-02")
    events, customers = document["tables"][1], document["tables"][0]
    assert (customers["table"], customers["rows"], customers["columns"]["plan"]) == ("customers", 40, "text")
    assert (events["table"], events["newest"], events["future"]) == ("events", "2026-05-01T07:00:00Z", 0)
    assert document["doubts"] == []
    assert "1 day ago" in shop.run("data", "check", "--as-of", "2026-05-02").stdout


def test_broken_values_are_counted_and_listed(shop: Shop) -> None:
    customers = shop.folder / "customers.csv"
    customers.write_text(customers.read_text().replace("c07@example.com", "c07@@example.com"))
    shop.write("config.yaml", CONFIG.replace("1000 days", "2 days"))
    document = shop.json("data", "check", "--as-of", "2026-05-08")
    assert document["tables"][0]["quarantined"] == [
        {"column": "email", "reason": "not a single plain address", "count": 1}
    ]
    assert [doubt["reason"] for doubt in document["doubts"]] == ["stale_table"]
    issue = shop.json("data", "issues", "--table", "customers")["issues"]
    assert [(one["row"], one["column"], one["value"]) for one in issue] == [("c07", "email", "c07@@example.com")]
    assert "no broken values" in shop.run("data", "issues", "--table", "events").stdout


def test_render_makes_the_mail_of_everybody_the_rules_match_and_writes_nothing(shop: Shop) -> None:
    before = sorted(shop.folder.rglob("*"))
    document = shop.json("check", "--render", "--as-of", "2026-05-02")
    assert document["rendered"] == [
        {"rule": "fresh", "template": "hello", "rendered": 2},
        {"rule": "quiet", "template": "we-miss-you", "rendered": 20},
    ]  # fmt: skip
    assert sorted(shop.folder.rglob("*")) == before
    assert shop.json("check")["rendered"] is None


def test_render_counts_who_would_fail_by_reason_with_examples(shop: Shop) -> None:
    customers = shop.folder / "customers.csv"
    text = customers.read_text()
    for number in (3, 4, 6, 7):
        text = text.replace(f",Customer {number},", ",,")
    customers.write_text(text)
    result = shop.run("check", "--render", "--as-of", "2026-05-02")
    assert result.exit_code == 2
    assert "4 of 20 would fail: customer.name is empty for this customer; guard it" in result.stderr
    assert "for example c03, c04, c06." in result.stderr
    assert "templates/we-miss-you/mail.html: " in result.stderr
    assert "4 would fail" in result.stdout
    (problem,) = [one for one in shop.json("check", "--render", "--as-of", "2026-05-02", code=2)["problems"]
                  if one["severity"] == "error"]  # fmt: skip
    assert problem["code"] == "HF528"


def test_render_takes_in_those_who_are_held_put_off_or_held_out(shop: Shop) -> None:
    shop.write("rules/quiet.yaml", QUIET.replace("status: active", "status: paused"))
    shop.write("rules/fresh.yaml", (shop.folder / "rules/fresh.yaml").read_text() + "holdout: 90%\n")
    rendered = shop.json("check", "--render", "--as-of", "2026-05-02")["rendered"]
    assert {one["rule"]: one["rendered"] for one in rendered} == {"quiet": 20, "fresh": 2}


def test_render_needs_the_tables(shop: Shop) -> None:
    assert shop.run("check", "--render", "--no-tables").exit_code == 2


def test_amounts_with_a_decimal_point_are_not_taken_for_cents(shop: Shop) -> None:
    head, *rows = (shop.folder / "customers.csv").read_text().splitlines()
    shop.write("customers.csv", "\n".join([f"{head},value", *(f"{row},{no}.00" for no, row in enumerate(rows))]) + "\n")

    def broken(name: str) -> list[dict[str, object]]:
        mapped = "{path: customers.csv, columns: {" + name + ": value}}"
        shop.write("config.yaml", CONFIG.replace("{path: customers.csv}", mapped))
        tables = {one["table"]: one for one in shop.json("data", "check")["tables"]}
        return [one for one in tables["customers"]["quarantined"] if one["column"] == "clv_minor"]

    assert [one["count"] for one in broken("clv_minor")] == [len(rows)]
    assert broken("clv") == []


def test_a_column_of_decimals_as_minor_units_is_warned_of(shop: Shop) -> None:
    with duckdb.connect() as db:
        source = "read_csv('" + str(shop.folder / "customers.csv") + "')"
        db.execute(f"COPY (SELECT *, 400.00 AS value FROM {source}) TO '{shop.folder / 'customers.parquet'}'")
    mapped = "{path: customers.parquet, columns: {clv_minor: value}}"
    shop.write("config.yaml", CONFIG.replace("{path: customers.csv}", mapped))
    warnings = {one["code"]: one["expected"] for one in shop.json("check")["warnings"]}
    assert "mapped as clv" in warnings["HF613"]


def test_countries_that_need_proof_are_told_when_no_country_is_known(shop: Shop) -> None:
    shop.write("config.yaml", CONFIG + "consent: {require_in: [DE]}\n")
    assert "HF614" in {one["code"] for one in shop.json("check")["warnings"]}
