"""`run`, `deliver` and `approve`: the day's work, done once."""

from __future__ import annotations

from cli_shop import CONFIG, DAY, FRESH, QUIET, SMTP, Shop


def test_a_run_sends_what_is_due_and_says_so(ran: Shop) -> None:
    assert len(ran.mails) == 22
    assert ran.json("status")["outbox"] == {"accepted": 22}


def test_running_the_same_date_again_sends_nothing(ran: Shop) -> None:
    result = ran.first_run()
    assert result.exit_code == 0
    assert "It had been run already" in result.stdout
    assert "0 mails sent" in result.stdout
    assert len(ran.mails) == 22


def test_again_plans_the_date_anew_and_sends_no_second_copy(ran: Shop) -> None:
    before = {mail.name: mail.read_bytes() for mail in ran.mails}
    document = ran.json("run", "--as-of", DAY.isoformat(), "--again")
    assert document["runs"][0]["n"] == 2
    assert document["runs"][0]["fresh"] is True
    assert document["delivery"]["sent"] == 0
    assert {mail.name: mail.read_bytes() for mail in ran.mails} == before


def test_what_is_not_delivered_waits_for_deliver(shop: Shop) -> None:
    document = shop.json("run", "--date", "2026-05-02", "--no-deliver")
    assert document["delivery"] is None
    assert document["runs"][0]["as_of"] == "2026-05-02T08:00:00Z"
    assert shop.mails == []
    delivered = shop.json("deliver", "--as-of", "2026-05-02T09:00:00Z")["delivery"]
    assert delivered["sent"] == 22
    assert len(shop.mails) == 22


def test_who_comes_back_before_the_delivery_gets_nothing(shop: Shop) -> None:
    assert shop.first_run("--no-deliver").exit_code == 0
    events = shop.folder / "events.csv"
    events.write_text(events.read_text() + "c00,login,2026-05-02T08:30:00Z\n")
    document = shop.json("deliver", "--as-of", "2026-05-02T10:00:00Z")["delivery"]
    assert document["sent"] == 21
    assert document["stopped"] == {"no_longer_true": 1}


def test_whoever_unsubscribes_after_the_plan_gets_nothing(shop: Shop) -> None:
    shop.first_run("--no-deliver")
    assert shop.run("suppress", "add", " C01@Example.com").exit_code == 0
    document = shop.json("deliver", "--as-of", DAY.isoformat())["delivery"]
    assert (document["sent"], document["stopped"]) == (21, {"unsubscribed": 1})


def test_whoever_is_on_the_list_is_skipped_by_the_run(shop: Shop) -> None:
    shop.run("suppress", "add", "c01@example.com")
    counts = shop.json("run", "--as-of", DAY.isoformat())["runs"][0]["counts"]
    assert {"rule": "quiet", "outcome": "skip", "reason": "unsubscribed", "count": 1} in counts
    assert len(shop.mails) == 21


def test_a_paused_rule_is_held_and_goes_on_after_resume(shop: Shop) -> None:
    assert shop.run("pause", "quiet").exit_code == 0
    counts = shop.json("run", "--as-of", DAY.isoformat())["runs"][0]["counts"]
    assert {"rule": "quiet", "outcome": "held", "reason": "rule_paused", "count": 20} in counts
    assert len(shop.mails) == 2
    assert shop.run("resume", "quiet").exit_code == 0
    shop.run("run", "--as-of", "2026-05-03")
    assert len(shop.mails) == 22


def test_a_flood_is_held_until_it_is_approved(shop: Shop) -> None:
    shop.write("config.yaml", CONFIG.replace("guard: off", "guard: {share: 20%, first_run: 5, growth: 3, floor: 5}"))
    result = shop.first_run()
    assert result.exit_code == 3
    assert "`holdfast approve 1 quiet` releases it" in result.stdout
    assert len(shop.mails) == 2
    assert shop.json("status")["held"] == [{"run_id": 1, "rule": "quiet", "reason": "held_for_review", "n": 20}]
    assert shop.run("approve", "1", "fresh").exit_code == 2
    approved = shop.run("approve", "1", "quiet", "--no-deliver")
    assert approved.exit_code == 0, approved.output
    assert shop.json("deliver", "--as-of", DAY.isoformat())["delivery"]["sent"] == 20
    assert shop.json("status")["held"] == []
    assert shop.run("approve", "1", "quiet").exit_code == 2  # run 2 has decided afresh


