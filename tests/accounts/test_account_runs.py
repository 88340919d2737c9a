"""Rules about accounts, from the run to the mail."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from hashlib import sha256

import pytest
from accounts_company import CONFIG, DAY, QUIET, AccountsCompany

from engine.planning import draw
from engine.store import Suppression, address_key
from engine.store.ledger import Ledger

OWNERS = [("ann", "quiet", "first"), ("bob", "quiet", "first")]


def test_each_owner_of_a_silent_account_gets_one_mail(company: AccountsCompany) -> None:
    company.run()
    assert company.planned() == OWNERS
    assert company.deliver() == {"sent": 2}


def test_a_second_run_sends_nothing(company: AccountsCompany) -> None:
    company.run()
    assert company.run(again=True).written.messages == 0
    company.run(DAY + timedelta(days=1))
    assert company.planned() == OWNERS


def test_each_climbs_the_whole_ladder_once(company: AccountsCompany) -> None:
    company.run_days(DAY, 8)
    assert company.planned() == sorted([*OWNERS, ("ann", "quiet", "second"), ("bob", "quiet", "second")])


def test_the_key_names_the_account_and_the_recipient(company: AccountsCompany) -> None:
    company.run()
    (ann,) = company.store.history_of("ann").messages
    words = ("quiet", "1", "acme", "2026-04-01", "first", "ann@example.com")
    assert ann.key == sha256("\x1f".join(words).encode()).hexdigest()
    assert ann.account_id == "acme"


def test_nobody_is_written_to_while_anybody_of_the_account_is_there(company: AccountsCompany) -> None:
    company.event("cyd", datetime(2026, 4, 20, 10))
    company.run()
    assert company.planned() == []


def test_an_event_of_the_account_itself_counts(company: AccountsCompany) -> None:
    company.event("acme", datetime(2026, 4, 20, 10), of_account=True)
    company.run()
    assert company.planned() == []


def test_an_unsubscribed_owner_gets_a_reason_and_the_other_a_mail(company: AccountsCompany) -> None:
    key = address_key(company.project().settings.signing_secret(live=False), "ann@example.com")
    company.store.suppressions.add(
        [Suppression(key, "ann@example.com", "unsubscribed", None, None, "test", datetime(2026, 4, 1))]
    )
    report = company.run()
    assert ("quiet", "skip", "unsubscribed", 1) in report.counts
    assert company.store.history_of("ann").decisions[0].reason == "unsubscribed"
    assert company.planned() == [("bob", "quiet", "first")]


def test_an_account_without_a_recipient_leaves_a_reason(company: AccountsCompany) -> None:
    for one in ("ann", "bob"):
        company.change(one, role="member")
    report = company.run()
    assert ("quiet", "skip", "no_recipient", 1) in report.counts
    assert company.reasons() == {("acme", ""): "no_recipient"}
    assert company.planned() == []


def test_an_account_gets_its_first_recipient_and_the_reason_goes(company: AccountsCompany) -> None:
    company.change("ann", role="member")
    company.change("bob", role="member")
    company.run()
    company.change("bob", role="owner")
    written = company.run(DAY + timedelta(days=1)).written
    assert company.planned() == [("bob", "quiet", "first")]
    assert written.vanished == 1
    assert company.run(DAY + timedelta(days=2)).written.vanished == 0


def test_a_reason_that_stands_is_stored_once(company: AccountsCompany) -> None:
    for one in ("ann", "bob"):
        company.change(one, role="member")
    assert [report.written.decisions for report in company.run_days(DAY, 3)] == [1, 0, 0]


def test_an_account_in_the_holdout_gets_nothing_whoever_of_it_would(company: AccountsCompany) -> None:
    share = draw(company.project().settings.salt(live=False), "quiet", "acme") / 16**15
    company.rules["quiet.yaml"] = QUIET + f"holdout: {share * 100 + 1:.0f}%\n"
    report = company.run()
    assert ("quiet", "hold_out", "due", 2) in report.counts
    assert company.planned() == []
    assert {one.arm for name in ("ann", "bob") for one in company.store.history_of(name).exposures} == {"control"}


def test_all_of_an_account_are_in_the_same_arm(company: AccountsCompany) -> None:
    for number in range(40):
        company.account(f"x{number}")
        for who in "pq":
            company.person(f"{who}{number}", f"x{number}")
        company.event(f"p{number}", datetime(2026, 4, 1, 12))
    company.rules["quiet.yaml"] = QUIET + "holdout: 50%\n"
    company.run()
    rows = [row for row in company.plan() if row["account_id"] != "busy"]
    arms = {f"x{number}": set() for number in range(40)}
    for number in range(40):
        for who in "pq":
            arms[f"x{number}"] |= {one.arm for one in company.store.history_of(f"{who}{number}").exposures}
    assert rows
    assert {len(found) for found in arms.values()} == {1}
    assert {arm for found in arms.values() for arm in found} == {"control", "treated"}


@pytest.mark.parametrize("who", ["ann", "cyd"])
def test_the_goal_reached_by_anybody_ends_the_ladder_for_all(company: AccountsCompany, who: str) -> None:
    company.rules["quiet.yaml"] = QUIET + "goal: {event: order, within: 14 days}\n"
    company.run()
    company.event(who, datetime(2026, 5, 3, 12), "order")
    company.run_days(DAY + timedelta(days=1), 6)
    assert company.planned() == OWNERS


def test_exit_when_holds_for_all(company: AccountsCompany) -> None:
    company.rules["quiet.yaml"] = QUIET + "exit_when: plan = 'gone'\n"
    company.run()
    company.tables["accounts"][0]["plan"] = "gone"
    company.run_days(DAY + timedelta(days=1), 6)
    assert company.planned() == OWNERS


def test_caps_are_per_address_whatever_the_rule_is_about(company: AccountsCompany) -> None:
    company.config = CONFIG.replace("[100/1 day]", "[1/1 day]")
    company.rules["own.yaml"] = (
        QUIET.replace("rule: quiet", "rule: own\npriority: 90")
        .replace("about: account\n", "")
        .replace("recipients: {where: role = 'owner'}\n", "where: customer_id = 'ann'\n")
        .replace("30 days", "60 days")
    )
    company.run()
    assert company.planned() == [("ann", "own", "first"), ("bob", "quiet", "first")]
    decided = {one.rule: one.reason for one in company.store.history_of("ann").decisions}
    assert decided == {"own": "due", "quiet": "outranked"}


def test_a_late_joiner_climbs_a_ladder_of_their_own(company: AccountsCompany) -> None:
    company.run()
    company.person("eve")
    company.run_days(DAY + timedelta(days=1), 6)
    eve = [(one.step, one.local_date) for one in company.store.history_of("eve").exposures]
    assert eve == [("first", date(2026, 5, 3)), ("second", date(2026, 5, 6))]


def test_a_late_joiner_gets_nothing_once_the_account_has_reached_the_goal(company: AccountsCompany) -> None:
    company.rules["quiet.yaml"] = QUIET + "goal: {event: order, within: 14 days}\n"
    company.run()
    company.event("bob", datetime(2026, 5, 2, 20), "order")
    company.person("eve")
    company.run(DAY + timedelta(days=1))
    assert company.planned() == OWNERS
    assert company.reasons(DAY + timedelta(days=1))[("acme", "eve")] == "ended"


def test_repeat_after_counts_from_the_last_ladder_of_the_account(company: AccountsCompany) -> None:
    company.rules["quiet.yaml"] = QUIET.replace("30 days", "5 days") + "repeat_after: 40 days\n"
    company.change("bob", role="member")
    company.run(date(2026, 4, 7))
    company.event("cyd", datetime(2026, 4, 10))
    company.change("bob", role="owner")
    company.run(date(2026, 4, 16))
    assert company.planned() == [("ann", "quiet", "first")]
    assert set(company.reasons(date(2026, 4, 16)).values()) >= {"repeat_too_soon"}


def test_a_corrected_history_sends_nothing_to_anybody_again(company: AccountsCompany) -> None:
    company.run()
    company.person("eve")
    company.tables["events"][0]["at"] = "2026-03-31 09:00:00"  # the last login was a day earlier
    company.run(DAY + timedelta(days=1))
    assert company.planned() == sorted([*OWNERS, ("eve", "quiet", "first")])
    (eve,) = company.store.history_of("eve").exposures
    assert eve.occurrence == "2026-04-01"


@pytest.mark.parametrize("at_most", [1, 2])
def test_at_most_so_many_are_written_to_and_they_stay_the_same(company: AccountsCompany, at_most: int) -> None:
    company.rules["quiet.yaml"] = QUIET.replace("'owner'}", f"'owner', at_most: {at_most}}}")
    company.person("eve")
    company.run()
    chosen = ["ann", "bob"][:at_most]
    assert [row[0] for row in company.planned()] == chosen
    assert company.store.history_of("eve").decisions[0].reason == "at_most"
    company.person("aaa")  # would come first, but somebody has got a step already
    company.run_days(DAY + timedelta(days=1), 6)
    assert sorted({row[0] for row in company.planned()}) == chosen
    assert len(company.planned()) == 2 * at_most


def test_somebody_who_may_not_be_written_to_takes_no_place(company: AccountsCompany) -> None:
    company.rules["quiet.yaml"] = QUIET.replace("'owner'}", "'owner', at_most: 1}")
    company.change("ann", email="")
    company.run()
    assert company.planned() == [("bob", "quiet", "first")]


def test_one_who_has_left_makes_room(company: AccountsCompany) -> None:
    company.rules["quiet.yaml"] = QUIET.replace("'owner'}", "'owner', at_most: 1}")
    company.run()
    company.change("ann", account_id="busy")
    company.run(DAY + timedelta(days=1))
    assert company.planned() == OWNERS


def test_a_person_who_moves_to_another_silent_account_is_written_to_about_that_one(company: AccountsCompany) -> None:
    company.account("calm")
    company.person("fay", "calm")
    company.event("fay", datetime(2026, 4, 1, 11))  # the same occurrence as Acme's
    company.run()
    company.change("ann", account_id="calm")
    company.run(DAY + timedelta(days=1))
    ann = company.store.history_of("ann")
    assert [(one.account_id, one.occurrence) for one in ann.messages] == [
        ("acme", "2026-04-01"),
        ("calm", "2026-04-01"),
    ]


def test_a_mail_stopped_about_one_account_leaves_the_other_alone(company: AccountsCompany) -> None:
    company.account("calm")
    company.person("fay", "calm")
    company.event("fay", datetime(2026, 4, 1, 11))
    company.run()
    company.change("ann", account_id="calm")
    company.run(DAY + timedelta(days=1))
    assert company.deliver(DAY + timedelta(days=1)) == {"sent": 3, "no_longer_true": 1}
    ann = company.store.history_of("ann")
    assert {one.account_id: one.counts for one in ann.exposures} == {"acme": False, "calm": True}
    assert {one.account_id: one.how for one in ann.settled} == {"acme": "stopped", "calm": "sent"}


def test_a_person_whose_case_changes_has_one_decision_that_stands(company: AccountsCompany) -> None:
    company.change("ann", email="")
    company.run()
    company.change("ann", email="ann@example.com")
    company.run(DAY + timedelta(days=1))
    decided = [(one.reason, one.closed_by is None) for one in company.store.history_of("ann").decisions]
    assert decided == [("no_address", False), ("due", True)]


def test_sent_is_not_carried_to_another_account(company: AccountsCompany) -> None:
    company.account("calm")
    company.person("fay", "calm", role="member")
    company.event("fay", datetime(2026, 4, 1, 11))
    company.run()
    company.change("ann", account_id="calm", role="member")
    company.rules["never.yaml"] = (
        QUIET.replace("rule: quiet", "rule: never").replace("'owner'", "'member'") + "where: not sent('quiet')\n"
    )
    company.run(DAY + timedelta(days=1))
    assert [row[0] for row in company.planned() if row[1] == "never"] == ["ann", "fay"]


def test_sent_asks_about_the_account(company: AccountsCompany) -> None:
    company.run()
    company.rules["then.yaml"] = (
        QUIET.replace("rule: quiet", "rule: then").replace("'owner'", "'member'") + "where: sent('quiet')\n"
    )
    company.rules["never.yaml"] = QUIET.replace("rule: quiet", "rule: never") + "where: not sent('quiet')\n"
    company.run(DAY + timedelta(days=1))
    assert company.planned() == sorted([*OWNERS, ("cyd", "then", "first")])


def test_where_and_mails_read_the_account_and_the_recipient(company: AccountsCompany) -> None:
    company.rules["quiet.yaml"] = (
        QUIET + "where: plan = 'team' and account.mrr_minor > 5000 and length(account_id) = 4\n"
    )
    company.says = "{{ customer.customer_id }} of {{ account.name }}, {{ fact.days_inactive }} days"
    company.run()
    company.deliver()
    mails = "".join(mail.read_text() for mail in company.folder.rglob("*.eml"))
    assert "ann of Acme Ltd, 30 days" in mails
    assert "bob of Acme Ltd, 30 days" in mails


def test_a_rule_about_customers_may_name_their_account(company: AccountsCompany) -> None:
    company.rules = {
        "own.yaml": QUIET.replace("about: account\nrecipients: {where: role = 'owner'}\n", "").replace(
            "30 days", "60 days"
        )
        + "where: account.plan = 'team'\n"
    }
    company.event("dan", datetime(2026, 3, 1, 10))
    company.tables["events"] = [row for row in company.tables["events"] if str(row["at"]) < "2026-04-02"]
    company.says = "at {{ account.name }}"
    company.run()
    assert company.planned() == [("ann", "quiet", "first")]
    (ann,) = company.store.history_of("ann").messages
    assert ann.account_id == ""


def test_accounts_need_no_table_of_their_own(company: AccountsCompany) -> None:
    company.tables["accounts"].clear()
    company.run()
    assert company.planned() == OWNERS


def test_an_account_that_only_its_people_name_is_one_too(company: AccountsCompany) -> None:
    company.tables["accounts"] = company.tables["accounts"][1:]
    company.run()
    assert company.planned() == OWNERS


def test_what_an_account_rule_blocks_is_blocked_for_everybody_of_the_account(company: AccountsCompany) -> None:
    company.rules["hold.yaml"] = QUIET.replace(
        "rule: quiet", "rule: hold\nblocks: [marketing]\nclass: service\nground: contract"
    )
    company.rules["quiet.yaml"] = QUIET.replace("about: account\nrecipients: {where: role = 'owner'}\n", "")
    company.run()
    assert company.planned() == [("ann", "hold", "first"), ("bob", "hold", "first")]
    assert company.store.history_of("cyd").decisions[0].reason == "blocked_by"


# ---- just before a mail leaves ----


def test_a_mail_does_not_leave_once_anybody_has_come_back(company: AccountsCompany) -> None:
    company.run()
    company.event("cyd", datetime(2026, 5, 2, 7, 30))
    assert company.deliver() == {"no_longer_true": 2}


def test_a_mail_does_not_leave_for_somebody_who_is_no_longer_a_recipient(company: AccountsCompany) -> None:
    company.run()
    company.change("ann", role="member")
    assert company.deliver() == {"sent": 1, "no_longer_true": 1}


def test_a_mail_does_not_leave_for_somebody_who_has_gone_elsewhere(company: AccountsCompany) -> None:
    company.account("calm")
    company.person("fay", "calm")
    company.event("fay", datetime(2026, 4, 1, 11))
    company.run()
    company.change("ann", account_id="calm")
    assert company.deliver() == {"sent": 2, "no_longer_true": 1}


def test_a_state_on_a_server_remembers_accounts_as_well(postgres_url: str, company: AccountsCompany) -> None:
    company.config = CONFIG + f"state: {{url: '{postgres_url}'}}\n"
    company.rules["quiet.yaml"] = QUIET.replace("'owner'}", "'owner', at_most: 2}")
    company.run()
    company.person("aaa")
    assert company.deliver() == {"sent": 2}
    assert company.run(again=True).written.messages == 0
    company.run_days(DAY + timedelta(days=1), 6)
    assert company.planned() == sorted([*OWNERS, ("ann", "quiet", "second"), ("bob", "quiet", "second")])


@pytest.mark.parametrize("after", range(1, 6))
def test_a_run_that_broke_off_between_people_of_an_account_ends_as_any_other(
    company: AccountsCompany, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """One chunk each, those without a name first: what stands in for an account that has nobody."""
    monkeypatch.setattr("engine.recording._CHUNK_ROWS", 1)
    company.rules["quiet.yaml"] = QUIET.replace("'owner'}", "'owner', at_most: 2}")
    for lonely in ("idle", "lone"):
        company.person(f"{lonely}-user", lonely, role="user")
        company.event(f"{lonely}-user", datetime(2026, 4, 1, 12))
    company.person("eve")
    write_chunk, written = Ledger.write_chunk, 0

    def broken(ledger: Ledger, *rows: object, **more: object) -> object:
        nonlocal written
        written += 1
        if written == after:
            raise OSError("gone")
        return write_chunk(ledger, *rows, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "write_chunk", broken)
    with pytest.raises(OSError, match="gone"):
        company.run()
    report = company.run()
    assert not report.written.conflicts
    assert company.planned() == OWNERS
    reasons = {(one[1], one[2]): one[3] for one in report.counts}
    assert reasons == {("send", "due"): 2, ("skip", "no_recipient"): 2, ("skip", "at_most"): 1}
    stored = company.store.ledger.latest_decisions(["quiet"])
    assert sorted((row[8], row[1], row[5]) for row in stored) == [
        ("acme", "ann", "due"), ("acme", "bob", "due"), ("acme", "eve", "at_most"),
        ("idle", "", "no_recipient"), ("lone", "", "no_recipient"),
    ]  # fmt: skip


def test_a_plan_for_one_person_is_that_of_their_whole_account(company: AccountsCompany) -> None:
    company.event("cyd", datetime(2026, 4, 20, 10))
    assert company.plan(customer_ids=["ann"]) == []
    company.tables["events"].pop()
    found = {row["customer_id"]: row["reason"] for row in company.plan(customer_ids=["ann"])}
    assert found == {"ann": "due", "bob": "due"}
