"""One run a day, and never a second message about the same thing."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from run_company import QUIET, Company

from engine.errors import SetupError, UnavailableError
from engine.run import daily_run
from engine.store.ledger import Ledger

DUE = date(2026, 5, 2)  # Ann's silence is 30 days old at 10:00 UTC on 1 May, after that day's 09:00 in London


def test_first_day_of_a_silence_sends_the_first_step(company: Company) -> None:
    assert company.run(DUE - timedelta(days=1)).written.messages == 0  # two hours short of thirty days
    assert company.run(DUE).written.messages == 1
    assert company.messages() == [("ann", "quiet", "first")]


def test_second_run_on_the_same_day_sends_nothing(company: Company) -> None:
    company.run(DUE)
    report = company.run(DUE)
    assert not report.fresh
    assert company.messages() == [("ann", "quiet", "first")]


def test_planning_the_date_again_sends_nothing_new(company: Company) -> None:
    company.run(DUE)
    report = company.run(DUE, again=True)
    assert report.fresh
    assert report.run.n == 2
    assert report.written.messages == 0
    assert not report.written.conflicts
    assert company.messages() == [("ann", "quiet", "first")]


def test_daily_runs_climb_the_ladder_once(company: Company) -> None:
    for number in (0, 1, 12, 13, 14, 15, 29, 30):
        company.run(DUE + timedelta(days=number))
    assert company.messages() == [("ann", "quiet", "first"), ("ann", "quiet", "second"), ("bob", "quiet", "first")]


def test_a_clock_moved_back_sends_nothing_again(company: Company) -> None:
    for number in (0, 13, 14, 15):
        company.run(DUE + timedelta(days=number))
    before = company.messages()
    assert len(before) == 2
    company.run_days(DUE - timedelta(days=2), 2)
    company.run(DUE + timedelta(days=10))
    assert company.messages() == before


def test_a_date_without_a_run_is_made_up_for_once(company: Company) -> None:
    company.run(DUE - timedelta(days=3))
    company.run(DUE + timedelta(days=2))
    company.run(DUE + timedelta(days=3))
    assert company.messages() == [("ann", "quiet", "first")]


@pytest.mark.parametrize(
    "shift", [timedelta(seconds=1), timedelta(seconds=-1), timedelta(hours=1), timedelta(hours=-11)]
)
def test_history_imported_again_with_shifted_times_sends_nothing(company: Company, shift: timedelta) -> None:
    company.run_days(DUE, 2)
    company.events = [(customer, name, at + shift) for customer, name, at in company.events]
    company.run(DUE + timedelta(days=2))
    company.run(DUE + timedelta(days=6))  # repeat_after is over: only the occurrence stands in the way
    assert company.messages() == [("ann", "quiet", "first")]


def test_purged_history_sends_nothing(company: Company) -> None:
    company.rules = {
        "unused.yaml": "rule: unused\nstatus: active\ntrigger:\n"
        "  unused_feature: {feature: export, for: 30 days}\nsteps:\n  - send: first\n"
    }
    company.customers = [row | {"signed_up_at": "2025-01-01"} for row in company.customers]
    company.event("ann", "export", datetime(2026, 1, 20, 9))
    company.event("bob", "export", datetime(2026, 4, 25, 9))
    company.run_days(DUE, 2)
    company.events = [event for event in company.events if event[2] > datetime(2026, 2, 15)]
    company.run_days(DUE + timedelta(days=2), 3)
    assert company.messages() == [("ann", "unused", "first")]


def test_an_edited_rule_sends_no_second_copy(company: Company) -> None:
    company.run(DUE)
    company.rules["quiet.yaml"] = QUIET.replace("for: 30 days", "for: 28 days") + "description: Edited.\n"
    company.run(DUE, again=True)
    company.run_days(DUE + timedelta(days=1), 2)
    assert [message for message in company.messages() if message[0] == "ann"] == [("ann", "quiet", "first")]


def test_a_step_inserted_before_a_sent_one_is_never_sent(company: Company) -> None:
    for number in (0, 13, 14):
        company.run(DUE + timedelta(days=number))
    inserted = "  - after: 7 days\n    send: third\n  - after: 14 days"
    company.rules["quiet.yaml"] = QUIET.replace("  - after: 14 days", inserted)
    company.run_days(DUE + timedelta(days=15), 2)
    assert [step for customer, _, step in company.messages() if customer == "ann"] == ["first", "second"]


def test_a_step_on_another_channel_is_the_same_step(company: Company) -> None:
    company.run(DUE)
    company.config += "channels:\n  email: {use: outbox_dir, path: outbox}\n  post: {use: outbox_dir, path: post}\n"
    company.rules["quiet.yaml"] = QUIET.replace("  - send: first", "  - send: first\n    channel: post")
    company.run_days(DUE + timedelta(days=1), 2)
    assert [message for message in company.messages() if message[0] == "ann"] == [("ann", "quiet", "first")]


def test_a_renamed_rule_keeps_its_history(company: Company) -> None:
    company.run(DUE)
    company.rules["quiet.yaml"] = QUIET.replace("rule: quiet", "rule: silent\nwas: [quiet]")
    company.run_days(DUE + timedelta(days=1), 2)
    assert [message for message in company.messages() if message[0] == "ann"] == [("ann", "quiet", "first")]


def test_a_silence_answered_and_begun_anew_is_another_ladder(company: Company) -> None:
    company.run_days(DUE, 2)
    company.event("ann", "login", datetime(2026, 5, 5, 10))
    company.run_days(date(2026, 6, 4), 2)
    assert [message for message in company.messages() if message[0] == "ann"] == [("ann", "quiet", "first")] * 2


def test_the_same_date_planned_anew_withdraws_what_no_longer_holds(company: Company) -> None:
    company.run(DUE)
    company.event("ann", "login", datetime(2026, 5, 1, 20))
    report = company.run(DUE, again=True)
    assert report.written.withdrawn == 1
    assert company.messages() == []


def test_two_runs_at_once_plan_once(company: Company) -> None:
    project = company.project()
    with company.store.run_lock(), pytest.raises(UnavailableError):
        other = project.open_store()
        daily_run(project, other, "daily", DUE, project.instant(DUE), project.instant(DUE))
    assert company.messages() == []


def test_an_interrupted_run_goes_on_with_the_rules_it_began_with(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.recording._CHUNK_ROWS", 1)
    for number in range(40):
        company.customer(f"c{number:02d}")
        company.event(f"c{number:02d}", "login", datetime(2026, 4, 1, 11))

    def power_cut(done: int, of: int) -> None:
        if done == of // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        company.run(DUE, on_chunk=power_cut)
    half = company.messages()
    assert 0 < len(half) < 41
    company.rules["quiet.yaml"] = QUIET.replace("send: first", "send: third")
    report = company.run(DUE)
    assert report.fresh
    assert {step for _, _, step in company.messages()} == {"first"}
    assert len(company.messages()) == 41
    assert not report.written.conflicts


def test_a_held_rule_is_released_by_approval(company: Company) -> None:
    company.config = company.config.replace("guard: off", "guard: {share: 20%, first_run: 1, growth: 3, floor: 1}")
    for number in range(5):
        company.customer(f"c{number}")
        company.event(f"c{number}", "login", datetime(2026, 4, 1, 11))
    held = company.run(DUE)
    assert company.outcomes(held)["held", "held_for_review"] == 6
    assert company.messages() == []
    company.store.switches.approve(held.run.id, "quiet", datetime(2026, 5, 2, 10))
    released = company.run(DUE, again=True)
    assert company.outcomes(released)["send", "due"] == 6
    assert len(company.messages()) == 6


def test_a_shadow_rule_writes_to_nobody_and_is_forgotten_when_promoted(company: Company) -> None:
    company.rules["quiet.yaml"] = QUIET.replace("status: active", "status: shadow")
    company.run_days(DUE, 2)
    assert company.messages() == []
    company.rules["quiet.yaml"] = QUIET
    company.run(DUE + timedelta(days=2))
    assert company.messages() == [("ann", "quiet", "first")]


def test_pausing_a_rule_holds_it_and_lateness_waits(company: Company) -> None:
    company.run(DUE - timedelta(days=4))
    company.store.switches.pause("quiet", datetime(2026, 4, 30))
    report = [company.run(DUE), company.run(DUE + timedelta(days=9))][-1]
    assert company.outcomes(report)[("held", "rule_paused")] >= 1
    company.store.switches.resume("quiet")
    company.run(DUE + timedelta(days=10))
    assert company.messages()[0] == ("ann", "quiet", "first")


def test_a_plan_writes_nothing(company: Company, tmp_path: Path) -> None:
    plan = company.project().plan(DUE)
    assert [row["customer_id"] for row in plan.rows() if row["outcome"] == "send"] == ["ann"]
    plan.close()
    assert not list(tmp_path.glob("*.db"))


def test_a_higher_resend_sends_a_step_that_is_still_in_time_once_more(company: Company) -> None:
    company.run(DUE)
    company.rules["quiet.yaml"] = QUIET + "resend: 2\n"
    company.run_days(DUE + timedelta(days=1), 2)
    assert [step for customer, _, step in company.messages() if customer == "ann"] == ["first", "first"]


def test_a_renamed_rule_holds_out_the_same_customers(company: Company) -> None:
    company.rules["quiet.yaml"] = QUIET + "holdout: 50%\n"
    for number in range(30):
        company.customer(f"c{number:02d}")
        company.event(f"c{number:02d}", "login", datetime(2026, 4, 1, 10))
    before = _held_out(company)
    assert 5 < len(before) < 25
    company.rules["quiet.yaml"] = QUIET.replace("rule: quiet", "rule: silent\nwas: [quiet]") + "holdout: 50%\n"
    assert _held_out(company) == before


def _held_out(company: Company) -> set[object]:
    plan = company.project().plan(DUE)
    try:
        return {row["customer_id"] for row in plan.rows() if row["outcome"] == "hold_out"}
    finally:
        plan.close()


def test_a_run_that_fails_on_a_mistake_leaves_nothing_and_runs_once_it_is_mended(company: Company) -> None:
    whole = company.rules["quiet.yaml"]
    company.rules["quiet.yaml"] = whole + "where: no_such_column = 'x'\n"
    with pytest.raises(SetupError, match="no_such_column"):
        company.run(DUE)
    assert company.store.runs.recent() == []
    company.rules["quiet.yaml"] = whole
    assert company.run(DUE).fresh
    company.rules["quiet.yaml"] = whole + "where: no_such_column = 'x'\n"
    with pytest.raises(SetupError):
        company.run(DUE, again=True)
    assert [row.state for row in company.store.runs.recent()] == ["finished"]


def test_a_run_that_was_cut_off_before_it_wrote_begins_anew_with_todays_files(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.run.record", power_cut)
    with pytest.raises(KeyboardInterrupt):
        company.run(DUE)
    monkeypatch.undo()
    company.rules["quiet.yaml"] = QUIET.replace("send: first", "send: third")
    company.run(DUE)
    assert {step for _, _, step in company.messages()} == {"third"}
    assert len(company.store.runs.recent()) == 1


def test_a_database_that_goes_away_in_the_middle_costs_nothing(
    company: Company, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections to PostgreSQL are cut while the run writes, at one write after the other."""
    monkeypatch.setattr("engine.recording._CHUNK_ROWS", 1)
    company.config += f"state: {{url: {postgres_url}}}\n"
    for number in range(12):
        company.customer(f"c{number:02d}")
        company.event(f"c{number:02d}", "login", datetime(2026, 4, 1, 9))
    write_chunk, cuts = Ledger.write_chunk, 0

    def cut(ledger: Ledger, *rows: Any, **more: Any) -> Any:
        nonlocal cuts
        cuts += 1
        if cuts % 3 == 0:
            with psycopg.connect(postgres_url, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        return write_chunk(ledger, *rows, **more)

    monkeypatch.setattr(Ledger, "write_chunk", cut)
    for _ in range(30):
        try:
            report = company.run(DUE)
        except UnavailableError:
            continue
        break
    assert report.run.state == "finished"
    assert len(company.messages()) == 13
    assert not report.written.conflicts