def test_a_mail_that_cannot_be_made_is_listed_and_ends_with_1(shop: Shop) -> None:
    customers = shop.folder / "customers.csv"
    customers.write_text(customers.read_text().replace("Customer 3,", ","))
    result = shop.first_run()
    assert result.exit_code == 1
    assert "21 mails sent" in result.stdout
    assert "1 failed" in result.stdout
    assert "c03" in result.stdout.partition("Failed")[2]


def test_a_folder_that_cannot_be_written_to_ends_with_4_and_loses_nothing(shop: Shop) -> None:
    shop.write("outbox", "a file where the folder should be")
    result = shop.first_run()
    assert result.exit_code == 4
    assert "What was planned stays planned" in result.stdout
    (shop.folder / "outbox").unlink()
    assert shop.json("deliver", "--as-of", DAY.isoformat())["delivery"]["sent"] == 22


def test_another_day_than_today_is_kept_away_from_real_people(shop: Shop) -> None:
    shop.write("config.yaml", SMTP)
    for words in (
        ("run", "--as-of", "2026-05-02"),
        ("run", "--date", "2069-05-02"),
        ("deliver", "--as-of", "2026-05-02"),
    ):
        result = shop.run(*words)
        assert result.exit_code == 2
        assert "is not now, and this project sends real mail" in result.stderr


def test_a_state_that_was_tried_out_refuses_real_mail_until_go_live(ran: Shop) -> None:
    ran.run("suppress", "add", "gone@example.com")
    ran.write("config.yaml", SMTP.replace("  name:", "  secret: ${file:secret}\n  name:").replace(
        "guard: off", "guard: off\nholdout: {salt: '${file:secret}'}"))  # fmt: skip
    ran.write("secret", "a key that is long enough")
    ran.write(
        "rules/quiet.yaml", QUIET.replace("30 days", "31 days").replace("we-miss-you", "we-miss-you\n    id: again")
    )
    refused = ran.run("run", "--as-of", "2026-05-03", "--force")
    assert refused.exit_code == 3
    assert "holdfast go-live" in refused.stderr
    assert ran.run("go-live").exit_code == 3  # nobody there to be asked
    assert ran.json("status")["outbox"] != {}
    assert ran.run("go-live", "--yes").exit_code == 0
    status = ran.json("status")
    assert (status["outbox"], status["runs"], status["environment"]) == ({}, [], None)
    assert [entry["address"] for entry in ran.json("suppress", "list")["suppressions"]] == ["gone@example.com"]


def test_a_schedule_waits_for_its_hour(shop: Shop) -> None:
    shop.write("config.yaml", CONFIG + 'schedules: {daily: "09:00", evening: "18:00"}\n')
    shop.write("rules/fresh.yaml", FRESH.replace("status: active", "status: active\nschedule: evening"))
    morning = shop.json("run", "--as-of", "2026-05-02T08:00:00Z")
    assert [(run["schedule"], run["fresh"]) for run in morning["runs"]] == [("daily", True)]
    evening = shop.json("run", "--as-of", "2026-05-02T17:00:00Z")
    assert [(run["schedule"], run["fresh"]) for run in evening["runs"]] == [("daily", False), ("evening", True)]
    assert (morning["delivery"]["sent"], evening["delivery"]["sent"]) == (20, 2)
    planned = shop.json("plan", "--as-of", "2026-05-03")
    assert planned["as_of"] == {"daily": "2026-05-03T08:00:00Z", "evening": "2026-05-03T17:00:00Z"}


def test_a_run_started_late_takes_the_hour_of_its_date(shop: Shop) -> None:
    report = shop.json("run", "--date", "2026-05-02")
    assert report["runs"][0]["as_of"] == "2026-05-02T08:00:00Z"
    assert report["delivery"]["sent"] == 0  # sent by today's clock, and today it is far too late
    assert report["delivery"]["stopped"] == {"expired": 22}
