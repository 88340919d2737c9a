"""`send-test`: one's own copy of a mail, by the way every mail goes, that nothing remembers."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from cli_shop import CONFIG, MAIL, QUIET, SMTP, Shop
from sqlalchemy import select

from engine.api import Project
from engine.clock import utc_now
from engine.store.tables import message
from engine.web.app import make_app

ME = "me@shop.example"


def kept_tests(shop: Shop) -> list[dict[str, object]]:
    with Project.load(shop.folder).open_store() as store, store._database.read() as connection:
        query = select(message).where(message.c.is_test).order_by(message.c.id)
        return [dict(row._mapping) for row in connection.execute(query)]


def new_mails(shop: Shop, before: list[Path]) -> list[EmailMessage]:
    policy = email.policy.default
    return [email.message_from_bytes(one.read_bytes(), policy=policy) for one in shop.mails if one not in before]


def test_a_test_arrives_marked_at_the_address_named_and_nowhere_else(ran: Shop) -> None:
    before = ran.mails
    document = ran.json("send-test", "quiet", "--to", ME, "--customer", "c03")
    (mail,) = new_mails(ran, before)
    assert mail["To"] == ME
    assert mail["Subject"] == "[test] We miss you"
    assert "Dear Customer 3" in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    (sent,) = document["sent"]
    assert sent["outcome"] == "accepted"
    assert (ran.folder / "outbox" / sent["provider_id"]).exists()


def test_the_folder_s_file_is_told(shop: Shop) -> None:
    told = shop.run("send-test", "quiet", "--to", ME)
    assert told.exit_code == 0, told.output
    assert str(shop.mails[0]) in told.stdout.replace("\n", "")


def test_a_second_test_of_the_same_mail_is_sent_too(ran: Shop) -> None:
    before = ran.mails
    ran.run("send-test", "quiet", "--to", ME)
    ran.run("send-test", "quiet", "--to", ME)
    assert len(new_mails(ran, before)) == 2


def test_a_test_leaves_no_trace_on_the_customer_the_run_the_caps_or_the_figures(shop: Shop) -> None:
    for _ in range(3):
        shop.run("send-test", "quiet", "--to", "c03@example.com", "--customer", "c03")
    assert len(shop.mails) == 3
    assert shop.json("status")["outbox"] == {}
    plain = shop.json("plan", "--as-of", "2026-05-02")["counts"]
    assert shop.first_run().exit_code == 0
    assert len(shop.mails) == 3 + 22  # their own mail among them
    assert [count for count in plain if count["outcome"] == "send"] == [
        {"rule": "fresh", "outcome": "send", "reason": "due", "count": 2},
        {"rule": "quiet", "outcome": "send", "reason": "due", "count": 20},
    ]  # fmt: skip
    with Project.load(shop.folder).open_store() as store:
        assert len(store.history_of("c03").messages) == 1
        assert store.history_of("").messages != ()
        figures = store.figures(utc_now())
    assert (figures.outbox, figures.deliveries) == ({"accepted": 22}, {"accepted": 22})


def test_no_value_of_the_customer_is_kept(ran: Shop) -> None:
    ran.run("send-test", "quiet", "--to", ME, "--customer", "c03")
    (row,) = kept_tests(ran)
    assert (row["customer_id"], row["occurrence"], row["values_json"], row["run_id"]) == ("", "", "{}", None)
    exported = ran.json("export", "c03")
    assert ME not in str(exported)


def test_a_suppressed_address_gets_no_test_and_the_reason_is_told(ran: Shop) -> None:
    ran.run("suppress", "add", ME)
    before = ran.mails
    result = ran.run("send-test", "quiet", "--to", ME)
    assert result.exit_code == 1
    assert "the address is suppressed (unsubscribed)" in result.stdout
    assert ran.mails == before


def test_a_pause_of_everything_holds_a_test_for_good(ran: Shop) -> None:
    ran.run("pause")
    before = ran.mails
    result = ran.run("send-test", "quiet", "--to", ME)
    assert result.exit_code == 3, result.output
    assert "holdfast resume" in result.stdout
    ran.run("resume")
    assert ran.run("deliver").exit_code == 0
    assert ran.mails == before
    assert [row["state"] for row in kept_tests(ran)] == ["cancelled"]


def test_the_mail_of_a_paused_rule_can_be_tested(ran: Shop) -> None:
    ran.run("pause", "quiet")
    before = ran.mails
    assert ran.run("send-test", "quiet", "--to", ME).exit_code == 0
    assert len(new_mails(ran, before)) == 1


def test_a_draft_at_night_can_be_tested(shop: Shop) -> None:
    shop.write("config.yaml", CONFIG.replace("quiet_hours: off", 'quiet_hours: "00:00-23:59"'))
    shop.write("rules/quiet.yaml", QUIET.replace("status: active", "status: draft"))
    assert shop.run("send-test", "quiet", "--to", ME).exit_code == 0
    assert len(shop.mails) == 1


def test_other_waiting_mail_stays_where_it_is(shop: Shop) -> None:
    assert shop.first_run("--no-deliver").exit_code == 0
    assert shop.run("send-test", "quiet", "--to", ME).exit_code == 0
    assert len(shop.mails) == 1
    assert shop.json("status")["outbox"] == {"planned": 22}


def test_a_stopped_test_takes_no_customer_s_exposure_back(ran: Shop) -> None:
    ran.run("suppress", "add", ME)
    ran.run("send-test", "quiet", "--to", ME, "--customer", "c03")
    with Project.load(ran.folder).open_store() as store:
        assert [one.counts for one in store.history_of("c03").exposures] == [True]
        assert [one.how for one in store.history_of("c03").settled] == ["sent"]


def test_an_unreachable_channel_is_told_and_nothing_is_tried_later(shop: Shop) -> None:
    shop.write("config.yaml", SMTP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_SECRET", "s" * 40)
        config = SMTP.replace("public_url:", "secret: ${HOLDFAST_SECRET}\n  public_url:")
        shop.write("config.yaml", config)
        result = shop.run("send-test", "quiet", "--to", ME)
        assert result.exit_code == 4, result.output
        assert "not sent; try again (ConnectionRefusedError" in result.stdout
        assert [row["state"] for row in kept_tests(shop)] == ["cancelled"]


def test_test_mode_holds_a_test_to_a_stranger_and_marks_one_that_is_redirected_once(shop: Shop) -> None:
    shop.write("config.yaml", CONFIG + f"delivery: {{only_to: [{ME}]}}\n")
    assert shop.run("send-test", "quiet", "--to", ME).exit_code == 0
    held = shop.run("send-test", "quiet", "--to", "stranger@other.example")
    assert held.exit_code == 3
    assert "not_in_only_to" in held.stdout
    shop.write("config.yaml", CONFIG + f"delivery: {{rewrite_to: {ME}}}\n")
    before = shop.mails
    shop.run("send-test", "quiet", "--to", "stranger@other.example")
    (mail,) = new_mails(shop, before)
    assert (mail["To"], mail["Subject"]) == (ME, "[test] We miss you")


def test_its_unsubscribe_link_is_for_the_address_it_went_to(ran: Shop) -> None:
    from fastapi.testclient import TestClient

    before = ran.mails
    ran.run("send-test", "quiet", "--to", ME, "--customer", "c03")
    (mail,) = new_mails(ran, before)
    path = str(mail["List-Unsubscribe"]).strip("<>").removeprefix("https://mail.example.com")
    project = Project.load(ran.folder)
    with project.open_store() as store:
        client = TestClient(make_app(project, store, utc_now))
        assert client.get(path).status_code == 200
        assert client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        assert [(entry.address, entry.kind) for entry in store.suppressions.listed()] == [(ME, "unsubscribed")]


def test_a_task_for_people_is_no_mail_to_test(shop: Shop) -> None:
    shop.write("config.yaml", CONFIG + "channels:\n  email: {use: outbox_dir}\n  people: {use: task}\n")
    shop.write("rules/quiet.yaml", QUIET + "    channel: people\n")
    result = shop.run("send-test", "quiet", "--to", ME)
    assert result.exit_code == 2
    assert "no mail in it" in result.stderr


def test_a_mail_that_cannot_be_made_is_not_sent(shop: Shop) -> None:
    customers = shop.folder / "customers.csv"
    customers.write_text(customers.read_text().replace("Customer 3,", ","))
    result = shop.run("send-test", "quiet", "--to", ME, "--customer", "c03")
    assert result.exit_code == 1
    assert "customer.name is empty" in result.stderr
    assert shop.mails == []


@pytest.mark.parametrize("address", ["me", "a@b@c.example", "Me <me@shop.example>, you@shop.example"])
def test_what_is_no_address_is_refused(shop: Shop, address: str) -> None:
    result = shop.run("send-test", "quiet", "--to", address)
    assert result.exit_code == 2
    assert "--to is not an address" in result.stderr


def test_a_test_is_listed_as_one_and_cannot_be_sent_again(ran: Shop) -> None:
    ran.run("suppress", "add", ME)
    ran.run("send-test", "quiet", "--to", ME)
    (row,) = kept_tests(ran)
    assert "(test)" in ran.run("outbox", "list").stdout
    assert ran.run("outbox", "resend", str(row["id"])).exit_code == 2


def test_a_test_that_a_crash_left_behind_is_never_sent(ran: Shop) -> None:
    ran.run("send-test", "quiet", "--to", ME)
    before = ran.mails
    with Project.load(ran.folder).open_store() as store, store._database.write() as connection:
        connection.execute(message.update().where(message.c.is_test).values(state="planned"))
        assert store.outbox.next_due_at() is None
    assert ran.run("deliver").exit_code == 0
    assert ran.mails == before


def test_each_mail_of_a_rule_is_sent(shop: Shop) -> None:
    shop.write("rules/quiet.yaml", QUIET + "  - after: 10 days\n    send: hello\n")
    shop.write("templates/hello/mail.html", MAIL.format(subject="Second"))
    assert shop.run("send-test", "quiet", "--to", ME).exit_code == 0
    assert len(shop.mails) == 2
    assert shop.run("send-test", "quiet", "--to", ME, "--step", "2").exit_code == 0
    assert len(shop.mails) == 3
