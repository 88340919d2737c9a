"""`plan` shows what a run would do and leaves no trace."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import duckdb
from cli_shop import QUIET, Shop, make_shop

BOXES = set("│┃─━┌┐└┘┏┓┗┛╭╮╰╯|")


def test_counts_examples_and_old_cases_are_shown_without_boxes(shop: Shop) -> None:
    result = shop.run("plan", "--as-of", "2026-05-02")
    assert result.exit_code == 0, result.output
    assert not BOXES & set(result.stdout)
    assert result.stdout.startswith("22 mails to send\nas of Sat 2 May 2026, 09:00 BST")
    assert "c00, c01, c03 and 17 more" in result.stdout
    assert "38 old cases left out" in result.stdout
    assert result.stderr == ""


def test_a_plan_writes_nothing(shop: Shop) -> None:
    before = sorted(path.name for path in shop.folder.rglob("*"))
    assert shop.run("plan", "--as-of", "2026-05-02").exit_code == 0
    assert sorted(path.name for path in shop.folder.rglob("*")) == before


def test_the_document_counts_every_decision(shop: Shop) -> None:
    document = shop.json("plan", "--as-of", "2026-05-02T08:00:00Z", "--rule", "quiet")
    assert document["as_of"] == {"daily": "2026-05-02T08:00:00Z"}
    assert document["counts"] == [{"rule": "quiet", "outcome": "send", "reason": "due", "count": 20}]
    assert document["examples"] == {"quiet": ["c00", "c01", "c03"]}
    assert document["left_out_as_existing"] == 0
    assert document["edit"] is None
    assert document["out"] is None


def test_out_writes_the_same_decisions_in_all_three_kinds(tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", ids={0: "=cmd()", 1: "@sum", 3: "-7"})
    rows: dict[str, list[dict[str, object]]] = {}
    for kind in ("csv", "jsonl", "parquet"):
        file = tmp_path / f"plan.{kind}"
        document = shop.json("plan", "--as-of", "2026-05-02", "--out", str(file))
        assert document["out"]["rows"] == 60
        rows[kind] = _read(file)
    assert rows["jsonl"] == rows["parquet"]
    customers = [row["customer_id"] for row in rows["csv"]]
    assert {"'=cmd()", "'@sum", "'-7", "c05"} <= set(customers)
    assert [_unquoted(str(customer)) for customer in customers] == [row["customer_id"] for row in rows["jsonl"]]
    assert {row["anchor"] for row in rows["csv"]} == {row["anchor"] for row in rows["jsonl"]}
    assert list(tmp_path.glob(".*.part")) == []


def _unquoted(cell: str) -> str:
    return cell.removeprefix("'")


def _read(file: Path) -> list[dict[str, object]]:
    if file.suffix == ".csv":
        with file.open(newline="") as lines:
            return list(csv.DictReader(lines))
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    reader = duckdb.execute(
        "SELECT * REPLACE (strftime(anchor, '%Y-%m-%dT%H:%M:%SZ') AS anchor, "
        f"strftime(not_before, '%Y-%m-%dT%H:%M:%SZ') AS not_before) FROM read_parquet('{file}')"
    )
    names = [column[0] for column in reader.description or ()]
    return [dict(zip(names, row, strict=True)) for row in reader.fetchall()]


def test_an_edit_since_the_last_run_is_shown_by_what_it_changes(ran: Shop) -> None:
    unchanged = ran.json("plan", "--as-of", "2026-05-03")
    assert unchanged["edit"] is None
    silent_since_yesterday(ran)
    ran.write("rules/quiet.yaml", QUIET.replace("plan = 'pro'", "plan = 'free' or customer_id = 'due-anyhow'"))
    edited = ran.json("plan", "--as-of", "2026-05-03")
    assert edited["edit"] == {
        "newly_due": {"quiet": 10}, "no_longer_due": {"quiet": 1}, "newly_too_late": {}, "newly_superseded": {},
    }  # fmt: skip
    text = ran.run("plan", "--as-of", "2026-05-03").stdout
    assert "newly due         10  quiet 10" in text
    assert "no longer due      1  quiet 1" in text


def silent_since_yesterday(shop: Shop) -> None:
    """Two customers whose thirty days end on 3 May: one whom the edit keeps, one whom it loses."""
    customers, events = shop.folder / "customers.csv", shop.folder / "events.csv"
    for name in ("due-anyhow", "due-before"):
        row = f"{name},{name}@example.com,Somebody,pro,2025-01-01T08:00:00Z\n"
        customers.write_text(customers.read_text() + row)
        events.write_text(events.read_text() + f"{name},login,2026-04-03T07:00:00Z\n")


def test_an_edited_mail_is_no_edit_of_decisions(ran: Shop) -> None:
    mail = ran.folder / "templates/hello/mail.html"
    mail.write_text(mail.read_text().replace("Dear", "Hello"))
    assert ran.json("plan", "--as-of", "2026-05-03")["edit"] is None


def test_a_draft_is_left_out_until_it_is_asked_for_by_name(shop: Shop) -> None:
    shop.write("rules/quiet.yaml", QUIET.replace("status: active", "status: draft"))
    assert {count["rule"] for count in shop.json("plan", "--as-of", "2026-05-02")["counts"]} == {"fresh"}
    asked = shop.json("plan", "--as-of", "2026-05-02", "--rule", "quiet")
    assert asked["counts"] == [{"rule": "quiet", "outcome": "send", "reason": "due", "count": 20}]
    explained = shop.run("explain", "c00", "--as-of", "2026-05-02", "--rule", "quiet").stdout
    assert "quiet (draft)  would be sent we-miss-you" in explained


def test_a_stale_table_is_reported_and_does_not_hold_a_plan(shop: Shop) -> None:
    config = shop.folder / "config.yaml"
    config.write_text(config.read_text().replace("1000 days", "2 days"))
    document = shop.json("plan", "--as-of", "2026-05-08")
    assert [doubt["reason"] for doubt in document["doubts"]] == ["stale_table"]
    assert all(count["outcome"] != "held" for count in document["counts"])
