"""`explain` answers "why did this person get it, or not?" in the customer's own values."""

from __future__ import annotations

from cli_shop import CONFIG, QUIET, Shop

from engine.cli.explained import STAGES
from engine.planning.reasons import Reason


def test_conditions_are_ticked_with_the_values_they_looked_at(shop: Shop) -> None:
    text = shop.run("explain", "c02", "--as-of", "2026-05-02", "--rule", "quiet").stdout
    assert "Customer 2  c02  c02@example.com" in text
    assert "✓ no login for 30 days   last: 1 Apr 2026, 08:00" in text  # 07:00 UTC on a London clock
    assert "✗ plan = 'pro'           plan: free" in text
    assert "quiet  does not apply" in text


def test_a_due_mail_is_named_with_its_hour(shop: Shop) -> None:
    text = shop.run("explain", "c00", "--as-of", "2026-05-02").stdout
    assert "quiet  would be sent we-miss-you at 2 May 2026, 09:00" in text
    assert "decided by" not in text.partition("Rules that")[0].partition("quiet  would")[2]
    assert "nothing was sent to this customer yet" in text


def test_rules_that_do_not_apply_are_told_by_what_is_missing(shop: Shop) -> None:
    text = shop.run("explain", "c30", "--as-of", "2026-05-02").stdout
    others = text.partition("Rules that do not apply")[2]
    assert "✗  quiet  no login for 30 days  last: 1 May 2026, 08:00" in others


def test_an_address_stands_for_its_customer(shop: Shop) -> None:
    document = shop.json("explain", "C05@example.com ", "--as-of", "2026-05-02")
    assert document["customer_id"] == "c05"
    quiet = next(rule for rule in document["rules"] if rule["rule"] == "quiet")
    assert [(one["text"], one["held"]) for one in quiet["rows"][0]["conditions"]] == [
        ("no login for 30 days", True), ("plan = 'pro'", False),
    ]  # fmt: skip
    assert document["person"]["plan"] == "free"
    assert document["history"] is None


def test_what_was_sent_before_is_told(ran: Shop) -> None:
    text = ran.run("explain", "c00", "--as-of", "2026-05-03").stdout
    before = text.partition("Before")[2]
    assert "2 May 2026, 09:00  quiet  we-miss-you  sent" in before
    assert "already_sent" in text
    history = ran.json("explain", "c00", "--as-of", "2026-05-03")["history"]
    assert [message["state"] for message in history["messages"]] == ["accepted"]


def test_the_control_group_is_told(shop: Shop) -> None:
    shop.write("config.yaml", CONFIG + "holdout: {global: 100%}\n")
    text = shop.run("explain", "c00", "--as-of", "2026-05-02").stdout
    assert "quiet  control group: we-miss-you is deliberately not sent" in text
    assert "decided by the holdout" in text


def test_somebody_unknown_ends_with_2(shop: Shop) -> None:
    result = shop.run("explain", "nobody")
    assert result.exit_code == 2
    assert 'There is no customer "nobody"' in result.stderr


def test_the_query_is_printed_when_asked_for(shop: Shop) -> None:
    assert "SELECT" not in shop.run("explain", "c00", "--as-of", "2026-05-02").stdout
    text = shop.run("explain", "c00", "--as-of", "2026-05-02", "--rule", "quiet", "--sql").stdout
    assert "-- quiet\nSELECT" in text


def test_every_reason_has_its_stage() -> None:
    told = [reason for reasons in STAGES.values() for reason in reasons]
    assert sorted(told) == sorted(Reason)


def test_the_next_step_is_told_with_its_own_date(ran: Shop) -> None:
    ran.write("rules/quiet.yaml", QUIET + "  - after: 14 days\n    send: hello\n")
    text = ran.run("explain", "c00", "--as-of", "2026-05-03", "--rule", "quiet").stdout
    assert "step hello, due Fri 15 May 2026; decided by the ladder" in text
